//! What is counted of a cluster.

use super::{Codes, Counter, Gauge, Histogram, Metric, Reader, field_name, group};

group! {
    /// `cluster.NAME.*`
    pub(crate) struct ClusterStats {
        /// Connections to hosts.
        upstream_cx_total: Counter,
        /// Those that are open or opening.
        upstream_cx_active: Gauge,
        /// Those that speak HTTP/1.
        upstream_cx_http1_total: Counter,
        /// Those that speak HTTP/2.
        upstream_cx_http2_total: Counter,
        /// Those that could not be opened.
        upstream_cx_connect_fail: Counter,
        /// Those that were not open in time.
        upstream_cx_connect_timeout: Counter,
        /// How long opening took, in milliseconds.
        upstream_cx_connect_ms: Histogram,
        /// How long they lived, in milliseconds.
        upstream_cx_length_ms: Histogram,
        /// How many requests each served.
        upstream_rq_per_cx: Histogram,
        /// Connections that are closed.
        upstream_cx_destroy: Counter,
        /// Those that were closed from here.
        upstream_cx_destroy_local: Counter,
        /// Those that the host closed.
        upstream_cx_destroy_remote: Counter,
        /// Those that were closed with a request under way.
        upstream_cx_destroy_with_active_rq: Counter,
        /// Those of them that were closed from here.
        upstream_cx_destroy_local_with_active_rq: Counter,
        /// Those of them that the host closed.
        upstream_cx_destroy_remote_with_active_rq: Counter,
        /// Connections that had idled too long.
        upstream_cx_idle_timeout: Counter,
        /// Connections that had served enough requests.
        upstream_cx_max_requests: Counter,
        /// Requests for which there was no host.
        upstream_cx_none_healthy: Counter,
        /// Connections that were not opened, as there were too many.
        upstream_cx_overflow: Counter,
        /// Connections whose host sent what is no HTTP.
        upstream_cx_protocol_error: Counter,
        /// Bytes that were read.
        upstream_cx_rx_bytes_total: Counter,
        /// Bytes that were written.
        upstream_cx_tx_bytes_total: Counter,
        /// Attempts to send a request that got a connection.
        upstream_rq_total: Counter,
        /// Those under way.
        upstream_rq_active: Gauge,
        /// Requests that waited for a connection.
        upstream_rq_pending_total: Counter,
        /// Those that wait.
        upstream_rq_pending_active: Gauge,
        /// Requests that were not let wait, by a circuit breaker.
        upstream_rq_pending_overflow: Counter,
        /// Requests that were not sent, by a circuit breaker.
        upstream_rq_active_overflow: Counter,
        /// Those that waited for a connection which could not be opened.
        upstream_rq_pending_failure_eject: Counter,
        /// Those that gave up while they waited.
        upstream_rq_cancelled: Counter,
        /// Requests that took too long.
        upstream_rq_timeout: Counter,
        /// Attempts that took too long.
        upstream_rq_per_try_timeout: Counter,
        /// Requests that the host broke off.
        upstream_rq_rx_reset: Counter,
        /// Requests that were broken off here.
        upstream_rq_tx_reset: Counter,
        /// Attempts after the first.
        upstream_rq_retry: Counter,
        /// Pauses before them that grow.
        upstream_rq_retry_backoff_exponential: Counter,
        /// Pauses before them that the host asked for.
        upstream_rq_retry_backoff_ratelimited: Counter,
        /// Requests that went well after an attempt had not.
        upstream_rq_retry_success: Counter,
        /// Requests that were not sent again, as they had been often enough.
        upstream_rq_retry_limit_exceeded: Counter,
        /// Requests that were not sent again, as a circuit breaker did not let them.
        upstream_rq_retry_overflow: Counter,
        /// Responses by status.
        _codes: EagerCodes,
        /// Those to requests from outside.
        external: Origin,
        /// Those to requests from inside.
        internal: Origin,
        /// Those that nobody saw, since the request was sent again.
        retry: Codes,
        /// How long responses took, in milliseconds.
        upstream_rq_time: OnceUsed,
        /// Choices of a host in which health did not count, since too few hosts are well.
        lb_healthy_panic: Counter,
        /// Changes of the set of hosts.
        membership_change: Counter,
        /// Attempts to resolve the names of hosts.
        update_attempt: Counter,
        /// Those that went well.
        update_success: Counter,
        /// Those that did not.
        update_failure: Counter,
        /// Those that found no host.
        update_empty: Counter,
        /// Those that changed nothing.
        update_no_rebuild: Counter,
    }
}

group! {
    /// `cluster.NAME.external.*`, `cluster.NAME.internal.*`
    pub(crate) struct Origin {
        /// Responses by status.
        _codes: Codes,
        /// How long they took, in milliseconds.
        upstream_rq_time: OnceUsed,
    }
}

/// [`Codes`] of which Envoy has the sum before there is any.
#[derive(Debug, Default)]
pub(crate) struct EagerCodes(pub(crate) Codes);

impl Metric for EagerCodes {
    fn absorb(&self, other: &Self) {
        self.0.absorb(&other.0);
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        if self.0.completed() == 0 {
            reader.counter(&field_name(name, "upstream_rq_completed"), 0);
        }
        self.0.read(name, reader);
    }

    fn rebase(&self, base: &Self) {
        self.0.rebase(&base.0);
    }
}

/// A histogram that Envoy does not have before there is something in it.
#[derive(Debug, Default)]
pub(crate) struct OnceUsed(pub(crate) Histogram);

impl Metric for OnceUsed {
    fn absorb(&self, other: &Self) {
        self.0.absorb(&other.0);
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        if self.0.bins().count > 0 {
            self.0.read(name, reader);
        }
    }
}
