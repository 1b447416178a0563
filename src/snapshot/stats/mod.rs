//! How statistics are named, which of them are wanted, and where they are sent. `Bootstrap.stats_config`,
//! `Bootstrap.stats_sinks`.

mod builtin;
mod sinks;
mod tags;

use std::sync::Arc;

pub(crate) use self::{
    sinks::{OpenTelemetrySink, StatsFlush, StatsSink, StatsSinkKind, Statsd, StatsdAddress},
    tags::{TagExtractor, TagExtractors, UNKNOWN_DEFAULTS, default_extractors},
};
use super::matcher::StringMatcher;
use crate::stats::{BUCKETS, StatName};

/// Names, tags and buckets of statistics. `config.metrics.v3.StatsConfig`.
#[derive(Debug)]
pub(crate) struct StatsConfig {
    /// What of a name becomes a tag. Default Envoy's tags. `StatsConfig.stats_tags`, `use_all_default_tags`.
    pub(crate) tags: TagExtractors,
    /// Which statistics there are. Default all. `StatsConfig.stats_matcher`.
    pub(crate) matcher: StatsMatcher,
    /// Buckets of histograms whose name matches; the first that matches counts. Default Envoy's for all.
    /// `StatsConfig.histogram_bucket_settings`.
    pub(crate) buckets: Vec<(StringMatcher, Arc<[f64]>)>,
    /// The buckets of all others.
    pub(crate) default_buckets: Arc<[f64]>,
    /// Names are worth being kept, since it takes more than a glance to tell what becomes of them.
    pub(crate) is_costly: bool,
}

impl Default for StatsConfig {
    fn default() -> Self {
        Self {
            tags: TagExtractors::default(),
            matcher: StatsMatcher::All,
            buckets: Vec::new(),
            default_buckets: BUCKETS.into(),
            is_costly: false,
        }
    }
}

/// Which statistics there are. `config.metrics.v3.StatsMatcher`.
#[derive(Debug)]
pub(crate) enum StatsMatcher {
    /// `reject_all: false`
    All,
    /// `reject_all: true`
    None,
    /// None that matches one of these. `StatsMatcher.exclusion_list`.
    Exclusion(Vec<StringMatcher>),
    /// Only those that match one of these. `StatsMatcher.inclusion_list`.
    Inclusion(Vec<StringMatcher>),
}

impl StatsMatcher {
    /// Whether there is a statistic of that name.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let is_one = |list: &[StringMatcher]| list.iter().any(|matcher| matcher.matches(name));
        match self {
            Self::All => true,
            Self::None => false,
            Self::Exclusion(list) => !is_one(list),
            Self::Inclusion(list) => is_one(list),
        }
    }
}

impl StatsConfig {
    /// What the statistic of that name is called; `None` if it is not wanted.
    pub(crate) fn name(&self, full: &str) -> Option<StatName> {
        if !self.matcher.wants(full) {
            return None;
        }
        let (extracted, tags) = self.tags.extract(full);
        let buckets = self.buckets.iter().find(|(matcher, _)| matcher.matches(full));
        Some(StatName {
            full: full.into(),
            extracted: extracted.into(),
            tags: tags.into(),
            buckets: Arc::clone(buckets.map_or(&self.default_buckets, |(_, buckets)| buckets)),
        })
    }
}
