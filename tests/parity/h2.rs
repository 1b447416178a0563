//! An HTTP/2 client that sends any headers, written frame by frame.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::{
    client,
    frames::{self, Frames, PREFACE, Said},
    hpack,
    message::Message,
    scenario::{Pairs, RequestSpec},
    wire::Wire,
    world::World,
};

/// What a client says when it resets a stream.
const CANCEL: u32 = 8;

/// A connection with prior knowledge.
pub(crate) struct H2Client {
    pub(crate) wire: Wire,
    frames: Frames,
    next: u32,
    goaway: Option<String>,
}

impl H2Client {
    pub(crate) fn new(wire: Wire) -> Self {
        let mut hello = PREFACE.to_vec();
        hello.extend(frames::frame(frames::SETTINGS, 0, 0, &[]));
        wire.writer.send(hello);
        Self::silent(wire)
    }

    /// The scenario sends everything itself.
    pub(crate) fn silent(wire: Wire) -> Self {
        Self { wire, frames: Frames::new(), next: 1, goaway: None }
    }

    /// Send a request and read what comes on its stream.
    pub(crate) async fn ask(
        &mut self,
        request: &RequestSpec,
        patience: Duration,
        world: &World,
    ) -> Vec<Message> {
        let before = world.arrived();
        // What is written by hand may be on any stream.
        let stream = request.h2.as_ref().map(|_| self.next);
        if let Some(stream) = stream {
            self.next += 2;
            self.send(stream, request);
        }
        if request.reset_after.or(request.leave_after).is_some() {
            client::arrival(world, before).await;
        }
        if let Some(pause) = request.reset_after {
            sleep(pause.0).await;
            self.wire.writer.send(frames::reset(stream.unwrap_or(1), CANCEL));
        }
        let short = Duration::from_millis(300);
        let patience = if request.reset_after.is_some() { short } else { patience };
        let wait = request.leave_after.or(request.wait).map_or(patience, |wait| wait.0);
        let mut responses = Vec::new();
        if request.responses == Some(0) {
            return responses;
        }
        self.read(stream, Instant::now() + wait, &mut responses).await;
        responses
    }

    fn send(&self, stream: u32, request: &RequestSpec) {
        let block = |pairs: &Pairs| hpack::encode(pairs.0.iter().map(|(name, value)| (&**name, &**value)));
        let ends = !request.unfinished;
        let has_trailers = !request.trailers.0.is_empty();
        let head = request.h2.clone().unwrap_or_default();
        let mut bytes =
            frames::headers(stream, &block(&head), ends && request.body.is_none() && !has_trailers);
        if let Some(body) = &request.body {
            bytes.extend(frames::data(stream, body.as_bytes(), ends && !has_trailers));
        }
        if has_trailers {
            bytes.extend(frames::headers(stream, &block(&request.trailers), ends));
        }
        self.wire.writer.send(bytes);
    }

    async fn read(&mut self, stream: Option<u32>, mut deadline: Instant, responses: &mut Vec<Message>) {
        let mut response: Option<Message> = None;
        while let Ok(Some(said)) = timeout_at(deadline, self.frames.next(&mut self.wire)).await {
            match said {
                Said::Headers { stream: on, fields, ends } if stream.is_none_or(|stream| on == stream) => {
                    match &mut response {
                        Some(response) => response.trailers = fields,
                        None => response = Some(Message { headers: fields, ..Message::default() }),
                    }
                    let Some(there) = &mut response else { continue };
                    there.complete = ends;
                    let is_interim = (100..200).contains(&there.status());
                    if ends || is_interim {
                        there.complete = true;
                        responses.extend(response.take());
                        if !is_interim {
                            break;
                        }
                    }
                }
                Said::Data { stream: on, bytes, ends } if stream.is_none_or(|stream| on == stream) => {
                    let there = response.get_or_insert_default();
                    there.body.extend(bytes);
                    there.complete = ends;
                    if ends {
                        break;
                    }
                }
                Said::Reset { stream: on, code } if stream.is_none_or(|stream| on == stream) => {
                    response.get_or_insert_default().reset = Some(code);
                    break;
                }
                Said::GoAway { code } => {
                    self.goaway = Some(code);
                    deadline = deadline.min(Instant::now() + Duration::from_millis(600));
                }
                _ => {}
            }
        }
        responses.extend(response);
    }

    /// Read on for so long, to see whether the connection is to end.
    pub(crate) async fn end(mut self, wait: Duration) -> (Wire, Option<String>) {
        let rest = async {
            while let Some(said) = self.frames.next(&mut self.wire).await {
                if let Said::GoAway { code } = said {
                    self.goaway = Some(code);
                }
            }
        };
        let _ = timeout(wait, rest).await;
        (self.wire, self.goaway)
    }
}
