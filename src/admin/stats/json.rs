//! Statistics for programs.

use serde_json::{Value as Json, json};

use super::{HistogramForm, QUANTILES};
use crate::stats::{Bins, Stat, StatName, Value};

/// As Envoy's `/stats?format=json`.
pub(super) fn write(stats: &[Stat], form: HistogramForm) -> Json {
    let mut list = Vec::new();
    let mut histograms = Vec::new();
    for Stat { name, value, .. } in stats {
        match value {
            Value::Counter(value) | Value::Gauge(value) => {
                list.push(json!({"name": name.full, "value": value}))
            }
            Value::Histogram(bins) => histograms.push(histogram(name, bins, form)),
        }
    }
    if !histograms.is_empty() {
        list.push(match form {
            HistogramForm::Summary => {
                let quantiles = QUANTILES.map(|(_, quantile)| number(quantile * 100.0));
                json!({"histograms": {"supported_quantiles": quantiles, "computed_quantiles": histograms}})
            }
            _ => json!({"histograms": histograms}),
        });
    }
    json!({ "stats": list })
}

fn histogram(name: &StatName, bins: &Bins, form: HistogramForm) -> Json {
    if form == HistogramForm::Summary {
        let values = QUANTILES.map(|(_, quantile)| {
            let value = bins.quantile(quantile).map(number);
            json!({"cumulative": value, "interval": value})
        });
        return json!({"name": name.full, "values": values});
    }
    let mut below = 0;
    let buckets = name.buckets.iter().map(|&bound| {
        let up_to = bins.up_to(bound);
        let count = if form == HistogramForm::Cumulative { up_to } else { up_to - below };
        below = up_to;
        json!({"upper_bound": number(bound), "cumulative": count, "interval": count})
    });
    let buckets: Vec<Json> = buckets.collect();
    json!({"name": name.full, "buckets": buckets})
}

/// Whole numbers without a point.
fn number(value: f64) -> Json {
    // Values and bounds are far below what a double holds exactly.
    if value.fract() == 0.0 { Json::from(value as i64) } else { Json::from(value) }
}
