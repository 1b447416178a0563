//! Requests and responses as they stood on the wire.

use std::fmt::Write as _;

/// Names and values in their order.
pub(crate) type Fields = Vec<(String, String)>;

/// A request or a response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request line or the status line; none in HTTP/2.
    pub(crate) start: Option<String>,
    pub(crate) headers: Fields,
    /// How the body is delimited; none in HTTP/2.
    pub(crate) framing: Option<&'static str>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    /// Whether it came to its end.
    pub(crate) complete: bool,
    /// What followed an upgrade.
    pub(crate) raw: Option<Vec<u8>>,
    /// The code of the HTTP/2 frame that reset the stream.
    pub(crate) reset: Option<String>,
    /// The code of the HTTP/2 frame that ended the connection before there was a response.
    pub(crate) goaway: Option<String>,
    /// The number of the connection at its host.
    pub(crate) connection: usize,
}

impl Message {
    /// The value of the first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// A word of the start line.
    pub(crate) fn word(&self, index: usize) -> &str {
        self.start.as_deref().unwrap_or_default().split(' ').nth(index).unwrap_or_default()
    }

    /// The status of a response, in either version.
    pub(crate) fn status(&self) -> u16 {
        let status = self.header(":status").unwrap_or_else(|| self.word(1));
        status.parse().unwrap_or_default()
    }

    /// The path of a request, in either version.
    pub(crate) fn path(&self) -> &str {
        self.header(":path").unwrap_or_else(|| self.word(1))
    }

    /// The method of a request, in either version.
    pub(crate) fn method(&self) -> &str {
        self.header(":method").unwrap_or_else(|| self.word(0))
    }
}

/// Bytes as one line of text that tells different bytes apart.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut line = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\r' => line.push_str("\\r"),
                '\n' => line.push_str("\\n"),
                letter if letter.is_control() => {
                    let _ = write!(line, "\\x{:02x}", u32::from(letter));
                }
                letter => line.push(letter),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(line, "\\x{byte:02x}");
        }
    }
    line
}

/// The same, shortened if long: its beginning, its length and a checksum.
pub(crate) fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 400;
    if bytes.len() <= SHOWN {
        return text(bytes);
    }
    // FNV-1a, to tell long bodies apart.
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{}... ({} bytes, sum {:x})", text(&bytes[..60]), bytes.len(), sum >> 40)
}
