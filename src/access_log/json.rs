//! Entries as JSON.

use std::io::Write;

use super::text::{cut, is_plain, push_number};
use crate::{
    snapshot::{
        access_log::{JsonLine, JsonValue, LogJson},
        format::{Format, Piece},
    },
    stream_info::{formatter::FormatContext, value::Value},
};

/// Write a line whose members are all there.
pub(super) fn write_line(line: &JsonLine, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    for (before, value) in &line.parts {
        out.extend_from_slice(before.as_bytes());
        match value {
            JsonValue::One(format) => drop(push_value(format, context, out)),
            JsonValue::Text(format) => push_text(format, context, "-", out),
        }
    }
    out.extend_from_slice(line.end.as_bytes());
    out.push(b'\n');
}

/// Write a line without what has no value.
pub(super) fn write_sparse(json: &LogJson, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    push_sparse(json, context, out);
    out.push(b'\n');
}

/// Write the value of the only command, and say whether it has one.
fn push_value(format: &Format, context: &FormatContext<'_>, out: &mut Vec<u8>) -> bool {
    let [Piece::Command(command, limit)] = format.pieces.as_slice() else { return false };
    match command.value(context) {
        None => {
            out.extend_from_slice(b"null");
            return false;
        }
        Some(Value::Number(number)) => push_number(number, out),
        Some(Value::Note(note)) if limit.is_none() => drop(write!(out, "{note}")),
        Some(value) => push_quoted(cut(&value.bytes(), *limit), out),
    }
    true
}

/// Write a text with values in it; one that is not there is `absent`.
fn push_text(format: &Format, context: &FormatContext<'_>, absent: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for piece in &format.pieces {
        match piece {
            Piece::Literal(text) => push_inside(text.as_bytes(), out),
            Piece::Command(command, limit) => match command.value(context) {
                None => out.extend_from_slice(absent.as_bytes()),
                Some(value) => push_inside(cut(&value.bytes(), *limit), out),
            },
        }
    }
    out.push(b'"');
}

/// Write a part, and say whether it has a value: no null, and no object that is empty.
fn push_sparse(json: &LogJson, context: &FormatContext<'_>, out: &mut Vec<u8>) -> bool {
    match json {
        LogJson::Literal(text) => {
            out.extend_from_slice(text.as_bytes());
            **text != *"null"
        }
        LogJson::Value(format) => push_value(format, context, out),
        LogJson::Text(format) => {
            push_text(format, context, "", out);
            true
        }
        LogJson::List(items) => {
            push_items(b"[]", items.iter().map(|item| ("", item)), context, out);
            true
        }
        LogJson::Object(members) => {
            push_items(b"{}", members.iter().map(|(key, value)| (&**key, value)), context, out)
        }
    }
}

/// Write what stands between a pair of braces, and say whether that is anything.
fn push_items<'j>(
    [open, close]: &[u8; 2],
    items: impl Iterator<Item = (&'j str, &'j LogJson)>,
    context: &FormatContext<'_>,
    out: &mut Vec<u8>,
) -> bool {
    let mut any = false;
    out.push(*open);
    for (key, value) in items {
        let before = out.len();
        if any {
            out.push(b',');
        }
        out.extend_from_slice(key.as_bytes());
        if push_sparse(value, context, out) {
            any = true;
        } else {
            out.truncate(before);
        }
    }
    out.push(*close);
    any
}

fn push_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    push_inside(bytes, out);
    out.push(b'"');
}

/// A text as JSON has it between quotes. Of bytes that are no text each that is not plain ASCII is written as the
/// character of its number, as Envoy does.
fn push_inside(bytes: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if is_plain(bytes, [b'"', b'\\']) {
        return out.extend_from_slice(bytes);
    }
    let is_text = std::str::from_utf8(bytes).is_ok();
    for byte in bytes {
        let short = match byte {
            _ if plain(byte) || is_text && *byte >= 0x7f => {
                out.push(*byte);
                continue;
            }
            b'"' if is_text => b"\\\"",
            b'\\' if is_text => b"\\\\",
            b'\n' if is_text => b"\\n",
            b'\r' if is_text => b"\\r",
            b'\t' if is_text => b"\\t",
            0x08 if is_text => b"\\b",
            0x0c if is_text => b"\\f",
            byte => {
                let _ = write!(out, "\\u00{byte:02x}");
                continue;
            }
        };
        out.extend_from_slice(short);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        push_inside(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_escaped_as_json_has_it() {
        assert_eq!(inside("a\t\"\\\u{1}é\u{7f}".as_bytes()), "a\\t\\\"\\\\\\u0001é\u{7f}");
    }

    #[test]
    fn bytes_that_are_no_text_are_written_one_by_one() {
        assert_eq!(inside(b"a\tb\"\\\xe9z"), "a\\u0009b\\u0022\\u005c\\u00e9z");
    }
}
