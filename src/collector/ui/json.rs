//! The traces as JSON, for programs.

use std::sync::Arc;

use serde::Serialize;

use super::super::{
    attribute::AsObject,
    span::{Event, Span},
    store::Trace,
    tree::{self, Node},
};

/// What `/debug/tracez?format=json` answers. Newest trace first.
#[derive(Debug, Serialize)]
pub(super) struct Traces<'a> {
    traces: Vec<TraceObject<'a>>,
}

#[derive(Debug, Serialize)]
struct TraceObject<'a> {
    trace_id: String,
    /// Parents before their children.
    spans: Vec<SpanObject<'a>>,
}

#[derive(Debug, Serialize)]
struct SpanObject<'a> {
    trace_id: String,
    span_id: String,
    /// Empty for a span without parent.
    parent_span_id: String,
    service: &'a str,
    scope: &'a str,
    scope_version: &'a str,
    name: &'a str,
    /// `SERVER`, `CLIENT`, `INTERNAL`, `PRODUCER`, `CONSUMER` or `UNSPECIFIED`.
    kind: &'static str,
    start_unix_nano: u64,
    end_unix_nano: u64,
    flags: u32,
    trace_state: &'a str,
    /// `UNSET`, `OK` or `ERROR`.
    status_code: &'static str,
    status_message: &'a str,
    attributes: AsObject<'a>,
    events: Vec<EventObject<'a>>,
    resource: AsObject<'a>,
}

#[derive(Debug, Serialize)]
struct EventObject<'a> {
    time_unix_nano: u64,
    name: &'a str,
    attributes: AsObject<'a>,
}

impl<'a> From<&'a [Arc<Trace>]> for Traces<'a> {
    fn from(traces: &'a [Arc<Trace>]) -> Self {
        Self { traces: traces.iter().map(|trace| TraceObject::from(&**trace)).collect() }
    }
}

impl<'a> From<&'a Trace> for TraceObject<'a> {
    fn from(trace: &'a Trace) -> Self {
        let spans = tree::rows(trace.spans.values()).into_iter().filter_map(|row| match row.node {
            Node::Span(span) => Some(SpanObject::from(span)),
            Node::MissingParent(_) => None,
        });
        Self { trace_id: trace.trace_id.to_string(), spans: spans.collect() }
    }
}

impl<'a> From<&'a Span> for SpanObject<'a> {
    fn from(span: &'a Span) -> Self {
        Self {
            trace_id: span.trace_id.to_string(),
            span_id: span.span_id.to_string(),
            parent_span_id: span.parent_span_id.map(|id| id.to_string()).unwrap_or_default(),
            service: &span.resource.service,
            scope: &span.scope.name,
            scope_version: &span.scope.version,
            name: &span.name,
            kind: span.kind.name(),
            start_unix_nano: span.start_unix_nano,
            end_unix_nano: span.end_unix_nano,
            flags: span.flags,
            trace_state: &span.trace_state,
            status_code: span.status_code.name(),
            status_message: &span.status_message,
            attributes: AsObject(&span.attributes),
            events: span.events.iter().map(EventObject::from).collect(),
            resource: AsObject(&span.resource.attributes),
        }
    }
}

impl<'a> From<&'a Event> for EventObject<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            time_unix_nano: event.time_unix_nano,
            name: &event.name,
            attributes: AsObject(&event.attributes),
        }
    }
}
