//! Lowers how statistics are named, and which there are: `Bootstrap.stats_config`.

use std::sync::Arc;

use envoy_types::pb::envoy::config::metrics::v3::{
    StatsConfig as ProtoStatsConfig, StatsMatcher as ProtoStatsMatcher, TagSpecifier,
    stats_matcher::StatsMatcher as MatcherKind, tag_specifier::TagValue,
};
use regex::Regex;

use super::{Lowering, nearest};
use crate::{
    config::FieldPath,
    snapshot::stats::{
        StatsConfig, StatsMatcher, TagExtractor, TagExtractors, UNKNOWN_DEFAULTS, default_extractors,
    },
};

impl Lowering<'_> {
    /// `Bootstrap.stats_config`
    pub(super) fn stats_config(
        &mut self,
        path: &FieldPath<'_>,
        config: Option<&ProtoStatsConfig>,
    ) -> Arc<StatsConfig> {
        let Some(config) = config else { return Arc::default() };
        let mut lowered = StatsConfig {
            tags: self.tag_extractors(path, config),
            matcher: self.stats_matcher(&path.field("stats_matcher"), config.stats_matcher.as_ref()),
            is_costly: true,
            ..StatsConfig::default()
        };
        let settings = path.field("histogram_bucket_settings");
        for (index, setting) in config.histogram_bucket_settings.iter().enumerate() {
            let path = settings.index(index);
            let Some(matcher) = &setting.r#match else { continue };
            let Some(matcher) = self.string_matcher(&path.field("match"), matcher) else { continue };
            let mut buckets = setting.buckets.clone();
            if buckets.iter().any(|bound| !bound.is_finite()) {
                self.problems.push(&path.field("buckets"), "the bound of a bucket is a finite number");
                continue;
            }
            buckets.sort_by(f64::total_cmp);
            // As in Envoy a rule without buckets is none.
            if !buckets.is_empty() {
                lowered.buckets.push((matcher, buckets.into()));
            }
        }
        Arc::new(lowered)
    }

    fn tag_extractors(&mut self, path: &FieldPath<'_>, config: &ProtoStatsConfig) -> TagExtractors {
        let has_defaults = config.use_all_default_tags.as_ref().is_none_or(|value| value.value);
        let overrides = config.allow_default_tag_overrides.as_ref().is_some_and(|value| value.value);
        let mut all: Vec<TagExtractor> = Vec::new();
        if has_defaults {
            let is_said = |tag: &str| {
                let said = config.stats_tags.iter().find(|said| said.tag_name == tag);
                said.is_some_and(|said| !is_name_only(said))
            };
            all.extend(default_extractors(None).filter(|known| !(overrides && is_said(known.tag()))));
        }
        let tags = path.field("stats_tags");
        for (index, said) in config.stats_tags.iter().enumerate() {
            let path = tags.index(index);
            match &said.tag_value {
                Some(TagValue::FixedValue(value)) => all.push(TagExtractor::fixed(&said.tag_name, value)),
                Some(TagValue::Regex(text)) if !text.is_empty() => {
                    if said.tag_name.is_empty() {
                        self.problems.push(&path.field("tag_name"), "a tag needs a name");
                    }
                    if let Some(regex) = self.tag_regex(&path.field("regex"), text) {
                        all.push(TagExtractor::regex(&said.tag_name, text, regex));
                    }
                }
                _ => {
                    let before = all.len();
                    all.extend(default_extractors(Some(&said.tag_name)));
                    if all.len() == before && !UNKNOWN_DEFAULTS.contains(&&*said.tag_name) {
                        self.unknown_tag(&path, &said.tag_name);
                    }
                }
            }
        }
        all.into_iter().collect()
    }

    fn unknown_tag(&mut self, path: &FieldPath<'_>, name: &str) {
        let known: Vec<_> = default_extractors(None).map(|known| known.tag().to_owned()).collect();
        let hint = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "give a regex, or a fixed_value".to_owned(),
        };
        self.problems.push_with_hint(
            path,
            format!("neither regex nor fixed_value, and no tag of Envoy's is called \"{name}\""),
            hint,
        );
    }

    fn tag_regex(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Regex> {
        match Regex::new(text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                // The library draws a picture over several lines; its last line says what is wrong.
                let error = error.to_string();
                let reason = error.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let hint = if text.contains("(?=") || text.contains("(?!") {
                    "write it without look-ahead: a name's segments end with \\."
                } else {
                    "the first group is what the name loses, the second one the tag's value"
                };
                self.problems.push_with_hint(path, format!("not a regular expression: {reason}"), hint);
                None
            }
        }
    }

    fn stats_matcher(&mut self, path: &FieldPath<'_>, matcher: Option<&ProtoStatsMatcher>) -> StatsMatcher {
        match matcher.and_then(|matcher| matcher.stats_matcher.as_ref()) {
            None | Some(MatcherKind::RejectAll(false)) => StatsMatcher::All,
            Some(MatcherKind::RejectAll(true)) => StatsMatcher::None,
            Some(MatcherKind::ExclusionList(list)) => {
                let path = path.field("exclusion_list.patterns");
                StatsMatcher::Exclusion(self.string_matchers(&path, &list.patterns))
            }
            Some(MatcherKind::InclusionList(list)) => {
                let path = path.field("inclusion_list.patterns");
                StatsMatcher::Inclusion(self.string_matchers(&path, &list.patterns))
            }
        }
    }
}

/// Whether it only names one of Envoy's tags.
fn is_name_only(said: &TagSpecifier) -> bool {
    match &said.tag_value {
        None => true,
        Some(TagValue::Regex(text)) => text.is_empty(),
        Some(TagValue::FixedValue(_)) => false,
    }
}
