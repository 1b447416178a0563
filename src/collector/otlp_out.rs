//! Traces written as OTLP again, in the shape in which they came.

use std::{collections::BTreeMap, sync::Arc};

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
    logs::v1::{LogRecord as OtlpLog, ResourceLogs, ScopeLogs},
    resource::v1::Resource as OtlpResource,
    trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, Status, span, status},
};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    attribute::{Attribute, Value},
    distinct::Distinct,
    log::LogRecord,
    otlp_json::List,
    span::{Event, Link, Resource, Scope, Span, SpanKind, StatusCode},
    store::Trace,
};

/// A trace with its log records. As OTLP JSON it is what a receiver of traces takes, since readers of OTLP pass over
/// fields that they do not know.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceData {
    /// Its spans, as `POST /v1/traces` takes them.
    pub spans: ExportTraceServiceRequest,
    /// Its log records, as `POST /v1/logs` takes them; left out if there are none.
    pub logs: ExportLogsServiceRequest,
}

impl Serialize for TraceData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut message = serializer.serialize_map(None)?;
        message.serialize_entry("resourceSpans", &List(&self.spans.resource_spans))?;
        if !self.logs.resource_logs.is_empty() {
            message.serialize_entry("resourceLogs", &List(&self.logs.resource_logs))?;
        }
        message.end()
    }
}

impl From<&Trace> for TraceData {
    fn from(trace: &Trace) -> Self {
        Self { spans: request_of(trace), logs: logs_of(trace) }
    }
}

/// The spans of `trace`, grouped by who sent them, each group earliest first.
pub fn request_of(trace: &Trace) -> ExportTraceServiceRequest {
    let spans = trace.by_start();
    let (mut resources, mut scopes) = (Distinct::new(), Distinct::new());
    let mut groups: BTreeMap<usize, BTreeMap<usize, Vec<OtlpSpan>>> = BTreeMap::new();
    for span in spans {
        let (resource, scope) = (resources.place(&span.resource), scopes.place(&span.scope));
        groups.entry(resource).or_default().entry(scope).or_default().push(otlp_span(span));
    }
    let of_scope = |(place, spans): (usize, Vec<OtlpSpan>)| ScopeSpans {
        scope: scopes.values().get(place).map(|scope| otlp_scope(scope)),
        spans,
        ..ScopeSpans::default()
    };
    let of_resource = |(place, scopes): (usize, BTreeMap<usize, Vec<OtlpSpan>>)| ResourceSpans {
        resource: resources.values().get(place).map(|resource| otlp_resource(resource)),
        scope_spans: scopes.into_iter().map(of_scope).collect(),
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: groups.into_iter().map(of_resource).collect() }
}

/// The log records of `trace`, grouped by who wrote them.
pub fn logs_of(trace: &Trace) -> ExportLogsServiceRequest {
    let mut resources = Distinct::new();
    let mut groups: BTreeMap<usize, Vec<OtlpLog>> = BTreeMap::new();
    for log in &trace.logs {
        groups.entry(resources.place(&log.resource)).or_default().push(otlp_log(trace, log));
    }
    let of_resource = |(place, log_records): (usize, Vec<OtlpLog>)| ResourceLogs {
        resource: resources.values().get(place).map(|resource| otlp_resource(resource)),
        scope_logs: vec![ScopeLogs { log_records, ..ScopeLogs::default() }],
        ..ResourceLogs::default()
    };
    ExportLogsServiceRequest { resource_logs: groups.into_iter().map(of_resource).collect() }
}

fn otlp_span(span: &Arc<Span>) -> OtlpSpan {
    OtlpSpan {
        trace_id: span.trace_id.to_bytes().into(),
        span_id: span.span_id.to_bytes().into(),
        parent_span_id: span.parent_span_id.map(|id| id.to_bytes().into()).unwrap_or_default(),
        name: span.name.to_string(),
        kind: kind(span.kind).into(),
        start_time_unix_nano: span.start_unix_nano,
        end_time_unix_nano: span.end_unix_nano,
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().map(link).collect(),
        dropped_attributes_count: span.dropped.attributes,
        dropped_events_count: span.dropped.events,
        dropped_links_count: span.dropped.links,
        status: Some(Status {
            message: span.status_message.to_string(),
            code: code(span.status_code).into(),
        }),
        flags: span.flags,
        trace_state: span.trace_state.to_string(),
    }
}

fn otlp_log(trace: &Trace, log: &LogRecord) -> OtlpLog {
    OtlpLog {
        time_unix_nano: log.time_unix_nano,
        trace_id: trace.trace_id.to_bytes().into(),
        span_id: log.span_id.map(|id| id.to_bytes().into()).unwrap_or_default(),
        severity_number: log.severity_number,
        severity_text: log.severity.to_string(),
        body: Some(any_value(&log.body)),
        attributes: attributes(&log.attributes),
        ..OtlpLog::default()
    }
}

fn kind(kind: SpanKind) -> span::SpanKind {
    match kind {
        SpanKind::Unspecified => span::SpanKind::Unspecified,
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Client => span::SpanKind::Client,
        SpanKind::Producer => span::SpanKind::Producer,
        SpanKind::Consumer => span::SpanKind::Consumer,
    }
}

fn code(code: StatusCode) -> status::StatusCode {
    match code {
        StatusCode::Unset => status::StatusCode::Unset,
        StatusCode::Ok => status::StatusCode::Ok,
        StatusCode::Error => status::StatusCode::Error,
    }
}

fn otlp_resource(resource: &Resource) -> OtlpResource {
    OtlpResource { attributes: attributes(&resource.attributes), ..OtlpResource::default() }
}

fn otlp_scope(scope: &Scope) -> InstrumentationScope {
    InstrumentationScope {
        name: scope.name.to_string(),
        version: scope.version.to_string(),
        attributes: attributes(&scope.attributes),
        ..InstrumentationScope::default()
    }
}

fn event(event: &Event) -> span::Event {
    span::Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.to_string(),
        attributes: attributes(&event.attributes),
        dropped_attributes_count: event.dropped_attributes,
    }
}

fn link(link: &Link) -> span::Link {
    span::Link {
        trace_id: link.trace_id.to_bytes().into(),
        span_id: link.span_id.to_bytes().into(),
        trace_state: link.trace_state.to_string(),
        attributes: attributes(&link.attributes),
        flags: link.flags,
        ..span::Link::default()
    }
}

fn attributes(attributes: &[Attribute]) -> Vec<KeyValue> {
    let pair = |attribute: &Attribute| KeyValue {
        key: attribute.key.to_string(),
        value: Some(any_value(&attribute.value)),
        ..KeyValue::default()
    };
    attributes.iter().map(pair).collect()
}

/// As deep as the value, which came through a reader that stops at about a hundred levels.
fn any_value(value: &Value) -> AnyValue {
    let value = match value {
        Value::Empty => None,
        Value::Text(text) => Some(any_value::Value::StringValue(text.to_string())),
        Value::Bool(truth) => Some(any_value::Value::BoolValue(*truth)),
        Value::Int(number) => Some(any_value::Value::IntValue(*number)),
        Value::Double(number) => Some(any_value::Value::DoubleValue(*number)),
        Value::Bytes(bytes) => Some(any_value::Value::BytesValue(bytes.to_vec())),
        Value::List(values) => {
            Some(any_value::Value::ArrayValue(ArrayValue { values: values.iter().map(any_value).collect() }))
        }
        Value::Map(map) => Some(any_value::Value::KvlistValue(KeyValueList { values: attributes(map) })),
    };
    AnyValue { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{
        intake, otlp_json,
        span::{Dropped, tests::span},
        store::Store,
    };

    fn every_value() -> Box<[Attribute]> {
        let values = [
            Value::Empty,
            Value::Text("text".into()),
            Value::Bool(true),
            Value::Int(i64::MIN),
            Value::Double(0.5),
            Value::Bytes([0, 255].into()),
            Value::List([Value::Int(1), Value::Empty].into()),
            Value::Map([Attribute { key: "k".into(), value: Value::Bool(false) }].into()),
        ];
        values.into_iter().map(|value| Attribute { key: "key".into(), value }).collect()
    }

    fn full() -> Span {
        let name = Attribute { key: "service.name".into(), value: Value::Text("shop".into()) };
        let first = span(1, 1, 9);
        Span {
            attributes: every_value(),
            resource: Arc::new(Resource { service: "shop".into(), attributes: [name].into() }),
            events: [Event {
                time_unix_nano: 5,
                name: "e".into(),
                attributes: every_value(),
                dropped_attributes: 4,
            }]
            .into(),
            links: [Link {
                flags: 0x101,
                trace_id: first.trace_id,
                span_id: first.span_id,
                trace_state: "a=b".into(),
                attributes: every_value(),
            }]
            .into(),
            status_code: StatusCode::Error,
            status_message: "no".into(),
            trace_state: "k=v".into(),
            flags: 0x301,
            dropped: Dropped { attributes: 1, events: 2, links: 3 },
            ..first
        }
    }

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let store = Store::new(1 << 20);
        let other = Span { resource: full().resource, ..span(1, 2, 1) };
        store.insert([full(), other, Span { scope: full().scope, ..span(1, 3, 0) }]);
        let trace = store.newest(1).remove(0);
        let written = serde_json::to_string(&TraceData::from(&*trace)).unwrap();
        let second = Store::new(1 << 20);
        let (message, invalid) = otlp_json::traces(written.as_bytes()).unwrap();
        let answer = intake::accept(&second, message, invalid);
        assert_eq!(answer.partial_success, None);
        let read = &second.newest(1)[0].spans;
        assert_eq!(read[&full().span_id], trace.spans[&full().span_id]);
        assert_eq!(read.len(), 3);
        assert_eq!(&*read[&span(1, 3, 0).span_id].resource.service, "unknown_service");
    }

    #[test]
    fn spans_of_one_resource_and_scope_stand_together() {
        let store = Store::new(1 << 20);
        store.insert([1, 2, 3].map(|id| span(1, id, 0)));
        let request = request_of(&store.newest(1)[0]);
        assert_eq!(request.resource_spans.len(), 1);
        assert_eq!(request.resource_spans[0].scope_spans.len(), 1);
        assert_eq!(request.resource_spans[0].scope_spans[0].spans.len(), 3);
    }

    #[test]
    fn log_records_stand_beside_the_spans_of_their_trace() {
        let store = Store::new(1 << 20);
        let written = span(1, 1, 0);
        let log = LogRecord {
            severity_number: 13,
            time_unix_nano: 7,
            span_id: Some(written.span_id),
            resource: Arc::clone(&written.resource),
            severity: "WARN".into(),
            body: Value::Text("said".into()),
            attributes: Box::default(),
        };
        store.insert_logs([(Some(written.trace_id), log)]);
        store.insert([written]);
        let data = TraceData::from(&*store.newest(1)[0]);
        let json = serde_json::to_value(&data).unwrap();
        let record = &json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["spanId"], "0000000000000001");
        assert_eq!(record["traceId"], "00000000000000000000000000000001");
        assert_eq!((&record["severityText"], &record["severityNumber"]), (&"WARN".into(), &13.into()));
        assert_eq!(record["body"]["stringValue"], "said");
        assert_eq!(json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["spanId"], "0000000000000001");
    }
}
