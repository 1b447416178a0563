//! The context of a trace between hops: what the previous one said, in whatever headers the tracer reads, and what
//! the next one is told.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use opentelemetry::{SpanId, TraceId};

use super::{
    Span, b3,
    propagation::{self, Outgoing},
    stream::TracedRequest,
    xray,
};
use crate::{
    snapshot::{
        tracing::{Conformance, Propagator, Provider, Tracing, Zipkin},
        xray_sampling::SamplingRequest,
    },
    stream_info::StreamInfo,
};

/// Who a new span is, and in whose words its trace is told.
#[derive(Debug)]
pub(super) struct Context {
    /// The trace.
    pub(super) trace_id: TraceId,
    /// The span.
    pub(super) span_id: SpanId,
    /// The span of the hop before.
    pub(super) parent: Option<SpanId>,
    /// What the hop before decided, or the tracer's own rules.
    pub(super) decided: Option<bool>,
    /// That hop says that the trace id is random.
    pub(super) random: bool,
    /// `tracestate`, fit to be sent on.
    pub(super) state: HeaderValue,
    /// In whose words.
    pub(super) carrier: Carrier,
    /// The trace is one that goes on.
    continues: bool,
}

impl Context {
    /// The span that the hop before claims to be, if it claims one.
    pub(super) fn claimed(self) -> Option<propagation::Parent> {
        self.continues.then(|| propagation::Parent {
            trace_id: self.trace_id,
            // A span that both sides share has the id that was claimed.
            span_id: self.parent.unwrap_or(self.span_id),
            sampled: self.decided.unwrap_or(false),
            random: self.random,
            state: self.state,
        })
    }

    /// Where the hop before has not decided and the tracer has rules of its own, X-Ray's, they do.
    pub(super) fn sample_by_rules(&mut self, request: &TracedRequest<'_>, info: &StreamInfo) {
        let (None, Provider::XRay(tracer)) = (self.decided, &request.tracing.tracer.provider) else { return };
        let asked = SamplingRequest {
            host: request.pseudo.authority,
            method: request.pseudo.method,
            path: request.pseudo.path,
        };
        self.decided = Some(tracer.sampling.sample(asked, since_1970(info.start_time), fastrand::f64));
    }
}

/// In whose words the next hop is told of the trace.
#[derive(Debug, Clone)]
pub(crate) enum Carrier {
    /// W3C's.
    TraceContext,
    /// B3's: `single` if the hop before used one header, else several.
    B3 {
        /// One header.
        single: bool,
    },
    /// AWS X-Ray's.
    XRay(Box<XRayIds>),
    /// Those that the configuration lists.
    Listed,
}

/// Ids as X-Ray has them: whatever the hop before sent.
#[derive(Debug, Clone)]
pub(crate) struct XRayIds {
    /// `Root`
    pub(crate) trace: xray::TraceId,
    /// `Parent`
    pub(crate) parent: Option<xray::ParentId>,
}

/// Read what the hop before said, or begin a trace. `None` if it cannot be read and Envoy's tracer then makes no span.
pub(super) fn of_request(request: &TracedRequest<'_>, info: &StreamInfo) -> Option<Context> {
    of_headers(request, request.headers, info)
}

/// Begin a trace, whatever the request says.
pub(super) fn new_of(request: &TracedRequest<'_>, info: &StreamInfo) -> Option<Context> {
    of_headers(request, &HeaderMap::new(), info)
}

fn of_headers(request: &TracedRequest<'_>, headers: &HeaderMap, info: &StreamInfo) -> Option<Context> {
    let tracing = request.tracing;
    match (&tracing.extras.propagators, &tracing.tracer.provider) {
        (Some(propagators), _) => Some(listed(headers, propagators, info)),
        (None, Provider::OpenTelemetry(_)) => trace_context(headers, tracing.conformance),
        (None, Provider::Zipkin(zipkin)) => of_zipkin(request, headers, zipkin, info),
        (None, Provider::XRay(_)) => Some(of_xray(headers, info)),
    }
}

fn new_trace(carrier: Carrier) -> Context {
    Context {
        trace_id: propagation::new_trace_id(),
        span_id: propagation::new_span_id(),
        parent: None,
        decided: None,
        random: false,
        state: HeaderValue::from_static(""),
        carrier,
        continues: false,
    }
}

fn trace_context(headers: &HeaderMap, conformance: Conformance) -> Option<Context> {
    match conformance.extract(headers) {
        propagation::Incoming::None => Some(new_trace(Carrier::TraceContext)),
        propagation::Incoming::Parent(parent) => Some(continued(parent, Carrier::TraceContext)),
        propagation::Incoming::Invalid => None,
    }
}

fn continued(parent: propagation::Parent, carrier: Carrier) -> Context {
    Context {
        trace_id: parent.trace_id,
        span_id: propagation::new_span_id(),
        parent: Some(parent.span_id),
        decided: Some(parent.sampled),
        random: parent.random,
        state: parent.state,
        carrier,
        continues: true,
    }
}

fn of_zipkin(
    request: &TracedRequest<'_>,
    headers: &HeaderMap,
    zipkin: &Zipkin,
    info: &StreamInfo,
) -> Option<Context> {
    let incoming = b3::extract(headers, zipkin.trace_context);
    let (ids, decided) = match incoming.context {
        b3::Context::Invalid => return None,
        b3::Context::None => (b3::Ids::root(zipkin.new_trace, seconds(info)), None),
        b3::Context::Decision(sampled) => (b3::Ids::root(zipkin.new_trace, seconds(info)), Some(sampled)),
        b3::Context::Parent(parent) => {
            let share = zipkin.shared_span_context && request.is_server();
            (b3::Ids::continuing(&parent, share), parent.sampled)
        }
    };
    Some(Context {
        trace_id: TraceId::from(ids.trace_id),
        span_id: SpanId::from(ids.span_id),
        parent: ids.parent.map(SpanId::from),
        decided,
        random: false,
        state: HeaderValue::from_static(""),
        carrier: Carrier::B3 { single: incoming.single },
        continues: matches!(incoming.context, b3::Context::Parent(_)),
    })
}

fn of_xray(headers: &HeaderMap, info: &StreamInfo) -> Context {
    let incoming = xray::extract(headers);
    let decided = incoming.as_ref().and_then(|incoming| incoming.sampled);
    // Without a root there is no trace to go on with.
    let continues = incoming.as_ref().is_some_and(|incoming| incoming.root.is_some());
    let (trace, parent) = match incoming.and_then(|incoming| Some((incoming.root?, incoming.parent))) {
        Some(known) => known,
        None => (xray::TraceId::new(seconds(info)), None),
    };
    let number = |id: &xray::ParentId| match id {
        xray::ParentId::Number(id) => Some(SpanId::from(*id)),
        xray::ParentId::Text(_) => None,
    };
    Context {
        trace_id: match &trace {
            xray::TraceId::Number(id) => TraceId::from(*id),
            xray::TraceId::Text(_) => propagation::new_trace_id(),
        },
        span_id: propagation::new_span_id(),
        parent: parent.as_ref().and_then(number),
        decided,
        random: false,
        state: HeaderValue::from_static(""),
        carrier: Carrier::XRay(Box::new(XRayIds { trace, parent })),
        continues,
    }
}

/// The first of the propagators that finds a trace.
fn listed(headers: &HeaderMap, propagators: &[Propagator], info: &StreamInfo) -> Context {
    // A decision about a trace that is yet to begin.
    let mut decided = None;
    let found = propagators.iter().find_map(|propagator| match propagator {
        Propagator::TraceContext => match Conformance::W3c.extract(headers) {
            propagation::Incoming::Parent(parent) => Some(continued(parent, Carrier::Listed)),
            propagation::Incoming::None | propagation::Incoming::Invalid => None,
        },
        Propagator::B3 | Propagator::B3Multi => {
            // Whichever form is written, both are read.
            let parent = match b3::extract(headers, false).context {
                b3::Context::Parent(parent) => parent,
                b3::Context::Decision(sampled) => {
                    decided = decided.or(Some(sampled));
                    return None;
                }
                b3::Context::None | b3::Context::Invalid => return None,
            };
            let ids = (parent.trace_id != 0 && parent.span_id != 0).then_some(parent)?;
            Some(Context {
                trace_id: TraceId::from(ids.trace_id),
                parent: Some(SpanId::from(ids.span_id)),
                decided: parent.sampled,
                continues: true,
                ..new_trace(Carrier::Listed)
            })
        }
        Propagator::XRay => {
            let incoming = xray::extract(headers)?;
            let (Some(xray::TraceId::Number(trace)), Some(xray::ParentId::Number(parent))) =
                (incoming.root, incoming.parent)
            else {
                return None;
            };
            Some(Context {
                trace_id: TraceId::from(trace),
                parent: Some(SpanId::from(parent)),
                decided: incoming.sampled,
                continues: true,
                ..new_trace(Carrier::Listed)
            })
        }
    });
    found.unwrap_or_else(|| {
        // X-Ray takes only traces whose ids begin with the time.
        let wants_time = propagators.contains(&Propagator::XRay);
        let mut context = Context { decided, ..new_trace(Carrier::Listed) };
        if wants_time && let xray::TraceId::Number(id) = xray::TraceId::new(seconds(info)) {
            context.trace_id = TraceId::from(id);
        }
        context
    })
}

/// Tell the next hop of `span`, or of the attempt `child` of it.
pub(super) fn inject(headers: &mut HeaderMap, span: &Span, child: Option<(SpanId, bool)>, tracing: &Tracing) {
    let (span_id, sampled) = child.unwrap_or((span.span_id, span.sampled()));
    let trace_id = u128::from_be_bytes(span.trace_id.to_bytes());
    let number = u64::from_be_bytes(span_id.to_bytes());
    let outgoing =
        Outgoing { trace_id: span.trace_id, span_id, sampled, random: span.random, state: &span.trace_state };
    let ids = || {
        let parent = if child.is_some() { Some(span.span_id) } else { span.parent };
        let parent = parent.map(|parent| u64::from_be_bytes(parent.to_bytes()));
        b3::Ids { trace_id, span_id: number, parent }
    };
    match &span.carrier {
        Carrier::TraceContext => tracing.conformance.inject(headers, &outgoing),
        Carrier::B3 { single } => {
            let w3c = matches!(&tracing.tracer.provider, Provider::Zipkin(zipkin) if zipkin.trace_context);
            b3::inject(headers, &ids(), sampled, *single, w3c);
        }
        Carrier::XRay(known) => xray::inject(headers, &known.trace, number, sampled),
        Carrier::Listed => {
            let listed = tracing.extras.propagators.iter().flatten();
            if listed.clone().any(|propagator| matches!(propagator, Propagator::B3 | Propagator::B3Multi)) {
                b3::remove(headers);
            }
            for propagator in listed {
                match propagator {
                    Propagator::TraceContext => Conformance::W3c.inject(headers, &outgoing),
                    Propagator::B3 => b3::inject(headers, &ids(), sampled, true, false),
                    Propagator::B3Multi => b3::inject(headers, &ids(), sampled, false, false),
                    Propagator::XRay => {
                        xray::inject(headers, &xray::TraceId::Number(trace_id), number, sampled);
                    }
                }
            }
        }
    }
}

fn since_1970(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn seconds(info: &StreamInfo) -> u32 {
    // Until 2106.
    u32::try_from(since_1970(info.start_time).as_secs()).unwrap_or(u32::MAX)
}
