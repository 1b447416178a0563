//! Evaluates format strings against a stream.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{StreamInfo, value::Value};
use crate::snapshot::format::{Format, FormatHeader, Piece, truncate};

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

/// The headers of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Headers<'a> {
    /// As they are.
    All(&'a HeaderMap),
    /// Those that were kept, in their order. They are so few that to look at each is cheaper than a hash.
    Kept(&'a [(HeaderName, HeaderValue)]),
}

impl<'a> Headers<'a> {
    /// The first value of a header.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        match self {
            Self::All(headers) => headers.get(name),
            Self::Kept(headers) => headers.iter().find(|(kept, _)| kept == name).map(|(_, value)| value),
        }
    }

    /// All values of a header, in their order.
    pub(crate) fn each(self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        let (all, kept) = match self {
            Self::All(headers) => (Some(headers.get_all(name)), None),
            Self::Kept(headers) => {
                (None, Some(headers.iter().filter(move |(kept, _)| kept == name).map(|(_, value)| value)))
            }
        };
        all.into_iter().flatten().chain(kept.into_iter().flatten())
    }

    /// As a map, for who needs one.
    pub(crate) fn to_map(self) -> Cow<'a, HeaderMap> {
        match self {
            Self::All(headers) => Cow::Borrowed(headers),
            Self::Kept(headers) => {
                let mut map = HeaderMap::with_capacity(headers.len());
                for (name, value) in headers {
                    map.append(name, value.clone());
                }
                Cow::Owned(map)
            }
        }
    }
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
