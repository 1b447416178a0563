//! Lowers matchers of strings, headers and query parameters.

use envoy_types::pb::envoy::{
    config::route::v3::{
        HeaderMatcher as ProtoHeaderMatcher, QueryParameterMatcher as ProtoQueryMatcher,
        header_matcher::HeaderMatchSpecifier, query_parameter_matcher::QueryParameterMatchSpecifier,
    },
    r#type::matcher::v3::{RegexMatcher, StringMatcher as ProtoStringMatcher, string_matcher::MatchPattern},
};
use regex::Regex;

use super::Lowering;
use crate::{
    config::FieldPath,
    snapshot::matcher::{
        HeaderCheck, HeaderKey, HeaderMatcher, QueryCheck, QueryParameterMatcher, StringMatcher,
        StringPattern, full_match_regex,
    },
};

impl Lowering<'_> {
    /// A matcher of one request header.
    pub(super) fn header_matcher(
        &mut self,
        path: &FieldPath<'_>,
        matcher: &ProtoHeaderMatcher,
    ) -> Option<HeaderMatcher> {
        let name = self.header_key(&path.field("name"), &matcher.name)?;
        let plain = |pattern| Some(HeaderCheck::String(StringMatcher { pattern, ignore_case: false }));
        #[expect(deprecated, reason = "Envoy still reads the fields that string_match replaced")]
        let check = match &matcher.header_match_specifier {
            None => Some(HeaderCheck::Present(true)),
            Some(HeaderMatchSpecifier::PresentMatch(present)) => Some(HeaderCheck::Present(*present)),
            Some(HeaderMatchSpecifier::ExactMatch(text)) => plain(StringPattern::Exact(text.clone())),
            Some(HeaderMatchSpecifier::PrefixMatch(text)) => plain(StringPattern::Prefix(text.clone())),
            Some(HeaderMatchSpecifier::SuffixMatch(text)) => plain(StringPattern::Suffix(text.clone())),
            Some(HeaderMatchSpecifier::ContainsMatch(text)) => plain(StringPattern::Contains(text.clone())),
            Some(HeaderMatchSpecifier::SafeRegexMatch(regex)) => {
                let regex = self.full_regex(&path.field("safe_regex_match"), regex)?;
                plain(StringPattern::Regex(regex))
            }
            Some(HeaderMatchSpecifier::RangeMatch(range)) => Some(HeaderCheck::Range(range.start, range.end)),
            Some(HeaderMatchSpecifier::StringMatch(matcher)) => {
                self.string_matcher(&path.field("string_match"), matcher).map(HeaderCheck::String)
            }
        };
        Some(HeaderMatcher {
            name,
            check: check?,
            invert: matcher.invert_match,
            missing_as_empty: matcher.treat_missing_header_as_empty,
        })
    }

    fn header_key(&mut self, path: &FieldPath<'_>, name: &str) -> Option<HeaderKey> {
        Some(match name.to_ascii_lowercase().as_str() {
            ":path" => HeaderKey::Path,
            ":method" => HeaderKey::Method,
            ":authority" | "host" => HeaderKey::Authority,
            ":scheme" => HeaderKey::Scheme,
            ":status" => HeaderKey::Status,
            name => HeaderKey::Name(self.header_name(path, name)?),
        })
    }

    /// A matcher of one query parameter.
    pub(super) fn query_matcher(
        &mut self,
        path: &FieldPath<'_>,
        matcher: &ProtoQueryMatcher,
    ) -> Option<QueryParameterMatcher> {
        let check = match &matcher.query_parameter_match_specifier {
            None => QueryCheck::Present(true),
            Some(QueryParameterMatchSpecifier::PresentMatch(present)) => QueryCheck::Present(*present),
            Some(QueryParameterMatchSpecifier::StringMatch(matcher)) => {
                QueryCheck::String(self.string_matcher(&path.field("string_match"), matcher)?)
            }
        };
        Some(QueryParameterMatcher { name: matcher.name.clone(), check })
    }

    pub(super) fn string_matcher(
        &mut self,
        path: &FieldPath<'_>,
        matcher: &ProtoStringMatcher,
    ) -> Option<StringMatcher> {
        let pattern = match &matcher.match_pattern {
            Some(MatchPattern::Exact(text)) => StringPattern::Exact(text.clone()),
            Some(MatchPattern::Prefix(text)) => StringPattern::Prefix(text.clone()),
            Some(MatchPattern::Suffix(text)) => StringPattern::Suffix(text.clone()),
            Some(MatchPattern::Contains(text)) => StringPattern::Contains(text.clone()),
            Some(MatchPattern::SafeRegex(regex)) => {
                if matcher.ignore_case {
                    self.problems.push_with_hint(
                        &path.field("ignore_case"),
                        "has no effect on safe_regex",
                        "let the expression begin with (?i)",
                    );
                }
                StringPattern::Regex(self.full_regex(&path.field("safe_regex"), regex)?)
            }
            // Refused before: `custom`, or nothing at all.
            _ => return None,
        };
        Some(StringMatcher { pattern, ignore_case: matcher.ignore_case })
    }

    /// All matchers of a list.
    pub(super) fn string_matchers(
        &mut self,
        path: &FieldPath<'_>,
        matchers: &[ProtoStringMatcher],
    ) -> Vec<StringMatcher> {
        let lower = |(index, matcher)| self.string_matcher(&path.index(index), matcher);
        matchers.iter().enumerate().filter_map(lower).collect()
    }

    /// A regex that matches whole strings.
    pub(super) fn full_regex(&mut self, path: &FieldPath<'_>, matcher: &RegexMatcher) -> Option<Regex> {
        self.compiled(path, full_match_regex(&matcher.regex))
    }

    /// A regex that finds.
    pub(super) fn find_regex(&mut self, path: &FieldPath<'_>, matcher: &RegexMatcher) -> Option<Regex> {
        self.compiled(path, Regex::new(&matcher.regex))
    }

    fn compiled(&mut self, path: &FieldPath<'_>, result: Result<Regex, regex::Error>) -> Option<Regex> {
        result
            .map_err(|error| {
                // The library draws a picture over several lines; its last line says what is wrong.
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                self.problems.push(&path.field("regex"), format!("not a regular expression: {reason}"));
            })
            .ok()
    }
}
