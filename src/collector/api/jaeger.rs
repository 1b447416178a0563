//! A trace as Jaeger's query service writes it.

use serde::{Serialize, Serializer};

use super::tags::{self, Tag};
use crate::collector::{
    distinct::Distinct,
    log::LogRecord,
    span::{self, Resource, SpanId, TraceId},
    store,
    warning::Warnings,
};

/// The spans of one trace.
#[derive(Debug, Serialize)]
pub(super) struct Trace<'a> {
    #[serde(rename = "traceID", serialize_with = "as_text")]
    trace_id: TraceId,
    /// Earliest first.
    spans: Vec<Span<'a>>,
    #[serde(serialize_with = "by_process_id")]
    processes: Vec<Process<'a>>,
    /// What of the trace is not here; null if all is. What is doubtful stands with its span.
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Span<'a> {
    #[serde(rename = "traceID", serialize_with = "as_text")]
    trace_id: TraceId,
    #[serde(rename = "spanID", serialize_with = "as_text")]
    span_id: SpanId,
    #[serde(rename = "operationName")]
    operation_name: &'a str,
    references: Vec<Reference>,
    /// Microseconds since 1970.
    #[serde(rename = "startTime")]
    start_time: u64,
    /// Microseconds.
    duration: u64,
    tags: Vec<Tag<'a>>,
    logs: Vec<Log<'a>>,
    #[serde(rename = "processID", serialize_with = "process_id")]
    process: usize,
    /// Null if there are none.
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Reference {
    #[serde(rename = "refType")]
    kind: &'static str,
    #[serde(rename = "traceID", serialize_with = "as_text")]
    trace_id: TraceId,
    #[serde(rename = "spanID", serialize_with = "as_text")]
    span_id: SpanId,
}

#[derive(Debug, Serialize)]
struct Log<'a> {
    /// Microseconds since 1970.
    timestamp: u64,
    fields: Vec<Tag<'a>>,
}

#[derive(Debug, Serialize)]
struct Process<'a> {
    #[serde(rename = "serviceName")]
    service: &'a str,
    /// Without `service.name`.
    tags: Vec<Tag<'a>>,
}

impl<'a> From<&'a store::Trace> for Trace<'a> {
    fn from(trace: &'a store::Trace) -> Self {
        let mut resources = Distinct::new();
        let doubts = Warnings::of(trace);
        let of_span = |span: &'a std::sync::Arc<span::Span>| {
            let process = resources.place(&span.resource);
            Span::of(span, trace, process, &doubts)
        };
        let spans = trace.by_start().into_iter().map(of_span).collect();
        let processes = resources.values().iter().map(|resource| Process::of(resource)).collect();
        let warnings = Some(trace.passed_over.sentences()).filter(|sentences| !sentences.is_empty());
        Self { trace_id: trace.trace_id, spans, processes, warnings }
    }
}

impl<'a> Span<'a> {
    fn of(span: &'a span::Span, trace: &'a store::Trace, process: usize, doubts: &Warnings<'_>) -> Self {
        let warnings: Vec<String> = doubts.of_span(span).iter().map(ToString::to_string).collect();
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            operation_name: &span.name,
            references: references(span),
            start_time: microseconds(span.start_unix_nano),
            duration: microseconds(span.duration_nano()),
            tags: tags::of_span(span),
            logs: logs(span, trace),
            process,
            warnings: Some(warnings).filter(|warnings| !warnings.is_empty()),
        }
    }
}

impl<'a> Process<'a> {
    fn of(resource: &'a Resource) -> Self {
        let others = resource.attributes.iter().filter(|attribute| &*attribute.key != "service.name");
        let tags = others.map(|attribute| Tag::of(&attribute.key, &attribute.value)).collect();
        Self { service: &resource.service, tags }
    }
}

/// The parent first, where readers look for it, then the links.
fn references(span: &span::Span) -> Vec<Reference> {
    let parent =
        span.parent_span_id.map(|span_id| Reference { kind: "CHILD_OF", trace_id: span.trace_id, span_id });
    let links = span.links.iter().map(|link| Reference {
        kind: "FOLLOWS_FROM",
        trace_id: link.trace_id,
        span_id: link.span_id,
    });
    parent.into_iter().chain(links).collect()
}

/// The events of `span` and what was logged in it, earliest first. The root also has what was logged in no span, or
/// in one that did not come: Jaeger has no other place for it.
fn logs<'a>(span: &'a span::Span, trace: &'a store::Trace) -> Vec<Log<'a>> {
    let is_root = trace.root.as_ref().is_some_and(|root| root.span_id == span.span_id);
    let is_here = |log: &&'a LogRecord| match log.span_id {
        Some(id) if trace.spans.contains_key(&id) => id == span.span_id,
        _ => is_root,
    };
    let records = trace.logs.iter().map(AsRef::as_ref).filter(is_here).map(of_record);
    let mut logs: Vec<Log<'_>> = span.events.iter().map(of_event).chain(records).collect();
    logs.sort_by_key(|log| log.timestamp);
    logs
}

fn of_event(event: &span::Event) -> Log<'_> {
    let name = (!event.name.is_empty()).then(|| Tag::text("event", &*event.name));
    let fields = name.into_iter().chain(tags::of_attributes(&event.attributes)).collect();
    Log { timestamp: microseconds(event.time_unix_nano), fields }
}

fn of_record(log: &LogRecord) -> Log<'_> {
    let level = (!log.severity.is_empty()).then(|| Tag::text("level", &*log.severity));
    let message = Tag::of("message", &log.body);
    let fields = level.into_iter().chain([message]).chain(tags::of_attributes(&log.attributes)).collect();
    Log { timestamp: microseconds(log.time_unix_nano), fields }
}

fn microseconds(nanoseconds: u64) -> u64 {
    nanoseconds / 1_000
}

fn as_text<S: Serializer>(id: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn process_id<S: Serializer>(process: &usize, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&ProcessId(*process))
}

fn by_process_id<S: Serializer>(processes: &[Process<'_>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        processes.iter().enumerate().map(|(index, process)| (ProcessId(index).to_string(), process)),
    )
}

/// `p1` for the first process.
struct ProcessId(usize);

impl std::fmt::Display for ProcessId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p{}", self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::{
        attribute::{Attribute, Value},
        span::{Event, Link, SpanKind, StatusCode, tests::span as bare},
        store::Store,
    };

    fn pair(key: &str, value: Value) -> Attribute {
        Attribute { key: key.into(), value }
    }

    fn text(key: &str, value: &str) -> Attribute {
        pair(key, Value::Text(value.into()))
    }

    #[test]
    fn a_known_trace_is_written_to_the_letter() {
        let store = Store::new(1 << 20);
        let front = Resource {
            service: "front".into(),
            attributes: [text("service.name", "front"), text("host.name", "h1")].into(),
        };
        let root = span::Span {
            name: "GET /".into(),
            resource: Arc::new(front),
            start_unix_nano: 1_795_155_028_096_607_890,
            end_unix_nano: 1_795_155_028_098_098_000,
            attributes: [pair("http.status_code", Value::Int(200)), text("zone", "")].into(),
            trace_state: "k=v".into(),
            ..bare(0xab, 1, 0)
        };
        let child = span::Span {
            name: "SELECT".into(),
            kind: SpanKind::Client,
            start_unix_nano: 1_795_155_028_097_000_000,
            end_unix_nano: 1_795_155_028_097_400_000,
            status_code: StatusCode::Error,
            status_message: "refused".into(),
            events: [Event {
                dropped_attributes: 0,
                time_unix_nano: 1_795_155_028_097_300_000,
                name: "exception".into(),
                attributes: [text("exception.type", "Io")].into(),
            }]
            .into(),
            links: [Link {
                flags: 0,
                trace_id: bare(7, 1, 0).trace_id,
                span_id: bare(7, 8, 0).span_id,
                trace_state: "".into(),
                attributes: Box::default(),
            }]
            .into(),
            ..bare(0xab, 2, 1)
        };
        let said = LogRecord {
            severity_number: 0,
            time_unix_nano: 1_795_155_028_097_100_000,
            span_id: Some(child.span_id),
            resource: Arc::clone(&child.resource),
            severity: "WARN".into(),
            body: Value::Text("slow".into()),
            attributes: [pair("attempt", Value::Int(2))].into(),
        };
        let id = root.trace_id;
        store.insert_logs([(Some(id), said)]);
        store.insert([child, root]);
        let written = serde_json::to_string(&Trace::from(&*store.newest(1)[0])).unwrap();
        let expected = concat!(
            r#"{"traceID":"000000000000000000000000000000ab","spans":["#,
            r#"{"traceID":"000000000000000000000000000000ab","spanID":"0000000000000001","#,
            r#""operationName":"GET /","references":[],"startTime":1795155028096607,"duration":1490,"tags":["#,
            r#"{"key":"otel.scope.name","type":"string","value":"test"},"#,
            r#"{"key":"otel.scope.version","type":"string","value":"1"},"#,
            r#"{"key":"http.status_code","type":"int64","value":200},"#,
            r#"{"key":"zone","type":"string","value":""},"#,
            r#"{"key":"span.kind","type":"string","value":"server"},"#,
            r#"{"key":"w3c.tracestate","type":"string","value":"k=v"}],"#,
            r#""logs":[],"processID":"p1","warnings":null},"#,
            r#"{"traceID":"000000000000000000000000000000ab","spanID":"0000000000000002","#,
            r#""operationName":"SELECT","references":["#,
            r#"{"refType":"CHILD_OF","traceID":"000000000000000000000000000000ab","spanID":"0000000000000001"},"#,
            r#"{"refType":"FOLLOWS_FROM","traceID":"00000000000000000000000000000007","spanID":"0000000000000008"}],"#,
            r#""startTime":1795155028097000,"duration":400,"tags":["#,
            r#"{"key":"otel.scope.name","type":"string","value":"test"},"#,
            r#"{"key":"otel.scope.version","type":"string","value":"1"},"#,
            r#"{"key":"span.kind","type":"string","value":"client"},"#,
            r#"{"key":"otel.status_code","type":"string","value":"ERROR"},"#,
            r#"{"key":"error","type":"bool","value":true},"#,
            r#"{"key":"otel.status_description","type":"string","value":"refused"}],"logs":["#,
            r#"{"timestamp":1795155028097100,"fields":["#,
            r#"{"key":"level","type":"string","value":"WARN"},"#,
            r#"{"key":"message","type":"string","value":"slow"},"#,
            r#"{"key":"attempt","type":"int64","value":2}]},"#,
            r#"{"timestamp":1795155028097300,"fields":["#,
            r#"{"key":"event","type":"string","value":"exception"},"#,
            r#"{"key":"exception.type","type":"string","value":"Io"}]}],"#,
            r#""processID":"p2","warnings":null}],"#,
            r#""processes":{"p1":{"serviceName":"front","tags":[{"key":"host.name","type":"string","value":"h1"}]},"#,
            r#""p2":{"serviceName":"shop","tags":[]}},"warnings":null}"#,
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn what_was_logged_outside_of_a_span_stands_at_the_root() {
        let store = Store::new(1 << 20);
        let root = bare(1, 1, 0);
        let log = |span_id| LogRecord {
            severity_number: 0,
            time_unix_nano: 5_000,
            span_id,
            resource: Arc::clone(&root.resource),
            severity: "".into(),
            body: Value::Text("said".into()),
            attributes: Box::default(),
        };
        let missing = Some(bare(1, 9, 0).span_id);
        store.insert_logs([None, missing].map(|span| (Some(root.trace_id), log(span))));
        store.insert([root.clone(), bare(1, 2, 1)]);
        let trace = store.newest(1).remove(0);
        let written = serde_json::to_value(Trace::from(&*trace)).unwrap();
        let logs = |span: usize| written["spans"][span]["logs"].as_array().unwrap().len();
        assert_eq!((logs(0), logs(1)), (2, 0));
    }
}
