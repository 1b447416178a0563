//! Conditions of routes in words: what they want, and what they found instead.

use std::fmt::Write;

use http::header::HeaderValue;

use crate::{
    http_headers::credential::{self, REDACTED},
    router::route_matcher::Obstacle,
    snapshot::{
        matcher::{
            HeaderCheck, HeaderKey, HeaderMatcher, QueryCheck, QueryParameterMatcher, RequestView,
            StringMatcher, StringPattern, header_text, query_parameter,
        },
        route::{Fraction, PathMatch, RouteMatch},
    },
};

/// What a route takes.
pub(super) fn matches(matcher: &RouteMatch) -> String {
    let mut text = match &matcher.path {
        PathMatch::Prefix(prefix) => format!("prefix {prefix:?}"),
        PathMatch::Exact(path) => format!("path {path:?}"),
        PathMatch::Regex(regex) => format!("safe_regex {:?}", pattern(regex.as_str())),
        PathMatch::SeparatedPrefix(prefix) => format!("path_separated_prefix {prefix:?}"),
    };
    if !matcher.case_sensitive {
        text.push_str(" in any case");
    }
    if matcher.grpc {
        text.push_str(", gRPC");
    }
    if let Some(fraction) = matcher.fraction {
        let _ = write!(text, ", {}", share(fraction));
    }
    for header in &matcher.headers {
        let _ = write!(text, ", header {} {}", key(&header.name), wants(header));
    }
    for parameter in &matcher.query_parameters {
        let _ = write!(text, ", query parameter {} {}", parameter.name, wants_of_query(parameter));
    }
    text
}

/// Why a condition is not met.
pub(super) fn obstacle(obstacle: &Obstacle<'_>, matcher: &RouteMatch, request: &RequestView<'_>) -> String {
    match obstacle {
        Obstacle::Path => path(matcher, request.path()),
        Obstacle::Grpc => "the request is not gRPC, must be (content-type: application/grpc)".to_owned(),
        Obstacle::Fraction(fraction) => {
            format!("runtime_fraction takes {} requests, and not this one", share(*fraction))
        }
        Obstacle::Header(matcher) => {
            let is = match found(&matcher.name, request) {
                None => "is missing".to_owned(),
                Some(_) if is_secret(matcher) => format!("is {REDACTED}"),
                Some(value) => format!("is {value:?}"),
            };
            format!("header {} {is}, {}", key(&matcher.name), wants(matcher))
        }
        Obstacle::QueryParameter(matcher) => {
            let is = match query_parameter(request.query(), &matcher.name) {
                None => "is missing".to_owned(),
                Some(_) if credential::is_named_so(&matcher.name) => format!("is {REDACTED}"),
                Some(value) => format!("is {value:?}"),
            };
            format!("query parameter {} {is}, {}", matcher.name, wants_of_query(matcher))
        }
    }
}

fn path(matcher: &RouteMatch, path: &str) -> String {
    let (why, wanted) = match &matcher.path {
        PathMatch::Prefix(prefix) => {
            (format!("path {path:?} does not begin with prefix {prefix:?}"), Some(prefix))
        }
        PathMatch::Exact(exact) => (format!("path {path:?} is not {exact:?}"), Some(exact)),
        PathMatch::Regex(regex) => {
            let pattern = pattern(regex.as_str());
            return format!("path {path:?} does not match all of safe_regex {pattern:?}");
        }
        PathMatch::SeparatedPrefix(prefix) => {
            (format!("path {path:?} is neither {prefix:?} nor below it"), Some(prefix))
        }
    };
    let but_for_case = matcher.case_sensitive
        && wanted.is_some_and(|wanted| {
            let head = path.get(..wanted.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(wanted) && head != &**wanted)
        });
    if but_for_case { format!("{why} (letters compare with their case)") } else { why }
}

/// `30 of 100`
pub(super) fn share(fraction: Fraction) -> String {
    format!("{} of {}", fraction.numerator, fraction.denominator)
}

/// A regex as it was written: matching whole texts is the field's meaning, not the user's text.
pub(super) fn pattern(regex: &str) -> &str {
    regex.strip_prefix(r"\A(?:").and_then(|rest| rest.strip_suffix(r")\z")).unwrap_or(regex)
}

fn key(key: &HeaderKey) -> &str {
    match key {
        HeaderKey::Path => ":path",
        HeaderKey::Method => ":method",
        HeaderKey::Authority => ":authority",
        HeaderKey::Scheme => ":scheme",
        HeaderKey::Status => ":status",
        HeaderKey::Name(name) => name.as_str(),
    }
}

fn found(key: &HeaderKey, request: &RequestView<'_>) -> Option<String> {
    match key {
        HeaderKey::Path => Some(request.path_and_query.to_owned()),
        HeaderKey::Method => Some(request.method.to_owned()),
        HeaderKey::Authority => Some(request.authority.to_owned()),
        HeaderKey::Scheme => Some(request.scheme.to_owned()),
        HeaderKey::Status => None,
        HeaderKey::Name(name) => lines(request.headers.get_all(name).iter()),
    }
}

/// All lines of a header; `None` if there is none.
pub(super) fn lines<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Option<String> {
    let values = values.map(header_text).collect::<Vec<_>>();
    (!values.is_empty()).then(|| values.join(", "))
}

/// Whether the header's value is nobody's business.
fn is_secret(matcher: &HeaderMatcher) -> bool {
    credential::is_named_so(key(&matcher.name))
}

/// The value of a header, or that it is nobody's business.
pub(super) fn shown(name: &str, value: &str) -> String {
    match name {
        _ if credential::is_named_so(name) => REDACTED.to_owned(),
        "location" => credential::without_credentials(value).into_owned(),
        _ => value.to_owned(),
    }
}

/// What is asked of a header: `must be exactly "1"`.
fn wants(matcher: &HeaderMatcher) -> String {
    let must = if matcher.invert { "must not" } else { "must" };
    let mut text = match &matcher.check {
        HeaderCheck::Present(present) if *present != matcher.invert => "must be there".to_owned(),
        HeaderCheck::Present(_) => "must be missing".to_owned(),
        HeaderCheck::String(_) if is_secret(matcher) => format!("{must} be or have {REDACTED}"),
        HeaderCheck::String(matcher) => format!("{must} {}", string(matcher)),
        HeaderCheck::Range(start, end) => format!("{must} be a number from {start} to below {end}"),
    };
    if matcher.missing_as_empty {
        text.push_str(" (missing counts as empty)");
    }
    text
}

fn wants_of_query(matcher: &QueryParameterMatcher) -> String {
    if credential::is_named_so(&matcher.name) {
        return format!("must be {REDACTED}");
    }
    match &matcher.check {
        QueryCheck::Present(true) => "must be there".to_owned(),
        QueryCheck::Present(false) => "must be missing".to_owned(),
        QueryCheck::String(matcher) => format!("must {}", string(matcher)),
    }
}

fn string(matcher: &StringMatcher) -> String {
    let text = match &matcher.pattern {
        StringPattern::Exact(text) => format!("be exactly {text:?}"),
        StringPattern::Prefix(text) => format!("begin with {text:?}"),
        StringPattern::Suffix(text) => format!("end with {text:?}"),
        StringPattern::Contains(text) => format!("contain {text:?}"),
        StringPattern::Regex(regex) => format!("match all of regex {:?}", pattern(regex.as_str())),
    };
    if matcher.ignore_case { format!("{text} in any case") } else { text }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::{router::route_matcher::MatchContext, snapshot::matcher::full_match_regex};

    fn text(pattern: StringPattern) -> StringMatcher {
        StringMatcher { pattern, ignore_case: false }
    }

    fn header(name: &str, check: HeaderCheck, invert: bool) -> HeaderMatcher {
        let name = HeaderKey::Name(name.parse().expect("a name"));
        HeaderMatcher { name, check, invert, missing_as_empty: false }
    }

    #[test]
    fn each_obstacle_names_the_field_what_was_found_and_what_was_wanted() {
        let exact = |value: &str| text(StringPattern::Exact(value.to_owned()));
        let matcher = RouteMatch {
            path: PathMatch::Prefix("/API".into()),
            case_sensitive: true,
            headers: vec![
                header("x-canary", HeaderCheck::String(exact("1")), false),
                header("x-a", HeaderCheck::String(exact("2")), true),
                header("x-b", HeaderCheck::Present(true), true),
                header("x-c", HeaderCheck::Range(1, 5), false),
            ],
            query_parameters: vec![QueryParameterMatcher {
                name: "q".to_owned(),
                check: QueryCheck::String(text(StringPattern::Regex(
                    full_match_regex("[0-9]+").expect("compiles"),
                ))),
            }],
            grpc: true,
            fraction: Some(Fraction { numerator: 30, denominator: 100 }),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in [("x-a", "2"), ("x-b", "y"), ("x-c", "9")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let request = RequestView {
            path_and_query: "/api/x?q=a",
            method: "GET",
            authority: "h",
            scheme: "http",
            headers: &headers,
        };
        let found = matcher.obstacles(&request, MatchContext { random: 30, grpc: false });
        let told = found.iter().map(|found| obstacle(found, &matcher, &request)).collect::<Vec<_>>();
        assert_eq!(
            told,
            [
                r#"path "/api/x" does not begin with prefix "/API" (letters compare with their case)"#,
                "the request is not gRPC, must be (content-type: application/grpc)",
                "runtime_fraction takes 30 of 100 requests, and not this one",
                r#"header x-canary is missing, must be exactly "1""#,
                r#"header x-a is "2", must not be exactly "2""#,
                r#"header x-b is "y", must be missing"#,
                r#"header x-c is "9", must be a number from 1 to below 5"#,
                r#"query parameter q is "a", must match all of regex "[0-9]+""#,
            ]
        );
    }
}
