//! Expressions of the Common Expression Language, compiled: names resolved to attributes, regexes built.
//!
//! The language is that of Envoy: no macros but `has()`, since comprehensions are switched off there, and no `string()`.
//! Of its functions those of points in time and of `re` are missing, of its attributes all that [`Attribute`] does not
//! list. What is missing is refused by name when the configuration is read; Envoy takes any attribute, and an unknown one
//! is an error whenever it is asked for.

use std::borrow::Cow;

use cel::{
    IdedExpr,
    common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, MapExpr, SelectExpr},
};
use regex::Regex;

use super::{
    Environment,
    attribute::{Attribute, Dialect, Headers},
    node::Node,
    operators::{Function, Operator, TextTest},
    value::Value,
};
use crate::snapshot::metadata::Metadata;

/// Longest text of an expression: a chain of thousands of operators would exhaust the parser's stack. (It
/// limits nesting itself.)
const LONGEST_EXPRESSION: usize = 4096;

/// Why an expression cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CelError {
    /// There is none.
    #[error("CEL expression not set")]
    NotSet,
    /// It is not CEL.
    #[error("not a CEL expression: {0}")]
    Syntax(String),
    /// It asks for something that is not known.
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

impl Expression {
    /// Parse and compile a text.
    pub(crate) fn parse(text: &str, dialect: Dialect<'_>) -> Result<Self, CelError> {
        if text.len() > LONGEST_EXPRESSION {
            return Err(CelError::Unsupported("expressions of this length"));
        }
        let program = cel::Program::compile(text).map_err(|errors| CelError::Syntax(errors.to_string()))?;
        Self::compile(program.expression(), dialect)
    }

    /// Compile what was parsed.
    pub(crate) fn compile(ast: &IdedExpr, dialect: Dialect<'_>) -> Result<Self, CelError> {
        Compiler(dialect).compile(ast, 0).map(Self)
    }

    /// Its value; `None` is an error.
    pub(crate) fn evaluate<'a>(&'a self, from: &dyn Environment<'a>) -> Option<Value<'a>> {
        self.0.evaluate(from)
    }

    /// Whether it is true: an error, and what is no boolean, are not.
    pub(crate) fn is_true<'a>(&'a self, from: &dyn Environment<'a>) -> bool {
        matches!(self.evaluate(from), Some(Value::Bool(true)))
    }

    /// Whether it reads what is noted of the route or the virtual host, or their names.
    pub(crate) fn reads_route(&self) -> bool {
        let mut found = false;
        self.reads(&mut |_, _| {}, &mut |attribute| {
            found |= matches!(
                attribute,
                Attribute::VirtualHostName
                    | Attribute::RouteName
                    | Attribute::RouteMetadata
                    | Attribute::VirtualHostMetadata
            );
        });
        found
    }

    /// The headers that it reads, and the attributes.
    pub(crate) fn reads(&self, header: &mut dyn FnMut(Headers, &str), attribute: &mut dyn FnMut(Attribute)) {
        self.0.reads(header, attribute);
    }
}

/// Two are equal if they look the same.
impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

/// Compiles for a dialect.
struct Compiler<'a>(Dialect<'a>);

impl Compiler<'_> {
    fn compile(&self, ast: &IdedExpr, depth: usize) -> Result<Node, CelError> {
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
            Expr::Select(select) => self.compile_select(select, depth),
            Expr::Call(call) => self.compile_call(call, depth),
            Expr::List(list) if list.optional_indices.is_empty() => {
                let items = list.elements.iter().map(|item| self.compile(item, depth));
                items.collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Map(map) => self.compile_map(map, depth),
            Expr::Comprehension(_) => Err(CelError::Unsupported("macros other than has()")),
            Expr::List(_) => Err(CelError::Unsupported("optional values")),
            Expr::Struct(_) => Err(CelError::Unsupported("messages")),
            Expr::Unspecified => Err(CelError::Unsupported("empty expressions")),
        }
    }

    fn compile_map(&self, map: &MapExpr, depth: usize) -> Result<Node, CelError> {
        let entries = map.entries.iter().map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) if !entry.optional => {
                Ok((self.compile(&entry.key, depth)?, self.compile(&entry.value, depth)?))
            }
            _ => Err(CelError::Unsupported("optional values")),
        });
        entries.collect::<Result<_, _>>().map(Node::Map)
    }

    /// `a.b` and `has(a.b)`.
    fn compile_select(&self, select: &SelectExpr, depth: usize) -> Result<Node, CelError> {
        if let Some(path) = path(&select.operand).filter(|path| !self.is_in_map(path)) {
            return self.compile_attribute(&path, &select.field, select.test);
        }
        let operand = Box::new(self.compile(&select.operand, depth)?);
        let field = text(&select.field);
        Ok(if select.test { Node::HasField(operand, field) } else { Node::Field(operand, field) })
    }

    /// Whether a name is that of a map, or of something in one.
    fn is_in_map(&self, path: &str) -> bool {
        let ends = path.match_indices('.').map(|(at, _)| at).chain([path.len()]);
        let mut names = ends.filter_map(|end| path.get(..end));
        names.any(|name| Attribute::named(name, self.0).is_some_and(Attribute::is_map))
    }

    /// The attribute `path.field`, or whether there is one.
    fn compile_attribute(&self, path: &str, field: &str, test: bool) -> Result<Node, CelError> {
        if let Some(headers) = Headers::named(path, self.0) {
            let name = Box::new(Node::Constant(text(field)));
            return Ok(if test { Node::HasHeader(headers, name) } else { Node::Header(headers, name) });
        }
        let name = format!("{path}.{field}");
        if Headers::named(&name, self.0).is_some() {
            return Err(CelError::Unsupported("uses of a map of headers as a whole"));
        }
        let attribute = Attribute::named(&name, self.0).ok_or(CelError::Attribute(name))?;
        if let Some(value) = self.constant(attribute) {
            return Ok(Node::Constant(if test { Value::Bool(true) } else { value }));
        }
        Ok(if test { Node::HasAttribute(attribute) } else { Node::Attribute(attribute) })
    }

    /// The value of an attribute that is the same for all requests.
    fn constant(&self, attribute: Attribute) -> Option<Value<'static>> {
        let Dialect::AccessLog(constants) = self.0 else { return None };
        let noted =
            |metadata: &Metadata| metadata.as_deref().map(Value::of_json).unwrap_or(Value::Map(Vec::new()));
        Some(match attribute {
            Attribute::NodeId => text(&constants.node_id),
            Attribute::NodeCluster => text(&constants.node_cluster),
            Attribute::ListenerDirection => Value::Int(constants.direction),
            Attribute::FilterChainName => text(&constants.filter_chain),
            Attribute::ListenerMetadata => noted(&constants.listener_metadata),
            Attribute::FilterChainMetadata => noted(&constants.filter_chain_metadata),
            // No filter notes anything of a request.
            Attribute::DynamicMetadata => Value::Map(Vec::new()),
            _ => return None,
        })
    }

    /// The headers that an expression is, as a whole.
    fn headers(&self, part: &IdedExpr) -> Option<Headers> {
        Headers::named(&path(part)?, self.0)
    }

    /// The name of a header. An access log has to know it before, to keep the header.
    fn header_name(&self, name: &IdedExpr, depth: usize) -> Result<Box<Node>, CelError> {
        let name = self.compile(name, depth)?;
        if matches!(self.0, Dialect::AccessLog(_)) && !matches!(name, Node::Constant(_)) {
            return Err(CelError::Unsupported("names of headers that are computed"));
        }
        Ok(Box::new(name))
    }

    fn compile_call(&self, call: &CallExpr, depth: usize) -> Result<Node, CelError> {
        let name = call.func_name.as_str();
        let parts = call.target.as_deref().into_iter().chain(&call.args).collect::<Vec<_>>();
        let node = |part: &IdedExpr| self.compile(part, depth);
        let boxed = |part: &IdedExpr| node(part).map(Box::new);
        if let (INDEX, [map, key]) = (name, parts.as_slice())
            && let (Some(path), Some(key)) =
                (path(map).filter(|path| !self.is_in_map(path)), literal_text(key))
        {
            return self.compile_attribute(&path, key, false);
        }
        if let (INDEX, [map, key]) = (name, parts.as_slice())
            && let Some(of) = self.headers(map)
        {
            return Ok(Node::Header(of, self.header_name(key, depth)?));
        }
        if let ("@in" | "_in_" | "in", [key, map]) = (name, parts.as_slice())
            && let Some(of) = self.headers(map)
        {
            return Ok(Node::HasHeader(of, self.header_name(key, depth)?));
        }
        if let ("size", [map]) = (name, parts.as_slice())
            && let Some(of) = self.headers(map)
        {
            return match self.0 {
                Dialect::Sampler => Ok(Node::HeaderCount(of)),
                Dialect::AccessLog(_) => Err(CelError::Unsupported("counts of headers")),
            };
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
