//! A request's body that may have to be sent again: what was sent is kept, up to a limit.

use std::{
    cell::RefCell,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::{ClientBody, RequestBodyError};

/// What of a request's body attempts share. The attempt that was begun last reads it; those before are told to stop.
#[derive(Debug)]
pub(crate) struct Replay(Rc<RefCell<Kept>>);

#[derive(Debug)]
struct Kept {
    client: ClientBody,
    /// The length that the client told.
    length: SizeHint,
    /// What came so far, unless it was too much.
    data: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// All has come.
    ended: bool,
    bytes: usize,
    /// Bytes that may be kept.
    limit: usize,
    keeping: Keeping,
    /// The attempt that may read.
    attempt: u32,
    /// Its task, while it waits for the client.
    waiting: Option<Waker>,
}

/// What becomes of what comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeping {
    /// It is kept.
    On,
    /// There will be no other attempt; what is kept is still to be read.
    Off,
    /// It was too much: there can be no other attempt.
    Overflowed,
}

/// The body of one attempt.
#[derive(Debug)]
pub(super) struct Reader {
    kept: Rc<RefCell<Kept>>,
    attempt: u32,
    /// Pieces of what is kept that were read.
    read: usize,
    /// There is nothing more to read.
    done: bool,
}

impl Replay {
    /// Keep up to `limit` bytes of `client`.
    pub(crate) fn new(client: ClientBody, limit: usize) -> Self {
        Self(Rc::new(RefCell::new(Kept {
            length: http_body::Body::size_hint(&client.incoming),
            client,
            data: Vec::new(),
            trailers: None,
            ended: false,
            bytes: 0,
            limit,
            keeping: Keeping::On,
            attempt: 0,
            waiting: None,
        })))
    }

    /// Whether all that was sent can be sent once more.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.borrow().keeping != Keeping::Overflowed
    }

    /// There will be no other attempt than the last one.
    pub(crate) fn settle(&self) {
        let mut kept = self.0.borrow_mut();
        if kept.keeping == Keeping::On {
            kept.keeping = Keeping::Off;
        }
    }

    /// There will be no attempt any more, and none goes on.
    pub(crate) fn stop(&self) {
        let mut kept = self.0.borrow_mut();
        kept.attempt += 1;
        if let Some(waiting) = kept.waiting.take() {
            waiting.wake();
        }
    }

    /// The body from its beginning, for a new attempt.
    pub(super) fn reader(&self) -> Reader {
        self.stop();
        let attempt = self.0.borrow().attempt;
        Reader { kept: Rc::clone(&self.0), attempt, read: 0, done: false }
    }
}

impl Kept {
    /// Keep what `frame` brings, which `reader` gets now.
    fn keep(&mut self, frame: &Frame<Bytes>, reader: &mut Reader) {
        if let Some(trailers) = frame.trailers_ref() {
            self.ended = true;
            self.trailers = Some(trailers.clone());
            reader.done = true;
        }
        let (Some(data), Keeping::On) = (frame.data_ref(), self.keeping) else { return };
        self.bytes = self.bytes.saturating_add(data.len());
        if self.bytes > self.limit {
            self.keeping = Keeping::Overflowed;
            self.data = Vec::new();
        } else {
            self.data.push(data.clone());
            reader.read += 1;
        }
    }
}

impl Reader {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let kept = Rc::clone(&self.kept);
        let mut kept = kept.borrow_mut();
        if kept.attempt != self.attempt {
            return Poll::Ready(Some(Err(RequestBodyError::Superseded)));
        }
        if let Some(data) = kept.data.get(self.read) {
            self.read += 1;
            return Poll::Ready(Some(Ok(Frame::data(data.clone()))));
        }
        if kept.ended || self.done {
            let trailers = kept.trailers.clone().filter(|_| !self.done);
            self.done = true;
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        match kept.client.poll_frame(cx) {
            Poll::Pending => {
                kept.waiting = Some(cx.waker().clone());
                Poll::Pending
            }
            Poll::Ready(None) => {
                kept.ended = true;
                self.done = true;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Ok(frame))) => {
                kept.keep(&frame, self);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(error.into()))),
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let kept = self.kept.borrow();
        let rest = kept.data.len() > self.read || kept.trailers.is_some();
        self.done || !rest && (kept.ended || kept.client.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        // Asked for before anything is read.
        if self.read == 0 { self.kept.borrow().length } else { SizeHint::default() }
    }
}
