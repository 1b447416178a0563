//! Evaluates format strings against a stream.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use super::{StreamInfo, value::Value};
use crate::snapshot::format::{Format, FormatHeader, Piece, truncate};
pub(crate) use crate::snapshot::kept_headers::Headers;

/// What a format string can read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormatContext<'a> {
    /// The stream.
    pub(crate) info: &'a StreamInfo,
    /// The request's headers.
    pub(crate) request: Headers<'a>,
    /// Its pseudo-headers.
    pub(crate) pseudo: PseudoHeaders<'a>,
    /// The response's headers, once there are some.
    pub(crate) response: Option<Headers<'a>>,
}

/// What HTTP/2 carries as pseudo-headers and HTTP/1 as request line and `host`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PseudoHeaders<'a> {
    /// `:method`
    pub(crate) method: &'a str,
    /// `:path`
    pub(crate) path: &'a str,
    /// `:authority`
    pub(crate) authority: &'a str,
    /// `:scheme`
    pub(crate) scheme: &'a str,
}

impl Format {
    /// Write the value; a command that has none writes `absent`.
    pub(crate) fn write(&self, context: &FormatContext<'_>, absent: &str, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Command(command, limit) => match command.value(context).map(Value::into_text) {
                    None => out.push_str(absent),
                    Some(value) => out.push_str(limit.map_or(&value, |limit| truncate(&value, limit))),
                },
            }
        }
    }

    /// The value of a format that is one command, and whether it is a number; `None` if it has none on this stream.
    pub(crate) fn only_value<'a>(&'a self, context: &FormatContext<'a>) -> Option<(Cow<'a, str>, bool)> {
        let [Piece::Command(command, limit)] = self.pieces.as_slice() else { return None };
        let value = command.value(context)?;
        let is_number = matches!(value, Value::Number(_));
        let text = value.into_text();
        Some(match limit {
            // What is left of a number is a text.
            Some(limit) => (truncate(&text, *limit).to_owned().into(), false),
            None => (text, is_number),
        })
    }
}

/// The value of a request header, if there is one.
pub(crate) fn request_header<'a>(context: &FormatContext<'a>, header: &FormatHeader) -> Option<Cow<'a, str>> {
    request_bytes(context, header).map(String::from_utf8_lossy)
}

/// The same as it came.
pub(crate) fn request_bytes<'a>(context: &FormatContext<'a>, header: &FormatHeader) -> Option<&'a [u8]> {
    let text = match header {
        FormatHeader::Path => context.pseudo.path,
        FormatHeader::Method => context.pseudo.method,
        FormatHeader::Authority => context.pseudo.authority,
        FormatHeader::Scheme => context.pseudo.scheme,
        FormatHeader::Name(name) => return context.request.get(name).map(HeaderValue::as_bytes),
    };
    Some(text.as_bytes())
}

/// The value of a response header as it came, if there is one.
pub(super) fn response_bytes<'a>(context: &FormatContext<'a>, name: &HeaderName) -> Option<&'a [u8]> {
    context.response?.get(name).map(HeaderValue::as_bytes)
}
