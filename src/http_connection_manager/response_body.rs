//! The body of a response on its way to the client, and with it the end of the stream.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    accounting::{count_expired, count_upstream_time},
    stream_end::StreamEnd,
};
use crate::{
    stream_info::{ResponseFlag, StreamInfo, deadline::StreamTimer},
    trace,
    upstream::{Failure, UpstreamBody},
};

/// A response's body. The stream ends when it has been read whole, or is dropped.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    /// It has broken off, and the client has still to be told.
    broken: Option<BodyError>,
    /// Trailers are passed on.
    trailers: bool,
    end: StreamEnd,
}

#[derive(Debug)]
enum Source {
    /// Made here.
    Local(Option<Bytes>),
    /// Streamed from a host, under the stream's deadlines; they are the connection's to watch in HTTP/1.
    Upstream(UpstreamBody, Option<StreamTimer>),
}

/// Why a body ends before its end. hyper then breaks off the response, so that the client sees that it is not whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The host broke off.
    #[error("the upstream's response broke off: {0}")]
    Upstream(#[from] hyper::Error),
    /// A deadline passed.
    #[error("a deadline of the stream passed")]
    Expired,
}

impl ResponseBody {
    /// A body made here.
    pub(crate) fn local(body: Bytes, end: StreamEnd) -> Self {
        let source = Source::Local(Some(body).filter(|body| !body.is_empty()));
        Self { source, broken: None, trailers: false, end }
    }

    /// A host's body.
    pub(crate) fn upstream(
        body: UpstreamBody,
        timer: Option<StreamTimer>,
        trailers: bool,
        end: StreamEnd,
    ) -> Self {
        Self { source: Source::Upstream(body, timer), broken: None, trailers, end }
    }

    fn info(&self) -> &Rc<StreamInfo> {
        self.end.info()
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let info = this.end.info();
        let (body, timer) = match &mut this.source {
            Source::Local(body) => {
                let frame = body.take();
                if let Some(data) = &frame {
                    info.bytes_sent.set(data.len() as u64);
                }
                info.response_complete.set(true);
                return Poll::Ready(frame.map(|data| Ok(Frame::data(data))));
            }
            Source::Upstream(body, timer) => (body, timer),
        };
        let frame = match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                // Without a timer of its own it is the connection's.
                let Some(timer) = timer else { return Poll::Pending };
                let expired = std::task::ready!(timer.poll_expired(cx, info));
                info.flag(expired.flag());
                count_expired(info, expired);
                return Poll::Ready(Some(Err(BodyError::Expired)));
            }
        };
        match frame {
            None => {
                complete(info);
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                let ended = body.is_end_stream();
                if let Some(data) = frame.data_ref() {
                    info.bytes_sent.set(info.bytes_sent.get() + data.len() as u64);
                    // Nobody waits for what follows the end.
                    if !ended {
                        info.touch();
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    trace::stream::note_grpc_status(info, trailers);
                    if let Some(observed) = &info.observed {
                        observed.keep_trailers(trailers);
                    }
                    if !this.trailers {
                        complete(info);
                        return Poll::Ready(None);
                    }
                }
                if ended {
                    complete(info);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let failure = Failure::of_body(&error);
                trace::attempt::failed(info, failure.reason(), failure.flag());
                info.flag(failure.flag().unwrap_or(ResponseFlag::UpstreamProtocolError));
                if failure == Failure::Reset {
                    this.end.connection().stats().rq_reset_after_downstream_response_started.inc();
                } else if let Some(cluster) = &*info.cluster.borrow() {
                    cluster.stats.mine().upstream_cx_protocol_error.inc();
                }
                info.details.set(match failure {
                    Failure::Reset => "upstream_reset_after_response_started{remote_reset}",
                    _ => "upstream_reset_after_response_started{protocol_error}",
                });
                if info.bytes_sent.get() > 0 {
                    return Poll::Ready(Some(Err(BodyError::Upstream(error))));
                }
                // hyper has not flushed the response's head yet and would drop it: let it do so first.
                this.broken = Some(BodyError::Upstream(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Local(body) => body.is_none(),
            Source::Upstream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Local(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Source::Upstream(body, _) => body.size_hint(),
        }
    }
}

/// The host's response was read whole.
fn complete(info: &StreamInfo) {
    if !info.response_complete.replace(true) {
        count_upstream_time(info);
        if let Some(observed) = &info.observed {
            observed.response_end.set(observed.now());
        }
    }
    trace::attempt::completed(info);
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A response without body, and any to HEAD, is complete without having been polled.
        if self.is_end_stream() || self.end.bodiless() {
            match self.source {
                Source::Local(_) => self.info().response_complete.set(true),
                Source::Upstream(..) => complete(self.info()),
            }
        }
    }
}
