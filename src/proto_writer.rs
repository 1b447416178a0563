//! Protobuf's wire format, written straight into a buffer: what workers hand over is bytes already, and no message is
//! built for it first.
//!
//! Reference: protobuf documentation, "Encoding". As everywhere in proto3, a field that has its default is not written.

/// A text; an empty one is one that is not there.
pub(crate) fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

/// Bytes, or a message that is written already; empty ones, too.
pub(crate) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_header(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// A number, a true-or-false value, or a value of an enum; zero is one that is not there.
pub(crate) fn put_number(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        put_varint(out, u64::from(field) << 3);
        put_varint(out, number);
    }
}

/// A number of eight bytes; zero is one that is not there.
pub(crate) fn put_fixed64(out: &mut Vec<u8>, field: u32, number: u64) {
    if number != 0 {
        put_varint(out, u64::from(field) << 3 | 1);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

/// A message, which `write` appends; its length, which comes first, is put in when it is known.
pub(crate) fn put_message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from(field) << 3 | 2);
    // Most are short, and their lengths take one byte.
    let at = out.len();
    out.push(0);
    write(out);
    let len = out.len() - at - 1;
    let more = varint_len(len) - 1;
    if more > 0 {
        let end = out.len();
        out.resize(end + more, 0);
        out.copy_within(at + 1..end, at + 1 + more);
    }
    let mut rest = len;
    for place in out.iter_mut().skip(at).take(more + 1) {
        *place = (rest & 0x7f) as u8 | 0x80;
        rest >>= 7;
    }
    if let Some(last) = out.get_mut(at + more) {
        *last &= 0x7f;
    }
}

/// The beginning of a field that is `len` bytes long.
#[inline]
pub(crate) fn put_header(out: &mut Vec<u8>, field: u32, len: usize) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, len as u64);
}

/// A number in as few bytes as it needs.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// The length of a field below 16 whose content is `len` bytes long.
pub(crate) const fn field_len(len: usize) -> usize {
    1 + varint_len(len) + len
}

const fn varint_len(number: usize) -> usize {
    let bits = usize::BITS - (number | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        common::v1::{AnyValue, KeyValue, any_value::Value},
        logs::v1::LogRecord,
    };
    use prost::Message;

    use super::*;

    #[test]
    fn messages_of_any_length_are_written_as_the_library_writes_them() {
        for len in [0, 1, 100, 127, 128, 129, 16_383, 16_384, 70_000] {
            let text = "x".repeat(len);
            let value = AnyValue { value: Some(Value::StringValue(text.clone())) };
            let attribute = KeyValue { key: "key".into(), value: Some(value), ..KeyValue::default() };
            let record = LogRecord {
                time_unix_nano: 7,
                severity_number: 300,
                attributes: vec![attribute],
                ..LogRecord::default()
            };
            let mut out = Vec::new();
            put_fixed64(&mut out, 1, 7);
            put_number(&mut out, 2, 300);
            put_message(&mut out, 6, |out| {
                put_text(out, 1, "key");
                put_message(out, 2, |out| put_bytes(out, 1, text.as_bytes()));
            });
            assert_eq!(out, record.encode_to_vec(), "{len}");
        }
    }
}
