//! The lines of StatsD, and of DogStatsD, which has tags.
//!
//! A histogram is known by its bins: a line's value is that of its bin (below 100 the exact one, above that the middle). Each
//! value has a line, as Envoy sends it, unless there are very many; then a line has a sample rate, which says for how many
//! values it stands. How many lines each bin has still tells the shape, for servers that let sample rates tell counts only.

use std::fmt::Write;

use super::since;
use crate::{
    snapshot::stats::Statsd,
    stats::{Stat, StatName, Value},
};

/// So many lines a histogram has in a flush, about: one of each value, unless there are more values.
const LINES: u64 = 100;

/// Write the line of each statistic that was ever used, and hand it to `each`: by how much counters have grown since
/// `before`, what gauges are, and what came to histograms.
pub(super) fn write(config: &Statsd, now: &[Stat], before: &[Stat], each: &mut dyn FnMut(&str)) {
    let mut line = String::new();
    for (stat, before) in since::pairs(now, before).filter(|(stat, _)| stat.used) {
        line.clear();
        write_name(&mut line, config, &stat.name);
        let head = line.len();
        // Writing to a text does not fail.
        match &stat.value {
            Value::Counter(value) => {
                let _ = write!(line, ":{}|c", since::counter(*value, before));
                write_tags(&mut line, config, &stat.name);
                each(&line);
            }
            Value::Gauge(value) => {
                let _ = write!(line, ":{value}|g");
                write_tags(&mut line, config, &stat.name);
                each(&line);
            }
            Value::Histogram(bins) => {
                let came = since::histogram(bins, before);
                for (lower, width, count) in came.each() {
                    let value = lower + ((width - 1.0) / 2.0).max(0.0).floor();
                    for weight in weights(count, came.count) {
                        line.truncate(head);
                        let _ = write!(line, ":{value}|ms");
                        if weight > 1 {
                            let _ = write!(line, "|@{}", rate(weight));
                        }
                        write_tags(&mut line, config, &stat.name);
                        each(&line);
                    }
                }
            }
        }
    }
}

/// For how many values each line of a bin stands that has `count` of `all`.
fn weights(count: u64, all: u64) -> impl Iterator<Item = u64> {
    let lines = if all <= LINES { count } else { (count.saturating_mul(LINES) / all).max(1) };
    let (each, more) = (count.checked_div(lines).unwrap_or(0), count.checked_rem(lines).unwrap_or(0));
    (0..lines).map(move |line| each + u64::from(line < more))
}

/// One in `count`, so that whoever divides one by it has no less than `count`, however he rounds.
fn rate(count: u64) -> f64 {
    let count = count as f64;
    let mut rate = 1.0 / count;
    while 1.0 / rate < count {
        rate = rate.next_down();
    }
    rate
}

fn write_name(line: &mut String, config: &Statsd, name: &StatName) {
    line.push_str(&config.prefix);
    line.push('.');
    push(line, if config.tags { &name.extracted } else { &name.full }, &[':', '|', '@']);
}

fn write_tags(line: &mut String, config: &Statsd, name: &StatName) {
    if !config.tags {
        return;
    }
    for (index, (tag, value)) in name.tags.iter().enumerate() {
        line.push_str(if index == 0 { "|#" } else { "," });
        push(line, tag, &[':', '|', ',', '#']);
        line.push(':');
        push(line, value, &['|', ',', '#']);
    }
}

/// Add `text` without what would end a line or a part of it.
fn push(line: &mut String, text: &str, without: &[char]) {
    let kept = |letter: char| if letter.is_control() || without.contains(&letter) { '_' } else { letter };
    line.extend(text.chars().map(kept));
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use proptest::prelude::*;

    use super::*;
    use crate::{
        snapshot::{Address, stats::StatsConfig},
        stats::{Histogram, Metric},
    };

    fn config(tags: bool) -> Statsd {
        Statsd {
            address: crate::snapshot::stats::StatsdAddress::Datagrams(Address::Pipe(PathBuf::new())),
            prefix: "p".into(),
            tags,
            datagram_bytes: None,
        }
    }

    fn stat(name: &str, value: Value, used: bool) -> Stat {
        Stat { name: Arc::new(StatsConfig::default().name(name).unwrap()), value, used }
    }

    fn lines(tags: bool, now: &[Stat], before: &[Stat]) -> Vec<String> {
        let mut lines = Vec::new();
        write(&config(tags), now, before, &mut |line| lines.push(line.to_owned()));
        lines
    }

    #[test]
    fn counters_tell_how_much_they_have_grown_and_gauges_what_they_are() {
        let before = [
            stat("cluster.a.upstream_rq_200", Value::Counter(3), true),
            stat("cluster.a.upstream_rq_total", Value::Counter(9), true),
        ];
        let now = [
            stat("cluster.a.upstream_rq_200", Value::Counter(5), true),
            stat("cluster.a.upstream_rq_active", Value::Gauge(2), true),
            stat("cluster.a.upstream_rq_retry", Value::Counter(0), false),
            stat("cluster.a.upstream_rq_total", Value::Counter(4), true),
        ];
        let expected = [
            "p.cluster.a.upstream_rq_200:2|c",
            "p.cluster.a.upstream_rq_active:2|g",
            "p.cluster.a.upstream_rq_total:4|c",
        ];
        assert_eq!(lines(false, &now, &before), expected);
        assert_eq!(
            lines(true, &now, &before)[0],
            "p.cluster.upstream_rq:2|c|#envoy.response_code:200,envoy.cluster_name:a"
        );
    }

    #[test]
    fn a_name_cannot_end_its_line_or_begin_another_part_of_it() {
        let now = [stat("cluster.a|b\nc:d,#@.x", Value::Counter(1), true)];
        assert_eq!(lines(false, &now, &[]), ["p.cluster.a_b_c_d,#_.x:1|c"]);
        assert_eq!(lines(true, &now, &[]), ["p.cluster.x:1|c|#envoy.cluster_name:a_b_c:d__@"]);
    }

    #[test]
    fn what_came_to_a_histogram_is_told_by_bins() {
        let of = |values: &[u64]| {
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(*value));
            stat("t", Value::Histogram(histogram.bins()), true)
        };
        let (before, now) = (of(&[7, 7]), of(&[7, 7, 0, 7, 42, 42, 42, 123, 125]));
        let expected =
            ["p.t:0|ms", "p.t:7|ms", "p.t:42|ms", "p.t:42|ms", "p.t:42|ms", "p.t:124|ms", "p.t:124|ms"];
        assert_eq!(lines(false, &[now], &[before]), expected);
    }

    #[test]
    fn of_very_many_values_a_line_stands_for_several() {
        let histogram = Histogram::default();
        (0..1000).for_each(|_| histogram.record(42));
        (0..10).for_each(|_| histogram.record(7));
        let lines = lines(false, &[stat("t", Value::Histogram(histogram.bins()), true)], &[]);
        assert_eq!(lines[0], "p.t:7|ms|@0.1");
        assert_eq!(lines[1], "p.t:42|ms|@0.09090909090909091");
        assert_eq!(lines.len(), 100);
    }

    proptest! {
        #[test]
        fn a_rate_says_how_often(count in 1_u64..1 << 40) {
            let text = rate(count).to_string();
            prop_assert!(!text.contains('e'));
            let read: f64 = text.parse().unwrap();
            prop_assert_eq!((1.0 / read) as u64, count);
            prop_assert_eq!((1.0 / read).round() as u64, count);
        }

        #[test]
        fn lines_stand_for_all_values_and_are_not_too_many(
            counts in proptest::collection::vec(1_u64..1 << 32, 1..50),
        ) {
            let all = counts.iter().sum();
            let mut lines = 0;
            for count in &counts {
                let weights = weights(*count, all).collect::<Vec<_>>();
                prop_assert_eq!(weights.iter().sum::<u64>(), *count);
                lines += weights.len();
            }
            prop_assert!(lines as u64 <= LINES + counts.len() as u64);
        }

        #[test]
        fn what_came_between_two_moments_and_what_was_before_make_up_all(
            before in proptest::collection::vec(any::<u32>(), 0..20),
            after in proptest::collection::vec(any::<u32>(), 0..20),
        ) {
            let (one, both) = (Histogram::default(), Histogram::default());
            before.iter().for_each(|value| one.record((*value).into()));
            both.absorb(&one);
            after.iter().for_each(|value| both.record((*value).into()));
            let mut sum = both.bins().since(&one.bins());
            prop_assert_eq!(sum.count, after.len() as u64);
            sum.absorb(&one.bins());
            prop_assert_eq!(sum, both.bins());
        }
    }
}
