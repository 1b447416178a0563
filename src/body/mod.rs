//! The body of a request on its way to a host: streamed, counted, bounded by back-pressure. What has to be sent again,
//! or to more than one host, is kept up to a limit.

mod replay;

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use self::replay::Reader;
pub(crate) use self::replay::Replay;
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
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Client(client) => client.incoming.size_hint(),
            Source::Replay(reader) => reader.size_hint(),
        }
    }
}

/// The body that a client sends, with the stream that it belongs to.
#[derive(Debug)]
pub(crate) struct ClientBody {
    incoming: Incoming,
    info: Rc<StreamInfo>,
}

impl ClientBody {
    /// The body of the request that `info` speaks of.
    pub(crate) fn new(incoming: Incoming, info: Rc<StreamInfo>) -> Self {
        if incoming.is_end_stream() {
            info.end_request();
        }
        Self { incoming, info }
    }

    /// Whether nothing comes any more.
    pub(crate) fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            None => self.info.end_request(),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let info = &self.info;
                    info.bytes_received.set(info.bytes_received.get() + data.len() as u64);
                    info.touch();
                }
                // Nothing follows trailers, and a host that does not get them sees an end instead.
                if frame.is_trailers() || self.incoming.is_end_stream() {
                    self.info.end_request();
                }
            }
            Some(Err(error)) => self.info.flag(if error.is_parse() || error.is_parse_too_large() {
                ResponseFlag::DownstreamProtocolError
            } else {
                ResponseFlag::DownstreamConnectionTermination
            }),
        }
        Poll::Ready(frame)
    }
}
