//! Entries as log records of OTLP.
//!
//! Reference: opentelemetry-proto 1.x, `logs/v1/logs.proto` and `common/v1/common.proto`. What a record says is what
//! Envoy's says: the time is when the request came in, and there is no time of observation.

use std::time::UNIX_EPOCH;

use super::{tags, wire_text::put_sanitized};
use crate::{
    proto_writer::{put_bytes, put_fixed64, put_message, put_text},
    snapshot::{
        format::{Format, Piece},
        log_service::{AnyFormat, LogRecordFormat},
    },
    stream_info::{formatter::FormatContext, value::Value},
};

/// Numbers of fields, as opentelemetry-proto has them.
mod scope_logs {
    pub(super) const LOG_RECORDS: u32 = 2;
}
mod log_record {
    pub(super) const TIME: u32 = 1;
    pub(super) const BODY: u32 = 5;
    pub(super) const ATTRIBUTES: u32 = 6;
    pub(super) const TRACE_ID: u32 = 9;
    pub(super) const SPAN_ID: u32 = 10;
}
mod any_value {
    pub(super) const STRING: u32 = 1;
    pub(super) const ARRAY: u32 = 5;
    pub(super) const MAP: u32 = 6;
}
/// `ArrayValue.values` and `KeyValueList.values`
const VALUES: u32 = 1;
mod key_value {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}

/// Write a record, as the field of `ScopeLogs` that it is.
pub(super) fn write(format: &LogRecordFormat, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    put_message(out, scope_logs::LOG_RECORDS, |out| {
        let time = context.info.start_time.duration_since(UNIX_EPOCH).unwrap_or_default();
        put_fixed64(out, log_record::TIME, u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        if let Some(body) = &format.body {
            put_message(out, log_record::BODY, |out| write_any(body, context, out));
        }
        for (key, value) in &format.attributes {
            put_message(out, log_record::ATTRIBUTES, |out| write_member(key, value, context, out));
        }
        tags::each(&format.tags, context, |key, value| {
            put_message(out, log_record::ATTRIBUTES, |out| {
                put_text(out, key_value::KEY, key);
                put_message(out, key_value::VALUE, |out| put_sanitized(out, any_value::STRING, value));
            });
        });
        if let Some(span) = &*context.info.span.borrow() {
            put_bytes(out, log_record::TRACE_ID, &span.trace_id.to_bytes());
            put_bytes(out, log_record::SPAN_ID, &span.span_id.to_bytes());
        }
    });
}

fn write_member(key: &str, value: &AnyFormat, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    put_text(out, key_value::KEY, key);
    put_message(out, key_value::VALUE, |out| write_any(value, context, out));
}

fn write_any(value: &AnyFormat, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    match value {
        AnyFormat::Text(format) => {
            put_message(out, any_value::STRING, |out| write_text(format, context, out))
        }
        AnyFormat::List(items) => put_message(out, any_value::ARRAY, |out| {
            items.iter().for_each(|item| put_message(out, VALUES, |out| write_any(item, context, out)));
        }),
        AnyFormat::Map(members) => put_message(out, any_value::MAP, |out| {
            for (key, member) in members {
                put_message(out, VALUES, |out| write_member(key, member, context, out));
            }
        }),
    }
}

/// A text whose operators have their values; one that has none writes `-`.
fn write_text(format: &Format, context: &FormatContext<'_>, out: &mut Vec<u8>) {
    for piece in &format.pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Command(command, limit) => match command.value(context) {
                None => out.push(b'-'),
                Some(Value::Number(number)) => super::text::push_number(number, out),
                Some(Value::Bytes(bytes)) => {
                    super::wire_text::push(super::text::cut(&bytes, *limit), out);
                }
                Some(value) => {
                    out.extend_from_slice(super::text::cut(value.into_text().as_bytes(), *limit));
                }
            },
        }
    }
}
