//! Values of expressions, and how they compare.

use std::{borrow::Cow, cmp::Ordering};

/// What an expression can be.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
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
}

impl<'a> Value<'a> {
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

/// The value of a key.
pub(super) fn lookup<'m, 'a>(map: &'m [(Value<'a>, Value<'a>)], key: &Value<'a>) -> Option<&'m Value<'a>> {
    map.iter().find(|(known, _)| known.equals(key)).map(|(_, value)| value)
}
