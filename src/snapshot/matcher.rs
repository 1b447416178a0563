//! Compiled matchers, pure: strings, headers, query parameters.
//!
//! Everything that can be computed once is computed while configuration is lowered; matching allocates nothing
//! but for the lower-casing of `ignore_case` on text that is not ASCII.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use regex::Regex;

/// A test on a string. `type.matcher.v3.StringMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct StringMatcher {
    /// What is compared.
    pub(crate) pattern: StringPattern,
    /// Letters compare without their case; never for regexes. `StringMatcher.ignore_case`.
    pub(crate) ignore_case: bool,
}

/// What a [`StringMatcher`] compares with.
#[derive(Debug, Clone)]
pub(crate) enum StringPattern {
    /// The whole string.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Any part of it.
    Contains(String),
    /// The whole string, by a regex in linear time.
    Regex(Regex),
}

impl StringMatcher {
    /// Whether `value` passes.
    pub(crate) fn matches(&self, value: &str) -> bool {
        match (&self.pattern, self.ignore_case) {
            (StringPattern::Exact(want), false) => value == want,
            (StringPattern::Exact(want), true) => value.eq_ignore_ascii_case(want),
            (StringPattern::Prefix(want), false) => value.starts_with(want.as_str()),
            (StringPattern::Prefix(want), true) => starts_with_ignore_case(value.as_bytes(), want.as_bytes()),
            (StringPattern::Suffix(want), false) => value.ends_with(want.as_str()),
            (StringPattern::Suffix(want), true) => ends_with_ignore_case(value.as_bytes(), want.as_bytes()),
            (StringPattern::Contains(want), false) => value.contains(want.as_str()),
            (StringPattern::Contains(want), true) => {
                want.is_empty()
                    || value.as_bytes().windows(want.len()).any(|w| w.eq_ignore_ascii_case(want.as_bytes()))
            }
            (StringPattern::Regex(regex), _) => regex.is_match(value),
        }
    }
}

/// Whether `value` begins with `prefix`, letters without their case.
pub(crate) fn starts_with_ignore_case(value: &[u8], prefix: &[u8]) -> bool {
    value.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
}

/// Whether `value` ends with `suffix`, letters without their case.
pub(crate) fn ends_with_ignore_case(value: &[u8], suffix: &[u8]) -> bool {
    value
        .len()
        .checked_sub(suffix.len())
        .and_then(|at| value.get(at..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
}

/// Compile `pattern` so that it matches whole strings only, as Envoy's RE2 full match does.
pub(crate) fn full_match_regex(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!(r"\A(?:{pattern})\z")).map_err(|wrapped| {
        // The error of the pattern alone speaks of the text that the user wrote.
        Regex::new(pattern).err().unwrap_or(wrapped)
    })
}

/// A test on one request header. `config.route.v3.HeaderMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct HeaderMatcher {
    /// Which header; pseudo-headers have their own readers.
    pub(crate) name: HeaderKey,
    /// What its value must be.
    pub(crate) check: HeaderCheck,
    /// The result is turned round. `HeaderMatcher.invert_match`.
    pub(crate) invert: bool,
    /// An absent header is tested as an empty one. `HeaderMatcher.treat_missing_header_as_empty`.
    pub(crate) missing_as_empty: bool,
}

/// A header that routing may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderKey {
    /// `:path`
    Path,
    /// `:method`
    Method,
    /// `:authority`, or `host`
    Authority,
    /// `:scheme`
    Scheme,
    /// `:status`, which no request has.
    Status,
    /// Any other.
    Name(HeaderName),
}

/// What a [`HeaderMatcher`] asks of a value.
#[derive(Debug, Clone)]
pub(crate) enum HeaderCheck {
    /// The header is there, or with `false`, is not.
    Present(bool),
    /// Its text passes.
    String(StringMatcher),
    /// It is a decimal integer in `start..end`.
    Range(i64, i64),
}

/// What matchers read of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestView<'a> {
    /// Path with query, as it will be routed.
    pub(crate) path_and_query: &'a str,
    /// `:method`
    pub(crate) method: &'a str,
    /// `:authority` or `host`, as received.
    pub(crate) authority: &'a str,
    /// `:scheme`
    pub(crate) scheme: &'a str,
    /// The other headers.
    pub(crate) headers: &'a HeaderMap,
}

impl<'a> RequestView<'a> {
    /// The path without query and fragment.
    pub(crate) fn path(&self) -> &'a str {
        self.path_and_query.split(['?', '#']).next().unwrap_or_default()
    }

    /// What stands behind the first `?`, without the fragment.
    pub(crate) fn query(&self) -> &'a str {
        let whole = self.path_and_query.split('#').next().unwrap_or_default();
        whole.split_once('?').map_or("", |(_, query)| query)
    }
}

impl HeaderMatcher {
    /// Whether the request passes.
    pub(crate) fn matches(&self, request: &RequestView<'_>) -> bool {
        let result = match &self.name {
            HeaderKey::Path => self.check_value(Some(request.path_and_query)),
            HeaderKey::Method => self.check_value(Some(request.method)),
            HeaderKey::Authority => self.check_value(Some(request.authority)),
            HeaderKey::Scheme => self.check_value(Some(request.scheme)),
            HeaderKey::Status => self.check_value(None),
            HeaderKey::Name(name) => self.check_header(name, request.headers),
        };
        // Envoy never lets a missing header pass by inversion of a value test.
        result.is_some_and(|result| result != self.invert)
    }

    /// Whether a response passes.
    pub(crate) fn matches_response(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let result = match &self.name {
            HeaderKey::Status => self.check_value(Some(status.as_str())),
            HeaderKey::Name(name) => self.check_header(name, headers),
            HeaderKey::Path | HeaderKey::Method | HeaderKey::Authority | HeaderKey::Scheme => {
                self.check_value(None)
            }
        };
        result.is_some_and(|result| result != self.invert)
    }

    /// The outcome of all lines of a header, before inversion.
    fn check_header(&self, name: &HeaderName, headers: &HeaderMap) -> Option<bool> {
        // Of several lines of one header each is tested, and one that passes is enough.
        let checked = |value| self.check_value(Some(header_text(value)));
        let mut results = headers.get_all(name).iter().map(checked).peekable();
        match results.peek() {
            None => self.check_value(None),
            Some(_) => Some(results.any(|result| result == Some(true))),
        }
    }

    /// The outcome before inversion; `None` when a value is asked for and the header is absent.
    fn check_value(&self, value: Option<&str>) -> Option<bool> {
        let value = match (value, self.missing_as_empty) {
            (None, true) => Some(""),
            (value, _) => value,
        };
        match &self.check {
            HeaderCheck::Present(want) => Some(value.is_some() == *want),
            HeaderCheck::String(matcher) => value.map(|value| matcher.matches(value)),
            HeaderCheck::Range(start, end) => {
                value.map(|value| value.parse::<i64>().is_ok_and(|number| (*start..*end).contains(&number)))
            }
        }
    }
}

/// The text of a header value; what is not visible ASCII or UTF-8 reads as empty and so matches nothing.
pub(crate) fn header_text(value: &HeaderValue) -> &str {
    std::str::from_utf8(value.as_bytes()).unwrap_or_default()
}

/// A test on one query parameter. `config.route.v3.QueryParameterMatcher`.
#[derive(Debug, Clone)]
pub(crate) struct QueryParameterMatcher {
    /// Its name, compared to the letter.
    pub(crate) name: String,
    /// What its value must be.
    pub(crate) check: QueryCheck,
}

/// What a [`QueryParameterMatcher`] asks of a value.
#[derive(Debug, Clone)]
pub(crate) enum QueryCheck {
    /// It is there, or with `false`, is not.
    Present(bool),
    /// Its first value passes.
    String(StringMatcher),
}

impl QueryParameterMatcher {
    /// Whether the raw query string (without `?`) passes. Values are compared as they stand, not decoded.
    pub(crate) fn matches(&self, query: &str) -> bool {
        let value = query_parameter(query, &self.name);
        match &self.check {
            QueryCheck::Present(want) => value.is_some() == *want,
            QueryCheck::String(matcher) => value.is_some_and(|value| matcher.matches(value)),
        }
    }
}

/// The first value of parameter `name` in a raw query string; empty if it stands without `=`.
pub(crate) fn query_parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .find(|(key, _)| *key == name && !key.is_empty())
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn string(pattern: StringPattern, ignore_case: bool) -> StringMatcher {
        StringMatcher { pattern, ignore_case }
    }

    proptest! {
        #[test]
        fn ignoring_case_equals_lower_casing_both_sides(value in "[a-zA-Z/._-]{0,12}", want in "[a-zA-Z/]{0,4}") {
            let (low, low_want) = (value.to_lowercase(), want.to_lowercase());
            for (pattern, expected) in [
                (StringPattern::Exact(want.clone()), low == low_want),
                (StringPattern::Prefix(want.clone()), low.starts_with(&low_want)),
                (StringPattern::Suffix(want.clone()), low.ends_with(&low_want)),
                (StringPattern::Contains(want.clone()), low.contains(&low_want)),
            ] {
                prop_assert_eq!(string(pattern, true).matches(&value), expected);
            }
        }

        #[test]
        fn a_query_parameter_is_found_where_it_was_put(
            before in "[a-m=]{0,6}", value in "[a-z0-9]{0,6}", after in "[a-m=&]{0,6}",
        ) {
            let query = format!("{before}&zz={value}&{after}");
            prop_assert_eq!(query_parameter(&query, "zz"), Some(value.as_str()));
            prop_assert_eq!(query_parameter(&query, "zy"), None);
        }
    }

    #[test]
    fn a_regex_matches_the_whole_string_even_with_alternatives() {
        let regex = full_match_regex("/a|/b").expect("compiles");
        assert!(regex.is_match("/a") && regex.is_match("/b"));
        assert!(!regex.is_match("/ax") && !regex.is_match("x/b"));
    }

    #[test]
    fn inversion_does_not_let_a_missing_header_pass_a_value_test() {
        let headers = HeaderMap::new();
        let request = RequestView {
            path_and_query: "/",
            method: "GET",
            authority: "h",
            scheme: "http",
            headers: &headers,
        };
        let mut matcher = HeaderMatcher {
            name: HeaderKey::Name(HeaderName::from_static("x-a")),
            check: HeaderCheck::String(string(StringPattern::Exact("1".into()), false)),
            invert: true,
            missing_as_empty: false,
        };
        assert!(!matcher.matches(&request));
        matcher.missing_as_empty = true;
        assert!(matcher.matches(&request));
        matcher.check = HeaderCheck::Present(true);
        matcher.missing_as_empty = false;
        assert!(matcher.matches(&request), "present_match inverted passes an absent header");
    }
}
