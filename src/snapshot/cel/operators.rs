//! Operators and functions of expressions. `None` is CEL's error.

use std::{borrow::Cow, cmp::Ordering};

use super::value::{Value, lookup};

/// An operator on two values.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    In,
    Index,
}

impl Operator {
    /// The one of this name in a parsed expression.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "_==_" => Self::Equal,
            "_!=_" => Self::NotEqual,
            "_<_" => Self::Less,
            "_<=_" => Self::LessOrEqual,
            "_>_" => Self::Greater,
            "_>=_" => Self::GreaterOrEqual,
            "_+_" => Self::Add,
            "_-_" => Self::Subtract,
            "_*_" => Self::Multiply,
            "_/_" => Self::Divide,
            "_%_" => Self::Remainder,
            "@in" | "_in_" | "in" => Self::In,
            "_[_]" => Self::Index,
            _ => return None,
        })
    }

    /// Its result.
    pub(super) fn apply<'a>(self, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
        let ordered = |accept: fn(Ordering) -> bool| left.order(&right).map(accept).map(Value::Bool);
        match self {
            Self::Equal => Some(Value::Bool(left.equals(&right))),
            Self::NotEqual => Some(Value::Bool(!left.equals(&right))),
            Self::Less => ordered(Ordering::is_lt),
            Self::LessOrEqual => ordered(Ordering::is_le),
            Self::Greater => ordered(Ordering::is_gt),
            Self::GreaterOrEqual => ordered(Ordering::is_ge),
            Self::Add | Self::Subtract | Self::Multiply | Self::Divide | Self::Remainder => {
                self.calculate(left, right)
            }
            Self::In => match &right {
                Value::List(items) => Some(Value::Bool(items.iter().any(|item| item.equals(&left)))),
                Value::Map(map) => Some(Value::Bool(lookup(map, &left).is_some())),
                _ => None,
            },
            Self::Index => match (&left, &right) {
                (Value::List(items), at) => items.get(position(at)?).cloned(),
                (Value::Map(map), key) => lookup(map, key).cloned(),
                _ => None,
            },
        }
    }

    fn calculate<'a>(self, left: Value<'a>, right: Value<'a>) -> Option<Value<'a>> {
        Some(match (left, right) {
            (Value::Int(left), Value::Int(right)) => Value::Int(match self {
                Self::Add => left.checked_add(right)?,
                Self::Subtract => left.checked_sub(right)?,
                Self::Multiply => left.checked_mul(right)?,
                Self::Divide => left.checked_div(right)?,
                _ => left.checked_rem(right)?,
            }),
            (Value::Uint(left), Value::Uint(right)) => Value::Uint(match self {
                Self::Add => left.checked_add(right)?,
                Self::Subtract => left.checked_sub(right)?,
                Self::Multiply => left.checked_mul(right)?,
                Self::Divide => left.checked_div(right)?,
                _ => left.checked_rem(right)?,
            }),
            (Value::Double(left), Value::Double(right)) => Value::Double(match self {
                Self::Add => left + right,
                Self::Subtract => left - right,
                Self::Multiply => left * right,
                Self::Divide => left / right,
                _ => return None,
            }),
            (Value::Duration(left), Value::Duration(right)) => Value::Duration(match self {
                Self::Add => left.checked_add(right)?,
                Self::Subtract => left.checked_sub(right)?,
                _ => return None,
            }),
            (Value::Text(left), Value::Text(right)) if matches!(self, Self::Add) => {
                Value::Text(Cow::Owned(left.into_owned() + &right))
            }
            (Value::Bytes(left), Value::Bytes(right)) if matches!(self, Self::Add) => {
                Value::Bytes(Cow::Owned([left, right].concat()))
            }
            (Value::List(mut left), Value::List(right)) if matches!(self, Self::Add) => {
                left.extend(right);
                Value::List(left)
            }
            _ => return None,
        })
    }
}

/// Where in a list a number points: any type of number will do, if it is a whole one.
fn position(at: &Value<'_>) -> Option<usize> {
    match at {
        Value::Int(at) => usize::try_from(*at).ok(),
        Value::Uint(at) => usize::try_from(*at).ok(),
        Value::Double(at) if at.fract() == 0.0 => usize::try_from(whole(*at)?).ok(),
        _ => None,
    }
}

/// `-value`
pub(super) fn negate(value: &Value<'_>) -> Option<Value<'static>> {
    match value {
        Value::Int(value) => value.checked_neg().map(Value::Int),
        Value::Double(value) => Some(Value::Double(-value)),
        _ => None,
    }
}

/// A function of one value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Function {
    Size,
    Int,
    Uint,
    Double,
    Bool,
    Bytes,
    Dyn,
    Type,
    Duration,
}

impl Function {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "size" => Self::Size,
            "int" => Self::Int,
            "uint" => Self::Uint,
            "double" => Self::Double,
            "bool" => Self::Bool,
            "bytes" => Self::Bytes,
            "dyn" => Self::Dyn,
            "type" => Self::Type,
            "duration" => Self::Duration,
            _ => return None,
        })
    }

    /// Its result.
    pub(super) fn apply(self, value: Value<'_>) -> Option<Value<'_>> {
        Some(match (self, value) {
            (Self::Dyn, value) => value,
            (Self::Type, value) => Value::Type(value.type_name()),
            (Self::Duration, Value::Duration(value)) => Value::Duration(value),
            (Self::Duration, Value::Text(text)) => Value::Duration(duration(&text)?),
            (Self::Size, Value::Text(text)) => Value::Int(i64::try_from(text.chars().count()).ok()?),
            (Self::Size, Value::Bytes(bytes)) => Value::Int(i64::try_from(bytes.len()).ok()?),
            (Self::Size, Value::List(items)) => Value::Int(i64::try_from(items.len()).ok()?),
            (Self::Size, Value::Map(map)) => Value::Int(i64::try_from(map.len()).ok()?),
            (Self::Int, Value::Int(value)) => Value::Int(value),
            (Self::Int, Value::Uint(value)) => Value::Int(i64::try_from(value).ok()?),
            (Self::Int, Value::Double(value)) => Value::Int(whole(value)?.try_into().ok()?),
            (Self::Int, Value::Text(text)) => Value::Int(text.trim_ascii().parse().ok()?),
            (Self::Uint, Value::Uint(value)) => Value::Uint(value),
            (Self::Uint, Value::Int(value)) => Value::Uint(u64::try_from(value).ok()?),
            (Self::Uint, Value::Double(value)) => Value::Uint(whole(value)?.try_into().ok()?),
            (Self::Uint, Value::Text(text)) => Value::Uint(text.trim_ascii().parse().ok()?),
            (Self::Double, Value::Double(value)) => Value::Double(value),
            (Self::Double, Value::Int(value)) => Value::Double(value as f64),
            (Self::Double, Value::Uint(value)) => Value::Double(value as f64),
            (Self::Double, Value::Text(text)) => Value::Double(text.trim_ascii().parse().ok()?),
            (Self::Bool, Value::Bool(value)) => Value::Bool(value),
            (Self::Bool, Value::Text(text)) => Value::Bool(match &*text {
                "1" | "t" | "true" | "TRUE" | "True" => true,
                "0" | "f" | "false" | "FALSE" | "False" => false,
                _ => return None,
            }),
            (Self::Bytes, Value::Bytes(bytes)) => Value::Bytes(bytes),
            (Self::Bytes, Value::Text(text)) => Value::Bytes(Cow::Owned(text.into_owned().into_bytes())),
            _ => return None,
        })
    }
}

/// The nanoseconds of a text such as `1h30m`, `1.5s` or `-300ms`.
fn duration(text: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 7] =
        [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 6e10), ("h", 3.6e12)];
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'))?;
        let (number, behind) = rest.split_at_checked(digits)?;
        let letters = behind.find(|letter: char| letter.is_ascii_digit() || letter == '.');
        let (unit, behind) = behind.split_at_checked(letters.unwrap_or(behind.len()))?;
        let (_, nanoseconds) = UNITS.iter().find(|(known, _)| *known == unit)?;
        sum += number.parse::<f64>().ok()? * nanoseconds;
        rest = behind;
    }
    let nanoseconds = i64::try_from(whole(sum.round())?).ok()?;
    Some(if negative { -nanoseconds } else { nanoseconds })
}

/// A number without its fraction, if it is one.
fn whole(value: f64) -> Option<i128> {
    // The cast saturates far beyond what the callers then refuse.
    value.is_finite().then(|| value.trunc() as i128)
}

/// A function of two texts that says yes or no.
#[derive(Debug, Clone, Copy)]
pub(super) enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

impl TextTest {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "contains" => Self::Contains,
            "startsWith" => Self::StartsWith,
            "endsWith" => Self::EndsWith,
            _ => return None,
        })
    }

    /// Its result.
    pub(super) fn apply(self, text: &str, part: &str) -> bool {
        match self {
            Self::Contains => text.contains(part),
            Self::StartsWith => text.starts_with(part),
            Self::EndsWith => text.ends_with(part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_any_unit_and_others_are_errors() {
        for (text, nanoseconds) in [
            ("0", Some(0)),
            ("1.5s", Some(1_500_000_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("-300ms", Some(-300_000_000)),
            ("7us", Some(7_000)),
            ("1", None),
            ("s", None),
            ("", None),
            ("1d", None),
            ("1.5.5s", None),
            ("9999999h", None),
        ] {
            assert_eq!(duration(text), nanoseconds, "{text}");
        }
    }
}
