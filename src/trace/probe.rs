//! A span that is of no request: what `spanway trace-test` sends.

use std::time::SystemTime;

use http::{HeaderValue, Method, Version};
use opentelemetry::{SpanId, TraceId};

use super::{FinishedSpan, RequestFacts, SpanKind, SpanName, SpanRecord, Subject, context::Carrier};

/// Its name.
pub(crate) const NAME: &str = "spanway trace-test";
/// The attribute that marks it.
const MARK: &str = "spanway.trace_test";

/// A marked span of a trace of its own, for the tracer at that place of the snapshot.
pub(crate) fn span(tracer: usize) -> FinishedSpan {
    let record = SpanRecord {
        tracer,
        kind: SpanKind::Server,
        name: SpanName::Operation(NAME.into()),
        request: RequestFacts {
            request_id: None,
            client_trace_id: None,
            url: "http://trace-test.spanway.invalid/".into(),
            method: Method::GET,
            downstream_cluster: None,
            user_agent: Some(HeaderValue::from_static("spanway")),
            protocol: Version::HTTP_11,
            peer: None,
            forwarded_for: None,
            grpc: None,
        },
        grpc_status: None,
    };
    let now = SystemTime::now();
    FinishedSpan {
        tracer,
        trace_id: TraceId::from(fastrand::u128(1..)),
        span_id: SpanId::from(fastrand::u64(1..)),
        parent: None,
        remote_parent: false,
        carrier: Carrier::TraceContext,
        egress: false,
        trace_state: HeaderValue::from_static(""),
        kind: SpanKind::Server,
        name: SpanName::Operation(NAME.into()),
        start: now,
        end: now,
        subject: Subject::Stream { record: Box::new(record), request_bytes: 0, response_bytes: 0 },
        route: "".into(),
        link: None,
        status: 200,
        flags: Default::default(),
        cluster: None,
        grpc_status: None,
        custom_tags: vec![(MARK.into(), "true".into())],
        cause: None,
        events: Vec::new(),
    }
}
