//! What is counted of requests that the configuration puts together: a virtual cluster, or a route with a prefix.

use super::{Codes, Counter, Scope, cluster::OnceUsed, group};

group! {
    /// `vhost.NAME.vcluster.NAME.*`, `vhost.NAME.route.PREFIX.*`
    pub(crate) struct RequestStats {
        /// Attempts to send a request that got a connection.
        upstream_rq_total: Counter,
        /// Those that took too long.
        upstream_rq_timeout: Counter,
        /// Attempts after the first.
        upstream_rq_retry: Counter,
        /// Requests that went well after an attempt had not.
        upstream_rq_retry_success: Counter,
        /// Requests that were not sent again, as they had been often enough.
        upstream_rq_retry_limit_exceeded: Counter,
        /// Requests that were not sent again, as a circuit breaker did not let them.
        upstream_rq_retry_overflow: Counter,
        /// Responses by status.
        _codes: Codes,
        /// How long responses took, in milliseconds.
        upstream_rq_time: OnceUsed,
    }
}

/// Requests that are counted together.
#[derive(Debug)]
pub(crate) struct RequestGroup {
    /// `vcluster.NAME` or `route.PREFIX`, as it stands in names.
    pub(crate) name: Box<str>,
    /// What is counted of them.
    pub(crate) stats: Scope<RequestStats>,
}

impl RequestGroup {
    /// The group of that kind and name.
    pub(crate) fn new(kind: &str, name: &str) -> Self {
        Self { name: format!("{kind}.{name}").into(), stats: Scope::default() }
    }
}
