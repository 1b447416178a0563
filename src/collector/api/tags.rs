//! Tags: attributes as Jaeger writes them, and those that it makes of other fields of a span.

use std::borrow::Cow;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use crate::collector::{
    attribute::{Attribute, Value},
    span::{Span, SpanKind, StatusCode},
};

/// The greatest whole number that every number of JavaScript tells from its neighbours; beyond it Jaeger writes texts.
const LARGEST_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The keys of tags that are no attributes, in the order in which they are made.
const MADE: [&str; 7] = [
    "otel.scope.name",
    "otel.scope.version",
    "span.kind",
    "otel.status_code",
    "error",
    "otel.status_description",
    "w3c.tracestate",
];

/// A key with a typed value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tag<'a> {
    key: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    value: TagValue<'a>,
}

/// What a tag may hold. Jaeger has no lists and no maps, so they are written as text.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
enum TagValue<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl<'a> Tag<'a> {
    /// A text.
    pub(super) fn text(key: &'a str, text: impl Into<Cow<'a, str>>) -> Self {
        Self { key, kind: "string", value: TagValue::Text(text.into()) }
    }

    /// Any value.
    pub(super) fn of(key: &'a str, value: &'a Value) -> Self {
        let typed = |kind, value| Self { key, kind, value };
        match value {
            Value::Bool(truth) => typed("bool", TagValue::Bool(*truth)),
            Value::Int(number) if number.unsigned_abs() > LARGEST_SAFE_INTEGER => {
                typed("int64", TagValue::Text(number.to_string().into()))
            }
            Value::Int(number) => typed("int64", TagValue::Int(*number)),
            Value::Double(number) if number.is_finite() => typed("float64", TagValue::Double(*number)),
            // JSON has no word for the others.
            Value::Double(number) => Self::text(key, number.to_string()),
            Value::Bytes(bytes) => typed("binary", TagValue::Text(BASE64_STANDARD.encode(bytes).into())),
            Value::Empty => Self::text(key, ""),
            Value::Text(_) | Value::List(_) | Value::Map(_) => Self::text(key, value.to_text()),
        }
    }

    fn is(&self, key: &str, text: &str) -> bool {
        self.key == key
            && match &self.value {
                TagValue::Text(value) => value == text,
                TagValue::Bool(value) => value.to_string() == text,
                TagValue::Int(value) => value.to_string() == text,
                TagValue::Double(value) => value.to_string() == text,
            }
    }
}

/// `attributes` as tags, in their order.
pub(super) fn of_attributes(attributes: &[Attribute]) -> impl Iterator<Item = Tag<'_>> {
    attributes.iter().map(|attribute| Tag::of(&attribute.key, &attribute.value))
}

/// All tags of `span`, in Jaeger's order: its library, its attributes, its kind, how it ended.
pub(super) fn of_span(span: &Span) -> Vec<Tag<'_>> {
    let mut tags: Vec<_> = of_scope(span).chain(of_attributes(&span.attributes)).collect();
    tags.extend(of_fields(span));
    tags
}

/// Whether `key` may be that of a tag that is no attribute.
pub(super) fn is_made(key: &str) -> bool {
    MADE.contains(&key)
}

/// Whether `span` has the tag `key` with the value `text`, be it an attribute or not.
pub(super) fn has(span: &Span, key: &str, text: &str) -> bool {
    let attributes = span.attributes.iter().chain(&span.resource.attributes);
    of_scope(span).chain(of_fields(span)).any(|tag| tag.is(key, text))
        || attributes.into_iter().any(|attribute| *attribute.key == *key && attribute.value.is_text(text))
}

fn of_scope(span: &Span) -> impl Iterator<Item = Tag<'_>> {
    let made = [said("otel.scope.name", &span.scope.name), said("otel.scope.version", &span.scope.version)];
    made.into_iter().flatten()
}

/// A tag, unless its text is empty.
fn said<'a>(key: &'a str, text: &'a str) -> Option<Tag<'a>> {
    (!text.is_empty()).then(|| Tag::text(key, text))
}

fn of_fields(span: &Span) -> impl Iterator<Item = Tag<'_>> {
    let failed = span.status_code == StatusCode::Error;
    let code = Some(span.status_code).filter(|code| *code != StatusCode::Unset);
    let made = [
        kind(span.kind).map(|kind| Tag::text("span.kind", kind)),
        code.map(|code| Tag::text("otel.status_code", code.name())),
        failed.then_some(Tag { key: "error", kind: "bool", value: TagValue::Bool(true) }),
        said("otel.status_description", &span.status_message),
        said("w3c.tracestate", &span.trace_state),
    ];
    made.into_iter().flatten()
}

/// The word for a kind; none for a span that does not say it.
pub(super) fn kind(kind: SpanKind) -> Option<&'static str> {
    match kind {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::collector::span::{Scope, tests::span};

    #[test]
    fn values_are_typed_as_jaeger_types_them() {
        let tag = |value| serde_json::to_value(Tag::of("k", &value)).unwrap();
        let typed = |kind: &str, value| json!({"key": "k", "type": kind, "value": value});
        assert_eq!(tag(Value::Text("t".into())), typed("string", json!("t")));
        assert_eq!(tag(Value::Bool(false)), typed("bool", json!(false)));
        assert_eq!(tag(Value::Int(-5)), typed("int64", json!(-5)));
        assert_eq!(tag(Value::Int(1 << 53)), typed("int64", json!("9007199254740992")));
        assert_eq!(tag(Value::Double(0.5)), typed("float64", json!(0.5)));
        assert_eq!(tag(Value::Double(f64::NAN)), typed("string", json!("NaN")));
        assert_eq!(tag(Value::Bytes([0, 255].into())), typed("binary", json!("AP8=")));
        assert_eq!(tag(Value::List([Value::Int(1)].into())), typed("string", json!("[1]")));
        assert_eq!(tag(Value::Empty), typed("string", json!("")));
    }

    #[test]
    fn a_span_that_says_nothing_has_no_tags() {
        let silent = Span {
            kind: SpanKind::Unspecified,
            scope: Arc::new(Scope { name: "".into(), version: "".into(), attributes: Box::default() }),
            ..span(1, 1, 0)
        };
        assert_eq!(of_span(&silent), []);
    }

    #[test]
    fn every_tag_that_is_made_is_known_as_such() {
        let full = Span {
            status_code: StatusCode::Error,
            status_message: "no".into(),
            trace_state: "k=v".into(),
            ..span(1, 1, 0)
        };
        let keys: Vec<_> = of_span(&full).iter().map(|tag| tag.key).collect();
        assert_eq!(keys, MADE);
        assert!(has(&full, "error", "true") && !has(&full, "error", "false"));
    }
}
