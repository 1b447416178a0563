//! Messages of OTLP as JSON. Fields that have their default are left out, but for what makes a span one.

use base64::{Engine as _, engine::general_purpose};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value as Kind},
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
};
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A message in its JSON form.
#[derive(Debug, Clone, Copy)]
pub(in crate::collector) struct Json<'a, T>(pub(in crate::collector) &'a T);

impl Serialize for Json<'_, ExportTraceServiceRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("resourceSpans", &List(&self.0.resource_spans))?;
        fields.end()
    }
}

impl Serialize for Json<'_, ResourceSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.message("resource", self.0.resource.as_ref())?;
        fields.entry("scopeSpans", &List(&self.0.scope_spans))?;
        fields.text("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Json<'_, ScopeSpans> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.message("scope", self.0.scope.as_ref())?;
        fields.entry("spans", &List(&self.0.spans))?;
        fields.text("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Json<'_, Span> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.hex("traceId", &self.0.trace_id)?;
        fields.hex("spanId", &self.0.span_id)?;
        fields.text("traceState", &self.0.trace_state)?;
        fields.hex("parentSpanId", &self.0.parent_span_id)?;
        fields.number("flags", self.0.flags)?;
        fields.entry("name", &self.0.name)?;
        fields.entry("kind", &self.0.kind)?;
        fields.entry("startTimeUnixNano", &self.0.start_time_unix_nano.to_string())?;
        fields.entry("endTimeUnixNano", &self.0.end_time_unix_nano.to_string())?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("droppedAttributesCount", self.0.dropped_attributes_count)?;
        fields.list("events", &self.0.events)?;
        fields.number("droppedEventsCount", self.0.dropped_events_count)?;
        fields.list("links", &self.0.links)?;
        fields.number("droppedLinksCount", self.0.dropped_links_count)?;
        fields.message("status", self.0.status.as_ref())?;
        fields.end()
    }
}

impl Serialize for Json<'_, span::Event> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("timeUnixNano", &self.0.time_unix_nano.to_string())?;
        fields.entry("name", &self.0.name)?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("droppedAttributesCount", self.0.dropped_attributes_count)?;
        fields.end()
    }
}

impl Serialize for Json<'_, span::Link> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.hex("traceId", &self.0.trace_id)?;
        fields.hex("spanId", &self.0.span_id)?;
        fields.text("traceState", &self.0.trace_state)?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("droppedAttributesCount", self.0.dropped_attributes_count)?;
        fields.number("flags", self.0.flags)?;
        fields.end()
    }
}

impl Serialize for Json<'_, Status> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.text("message", &self.0.message)?;
        if self.0.code != 0 {
            fields.entry("code", &self.0.code)?;
        }
        fields.end()
    }
}

impl Serialize for Json<'_, ExportLogsServiceRequest> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("resourceLogs", &List(&self.0.resource_logs))?;
        fields.end()
    }
}

impl Serialize for Json<'_, ResourceLogs> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.message("resource", self.0.resource.as_ref())?;
        fields.entry("scopeLogs", &List(&self.0.scope_logs))?;
        fields.text("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Json<'_, ScopeLogs> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.message("scope", self.0.scope.as_ref())?;
        fields.entry("logRecords", &List(&self.0.log_records))?;
        fields.text("schemaUrl", &self.0.schema_url)?;
        fields.end()
    }
}

impl Serialize for Json<'_, LogRecord> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("timeUnixNano", &self.0.time_unix_nano.to_string())?;
        if self.0.severity_number != 0 {
            fields.entry("severityNumber", &self.0.severity_number)?;
        }
        fields.text("severityText", &self.0.severity_text)?;
        fields.message("body", self.0.body.as_ref())?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("flags", self.0.flags)?;
        fields.hex("traceId", &self.0.trace_id)?;
        fields.hex("spanId", &self.0.span_id)?;
        fields.end()
    }
}

impl Serialize for Json<'_, Resource> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("droppedAttributesCount", self.0.dropped_attributes_count)?;
        fields.end()
    }
}

impl Serialize for Json<'_, InstrumentationScope> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.text("name", &self.0.name)?;
        fields.text("version", &self.0.version)?;
        fields.list("attributes", &self.0.attributes)?;
        fields.number("droppedAttributesCount", self.0.dropped_attributes_count)?;
        fields.end()
    }
}

impl Serialize for Json<'_, KeyValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("key", &self.0.key)?;
        fields.message("value", self.0.value.as_ref())?;
        fields.end()
    }
}

impl Serialize for Json<'_, AnyValue> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        match &self.0.value {
            Some(Kind::StringValue(text)) => fields.entry("stringValue", text)?,
            Some(Kind::BoolValue(truth)) => fields.entry("boolValue", truth)?,
            Some(Kind::IntValue(number)) => fields.entry("intValue", &number.to_string())?,
            Some(Kind::DoubleValue(number)) => match not_of_json(*number) {
                None => fields.entry("doubleValue", number)?,
                Some(name) => fields.entry("doubleValue", name)?,
            },
            Some(Kind::BytesValue(bytes)) => {
                fields.entry("bytesValue", &general_purpose::STANDARD.encode(bytes))?;
            }
            Some(Kind::ArrayValue(list)) => fields.entry("arrayValue", &Values(&list.values))?,
            Some(Kind::KvlistValue(map)) => fields.entry("kvlistValue", &Values(&map.values))?,
            Some(Kind::StringValueStrindex(_)) | None => {}
        }
        fields.end()
    }
}

/// The name of a number for which JSON has no digits.
fn not_of_json(number: f64) -> Option<&'static str> {
    if number.is_nan() {
        return Some("NaN");
    }
    match number {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        _ => None,
    }
}

/// A list in the message that protobuf needs around it where a list is one of several kinds.
struct Values<'a, T>(&'a [T]);

impl<'a, T> Serialize for Values<'a, T>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = Fields::begin(serializer)?;
        fields.entry("values", &List(self.0))?;
        fields.end()
    }
}

/// Messages in their JSON form.
#[derive(Debug, Clone, Copy)]
pub(in crate::collector) struct List<'a, T>(pub(in crate::collector) &'a [T]);

impl<'a, T> Serialize for List<'a, T>
where
    Json<'a, T>: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Json))
    }
}

/// The fields of a message while they are written.
struct Fields<S: Serializer>(S::SerializeMap);

impl<S: Serializer> Fields<S> {
    fn begin(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        self.0.end()
    }

    fn entry(&mut self, name: &'static str, value: &(impl Serialize + ?Sized)) -> Result<(), S::Error> {
        self.0.serialize_entry(name, value)
    }

    fn text(&mut self, name: &'static str, text: &str) -> Result<(), S::Error> {
        if text.is_empty() { Ok(()) } else { self.entry(name, text) }
    }

    fn number(&mut self, name: &'static str, number: u32) -> Result<(), S::Error> {
        if number == 0 { Ok(()) } else { self.entry(name, &number) }
    }

    fn hex(&mut self, name: &'static str, bytes: &[u8]) -> Result<(), S::Error> {
        if bytes.is_empty() { Ok(()) } else { self.entry(name, &to_hex(bytes)) }
    }

    fn message<'a, T>(&mut self, name: &'static str, message: Option<&'a T>) -> Result<(), S::Error>
    where
        Json<'a, T>: Serialize,
    {
        message.map_or(Ok(()), |message| self.entry(name, &Json(message)))
    }

    fn list<'a, T>(&mut self, name: &'static str, items: &'a [T]) -> Result<(), S::Error>
    where
        Json<'a, T>: Serialize,
    {
        if items.is_empty() { Ok(()) } else { self.entry(name, &List(items)) }
    }
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
