//! What is counted of the HTTP connections and requests of a listener.

use super::{Counter, Gauge, Histogram, Metric, Reader, field_name, group};

group! {
    /// `http.PREFIX.*`
    pub(crate) struct HttpStats {
        /// Connections.
        downstream_cx_total: Counter,
        /// Those that are open.
        downstream_cx_active: Gauge,
        /// Those that speak HTTP/1.
        downstream_cx_http1_total: Counter,
        /// Open ones that speak HTTP/1.
        downstream_cx_http1_active: Gauge,
        /// Those that speak HTTP/2.
        downstream_cx_http2_total: Counter,
        /// Open ones that speak HTTP/2.
        downstream_cx_http2_active: Gauge,
        /// Those with TLS.
        downstream_cx_ssl_total: Counter,
        /// Open ones with TLS.
        downstream_cx_ssl_active: Gauge,
        /// Those that became tunnels.
        downstream_cx_upgrades_total: Counter,
        /// Open tunnels.
        downstream_cx_upgrades_active: Gauge,
        /// Connections that are closed.
        downstream_cx_destroy: Counter,
        /// Those that were closed from here.
        downstream_cx_destroy_local: Counter,
        /// Those that the client closed.
        downstream_cx_destroy_remote: Counter,
        /// Those that were closed with a request under way.
        downstream_cx_destroy_active_rq: Counter,
        /// Those of them that were closed from here.
        downstream_cx_destroy_local_active_rq: Counter,
        /// Those of them that the client closed.
        downstream_cx_destroy_remote_active_rq: Counter,
        /// Connections that had idled too long.
        downstream_cx_idle_timeout: Counter,
        /// Connections that had become too old.
        downstream_cx_max_duration_reached: Counter,
        /// Connections that had served enough requests.
        downstream_cx_max_requests_reached: Counter,
        /// Connections that were closed since the process drains.
        downstream_cx_drain_close: Counter,
        /// Connections whose client sent what is no HTTP.
        downstream_cx_protocol_error: Counter,
        /// Closed connections whose client sent on until they were cut off.
        downstream_cx_delayed_close_timeout: Counter,
        /// Bytes that were read.
        downstream_cx_rx_bytes_total: Counter,
        /// Bytes that were written.
        downstream_cx_tx_bytes_total: Counter,
        /// How long connections lived, in milliseconds.
        downstream_cx_length_ms: Histogram,
        /// Requests.
        downstream_rq_total: Counter,
        /// Those under way.
        downstream_rq_active: Gauge,
        /// Those over HTTP/1.
        downstream_rq_http1_total: Counter,
        /// Those over HTTP/2.
        downstream_rq_http2_total: Counter,
        /// Responses by class, `downstream_rq_completed` among them.
        _codes: Classes,
        /// How long requests took until their response was sent, in milliseconds.
        downstream_rq_time: Histogram,
        /// Requests that the client broke off.
        downstream_rq_rx_reset: Counter,
        /// Responses that were broken off here.
        downstream_rq_tx_reset: Counter,
        /// Requests that were not complete in time.
        downstream_rq_timeout: Counter,
        /// Streams on which nothing moved for too long.
        downstream_rq_idle_timeout: Counter,
        /// Requests whose headers were not complete in time.
        downstream_rq_header_timeout: Counter,
        /// Requests that were larger than what may be kept of one.
        downstream_rq_too_large: Counter,
        /// Requests whose target was no path.
        downstream_rq_non_relative_path: Counter,
        /// Requests whose path could not be normalized.
        downstream_rq_failed_path_normalization: Counter,
        /// Requests that were sent to their normalized path.
        downstream_rq_redirected_with_normalized_path: Counter,
        /// Requests whose client's address could not be told.
        downstream_rq_rejected_via_ip_detection: Counter,
        /// Upgrades where none is allowed.
        downstream_rq_ws_on_non_ws_route: Counter,
        /// Responses that were complete before their request was.
        downstream_rq_response_before_rq_complete: Counter,
        /// Requests without a route.
        no_route: Counter,
        /// Requests whose cluster does not exist.
        no_cluster: Counter,
        /// Requests that came to the router.
        rq_total: Counter,
        /// Those that a route answered.
        rq_direct_response: Counter,
        /// Those whose response was broken off by the host.
        rq_reset_after_downstream_response_started: Counter,
        /// Decisions about tracing.
        tracing: TracingStats,
    }
}

/// Responses by class. Envoy has all of them from the start.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    completed: Counter,
    classes: [Counter; 5],
}

impl Classes {
    /// A response with `status`.
    pub(crate) fn count(&self, status: u16) {
        self.completed.inc();
        if let Some(class) =
            usize::from(status / 100).checked_sub(1).and_then(|class| self.classes.get(class))
        {
            class.inc();
        }
    }
}

impl Metric for Classes {
    fn absorb(&self, other: &Self) {
        self.completed.absorb(&other.completed);
        self.classes.iter().zip(&other.classes).for_each(|(mine, theirs)| mine.absorb(theirs));
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        self.completed.read(&field_name(name, "downstream_rq_completed"), reader);
        for (class, counter) in (1..).zip(&self.classes) {
            counter.read(&field_name(name, &format!("downstream_rq_{class}xx")), reader);
        }
    }

    fn rebase(&self, base: &Self) {
        self.completed.rebase(&base.completed);
        self.classes.iter().zip(&base.classes).for_each(|(mine, base)| mine.rebase(base));
    }
}

group! {
    /// `http.PREFIX.tracing.*`
    pub(crate) struct TracingStats {
        /// Requests that were sampled by chance.
        random_sampling: Counter,
        /// Requests that a service had traced.
        service_forced: Counter,
        /// Requests whose client had them traced.
        client_enabled: Counter,
        /// Requests that are not traced.
        not_traceable: Counter,
        /// Health checks, which are not traced.
        health_check: Counter,
    }
}

group! {
    /// `listener.ADDRESS.http.PREFIX.*`
    pub(crate) struct HttpListenerStats {
        /// Responses by class.
        _codes: Classes,
    }
}
