//! How long a request may take, as its route and, for internal clients, its own headers say.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{
    http_headers::{
        X_ENVOY_UPSTREAM_ALT_STAT_NAME, X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
        X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE, X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    },
    snapshot::{matcher::header_text, route::RouteAction},
};

/// How long a request may take; `None` for as long as it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// All attempts together, from the end of the request to the end of the response.
    pub(crate) route: Option<Duration>,
    /// One attempt, from its connection and the end of the request to the headers of its response.
    pub(crate) per_try: Option<Duration>,
    /// A request that takes too long is answered 204. `x-envoy-upstream-rq-timeout-alt-response`.
    pub(crate) alternative_response: bool,
    /// The request itself said something.
    by_request: bool,
}

impl Timeouts {
    /// Those of a route.
    pub(crate) fn of_route(action: &RouteAction) -> Self {
        let per_try = action.retry.as_ref().and_then(|retry| retry.per_try_timeout);
        Self { route: action.timeout, per_try, alternative_response: false, by_request: false }.checked()
    }

    /// Those of a request of an internal client, which may say other ones in headers. They are taken off.
    pub(crate) fn of_request(action: &RouteAction, headers: &mut HeaderMap) -> Self {
        let mut timeouts = Self::of_route(action);
        let mut take = |name: HeaderName| headers.remove(name);
        let milliseconds = |value: Option<HeaderValue>| {
            let value = header_text(&value?).trim().parse().ok()?;
            Some(Duration::from_millis(value)).map(|time| (!time.is_zero()).then_some(time))
        };
        let route = milliseconds(take(X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS));
        let per_try = milliseconds(take(X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS));
        timeouts.alternative_response = take(X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE).is_some();
        take(X_ENVOY_UPSTREAM_ALT_STAT_NAME);
        timeouts.by_request = route.is_some() || per_try.is_some();
        timeouts.route = route.unwrap_or(timeouts.route);
        timeouts.per_try = per_try.unwrap_or(timeouts.per_try);
        timeouts.checked()
    }

    /// An attempt that may take as long as all together needs no watch of its own.
    fn checked(mut self) -> Self {
        if let (Some(per_try), Some(route)) = (self.per_try, self.route)
            && per_try >= route
        {
            self.per_try = None;
        }
        self
    }

    /// What `x-envoy-expected-rq-timeout-ms` says of a first attempt.
    pub(crate) fn expected_first(&self, action: &RouteAction) -> Option<HeaderValue> {
        if self.by_request { self.expected(Duration::ZERO) } else { action.expected_timeout_ms.clone() }
    }

    /// What `x-envoy-expected-rq-timeout-ms` says of an attempt that begins `elapsed` after the end of the request.
    pub(crate) fn expected(&self, elapsed: Duration) -> Option<HeaderValue> {
        // Zero would be no limit; what is left is over in a moment.
        let left = self.route.map(|route| route.saturating_sub(elapsed).max(Duration::from_millis(1)));
        let expected = self.per_try.into_iter().chain(left).min()?;
        Some(HeaderValue::from(u64::try_from(expected.as_millis()).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts(route: u64, per_try: u64) -> Timeouts {
        let some = |milliseconds| (milliseconds > 0).then(|| Duration::from_millis(milliseconds));
        Timeouts { route: some(route), per_try: some(per_try), alternative_response: false, by_request: true }
            .checked()
    }

    #[test]
    fn hosts_are_told_the_shorter_of_what_is_left_and_the_time_of_an_attempt() {
        for (route, per_try, elapsed, expected) in [
            (15_000, 0, 0, Some("15000")),
            (15_000, 0, 19, Some("14981")),
            (15_000, 700, 19, Some("700")),
            (1_000, 700, 900, Some("100")),
            (1_000, 0, 1_000, Some("1")),
            (300, 400, 0, Some("300")),
            (0, 700, 5_000, Some("700")),
            (0, 0, 5, None),
        ] {
            let value = timeouts(route, per_try).expected(Duration::from_millis(elapsed));
            assert_eq!(value.as_ref().map(header_text), expected, "{route} {per_try} {elapsed}");
        }
    }

    #[test]
    fn an_attempt_that_may_take_as_long_as_all_has_no_time_of_its_own() {
        assert_eq!(timeouts(300, 300).per_try, None);
        assert_eq!(timeouts(300, 299).per_try, Some(Duration::from_millis(299)));
        assert_eq!(timeouts(0, 300).per_try, Some(Duration::from_millis(300)));
    }
}
