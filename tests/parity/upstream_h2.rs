//! HTTP/2 at a host.

use std::{collections::HashMap, sync::Arc};

use tokio::time::sleep;

use crate::{
    frames::{self, Frames, Said},
    hpack,
    message::Message,
    scenario::{Answer, Then},
    upstream::{Received, Script},
    wire::{Wire, Writer},
};

/// Serve one connection until it ends.
pub(crate) async fn serve(mut wire: Wire, connection: usize, script: Arc<Script>, received: Received) {
    let mut streams: HashMap<u32, usize> = HashMap::new();
    let mut frames = Frames::new();
    while let Some(said) = frames.next(&mut wire).await {
        let (stream, ends) = match said {
            Said::Headers { stream, fields, ends } => {
                match streams.get(&stream) {
                    Some(number) => received.change(*number, |request| request.trailers = fields),
                    None => {
                        let request = Message { headers: fields, connection, ..Message::default() };
                        streams.insert(stream, received.begin(request));
                    }
                }
                (stream, ends)
            }
            Said::Data { stream, bytes, ends } => {
                if let Some(number) = streams.get(&stream) {
                    received.change(*number, |request| request.body.extend(&bytes));
                    if script.spec.websocket && received.get(*number).method() == "CONNECT" {
                        wire.writer.send(frames::data(stream, &bytes, ends));
                        continue;
                    }
                }
                (stream, ends)
            }
            Said::Reset { stream, code } => {
                if let Some(number) = streams.get(&stream) {
                    received.change(*number, |request| request.reset = Some(code));
                }
                continue;
            }
            Said::GoAway { .. } => continue,
        };
        let Some(number) = streams.get(&stream).copied() else { continue };
        if ends {
            received.change(number, |request| request.complete = true);
        }
        let request = received.get(number);
        let answer = script.answer(number, &request);
        let is_first = request.body.is_empty() && request.trailers.is_empty();
        if script.spec.websocket && request.method() == "CONNECT" && is_first {
            wire.writer.send(head(stream, &answer, false));
        } else if if answer.early { is_first } else { ends } {
            tokio::spawn(respond(wire.writer.clone(), stream, answer, request.method() == "HEAD"));
        }
    }
}

async fn respond(writer: Writer, stream: u32, answer: Answer, is_head: bool) {
    sleep(answer.delay.0).await;
    if let Some(code) = answer.reset.as_deref().and_then(frames::number) {
        return writer.send(frames::reset(stream, code));
    }
    match answer.then {
        Then::Reset => return writer.reset(),
        Then::Close if answer.raw.is_some() => return writer.close(),
        Then::Open | Then::Close => {}
    }
    let body = if is_head || matches!(answer.status, 204 | 304) { "" } else { &answer.body };
    let has_trailers = !answer.trailers.0.is_empty();
    writer.send(head(stream, &answer, body.is_empty() && !has_trailers));
    if !body.is_empty() {
        writer.send(frames::data(stream, body.as_bytes(), !has_trailers));
    }
    if has_trailers {
        let trailers = answer.trailers.0.iter().map(|(name, value)| (&**name, &**value));
        writer.send(frames::headers(stream, &hpack::encode(trailers), true));
    }
    if answer.then == Then::Close {
        writer.close();
    }
}

fn head(stream: u32, answer: &Answer, ends: bool) -> Vec<u8> {
    let status = answer.status.to_string();
    let mut fields = vec![(":status", &*status)];
    fields.extend(answer.headers.0.iter().map(|(name, value)| (&**name, &**value)));
    let length = answer.body.len().to_string();
    let says_length = answer.headers.0.iter().any(|(name, _)| name == "content-length");
    if !(answer.chunked || says_length || matches!(answer.status, 100..=199 | 204 | 304))
        && answer.trailers.0.is_empty()
    {
        fields.push(("content-length", &length));
    }
    frames::headers(stream, &hpack::encode(fields), ends)
}
