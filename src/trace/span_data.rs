//! From a [`FinishedSpan`] to OpenTelemetry's `SpanData`.

use opentelemetry::{
    InstrumentationScope, SpanId, TraceFlags,
    trace::{Event, Link, SpanContext, SpanKind as OtelKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{
    FinishedSpan, SpanKind,
    attributes::{self, Emitter},
    propagation::Parent,
};
use crate::snapshot::{
    Node,
    tracing::{Conventions, OpenTelemetry},
};

/// What all spans of one exporter share.
#[derive(Debug)]
pub(crate) struct Template {
    node: Node,
    scope: InstrumentationScope,
    conventions: Conventions,
}

impl Template {
    /// For spans of this node.
    pub(crate) fn new(node: &Node, tracer: &OpenTelemetry, conventions: Conventions) -> Self {
        let scope = if tracer.scope {
            InstrumentationScope::builder("spanway").with_version(env!("CARGO_PKG_VERSION")).build()
        } else {
            InstrumentationScope::default()
        };
        Self { node: node.clone(), scope, conventions }
    }

    /// The span as OpenTelemetry has it.
    pub(crate) fn span_data(&self, span: &FinishedSpan) -> SpanData {
        let state = trace_state(&span.trace_state);
        let context = SpanContext::new(span.trace_id, span.span_id, TraceFlags::SAMPLED, false, state);
        let emitter = Emitter { node_id: &self.node.id, zone: &self.node.zone };
        let attributes = attributes::attributes(span, Some(emitter), self.conventions);
        let mut events = SpanEvents::default();
        events.events.extend(span.events.iter().map(|(name, time)| Event::new(*name, *time, Vec::new(), 0)));
        let mut links = SpanLinks::default();
        links.links.extend(span.link.as_deref().map(|link| Link::with_context(context_of(link))));
        SpanData {
            span_context: context,
            parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span.parent.is_some() && span.remote_parent,
            span_kind: match span.kind {
                SpanKind::Server => OtelKind::Server,
                SpanKind::Client => OtelKind::Client,
            },
            start_time: span.start,
            end_time: span.end,
            attributes: attributes.into_vec(),
            name: attributes::name(span),
            dropped_attributes_count: 0,
            events,
            links,
            status: if attributes::is_error(span) { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// Another hop's span.
fn context_of(parent: &Parent) -> SpanContext {
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(parent.trace_id, parent.span_id, flags, true, trace_state(&parent.state))
}

fn trace_state(value: &http::HeaderValue) -> TraceState {
    value.to_str().ok().and_then(|text| text.parse().ok()).unwrap_or_default()
}
