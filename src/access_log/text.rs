//! Entries as text.

use std::io::Write;

use crate::{
    snapshot::format::{Format, Piece, truncate},
    stream_info::{formatter::FormatContext, value::Value},
};

/// Write an entry; a command that has no value writes `absent`. Values never begin a new entry, nor move a terminal's
/// cursor: what is no text in them is escaped.
pub(super) fn write(format: &Format, context: &FormatContext<'_>, absent: &str, out: &mut Vec<u8>) {
    for piece in &format.pieces {
        match piece {
            Piece::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Piece::Command(command, limit) => match command.value(context) {
                None => out.extend_from_slice(absent.as_bytes()),
                Some(Value::Number(number)) => push_number(number, out),
                Some(value) => push_escaped(cut(&value.bytes(), *limit), out),
            },
        }
    }
}

/// A number in digits.
pub(super) fn push_number(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut unused = digits.len();
    for place in digits.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        unused -= 1;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

/// The first `limit` bytes; of a text no character is cut.
pub(super) fn cut(bytes: &[u8], limit: Option<usize>) -> &[u8] {
    let Some(limit) = limit else { return bytes };
    match std::str::from_utf8(bytes) {
        Ok(text) => truncate(text, limit).as_bytes(),
        Err(_) => bytes.get(..limit).unwrap_or(bytes),
    }
}

/// Whether all of it is ASCII that can be seen, and none of it one of `but`.
pub(super) fn is_plain(bytes: &[u8], but: [u8; 2]) -> bool {
    // Sixteen at a time and without a way out in the middle, so that the compiler looks at them all at once.
    let odd = |byte: &u8| !matches!(byte, b' '..=b'~') | (*byte == but[0]) | (*byte == but[1]);
    let any_odd = |chunk: &[u8; 16]| chunk.iter().fold(false, |any, byte| any | odd(byte));
    let (chunks, rest) = bytes.as_chunks();
    let mut last = [b' '; 16];
    if let Some(last) = last.get_mut(..rest.len()) {
        last.copy_from_slice(rest);
    }
    !chunks.iter().any(any_odd) && !any_odd(&last)
}

/// Control characters, and bytes that are no text, become `\xHH`.
fn push_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes, [0; 2]) {
        return out.extend_from_slice(bytes);
    }
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                let mut room = [0; 4];
                push_hex(letter.encode_utf8(&mut room).as_bytes(), out);
            } else {
                let mut room = [0; 4];
                out.extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
            }
        }
        push_hex(chunk.invalid(), out);
    }
}

fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        // Writing to a vector does not fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_escaped() {
        let escaped = |bytes: &[u8]| {
            let mut out = Vec::new();
            push_escaped(bytes, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped(b"plain \"quoted\" \\"), "plain \"quoted\" \\");
        assert_eq!(escaped("é\n\u{1b}[1m\t\u{85}".as_bytes()), "é\\x0a\\x1b[1m\\x09\\xc2\\x85");
        assert_eq!(escaped(b"a\xffb"), "a\\xffb");
    }

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, 10, 200, u64::MAX] {
            let mut out = Vec::new();
            push_number(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_cut_spares_characters_of_texts() {
        assert_eq!(cut("aé".as_bytes(), Some(2)), b"a");
        assert_eq!(cut(b"\xff\xfe", Some(1)), b"\xff");
        assert_eq!(cut(b"ab", Some(5)), b"ab");
    }
}
