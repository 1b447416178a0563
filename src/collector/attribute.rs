//! Attributes of spans, events and resources.

use std::{borrow::Cow, mem::size_of};

use serde::ser::{Serialize, SerializeMap, Serializer};

/// What the allocator adds to a block of memory, in bytes. Estimate.
const ALLOCATION_OVERHEAD_BYTES: usize = 16;

/// A key with its value. `opentelemetry.proto.common.v1.KeyValue`.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute {
    /// What is told.
    pub key: Box<str>,
    /// What is told of it.
    pub value: Value,
}

/// What an attribute may hold. `opentelemetry.proto.common.v1.AnyValue`.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing at all.
    Empty,
    /// A text.
    Text(Box<str>),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Double(f64),
    /// Raw bytes; written as hexadecimal digits.
    Bytes(Box<[u8]>),
    /// Several values.
    List(Box<[Value]>),
    /// Attributes within an attribute.
    Map(Box<[Attribute]>),
}

impl Value {
    /// The text, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a text: texts as they are, everything else as JSON has it.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
            Self::Int(number) => Cow::Owned(number.to_string()),
            other => Cow::Owned(serde_json::to_string(other).unwrap_or_default()),
        }
    }

    /// Whether that is its text.
    pub fn is_text(&self, text: &str) -> bool {
        self.to_text() == text
    }

    /// Estimate of the memory held outside of the value itself, in bytes.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Empty | Self::Bool(_) | Self::Int(_) | Self::Double(_) => 0,
            Self::Text(text) => text.len() + ALLOCATION_OVERHEAD_BYTES,
            Self::Bytes(bytes) => bytes.len() + ALLOCATION_OVERHEAD_BYTES,
            Self::List(values) => {
                let inner: usize = values.iter().map(|value| size_of::<Self>() + value.heap_bytes()).sum();
                inner + ALLOCATION_OVERHEAD_BYTES
            }
            Self::Map(attributes) => attributes_heap_bytes(attributes),
        }
    }
}

/// Estimate of the memory that `attributes` hold, in bytes.
pub(super) fn attributes_heap_bytes(attributes: &[Attribute]) -> usize {
    let inner: usize = attributes
        .iter()
        .map(|attribute| {
            size_of::<Attribute>()
                + attribute.key.len()
                + ALLOCATION_OVERHEAD_BYTES
                + attribute.value.heap_bytes()
        })
        .sum();
    inner + ALLOCATION_OVERHEAD_BYTES
}

/// Writes attributes as one object that keeps their order.
#[derive(Debug)]
pub(super) struct AsObject<'a>(pub(super) &'a [Attribute]);

impl Serialize for AsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for attribute in self.0 {
            object.serialize_entry(&attribute.key, &attribute.value)?;
        }
        object.end()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => serializer.serialize_i64(*number),
            Self::Double(number) if number.is_finite() => serializer.serialize_f64(*number),
            // JSON has no word for these; proto3's JSON mapping writes them as texts.
            Self::Double(number) if number.is_nan() => serializer.serialize_str("NaN"),
            Self::Double(number) => {
                serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Self::Bytes(bytes) => {
                serializer.collect_str(&bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
            }
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(attributes) => AsObject(attributes).serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_become_an_object_in_their_order() {
        let attributes = [
            Attribute { key: "z".into(), value: Value::Int(i64::MAX) },
            Attribute { key: "a".into(), value: Value::List([Value::Bool(true), Value::Empty].into()) },
            Attribute { key: "m".into(), value: Value::Double(f64::NEG_INFINITY) },
            Attribute { key: "b".into(), value: Value::Bytes([0, 255].into()) },
        ];
        assert_eq!(
            serde_json::to_string(&AsObject(&attributes)).unwrap(),
            r#"{"z":9223372036854775807,"a":[true,null],"m":"-Infinity","b":"00ff"}"#
        );
    }
}
