//! Reads HTTP/1 as it stands on the wire, without an opinion on what is right.

use crate::{
    message::{Message, text},
    wire::Wire,
};

/// Read a request's head into `message`; false if there is none.
pub(crate) async fn read_request_head(wire: &mut Wire, message: &mut Message) -> bool {
    if !read_head(wire, message).await {
        return message.start.is_some();
    }
    let upgrades = message.header("upgrade").is_some() || message.method() == "CONNECT";
    message.framing = Some(if upgrades { "none" } else { framing(message).unwrap_or("none") });
    message.complete = upgrades;
    true
}

/// Read a request's body, which nothing may follow that belongs to an upgrade.
pub(crate) async fn read_request_body(wire: &mut Wire, message: &mut Message) {
    if !message.complete {
        read_body(wire, message, false).await;
    }
}

/// Read a response into `message`, which keeps what there is when this is given up. `method` is that of the request.
pub(crate) async fn read_response(wire: &mut Wire, message: &mut Message, method: &str) -> bool {
    if !read_head(wire, message).await {
        return message.start.is_some();
    }
    let status = message.status();
    if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) || is_tunnel(message, method) {
        message.framing = Some(framing(message).unwrap_or("none"));
        message.complete = true;
    } else {
        read_body(wire, message, true).await;
    }
    true
}

/// Whether the connection carries anything but HTTP after this response.
pub(crate) fn is_tunnel(message: &Message, method: &str) -> bool {
    message.status() == 101 || (method == "CONNECT" && (200..300).contains(&message.status()))
}

/// Read up to the empty line; false if the connection ended before.
async fn read_head(wire: &mut Wire, message: &mut Message) -> bool {
    loop {
        let Some(line) = read_line(wire).await else {
            // What was cut off belongs to the observation.
            if !wire.buffer.is_empty() {
                let rest = text(&std::mem::take(&mut wire.buffer));
                match &mut message.start {
                    None => message.start = Some(rest),
                    Some(_) => message.headers.push((rest, "(cut off)".to_owned())),
                }
            }
            return false;
        };
        match &message.start {
            None => message.start = Some(text(&line)),
            Some(_) if line.is_empty() => return true,
            Some(_) => message.headers.push(field(&line)),
        }
    }
}

async fn read_body(wire: &mut Wire, message: &mut Message, is_response: bool) {
    message.framing = framing(message);
    match message.framing {
        Some("chunked") => message.complete = read_chunks(wire, message).await.is_some(),
        Some(_) => {
            let length = message.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
            message.complete = read_exactly(wire, length, &mut message.body).await;
        }
        None if is_response => {
            message.framing = Some("close");
            loop {
                message.body.append(&mut wire.buffer);
                if !wire.fill().await {
                    break;
                }
            }
            message.complete = true;
        }
        None => {
            message.framing = Some("none");
            message.complete = true;
        }
    }
}

/// What the headers say about the body's end.
fn framing(message: &Message) -> Option<&'static str> {
    let coding = message.header("transfer-encoding").unwrap_or_default();
    match message.header("content-length") {
        _ if coding.to_ascii_lowercase().ends_with("chunked") => Some("chunked"),
        Some(_) => Some("content-length"),
        None => None,
    }
}

/// Read all chunks; none if the connection ends before or a chunk is broken.
async fn read_chunks(wire: &mut Wire, message: &mut Message) -> Option<()> {
    loop {
        let line = read_line(wire).await?;
        let digits = text(&line);
        let size = usize::from_str_radix(digits.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            break;
        }
        read_exactly(wire, size, &mut message.body).await.then_some(())?;
        read_line(wire).await?;
    }
    loop {
        let line = read_line(wire).await?;
        if line.is_empty() {
            return Some(());
        }
        message.trailers.push(field(&line));
    }
}

/// Move `length` bytes to `body`, or what there is of them.
async fn read_exactly(wire: &mut Wire, length: usize, body: &mut Vec<u8>) -> bool {
    let mut missing = length;
    loop {
        let there = missing.min(wire.buffer.len());
        body.extend(wire.buffer.drain(..there));
        missing -= there;
        if missing == 0 {
            return true;
        }
        if !wire.fill().await {
            return false;
        }
    }
}

/// The next line, without its end.
async fn read_line(wire: &mut Wire) -> Option<Vec<u8>> {
    let mut from = 0;
    loop {
        if let Some(end) = wire.buffer[from..].iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = wire.buffer.drain(..=from + end).collect();
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Some(line);
        }
        from = wire.buffer.len();
        if !wire.fill().await {
            return None;
        }
    }
}

/// One space after the colon is the way to write it, anything else is seen in the value.
fn field(line: &[u8]) -> (String, String) {
    match line.iter().position(|byte| *byte == b':') {
        Some(colon) => {
            let value = &line[colon + 1..];
            (text(&line[..colon]), text(value.strip_prefix(b" ").unwrap_or(value)))
        }
        None => (text(line), "(no colon)".to_owned()),
    }
}
