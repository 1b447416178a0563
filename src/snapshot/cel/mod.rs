//! Expressions of the Common Expression Language, compiled once: for samplers of traces, filters of access logs and
//! `%CEL(X)%`.
//!
//! They are parsed by the crate `cel`; names, types and errors are Envoy's, which differ from those of the crate's own
//! interpreter, and nothing is made of a request but what an expression reads.

pub(crate) mod attribute;
mod expression;
mod node;
mod operators;
pub(crate) mod request;
pub(crate) mod value;

use std::borrow::Cow;

use self::{attribute::Attribute, value::Value};
pub(crate) use self::{
    attribute::{Dialect, Headers},
    expression::{CelError, Expression},
};

/// What expressions read.
pub(crate) trait Environment<'a> {
    /// The value of an attribute, if it has one.
    fn attribute(&self, attribute: Attribute) -> Option<Value<'a>>;

    /// The value of a header by its name in any case, its lines joined by `,`.
    fn header(&self, of: Headers, name: &str) -> Option<Cow<'a, str>>;

    /// How many headers there are, with pseudo-headers.
    fn header_count(&self, of: Headers) -> Option<i64>;
}
