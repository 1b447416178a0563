//! The SDK's way: `BatchSpanProcessor` and the exporter of `opentelemetry-otlp`, with their defaults.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};

/// A tracer and what it exports to.
pub(crate) struct Pipeline {
    tracer: SdkTracer,
    provider: SdkTracerProvider,
    acknowledged: Arc<AtomicU64>,
    /// The exporter's connection lives in it.
    _runtime: tokio::runtime::Runtime,
}

impl Pipeline {
    /// To the collector at `address`.
    pub(crate) fn start(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let acknowledged = Arc::<AtomicU64>::default();
        let provider = {
            let _entered = runtime.enter();
            let exporter = OtlpExporter::builder().with_tonic().with_endpoint(format!("http://{address}"));
            let exporter = exporter.build().expect("an exporter");
            let counted = Counted { exporter, acknowledged: Arc::clone(&acknowledged) };
            SdkTracerProvider::builder().with_batch_exporter(counted).build()
        };
        Self { tracer: provider.tracer("spanway"), provider, acknowledged, _runtime: runtime }
    }

    /// Make `count` spans, each with what a span of a request has.
    pub(crate) fn make(&self, count: usize) {
        for _ in 0..count {
            let span = self.tracer.span_builder("ingress").with_kind(SpanKind::Server);
            drop(span.with_attributes(attributes()).start(&self.tracer));
        }
    }

    /// Wait for the last spans: how many are acknowledged.
    pub(crate) fn end(self) -> u64 {
        // What it says of spans that it lost is counted anyway.
        let _ = self.provider.shutdown();
        self.acknowledged.load(Ordering::Relaxed)
    }
}

/// Those of a request, as owned as those of a proxy are.
fn attributes() -> Vec<KeyValue> {
    let texts = [
        ("node_id", "n"),
        ("zone", ""),
        ("guid:x-request-id", "4f6b2d1e-9f0a-4c1d-9b6e-2f1d3c4b5a69"),
        ("http.url", "http://www.example.com/service-00042/orders/7?page=2"),
        ("http.method", "GET"),
        ("downstream_cluster", "-"),
        ("user_agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
        ("http.protocol", "HTTP/1.1"),
        ("peer.address", "192.0.2.7"),
        ("request_size", "0"),
        ("response_size", "0"),
        ("component", "proxy"),
        ("upstream_cluster", "c"),
        ("upstream_cluster.name", "c"),
        ("http.status_code", "200"),
        ("response_flags", "-"),
        ("route", "orders"),
    ];
    texts.into_iter().map(|(key, value)| KeyValue::new(key, value.to_owned())).collect()
}

#[derive(Debug)]
struct Counted {
    exporter: OtlpExporter,
    acknowledged: Arc<AtomicU64>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let outcome = self.exporter.export(batch).await;
        if outcome.is_ok() {
            self.acknowledged.fetch_add(count, Ordering::Relaxed);
        }
        outcome
    }
}
