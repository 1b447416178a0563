//! The body of a request on its way to a host: streamed, counted, bounded by back-pressure. What has to be sent again,
//! or to more than one host, is kept up to a limit.

mod copy;
mod replay;

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

pub(crate) use self::{copy::CopyReader, replay::Replay};
use self::{copy::CopyWriter, replay::Reader};
use crate::stream_info::{ResponseFlag, StreamInfo};

/// A request's body as its host gets it.
#[derive(Debug)]
pub(crate) struct RequestBody {
    source: Source,
    /// Trailers are passed on. Off by default for HTTP/1 (`Http1ProtocolOptions.enable_trailers`).
    trailers: bool,
}

#[derive(Debug)]
enum Source {
    /// As it comes; nothing is held.
    Client(ClientBody),
    /// What came already, then as it comes.
    Replay(Reader),
    /// What another request's host gets, too.
    Copy(CopyReader),
}

/// Why a body ends before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestBodyError {
    /// The client broke off.
    #[error("the client's request broke off: {0}")]
    Client(#[from] hyper::Error),
    /// Another attempt has taken the request over.
    #[error("the attempt was given up")]
    Superseded,
    /// It is a copy that came too late, or one of a request that broke off.
    #[error("the copy was cut off")]
    CutOff,
}

impl RequestBody {
    /// The body of an attempt that is the only one.
    pub(crate) fn once(client: ClientBody, trailers: bool) -> Self {
        Self { source: Source::Client(client), trailers }
    }

    /// The body of one attempt of several.
    pub(crate) fn attempt(replay: &Replay, trailers: bool) -> Self {
        Self { source: Source::Replay(replay.reader()), trailers }
    }

    /// A copy of another request's body.
    pub(crate) fn copy(copy: CopyReader, trailers: bool) -> Self {
        Self { source: Source::Copy(copy), trailers }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(match &mut this.source {
            Source::Client(client) => client.poll_frame(cx).map_err(RequestBodyError::Client),
            Source::Replay(reader) => reader.poll_frame(cx),
            Source::Copy(copy) => copy.poll_frame(cx),
        });
        match &frame {
            Some(Ok(frame)) if frame.is_trailers() && !this.trailers => Poll::Ready(None),
            _ => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Client(client) => client.incoming.is_end_stream(),
            Source::Replay(reader) => reader.is_end_stream(),
            Source::Copy(copy) => copy.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        // hyper would tell an HTTP/2 host the length of a body that is not there.
        if self.is_end_stream() {
            return SizeHint::default();
        }
        match &self.source {
            Source::Client(client) => client.incoming.size_hint(),
            Source::Replay(reader) => reader.size_hint(),
            Source::Copy(copy) => copy.size_hint(),
        }
    }
}

/// The body that a client sends, with the stream that it belongs to.
#[derive(Debug)]
pub(crate) struct ClientBody {
    incoming: Incoming,
    info: Rc<StreamInfo>,
    /// Who gets a copy of it.
    copies: Vec<CopyWriter>,
}

impl ClientBody {
    /// The body of the request that `info` speaks of.
    pub(crate) fn new(incoming: Incoming, info: Rc<StreamInfo>) -> Self {
        if incoming.is_end_stream() {
            info.end_request();
        }
        Self { incoming, info, copies: Vec::new() }
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// A copy for a request of its own, which `info` speaks of. About `limit` bytes may wait to be read.
    pub(crate) fn copy(&mut self, limit: usize, info: Rc<StreamInfo>) -> CopyReader {
        let ended = self.is_end_stream();
        if ended {
            info.end_request();
        }
        let (writer, reader) = copy::copy(self.incoming.size_hint(), limit, info);
        if ended {
            writer.end();
        } else {
            self.copies.push(writer);
        }
        reader
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            None => {
                self.copies.iter().for_each(CopyWriter::end);
                self.info.end_request();
            }
            Some(Ok(frame)) => {
                self.copies.iter().for_each(|copy| copy.push(frame));
                if let Some(data) = frame.data_ref() {
                    let info = &self.info;
                    info.bytes_received.set(info.bytes_received.get() + data.len() as u64);
                    info.touch();
                }
                // Nothing follows trailers, and a host that does not get them sees an end instead.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.copies.iter().for_each(CopyWriter::end);
                    self.info.end_request();
                }
            }
            Some(Err(error)) => self.info.flag(if error.is_parse() || is_bad_chunk(error) {
                ResponseFlag::DownstreamProtocolError
            } else {
                ResponseFlag::DownstreamConnectionTermination
            }),
        }
        Poll::Ready(frame)
    }
}

/// Whether a body is no body, rather than broken off: hyper tells by what kind of error it wraps.
fn is_bad_chunk(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    error.is_parse_too_large()
        || source.is_some_and(|source| {
            matches!(source.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        })
}
