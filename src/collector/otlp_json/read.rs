//! Messages of OTLP from their JSON. What cannot be read of one span or record costs that one only.

use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value as Kind,
    },
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status},
};
use serde_json::Value;

use super::{
    NotOtlp,
    fields::{Fields, Wrong, base64, double, signed},
};
use crate::collector::invalid::Invalid;

type Read<T> = Result<T, Wrong>;

/// The spans of a message, and those of them that cannot be read.
pub(in crate::collector) fn traces(body: &[u8]) -> Result<(ExportTraceServiceRequest, Invalid), NotOtlp> {
    let document = parse(body)?;
    let mut invalid = Invalid::default();
    let resource_spans = groups(&document, "resourceSpans", "scopeSpans", |place, group, scopes| {
        let mut scope_spans = |(index, scope)| {
            let place = format!("{place}.scopeSpans[{index}]");
            scope_spans(scope, &place, &mut invalid)
        };
        let scope_spans = scopes.iter().enumerate().map(&mut scope_spans).collect::<Read<_>>()?;
        let mut of_resource =
            ResourceSpans { scope_spans, schema_url: group.text("schemaUrl")?, ..ResourceSpans::default() };
        match group.message("resource", resource) {
            Ok(resource) => of_resource.resource = resource,
            // Spans of nobody knows whom are no good to anybody.
            Err(wrong) => {
                let spans = of_resource.scope_spans.drain(..).map(|scope| scope.spans.len()).sum();
                invalid.add(spans, &wrong.in_field(place));
            }
        }
        Ok(of_resource)
    })?;
    Ok((ExportTraceServiceRequest { resource_spans }, invalid))
}

/// The log records of a message, and those of them that cannot be read.
pub(in crate::collector) fn logs(body: &[u8]) -> Result<(ExportLogsServiceRequest, Invalid), NotOtlp> {
    let document = parse(body)?;
    let mut invalid = Invalid::default();
    let resource_logs = groups(&document, "resourceLogs", "scopeLogs", |place, group, scopes| {
        let mut scope_logs = |(index, scope)| {
            let place = format!("{place}.scopeLogs[{index}]");
            scope_logs(scope, &place, &mut invalid)
        };
        let scope_logs = scopes.iter().enumerate().map(&mut scope_logs).collect::<Read<_>>()?;
        let mut of_resource =
            ResourceLogs { scope_logs, schema_url: group.text("schemaUrl")?, ..ResourceLogs::default() };
        match group.message("resource", resource) {
            Ok(resource) => of_resource.resource = resource,
            Err(wrong) => {
                let records = of_resource.scope_logs.drain(..).map(|scope| scope.log_records.len()).sum();
                invalid.add(records, &wrong.in_field(place));
            }
        }
        Ok(of_resource)
    })?;
    Ok((ExportLogsServiceRequest { resource_logs }, invalid))
}

/// How many data points the metrics of a message have.
pub(in crate::collector) fn points(body: &[u8]) -> Result<u64, NotOtlp> {
    /// The kinds of data that a metric can have.
    const DATA: [&str; 5] = ["gauge", "sum", "histogram", "exponentialHistogram", "summary"];
    let document = parse(body)?;
    let mut points = 0;
    groups(&document, "resourceMetrics", "scopeMetrics", |_, _, scopes| {
        for scope in scopes {
            for metric in Fields::of(scope)?.items("metrics")? {
                let metric = Fields::of(metric)?;
                for data in DATA.iter().filter_map(|kind| metric.get(kind)) {
                    points += Fields::of(data)?.items("dataPoints")?.len() as u64;
                }
            }
        }
        Ok(())
    })?;
    Ok(points)
}

/// serde_json gives up at 128 levels of nesting, so a deep document cannot exhaust the stack, here or later.
fn parse(body: &[u8]) -> Result<Value, NotOtlp> {
    let document =
        serde_json::from_slice::<Value>(body).or_else(|error| match without_lone_surrogates(body) {
            // What is told is what was sent.
            Some(mended) => serde_json::from_slice(&mended).map_err(|_| error),
            None => Err(error),
        });
    let document = document.map_err(|error| NotOtlp::Syntax(error.to_string()))?;
    if document.is_object() { Ok(document) } else { Err(Wrong::expected("an object").into()) }
}

/// `body` with U+FFFD for each escape of half a character, such as JavaScript writes for a text that was cut within one;
/// `None` if there is none.
fn without_lone_surrogates(body: &[u8]) -> Option<Vec<u8>> {
    let escape = |at: usize| {
        let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    let mut mended = body.to_vec();
    let (mut at, mut found) = (0, false);
    while let Some(offset) = body.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'\\')) {
        at += offset;
        let length = match (escape(at), escape(at + 6)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                mended.get_mut(at..at + 6)?.copy_from_slice(b"\\ufffd");
                found = true;
                6
            }
            (Some(_), _) => 6,
            // A backslash and what it escapes.
            (None, _) => 2,
        };
        at += length;
    }
    found.then_some(mended)
}

/// What `read` makes of each group of `document`, whose place it is told, and of its scopes.
fn groups<'a, T>(
    document: &'a Value,
    name: &str,
    scopes: &str,
    mut read: impl FnMut(&str, Fields<'a>, &'a [Value]) -> Read<T>,
) -> Result<Vec<T>, NotOtlp> {
    let mut groups = Vec::new();
    for (index, group) in Fields::of(document)?.items(name)?.iter().enumerate() {
        let place = format!("{name}[{index}]");
        let group = Fields::of(group).and_then(|group| read(&place, group, group.items(scopes)?));
        groups.push(group.map_err(|wrong| wrong.in_field(&place))?);
    }
    Ok(groups)
}

fn scope_spans(scope: &Value, place: &str, invalid: &mut Invalid) -> Read<ScopeSpans> {
    let fields = Fields::of(scope)?;
    Ok(ScopeSpans {
        scope: fields.message("scope", self::scope)?,
        spans: valid(fields, "spans", span, place, invalid)?,
        schema_url: fields.text("schemaUrl")?,
    })
}

fn scope_logs(scope: &Value, place: &str, invalid: &mut Invalid) -> Read<ScopeLogs> {
    let fields = Fields::of(scope)?;
    Ok(ScopeLogs {
        scope: fields.message("scope", self::scope)?,
        log_records: valid(fields, "logRecords", log_record, place, invalid)?,
        schema_url: fields.text("schemaUrl")?,
    })
}

/// Those items of the list `name`, whose message is at `place`, that `read` can read; the others are counted.
fn valid<T>(
    fields: Fields<'_>,
    name: &str,
    read: impl Fn(&Value) -> Read<T>,
    place: &str,
    invalid: &mut Invalid,
) -> Read<Vec<T>> {
    let keep = |(index, item)| {
        let wrong = |wrong: Wrong| invalid.add(1, &wrong.in_item(index).in_field(name).in_field(place));
        read(item).map_err(wrong).ok()
    };
    Ok(fields.items(name)?.iter().enumerate().filter_map(keep).collect())
}

fn span(value: &Value) -> Read<Span> {
    let fields = Fields::of(value)?;
    Ok(Span {
        trace_id: fields.hex("traceId")?,
        span_id: fields.hex("spanId")?,
        trace_state: fields.text("traceState")?,
        parent_span_id: fields.hex("parentSpanId")?,
        flags: fields.u32("flags")?,
        name: fields.text("name")?,
        kind: fields.enumeration("kind", |name| span::SpanKind::from_str_name(name).map(Into::into))?,
        start_time_unix_nano: fields.u64("startTimeUnixNano")?,
        end_time_unix_nano: fields.u64("endTimeUnixNano")?,
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        events: fields.list("events", event)?,
        dropped_events_count: fields.u32("droppedEventsCount")?,
        links: fields.list("links", link)?,
        dropped_links_count: fields.u32("droppedLinksCount")?,
        status: fields.message("status", status)?,
    })
}

fn event(value: &Value) -> Read<span::Event> {
    let fields = Fields::of(value)?;
    Ok(span::Event {
        time_unix_nano: fields.u64("timeUnixNano")?,
        name: fields.text("name")?,
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
    })
}

fn link(value: &Value) -> Read<span::Link> {
    let fields = Fields::of(value)?;
    Ok(span::Link {
        trace_id: fields.hex("traceId")?,
        span_id: fields.hex("spanId")?,
        trace_state: fields.text("traceState")?,
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        flags: fields.u32("flags")?,
    })
}

fn status(value: &Value) -> Read<Status> {
    let fields = Fields::of(value)?;
    let number_of = |name: &str| status::StatusCode::from_str_name(name).map(Into::into);
    Ok(Status { message: fields.text("message")?, code: fields.enumeration("code", number_of)? })
}

fn log_record(value: &Value) -> Read<LogRecord> {
    let fields = Fields::of(value)?;
    let number_of = |name: &str| SeverityNumber::from_str_name(name).map(Into::into);
    Ok(LogRecord {
        time_unix_nano: fields.u64("timeUnixNano")?,
        observed_time_unix_nano: fields.u64("observedTimeUnixNano")?,
        severity_number: fields.enumeration("severityNumber", number_of)?,
        severity_text: fields.text("severityText")?,
        body: fields.message("body", any_value)?,
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        flags: fields.u32("flags")?,
        trace_id: fields.hex("traceId")?,
        span_id: fields.hex("spanId")?,
        event_name: fields.text("eventName")?,
    })
}

fn resource(value: &Value) -> Read<Resource> {
    let fields = Fields::of(value)?;
    Ok(Resource {
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
        ..Resource::default()
    })
}

fn scope(value: &Value) -> Read<InstrumentationScope> {
    let fields = Fields::of(value)?;
    Ok(InstrumentationScope {
        name: fields.text("name")?,
        version: fields.text("version")?,
        attributes: attributes(fields)?,
        dropped_attributes_count: fields.u32("droppedAttributesCount")?,
    })
}

fn attributes(fields: Fields<'_>) -> Read<Vec<KeyValue>> {
    fields.list("attributes", attribute)
}

fn attribute(value: &Value) -> Read<KeyValue> {
    let fields = Fields::of(value)?;
    Ok(KeyValue {
        key: fields.text("key")?,
        value: fields.message("value", any_value)?,
        ..KeyValue::default()
    })
}

pub(super) fn any_value(value: &Value) -> Read<AnyValue> {
    let fields = Fields::of(value)?;
    let one = |name, read: fn(&Value) -> Read<Kind>| fields.message(name, read).transpose();
    let value = one("stringValue", |value| {
        value.as_str().map(|text| Kind::StringValue(text.to_owned())).ok_or(Wrong::expected("a text"))
    })
    .or_else(|| {
        one("boolValue", |value| value.as_bool().map(Kind::BoolValue).ok_or(Wrong::expected("true or false")))
    })
    .or_else(|| one("intValue", whole))
    .or_else(|| one("doubleValue", |value| double(value).map(Kind::DoubleValue)))
    .or_else(|| one("bytesValue", |value| base64(value).map(Kind::BytesValue)))
    .or_else(|| {
        one("arrayValue", |value| {
            let values = Fields::of(value)?.list("values", any_value)?;
            Ok(Kind::ArrayValue(ArrayValue { values }))
        })
    })
    .or_else(|| {
        one("kvlistValue", |value| {
            let values = Fields::of(value)?.list("values", attribute)?;
            Ok(Kind::KvlistValue(KeyValueList { values }))
        })
    });
    Ok(AnyValue { value: value.transpose()? })
}

/// A whole number; one beyond 64 bits, as JavaScript writes them, as far as a double holds it.
fn whole(value: &Value) -> Read<Kind> {
    signed(value).map(Kind::IntValue).or_else(|wrong| match double(value) {
        Ok(number) if number.fract() == 0.0 => Ok(Kind::DoubleValue(number)),
        _ => Err(wrong),
    })
}

#[cfg(test)]
mod tests;
