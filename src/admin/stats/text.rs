//! Statistics as lines.

use std::fmt::Write;

use super::{HistogramForm, QUANTILES};
use crate::stats::{Bins, Stat, StatName, Value};

/// `name: value`, counters and gauges before histograms.
pub(super) fn write(stats: &[Stat], form: HistogramForm) -> String {
    let mut out = String::new();
    for Stat { name, value, .. } in stats {
        if let Value::Counter(value) | Value::Gauge(value) = value {
            // Writing to a text does not fail.
            let _ = writeln!(out, "{}: {value}", name.full);
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
fn write_histogram(out: &mut String, name: &StatName, bins: &Bins, form: HistogramForm) -> std::fmt::Result {
    write!(out, "{}:", name.full)?;
    match form {
        HistogramForm::Summary if bins.count == 0 => write!(out, " No recorded values")?,
        HistogramForm::Summary => write_quantiles(out, bins)?,
        HistogramForm::Cumulative => {
            for &bound in name.buckets.iter() {
                write!(out, " B{}({1},{1})", general(bound), bins.up_to(bound))?;
            }
        }
        HistogramForm::Disjoint => {
            let mut below = 0;
            for &bound in name.buckets.iter() {
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

/// As printf's `%g` writes the bounds of buckets: six digits that tell something.
fn general(bound: f64) -> String {
    let scientific = format!("{bound:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent {
        -4..6 => without_zeros(&format!("{bound:.*}", usize::try_from(5 - exponent).unwrap_or(0))),
        _ => {
            format!("{}e{}{:02}", without_zeros(digits), if exponent < 0 { '-' } else { '+' }, exponent.abs())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_written_as_printf_does() {
        for (bound, text) in [
            (0.5, "0.5"),
            (1.0, "1"),
            (2500.0, "2500"),
            (600_000.0, "600000"),
            (1_800_000.0, "1.8e+06"),
            (3_000_000.0, "3e+06"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_25, "0.00025"),
            (0.000_025, "2.5e-05"),
            (1e100, "1e+100"),
        ] {
            assert_eq!(general(bound), text);
        }
    }
}
