//! The span of a downstream stream: how it starts, what its response adds, how it ends.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::{
    FinishedSpan, GrpcRequest, RequestFacts, Span, SpanKind, SpanName, SpanRecord, Subject, attempt,
    buffer::SpanBuffer,
    context::{self, Context},
    custom_tags::LateRequest,
    events::{self, StreamEvents},
    sampling,
};
use crate::{
    http_headers::{
        GRPC_TIMEOUT, X_CLIENT_TRACE_ID, X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, X_ENVOY_ORIGINAL_PATH,
        X_FORWARDED_FOR, X_REQUEST_ID,
    },
    snapshot::{
        Node,
        listener::TrafficDirection,
        matcher::header_text,
        metadata::Metadata,
        route::Decorator,
        tracing::{Extras, Provider, TracePolicy, Tracing},
    },
    stream_info::{StreamInfo, formatter::PseudoHeaders},
};

/// A request whose span starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TracedRequest<'a> {
    /// How its listener traces.
    pub(crate) tracing: &'a Tracing,
    /// What its route makes of that.
    pub(crate) policy: &'a Arc<TracePolicy>,
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
    /// It comes from outside, over an edge listener.
    pub(crate) external: bool,
    /// What samplers may look at besides.
    pub(crate) names: RouteNames<'a>,
    /// Who this proxy is.
    pub(crate) node: &'a Node,
}

impl TracedRequest<'_> {
    /// Its span is that of a server, whatever the listener's direction if the listener is a hop of its own.
    pub(super) fn is_server(&self) -> bool {
        self.direction != TrafficDirection::Outbound || self.tracing.independent_hop
    }
}

/// Whom a request was found to be for, where a sampler is configured that may ask.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RouteNames<'a> {
    /// The virtual host.
    pub(crate) virtual_host: Option<&'a str>,
    /// The route; empty if it has no name.
    pub(crate) route: Option<&'a str>,
    /// The cluster.
    pub(crate) cluster: Option<&'a str>,
}

/// Start the span of a request. `None` if what the previous hop said cannot be read: then, as in Envoy, there
/// is no span and the header travels on as it is.
pub(crate) fn start(request: &TracedRequest<'_>, info: &StreamInfo) -> Option<Span> {
    let mut link = None;
    let mut context = if request.external && request.tracing.extras.link_untrusted_parent {
        // What a stranger says that cannot be read does not keep its request from being traced.
        link = context::of_request(request, info).and_then(Context::claimed).map(Box::new);
        context::new_of(request, info)?
    } else {
        context::of_request(request, info)?
    };
    context.sample_by_rules(request, info);
    let sampling = sampling::of(request);
    if let Some(sampling) = &sampling {
        let decision = sampling.decide(context.parent.and(context.decided), context.trace_id, request, info);
        context.decided = Some(decision.sampled);
        if !decision.keep_state {
            context.state = HeaderValue::from_static("");
        }
    }
    let decided = match &request.tracing.tracer.provider {
        // Envoy may say no to what a parent sampled, never yes to what it did not.
        Provider::OpenTelemetry(_) => request.traced && context.decided.unwrap_or(true),
        // The hop before, or X-Ray's rules, know better than Envoy.
        Provider::Zipkin(_) => context.decided.unwrap_or(request.traced),
        Provider::XRay(_) => context.decided.unwrap_or(false),
    };
    let sampled = decided && !is_excluded(request);
    let late = (sampled || sampling.is_some()) && request.policy.reads_headers();
    let late = late.then(|| {
        let PseudoHeaders { path, scheme, .. } = request.pseudo;
        Box::new(LateRequest::new(request.policy, request.method, path, scheme, request.headers))
    });
    Some(Span {
        trace_id: context.trace_id,
        span_id: context.span_id,
        parent: context.parent,
        random: context.random,
        trace_state: context.state,
        carrier: context.carrier,
        egress: request.direction == TrafficDirection::Outbound,
        record: sampled.then(|| Box::new(record(request, info))),
        attempt: None,
        sampling: sampling.filter(|_| request.tracing.spawn_upstream_span).map(Box::new),
        ended_attempts: Vec::new(),
        late,
        events: (sampled && request.tracing.verbose).then(Box::default),
        link,
    })
}

fn record(request: &TracedRequest<'_>, info: &StreamInfo) -> SpanRecord {
    let outbound = request.direction == TrafficDirection::Outbound;
    SpanRecord {
        tracer: request.tracing.tracer.id,
        kind: if request.is_server() { SpanKind::Server } else { SpanKind::Client },
        name: match (request.decorator, outbound) {
            _ if request.tracing.extras.name_by_route => SpanName::Route,
            (Some(decorator), _) if !decorator.operation.is_empty() && request.policy.operation.is_none() => {
                SpanName::Operation(Arc::clone(&decorator.operation))
            }
            _ if matches!(request.tracing.tracer.provider, Provider::Zipkin(_)) => {
                SpanName::Authority(request.pseudo.authority.into())
            }
            (_, true) => SpanName::Egress(request.pseudo.authority.into()),
            (_, false) => SpanName::Ingress,
        },
        request: facts(request, info),
        grpc_status: None,
    }
}

/// Whether it is of a kind that is not to be traced, such as health checks.
pub(crate) fn is_excluded(request: &TracedRequest<'_>) -> bool {
    let Extras { excluded_paths, excluded_user_agents, .. } = &request.tracing.extras;
    if excluded_paths.is_empty() && excluded_user_agents.is_empty() {
        return false;
    }
    let path = request.pseudo.path.split('?').next().unwrap_or_default();
    let agent = request.headers.get(header::USER_AGENT).map_or("", header_text);
    excluded_paths.iter().any(|matcher| matcher.matches(path))
        || excluded_user_agents.iter().any(|matcher| matcher.matches(agent))
}

fn facts(request: &TracedRequest<'_>, info: &StreamInfo) -> RequestFacts {
    let header = |name| request.headers.get(name).cloned();
    RequestFacts {
        request_id: header(X_REQUEST_ID),
        client_trace_id: header(X_CLIENT_TRACE_ID),
        url: url(request.tracing, request.pseudo, request.headers).into(),
        method: request.method.clone(),
        downstream_cluster: header(X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER),
        user_agent: header(header::USER_AGENT),
        protocol: info.protocol,
        peer: info.connection.peer_ip().cloned(),
        forwarded_for: match &request.tracing.tracer.provider {
            Provider::XRay(_) => header(X_FORWARDED_FOR),
            Provider::OpenTelemetry(_) | Provider::Zipkin(_) => None,
        },
        grpc: request.grpc.then(|| {
            Box::new(GrpcRequest {
                path: redact(request.pseudo.path, &request.tracing.extras.redacted).into(),
                authority: request.pseudo.authority.into(),
                content_type: header(header::CONTENT_TYPE).unwrap_or_else(|| HeaderValue::from_static("")),
                timeout: header(GRPC_TIMEOUT),
            })
        }),
    }
}

/// The request is not to be traced after all: its spans are not exported, and hosts are told so.
pub(crate) fn forget(info: &StreamInfo) {
    if let Some(span) = info.span.borrow_mut().as_mut() {
        span.record = None;
        span.sampling = None;
        span.late = None;
        span.events = None;
    }
}

/// Tell the host of the trace: of the attempt's span where it has one, else of the stream's.
pub(crate) fn inject(info: &StreamInfo, tracing: &Tracing, headers: &mut HeaderMap) {
    if !tracing.propagate {
        return;
    }
    let span = info.span.borrow();
    let Some(span) = span.as_ref() else { return };
    let child = span.attempt.as_ref().map(|attempt| (attempt.span_id, attempt.sampled));
    context::inject(headers, span, child, tracing);
}

/// The request goes to a host, as the route has changed it: formats read what goes on.
pub(crate) fn note_request(info: &StreamInfo, path: &str, headers: &HeaderMap, host: &Metadata) {
    if let Some(late) = info.span.borrow_mut().as_mut().and_then(|span| span.late.as_deref_mut()) {
        late.update_request(path, headers);
        late.set_host(host);
    }
}

/// The route has changed where the request goes: `http.url` says so, but for the path if its original is kept.
pub(crate) fn note_rewrite(
    info: &StreamInfo,
    tracing: &Tracing,
    pseudo: PseudoHeaders<'_>,
    headers: &HeaderMap,
) {
    if let Some(record) = info.span.borrow_mut().as_mut().and_then(|span| span.record.as_mut()) {
        record.request.url = url(tracing, pseudo, headers).into();
    }
}

/// The response goes to the client now.
pub(crate) fn note_response(info: &StreamInfo, headers: &HeaderMap) {
    let mut span = info.span.borrow_mut();
    let Some(span) = span.as_mut() else { return };
    if let Some(late) = &mut span.late {
        late.set_response(headers);
    }
    if let Some(events) = &mut span.events {
        events.first_downstream_tx = Some(tokio::time::Instant::now());
    }
}

/// `http.url`: the path is cut, scheme and authority are not.
fn url(tracing: &Tracing, pseudo: PseudoHeaders<'_>, headers: &HeaderMap) -> String {
    let path = headers.get(X_ENVOY_ORIGINAL_PATH).map_or(pseudo.path, header_text);
    if path.is_empty() {
        return String::new();
    }
    let path = redact(path, &tracing.extras.redacted);
    let longest = tracing.max_path_length;
    let path = (0..=longest.min(path.len())).rev().find_map(|at| path.get(..at)).unwrap_or_default();
    // Of the right size, so that nothing is copied once more.
    let length = pseudo.scheme.len() + "://".len() + pseudo.authority.len() + path.len();
    let mut url = String::with_capacity(length);
    url.extend([pseudo.scheme, "://", pseudo.authority, path]);
    url
}

/// The path with the values of those parameters of its query replaced.
fn redact<'a>(path: &'a str, names: &[Box<str>]) -> Cow<'a, str> {
    if names.is_empty() {
        return path.into();
    }
    let Some((before, query)) = path.split_once('?') else { return path.into() };
    let mut redacted = format!("{before}?");
    // Servers split at either, and do not mind how the name is written.
    for parameter in query.split_inclusive(['&', ';']) {
        match parameter.split_once('=') {
            Some((name, value)) if names.iter().any(|redacted| is_name(name, redacted)) => {
                redacted.push_str(name);
                redacted.push_str("=REDACTED");
                redacted.extend(value.chars().next_back().filter(|last| matches!(last, '&' | ';')));
            }
            _ => redacted.push_str(parameter),
        }
    }
    redacted.into()
}

/// Whether a parameter, whose letters may be percent-encoded, has this name.
fn is_name(written: &str, name: &str) -> bool {
    let mut rest = written.as_bytes();
    let decoded = std::iter::from_fn(|| match rest {
        [b'%', high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            rest = after;
            let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
            u8::try_from(digit(*high) << 4 | digit(*low)).ok()
        }
        [first, after @ ..] => {
            rest = after;
            Some(*first)
        }
        [] => None,
    });
    decoded.map(|byte| byte.to_ascii_lowercase()).eq(name.bytes().map(|byte| byte.to_ascii_lowercase()))
}

/// The value of `server-timing` that tells a client its trace.
pub(crate) fn server_timing(info: &StreamInfo) -> Option<HeaderValue> {
    let span = info.span.borrow();
    let span = span.as_ref()?;
    let flags = u8::from(span.sampled());
    let text = format!("trace;desc=\"00-{}-{}-{flags:02x}\"", span.trace_id, span.span_id);
    HeaderValue::try_from(text).ok()
}

/// Note the outcome of a gRPC call, from a response's headers or trailers.
pub(crate) fn note_grpc_status(info: &StreamInfo, headers: &HeaderMap) {
    let mut span = info.span.borrow_mut();
    let Some(span) = span.as_mut() else { return };
    let Some(status) = attempt::grpc_status(headers) else { return };
    attempt::note_grpc_status(span, &status);
    if let Some(record) = &mut span.record {
        record.grpc_status = Some(status);
    }
}

/// End the spans of a stream, if it has any, and keep them for export.
pub(crate) fn finish(info: &StreamInfo, spans: &SpanBuffer) {
    if info.span.borrow().is_none() {
        return;
    }
    attempt::abandon(info);
    // Formats may read the span, so that it stays until they have.
    let late = info.span.borrow_mut().as_mut().and_then(|span| span.late.take());
    let operation = late.as_deref().and_then(|late| late.operation(info));
    let custom_tags = late.as_deref().map(|late| late.tags(info)).unwrap_or_default();
    let Some(span) = info.span.borrow_mut().take() else { return };
    for attempt in span.ended_attempts {
        spans.push(attempt);
    }
    let Some(mut record) = span.record else { return };
    let name = std::mem::replace(&mut record.name, SpanName::Ingress);
    // The steady clock gives the length: the wall clock may have been set meanwhile.
    let end = info.start_time.checked_add(info.duration()).unwrap_or_else(SystemTime::now);
    spans.push(FinishedSpan {
        tracer: record.tracer,
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent: span.parent,
        remote_parent: true,
        carrier: span.carrier,
        egress: span.egress,
        trace_state: span.trace_state,
        kind: record.kind,
        name: match operation {
            // That name is nobody else's to choose.
            Some(operation) if name != SpanName::Route => SpanName::Formatted(operation),
            _ => name,
        },
        start: info.start_time,
        end,
        grpc_status: record.grpc_status.take(),
        subject: Subject::Stream {
            record,
            request_bytes: info.bytes_received.get(),
            response_bytes: info.bytes_sent.get(),
        },
        status: info.status.get(),
        flags: info.flags.get(),
        cluster: info.cluster.borrow_mut().take().as_deref().cloned(),
        custom_tags,
        route: info.route_name.take(),
        link: span.link,
        cause: info.cause.take(),
        events: span.events.map(|events| moments(info, *events, end)).unwrap_or_default(),
    });
}

/// The moments of a stream in Envoy's order.
fn moments(info: &StreamInfo, mut events: StreamEvents, end: SystemTime) -> Vec<(&'static str, SystemTime)> {
    let at = |moment| events::at(moment, info.start, info.start_time);
    events.last_upstream_tx = attempt::last_sent(info, events.first_upstream_tx);
    // A tunnel has beginnings only.
    let tunnel = info.status.get() == StatusCode::SWITCHING_PROTOCOLS.as_u16();
    let mut list = Vec::with_capacity(7);
    list.extend(info.request_end.get().map(|moment| ("last_downstream_rx_byte_received", at(moment))));
    list.extend(events.upstream().map(|(name, moment)| (name, at(moment))));
    if let Some(moment) = events.first_downstream_tx {
        list.push(("first_downstream_tx_byte_sent", at(moment)));
        list.push(("last_downstream_tx_byte_sent", end));
    }
    if tunnel {
        list.retain(|(name, _)| name.starts_with("first_"));
    }
    list
}
