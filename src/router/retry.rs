//! Whether a request is sent once more, and after what pause: the decision alone, without any IO.

use std::time::Duration;

use http::{HeaderMap, HeaderName, StatusCode};

use crate::{
    http_headers::{
        GRPC_STATUS, X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, X_ENVOY_MAX_RETRIES, X_ENVOY_RATELIMITED,
        X_ENVOY_RETRIABLE_HEADER_NAMES, X_ENVOY_RETRIABLE_STATUS_CODES, X_ENVOY_RETRY_GRPC_ON,
        X_ENVOY_RETRY_ON,
    },
    snapshot::{
        matcher::{HeaderMatcher, RequestView, header_text},
        retry::{BackOff, RetryConditions, RetryPolicy},
    },
};

/// Headers of a request that speak of its retries; none of them is for the host.
const CONSUMED: [HeaderName; 6] = [
    X_ENVOY_RETRY_ON,
    X_ENVOY_RETRY_GRPC_ON,
    X_ENVOY_MAX_RETRIES,
    X_ENVOY_RETRIABLE_STATUS_CODES,
    X_ENVOY_RETRIABLE_HEADER_NAMES,
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
];

/// What follows from how an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It stands.
    Stands,
    /// It is worth another one.
    Again,
    /// It would be worth another one, but there were as many as may be.
    LimitExceeded,
}

/// How an attempt ended without response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// There was no connection.
    Connect,
    /// The host refused the stream: it did nothing with it.
    Refused,
    /// The connection or the stream ended, or the attempt took too long.
    Reset,
}

/// The retries of one request.
#[derive(Debug)]
pub(crate) struct RetryState<'a> {
    conditions: RetryConditions,
    /// Attempts that may still follow.
    remaining: u32,
    status_codes: &'a [StatusCode],
    response_headers: &'a [HeaderMatcher],
    /// What the request itself says of responses.
    asked: Asked,
    back_off: BackOff,
    /// Of the next pause.
    interval_ms: u64,
    /// Something of the request was sent.
    sent: bool,
}

/// What request headers say of responses that are worth another attempt.
#[derive(Debug, Default)]
struct Asked {
    /// Besides those of the policy.
    status_codes: Vec<StatusCode>,
    /// Instead of those of the policy.
    header_names: Option<Vec<HeaderName>>,
}

impl<'a> RetryState<'a> {
    /// The retries of a request as `policy` says; `None` if there are none whatever happens.
    pub(crate) fn of_policy(policy: &'a RetryPolicy, request: &RequestView<'_>) -> Option<Self> {
        Self::new(Some(policy), policy.conditions, request)
    }

    /// The same, with what the request's own headers say.
    pub(crate) fn of_request(policy: Option<&'a RetryPolicy>, request: &RequestView<'_>) -> Option<Self> {
        let headers = request.headers;
        let text = |name: HeaderName| headers.get(name).map(header_text);
        let conditions = policy
            .map(|policy| policy.conditions)
            .unwrap_or_default()
            .with(named(text(X_ENVOY_RETRY_ON)).without(RetryConditions::GRPC))
            .with(named(text(X_ENVOY_RETRY_GRPC_ON)).and(RetryConditions::GRPC));
        let mut state = Self::new(policy, conditions, request)?;
        if let Some(most) = text(X_ENVOY_MAX_RETRIES).and_then(|most| most.trim().parse().ok()) {
            state.remaining = most;
        }
        state.asked = Asked {
            status_codes: list(text(X_ENVOY_RETRIABLE_STATUS_CODES))
                .filter_map(|code| StatusCode::from_bytes(code.as_bytes()).ok())
                .collect(),
            header_names: headers.contains_key(X_ENVOY_RETRIABLE_HEADER_NAMES).then(|| {
                list(text(X_ENVOY_RETRIABLE_HEADER_NAMES)).filter_map(|name| name.parse().ok()).collect()
            }),
        };
        Some(state)
    }

    fn new(
        policy: Option<&'a RetryPolicy>,
        conditions: RetryConditions,
        request: &RequestView<'_>,
    ) -> Option<Self> {
        let wanted = policy.map_or(&[][..], |policy| &policy.request_headers);
        let may = wanted.is_empty() || wanted.iter().any(|matcher| matcher.matches(request));
        if conditions.is_empty() || !may {
            return None;
        }
        let back_off = policy.map(|policy| policy.back_off).unwrap_or_default();
        Some(Self {
            conditions,
            // Envoy's default where the request alone asks for retries.
            remaining: policy.map_or(1, |policy| policy.most),
            status_codes: policy.map_or(&[], |policy| &policy.status_codes),
            response_headers: policy.map_or(&[], |policy| &policy.response_headers),
            asked: Asked::default(),
            back_off,
            interval_ms: back_off.base_ms,
            sent: false,
        })
    }

    /// On what, and how often.
    pub(crate) fn terms(&self) -> (RetryConditions, u32) {
        (self.conditions, self.remaining)
    }

    /// What follows from a response.
    pub(crate) fn after_response(&mut self, status: StatusCode, headers: &HeaderMap) -> Decision {
        self.sent = true;
        let again = self.is_retriable(status, headers);
        self.decide(again)
    }

    /// What follows from an attempt without response. `sent`: something of the request may have reached the host.
    pub(crate) fn after_failure(&mut self, broken: Broken, sent: bool) -> Decision {
        self.sent |= sent;
        let on = |condition| self.conditions.has_any(condition);
        // What has no response would be a 503 to the client, and so counts as one.
        let again = on(RetryConditions::RESET)
            || on(RetryConditions::SERVER_ERROR)
            || on(RetryConditions::GATEWAY_ERROR)
            || on(RetryConditions::RESET_BEFORE_REQUEST) && !self.sent
            || on(RetryConditions::REFUSED_STREAM) && broken == Broken::Refused
            || on(RetryConditions::CONNECT_FAILURE) && broken == Broken::Connect;
        self.decide(again)
    }

    /// The pause before the next attempt: any time up to an interval that doubles. `random` gives a number below its
    /// argument.
    pub(crate) fn pause(&mut self, random: impl FnOnce(u64) -> u64) -> Duration {
        let interval = self.interval_ms.max(1);
        self.interval_ms = interval.saturating_mul(2).min(self.back_off.max_ms.max(1));
        Duration::from_millis(random(interval))
    }

    fn decide(&mut self, again: bool) -> Decision {
        match (again, self.remaining.checked_sub(1)) {
            (false, _) => Decision::Stands,
            (true, None) => Decision::LimitExceeded,
            (true, Some(rest)) => {
                self.remaining = rest;
                Decision::Again
            }
        }
    }

    fn is_retriable(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let on = |condition| self.conditions.has_any(condition);
        // Such a response comes from an Envoy that will say the same again soon.
        if headers.contains_key(X_ENVOY_RATELIMITED) {
            return on(RetryConditions::ENVOY_RATE_LIMITED);
        }
        let code = status.as_u16();
        on(RetryConditions::SERVER_ERROR) && (500..600).contains(&code)
            || on(RetryConditions::GATEWAY_ERROR) && (502..=504).contains(&code)
            || on(RetryConditions::RETRIABLE_4XX) && status == StatusCode::CONFLICT
            || on(RetryConditions::RETRIABLE_STATUS_CODES)
                && (self.status_codes.contains(&status) || self.asked.status_codes.contains(&status))
            || on(RetryConditions::RETRIABLE_HEADERS) && self.has_retriable_header(status, headers)
            || on(RetryConditions::GRPC) && grpc_condition(headers).is_some_and(on)
    }

    fn has_retriable_header(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        match &self.asked.header_names {
            Some(names) => names.iter().any(|name| headers.contains_key(name)),
            None => self.response_headers.iter().any(|matcher| matcher.matches_response(status, headers)),
        }
    }
}

/// Take off what a request says of its retries.
pub(crate) fn consume(headers: &mut HeaderMap) {
    for name in &CONSUMED {
        headers.remove(name);
    }
}

/// The condition that the gRPC status of a response without body stands for.
fn grpc_condition(headers: &HeaderMap) -> Option<RetryConditions> {
    match headers.get(GRPC_STATUS)?.as_bytes() {
        b"1" => Some(RetryConditions::GRPC_CANCELLED),
        b"4" => Some(RetryConditions::GRPC_DEADLINE_EXCEEDED),
        b"8" => Some(RetryConditions::GRPC_RESOURCE_EXHAUSTED),
        b"13" => Some(RetryConditions::GRPC_INTERNAL),
        b"14" => Some(RetryConditions::GRPC_UNAVAILABLE),
        _ => None,
    }
}

/// The conditions of a header; as in Envoy, words that are none do no harm there.
fn named(names: Option<&str>) -> RetryConditions {
    list(names).filter_map(RetryConditions::named).fold(RetryConditions::default(), RetryConditions::with)
}

fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::matcher::{HeaderCheck, HeaderKey};

    fn policy(conditions: RetryConditions, most: u32) -> RetryPolicy {
        RetryPolicy {
            conditions,
            most,
            per_try_timeout: None,
            status_codes: vec![StatusCode::IM_A_TEAPOT],
            response_headers: Vec::new(),
            request_headers: Vec::new(),
            back_off: BackOff::default(),
            avoid_tried_hosts: None,
        }
    }

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        list.iter().map(pair).collect()
    }

    fn view(headers: &HeaderMap) -> RequestView<'_> {
        RequestView { path_and_query: "/", method: "GET", authority: "h", scheme: "http", headers }
    }

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).expect("a status")
    }

    /// Whether a first response of that status is retried on that condition alone.
    fn retried(condition: RetryConditions, code: u16, response: &[(&'static str, &'static str)]) -> bool {
        let policy = policy(condition, 1);
        let nothing = HeaderMap::new();
        let mut state = RetryState::of_policy(&policy, &view(&nothing)).expect("retries");
        state.after_response(status(code), &headers(response)) == Decision::Again
    }

    #[test]
    fn each_condition_takes_the_responses_that_it_names() {
        type On = RetryConditions;
        for (condition, code, response, again) in [
            (On::SERVER_ERROR, 500, &[][..], true),
            (On::SERVER_ERROR, 599, &[], true),
            (On::SERVER_ERROR, 499, &[], false),
            (On::SERVER_ERROR, 600, &[], false),
            (On::GATEWAY_ERROR, 500, &[], false),
            (On::GATEWAY_ERROR, 502, &[], true),
            (On::GATEWAY_ERROR, 505, &[], false),
            (On::RETRIABLE_4XX, 409, &[], true),
            (On::RETRIABLE_4XX, 404, &[], false),
            (On::RETRIABLE_STATUS_CODES, 418, &[], true),
            (On::RETRIABLE_STATUS_CODES, 503, &[], false),
            (On::RESET, 503, &[], false),
            (On::GRPC_UNAVAILABLE, 200, &[("grpc-status", "14")], true),
            (On::GRPC_UNAVAILABLE, 200, &[("grpc-status", "13")], false),
            (On::GRPC_INTERNAL, 200, &[("grpc-status", "13")], true),
            (On::GRPC_CANCELLED, 200, &[("grpc-status", "1")], true),
            (On::GRPC_CANCELLED, 200, &[], false),
            (On::SERVER_ERROR, 503, &[("x-envoy-ratelimited", "true")], false),
            (On::ENVOY_RATE_LIMITED, 429, &[("x-envoy-ratelimited", "true")], true),
            (On::ENVOY_RATE_LIMITED, 429, &[], false),
        ] {
            assert_eq!(retried(condition, code, response), again, "{condition:?} {code} {response:?}");
        }
    }

    #[test]
    fn each_condition_takes_the_failures_that_it_names() {
        type On = RetryConditions;
        for (condition, broken, sent, again) in [
            (On::SERVER_ERROR, Broken::Reset, true, true),
            (On::GATEWAY_ERROR, Broken::Connect, false, true),
            (On::RESET, Broken::Refused, true, true),
            (On::CONNECT_FAILURE, Broken::Connect, false, true),
            (On::CONNECT_FAILURE, Broken::Reset, true, false),
            (On::REFUSED_STREAM, Broken::Refused, true, true),
            (On::REFUSED_STREAM, Broken::Reset, true, false),
            (On::RESET_BEFORE_REQUEST, Broken::Reset, false, true),
            (On::RESET_BEFORE_REQUEST, Broken::Reset, true, false),
            (On::RETRIABLE_4XX, Broken::Connect, false, false),
        ] {
            let policy = policy(condition, 1);
            let nothing = HeaderMap::new();
            let mut state = RetryState::of_policy(&policy, &view(&nothing)).expect("retries");
            let decision = state.after_failure(broken, sent);
            assert_eq!(decision == Decision::Again, again, "{condition:?} {broken:?} {sent}");
        }
    }

    #[test]
    fn what_was_sent_once_stays_sent_for_reset_before_request() {
        let policy = policy(RetryConditions::RESET_BEFORE_REQUEST.with(RetryConditions::SERVER_ERROR), 5);
        let nothing = HeaderMap::new();
        let mut state = RetryState::of_policy(&policy, &view(&nothing)).expect("retries");
        assert_eq!(state.after_response(status(503), &nothing), Decision::Again);
        state.conditions = RetryConditions::RESET_BEFORE_REQUEST;
        assert_eq!(state.after_failure(Broken::Connect, false), Decision::Stands);
    }

    #[test]
    fn headers_of_the_request_add_to_the_policy_or_stand_for_it() {
        let request = headers(&[
            ("x-envoy-retry-on", "junk, gateway-error,unavailable"),
            ("x-envoy-retry-grpc-on", "internal,5xx"),
            ("x-envoy-max-retries", "3"),
        ]);
        let state = RetryState::of_request(None, &view(&request)).expect("retries");
        let expected = RetryConditions::GATEWAY_ERROR.with(RetryConditions::GRPC_INTERNAL);
        assert_eq!((state.conditions, state.remaining), (expected, 3));

        let policy = policy(RetryConditions::RESET, 7);
        let state = RetryState::of_request(Some(&policy), &view(&request)).expect("retries");
        assert_eq!((state.conditions, state.remaining), (expected.with(RetryConditions::RESET), 3));

        let request = headers(&[("x-envoy-max-retries", "3")]);
        assert!(RetryState::of_request(None, &view(&request)).is_none(), "a number is no condition");
        let request = headers(&[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "many")]);
        let state = RetryState::of_request(None, &view(&request)).expect("retries");
        assert_eq!(state.remaining, 1);
    }

    #[test]
    fn headers_of_the_request_name_responses() {
        let request = headers(&[
            ("x-envoy-retry-on", "retriable-status-codes,retriable-headers"),
            ("x-envoy-retriable-status-codes", "1x, 404 ,9999"),
            ("x-envoy-retriable-header-names", "x-again, x-y"),
        ]);
        let policy = policy(RetryConditions::RETRIABLE_STATUS_CODES, 9);
        let mut state = RetryState::of_request(Some(&policy), &view(&request)).expect("retries");
        let nothing = HeaderMap::new();
        assert_eq!(state.after_response(status(404), &nothing), Decision::Again);
        assert_eq!(state.after_response(status(418), &nothing), Decision::Again);
        assert_eq!(state.after_response(status(200), &headers(&[("x-y", "")])), Decision::Again);
        assert_eq!(state.after_response(status(200), &nothing), Decision::Stands);
    }

    #[test]
    fn requests_that_pass_no_matcher_are_sent_once() {
        let mut policy = policy(RetryConditions::SERVER_ERROR, 1);
        policy.request_headers.push(HeaderMatcher {
            name: HeaderKey::Name(HeaderName::from_static("x-may")),
            check: HeaderCheck::Present(true),
            invert: false,
            missing_as_empty: false,
        });
        let (may, may_not) = (headers(&[("x-may", "1")]), headers(&[("x-envoy-retry-on", "5xx")]));
        assert!(RetryState::of_policy(&policy, &view(&may)).is_some());
        assert!(RetryState::of_request(Some(&policy), &view(&may_not)).is_none());
    }

    #[test]
    fn what_the_request_says_of_retries_goes_no_further() {
        let mut request = headers(&[("x-envoy-retry-on", "5xx"), ("x-envoy-max-retries", "3"), ("x-a", "1")]);
        consume(&mut request);
        assert_eq!(request, headers(&[("x-a", "1")]));
    }

    proptest! {
        #[test]
        fn there_are_never_more_attempts_than_allowed(most in 0_u32..20, codes in proptest::collection::vec(200_u16..600, 0..40)) {
            let policy = policy(RetryConditions::SERVER_ERROR, most);
            let nothing = HeaderMap::new();
            let mut state = RetryState::of_policy(&policy, &view(&nothing)).expect("retries");
            let mut retries = 0;
            for code in codes {
                let decision = state.after_response(status(code), &nothing);
                prop_assert_eq!(decision == Decision::Stands, code < 500);
                prop_assert_eq!(decision == Decision::LimitExceeded, code >= 500 && retries == most);
                retries += u32::from(decision == Decision::Again);
                if decision == Decision::LimitExceeded {
                    break;
                }
            }
            prop_assert!(retries <= most);
        }

        #[test]
        fn pauses_double_up_to_the_longest_and_stay_below(base in 1_u64..500, factor in 1_u64..50) {
            let mut policy = policy(RetryConditions::SERVER_ERROR, 9);
            let max = base * factor;
            policy.back_off = BackOff { base_ms: base, max_ms: max };
            let nothing = HeaderMap::new();
            let mut state = RetryState::of_policy(&policy, &view(&nothing)).expect("retries");
            for attempt in 0..12_u32 {
                let mut below = 0;
                let pause = state.pause(|bound| { below = bound; bound - 1 });
                prop_assert_eq!(below, (base << attempt).min(max));
                prop_assert!(pause < Duration::from_millis(below));
            }
        }
    }
}
