//! Spans: from a request's headers to the record of its end, and from that to what a collector is sent.

use std::{hint::black_box, rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::{runtime::Runtime, sync::mpsc};

use super::{Operation, Variation, headers::connection, listener, request_headers, snapshot, tracing};
use crate::{
    export::sender::Sender,
    http_headers::X_REQUEST_ID,
    snapshot::{
        Snapshot,
        delivery::{Limits, OtlpExporter},
        tracing::Provider,
    },
    stream_info::{ConnectionInfo, StreamInfo, formatter::PseudoHeaders},
    trace::{
        FinishedSpan,
        batch::Batch,
        buffer::{self, SpanBuffer},
        otlp::{EncodedSpans, SpanEncoder},
        stream::{self, RouteNames, TracedRequest},
    },
};

/// A buffer of one tracer, and what it hands over.
pub(super) fn buffer(snapshot: &Snapshot) -> (Rc<SpanBuffer>, Option<mpsc::UnboundedReceiver<Batch>>) {
    let tracer = snapshot.tracers.first();
    buffer_with(snapshot, tracer.map(|tracer| SpanEncoder::new(&snapshot.node, tracer.conventions)))
}

/// The same, which keeps records unless there is an `encoder`.
fn buffer_with(
    snapshot: &Snapshot,
    encoder: Option<SpanEncoder>,
) -> (Rc<SpanBuffer>, Option<mpsc::UnboundedReceiver<Batch>>) {
    let Some(tracer) = snapshot.tracers.first() else { return (SpanBuffer::new(Vec::new()), None) };
    // Nobody takes from it while it is measured, and it must not be full.
    let limits = Limits { spans: usize::MAX, bytes: usize::MAX };
    let (queue, batches, _) = buffer::queue(tracer.flush, limits, encoder);
    (SpanBuffer::new(vec![queue]), Some(batches))
}

/// The start of a request's span, what the host is told of it, and its end.
pub(super) struct Spans {
    snapshot: Arc<Snapshot>,
    connection: Rc<ConnectionInfo>,
    traced: bool,
    requests: Vec<(StreamInfo, HeaderMap)>,
    buffer: Rc<SpanBuffer>,
    /// What it hands over, where nobody else takes it.
    batches: Option<mpsc::UnboundedReceiver<Batch>>,
}

impl Spans {
    /// Sampled ones, which go into `buffer`.
    pub(super) fn with_buffer(snapshot: Arc<Snapshot>, buffer: Rc<SpanBuffer>) -> Self {
        let connection = connection();
        Self { connection, traced: true, requests: Vec::new(), buffer, batches: None, snapshot }
    }

    /// Hand over what has ended.
    pub(super) fn flush(&self) {
        self.buffer.flush();
    }

    fn take(&mut self) -> Option<Batch> {
        self.batches.as_mut()?.try_recv().ok()
    }

    pub(super) fn new(traced: bool) -> Self {
        let snapshot = snapshot(&Variation { manager: &tracing(Some(100)), ..Variation::default() });
        let (buffer, batches) = buffer(&snapshot);
        Self { connection: connection(), traced, requests: Vec::new(), buffer, batches, snapshot }
    }
}

impl Spans {
    /// What is handed over of so many spans that have ended.
    fn ended(&mut self, times: usize) -> Vec<Batch> {
        self.prepare(times);
        self.run(times);
        self.buffer.flush();
        std::iter::from_fn(|| self.take()).collect()
    }
}

impl Operation for Spans {
    fn prepare(&mut self, times: usize) {
        while self.take().is_some() {}
        self.requests.clear();
        self.requests.extend((0..times).map(|_| {
            let mut headers = request_headers();
            headers.insert(X_REQUEST_ID, "4f6b2d1e-9f0a-4c1d-9b6e-2f1d3c4b5a69".parse().expect("an id"));
            let info = StreamInfo::new(Rc::clone(&self.connection), Version::HTTP_11);
            info.cluster.replace(self.snapshot.clusters.first().cloned().map(Rc::new));
            (info, headers)
        }));
    }

    fn run(&mut self, times: usize) {
        let listener = listener(&self.snapshot);
        let tracing = listener.manager.tracing.as_ref().expect("tracing");
        for (info, headers) in self.requests.iter_mut().take(times) {
            let request = TracedRequest {
                tracing,
                policy: &tracing.policy,
                direction: listener.direction,
                traced: black_box(self.traced),
                headers,
                pseudo: PseudoHeaders {
                    method: "GET",
                    path: "/service-00042/orders/7?page=2",
                    authority: "www.example.com",
                    scheme: "http",
                },
                method: &Method::GET,
                decorator: None,
                grpc: false,
                external: true,
                names: RouteNames::default(),
                node: &self.snapshot.node,
            };
            info.span.replace(stream::start(&request, info));
            stream::inject(info, tracing, headers);
            info.status.set(200);
            stream::finish(info, &self.buffer);
        }
    }
}

/// A finished span as OTLP's bytes.
pub(super) struct Encode {
    spans: Spans,
    encoder: SpanEncoder,
    ready: Vec<FinishedSpan>,
    encoded: EncodedSpans,
}

impl Encode {
    pub(super) fn new() -> Self {
        let mut spans = Spans::new(true);
        let (buffer, batches) = buffer_with(&spans.snapshot, None);
        spans.buffer = buffer;
        spans.batches = batches;
        let tracer = spans.snapshot.tracers.first().expect("a tracer");
        let encoder = SpanEncoder::new(&spans.snapshot.node, tracer.conventions);
        Self { encoder, ready: Vec::new(), encoded: EncodedSpans::default(), spans }
    }
}

impl Operation for Encode {
    fn prepare(&mut self, times: usize) {
        self.ready = self.spans.ended(times).into_iter().flat_map(|batch| batch.records).collect();
        // As a worker leaves room for as much as it has just handed over.
        self.encoded = EncodedSpans::with_room_for(&self.encoded);
    }

    fn run(&mut self, times: usize) {
        for span in self.ready.iter().take(times) {
            self.encoder.encode(black_box(span), &mut self.encoded);
        }
        assert_eq!(self.encoded.len(), times);
    }
}

/// A span's share of an export call.
pub(super) struct Export {
    spans: Spans,
    ready: Vec<Batch>,
    sender: Sender,
    runtime: Runtime,
}

impl Export {
    pub(super) fn new() -> Self {
        let spans = Spans::new(true);
        let tracer = spans.snapshot.tracers.first().expect("a tracer");
        let Provider::OpenTelemetry(otel) = &tracer.provider else { panic!("another tracer") };
        let OtlpExporter::Http(service) = &otel.exporter else { panic!("another exporter") };
        let sender =
            Sender::otlp_http(tracer, (otel, service), "c".into(), Box::new(Nowhere)).expect("an address");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { spans, ready: Vec::new(), sender, runtime }
    }
}

impl Operation for Export {
    fn prepare(&mut self, times: usize) {
        self.ready = self.spans.ended(times);
        assert!(self.ready.iter().map(Batch::len).sum::<usize>() == times);
    }

    fn run(&mut self, _: usize) {
        for batch in self.ready.drain(..) {
            let accepted = self.runtime.block_on(self.sender.send(&batch)).expect("it takes all");
            assert_eq!(accepted.rejected, 0);
        }
    }
}

/// A collector that takes everything.
#[derive(Debug)]
struct Nowhere;

#[tonic::async_trait]
impl HttpClient for Nowhere {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        assert!(!black_box(request).body().is_empty());
        Ok(Response::new(Bytes::new()))
    }
}
