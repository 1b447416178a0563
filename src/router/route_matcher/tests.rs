//! Authorities, virtual hosts and routes.

use http::HeaderMap;
use proptest::prelude::*;

use super::*;
use crate::snapshot::{
    matcher::{HeaderCheck, HeaderKey, QueryCheck, StringMatcher, StringPattern, full_match_regex},
    route::{Action, DirectResponse, HeaderMutations},
    route_index::RouteIndex,
};

fn domains(list: &[&str]) -> Domains {
    let mut domains = Domains::default();
    for (index, domain) in list.iter().enumerate() {
        match (domain.strip_prefix('*'), domain.strip_suffix('*')) {
            (Some(""), _) => domains.any = Some(index),
            (Some(suffix), _) => drop(domains.suffixes.entry(suffix).expect("a place").or_insert(index)),
            (_, Some(prefix)) => drop(domains.prefixes.entry(prefix).expect("a place").or_insert(index)),
            _ => drop(domains.exact.insert((*domain).into(), index)),
        }
    }
    domains
}

fn matcher(path: PathMatch, case_sensitive: bool) -> RouteMatch {
    RouteMatch {
        path,
        case_sensitive,
        headers: Vec::new(),
        query_parameters: Vec::new(),
        grpc: false,
        fraction: None,
    }
}

/// Conditions of every kind, few enough of each for some of them to hold.
fn any_match() -> impl Strategy<Value = RouteMatch> {
    let path = ("/[ab/]{0,3}", 0_u8..4).prop_map(|(text, kind)| match kind {
        0 => PathMatch::Exact(text.into()),
        1 => PathMatch::Prefix(text.into()),
        2 => PathMatch::SeparatedPrefix(text.into()),
        _ => PathMatch::Regex(full_match_regex(&format!("{text}.*")).expect("compiles")),
    });
    let text =
        |value: &str| StringMatcher { pattern: StringPattern::Exact(value.into()), ignore_case: false };
    let headers = proptest::option::of((0_u8..4, any::<bool>(), any::<bool>()));
    let headers = headers.prop_map(move |matcher| {
        let matcher = matcher.map(|(kind, invert, missing_as_empty)| HeaderMatcher {
            name: if kind == 3 { HeaderKey::Method } else { HeaderKey::Name("x-h".parse().expect("a name")) },
            check: match kind {
                0 => HeaderCheck::Present(true),
                1 => HeaderCheck::Range(1, 2),
                2 => HeaderCheck::String(text("1")),
                _ => HeaderCheck::String(text("GET")),
            },
            invert,
            missing_as_empty,
        });
        matcher.into_iter().collect()
    });
    let query_parameters = proptest::option::of(any::<bool>()).prop_map(move |matcher| {
        let matcher = matcher.map(|present| QueryParameterMatcher {
            name: "x".to_owned(),
            check: if present { QueryCheck::Present(true) } else { QueryCheck::String(text("1")) },
        });
        matcher.into_iter().collect()
    });
    let fraction = proptest::option::of(0_u32..=100)
        .prop_map(|numerator| numerator.map(|numerator| Fraction { numerator, denominator: 100 }));
    (path, any::<bool>(), headers, query_parameters, proptest::bool::weighted(0.2), fraction).prop_map(
        |(path, case_sensitive, headers, query_parameters, grpc, fraction)| RouteMatch {
            path,
            case_sensitive,
            headers,
            query_parameters,
            grpc,
            fraction,
        },
    )
}

fn found(config: &RouteConfiguration, path: &str) -> Option<String> {
    let headers = HeaderMap::new();
    let request = RequestView {
        path_and_query: path,
        method: "GET",
        authority: "h",
        scheme: "http",
        headers: &headers,
    };
    let (_, route) = find(config, &request, MatchContext { random: 0, grpc: false })?;
    route.map(|route| route.name.to_string())
}

fn config(matchers: Vec<(&str, RouteMatch)>) -> RouteConfiguration {
    let route = |(name, matcher): (&str, RouteMatch)| Route {
        id: 0,
        metadata: None,
        name: name.into(),
        matcher,
        action: Action::Direct(DirectResponse { status: http::StatusCode::OK, body: bytes::Bytes::new() }),
        headers: HeaderMutations::default(),
        decorator: None,
        tracing: None,
        stats: None,
    };
    let routes: Vec<Route> = matchers.into_iter().map(route).collect();
    RouteConfiguration {
        virtual_hosts: vec![VirtualHost {
            metadata: None,
            name: "".into(),
            index: RouteIndex::of(&routes),
            routes,
            require_tls: false,
            headers: HeaderMutations::default(),
            include_request_attempt_count: false,
            include_attempt_count_in_response: false,
            virtual_clusters: None,
        }],
        domains: domains(&["*"]),
        ..RouteConfiguration::default()
    }
}

#[test]
fn domains_are_looked_up_exact_then_longest_suffix_then_longest_prefix_then_any() {
    let domains = domains(&["a.b.c", "*.b.c", "*.c", "a.*", "a.b.*", "*"]);
    for (host, index) in [
        ("a.b.c", 0),
        ("x.b.c", 1),
        ("x.c", 2),
        ("a.x", 3),
        ("a.b.x", 4),
        ("other", 5),
        (".c", 5),
        ("A.B.C", 0),
    ] {
        assert_eq!(domains.find(host, false).map(|found| found.0), Some(index), "{host}");
    }
}

#[test]
fn a_port_is_compared_unless_it_is_ignored() {
    let domains = domains(&["h", "h:81"]);
    assert_eq!(domains.find("h:80", false), None);
    assert_eq!(domains.find("h:80", true), Some((0, DomainMatch::Exact)));
    assert_eq!(domains.find("h:81", false), Some((1, DomainMatch::Exact)));
    assert_eq!(
        [without_port("[::1]:80"), without_port("[::1]"), without_port("::1")],
        ["[::1]", "[::1]", "::1"]
    );
}

#[test]
fn the_first_route_that_matches_is_taken_whatever_comes_later() {
    let config = config(vec![
        ("regex", matcher(PathMatch::Regex(full_match_regex("/r[0-9]+").expect("compiles")), true)),
        ("exact", matcher(PathMatch::Exact("/exact".into()), false)),
        ("separated", matcher(PathMatch::SeparatedPrefix("/api".into()), true)),
        ("prefix", matcher(PathMatch::Prefix("/".into()), true)),
    ]);
    for (path, name) in [
        ("/r12", "regex"),
        ("/r12x", "prefix"),
        ("/EXACT?q", "exact"),
        ("/api", "separated"),
        ("/api/x", "separated"),
        ("/apix", "prefix"),
        ("/api?x", "separated"),
    ] {
        assert_eq!(found(&config, path).as_deref(), Some(name), "{path}");
    }
    assert_eq!(found(&config, "nothing"), None);
}

proptest! {
    #[test]
    fn matching_agrees_with_a_plain_walk(
        prefixes in proptest::collection::vec("/[ab]{0,3}", 1..8), path in "/[abc]{0,4}",
    ) {
        let routes = prefixes.iter().map(|prefix| {
            (prefix.as_str(), matcher(PathMatch::Prefix(prefix.as_str().into()), true))
        });
        let expected = prefixes.iter().find(|prefix| path.starts_with(prefix.as_str())).cloned();
        prop_assert_eq!(found(&config(routes.collect()), &path), expected);
    }

    #[test]
    fn an_index_finds_the_route_that_a_walk_finds(
        paths in proptest::collection::vec(("/[ab/]{0,3}", 0_u8..5), 16..40), path in "/[abc/]{0,4}",
    ) {
        let matcher = |(text, kind): &(String, u8)| match kind {
            0 => matcher(PathMatch::Exact(text.as_str().into()), true),
            1 => matcher(PathMatch::Prefix(text.as_str().into()), true),
            2 => matcher(PathMatch::SeparatedPrefix(text.as_str().into()), true),
            3 => matcher(PathMatch::Exact(text.to_uppercase().into()), false),
            _ => matcher(PathMatch::Regex(full_match_regex(&format!("{text}.*")).expect("compiles")), true),
        };
        let names: Vec<String> = (0..paths.len()).map(|place| place.to_string()).collect();
        let routes = || names.iter().map(String::as_str).zip(paths.iter().map(matcher)).collect();
        let indexed = config(routes());
        let mut walked = config(routes());
        prop_assert!(indexed.virtual_hosts[0].index.is_some());
        walked.virtual_hosts[0].index = None;
        prop_assert_eq!(found(&indexed, &path), found(&walked, &path));
    }

    #[test]
    fn the_first_route_without_obstacles_is_the_one_that_is_found(
        routes in proptest::collection::vec(any_match(), 0..24),
        path in "/[abA/]{0,3}(\\?(x=[12]|y)?)?",
        method in "GET|PUT",
        header in proptest::option::of("[12]"),
        random in 0_u64..200,
        grpc: bool,
    ) {
        let names: Vec<String> = (0..routes.len()).map(|place| place.to_string()).collect();
        let config = config(names.iter().map(String::as_str).zip(routes).collect());
        let headers = HeaderMap::from_iter(
            header.map(|value| (http::HeaderName::from_static("x-h"), value.parse().expect("a value"))),
        );
        let request =
            RequestView { path_and_query: &path, method: &method, authority: "h", scheme: "http", headers: &headers };
        let context = MatchContext { random, grpc };
        let (virtual_host, found) = find(&config, &request, context).expect("a virtual host");
        let first = virtual_host.routes.iter().find(|route| route.matcher.obstacles(&request, context).is_empty());
        prop_assert_eq!(found.map(|route| &route.name), first.map(|route| &route.name));
    }

    #[test]
    fn no_authority_makes_the_lookup_panic(authority in "\\PC{0,20}", ignore_port: bool) {
        let _ = domains(&["a.b", "*.b", "a.*"]).find(&authority, ignore_port);
    }

    #[test]
    fn a_fraction_takes_its_share(numerator in 0_u32..=100) {
        let fraction = Fraction { numerator, denominator: 100 };
        prop_assert_eq!((0..100).filter(|random| fraction.holds(*random)).count(), numerator as usize);
    }
}
