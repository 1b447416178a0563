//! The parts of a compiled expression, and how they are evaluated.

use regex::Regex;

use super::{
    Environment,
    attribute::{Attribute, Headers},
    operators::{Function, Operator, TextTest, negate},
    value::{Value, lookup},
};

/// A part of an expression.
#[derive(Debug)]
pub(super) enum Node {
    Constant(Value<'static>),
    Attribute(Attribute),
    HasAttribute(Attribute),
    Header(Headers, Box<Self>),
    HasHeader(Headers, Box<Self>),
    HeaderCount(Headers),
    Field(Box<Self>, Value<'static>),
    HasField(Box<Self>, Value<'static>),
    Not(Box<Self>),
    Negate(Box<Self>),
    /// Decided by the value named, whatever the other side is: `false` of `&&`, `true` of `||`.
    Logic(bool, Box<[Self; 2]>),
    Conditional(Box<[Self; 3]>),
    Binary(Operator, Box<[Self; 2]>),
    Function(Function, Box<Self>),
    TextTest(TextTest, Box<[Self; 2]>),
    Matches(Box<Self>, Regex),
    MatchesDynamic(Box<[Self; 2]>),
    List(Vec<Self>),
    Map(Vec<(Self, Self)>),
}

impl Node {
    /// Its value; `None` is an error.
    pub(super) fn evaluate<'a>(&'a self, from: &dyn Environment<'a>) -> Option<Value<'a>> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Attribute(attribute) => from.attribute(*attribute),
            Self::HasAttribute(attribute) => Some(Value::Bool(from.attribute(*attribute).is_some())),
            Self::Header(of, name) => {
                let name = name.evaluate(from)?.text()?;
                from.header(*of, &name).map(Value::Text)
            }
            Self::HasHeader(of, name) => {
                let name = name.evaluate(from)?.text()?;
                Some(Value::Bool(from.header(*of, &name).is_some()))
            }
            Self::HeaderCount(of) => from.header_count(*of).map(Value::Int),
            Self::Field(map, name) => Operator::Index.apply(map.evaluate(from)?, name.clone()),
            Self::HasField(map, name) => match map.evaluate(from)? {
                Value::Map(map) => Some(Value::Bool(lookup(&map, name).is_some())),
                _ => None,
            },
            Self::Not(part) => part.evaluate(from)?.bool().map(|value| Value::Bool(!value)),
            Self::Negate(part) => negate(&part.evaluate(from)?),
            Self::Logic(decisive, sides) => {
                let [left, right] = &**sides;
                let side = |node: &'a Self| node.evaluate(from).and_then(Value::bool);
                let left = side(left);
                if left == Some(*decisive) {
                    return Some(Value::Bool(*decisive));
                }
                // An error on one side does not matter if the other one decides.
                let right = side(right)?;
                (right == *decisive || left.is_some()).then_some(Value::Bool(right))
            }
            Self::Conditional(parts) => {
                let [condition, yes, no] = &**parts;
                if condition.evaluate(from)?.bool()? { yes.evaluate(from) } else { no.evaluate(from) }
            }
            Self::Binary(operator, sides) => {
                let [left, right] = &**sides;
                operator.apply(left.evaluate(from)?, right.evaluate(from)?)
            }
            Self::Function(function, part) => function.apply(part.evaluate(from)?),
            Self::TextTest(test, sides) => {
                let [text, part] = &**sides;
                let (text, part) = (text.evaluate(from)?.text()?, part.evaluate(from)?.text()?);
                Some(Value::Bool(test.apply(&text, &part)))
            }
            Self::Matches(text, regex) => Some(Value::Bool(regex.is_match(&text.evaluate(from)?.text()?))),
            Self::MatchesDynamic(sides) => {
                let [text, pattern] = &**sides;
                let (text, pattern) = (text.evaluate(from)?.text()?, pattern.evaluate(from)?.text()?);
                Some(Value::Bool(Regex::new(&pattern).ok()?.is_match(&text)))
            }
            Self::List(items) => {
                items.iter().map(|item| item.evaluate(from)).collect::<Option<_>>().map(Value::List)
            }
            Self::Map(entries) => entries
                .iter()
                .map(|(key, value)| Some((key.evaluate(from)?, value.evaluate(from)?)))
                .collect::<Option<_>>()
                .map(Value::Map),
        }
    }

    /// The headers and the attributes in it.
    pub(super) fn reads(&self, header: &mut dyn FnMut(Headers, &str), attribute: &mut dyn FnMut(Attribute)) {
        match self {
            Self::Attribute(read) | Self::HasAttribute(read) => attribute(*read),
            Self::Header(of, name) | Self::HasHeader(of, name) => match &**name {
                Self::Constant(Value::Text(name)) => header(*of, name),
                computed => computed.reads(header, attribute),
            },
            Self::Constant(_) | Self::HeaderCount(_) => {}
            Self::Field(part, _)
            | Self::HasField(part, _)
            | Self::Not(part)
            | Self::Negate(part)
            | Self::Function(_, part)
            | Self::Matches(part, _) => part.reads(header, attribute),
            Self::Logic(_, parts)
            | Self::Binary(_, parts)
            | Self::TextTest(_, parts)
            | Self::MatchesDynamic(parts) => parts.iter().for_each(|part| part.reads(header, attribute)),
            Self::Conditional(parts) => parts.iter().for_each(|part| part.reads(header, attribute)),
            Self::List(parts) => parts.iter().for_each(|part| part.reads(header, attribute)),
            Self::Map(entries) => entries.iter().for_each(|(key, value)| {
                key.reads(header, attribute);
                value.reads(header, attribute);
            }),
        }
    }
}
