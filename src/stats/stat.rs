//! A statistic as those read it who show it or send it on.

use std::sync::Arc;

use super::Bins;

/// The buckets that a histogram is shown in unless the configuration says otherwise: Envoy's.
pub(crate) const BUCKETS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1000.0,
    2500.0,
    5000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];

/// Name and value of a tag: `envoy.response_code` and `200`.
pub(crate) type Tag = (Arc<str>, Box<str>);

/// What a statistic is called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StatName {
    /// `cluster.app.upstream_rq_200`
    pub(crate) full: Box<str>,
    /// The same without what became tags: `cluster.upstream_rq`.
    pub(crate) extracted: Box<str>,
    /// Tags, in Envoy's order.
    pub(crate) tags: Box<[Tag]>,
    /// Upper bounds of the buckets that it is shown in if it is a histogram, lowest first.
    pub(crate) buckets: Arc<[f64]>,
}

/// What a statistic has come to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A number that only grows.
    Counter(u64),
    /// A number that grows and shrinks.
    Gauge(u64),
    /// A distribution.
    Histogram(Bins),
}

/// One statistic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stat {
    /// What it is called.
    pub(crate) name: Arc<StatName>,
    /// What it has come to.
    pub(crate) value: Value,
    /// Something was written to it.
    pub(crate) used: bool,
}

impl Stat {
    /// Add what another one of the same name has come to.
    pub(crate) fn absorb(&mut self, other: Self) {
        self.used |= other.used;
        match (&mut self.value, other.value) {
            (Value::Counter(mine), Value::Counter(theirs)) | (Value::Gauge(mine), Value::Gauge(theirs)) => {
                *mine += theirs;
            }
            (Value::Histogram(mine), Value::Histogram(theirs)) => mine.absorb(&theirs),
            _ => {}
        }
    }
}
