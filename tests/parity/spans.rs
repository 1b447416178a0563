//! Spans of any protocol as lines.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    trace::v1 as otlp,
};
use serde_json::Value;

use crate::{message::text, zipkin::hex};

/// One span.
#[derive(Debug, Clone, Default)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    /// What is told of it, in order.
    pub(crate) lines: Vec<(String, String)>,
}

impl Span {
    /// What could not be read is an observation, too.
    pub(crate) fn unreadable(text: &str) -> Self {
        Self { lines: vec![("unreadable".to_owned(), text.to_owned())], ..Self::default() }
    }

    fn line(&mut self, path: impl Into<String>, value: impl Into<String>) {
        self.lines.push((path.into(), value.into()));
    }
}

/// The spans of an OTLP export.
pub(crate) fn of_otlp(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_resource in request.resource_spans {
        let resource = of_resource.resource.unwrap_or_default().attributes;
        for of_scope in of_resource.scope_spans {
            let scope = of_scope.scope.as_ref().map(|scope| format!("{} {}", scope.name, scope.version));
            for span in &of_scope.spans {
                spans.push(otlp(span, &resource, scope.as_deref()));
            }
        }
    }
    spans
}

fn otlp(span: &otlp::Span, resource: &[KeyValue], scope: Option<&str>) -> Span {
    let mut lines = Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        ..Span::default()
    };
    let mut resource: Vec<(String, String)> =
        resource.iter().map(|pair| (format!("resource.{}", pair.key), any(pair.value.as_ref()))).collect();
    resource.sort();
    lines.lines.extend(resource);
    if scope.is_some_and(|scope| !scope.trim().is_empty()) {
        lines.line("scope", "<build>");
    }
    lines.line("name", &*span.name);
    lines.line("kind", span.kind().as_str_name().trim_start_matches("SPAN_KIND_"));
    lines.line("trace", lines.trace.clone());
    lines.line("id", lines.id.clone());
    if !lines.parent.is_empty() {
        lines.line("parent", lines.parent.clone());
    }
    lines.line("flags", format!("{:x}", span.flags));
    if !span.trace_state.is_empty() {
        lines.line("tracestate", &*span.trace_state);
    }
    let status = span.status.clone().unwrap_or_default();
    let code = status.code().as_str_name().trim_start_matches("STATUS_CODE_");
    lines.line("status", format!("{code} {}", status.message).trim_end());
    for pair in &span.attributes {
        lines.line(format!("attributes.{}", pair.key), any(pair.value.as_ref()));
    }
    // Why there is an error is told by spanway alone; tests/causes.rs has what it says.
    for event in span.events.iter().filter(|event| event.name != "spanway.local_reply") {
        let attributes: Vec<String> = event
            .attributes
            .iter()
            .map(|pair| format!("{}={}", pair.key, any(pair.value.as_ref())))
            .collect();
        lines.line(format!("events.{}", event.name), attributes.join(" "));
    }
    for link in &span.links {
        lines.line("links", format!("{} {}", hex(&link.trace_id), hex(&link.span_id)));
    }
    if span.start_time_unix_nano == 0 || span.end_time_unix_nano < span.start_time_unix_nano {
        lines.line("times", "wrong");
    }
    lines
}

/// A value; what is no string says what it is.
pub(crate) fn any(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        None => "(no value)".to_owned(),
        Some(Any::StringValue(value)) => text(value.as_bytes()),
        Some(Any::BoolValue(value)) => format!("bool {value}"),
        Some(Any::IntValue(value)) => format!("int {value}"),
        Some(Any::DoubleValue(value)) => format!("double {value}"),
        Some(Any::BytesValue(value)) => format!("bytes {}", hex(value)),
        Some(Any::ArrayValue(list)) => {
            let values: Vec<String> = list.values.iter().map(|value| any(Some(value))).collect();
            format!("[{}]", values.join(", "))
        }
        Some(Any::KvlistValue(list)) => {
            let member = |pair: &KeyValue| format!("{}: {}", pair.key, any(pair.value.as_ref()));
            format!("{{{}}}", list.values.iter().map(member).collect::<Vec<_>>().join(", "))
        }
        Some(other) => format!("{other:?}"),
    }
}

/// Attributes as lines.
pub(crate) fn attributes(of: &str, attributes: &[KeyValue]) -> Vec<(String, String)> {
    attributes.iter().map(|pair| (format!("{of}.{}", pair.key), any(pair.value.as_ref()))).collect()
}

/// A Zipkin span or an X-Ray segment: its members, sorted.
pub(crate) fn of_json(span: &Value) -> Span {
    let member = |names: [&str; 2]| {
        let found = names.iter().find_map(|name| span.get(*name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let mut lines = Span {
        trace: member(["traceId", "trace_id"]),
        id: member(["id", "id"]),
        parent: member(["parentId", "parent_id"]),
        ..Span::default()
    };
    flatten(&mut lines.lines, "", span);
    lines
}

/// Times are not compared.
const TIMES: [&str; 4] = ["timestamp", "duration", "start_time", "end_time"];

fn flatten(lines: &mut Vec<(String, String)>, path: &str, value: &Value) {
    let inner = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            for (name, value) in members {
                if TIMES.contains(&&**name) && value.is_number() {
                    lines.push((inner(name), "<time>".to_owned()));
                } else {
                    flatten(lines, &inner(name), value);
                }
            }
        }
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                flatten(lines, &inner(&index.to_string()), value);
            }
        }
        Value::String(value) => lines.push((path.to_owned(), text(value.as_bytes()))),
        other => lines.push((path.to_owned(), format!("json {other}"))),
    }
}
