//! A copy of a request's body for another host, made as the body is read. Nobody waits for who reads it: what it has
//! not taken is kept up to a limit, and beyond that the copy ends there.

use std::{
    cell::RefCell,
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::RequestBodyError;
use crate::stream_info::StreamInfo;

/// Where copied frames go in.
#[derive(Debug)]
pub(super) struct CopyWriter(Rc<RefCell<Queue>>);

/// Where they come out.
#[derive(Debug)]
pub(crate) struct CopyReader {
    queue: Rc<RefCell<Queue>>,
    /// The copy's own stream.
    info: Rc<StreamInfo>,
    /// The length that the client told.
    length: SizeHint,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Copied>,
    bytes: usize,
    limit: usize,
    state: State,
    /// Who waits for a frame.
    waiting: Option<Waker>,
}

#[derive(Debug)]
enum Copied {
    Data(Bytes),
    Trailers(http::HeaderMap),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// More may come.
    Open,
    /// All has come.
    Ended,
    /// It breaks off: the reader was too slow, or the request itself broke off.
    Cut,
}

/// A copy of which up to about `limit` bytes wait to be read.
pub(super) fn copy(length: SizeHint, limit: usize, info: Rc<StreamInfo>) -> (CopyWriter, CopyReader) {
    let queue = Rc::new(RefCell::new(Queue {
        frames: VecDeque::new(),
        bytes: 0,
        limit,
        state: State::Open,
        waiting: None,
    }));
    (CopyWriter(Rc::clone(&queue)), CopyReader { queue, info, length })
}

impl CopyWriter {
    /// Copy a frame.
    pub(super) fn push(&self, frame: &Frame<Bytes>) {
        // Without a reader nothing need be kept.
        if Rc::strong_count(&self.0) == 1 {
            return;
        }
        let mut queue = self.0.borrow_mut();
        if queue.state != State::Open {
            return;
        }
        // What is waiting counts, not the frame: one may be longer than the limit, and its reader quick.
        if queue.bytes > queue.limit {
            return queue.finish(State::Cut);
        }
        if let Some(data) = frame.data_ref() {
            queue.bytes += data.len();
            queue.frames.push_back(Copied::Data(data.clone()));
            queue.wake();
        } else if let Some(trailers) = frame.trailers_ref() {
            queue.frames.push_back(Copied::Trailers(trailers.clone()));
            queue.finish(State::Ended);
        }
    }

    /// The body is complete.
    pub(super) fn end(&self) {
        self.0.borrow_mut().finish(State::Ended);
    }
}

impl Drop for CopyWriter {
    fn drop(&mut self) {
        self.0.borrow_mut().finish(State::Cut);
    }
}

impl Queue {
    fn finish(&mut self, state: State) {
        if self.state != State::Open {
            return;
        }
        self.state = state;
        if state == State::Cut {
            self.frames.clear();
        }
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }
}

impl CopyReader {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut queue = self.queue.borrow_mut();
        let frame = match queue.frames.pop_front() {
            Some(Copied::Data(data)) => {
                queue.bytes = queue.bytes.saturating_sub(data.len());
                Some(Ok(Frame::data(data)))
            }
            Some(Copied::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            None => match queue.state {
                State::Open => {
                    queue.waiting = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                State::Ended => None,
                State::Cut => Some(Err(RequestBodyError::CutOff)),
            },
        };
        if queue.frames.is_empty() && queue.state == State::Ended {
            self.info.end_request();
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let queue = self.queue.borrow();
        queue.state == State::Ended && queue.frames.is_empty()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use http::Version;

    use super::*;
    use crate::{snapshot::Address, stream_info::ConnectionInfo};

    fn pair(limit: usize) -> (CopyWriter, CopyReader) {
        let local = Address::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let connection = Rc::new(ConnectionInfo::new(1, None, local));
        let info = Rc::new(StreamInfo::new(connection, Version::HTTP_11));
        copy(SizeHint::default(), limit, info)
    }

    fn data(length: usize) -> Frame<Bytes> {
        Frame::data(Bytes::from(vec![b'x'; length]))
    }

    /// What comes out now: lengths, and how it ended if it did.
    fn read(reader: &mut CopyReader) -> (Vec<usize>, Option<bool>) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut lengths = Vec::new();
        loop {
            match reader.poll_frame(&mut cx) {
                Poll::Pending => return (lengths, None),
                Poll::Ready(None) => return (lengths, Some(true)),
                Poll::Ready(Some(Err(_))) => return (lengths, Some(false)),
                Poll::Ready(Some(Ok(frame))) => lengths.push(frame.data_ref().map_or(0, Bytes::len)),
            }
        }
    }

    #[test]
    fn a_reader_that_keeps_up_gets_all() {
        let (writer, mut reader) = pair(10);
        for length in [50, 3, 8] {
            writer.push(&data(length));
            assert_eq!(read(&mut reader), (vec![length], None));
        }
        writer.end();
        drop(writer);
        assert_eq!(read(&mut reader), (vec![], Some(true)));
        assert!(reader.info.request_end.get().is_some());
    }

    #[test]
    fn a_reader_that_does_not_is_cut_off_and_keeps_nothing() {
        let (writer, mut reader) = pair(10);
        for _ in 0..5 {
            writer.push(&data(6));
        }
        assert!(reader.queue.borrow().frames.is_empty());
        assert_eq!(read(&mut reader), (vec![], Some(false)));
        writer.end();
        assert_eq!(read(&mut reader), (vec![], Some(false)));
    }

    #[test]
    fn a_request_that_breaks_off_breaks_off_its_copy() {
        let (writer, mut reader) = pair(10);
        writer.push(&data(6));
        drop(writer);
        assert_eq!(read(&mut reader), (vec![], Some(false)));
    }

    #[test]
    fn what_nobody_reads_is_not_kept() {
        let (writer, reader) = pair(10);
        drop(reader);
        writer.push(&data(6));
        assert!(writer.0.borrow().frames.is_empty());
    }
}
