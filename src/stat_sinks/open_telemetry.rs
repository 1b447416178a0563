//! Statistics as metrics of OpenTelemetry: sums, gauges and histograms with the buckets of the configuration.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};

use super::{Collected, since};
use crate::{
    export::{metrics::MetricsSender, sender::Surroundings},
    snapshot::stats::OpenTelemetrySink,
    stats::{Bins, Stat, StatName, Value},
};

/// Takes metrics to one collector.
#[derive(Debug)]
pub(super) struct OpenTelemetry {
    sender: MetricsSender,
    resource: Resource,
    /// Since when what is cumulative is told: the start, or the last reset of counters. Nanoseconds since 1970.
    began: u64,
    taken: Taken,
}

/// What the collector has taken. What comes after it is told by the next call that succeeds, so that a call that fails
/// loses nothing and none tells anything twice.
#[derive(Debug, Default)]
struct Taken {
    stats: Collected,
    /// When they were collected: those before the first place at the first moment, and so on.
    times: Vec<(usize, u64)>,
}

impl Taken {
    fn time(&self, place: usize) -> Option<u64> {
        self.times.iter().find(|(end, _)| place < *end).map(|(_, time)| *time)
    }

    /// The first `count` of `now` were taken.
    fn add(&mut self, now: &Collected, count: usize, time: u64) {
        if count == now.len() {
            (self.stats, self.times) = (Arc::clone(now), vec![(count, time)]);
            return;
        }
        let Some(last) = count.checked_sub(1).and_then(|last| now.get(last)) else { return };
        let known = self.stats.partition_point(|stat| stat.name.full <= last.name.full);
        let left = self.stats.get(known..).unwrap_or_default();
        let stats: Vec<Stat> = now.iter().take(count).chain(left).cloned().collect();
        let behind = self.times.iter().filter(|(end, _)| *end > known);
        let behind: Vec<_> = behind.map(|(end, time)| (end - known + count, *time)).collect();
        self.times = std::iter::once((count, time)).chain(behind).collect();
        self.stats = Arc::new(stats);
    }
}

impl OpenTelemetry {
    /// To the collector of `config`.
    pub(super) fn new(config: &OpenTelemetrySink, around: &Surroundings<'_>) -> Result<Self, String> {
        let attributes = config.resource.iter().map(|(key, value)| attribute(key, value)).collect();
        Ok(Self {
            sender: MetricsSender::new(&config.exporter, around)?,
            resource: Resource { attributes, ..Resource::default() },
            began: nanoseconds(),
            taken: Taken::default(),
        })
    }

    /// Where metrics go, in words.
    pub(super) fn destination(&self) -> String {
        format!("{} by {}", self.sender.destination(), self.sender.protocol().name())
    }

    /// Send all of them, in as many calls as the configuration asks for.
    pub(super) async fn send(&mut self, config: &OpenTelemetrySink, now: Collected) -> Result<(), String> {
        let time = nanoseconds();
        if since::was_reset(&now, &self.taken.stats) {
            self.began = self.taken.times.first().map_or(self.began, |(_, time)| *time);
        }
        let (mut sent, mut remark) = (0, None);
        while sent < now.len() {
            let rest = now.get(sent..).unwrap_or_default();
            let end = sent + end_of_call(rest, config.max_points);
            let part = now.get(sent..end).unwrap_or_default();
            let metrics = metrics(config, part, &self.taken, (self.began, time));
            if !metrics.is_empty() {
                match self.sender.send(self.request(metrics)).await {
                    Ok(taken) if taken.rejected > 0 => {
                        remark =
                            Some(format!("did not take {} data points: {}", taken.rejected, taken.message));
                    }
                    Ok(_) => {}
                    Err(failure) => {
                        self.taken.add(&now, sent, time);
                        let hint = failure.hint(self.sender.protocol());
                        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                        return Err(format!("{}{hint}", failure.told()));
                    }
                }
            }
            sent = end;
        }
        self.taken.add(&now, sent, time);
        remark.map_or(Ok(()), Err)
    }

    fn request(&self, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
        let scope = InstrumentationScope {
            name: "spanway".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
        let resource = Some(self.resource.clone());
        ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }],
        }
    }
}

fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// How many of `stats` make one call of `most` data points. Those that were never used make none.
fn end_of_call(stats: &[Stat], most: usize) -> usize {
    let used = stats.iter().enumerate().filter(|(_, stat)| stat.used);
    used.map(|(place, _)| place).nth(most).unwrap_or(stats.len())
}

/// The metrics of statistics that were ever used. What has one name and kind is one metric with several points. What is
/// cumulative is told since `began`.
fn metrics(
    config: &OpenTelemetrySink,
    stats: &[Stat],
    taken: &Taken,
    (began, now): (u64, u64),
) -> Vec<Metric> {
    let mut metrics: BTreeMap<(String, u8), Data> = BTreeMap::new();
    let first = stats.first().map_or("", |stat| &*stat.name.full);
    let skipped = taken.stats.partition_point(|stat| &*stat.name.full < first);
    let known = taken.stats.get(skipped..).unwrap_or_default();
    for (stat, place) in since::places(stats, known).filter(|(stat, _)| stat.used) {
        let name = name(config, &stat.name);
        let attributes = attributes(config, &stat.name);
        let before = place.and_then(|place| known.get(place));
        let last = place.and_then(|place| taken.time(skipped + place)).unwrap_or(began);
        match &stat.value {
            Value::Counter(value) => {
                let deltas = config.counters_as_deltas;
                let value = if deltas { since::counter(*value, before) } else { *value };
                let start = if deltas { last } else { began };
                let sum = metrics.entry((name, 0)).or_insert_with(|| {
                    Data::Sum(Sum {
                        data_points: Vec::new(),
                        aggregation_temporality: temporality(deltas),
                        is_monotonic: true,
                    })
                });
                if let Data::Sum(sum) = sum {
                    sum.data_points.push(number(value, attributes, start, now));
                }
            }
            Value::Gauge(value) => {
                let gauge = metrics.entry((name, 1)).or_insert_with(|| Data::Gauge(Gauge::default()));
                if let Data::Gauge(gauge) = gauge {
                    gauge.data_points.push(number(*value, attributes, 0, now));
                }
            }
            Value::Histogram(bins) => {
                let deltas = config.histograms_as_deltas;
                let bins = if deltas { since::histogram(bins, before) } else { bins.clone() };
                let start = if deltas { last } else { began };
                let histogram = metrics.entry((name, 2)).or_insert_with(|| {
                    Data::Histogram(Histogram {
                        data_points: Vec::new(),
                        aggregation_temporality: temporality(deltas),
                    })
                });
                if let Data::Histogram(histogram) = histogram {
                    let bounds = &stat.name.buckets;
                    histogram.data_points.push(HistogramDataPoint {
                        attributes,
                        start_time_unix_nano: start,
                        time_unix_nano: now,
                        count: bins.count,
                        sum: Some(bins.sum as f64),
                        bucket_counts: bucket_counts(&bins, bounds),
                        explicit_bounds: bounds.to_vec(),
                        ..HistogramDataPoint::default()
                    });
                }
            }
        }
    }
    let metric = |((name, _), data)| Metric { name, data: Some(data), ..Metric::default() };
    metrics.into_iter().map(metric).collect()
}

fn name(config: &OpenTelemetrySink, name: &StatName) -> String {
    let known = if config.extracted_names { &name.extracted } else { &name.full };
    match &*config.prefix {
        "" => known.to_string(),
        prefix => [prefix, ".", known].concat(),
    }
}

fn attributes(config: &OpenTelemetrySink, name: &StatName) -> Vec<KeyValue> {
    if !config.tags {
        return Vec::new();
    }
    name.tags.iter().map(|(tag, value)| attribute(tag, value)).collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn number(value: u64, attributes: Vec<KeyValue>, start: u64, now: u64) -> NumberDataPoint {
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    NumberDataPoint {
        attributes,
        start_time_unix_nano: start,
        time_unix_nano: now,
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    }
}

fn temporality(deltas: bool) -> i32 {
    match deltas {
        true => AggregationTemporality::Delta.into(),
        false => AggregationTemporality::Cumulative.into(),
    }
}

/// How many values fell into each bucket, and how many are above all.
fn bucket_counts(bins: &Bins, bounds: &[f64]) -> Vec<u64> {
    let mut below = 0;
    let mut counts = Vec::with_capacity(bounds.len() + 1);
    for bound in bounds {
        let up_to = bins.up_to(*bound);
        counts.push(up_to - below);
        below = up_to;
    }
    counts.push(bins.count - below);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::stats::StatsConfig;

    fn stats(values: &[(&str, u64, bool)]) -> Collected {
        let stat = |(name, value, used): &(&str, u64, bool)| Stat {
            name: Arc::new(StatsConfig::default().name(name).unwrap()),
            value: Value::Counter(*value),
            used: *used,
        };
        Arc::new(values.iter().map(stat).collect())
    }

    #[test]
    fn a_call_has_no_more_points_than_it_may_and_ends_before_what_has_one() {
        let stats =
            stats(&[("a", 0, false), ("b", 1, true), ("c", 1, true), ("d", 0, false), ("e", 1, true)]);
        assert_eq!([1, 2, 3, 9].map(|most| end_of_call(&stats, most)), [2, 4, 5, 5]);
    }

    #[test]
    fn what_was_taken_is_known_by_its_own_time_when_only_a_part_was() {
        let mut taken = Taken::default();
        taken.add(&stats(&[("a", 1, true), ("b", 1, true), ("d", 1, true)]), 3, 10);
        taken.add(&stats(&[("a", 2, true), ("b", 2, true), ("c", 2, true), ("d", 2, true)]), 3, 20);
        let told = |taken: &Taken| {
            let each = taken.stats.iter().enumerate();
            let told = each.map(|(place, stat)| {
                let Value::Counter(value) = stat.value else { panic!("{stat:?}") };
                (stat.name.full.to_string(), value, taken.time(place).unwrap())
            });
            told.collect::<Vec<_>>()
        };
        let of = |name: &str, value, time| (name.to_owned(), value, time);
        assert_eq!(told(&taken), [of("a", 2, 20), of("b", 2, 20), of("c", 2, 20), of("d", 1, 10)]);
        taken.add(&stats(&[("a", 3, true), ("b", 3, true), ("c", 3, true), ("d", 3, true)]), 1, 30);
        assert_eq!(told(&taken), [of("a", 3, 30), of("b", 2, 20), of("c", 2, 20), of("d", 1, 10)]);
        taken.add(&stats(&[("a", 4, true), ("d", 4, true)]), 2, 40);
        assert_eq!(told(&taken), [of("a", 4, 40), of("d", 4, 40)]);
    }

    #[test]
    fn the_last_bucket_holds_what_is_above_all_bounds() {
        let histogram = crate::stats::Histogram::default();
        [1, 7, 7, 5_000].iter().for_each(|value| histogram.record(*value));
        assert_eq!(bucket_counts(&histogram.bins(), &[5.0, 10.0, 100.0]), [1, 2, 0, 1]);
        assert_eq!(bucket_counts(&histogram.bins(), &[]), [4]);
    }
}
