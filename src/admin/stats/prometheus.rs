//! Statistics for Prometheus: its text exposition format, with Envoy's names and labels.

use std::{collections::BTreeMap, fmt::Write};

use super::{BUCKETS, HistogramForm, QUANTILES, Stat, Value};
use crate::stats::Bins;

/// All of a metric stand together; counters come first, then gauges, then histograms.
pub(super) fn write(stats: &[Stat], form: HistogramForm) -> String {
    let mut out = String::with_capacity(stats.len() * 100);
    let summary = if form == HistogramForm::Summary { "summary" } else { "histogram" };
    for kind in ["counter", "gauge", summary] {
        let mut metrics: BTreeMap<&str, Vec<&Stat>> = BTreeMap::new();
        let of_kind = |stat: &&Stat| {
            matches!(
                (&stat.value, kind),
                (Value::Counter(_), "counter")
                    | (Value::Gauge(_), "gauge")
                    | (Value::Histogram(_), "histogram" | "summary")
            )
        };
        for stat in stats.iter().filter(of_kind) {
            metrics.entry(&stat.metric).or_default().push(stat);
        }
        for (metric, stats) in metrics {
            // Writing to a text does not fail.
            let _ = writeln!(out, "# TYPE {metric} {kind}");
            for stat in stats {
                let _ = write_stat(&mut out, stat, form);
            }
        }
    }
    out
}

fn write_stat(out: &mut String, stat: &Stat, form: HistogramForm) -> std::fmt::Result {
    let metric = &stat.metric;
    let labels = labels(&stat.tags);
    let bins = match &stat.value {
        Value::Counter(value) | Value::Gauge(value) => return writeln!(out, "{metric}{{{labels}}} {value}"),
        Value::Histogram(bins) => bins,
    };
    let comma = if labels.is_empty() { "" } else { "," };
    if form == HistogramForm::Summary {
        write_summary(out, metric, &labels, comma, bins)?;
    } else {
        for bound in BUCKETS {
            writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"{bound}\"}} {}", bins.up_to(bound))?;
        }
        writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", bins.count)?;
    }
    writeln!(out, "{metric}_sum{{{labels}}} {}", bins.sum)?;
    writeln!(out, "{metric}_count{{{labels}}} {}", bins.count)
}

fn write_summary(out: &mut String, metric: &str, labels: &str, comma: &str, bins: &Bins) -> std::fmt::Result {
    for (_, quantile) in QUANTILES {
        match bins.quantile(quantile) {
            Some(value) => writeln!(out, "{metric}{{{labels}{comma}quantile=\"{quantile}\"}} {value}")?,
            None => writeln!(out, "{metric}{{{labels}{comma}quantile=\"{quantile}\"}} NaN")?,
        }
    }
    Ok(())
}

fn labels(tags: &[(&'static str, String)]) -> String {
    let mut out = String::new();
    for (index, (name, value)) in tags.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        // Writing to a text does not fail.
        let _ = write!(out, "{comma}{name}=\"{value}\"");
    }
    out
}
