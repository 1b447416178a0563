//! The span of a downstream stream: how it starts, what its response adds, how it ends.

use std::{net::IpAddr, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, header};

use super::{
    FinishedSpan, GrpcRequest, GrpcStatus, Span, SpanKind, SpanName, SpanRecord,
    buffer::SpanBuffer,
    propagation::{self, Incoming},
};
use crate::{
    http_headers::{
        GRPC_MESSAGE, GRPC_STATUS, GRPC_TIMEOUT, X_CLIENT_TRACE_ID, X_ENVOY_DECORATOR_OPERATION,
        X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, X_ENVOY_ORIGINAL_PATH, X_REQUEST_ID,
    },
    snapshot::{
        listener::{Tracing, TrafficDirection},
        matcher::header_text,
        route::Decorator,
    },
    stream_info::{StreamInfo, formatter::PseudoHeaders},
};

/// A request whose span starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracedRequest<'a> {
    /// How its listener traces.
    pub(crate) tracing: &'a Tracing,
    /// Which way its listener faces.
    pub(crate) direction: TrafficDirection,
    /// Envoy's decision ([`super::sampler::decide`]).
    pub(crate) traced: bool,
    /// Its headers, sanitized.
    pub(crate) headers: &'a HeaderMap,
    /// Its pseudo-headers.
    pub(crate) pseudo: PseudoHeaders<'a>,
    /// The method once more, as a span keeps it.
    pub(crate) method: &'a Method,
    /// Its route's decorator.
    pub(crate) decorator: Option<&'a Decorator>,
    /// It is gRPC.
    pub(crate) grpc: bool,
}

/// Start the span of a request. `None` if what the previous hop said cannot be read: then, as in Envoy, there
/// is no span and the header travels on as it is.
pub(crate) fn start(request: &TracedRequest<'_>, info: &StreamInfo) -> Option<Box<Span>> {
    let parent = match propagation::extract(request.headers) {
        Incoming::None => None,
        Incoming::Parent(parent) => Some(parent),
        Incoming::Invalid => return None,
    };
    // Envoy may say no to what a parent sampled, never yes to what it did not.
    let sampled = request.traced && parent.as_ref().is_none_or(|parent| parent.sampled);
    Some(Box::new(Span {
        trace_id: parent.as_ref().map_or_else(propagation::new_trace_id, |parent| parent.trace_id),
        span_id: propagation::new_span_id(),
        trace_state: match parent {
            Some(_) => propagation::trace_state(request.headers),
            None => HeaderValue::from_static(""),
        },
        parent: parent.map(|parent| parent.span_id),
        record: sampled.then(|| Box::new(record(request, info))),
    }))
}

fn record(request: &TracedRequest<'_>, info: &StreamInfo) -> SpanRecord {
    let header = |name| request.headers.get(name).cloned();
    let outbound = request.direction == TrafficDirection::Outbound;
    SpanRecord {
        tracer: std::sync::Arc::clone(&request.tracing.tracer),
        kind: if outbound { SpanKind::Client } else { SpanKind::Server },
        name: match (request.decorator, outbound) {
            (Some(decorator), _) if !decorator.operation.is_empty() => {
                SpanName::Operation(std::sync::Arc::clone(&decorator.operation))
            }
            (_, true) => SpanName::Egress(request.pseudo.authority.into()),
            (_, false) => SpanName::Ingress,
        },
        request_id: header(X_REQUEST_ID),
        client_trace_id: header(X_CLIENT_TRACE_ID),
        url: url(request).into(),
        method: request.method.clone(),
        downstream_cluster: header(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER),
        user_agent: header(header::USER_AGENT),
        protocol: info.protocol,
        peer: info.connection.peer.map(|peer| peer.ip()).map(|ip: IpAddr| ip.to_canonical()),
        grpc: request.grpc.then(|| {
            Box::new(GrpcRequest {
                path: request.pseudo.path.into(),
                authority: request.pseudo.authority.into(),
                content_type: header(header::CONTENT_TYPE).unwrap_or_else(|| HeaderValue::from_static("")),
                timeout: header(GRPC_TIMEOUT),
            })
        }),
        grpc_status: None,
    }
}

/// `http.url`: the path is cut, scheme and authority are not.
fn url(request: &TracedRequest<'_>) -> String {
    let path = request.headers.get(X_ENVOY_ORIGINAL_PATH).map_or(request.pseudo.path, header_text);
    let longest = request.tracing.max_path_length;
    let path = (0..=longest.min(path.len())).rev().find_map(|at| path.get(..at)).unwrap_or_default();
    format!("{}://{}{path}", request.pseudo.scheme, request.pseudo.authority)
}

/// What a decorator does to a request's headers and to the response that will come.
#[derive(Debug, Default)]
pub(crate) struct Decoration {
    /// Value of the response header, on an ingress listener whose client named no operation.
    pub(crate) response: Option<HeaderValue>,
}

/// Exchange operation names with the neighbours: an egress listener tells the next hop its route's operation,
/// an ingress listener takes the name from the previous hop, or offers its own in the response.
pub(crate) fn decorate_request(
    headers: &mut HeaderMap,
    direction: TrafficDirection,
    decorator: Option<&Decorator>,
    span: Option<&mut Span>,
) -> Decoration {
    let offered = decorator
        .filter(|decorator| decorator.propagate && !decorator.operation.is_empty())
        .map(|decorator| decorator.header.clone());
    if direction == TrafficDirection::Outbound {
        if let Some(operation) = offered {
            headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
        }
        return Decoration::default();
    }
    match headers.remove(X_ENVOY_DECORATOR_OPERATION).filter(|name| !name.is_empty()) {
        Some(name) => {
            if let Some(record) = span.and_then(|span| span.record.as_mut()) {
                record.name = SpanName::Header(name);
            }
            Decoration::default()
        }
        None => Decoration { response: offered },
    }
}

/// The other half of [`decorate_request`], on the way back.
pub(crate) fn decorate_response(
    headers: &mut HeaderMap,
    direction: TrafficDirection,
    decoration: Decoration,
    span: Option<&mut Span>,
) {
    if direction == TrafficDirection::Outbound {
        let name = headers.remove(X_ENVOY_DECORATOR_OPERATION).filter(|name| !name.is_empty());
        if let (Some(name), Some(record)) = (name, span.and_then(|span| span.record.as_mut())) {
            record.name = SpanName::Header(name);
        }
    } else if let Some(operation) = decoration.response {
        headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
    }
}

/// Note the outcome of a gRPC call, from a response's headers or trailers.
pub(crate) fn note_grpc_status(info: &StreamInfo, headers: &HeaderMap) {
    let mut span = info.span.borrow_mut();
    let Some(record) = span.as_mut().and_then(|span| span.record.as_mut()) else { return };
    if record.grpc.is_some()
        && let Some(code) = headers.get(GRPC_STATUS)
    {
        record.grpc_status =
            Some(GrpcStatus { code: code.clone(), message: headers.get(GRPC_MESSAGE).cloned() });
    }
}

/// End the span of a stream, if it has one, and keep it for export.
pub(crate) fn finish(info: &StreamInfo, spans: &SpanBuffer) {
    let Some(span) = info.span.borrow_mut().take() else { return };
    let Some(record) = span.record else { return };
    spans.push(FinishedSpan {
        record,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent: span.parent,
        trace_state: span.trace_state,
        start: info.start_time,
        // The steady clock gives the length: the wall clock may have been set meanwhile.
        end: info.start_time.checked_add(info.duration()).unwrap_or_else(SystemTime::now),
        request_bytes: info.bytes_received.get(),
        response_bytes: info.bytes_sent.get(),
        status: info.status.get(),
        flags: info.flags.get(),
        cluster: info.cluster.borrow_mut().take(),
    });
}
