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
mod tests {
    use serde_json::json;

    use super::*;

    fn of_spans(spans: Value) -> Vec<u8> {
        json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string().into()
    }

    fn only_span(span: Value) -> Result<Span, String> {
        let (mut read, invalid) = traces(&of_spans(json!([span]))).unwrap();
        match read.resource_spans[0].scope_spans[0].spans.pop() {
            Some(span) => Ok(span),
            None => Err(invalid.to_string()),
        }
    }

    #[test]
    fn null_is_absent_everywhere() {
        let body = json!({"resourceSpans": [{
            "resource": null, "schemaUrl": null,
            "scopeSpans": [{"scope": null, "spans": [{
                "traceId": "01".repeat(16), "spanId": "02".repeat(8), "parentSpanId": null, "name": null, "kind": null,
                "startTimeUnixNano": null, "attributes": null, "events": null, "links": null, "status": null,
            }, {"attributes": [{"key": "k", "value": null}], "events": [{"attributes": null}]}]}],
        }, {"scopeSpans": null}]});
        let (read, invalid) = traces(body.to_string().as_bytes()).unwrap();
        assert!(invalid.is_empty());
        let spans = &read.resource_spans[0].scope_spans[0].spans;
        assert_eq!(spans[0].trace_id, [1; 16]);
        assert_eq!(spans[1].attributes[0].value, None);
    }

    #[test]
    fn numbers_come_as_numbers_and_as_texts_and_enumerations_by_name() {
        let span = only_span(json!({
            "startTimeUnixNano": 1_795_155_028_096_607_000_u64, "endTimeUnixNano": "18446744073709551615",
            "kind": "SPAN_KIND_SERVER", "flags": "257", "status": {"code": "STATUS_CODE_ERROR"},
            "attributes": [
                {"key": "i", "value": {"intValue": 5}}, {"key": "t", "value": {"intValue": "-9223372036854775808"}},
                {"key": "e", "value": {"intValue": 1e3}}, {"key": "d", "value": {"doubleValue": "0.5"}},
                {"key": "w", "value": {"doubleValue": 2}}, {"key": "b", "value": {"bytesValue": "_-8="}},
            ],
        }))
        .unwrap();
        assert_eq!(span.start_time_unix_nano, 1_795_155_028_096_607_000);
        assert_eq!((span.end_time_unix_nano, span.kind, span.flags), (u64::MAX, 2, 257));
        assert_eq!(span.status.unwrap().code, 2);
        let values: Vec<_> = span.attributes.into_iter().filter_map(|pair| pair.value?.value).collect();
        assert_eq!(
            values,
            [
                Kind::IntValue(5),
                Kind::IntValue(i64::MIN),
                Kind::IntValue(1000),
                Kind::DoubleValue(0.5),
                Kind::DoubleValue(2.0),
                Kind::BytesValue(vec![255, 239]),
            ]
        );
    }

    #[test]
    fn what_javascript_writes_and_json_has_not_costs_no_span() {
        let body = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a\ud83d","attributes":[
            {"key":"\\ud83d\ud83d\ude00","value":{"stringValue":"\ude00\ud83d"}},
            {"key":"n","value":{"intValue":1e21}},{"key":"m","value":{"intValue":9223372036854775808}}]}]}]}]}"#;
        let (mut read, invalid) = traces(body).unwrap();
        assert!(invalid.is_empty(), "{invalid}");
        let span = read.resource_spans[0].scope_spans[0].spans.pop().unwrap();
        assert_eq!((&*span.name, &*span.attributes[0].key), ("a\u{fffd}", "\\ud83d\u{1f600}"));
        let value = |place: usize| span.attributes[place].value.clone().unwrap().value.unwrap();
        assert_eq!(value(0), Kind::StringValue("\u{fffd}\u{fffd}".into()));
        assert_eq!(
            (value(1), value(2)),
            (Kind::DoubleValue(1e21), Kind::DoubleValue(9_223_372_036_854_775_808.0))
        );
        let broken = traces(br#"{"a":"\ud83d"#).unwrap_err();
        assert!(broken.to_string().starts_with("not JSON: "), "{broken}");
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        let span =
            only_span(json!({"name": "n", "later": [{}], "attributes": [{"key": "k", "value": {"new": 1}}]}));
        assert_eq!(span.unwrap().attributes[0].value, Some(AnyValue { value: None }));
    }

    #[test]
    fn a_bad_span_is_told_with_its_place_and_costs_no_other() {
        for (span, told) in [
            (json!(7), "an object is expected"),
            (json!({"traceId": "xy"}), "traceId: a text of hexadecimal digits is expected"),
            (json!({"spanId": "123"}), "spanId: a text of hexadecimal digits is expected"),
            (json!({"spanId": ["12"]}), "spanId: a text of hexadecimal digits is expected"),
            (json!({"name": 7}), "name: a text is expected"),
            (json!({"kind": "KIND"}), "kind: a number or a name of the enumeration is expected"),
            (json!({"flags": 4_294_967_296_u64}), "flags: a number from 0 to 2^32 - 1 is expected"),
            (json!({"attributes": {}}), "attributes: a list is expected"),
            (
                json!({"events": [{}, {"attributes": [{"value": {"boolValue": "true"}}]}]}),
                "events[1].attributes[0].value.boolValue: true or false is expected",
            ),
            (
                json!({"attributes": [{"value": {"arrayValue": {"values": [{}, {"intValue": 1.5}]}}}]}),
                "attributes[0].value.arrayValue.values[1].intValue: a number from -2^63 to 2^63 - 1, or a text of one, is \
                 expected",
            ),
        ] {
            let (read, invalid) =
                traces(&of_spans(json!([{"name": "before"}, span, {"name": "after"}]))).unwrap();
            assert_eq!(read.resource_spans[0].scope_spans[0].spans.len(), 2, "{span}");
            let place = "resourceSpans[0].scopeSpans[0].spans[1]";
            let point = if told.contains(':') { "." } else { ": " };
            assert_eq!(invalid.to_string(), format!("1 invalid, the first because of {place}{point}{told}"));
        }
        let huge = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1180591620717411303424}]}]}]}"#;
        assert!(
            traces(huge).unwrap().1.to_string().contains("startTimeUnixNano: a number from 0 to 2^64 - 1")
        );
    }

    #[test]
    fn spans_of_a_bad_resource_are_counted() {
        let body = json!({"resourceSpans": [
            {"resource": {"attributes": [{"key": 1}]}, "scopeSpans": [{"spans": [{}, {}]}, {"spans": [{}]}]},
            {"scopeSpans": [{"spans": [{"name": "good"}]}]},
        ]});
        let (read, invalid) = traces(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            invalid.to_string(),
            "3 invalid, the first because of resourceSpans[0].resource.attributes[0].key: a text is expected"
        );
        assert_eq!(read.resource_spans[1].scope_spans[0].spans[0].name, "good");
    }

    #[test]
    fn what_is_no_message_is_refused_with_the_reason() {
        for (body, told) in [
            ("[]", "not OTLP JSON: an object is expected"),
            ("{\"resourceSpans\":{}}", "not OTLP JSON: resourceSpans: a list is expected"),
            (
                "{\"resourceSpans\":[{},{\"scopeSpans\":[{\"spans\":1}]}]}",
                "not OTLP JSON: resourceSpans[1].spans: a list is expected",
            ),
        ] {
            assert_eq!(traces(body.as_bytes()).unwrap_err().to_string(), told);
        }
        assert!(traces(b"{").unwrap_err().to_string().starts_with("not JSON: EOF"));
        let deep = r#"{"resourceSpans":"#.to_owned() + &"[".repeat(10_000);
        assert!(traces(deep.as_bytes()).unwrap_err().to_string().contains("recursion limit"));
    }

    #[test]
    fn data_points_of_every_kind_are_counted() {
        let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {"gauge": {"dataPoints": [{}, {}]}}, {"sum": {"dataPoints": [{}]}}, {"summary": {"dataPoints": null}},
            {"exponentialHistogram": {"dataPoints": [{}]}}, {"name": "none"},
        ]}]}]});
        assert_eq!(points(body.to_string().as_bytes()), Ok(4));
    }
}
