//! Statistics for Prometheus: its text exposition format, with Envoy's names and labels.

use std::{collections::BTreeMap, fmt::Write};

use super::{HistogramForm, QUANTILES};
use crate::stats::{Bins, Stat, StatName, Value};

/// In which form Prometheus is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposition {
    /// Prometheus's own text format, which everything reads.
    Text,
    /// OpenMetrics 1.0, which has exemplars.
    OpenMetrics,
}

impl Exposition {
    /// Its `content-type`.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All of a metric stand together; counters come first, then gauges, then histograms.
pub(super) fn write(stats: &[Stat], form: HistogramForm, exposition: Exposition) -> String {
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
            // A counter of OpenMetrics ends in `_total`, which Envoy's names do not: its kind is left open, and the
            // names are the same in both forms.
            let kind = match (exposition, kind) {
                (Exposition::OpenMetrics, "counter") => "unknown",
                (_, kind) => kind,
            };
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
pub(super) fn sanitized(text: &str) -> String {
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
    for (name, value) in &name.tags {
        // Writing to a text does not fail.
        let _ = label(&mut out, &sanitized(name), value);
    }
    out
}

/// Add a label to others.
pub(super) fn label(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    let comma = if out.is_empty() { "" } else { "," };
    let value = value.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"");
    write!(out, "{comma}{name}=\"{value}\"")
}
