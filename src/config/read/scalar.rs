//! Numbers, texts, bytes and enums in protobuf's JSON mapping.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

use crate::config::node::{Node, NodeKind};

/// Read a scalar of `kind`.
pub(super) fn value(kind: &Kind, node: &Node) -> Option<Value> {
    match kind {
        Kind::Bool => boolean(node).map(Value::Bool),
        Kind::String => match &node.kind {
            NodeKind::Text(text) => Some(Value::String(text.clone())),
            _ => None,
        },
        Kind::Bytes => match &node.kind {
            NodeKind::Text(text) => bytes(text).map(|bytes| Value::Bytes(bytes.into())),
            _ => None,
        },
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => i32::try_from(integer(node)?).ok().map(Value::I32),
        Kind::Uint32 | Kind::Fixed32 => u32::try_from(integer(node)?).ok().map(Value::U32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => i64::try_from(integer(node)?).ok().map(Value::I64),
        Kind::Uint64 | Kind::Fixed64 => u64::try_from(integer(node)?).ok().map(Value::U64),
        Kind::Double => number(node).map(Value::F64),
        Kind::Float => {
            let number = number(node)?;
            (number.is_finite() == (number as f32).is_finite()).then_some(Value::F32(number as f32))
        }
        Kind::Message(_) | Kind::Enum(_) => None,
    }
}

/// What a scalar of `kind` looks like.
pub(super) fn expectation(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::String => "text",
        Kind::Bytes => "base64 text",
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => "a whole number of 32 bits",
        Kind::Uint32 | Kind::Fixed32 => "a whole number from 0 to 4294967295",
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => "a whole number",
        Kind::Uint64 | Kind::Fixed64 => "a whole number from 0 on",
        Kind::Float | Kind::Double => "a number",
        Kind::Message(_) => "a message",
        Kind::Enum(_) => "the name of an enum value",
    }
}

/// The key of a map; all keys are text in JSON.
pub(super) fn map_key(kind: &Kind, key: &str) -> Option<MapKey> {
    value(kind, &Node::from(NodeKind::Text(key.to_owned())))?.into_map_key()
}

/// An enum value by name, in any case, or by number.
pub(super) fn enum_number(descriptor: &EnumDescriptor, node: &Node) -> Option<i32> {
    if let NodeKind::Text(name) = &node.kind {
        let exact = descriptor.get_value_by_name(name);
        let value = exact.or_else(|| {
            let mut values = descriptor.values();
            values.find(|value| value.name().eq_ignore_ascii_case(name))
        });
        if let Some(value) = value {
            return Some(value.number());
        }
    }
    let number = i32::try_from(integer(node)?).ok()?;
    descriptor.get_value(number).map(|value| value.number())
}

/// Besides `true` and `false` the words that YAML 1.1, hence Envoy, takes for them. (`on` and `off` count there only
/// without quotes, which the reader of YAML does not tell.)
fn boolean(node: &Node) -> Option<bool> {
    match &node.kind {
        NodeKind::Bool(value) => Some(*value),
        NodeKind::Text(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" | "t" | "1" => Some(true),
            "false" | "no" | "off" | "n" | "f" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(node: &Node) -> Option<i128> {
    match &node.kind {
        NodeKind::Signed(value) => Some(i128::from(*value)),
        NodeKind::Unsigned(value) => Some(i128::from(*value)),
        NodeKind::Float(value) => whole(*value),
        NodeKind::Text(text) => {
            let parsed = text.parse().ok();
            parsed.or_else(|| whole(text.parse().ok()?))
        }
        _ => None,
    }
}

/// `value` if it has no fraction and is exact.
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 1e19).then_some(value as i128)
}

fn number(node: &Node) -> Option<f64> {
    match &node.kind {
        NodeKind::Signed(value) => Some(*value as f64),
        NodeKind::Unsigned(value) => Some(*value as f64),
        NodeKind::Float(value) => Some(*value),
        NodeKind::Text(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '.') => {
                text.parse().ok()
            }
            _ => None,
        },
        _ => None,
    }
}

/// Standard or URL-safe base64, padded or not.
fn bytes(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let url_safe = text.contains(['-', '_']);
    let alphabet = if url_safe { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    GeneralPurpose::new(alphabet, LENIENT).decode(text).ok()
}
