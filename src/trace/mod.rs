//! Tracing: what a stream's spans are, from the decision to trace to the record that is exported.
//!
//! A worker starts and finishes spans alone; what it hands to the exporter is a [`FinishedSpan`], small and
//! without formatting. The exporter, off the workers, turns it into the types of its tracing system.

pub(crate) mod attempt;
pub(crate) mod attributes;
mod b3;
pub(crate) mod batch;
pub(crate) mod buffer;
pub(crate) mod context;
mod custom_tags;
pub(crate) mod decorator;
pub(crate) mod events;
pub(crate) mod otlp;
pub(crate) mod probe;
pub(crate) mod propagation;
pub(crate) mod sampler;
mod sampling;
mod semantic_conventions;
pub(crate) mod stream;
pub(crate) mod xray;
pub(crate) mod zipkin;

use std::{sync::Arc, time::SystemTime};

use http::{HeaderValue, Version};
use opentelemetry::{SpanId, TraceId};

use self::{
    attempt::OpenAttempt, context::Carrier, custom_tags::LateRequest, events::StreamEvents,
    propagation::Parent, sampling::Sampling,
};
use crate::{
    snapshot::cluster::Cluster,
    stream_info::{IpText, cause::Cause, flags::ResponseFlags},
};

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
    /// The authority. Zipkin's.
    Authority(Box<str>),
    /// `egress ` and the authority.
    Egress(Box<str>),
    /// The operation of a decorator.
    Operation(Arc<str>),
    /// The operation that the neighbour named.
    Header(HeaderValue),
    /// What a format string came to.
    Formatted(Box<str>),
    /// `router `, the cluster, ` egress`.
    Router,
    /// The method and the route's name.
    Route,
    /// `mirror`
    Mirror,
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
    /// `tracestate` as it goes on; empty if none came.
    pub(crate) trace_state: HeaderValue,
    /// In whose words the next hop is told.
    pub(crate) carrier: Carrier,
    /// Its trace id is random, says the previous hop.
    pub(crate) random: bool,
    /// The listener faces outwards.
    pub(crate) egress: bool,
    /// What is exported at its end; `None` if it is not sampled.
    pub(crate) record: Option<Box<SpanRecord>>,
    /// The request to a host that is open, where each has a span of its own.
    pub(crate) attempt: Option<Box<OpenAttempt>>,
    /// What a sampler looks at for these, where there is one.
    pub(crate) sampling: Option<Box<Sampling>>,
    /// The spans of requests to hosts that have ended.
    pub(crate) ended_attempts: Vec<FinishedSpan>,
    /// What formats and custom tags read at the end, where there are any.
    pub(crate) late: Option<Box<LateRequest>>,
    /// When bytes moved, where spans tell it.
    pub(crate) events: Option<Box<StreamEvents>>,
    /// The span that an external client claims to continue, where that is not believed.
    pub(crate) link: Option<Box<Parent>>,
}

impl Span {
    /// Whether it will be exported.
    pub(crate) fn sampled(&self) -> bool {
        self.record.is_some()
    }

    /// Whether the span of the request to a host will be exported; `None` where it has none of its own.
    pub(crate) fn attempt_sampled(&self) -> Option<bool> {
        self.attempt.as_ref().map(|attempt| attempt.sampled)
    }
}

/// What is known of a sampled span at its start.
#[derive(Debug)]
pub(crate) struct SpanRecord {
    /// The place of its tracer in the snapshot.
    pub(crate) tracer: usize,
    /// Ingress or egress.
    pub(crate) kind: SpanKind,
    /// May be replaced until its end.
    pub(crate) name: SpanName,
    /// What the request says of itself.
    pub(crate) request: RequestFacts,
    /// Its response's gRPC status, once there is one.
    pub(crate) grpc_status: Option<GrpcStatus>,
}

/// What a span says of the request it was started for.
#[derive(Debug)]
pub(crate) struct RequestFacts {
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
    pub(crate) peer: Option<IpText>,
    /// `x-forwarded-for`, where the tracer wants it.
    pub(crate) forwarded_for: Option<HeaderValue>,
    /// Its gRPC facts, if it is gRPC.
    pub(crate) grpc: Option<Box<GrpcRequest>>,
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

/// A span that has ended, as a worker hands it over.
#[derive(Debug)]
pub(crate) struct FinishedSpan {
    /// The place of its tracer in the snapshot.
    pub(crate) tracer: usize,
    /// The trace it belongs to.
    pub(crate) trace_id: TraceId,
    /// Its own id.
    pub(crate) span_id: SpanId,
    /// The span that it is part of.
    pub(crate) parent: Option<SpanId>,
    /// That span is another hop's.
    pub(crate) remote_parent: bool,
    /// In whose words its trace is told.
    pub(crate) carrier: Carrier,
    /// The listener faces outwards.
    pub(crate) egress: bool,
    /// `tracestate` of the trace.
    pub(crate) trace_state: HeaderValue,
    /// Ingress or egress.
    pub(crate) kind: SpanKind,
    /// What it is called.
    pub(crate) name: SpanName,
    /// When it began.
    pub(crate) start: SystemTime,
    /// When it ended.
    pub(crate) end: SystemTime,
    /// What it is the span of.
    pub(crate) subject: Subject,
    /// Name of the route; empty if it has none.
    pub(crate) route: Arc<str>,
    /// A span of another trace that caused it.
    pub(crate) link: Option<Box<Parent>>,
    /// `http.status_code`; 0 for none.
    pub(crate) status: u16,
    /// `response_flags`
    pub(crate) flags: ResponseFlags,
    /// `upstream_cluster`
    pub(crate) cluster: Option<Arc<Cluster>>,
    /// The outcome of a gRPC call.
    pub(crate) grpc_status: Option<GrpcStatus>,
    /// What the configuration adds.
    pub(crate) custom_tags: Vec<(Arc<str>, Box<str>)>,
    /// Why it ended with an error of the proxy's own.
    pub(crate) cause: Option<Box<Cause>>,
    /// When bytes moved, in the order of Envoy.
    pub(crate) events: Vec<(&'static str, SystemTime)>,
}

/// What a span is the span of.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A request of a client.
    Stream {
        /// What was known at its start.
        record: Box<SpanRecord>,
        /// `request_size`
        request_bytes: u64,
        /// `response_size`
        response_bytes: u64,
    },
    /// One request to a host.
    Attempt(attempt::AttemptFacts),
}
