//! Expressions of the Common Expression Language, compiled: names resolved to attributes, regexes built.
//!
//! The dialect is that of Envoy's sampler: no macros but `has()`, since comprehensions are switched off there,
//! and no `string()`. Of its functions those of time and of `re` are missing, of its attributes all that
//! [`Attribute`] does not list. What is missing is refused by name when the configuration is read; Envoy takes
//! any attribute, and an unknown one is an error whenever it is asked for.

mod attribute;

use std::borrow::Cow;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, MapExpr, SelectExpr},
};
use regex::Regex;

use self::attribute::Attribute;
use super::{
    SamplingAttributes,
    operators::{Function, Operator, TextTest, negate},
    value::{Value, lookup},
};

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CelError {
    /// There is none.
    #[error("CEL expression not set")]
    NotSet,
    /// It is not CEL.
    #[error("not a CEL expression: {0}")]
    Syntax(String),
    /// It asks for something that is not known when a span starts.
    #[error("attribute `{0}` is not supported")]
    Attribute(String),
    /// It calls something that does not exist.
    #[error("function `{0}` is not supported")]
    Function(String),
    /// It has a part that this dialect lacks.
    #[error("{0} are not supported")]
    Unsupported(&'static str),
    /// It matches against something that is no regular expression.
    #[error("invalid regular expression: {0}")]
    Regex(String),
}

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Expression(Node);

/// Deeper expressions than this are refused: they are walked recursively.
const DEEPEST: usize = 100;

#[derive(Debug)]
enum Node {
    Constant(Value<'static>),
    Attribute(Attribute),
    HasAttribute(Attribute),
    Header(Box<Self>),
    HasHeader(Box<Self>),
    HeaderCount,
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

impl Expression {
    /// Compile what was parsed.
    pub(super) fn compile(ast: &IdedExpr) -> Result<Self, CelError> {
        compile(ast, 0).map(Self)
    }

    /// Its value; `None` is an error.
    pub(super) fn evaluate<'a>(&'a self, attributes: &SamplingAttributes<'a>) -> Option<Value<'a>> {
        self.0.evaluate(attributes)
    }
}

fn compile(ast: &IdedExpr, depth: usize) -> Result<Node, CelError> {
    if depth > DEEPEST {
        return Err(CelError::Unsupported("expressions of this depth"));
    }
    let depth = depth + 1;
    match &ast.expr {
        Expr::Literal(literal) => Ok(Node::Constant(constant(literal))),
        Expr::Ident(name) => match type_named(name) {
            Some(name) => Ok(Node::Constant(Value::Type(name))),
            None => Err(CelError::Attribute(name.clone())),
        },
        Expr::Select(select) => compile_select(select, depth),
        Expr::Call(call) => compile_call(call, depth),
        Expr::List(list) if list.optional_indices.is_empty() => {
            let items = list.elements.iter().map(|item| compile(item, depth));
            items.collect::<Result<_, _>>().map(Node::List)
        }
        Expr::Map(map) => compile_map(map, depth),
        Expr::Comprehension(_) => Err(CelError::Unsupported("macros other than has()")),
        Expr::List(_) => Err(CelError::Unsupported("optional values")),
        Expr::Struct(_) => Err(CelError::Unsupported("messages")),
        Expr::Unspecified => Err(CelError::Unsupported("empty expressions")),
    }
}

fn compile_map(map: &MapExpr, depth: usize) -> Result<Node, CelError> {
    let entries = map.entries.iter().map(|entry| match &entry.expr {
        EntryExpr::MapEntry(entry) if !entry.optional => {
            Ok((compile(&entry.key, depth)?, compile(&entry.value, depth)?))
        }
        _ => Err(CelError::Unsupported("optional values")),
    });
    entries.collect::<Result<_, _>>().map(Node::Map)
}

/// `a.b` and `has(a.b)`.
fn compile_select(select: &SelectExpr, depth: usize) -> Result<Node, CelError> {
    if let Some(path) = path(&select.operand) {
        return compile_attribute(&path, &select.field, select.test);
    }
    let operand = Box::new(compile(&select.operand, depth)?);
    let field = text(&select.field);
    Ok(if select.test { Node::HasField(operand, field) } else { Node::Field(operand, field) })
}

/// The attribute `path.field`, or whether there is one.
fn compile_attribute(path: &str, field: &str, test: bool) -> Result<Node, CelError> {
    if path == HEADERS {
        let name = Box::new(Node::Constant(text(field)));
        return Ok(if test { Node::HasHeader(name) } else { Node::Header(name) });
    }
    let name = format!("{path}.{field}");
    if name == HEADERS {
        return Err(CelError::Unsupported("uses of `request.headers` as a whole"));
    }
    let attribute = Attribute::named(&name).ok_or(CelError::Attribute(name))?;
    Ok(if test { Node::HasAttribute(attribute) } else { Node::Attribute(attribute) })
}

/// The only attribute that is a map: its headers are looked up one by one.
const HEADERS: &str = "request.headers";

fn compile_call(call: &CallExpr, depth: usize) -> Result<Node, CelError> {
    let name = call.func_name.as_str();
    let parts = call.target.as_deref().into_iter().chain(&call.args).collect::<Vec<_>>();
    let node = |part: &IdedExpr| compile(part, depth);
    let boxed = |part: &IdedExpr| node(part).map(Box::new);
    let headers = |part: &IdedExpr| path(part).is_some_and(|path| path == HEADERS);
    if let (INDEX, [map, key]) = (name, parts.as_slice())
        && let (Some(path), Some(key)) = (path(map), literal_text(key))
    {
        return compile_attribute(&path, key, false);
    }
    match (name, parts.as_slice()) {
        ("!_", [part]) => boxed(part).map(Node::Not),
        ("-_", [part]) => boxed(part).map(Node::Negate),
        ("_&&_" | "_||_", [left, right]) => {
            Ok(Node::Logic(name == "_||_", Box::new([node(left)?, node(right)?])))
        }
        ("_?_:_", [condition, yes, no]) => {
            Ok(Node::Conditional(Box::new([node(condition)?, node(yes)?, node(no)?])))
        }
        (INDEX, [map, key]) if headers(map) => boxed(key).map(Node::Header),
        ("@in" | "_in_" | "in", [key, map]) if headers(map) => boxed(key).map(Node::HasHeader),
        ("size", [map]) if headers(map) => Ok(Node::HeaderCount),
        ("matches", [text, pattern]) => match node(pattern)? {
            Node::Constant(Value::Text(pattern)) => {
                let regex = Regex::new(&pattern).map_err(|error| CelError::Regex(error.to_string()))?;
                Ok(Node::Matches(boxed(text)?, regex))
            }
            pattern => Ok(Node::MatchesDynamic(Box::new([node(text)?, pattern]))),
        },
        (_, [left, right]) => {
            if let Some(operator) = Operator::named(name) {
                Ok(Node::Binary(operator, Box::new([node(left)?, node(right)?])))
            } else if let Some(test) = TextTest::named(name) {
                Ok(Node::TextTest(test, Box::new([node(left)?, node(right)?])))
            } else {
                Err(CelError::Function(name.to_owned()))
            }
        }
        (_, [part]) => match Function::named(name) {
            // Only `size` can be called on its argument.
            Some(function) if call.target.is_none() || matches!(function, Function::Size) => {
                Ok(Node::Function(function, boxed(part)?))
            }
            _ => Err(CelError::Function(name.to_owned())),
        },
        _ => Err(CelError::Function(name.to_owned())),
    }
}

/// `a[b]`
const INDEX: &str = "_[_]";

/// The dotted name that an expression spells, a part of it perhaps in brackets: `request['path']`.
fn path(ast: &IdedExpr) -> Option<String> {
    match &ast.expr {
        Expr::Ident(name) => type_named(name).is_none().then(|| name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        Expr::Call(call) if call.func_name == INDEX => match call.args.as_slice() {
            [map, key] => Some(format!("{}.{}", path(map)?, literal_text(key)?)),
            _ => None,
        },
        _ => None,
    }
}

fn literal_text(ast: &IdedExpr) -> Option<&str> {
    match &ast.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn text(text: &str) -> Value<'static> {
    Value::Text(Cow::Owned(text.to_owned()))
}

/// The types that have a name of their own.
fn type_named(name: &str) -> Option<&'static str> {
    const TYPES: [&str; 10] =
        ["null_type", "bool", "int", "uint", "double", "string", "bytes", "list", "map", "type"];
    TYPES.into_iter().find(|known| *known == name)
}

fn constant(literal: &LiteralValue) -> Value<'static> {
    match literal {
        LiteralValue::Boolean(value) => Value::Bool(*value.inner()),
        LiteralValue::Bytes(value) => Value::Bytes(Cow::Owned(value.inner().to_owned())),
        LiteralValue::Double(value) => Value::Double(*value.inner()),
        LiteralValue::Int(value) => Value::Int(*value.inner()),
        LiteralValue::Null => Value::Null,
        LiteralValue::String(value) => text(value.inner()),
        LiteralValue::UInt(value) => Value::Uint(*value.inner()),
    }
}

impl Node {
    fn evaluate<'a>(&'a self, from: &SamplingAttributes<'a>) -> Option<Value<'a>> {
        match self {
            Self::Constant(value) => Some(value.clone()),
            Self::Attribute(attribute) => attribute.value(from),
            Self::HasAttribute(attribute) => Some(Value::Bool(attribute.value(from).is_some())),
            Self::Header(name) => {
                let name = name.evaluate(from)?.text()?;
                attribute::header(from.request?, &name).map(Value::Text)
            }
            Self::HasHeader(name) => {
                let name = name.evaluate(from)?.text()?;
                let found = from.request.and_then(|request| attribute::header(request, &name));
                Some(Value::Bool(found.is_some()))
            }
            Self::HeaderCount => attribute::header_count(from.request).map(Value::Int),
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
}
