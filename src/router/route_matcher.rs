//! From a request to its route: authority, virtual host, first route that matches. Pure.

use std::borrow::Cow;

use crate::snapshot::{
    matcher::{RequestView, starts_with_ignore_case},
    route::{Domains, Fraction, PathMatch, Route, RouteConfiguration, RouteMatch, VirtualHost},
};

/// What routing asks besides the request itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MatchContext {
    /// A random number that stays the same for the stream, for `runtime_fraction`.
    pub(crate) random: u64,
    /// The request is gRPC.
    pub(crate) grpc: bool,
}

/// The virtual host and route of a request, if there is one.
pub(crate) fn find<'a>(
    config: &'a RouteConfiguration,
    request: &RequestView<'_>,
    context: MatchContext,
) -> Option<(&'a VirtualHost, Option<&'a Route>)> {
    let virtual_host =
        config.virtual_hosts.get(config.domains.find(request.authority, config.ignore_port)?)?;
    let path = request.path();
    let routes = &virtual_host.routes;
    let matches = |route: &&Route| route.matcher.matches(request, path, context);
    let route = match &virtual_host.index {
        None => routes.iter().find(matches),
        Some(index) => {
            let place = index.first(path, |place| routes.get(place).as_ref().is_some_and(matches));
            place.and_then(|place| routes.get(place))
        }
    };
    Some((virtual_host, route))
}

impl Domains {
    /// The virtual host of `authority`: exact, then the longest suffix, then the longest prefix, then `*`.
    pub(crate) fn find(&self, authority: &str, ignore_port: bool) -> Option<usize> {
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.any;
        }
        let host = if ignore_port { without_port(authority) } else { authority };
        // Most clients send lower case; only the others cost an allocation.
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        if let Some(found) = self.exact.get(&*host) {
            return Some(*found);
        }
        // A wildcard stands for at least one character.
        let mut letters = host.chars();
        let (behind_first, before_last) = (
            letters.next().and_then(|first| host.get(first.len_utf8()..)),
            letters.next_back().and_then(|last| host.get(..host.len() - last.len_utf8())),
        );
        let suffix = || self.suffixes.ending(behind_first?).next();
        let prefix = || self.prefixes.beginning(before_last?).next();
        suffix().or_else(prefix).copied().or(self.any)
    }
}

/// The host of an authority; the brackets of an IPv6 address stay.
pub(crate) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if is_port(port) && !host.is_empty() => {
            // `::1` without brackets has no port.
            if host.contains(':') && !host.ends_with(']') { authority } else { host }
        }
        _ => authority,
    }
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl RouteMatch {
    fn matches(&self, request: &RequestView<'_>, path: &str, context: MatchContext) -> bool {
        self.path.matches(path, self.case_sensitive)
            && (!self.grpc || context.grpc)
            && self.fraction.is_none_or(|fraction| fraction.holds(context.random))
            && self.headers.iter().all(|matcher| matcher.matches(request))
            && (self.query_parameters.is_empty() || {
                let query = request.query();
                self.query_parameters.iter().all(|matcher| matcher.matches(query))
            })
    }
}

impl PathMatch {
    fn matches(&self, path: &str, case_sensitive: bool) -> bool {
        match (self, case_sensitive) {
            (Self::Prefix(prefix), true) => path.starts_with(&**prefix),
            (Self::Prefix(prefix), false) => starts_with_ignore_case(path.as_bytes(), prefix.as_bytes()),
            (Self::Exact(want), true) => path == &**want,
            (Self::Exact(want), false) => path.eq_ignore_ascii_case(want),
            (Self::Regex(regex), _) => regex.is_match(path),
            (Self::SeparatedPrefix(prefix), _) => {
                let starts = if case_sensitive {
                    path.starts_with(&**prefix)
                } else {
                    starts_with_ignore_case(path.as_bytes(), prefix.as_bytes())
                };
                starts && matches!(path.as_bytes().get(prefix.len()), None | Some(b'/'))
            }
        }
    }
}

impl Fraction {
    /// Whether a stream with that random number is part of the share.
    pub(crate) fn holds(self, random: u64) -> bool {
        random % u64::from(self.denominator.max(1)) < u64::from(self.numerator)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::{
        matcher::full_match_regex,
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
            name: name.into(),
            matcher,
            action: Action::Direct(DirectResponse {
                status: http::StatusCode::OK,
                body: bytes::Bytes::new(),
            }),
            headers: HeaderMutations::default(),
            decorator: None,
            tracing: None,
            stats: None,
            metadata: None,
        };
        let routes: Vec<Route> = matchers.into_iter().map(route).collect();
        RouteConfiguration {
            virtual_hosts: vec![VirtualHost {
                name: "".into(),
                index: RouteIndex::of(&routes),
                routes,
                require_tls: false,
                headers: HeaderMutations::default(),
                include_request_attempt_count: false,
                include_attempt_count_in_response: false,
                virtual_clusters: None,
                metadata: None,
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
            assert_eq!(domains.find(host, false), Some(index), "{host}");
        }
    }

    #[test]
    fn a_port_is_compared_unless_it_is_ignored() {
        let domains = domains(&["h", "h:81"]);
        assert_eq!(domains.find("h:80", false), None);
        assert_eq!(domains.find("h:80", true), Some(0));
        assert_eq!(domains.find("h:81", false), Some(1));
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
        fn no_authority_makes_the_lookup_panic(authority in "\\PC{0,20}", ignore_port: bool) {
            let _ = domains(&["a.b", "*.b", "a.*"]).find(&authority, ignore_port);
        }

        #[test]
        fn a_fraction_takes_its_share(numerator in 0_u32..=100) {
            let fraction = Fraction { numerator, denominator: 100 };
            prop_assert_eq!((0..100).filter(|random| fraction.holds(*random)).count(), numerator as usize);
        }
    }
}
