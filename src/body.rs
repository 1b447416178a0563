//! The body of a request on its way to a host: streamed, counted, bounded by back-pressure.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::stream_info::{ResponseFlag, StreamInfo};

/// A request's body. Each frame is passed on as it comes; nothing is held.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    info: Rc<StreamInfo>,
    /// Trailers are passed on. Off by default for HTTP/1 (`Http1ProtocolOptions.enable_trailers`).
    trailers: bool,
}

impl RequestBody {
    /// The body of the request that `info` speaks of.
    pub(crate) fn new(incoming: Incoming, info: Rc<StreamInfo>, trailers: bool) -> Self {
        if incoming.is_end_stream() {
            info.end_request();
        }
        Self { incoming, info, trailers }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = std::task::ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        match &frame {
            None => this.info.end_request(),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    let info = &this.info;
                    info.bytes_received.set(info.bytes_received.get() + data.len() as u64);
                    info.touch();
                }
                if this.incoming.is_end_stream() {
                    this.info.end_request();
                }
                if frame.is_trailers() {
                    // Nothing follows them, and hyper's client does not ask again.
                    this.info.end_request();
                    if !this.trailers {
                        return Poll::Ready(None);
                    }
                }
            }
            Some(Err(error)) => this.info.flag(if error.is_parse() || is_bad_chunk(error) {
                ResponseFlag::DownstreamProtocolError
            } else {
                ResponseFlag::DownstreamConnectionTermination
            }),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // hyper would tell an HTTP/2 host the length of a body that is not there.
        if self.incoming.is_end_stream() { SizeHint::default() } else { self.incoming.size_hint() }
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
