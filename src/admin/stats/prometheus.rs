//! Statistics for Prometheus: its text exposition format, with Envoy's names and labels.

use std::{collections::BTreeMap, fmt::Write};

use super::{HistogramForm, QUANTILES};
use crate::stats::{Bins, Stat, StatName, Value};

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
            metrics.entry(&stat.name.extracted).or_default().push(stat);
        }
        // Names that differ in a dot are one to Prometheus.
        let mut families: BTreeMap<String, Vec<&Stat>> = BTreeMap::new();
        for (extracted, stats) in metrics {
            families.entry(format!("envoy_{}", sanitized(extracted))).or_default().extend(stats);
        }
        for (metric, stats) in families {
            // Writing to a text does not fail.
            let _ = writeln!(out, "# TYPE {metric} {kind}");
            for stat in stats {
                let _ = write_stat(&mut out, &metric, stat, form);
            }
        }
    }
    out
}

/// With nothing but letters, digits and underscores, as Prometheus has it.
fn sanitized(text: &str) -> String {
    let letter = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte) } else { '_' };
    let digit = text.starts_with(|first: char| first.is_ascii_digit());
    digit.then_some('_').into_iter().chain(text.bytes().map(letter)).collect()
}

fn write_stat(out: &mut String, metric: &str, stat: &Stat, form: HistogramForm) -> std::fmt::Result {
    let labels = labels(&stat.name);
    let bins = match &stat.value {
        Value::Counter(value) | Value::Gauge(value) => return writeln!(out, "{metric}{{{labels}}} {value}"),
        Value::Histogram(bins) => bins,
    };
    let comma = if labels.is_empty() { "" } else { "," };
    if form == HistogramForm::Summary {
        write_summary(out, metric, &labels, comma, bins)?;
    } else {
        for bound in stat.name.buckets.iter() {
            writeln!(out, "{metric}_bucket{{{labels}{comma}le=\"{bound}\"}} {}", bins.up_to(*bound))?;
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

fn labels(name: &StatName) -> String {
    let mut out = String::new();
    for (index, (name, value)) in name.tags.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
        // Writing to a text does not fail.
        let _ = write!(out, "{comma}{}=\"{value}\"", sanitized(name));
    }
    out
}
