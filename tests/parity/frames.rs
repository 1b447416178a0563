//! HTTP/2 frames, for both ends.

use crate::{hpack::Decoder, message::Fields, wire::Wire};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// The names of the codes, in the order of their numbers.
const CODES: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// What the other end said on a stream, or on the connection.
#[derive(Debug)]
pub(crate) enum Said {
    Headers { stream: u32, fields: Fields, ends: bool },
    Data { stream: u32, bytes: Vec<u8>, ends: bool },
    Reset { stream: u32, code: String },
    GoAway { code: String },
}

/// Reads what the other end says, and answers what belongs to the connection.
#[derive(Debug)]
pub(crate) struct Frames {
    decoder: Decoder,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self { decoder: Decoder::new() }
    }

    /// The next thing of interest; none when the connection ends.
    pub(crate) async fn next(&mut self, wire: &mut Wire) -> Option<Said> {
        loop {
            let (kind, flags, stream, payload) = read(wire).await?;
            let ends = flags & END_STREAM != 0;
            match kind {
                DATA => {
                    let bytes = unpadded(flags, &payload)?.to_vec();
                    if let Ok(length @ 1..) = u32::try_from(payload.len()) {
                        let mut updates = frame(WINDOW_UPDATE, 0, 0, &length.to_be_bytes());
                        if !ends {
                            updates.extend(frame(WINDOW_UPDATE, 0, stream, &length.to_be_bytes()));
                        }
                        wire.writer.send(updates);
                    }
                    return Some(Said::Data { stream, bytes, ends });
                }
                HEADERS => {
                    let mut block = unpadded(flags, &payload)?;
                    if flags & PRIORITY != 0 {
                        block = block.get(5..)?;
                    }
                    let mut block = block.to_vec();
                    let mut last = flags & END_HEADERS != 0;
                    while !last {
                        let (CONTINUATION, flags, _, more) = read(wire).await? else { return None };
                        block.extend(more);
                        last = flags & END_HEADERS != 0;
                    }
                    let fields = self.decoder.decode(&block)?;
                    return Some(Said::Headers { stream, fields, ends });
                }
                RST_STREAM => return Some(Said::Reset { stream, code: code(&payload, 0) }),
                GOAWAY => return Some(Said::GoAway { code: code(&payload, 4) }),
                SETTINGS if flags & ACK == 0 => wire.writer.send(frame(SETTINGS, ACK, 0, &[])),
                PING if flags & ACK == 0 => wire.writer.send(frame(PING, ACK, 0, &payload)),
                _ => {}
            }
        }
    }
}

async fn read(wire: &mut Wire) -> Option<(u8, u8, u32, Vec<u8>)> {
    need(wire, 9).await?;
    let head = &wire.buffer[..9];
    let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
    let (kind, flags) = (head[3], head[4]);
    let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
    need(wire, 9 + length).await?;
    let payload = wire.buffer.drain(..9 + length).skip(9).collect();
    Some((kind, flags, stream, payload))
}

/// Wait until so many bytes are there.
pub(crate) async fn need(wire: &mut Wire, length: usize) -> Option<()> {
    while wire.buffer.len() < length {
        wire.fill().await.then_some(())?;
    }
    Some(())
}

fn unpadded(flags: u8, payload: &[u8]) -> Option<&[u8]> {
    if flags & PADDED == 0 {
        return Some(payload);
    }
    let padding = usize::from(*payload.first()?);
    payload.get(1..payload.len().checked_sub(padding)?)
}

/// The name of the code at this place.
fn code(payload: &[u8], at: usize) -> String {
    let bytes = payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
    let code = u32::from_be_bytes(bytes);
    usize::try_from(code)
        .ok()
        .and_then(|code| CODES.get(code))
        .map_or_else(|| code.to_string(), |name| (*name).to_owned())
}

/// The number of a code, by its name.
pub(crate) fn number(name: &str) -> Option<u32> {
    CODES.iter().position(|found| *found == name).and_then(|number| u32::try_from(number).ok())
}

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// How long a frame may be unless the other end says otherwise.
const LONGEST: usize = 16_384;

/// The frames of a block of headers.
pub(crate) fn headers(stream: u32, block: &[u8], ends: bool) -> Vec<u8> {
    let mut frames = Vec::new();
    let count = block.chunks(LONGEST).count().max(1);
    let mut chunks = block.chunks(LONGEST);
    for index in 0..count {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let mut flags = if index == 0 && ends { END_STREAM } else { 0 };
        if index + 1 == count {
            flags |= END_HEADERS;
        }
        frames.extend(frame(kind, flags, stream, chunks.next().unwrap_or_default()));
    }
    frames
}

/// The frames of a body.
pub(crate) fn data(stream: u32, body: &[u8], ends: bool) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut chunks = body.chunks(LONGEST).peekable();
    if chunks.peek().is_none() && ends {
        return frame(DATA, END_STREAM, stream, &[]);
    }
    while let Some(chunk) = chunks.next() {
        let flags = if ends && chunks.peek().is_none() { END_STREAM } else { 0 };
        frames.extend(frame(DATA, flags, stream, chunk));
    }
    frames
}

/// The frame that resets a stream.
pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}
