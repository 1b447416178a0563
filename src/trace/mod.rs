//! Tracing: what a stream's span is, from the decision to trace to the record that is exported.
//!
//! A worker starts and finishes spans alone; what it hands to the exporter is a [`FinishedSpan`], small and
//! without formatting. The exporter, off the workers, turns it into OpenTelemetry's types.

pub(crate) mod buffer;
pub(crate) mod exporter;
pub(crate) mod otel_sampler;
pub(crate) mod propagation;
pub(crate) mod resource;
pub(crate) mod sampler;
mod span_data;
pub(crate) mod stream;

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use http::{HeaderValue, Version};
use opentelemetry::{SpanId, TraceId};

use crate::snapshot::{cluster::Cluster, listener::Tracer};

/// The side of a hop that a span shows. OpenTelemetry's SpanKind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpanKind {
    /// A request coming in to a service.
    Server,
    /// A request going out of one.
    Client,
}

/// What a span is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpanName {
    /// `ingress`
    Ingress,
    /// `egress ` and the authority.
    Egress(Box<str>),
    /// The operation of a decorator.
    Operation(Arc<str>),
    /// The operation that the previous hop named.
    Header(HeaderValue),
}

/// The open span of a stream. It exists for each stream of a tracing listener, sampled or not, since ids
/// travel on either way; what only an exported span needs is in [`Span::record`].
#[derive(Debug)]
pub(crate) struct Span {
    /// The trace it belongs to.
    pub(crate) trace_id: TraceId,
    /// Its own id.
    pub(crate) span_id: SpanId,
    /// The span of the previous hop, if there was one.
    pub(crate) parent: Option<SpanId>,
    /// `tracestate` as it came, lines joined by `,`; empty if none came.
    pub(crate) trace_state: HeaderValue,
    /// What is exported at its end; `None` if it is not sampled.
    pub(crate) record: Option<Box<SpanRecord>>,
}

impl Span {
    /// Whether it will be exported.
    pub(crate) fn sampled(&self) -> bool {
        self.record.is_some()
    }
}

/// What is known of a sampled span at its start.
#[derive(Debug)]
pub(crate) struct SpanRecord {
    /// Where it goes.
    pub(crate) tracer: Arc<Tracer>,
    /// Ingress or egress.
    pub(crate) kind: SpanKind,
    /// May be replaced until its end.
    pub(crate) name: SpanName,
    /// `x-request-id`
    pub(crate) request_id: Option<HeaderValue>,
    /// `x-client-trace-id`
    pub(crate) client_trace_id: Option<HeaderValue>,
    /// `http.url`
    pub(crate) url: Box<str>,
    /// `http.method`
    pub(crate) method: http::Method,
    /// `x-envoy-downstream-service-cluster`
    pub(crate) downstream_cluster: Option<HeaderValue>,
    /// `user-agent`
    pub(crate) user_agent: Option<HeaderValue>,
    /// `http.protocol`
    pub(crate) protocol: Version,
    /// `peer.address`
    pub(crate) peer: Option<IpAddr>,
    /// Its request's gRPC facts, if it is gRPC.
    pub(crate) grpc: Option<Box<GrpcRequest>>,
    /// Its response's gRPC status, once there is one.
    pub(crate) grpc_status: Option<GrpcStatus>,
}

/// What a span says of a gRPC request.
#[derive(Debug)]
pub(crate) struct GrpcRequest {
    /// `grpc.path`
    pub(crate) path: Box<str>,
    /// `grpc.authority`
    pub(crate) authority: Box<str>,
    /// `grpc.content_type`
    pub(crate) content_type: HeaderValue,
    /// `grpc.timeout`
    pub(crate) timeout: Option<HeaderValue>,
}

/// The outcome of a gRPC call.
#[derive(Debug, Clone)]
pub(crate) struct GrpcStatus {
    /// `grpc.status_code`
    pub(crate) code: HeaderValue,
    /// `grpc.message`
    pub(crate) message: Option<HeaderValue>,
}

/// A span whose stream has ended, as a worker hands it over.
#[derive(Debug)]
pub(crate) struct FinishedSpan {
    /// What was known at its start.
    pub(crate) record: Box<SpanRecord>,
    /// As in [`Span`].
    pub(crate) trace_id: TraceId,
    /// As in [`Span`].
    pub(crate) span_id: SpanId,
    /// As in [`Span`].
    pub(crate) parent: Option<SpanId>,
    /// As in [`Span`].
    pub(crate) trace_state: HeaderValue,
    /// When its stream began.
    pub(crate) start: SystemTime,
    /// When its stream ended.
    pub(crate) end: SystemTime,
    /// `request_size`
    pub(crate) request_bytes: u64,
    /// `response_size`
    pub(crate) response_bytes: u64,
    /// `http.status_code`; 0 for none.
    pub(crate) status: u16,
    /// `response_flags`
    pub(crate) flags: crate::stream_info::flags::ResponseFlags,
    /// `upstream_cluster`
    pub(crate) cluster: Option<Arc<Cluster>>,
}
