//! Statistics as lines.

use std::fmt::Write;

use super::{BUCKETS, HistogramForm, QUANTILES, Stat, Value};
use crate::stats::Bins;

/// `name: value`, counters and gauges before histograms.
pub(super) fn write(stats: &[Stat], form: HistogramForm) -> String {
    let mut out = String::new();
    for Stat { name, value, .. } in stats {
        if let Value::Counter(value) | Value::Gauge(value) = value {
            // Writing to a text does not fail.
            let _ = writeln!(out, "{name}: {value}");
        }
    }
    for Stat { name, value, .. } in stats {
        if let Value::Histogram(bins) = value {
            let _ = write_histogram(&mut out, name, bins, form);
        }
    }
    out
}

/// What stands twice in brackets is, in Envoy, of the last interval and of all; here both are of all.
fn write_histogram(out: &mut String, name: &str, bins: &Bins, form: HistogramForm) -> std::fmt::Result {
    write!(out, "{name}:")?;
    match form {
        HistogramForm::Summary if bins.count == 0 => write!(out, " No recorded values")?,
        HistogramForm::Summary => write_quantiles(out, bins)?,
        HistogramForm::Cumulative => {
            for bound in BUCKETS {
                write!(out, " B{}({1},{1})", general(bound), bins.up_to(bound))?;
            }
        }
        HistogramForm::Disjoint => {
            let mut below = 0;
            for bound in BUCKETS {
                let count = bins.up_to(bound);
                write!(out, " B{}({1},{1})", general(bound), count - below)?;
                below = count;
            }
        }
        HistogramForm::Detailed => {
            for line in ["totals", "intervals"] {
                write!(out, "\n  {line}=")?;
                for (index, (lower, width, count)) in bins.each().enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(out, "{comma}{lower},{width}:{count}")?;
                }
            }
            write!(out, "\n  summary=")?;
            let mut summary = String::new();
            write_quantiles(&mut summary, bins)?;
            out.push_str(summary.trim_start());
        }
    }
    writeln!(out)
}

fn write_quantiles(out: &mut String, bins: &Bins) -> std::fmt::Result {
    for (name, quantile) in QUANTILES {
        match bins.quantile(quantile) {
            Some(value) => write!(out, " P{name}({value},{value})")?,
            None => write!(out, " P{name}(nan,nan)")?,
        }
    }
    Ok(())
}

/// As printf's `%g` writes the bounds of buckets.
pub(super) fn general(bound: f64) -> String {
    if bound < 1e6 { bound.to_string() } else { format!("{:.1}e+06", bound / 1e6) }
}
