//! The span of one request to a host, on listeners where each has one (`spawn_upstream_span`).

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, HeaderValue, StatusCode, Version};
use opentelemetry::{SpanId, TraceId};
use tokio::time::Instant;

use super::{
    FinishedSpan, GrpcStatus, Span, SpanKind, SpanName, Subject,
    context::Carrier,
    custom_tags::LateRequest,
    events::{self, StreamEvents},
    propagation,
};
use crate::{
    http_headers::{GRPC_MESSAGE, GRPC_STATUS},
    snapshot::{
        Node,
        tracing::{Conventions, Tracing},
    },
    stream_info::{
        StreamInfo,
        flags::{ResponseFlag, ResponseFlags},
    },
};

/// An attempt that is under way.
#[derive(Debug)]
pub(crate) struct OpenAttempt {
    pub(super) span_id: SpanId,
    pub(super) sampled: bool,
    name: SpanName,
    tracer: usize,
    start: Instant,
    start_time: SystemTime,
    facts: AttemptFacts,
    status: u16,
    flags: ResponseFlags,
    grpc_status: Option<GrpcStatus>,
    end: Option<Instant>,
    pub(super) events: StreamEvents,
}

/// What a span says of an attempt.
#[derive(Debug, Default)]
pub(crate) struct AttemptFacts {
    /// `retry.count`: attempts before this one.
    pub(crate) retries: u32,
    /// `http.protocol`; `None` without a connection.
    pub(crate) protocol: Option<Version>,
    /// `upstream_address`
    pub(crate) host: Option<Arc<str>>,
    /// `error.reason`
    pub(crate) failure: Option<&'static str>,
    /// `canceled`
    pub(crate) canceled: bool,
    /// Method and URL of the request, where the conventions of its spans want them.
    pub(crate) request: Option<Box<(http::Method, Box<str>)>>,
}

/// Start the span of an attempt, if the listener wants one. Headers for the host are to name it afterwards.
pub(crate) fn start(info: &StreamInfo, tracing: &Tracing, node: &Node) {
    if !tracing.spawn_upstream_span {
        return;
    }
    let mut span = info.span.borrow_mut();
    let Some(span) = span.as_mut() else { return };
    // A sampler decides anew, and nothing overrules it; what was decided above is the parent's decision now.
    let sampled = match &span.sampling {
        Some(sampling) => sampling.decide_attempt(span.sampled(), span.trace_id, node, info),
        None => span.sampled(),
    };
    let mut facts =
        AttemptFacts { retries: info.attempts.get().saturating_sub(1), ..AttemptFacts::default() };
    if tracing.tracer.conventions != Conventions::Envoy
        && let Some(record) = &span.record
    {
        facts.request = Some(Box::new((record.request.method.clone(), record.request.url.clone())));
    }
    span.attempt = Some(Box::new(OpenAttempt::new(tracing, sampled, facts, SpanName::Router)));
}

/// Start the span of a copy of a request: it belongs to the request's trace, and is sampled as that is unless
/// `sampled` says otherwise.
pub(crate) fn start_copy(info: &StreamInfo, copy: &StreamInfo, tracing: &Tracing, sampled: Option<bool>) {
    let span = info.span.borrow();
    let Some(span) = span.as_ref() else { return };
    let mut of_copy = Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent: span.parent,
        trace_state: span.trace_state.clone(),
        carrier: span.carrier.clone(),
        random: span.random,
        egress: span.egress,
        record: None,
        attempt: None,
        sampling: None,
        ended_attempts: Vec::new(),
        late: None,
        events: None,
        link: None,
    };
    let sampled = sampled.unwrap_or_else(|| span.sampled());
    of_copy.attempt =
        Some(Box::new(OpenAttempt::new(tracing, sampled, AttemptFacts::default(), SpanName::Mirror)));
    copy.span.replace(Some(of_copy));
}

impl OpenAttempt {
    fn new(tracing: &Tracing, sampled: bool, facts: AttemptFacts, name: SpanName) -> Self {
        Self {
            span_id: propagation::new_span_id(),
            sampled,
            name,
            tracer: tracing.tracer.id,
            start: Instant::now(),
            start_time: SystemTime::now(),
            facts,
            status: 0,
            flags: ResponseFlags::default(),
            grpc_status: None,
            end: None,
            events: StreamEvents::default(),
        }
    }
}

/// Do this to the open attempt, if there is one.
fn with_open(info: &StreamInfo, change: impl FnOnce(&mut OpenAttempt)) {
    if let Some(attempt) = info.span.borrow_mut().as_mut().and_then(|span| span.attempt.as_deref_mut()) {
        change(attempt);
    }
}

/// The request goes to that host.
pub(crate) fn chose_host(info: &StreamInfo, host: &Arc<str>) {
    with_open(info, |attempt| attempt.facts.host = Some(Arc::clone(host)));
}

/// It moves on: note when, for the stream's span and for the open attempt, if anything is noted there.
fn moved(
    info: &StreamInfo,
    of_stream: impl FnOnce(&mut StreamEvents, Instant),
    of_attempt: impl FnOnce(&mut OpenAttempt, Instant),
) {
    let mut span = info.span.borrow_mut();
    let Some(Span { events, attempt, .. }) = span.as_mut() else { return };
    if events.is_none() && attempt.is_none() {
        return;
    }
    let now = Instant::now();
    if let Some(events) = events {
        of_stream(events, now);
    }
    if let Some(attempt) = attempt {
        of_attempt(attempt, now);
    }
}

/// There is a connection, and the request leaves.
pub(crate) fn connected(info: &StreamInfo, protocol: Version) {
    moved(
        info,
        |events, now| events.first_upstream_tx = Some(now),
        |attempt, now| {
            attempt.facts.protocol = Some(protocol);
            attempt.events.first_upstream_tx = Some(now);
        },
    );
}

/// The host has answered.
pub(crate) fn responded(info: &StreamInfo, status: u16) {
    moved(
        info,
        |events, now| events.first_upstream_rx = Some(now),
        |attempt, now| {
            attempt.status = status;
            attempt.events.first_upstream_rx = Some(now);
        },
    );
}

/// The host's response is complete.
pub(crate) fn completed(info: &StreamInfo) {
    moved(
        info,
        |events, now| {
            if events.first_upstream_rx.is_some() {
                events.last_upstream_rx = Some(now);
            }
        },
        |attempt, now| {
            if attempt.end.is_none() {
                attempt.end = Some(now);
                // What is left of the request is not sent any more.
                attempt.facts.canceled |= info.request_end.get().is_none();
                attempt.events.last_upstream_rx = Some(now);
            }
        },
    );
}

/// The outcome of its gRPC call.
pub(super) fn note_grpc_status(span: &mut Span, status: &GrpcStatus) {
    if let Some(attempt) = &mut span.attempt {
        attempt.grpc_status = Some(status.clone());
    }
}

/// It came to nothing, for this reason.
pub(crate) fn failed(info: &StreamInfo, reason: &'static str, flag: Option<ResponseFlag>) {
    with_open(info, |attempt| {
        attempt.facts.failure = Some(reason);
        // Without room for it, it never got as far as a host.
        if flag == Some(ResponseFlag::UpstreamOverflow) {
            attempt.facts.host = None;
        }
        attempt.flags = flag.map(|flag| ResponseFlags::default().with(flag)).unwrap_or_default();
    });
    end(info);
}

/// Nobody waits for it any more.
pub(crate) fn canceled(info: &StreamInfo, flag: Option<ResponseFlag>) {
    with_open(info, |attempt| {
        attempt.facts.canceled = true;
        attempt.flags = flag.map(|flag| ResponseFlags::default().with(flag)).unwrap_or_default();
    });
    end(info);
}

/// The stream ends: an attempt that has not ended by itself is canceled.
pub(super) fn abandon(info: &StreamInfo) {
    with_open(info, |attempt| attempt.facts.canceled |= attempt.end.is_none());
    end(info);
}

/// The host has not done what was asked of it, and is asked no more when its answer is complete.
pub(crate) fn refused(info: &StreamInfo) {
    with_open(info, |attempt| attempt.facts.canceled = true);
}

/// It is over; another attempt may follow.
pub(crate) fn end(info: &StreamInfo) {
    let mut open = info.span.borrow_mut();
    let Some(span) = open.as_mut() else { return };
    let Some(attempt) = span.attempt.take() else { return };
    if !attempt.sampled {
        return;
    }
    let late = span.late.take();
    let of = SpanOf {
        trace_id: span.trace_id,
        parent: span.span_id,
        trace_state: span.trace_state.clone(),
        carrier: span.carrier.clone(),
        egress: span.egress,
    };
    let verbose = span.events.is_some();
    // Formats may read the span, so that it must not be borrowed.
    drop(open);
    let finished = attempt.finish(info, late.as_deref(), verbose, of);
    if let Some(span) = info.span.borrow_mut().as_mut() {
        span.late = late;
        span.ended_attempts.push(finished);
    }
}

/// What an attempt's span takes over from its stream's.
struct SpanOf {
    trace_id: TraceId,
    parent: SpanId,
    trace_state: HeaderValue,
    carrier: Carrier,
    egress: bool,
}

impl OpenAttempt {
    fn finish(
        self,
        info: &StreamInfo,
        late: Option<&LateRequest>,
        verbose: bool,
        of: SpanOf,
    ) -> FinishedSpan {
        let moment = |instant| events::at(instant, self.start, self.start_time);
        let mut moments = self.events;
        // A tunnel has beginnings only.
        if self.status != StatusCode::SWITCHING_PROTOCOLS.as_u16() {
            moments.last_upstream_tx = last_sent(info, moments.first_upstream_tx);
        }
        FinishedSpan {
            tracer: self.tracer,
            trace_id: of.trace_id,
            span_id: self.span_id,
            parent: Some(of.parent),
            remote_parent: false,
            carrier: of.carrier,
            egress: of.egress,
            trace_state: of.trace_state,
            kind: SpanKind::Client,
            name: late.and_then(|late| late.upstream_operation(info)).map_or(self.name, SpanName::Formatted),
            start: self.start_time,
            end: moment(self.end.unwrap_or_else(Instant::now)),
            status: self.status,
            flags: self.flags,
            cluster: info.cluster.borrow().as_deref().cloned(),
            grpc_status: self.grpc_status,
            custom_tags: late.map(|late| late.tags(info)).unwrap_or_default(),
            cause: None,
            events: if verbose {
                moments.upstream().map(|(name, instant)| (name, moment(instant))).collect()
            } else {
                Vec::new()
            },
            subject: Subject::Attempt(self.facts),
            route: Arc::default(),
            link: None,
        }
    }
}

/// When the request had been sent whole, if it has.
pub(super) fn last_sent(info: &StreamInfo, first: Option<Instant>) -> Option<Instant> {
    Some(info.request_end.get()?.max(first?))
}

/// The outcome of a gRPC call, if headers tell it.
pub(super) fn grpc_status(headers: &HeaderMap) -> Option<GrpcStatus> {
    let code = headers.get(GRPC_STATUS)?.clone();
    Some(GrpcStatus { code, message: headers.get(GRPC_MESSAGE).cloned() })
}
