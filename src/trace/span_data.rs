//! From a [`FinishedSpan`] to OpenTelemetry's `SpanData`.

use opentelemetry::{
    InstrumentationScope, Key, KeyValue, SpanId, StringValue, TraceFlags, Value,
    trace::{Event, SpanContext, SpanKind as OtelKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{
    FinishedSpan, SpanKind,
    attributes::{self, Emitter},
};
use crate::snapshot::{Node, tracing::OpenTelemetry};

/// What all spans of one exporter share.
#[derive(Debug)]
pub(crate) struct Template {
    node: Node,
    scope: InstrumentationScope,
}

impl Template {
    /// For spans of this node.
    pub(crate) fn new(node: &Node, tracer: &OpenTelemetry) -> Self {
        let scope = if tracer.scope {
            InstrumentationScope::builder("spanway").with_version(env!("CARGO_PKG_VERSION")).build()
        } else {
            InstrumentationScope::default()
        };
        Self { node: node.clone(), scope }
    }

    /// The span as OpenTelemetry has it.
    pub(crate) fn span_data(&self, span: &FinishedSpan) -> SpanData {
        let state = span.trace_state.to_str().ok().and_then(|text| text.parse::<TraceState>().ok());
        let context = SpanContext::new(
            span.trace_id,
            span.span_id,
            TraceFlags::SAMPLED,
            false,
            state.unwrap_or_default(),
        );
        let emitter = Emitter { node_id: &self.node.id, zone: &self.node.zone };
        let attributes = attributes::attributes(span, Some(emitter))
            .into_iter()
            .map(|(key, value)| KeyValue::new(Key::from(key), Value::String(StringValue::from(value))));
        let mut events = SpanEvents::default();
        events.events.extend(span.events.iter().map(|(name, time)| Event::new(*name, *time, Vec::new(), 0)));
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
            attributes: attributes.collect(),
            name: attributes::name(span),
            dropped_attributes_count: 0,
            events,
            links: SpanLinks::default(),
            status: if attributes::is_error(span) { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}
