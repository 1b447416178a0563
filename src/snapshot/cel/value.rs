//! Values of expressions, and how they compare.

use std::{borrow::Cow, cmp::Ordering};

use crate::snapshot::metadata::number_text;

/// What an expression can be. As in CEL, but for points in time.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
    Type(&'static str),
    /// Nanoseconds.
    Duration(i64),
}

impl<'a> Value<'a> {
    /// Of JSON: its numbers are all doubles.
    pub(crate) fn of_json(json: &serde_json::Value) -> Value<'static> {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => Value::Double(number.as_f64().unwrap_or_default()),
            Json::String(text) => Value::Text(Cow::Owned(text.clone())),
            Json::Array(items) => Value::List(items.iter().map(Self::of_json).collect()),
            Json::Object(members) => {
                let member = |(key, value): (&String, &Json)| {
                    (Value::Text(Cow::Owned(key.clone())), Self::of_json(value))
                };
                Value::Map(members.iter().map(member).collect())
            }
        }
    }

    /// As a text, in the words of Envoy's `%CEL(X)%`.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Uint(value) => value.to_string(),
            Self::Double(value) => number_text(value),
            Self::Text(text) => text.into_owned(),
            Self::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Self::List(_) => "CelList value".to_owned(),
            Self::Map(_) => "CelMap value".to_owned(),
            Self::Type(_) => "CelType value".to_owned(),
            Self::Duration(nanoseconds) => duration_text(nanoseconds),
        }
    }

    /// The name of its type.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Duration(_) => "google.protobuf.Duration",
        }
    }

    /// It, if it is a boolean.
    pub(super) fn bool(self) -> Option<bool> {
        if let Self::Bool(value) = self { Some(value) } else { None }
    }

    /// It, if it is text.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    /// Whether two values are equal: numbers by value, whatever their types; anything else only to its like.
    pub(super) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(left), Self::List(right)) => {
                left.len() == right.len() && left.iter().zip(right).all(|(left, right)| left.equals(right))
            }
            (Self::Map(left), Self::Map(right)) => {
                let has = |key, value: &Self| lookup(right, key).is_some_and(|found| found.equals(value));
                left.len() == right.len() && left.iter().all(|(key, value)| has(key, value))
            }
            (Self::Type(left), Self::Type(right)) => left == right,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    /// Which of two values is greater, if they can be ordered.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(left), Self::Bool(right)) => Some(left.cmp(right)),
            (Self::Text(left), Self::Text(right)) => Some(left.cmp(right)),
            (Self::Bytes(left), Self::Bytes(right)) => Some(left.cmp(right)),
            (Self::Duration(left), Self::Duration(right)) => Some(left.cmp(right)),
            _ => match (self.whole(), other.whole()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => self.number()?.partial_cmp(&other.number()?),
            },
        }
    }

    fn whole(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some(i128::from(*value)),
            Self::Uint(value) => Some(i128::from(*value)),
            _ => None,
        }
    }

    fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }
}

/// A duration as `1h30m`, `1.5s`, `12.5ms`; zero as `0`.
fn duration_text(nanoseconds: i64) -> String {
    let mut text = String::new();
    if nanoseconds < 0 {
        text.push('-');
    }
    let mut rest = nanoseconds.unsigned_abs();
    // Below a second there is one unit, which takes the fraction.
    for (unit, of) in [("ns", 1), ("us", 1_000), ("ms", 1_000_000)] {
        if rest > 0 && rest < of * 1000 {
            return text + &fraction(rest, of) + unit;
        }
    }
    for (unit, of) in [("h", 3_600_000_000_000), ("m", 60_000_000_000)] {
        if rest >= of {
            text += &format!("{}{unit}", rest / of);
            rest %= of;
        }
    }
    if rest > 0 {
        text += &(fraction(rest, 1_000_000_000) + "s");
    }
    if text.is_empty() { "0".to_owned() } else { text }
}

/// `number / of`, with as many decimals as it has.
fn fraction(number: u64, of: u64) -> String {
    let digits = of.ilog10() as usize;
    let decimals = format!("{:0digits$}", number % of);
    let text = if digits == 0 { String::new() } else { decimals.trim_end_matches('0').to_owned() };
    if text.is_empty() { (number / of).to_string() } else { format!("{}.{text}", number / of) }
}

/// The value of a key.
pub(super) fn lookup<'m, 'a>(map: &'m [(Value<'a>, Value<'a>)], key: &Value<'a>) -> Option<&'m Value<'a>> {
    map.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value)
}
