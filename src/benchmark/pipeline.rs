//! The whole way of a span: made by a worker, exported by a thread of its own.

use std::{net::SocketAddr, sync::Arc, thread::JoinHandle};

use super::{Operation, Variation, snapshot, spans::Spans};
use crate::{
    cluster::ClusterState,
    export::{
        Exporter,
        sender::{Sender, Surroundings},
        stats::TracerStats,
    },
    snapshot::Snapshot,
    trace::{
        buffer::{self, SpanBuffer},
        otlp::SpanEncoder,
    },
};

/// Makes spans as requests do, and exports them over gRPC.
pub struct Pipeline {
    spans: Spans,
    stats: Arc<TracerStats>,
    exporter: JoinHandle<()>,
}

impl Pipeline {
    /// To the collector at `address`.
    pub fn start(address: SocketAddr) -> Self {
        let host = format!(
            r#"{{"socket_address": {{"address": "{}", "port_value": {}}}}}"#,
            address.ip(),
            address.port()
        );
        let snapshot =
            snapshot(&Variation { manager: TRACING, cluster: HTTP2, hosts: &[host], ..Variation::default() });
        let tracer = snapshot.tracers.first().expect("a tracer");
        let encoder = SpanEncoder::of(tracer, &snapshot.node);
        let (queue, incoming, workers) = buffer::queue(tracer.flush, tracer.delivery.queue, encoder);
        let stats = Arc::new(TracerStats::new(Arc::clone(&workers)));
        let exporter = {
            let (snapshot, stats) = (Arc::clone(&snapshot), Arc::clone(&stats));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    let (_hurry, patience) = tokio::sync::watch::channel(false);
                    let sender = sender(&snapshot);
                    let tracer = snapshot.tracers.first().expect("a tracer");
                    Exporter::new(tracer, sender, incoming, workers, stats, None).run(patience).await;
                });
            })
        };
        let spans = Spans::with_buffer(snapshot, SpanBuffer::new(vec![queue]));
        Self { spans, stats, exporter }
    }

    /// Make `count` spans; what is prepared for it costs, too.
    pub fn make(&mut self, count: usize) {
        self.spans.prepare(count);
        self.spans.run(count);
    }

    /// Hand over what a worker would after its interval.
    pub fn flush(&self) {
        self.spans.flush();
    }

    /// Wait until all is exported or lost: how many spans are acknowledged.
    pub fn end(self) -> u64 {
        drop(self.spans);
        self.exporter.join().expect("the exporter ends");
        self.stats.figures().delivered.exported
    }
}

fn sender(snapshot: &Snapshot) -> Sender {
    let clusters = ClusterState::all(snapshot);
    let own_ip = std::net::Ipv4Addr::LOCALHOST.into();
    let around = Surroundings { node: &snapshot.node, clusters: &clusters, own_ip, observer: None };
    Sender::new(snapshot.tracers.first().expect("a tracer"), &around).expect("a sender")
}

const TRACING: &str = r#""tracing": {"provider": {
    "name": "envoy.tracers.opentelemetry",
    "typed_config": {
      "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig", "service_name": "bench",
      "grpc_service": {"envoy_grpc": {"cluster_name": "c"}}}}},"#;

const HTTP2: &str = r#""typed_extension_protocol_options": {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
      "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
      "explicit_http_config": {"http2_protocol_options": {}}}},"#;
