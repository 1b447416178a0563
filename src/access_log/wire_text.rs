//! Texts of messages, which have to be UTF-8: values come from others, who may send any bytes.

use crate::proto_writer::{put_bytes, put_header};

/// A text; an empty one is one that is not there. As in Envoy each byte that is no text becomes `!`.
pub(super) fn put_sanitized(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok("") => {}
        Ok(_) => put_bytes(out, field, bytes),
        Err(_) => {
            // Each byte becomes one, so that the length is known.
            put_header(out, field, bytes.len());
            push(bytes, out);
        }
    }
}

/// The same without a field around it.
pub(super) fn push(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        out.extend_from_slice(chunk.valid().as_bytes());
        out.extend(chunk.invalid().iter().map(|_| b'!'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_byte_that_is_no_text_is_replaced() {
        let mut out = Vec::new();
        push("é".as_bytes(), &mut out);
        push(b"a\xff\xc3b\xe2\x82", &mut out);
        assert_eq!(out, "éa!!b!!".as_bytes());
        out.clear();
        put_sanitized(&mut out, 1, b"\xffx");
        put_sanitized(&mut out, 1, b"");
        assert_eq!(out, b"\x0a\x02!x");
    }
}
