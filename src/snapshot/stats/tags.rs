//! Takes tags from the names of statistics. Each looks at the whole name; what they take is cut out of it at the end.

use std::{ops::Range, sync::Arc};

use regex::Regex;

pub(crate) use super::builtin::UNKNOWN_DEFAULTS;
use super::builtin::{BUILTINS, Builtin, WORKER};
use crate::stats::Tag;

/// What makes one tag. `config.metrics.v3.TagSpecifier`.
#[derive(Debug)]
pub(crate) struct TagExtractor {
    /// `TagSpecifier.tag_name`
    tag: Arc<str>,
    /// The first segment of names that may have it; any, without one.
    token: Option<Box<str>>,
    how: How,
}

#[derive(Debug)]
enum How {
    /// One of Envoy's.
    Builtin(Builtin),
    /// The first group is cut out, the second is the value, or the first if there is no second. `TagSpecifier.regex`.
    Regex(Regex),
    /// Every name has it. `TagSpecifier.fixed_value`.
    Fixed(Box<str>),
}

impl From<Builtin> for TagExtractor {
    fn from(builtin: Builtin) -> Self {
        Self { tag: builtin.tag.into(), token: builtin.token.map(Into::into), how: How::Builtin(builtin) }
    }
}

/// Envoy's, all or those of one tag.
pub(crate) fn default_extractors(tag: Option<&str>) -> impl Iterator<Item = TagExtractor> {
    // The order matters to that of tags only.
    let (codes, others) = BUILTINS.split_at(2);
    let all = codes.iter().chain(std::iter::once(&WORKER)).chain(others);
    all.filter(move |builtin| tag.is_none_or(|tag| tag == builtin.tag)).map(|builtin| (*builtin).into())
}

impl TagExtractor {
    /// One with the same value for all names.
    pub(crate) fn fixed(tag: &str, value: &str) -> Self {
        Self { tag: tag.into(), token: None, how: How::Fixed(value.into()) }
    }

    /// One that finds its value. `text` is what `regex` was compiled from.
    pub(crate) fn regex(tag: &str, text: &str, regex: Regex) -> Self {
        Self { tag: tag.into(), token: first_segment(text).map(Into::into), how: How::Regex(regex) }
    }

    /// `TagSpecifier.tag_name`
    pub(crate) fn tag(&self) -> &str {
        &self.tag
    }

    /// What is cut out of `name`, and the tag's value.
    fn find<'a>(&'a self, name: &'a str) -> Option<(Range<usize>, &'a str)> {
        match &self.how {
            How::Builtin(builtin) => {
                let (cut, value) = (builtin.find)(name)?;
                Some((cut, name.get(value)?))
            }
            How::Fixed(value) => Some((0..0, value)),
            How::Regex(regex) => {
                if regex.captures_len() < 2 {
                    return None;
                }
                let found = regex.captures(name)?;
                let cut = found.get(1);
                let value = if regex.captures_len() > 2 { found.get(2) } else { cut };
                Some((cut.map_or(0..0, |cut| cut.range()), value.map_or("", |value| value.as_str())))
            }
        }
    }
}

/// What all names begin with that an expression finds, if it says so in the way Envoy looks for: `^segment\.`
fn first_segment(regex: &str) -> Option<&str> {
    let rest = regex.strip_prefix('^')?;
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')?;
    let (segment, rest) = rest.split_at_checked(end)?;
    (!segment.is_empty() && rest.starts_with(r"\.")).then_some(segment)
}

/// All that make tags.
#[derive(Debug)]
pub(crate) struct TagExtractors {
    /// Those for names of any kind.
    any: Vec<TagExtractor>,
    /// Those for names with a certain first segment, which come after the others.
    by_token: Vec<TagExtractor>,
}

impl Default for TagExtractors {
    fn default() -> Self {
        default_extractors(None).collect()
    }
}

impl FromIterator<TagExtractor> for TagExtractors {
    fn from_iter<I: IntoIterator<Item = TagExtractor>>(all: I) -> Self {
        let (any, by_token) = all.into_iter().partition(|extractor| extractor.token.is_none());
        Self { any, by_token }
    }
}

impl TagExtractors {
    /// What is left of a name, and its tags. Of several that make one tag the first that finds something counts.
    pub(crate) fn extract(&self, name: &str) -> (String, Vec<Tag>) {
        let mut tags: Vec<Tag> = Vec::new();
        let mut cuts: Vec<Range<usize>> = Vec::new();
        let token = name.split_once('.').map(|(token, _)| token);
        let of_token = self.by_token.iter().filter(|extractor| extractor.token.as_deref() == token);
        for extractor in self.any.iter().chain(of_token) {
            if tags.iter().any(|(known, _)| *known == extractor.tag) {
                continue;
            }
            if let Some((cut, value)) = extractor.find(name) {
                tags.push((Arc::clone(&extractor.tag), value.into()));
                cuts.push(cut);
            }
        }
        cuts.sort_by_key(|cut| cut.start);
        let mut left = String::with_capacity(name.len());
        let mut at = 0;
        for cut in cuts {
            left.push_str(name.get(at..cut.start).unwrap_or_default());
            at = at.max(cut.end);
        }
        left.push_str(name.get(at..).unwrap_or_default());
        (left, tags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(extractors: &TagExtractors, name: &str) -> (String, String) {
        let (left, tags) = extractors.extract(name);
        let tags = tags.iter().map(|(tag, value)| format!("{tag}={value}")).collect::<Vec<_>>();
        (left, tags.join(" "))
    }

    /// As Envoy 1.40 tells of these names.
    #[test]
    fn what_envoy_takes_from_names_becomes_tags() {
        let all = TagExtractors::default();
        for (name, left, expected) in [
            (
                "cluster.app.upstream_rq_200",
                "cluster.upstream_rq",
                "envoy.response_code=200 envoy.cluster_name=app",
            ),
            (
                "cluster.app.external.upstream_rq_5xx",
                "cluster.external.upstream_rq_xx",
                "envoy.response_code_class=5 envoy.cluster_name=app",
            ),
            ("cluster.a.b_c.upstream_rq_total", "cluster.b_c.upstream_rq_total", "envoy.cluster_name=a"),
            ("cluster.app.upstream_rq_time", "cluster.upstream_rq_time", "envoy.cluster_name=app"),
            (
                "http.in.x.downstream_cx_total",
                "http.x.downstream_cx_total",
                "envoy.http_conn_manager_prefix=in",
            ),
            (
                "listener.127.0.0.1_18000.http.in.downstream_rq_1xx",
                "listener.http.downstream_rq_xx",
                "envoy.response_code_class=1 envoy.http_conn_manager_prefix=in \
                 envoy.listener_address=127.0.0.1_18000",
            ),
            (
                "listener.127.0.0.1_18000.worker_0.downstream_cx_total",
                "listener.worker_downstream_cx_total",
                "envoy.worker_id=0 envoy.listener_address=127.0.0.1_18000",
            ),
            (
                "listener.my.l3.worker_0.downstream_cx_total",
                "listener.l3.worker_0.downstream_cx_total",
                "envoy.listener_address=my",
            ),
            (
                "vhost.v.vcluster.vc.upstream_rq_200",
                "vhost.vcluster.upstream_rq",
                "envoy.response_code=200 envoy.virtual_cluster=vc envoy.virtual_host=v",
            ),
            (
                "vhost.v.w.vcluster.vc.upstream_rq_200",
                "vhost.w.vcluster.vc.upstream_rq",
                "envoy.response_code=200 envoy.virtual_host=v",
            ),
            ("server.live", "server.live", ""),
            ("cluster_manager.active_clusters", "cluster_manager.active_clusters", ""),
        ] {
            assert_eq!(tags(&all, name), (left.to_owned(), expected.to_owned()), "{name}");
        }
    }

    #[test]
    fn the_first_group_is_cut_out_and_the_second_is_the_value() {
        let of = |text: &str| TagExtractor::regex("t", text, Regex::new(text).unwrap());
        for (text, left, expected) in [
            (r"^http\.((in)\.)", "http.rq_total", "t=in"),
            (r"^http\.(in\.)", "http.rq_total", "t=in."),
            (r"^http\.(in\.(zzz)?)", "http.rq_total", "t="),
            (r"^http\.((zzz)?)", "http.in.rq_total", "t="),
            (r"^http\.in", "http.in.rq_total", ""),
            (r"_((to)t)", "http.in.rq_al", "t=to"),
            (r"^other\.(in)", "http.in.rq_total", ""),
        ] {
            let all = TagExtractors::from_iter([of(text)]);
            assert_eq!(tags(&all, "http.in.rq_total"), (left.to_owned(), expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn of_two_for_one_tag_the_first_counts_and_what_they_take_may_overlap() {
        let of = |tag, text: &str| TagExtractor::regex(tag, text, Regex::new(text).unwrap());
        let all = TagExtractors::from_iter([
            TagExtractor::fixed("a", "1"),
            TagExtractor::fixed("a", "2"),
            of("a", "(in)"),
            of("b", "(p.i)"),
            of("c", "(.in)"),
        ]);
        assert_eq!(tags(&all, "http.in.rq_total"), ("htt.rq_total".to_owned(), "a=1 b=p.i c=.in".to_owned()));
    }
}
