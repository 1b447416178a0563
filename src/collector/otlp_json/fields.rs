//! The fields of a JSON object, each read as the type that its message gives it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose};
use serde_json::{Map, Value};

/// A field whose value cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::collector) struct Wrong {
    /// The way to it, from the message down; empty for the message itself.
    place: String,
    expected: &'static str,
}

impl Wrong {
    pub(super) fn expected(expected: &'static str) -> Self {
        Self { place: String::new(), expected }
    }

    /// The same, as seen from the message of which it is the field `name`.
    pub(super) fn in_field(mut self, name: &str) -> Self {
        let point = if self.place.is_empty() || self.place.starts_with('[') { "" } else { "." };
        self.place = format!("{name}{point}{}", self.place);
        self
    }

    /// The same, as seen from the list of which it is an item.
    pub(super) fn in_item(self, index: usize) -> Self {
        self.in_field(&format!("[{index}]"))
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => write!(f, "{} is expected", self.expected),
            place => write!(f, "{place}: {} is expected", self.expected),
        }
    }
}

impl std::error::Error for Wrong {}

type Read<T> = Result<T, Wrong>;

/// An object. A field that is absent or `null` has the default of its type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// Those of `value`; none if it is `null`.
    pub(super) fn of(value: &'a Value) -> Read<Self> {
        match value {
            Value::Null => Ok(Self(None)),
            Value::Object(fields) => Ok(Self(Some(fields))),
            _ => Err(Wrong::expected("an object")),
        }
    }

    /// Its value as it stands; `None` if it is absent or `null`.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, name: &str) -> Read<String> {
        self.read(name, |value| value.as_str().map(str::to_owned).ok_or(Wrong::expected("a text")))
            .map(Option::unwrap_or_default)
    }

    /// Bytes as hexadecimal digits, which is how OTLP writes ids.
    pub(super) fn hex(self, name: &str) -> Read<Vec<u8>> {
        self.read(name, |value| {
            value.as_str().and_then(from_hex).ok_or(Wrong::expected("a text of hexadecimal digits"))
        })
        .map(Option::unwrap_or_default)
    }

    pub(super) fn u64(self, name: &str) -> Read<u64> {
        self.read(name, unsigned).map(Option::unwrap_or_default)
    }

    pub(super) fn u32(self, name: &str) -> Read<u32> {
        let read = |value: &Value| {
            u32::try_from(unsigned(value)?).map_err(|_| Wrong::expected("a number from 0 to 2^32 - 1"))
        };
        self.read(name, read).map(Option::unwrap_or_default)
    }

    /// A value of an enumeration: its number, or the name for which `number_of` knows it.
    pub(super) fn enumeration(self, name: &str, number_of: impl Fn(&str) -> Option<i32>) -> Read<i32> {
        let read = |value: &Value| {
            let number = value.as_str().and_then(&number_of).map(i64::from);
            let number = number.or_else(|| signed(value).ok()).and_then(|number| i32::try_from(number).ok());
            number.ok_or(Wrong::expected("a number or a name of the enumeration"))
        };
        self.read(name, read).map(Option::unwrap_or_default)
    }

    /// A message, as `read` reads it.
    pub(super) fn message<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Read<Option<T>> {
        self.read(name, read)
    }

    /// The items of a list.
    pub(super) fn items(self, name: &str) -> Read<&'a [Value]> {
        let read = |value: &'a Value| value.as_array().ok_or(Wrong::expected("a list"));
        Ok(self.read(name, read)?.map_or(&[], Vec::as_slice))
    }

    /// A list, each item as `read` reads it.
    pub(super) fn list<T>(self, name: &str, read: impl Fn(&'a Value) -> Read<T>) -> Read<Vec<T>> {
        let items = self.items(name)?.iter().enumerate();
        let read = |(index, item)| read(item).map_err(|wrong| wrong.in_item(index).in_field(name));
        items.map(read).collect()
    }

    fn read<T>(self, name: &str, read: impl FnOnce(&'a Value) -> Read<T>) -> Read<Option<T>> {
        self.get(name).map(read).transpose().map_err(|wrong| wrong.in_field(name))
    }
}

fn unsigned(value: &Value) -> Read<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            // A number in exponential form is a whole one, too. The bounds are the largest that a double holds exactly.
            number.as_f64().filter(|number| is_whole(*number) && *number >= 0.0).map(|number| number as u64)
        }),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.ok_or(Wrong::expected("a number from 0 to 2^64 - 1, or a text of one,"))
}

/// A whole number below zero or above it, as a number or as a text.
pub(super) fn signed(value: &Value) -> Read<i64> {
    let number = match value {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().filter(|number| is_whole(*number)).map(|number| number as i64)),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.ok_or(Wrong::expected("a number from -2^63 to 2^63 - 1, or a text of one,"))
}

/// Whether a double is a whole number that no rounding has made one.
fn is_whole(number: f64) -> bool {
    number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0
}

/// A number; as a text also one that JSON has not.
pub(super) fn double(value: &Value) -> Read<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            digits => digits.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    };
    number.ok_or(Wrong::expected(r#"a number, "NaN", "Infinity" or "-Infinity""#))
}

/// Bytes in base64, of either alphabet, padded or not.
pub(super) fn base64(value: &Value) -> Read<Vec<u8>> {
    let bytes = value.as_str().and_then(|text| {
        let text = text.trim_end_matches('=');
        let standard = general_purpose::STANDARD_NO_PAD.decode(text);
        standard.or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(text)).ok()
    });
    bytes.ok_or(Wrong::expected("a text in base64"))
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some((digit(high)? << 4) | digit(low)?)).collect();
    if rest.is_empty() { bytes } else { None }
}
