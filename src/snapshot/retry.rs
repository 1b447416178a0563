//! When a request is sent again. `config.route.v3.RetryPolicy`.

use std::time::Duration;

use http::StatusCode;

use super::matcher::HeaderMatcher;

/// When a request is sent again, how often, and after what pause. `RetryPolicy`.
#[derive(Debug)]
pub(crate) struct RetryPolicy {
    /// What makes an attempt worth another one. `retry_on`.
    pub(crate) conditions: RetryConditions,
    /// Attempts after the first. Default 1. `num_retries`.
    pub(crate) most: u32,
    /// From the connection and the end of the request to the headers of the response, for each attempt; `None` for the
    /// route's timeout alone, which is the default. `per_try_timeout`.
    pub(crate) per_try_timeout: Option<Duration>,
    /// Statuses of [`RetryConditions::RETRIABLE_STATUS_CODES`]. `retriable_status_codes`.
    pub(crate) status_codes: Vec<StatusCode>,
    /// Responses of [`RetryConditions::RETRIABLE_HEADERS`]: one that passes any of these. `retriable_headers`.
    pub(crate) response_headers: Vec<HeaderMatcher>,
    /// Only requests that pass one of these are sent again; all, where there is none. `retriable_request_headers`.
    pub(crate) request_headers: Vec<HeaderMatcher>,
    /// The pause before an attempt. `retry_back_off`.
    pub(crate) back_off: BackOff,
    /// A host that was tried is avoided: this many more are drawn before one is taken nevertheless. `None` without the
    /// predicate. Default 1. `retry_host_predicate`, `host_selection_retry_max_attempts`.
    pub(crate) avoid_tried_hosts: Option<u32>,
}

/// The pause before an attempt: up to the base before the second, up to twice as much before each further one, and
/// never more than `max`. `RetryPolicy.RetryBackOff`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackOff {
    /// Milliseconds, at least 1. Default 25. `base_interval`.
    pub(crate) base_ms: u64,
    /// Milliseconds. Default ten times the base. `max_interval`.
    pub(crate) max_ms: u64,
}

impl Default for BackOff {
    fn default() -> Self {
        Self { base_ms: 25, max_ms: 250 }
    }
}

/// What makes an attempt worth another one, as a set. `RetryPolicy.retry_on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RetryConditions(u32);

macro_rules! conditions {
    ($($(#[$doc:meta])* $constant:ident = $bit:literal, $name:literal;)*) => {
        impl RetryConditions {
            $($(#[$doc])* pub(crate) const $constant: Self = Self(1 << $bit);)*

            /// The condition of that name.
            pub(crate) fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$constant),)*
                    _ => None,
                }
            }

            /// The names of those that are in it.
            pub(crate) fn names(self) -> impl Iterator<Item = &'static str> {
                [$(($name, Self::$constant),)*]
                    .into_iter()
                    .filter(move |(_, condition)| self.has_any(*condition))
                    .map(|(name, _)| name)
            }

            /// All names.
            pub(crate) const NAMES: &[&str] = &[$($name),*];
        }
    };
}

conditions! {
    /// Any status of 500 and above, and an attempt without response.
    SERVER_ERROR = 0, "5xx";
    /// 502, 503, 504, and an attempt without response.
    GATEWAY_ERROR = 1, "gateway-error";
    /// An attempt without response.
    RESET = 2, "reset";
    /// An attempt without response of which nothing was sent.
    RESET_BEFORE_REQUEST = 3, "reset-before-request";
    /// No connection.
    CONNECT_FAILURE = 4, "connect-failure";
    /// A host that refused the stream (HTTP/2, `REFUSED_STREAM`).
    REFUSED_STREAM = 5, "refused-stream";
    /// 409.
    RETRIABLE_4XX = 6, "retriable-4xx";
    /// Listed statuses.
    RETRIABLE_STATUS_CODES = 7, "retriable-status-codes";
    /// Listed response headers.
    RETRIABLE_HEADERS = 8, "retriable-headers";
    /// A response that says `x-envoy-ratelimited`; without this condition such a response is never worth another attempt.
    ENVOY_RATE_LIMITED = 9, "envoy-ratelimited";
    /// `grpc-status: 1`
    GRPC_CANCELLED = 10, "cancelled";
    /// `grpc-status: 4`
    GRPC_DEADLINE_EXCEEDED = 11, "deadline-exceeded";
    /// `grpc-status: 13`
    GRPC_INTERNAL = 12, "internal";
    /// `grpc-status: 8`
    GRPC_RESOURCE_EXHAUSTED = 13, "resource-exhausted";
    /// `grpc-status: 14`
    GRPC_UNAVAILABLE = 14, "unavailable";
}

impl RetryConditions {
    /// Those that speak of gRPC.
    pub(crate) const GRPC: Self = Self(0b11111 << 10);

    /// This set and `other`.
    #[must_use]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This set but for `other`.
    #[must_use]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any of `other` is in it.
    pub(crate) const fn has_any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether there is none.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_has_a_name_and_a_place_of_its_own() {
        let mut all = RetryConditions::default();
        for name in RetryConditions::NAMES {
            let condition = RetryConditions::named(name).expect("a condition");
            assert!(!all.has_any(condition), "{name}");
            assert!(condition.names().eq([*name]));
            all = all.with(condition);
        }
        assert!(RetryConditions::named("http3-post-connect-failure").is_none());
        assert!(RetryConditions::GRPC.has_any(RetryConditions::GRPC_CANCELLED));
        assert!(!RetryConditions::GRPC.has_any(RetryConditions::ENVOY_RATE_LIMITED));
        assert_eq!(all.and(RetryConditions::GRPC), RetryConditions::GRPC);
    }
}
