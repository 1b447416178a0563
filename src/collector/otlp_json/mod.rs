//! OTLP as JSON: read as forgivingly as the mapping allows, a bad span for itself; written so that every reader takes it.
//!
//! Reference: OTLP specification, "JSON Protobuf Encoding": ids are hexadecimal, enumerations are numbers, unknown fields
//! are passed over; else the JSON mapping of protobuf 3, in which `null` stands for an absent field, and numbers may come as
//! texts.

mod fields;
mod read;
mod write;

pub(super) use self::{
    fields::Wrong,
    read::{logs, points, traces},
    write::{Json, List},
};

/// Why a message cannot be read at all.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOtlp {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// It is JSON, but not of a message.
    #[error("not OTLP JSON: {0}")]
    Shape(#[from] Wrong),
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value},
        resource::v1::Resource,
        trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span},
    };
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = AnyValue> {
        let leaf = prop_oneof![
            Just(None),
            ".*".prop_map(|text| Some(any_value::Value::StringValue(text))),
            any::<bool>().prop_map(|truth| Some(any_value::Value::BoolValue(truth))),
            any::<i64>().prop_map(|number| Some(any_value::Value::IntValue(number))),
            prop::num::f64::NORMAL.prop_map(|number| Some(any_value::Value::DoubleValue(number))),
            any::<Vec<u8>>().prop_map(|bytes| Some(any_value::Value::BytesValue(bytes))),
        ];
        leaf.prop_map(|value| AnyValue { value }).prop_recursive(3, 12, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|values| any_value::Value::ArrayValue(ArrayValue { values }));
            let map = attributes_of(inner)
                .prop_map(|values| any_value::Value::KvlistValue(KeyValueList { values }));
            prop_oneof![list, map].prop_map(|value| AnyValue { value: Some(value) })
        })
    }

    fn attributes_of(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = Vec<KeyValue>> {
        let pair = (".{0,9}", value).prop_map(|(key, value)| KeyValue {
            key,
            value: Some(value),
            ..KeyValue::default()
        });
        prop::collection::vec(pair, 0..3)
    }

    fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
        attributes_of(value())
    }

    fn event() -> impl Strategy<Value = span::Event> {
        (any::<u64>(), ".*", attributes(), any::<u32>()).prop_map(
            |(time_unix_nano, name, attributes, dropped_attributes_count)| span::Event {
                time_unix_nano,
                name,
                attributes,
                dropped_attributes_count,
            },
        )
    }

    fn link() -> impl Strategy<Value = span::Link> {
        (any::<[u8; 16]>(), any::<[u8; 8]>(), ".*", attributes(), any::<u32>()).prop_map(
            |(trace_id, span_id, trace_state, attributes, flags)| span::Link {
                trace_id: trace_id.into(),
                span_id: span_id.into(),
                trace_state,
                attributes,
                flags,
                ..span::Link::default()
            },
        )
    }

    prop_compose! {
        fn span()(
            trace_id in any::<[u8; 16]>(), span_id in any::<[u8; 8]>(), parent in any::<Option<[u8; 8]>>(),
            name in ".*", trace_state in ".*", kind in 0..6, start in any::<u64>(), end in any::<u64>(),
            attributes in attributes(), events in prop::collection::vec(event(), 0..3),
            links in prop::collection::vec(link(), 0..3), message in ".*", code in 0..3, flags in any::<u32>(),
        ) -> Span {
            Span {
                trace_id: trace_id.into(), span_id: span_id.into(), trace_state, name, kind, flags,
                parent_span_id: parent.map(Vec::from).unwrap_or_default(),
                start_time_unix_nano: start, end_time_unix_nano: end,
                attributes, dropped_attributes_count: flags / 2, events, links,
                status: Some(Status { message, code }),
                ..Span::default()
            }
        }
    }

    prop_compose! {
        fn message()(
            attributes in attributes(), name in ".*", version in ".*", schema_url in ".*",
            spans in prop::collection::vec(span(), 0..4),
        ) -> ExportTraceServiceRequest {
            let scope = Some(InstrumentationScope { name, version, ..InstrumentationScope::default() });
            ExportTraceServiceRequest { resource_spans: vec![ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { scope, spans, schema_url: schema_url.clone() }],
                schema_url,
            }] }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read_the_same_here_and_by_the_official_types(message in message()) {
            let written = serde_json::to_string(&Json(&message)).unwrap();
            let (read, invalid) = traces(written.as_bytes()).unwrap();
            prop_assert!(invalid.is_empty());
            prop_assert_eq!(&read, &message);
            let official: ExportTraceServiceRequest = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(official, message);
        }

        #[test]
        fn what_the_official_types_write_is_read_the_same(message in message()) {
            let written = serde_json::to_vec(&message).unwrap();
            prop_assert_eq!(traces(&written).unwrap().0, message);
        }
    }

    #[test]
    fn numbers_that_json_has_not_are_written_as_texts_and_read_back() {
        for (number, text) in
            [(f64::NAN, "NaN"), (f64::INFINITY, "Infinity"), (f64::NEG_INFINITY, "-Infinity")]
        {
            let value = AnyValue { value: Some(any_value::Value::DoubleValue(number)) };
            let written = serde_json::to_string(&Json(&value)).unwrap();
            assert_eq!(written, format!(r#"{{"doubleValue":"{text}"}}"#));
            let read = read::any_value(&serde_json::from_str(&written).unwrap()).unwrap();
            let Some(any_value::Value::DoubleValue(read)) = read.value else { panic!("{read:?}") };
            assert_eq!(read.to_bits(), number.to_bits());
        }
    }
}
