//! What is read of messages, and what is refused.

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
    let huge =
        br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":1180591620717411303424}]}]}]}"#;
    assert!(traces(huge).unwrap().1.to_string().contains("startTimeUnixNano: a number from 0 to 2^64 - 1"));
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
