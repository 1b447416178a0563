//! From a request to its route: authority, virtual host, first route that matches. Pure.

use std::{borrow::Cow, ops::ControlFlow};

use crate::snapshot::{
    matcher::{HeaderMatcher, QueryParameterMatcher, RequestView, starts_with_ignore_case},
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
    let (virtual_host, _) = config.domains.find(request.authority, config.ignore_port)?;
    let virtual_host = config.virtual_hosts.get(virtual_host)?;
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

/// By which kind of domain a virtual host was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DomainMatch {
    /// The whole host.
    Exact,
    /// A star, and so many bytes of the host's end.
    Suffix(usize),
    /// So many bytes of the host's beginning, and a star.
    Prefix(usize),
    /// `*`
    Any,
}

impl Domains {
    /// The virtual host of `authority`: exact, then the longest suffix, then the longest prefix, then `*`.
    pub(crate) fn find(&self, authority: &str, ignore_port: bool) -> Option<(usize, DomainMatch)> {
        let any = self.any.map(|any| (any, DomainMatch::Any));
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return any;
        }
        let host = if ignore_port { without_port(authority) } else { authority };
        // Most clients send lower case; only the others cost an allocation.
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(host)
        };
        if let Some(found) = self.exact.get(&*host) {
            return Some((*found, DomainMatch::Exact));
        }
        // A wildcard stands for at least one character.
        let mut letters = host.chars();
        let (behind_first, before_last) = (
            letters.next().and_then(|first| host.get(first.len_utf8()..)),
            letters.next_back().and_then(|last| host.get(..host.len() - last.len_utf8())),
        );
        let suffix = || self.suffixes.ending(behind_first?).next();
        let prefix = || self.prefixes.beginning(before_last?).next();
        let suffix = suffix().map(|(length, found)| (*found, DomainMatch::Suffix(length)));
        suffix.or_else(|| prefix().map(|(length, found)| (*found, DomainMatch::Prefix(length)))).or(any)
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

/// A condition of a route that a request does not meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Obstacle<'a> {
    /// On the path.
    Path,
    /// To be gRPC.
    Grpc,
    /// To be of the route's share of requests.
    Fraction(Fraction),
    /// On a header.
    Header(&'a HeaderMatcher),
    /// On a query parameter.
    QueryParameter(&'a QueryParameterMatcher),
}

impl RouteMatch {
    /// Whether the route takes the request.
    #[inline]
    fn matches(&self, request: &RequestView<'_>, path: &str, context: MatchContext) -> bool {
        self.check(request, path, context, |_| ControlFlow::Break(())).is_continue()
    }

    /// All that keeps the route from taking the request; nothing, if it takes it.
    pub(crate) fn obstacles(&self, request: &RequestView<'_>, context: MatchContext) -> Vec<Obstacle<'_>> {
        let mut obstacles = Vec::new();
        let _ = self.check(request, request.path(), context, |obstacle| {
            obstacles.push(obstacle);
            ControlFlow::Continue(())
        });
        obstacles
    }

    /// Hold the conditions against the request, in order. `unmet` is told those that it does not meet, and whether to
    /// look at more is what it says. (Put in where it is called, it costs a lookup nothing that there are two who ask.)
    #[inline]
    fn check<'a>(
        &'a self,
        request: &RequestView<'_>,
        path: &str,
        context: MatchContext,
        mut unmet: impl FnMut(Obstacle<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if !self.path.matches(path, self.case_sensitive) {
            unmet(Obstacle::Path)?;
        }
        if self.grpc && !context.grpc {
            unmet(Obstacle::Grpc)?;
        }
        if let Some(fraction) = self.fraction.filter(|fraction| !fraction.holds(context.random)) {
            unmet(Obstacle::Fraction(fraction))?;
        }
        for matcher in self.headers.iter().filter(|matcher| !matcher.matches(request)) {
            unmet(Obstacle::Header(matcher))?;
        }
        if !self.query_parameters.is_empty() {
            let query = request.query();
            for matcher in self.query_parameters.iter().filter(|matcher| !matcher.matches(query)) {
                unmet(Obstacle::QueryParameter(matcher))?;
            }
        }
        ControlFlow::Continue(())
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
mod tests;
