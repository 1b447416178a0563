//! What is counted of connections and streams, under Envoy's names.

use std::time::Duration;

use tokio::time::Instant;

use super::{Connection, codec::Protocol, connection_timer::Due};
use crate::{
    snapshot::cluster::Cluster,
    stats::{Gauge, HttpStats},
    stream_info::{ResponseFlag, StreamInfo, deadline::Expired},
};

impl Connection {
    /// Where this worker counts what happens on this listener.
    pub(super) fn stats(&self) -> &HttpStats {
        self.listener.manager.stats.mine()
    }

    /// The connection was accepted.
    pub(super) fn count_opened(&self) {
        let listener = self.listener.stats.mine();
        listener.downstream_cx_total.inc();
        listener.downstream_cx_active.inc();
        let stats = self.stats();
        stats.downstream_cx_total.inc();
        stats.downstream_cx_active.inc();
        if self.is_tls() {
            stats.downstream_cx_ssl_total.inc();
            stats.downstream_cx_ssl_active.inc();
        }
    }

    /// It is known which HTTP it speaks.
    pub(super) fn count_protocol(&self, protocol: Protocol) {
        self.protocol.set(Some(protocol));
        let stats = self.stats();
        match protocol {
            Protocol::Http1 => stats.downstream_cx_http1_total.inc(),
            Protocol::Http2 => stats.downstream_cx_http2_total.inc(),
        }
        self.active_of(protocol).inc();
    }

    fn active_of(&self, protocol: Protocol) -> &Gauge {
        match protocol {
            Protocol::Http1 => &self.stats().downstream_cx_http1_active,
            Protocol::Http2 => &self.stats().downstream_cx_http2_active,
        }
    }

    /// It ends by the clock.
    pub(super) fn count_due(&self, due: Due) {
        match due {
            Due::Idle => self.stats().downstream_cx_idle_timeout.inc(),
            Due::Age => self.stats().downstream_cx_max_duration_reached.inc(),
            Due::Headers(_) => self.stats().downstream_rq_header_timeout.inc(),
            Due::Drained | Due::Rest => return,
        }
        self.closed_here.set(true);
    }

    /// A request has come in.
    pub(super) fn count_request(&self) {
        let stats = self.stats();
        stats.downstream_rq_total.inc();
        stats.downstream_rq_active.inc();
        if self.http1.get() {
            stats.downstream_rq_http1_total.inc();
        } else {
            stats.downstream_rq_http2_total.inc();
        }
    }

    /// The headers of its response go out.
    pub(super) fn count_response(&self, info: &StreamInfo, local: bool) {
        let status = info.status.get();
        if info.health_check.get() || status == 0 {
            return;
        }
        self.stats()._codes.count(status);
        self.listener.http_stats.mine()._codes.count(status);
        if local {
            self.count_reply(info.details.get(), status);
        }
        // What ends a stream from the client's side is no answer of the cluster's.
        let details = info.details.get();
        let of_cluster = !local
            || info.attempts.get() > 0
                && !matches!(details, "request_overall_timeout" | "stream_idle_timeout");
        if of_cluster && let Some(cluster) = &*info.cluster.borrow() {
            count_cluster_response(cluster, status, info.internal.get());
            info.count(|stats| stats._codes.count(status));
        }
    }

    /// A request that never became a stream was answered with `status`.
    pub(super) fn count_broken_request(&self, status: u16, malformed: bool) {
        let stats = self.stats();
        stats.downstream_rq_total.inc();
        stats.downstream_rq_http1_total.inc();
        stats.downstream_rq_rx_reset.inc();
        stats.downstream_rq_response_before_rq_complete.inc();
        stats._codes.count(status);
        self.listener.http_stats.mine()._codes.count(status);
        if malformed {
            stats.downstream_cx_protocol_error.inc();
        }
        self.closed_here.set(true);
    }

    /// A client went on sending after its last response.
    pub(super) fn count_delayed_close_timeout(&self) {
        self.stats().downstream_cx_delayed_close_timeout.inc();
    }

    /// What the reason of a reply of our own counts as.
    fn count_reply(&self, details: &str, status: u16) {
        let stats = self.stats();
        match details {
            "route_not_found" => stats.no_route.inc(),
            "cluster_not_found" => stats.no_cluster.inc(),
            "direct_response" => stats.rq_direct_response.inc(),
            "request_overall_timeout" => stats.downstream_rq_timeout.inc(),
            "absolute_path_rejected" => stats.downstream_rq_non_relative_path.inc(),
            "path_normalization_failed" if status == 400 => {
                stats.downstream_rq_failed_path_normalization.inc();
            }
            "path_normalization_failed" => stats.downstream_rq_redirected_with_normalized_path.inc(),
            "rejecting_because_detection_failed" => stats.downstream_rq_rejected_via_ip_detection.inc(),
            "upgrade_failed" => stats.downstream_rq_ws_on_non_ws_route.inc(),
            codec if codec.starts_with("http1.") => stats.downstream_cx_protocol_error.inc(),
            _ => {}
        }
    }

    /// How long a request took, of its route, too.
    pub(super) fn record_duration(&self, info: &StreamInfo) {
        let duration = info.start.elapsed();
        self.stats().downstream_rq_time.record(milliseconds(duration));
        let routes = &self.listener.manager.routes.stats;
        if let Some(route) = routes.get(info.route.get() as usize) {
            let span = info.span.borrow();
            let sampled = span.as_ref().filter(|span| span.record.is_some());
            let span = sampled.map(|span| (span.trace_id, span.span_id));
            route.mine().record(info.method.get(), info.status.get(), (info.start_time, duration), span);
        }
    }

    /// A stream has ended.
    pub(super) fn count_stream_end(&self, info: &StreamInfo) {
        let stats = self.stats();
        stats.downstream_rq_active.dec();
        let flags = info.flags.get();
        if flags.contains(ResponseFlag::StreamIdleTimeout) {
            stats.downstream_rq_idle_timeout.inc();
        }
        let left = flags.contains(ResponseFlag::DownstreamConnectionTermination);
        let whole = info.response_complete.get();
        if left && self.http1.get() {
            // An HTTP/1 stream is broken off by closing its connection.
            self.cut.set(true);
        }
        if !whole && !left {
            stats.downstream_rq_tx_reset.inc();
        }
        if left || !whole || info.request_end.get().is_none() {
            stats.downstream_rq_rx_reset.inc();
        }
        if whole && info.request_end.get().is_none() {
            stats.downstream_rq_response_before_rq_complete.inc();
        }
        if info.health_check.get() {
            stats.tracing.health_check.inc();
        } else {
            self.record_duration(info);
        }
    }
}

/// A response of `cluster`, or one of ours in its stead.
fn count_cluster_response(cluster: &Cluster, status: u16, internal: bool) {
    let stats = cluster.stats.mine();
    stats._codes.0.count(status);
    let origin = if internal { &stats.internal } else { &stats.external };
    origin._codes.count(status);
}

/// A deadline of a stream passed.
pub(super) fn count_expired(info: &StreamInfo, expired: Expired) {
    if expired == Expired::Route
        && let Some(cluster) = &*info.cluster.borrow()
    {
        cluster.stats.mine().upstream_rq_timeout.inc();
        info.count(|stats| stats.upstream_rq_timeout.inc());
    }
}

/// A host's response was read whole.
pub(super) fn count_upstream_time(info: &StreamInfo) {
    let (Some(cluster), Some(end)) = (&*info.cluster.borrow(), info.request_end.get()) else { return };
    let stats = cluster.stats.mine();
    let time = milliseconds_since(end);
    stats.upstream_rq_time.0.record(time);
    let origin = if info.internal.get() { &stats.internal } else { &stats.external };
    origin.upstream_rq_time.0.record(time);
    info.count(|stats| stats.upstream_rq_time.0.record(time));
}

fn milliseconds_since(start: Instant) -> u64 {
    milliseconds(start.elapsed())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Connection {
    fn drop(&mut self) {
        let length = milliseconds_since(self.began);
        let listener = self.listener.stats.mine();
        listener.downstream_cx_active.dec();
        listener.downstream_cx_destroy.inc();
        listener.downstream_cx_length_ms.record(length);
        if let Some(protocol) = self.protocol.get() {
            self.active_of(protocol).dec();
        }
        let stats = self.stats();
        stats.downstream_cx_active.dec();
        stats.downstream_cx_destroy.inc();
        stats.downstream_cx_length_ms.record(length);
        if self.is_tls() {
            stats.downstream_cx_ssl_active.dec();
        }
        let here = self.closed_here.get() || self.ending.get() || self.told.get().is_some();
        if here {
            stats.downstream_cx_destroy_local.inc();
        } else {
            stats.downstream_cx_destroy_remote.inc();
        }
        if self.cut.get() {
            stats.downstream_cx_destroy_active_rq.inc();
            if here {
                stats.downstream_cx_destroy_local_active_rq.inc();
            } else {
                stats.downstream_cx_destroy_remote_active_rq.inc();
            }
        }
    }
}
