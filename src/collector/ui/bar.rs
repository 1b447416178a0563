//! The time axis of a trace, and the bar of a span on it.

use std::fmt::{self, Display, Formatter};

use super::{html::Elapsed, shape::Interval};
use crate::collector::store::Trace;

/// The width of a bar's scale. Any number does: the style stretches it to the column.
pub(super) const SCALE: u64 = 1_000;

/// However short a span is, its bar can be seen.
const LEAST_WIDTH: u64 = 3;

/// The time that a trace covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// Nanoseconds since 1970.
    pub(super) start: u64,
    /// Nanoseconds.
    pub(super) length: u64,
}

impl Window {
    /// The time of `trace`; empty if it has no span.
    pub(super) fn of(trace: &Trace) -> Self {
        Self { start: trace.start_unix_nano.min(trace.end_unix_nano), length: trace.duration_nano() }
    }

    /// Where on the scale something `nanoseconds` after the start is.
    fn scaled(&self, nanoseconds: u64) -> u64 {
        let place = u128::from(nanoseconds) * u128::from(SCALE) / u128::from(self.length.max(1));
        u64::try_from(place).unwrap_or(SCALE).min(SCALE)
    }

    /// Where on the scale that moment is.
    fn place(&self, unix_nano: u64) -> u64 {
        self.scaled(unix_nano.saturating_sub(self.start))
    }

    /// Round times apart from each other, four to nine of them, zero first.
    fn ticks(&self) -> impl Iterator<Item = u64> + '_ {
        let mut power = 1_u64;
        while power.saturating_mul(10) <= self.length / 4 {
            power *= 10;
        }
        let steps = [5, 2, 1].into_iter().map(|times| power.saturating_mul(times));
        let step = steps.into_iter().find(|step| *step <= self.length / 4).unwrap_or(1);
        (0..=self.length / step).map(move |index| index * step).take(10)
    }
}

/// The head of the axis: the times at its ticks, and the lines that all bars repeat.
pub(super) struct Axis(pub(super) Window);

impl Display for Axis {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<svg class=\"axis\" aria-hidden=\"true\">")?;
        for tick in self.0.ticks() {
            let place = self.0.scaled(tick);
            // At the right end there is no room for it.
            if place <= SCALE * 94 / 100 {
                write!(f, "<text x=\"{}.{}%\" y=\"15\">{}</text>", place / 10, place % 10, Tick(tick))?;
            }
        }
        f.write_str("</svg>")
    }
}

/// What the bars refer to. It has to be drawn somewhere, so it is drawn in no space.
pub(super) struct Grid(pub(super) Window);

impl Display for Grid {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<svg class=\"defs\" aria-hidden=\"true\"><defs><path id=\"grid\" d=\"")?;
        for tick in self.0.ticks() {
            write!(f, "M{} 0v10", self.0.scaled(tick))?;
        }
        f.write_str("\"/></defs></svg>\n")
    }
}

/// A round time without needless zeros.
struct Tick(u64);

impl Display for Tick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let written = Elapsed(self.0).to_string();
        match written.split_once(' ') {
            _ if self.0 == 0 => f.write_str("0"),
            Some((number, unit)) if number.contains('.') => {
                write!(f, "{} {unit}", number.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => f.write_str(&written),
        }
    }
}

/// When a span ran, when it waited, and what happened in it.
pub(super) struct Bar<'a> {
    /// The time that the axis covers.
    pub(super) window: Window,
    /// When the span ran.
    pub(super) time: Interval,
    /// When it waited for a child: in order, apart from each other.
    pub(super) waiting: &'a [Interval],
    /// When it was on the critical path.
    pub(super) critical: &'a [Interval],
    /// When its events and log records were.
    pub(super) moments: &'a [u64],
}

impl Display for Bar<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.window.place(self.time.0), self.window.place(self.time.1.max(self.time.0)));
        let width = (to - from).max(LEAST_WIDTH);
        let from = from.min(SCALE - width);
        write!(
            f,
            concat!(
                "<svg class=\"bar\" viewBox=\"0 0 {} 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
                "<use href=\"#grid\"/><rect x=\"{}\" y=\"2.5\" width=\"{}\" height=\"5\"/>",
            ),
            SCALE, from, width,
        )?;
        self.own_time(f, from, from + width)?;
        self.critical(f)?;
        self.moments(f)?;
        f.write_str("</svg>")
    }
}

impl Bar<'_> {
    /// The time in which no child ran, solid.
    fn own_time(&self, f: &mut Formatter<'_>, start: u64, end: u64) -> fmt::Result {
        f.write_str("<path class=\"own\" d=\"")?;
        let mut since = start;
        for &(from, to) in self.waiting {
            let (from, to) = (self.window.place(from), self.window.place(to));
            if from > since {
                write!(f, "M{since} 2.5H{from}V7.5H{since}z")?;
            }
            since = since.max(to);
        }
        if end > since {
            write!(f, "M{since} 2.5H{end}V7.5H{since}z")?;
        }
        f.write_str("\"/>")
    }

    fn critical(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.critical.is_empty() {
            return Ok(());
        }
        f.write_str("<path class=\"critical\" d=\"")?;
        for &(from, to) in self.critical {
            let from = self.window.place(from).min(SCALE - 1);
            write!(f, "M{from} 8.5H{}", self.window.place(to).max(from + 1))?;
        }
        f.write_str("\"/>")
    }

    fn moments(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.moments.is_empty() {
            return Ok(());
        }
        let mut places: Vec<u64> = self.moments.iter().map(|moment| self.window.place(*moment)).collect();
        places.sort_unstable();
        places.dedup();
        f.write_str("<path class=\"moment\" d=\"")?;
        for place in places {
            write!(f, "M{place} 1V9")?;
        }
        f.write_str("\"/>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(length: u64) -> Window {
        Window { start: 1_000, length }
    }

    #[test]
    fn ticks_are_round_and_few() {
        let ticks = |length| window(length).ticks().map(|tick| Tick(tick).to_string()).collect::<Vec<_>>();
        assert_eq!(ticks(5_300_000), ["0", "1 ms", "2 ms", "3 ms", "4 ms", "5 ms"]);
        assert_eq!(ticks(100_000_000), ["0", "20 ms", "40 ms", "60 ms", "80 ms", "100 ms"]);
        assert_eq!(ticks(0), ["0"]);
        for length in (0..200).map(|power| 1.25_f64.powi(power) as u64) {
            assert!(ticks(length).len() <= 10, "{length}");
        }
    }

    #[test]
    fn a_bar_stays_on_its_scale_whatever_the_times_say() {
        for time in [(0, u64::MAX), (2_000, 1_500), (u64::MAX, u64::MAX), (1_000, 1_000)] {
            let bar = Bar {
                window: window(1_000),
                time,
                waiting: &[(0, u64::MAX)],
                critical: &[(u64::MAX, u64::MAX)],
                moments: &[0, u64::MAX],
            };
            assert!(bar.to_string().contains("<rect x="), "{time:?}");
        }
    }

    #[test]
    fn the_time_without_a_child_is_solid() {
        let bar = Bar {
            window: window(1_000),
            time: (1_000, 2_000),
            waiting: &[(1_100, 1_300), (1_800, 2_000)],
            critical: &[(1_000, 1_100)],
            moments: &[1_500, 1_500],
        }
        .to_string();
        assert!(bar.contains("class=\"own\" d=\"M0 2.5H100V7.5H0zM300 2.5H800V7.5H300z\""), "{bar}");
        assert!(
            bar.contains("class=\"critical\" d=\"M0 8.5H100\"")
                && bar.contains("class=\"moment\" d=\"M500 1V9\"")
        );
    }
}
