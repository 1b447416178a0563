//! Room for messages that are on their way in: counted by their bytes as they arrive, so that a client that sends slowly
//! takes no more of it than what it has sent.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use axum::{body::Body, extract::State};
use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::limits;

/// The room of one receiver, which all its connections share.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

impl Room {
    /// Whether there was room for `bytes` more, which are taken then.
    fn take(&self, bytes: usize) -> bool {
        let more = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= limits::UNREAD_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// A receiver's room, and what it makes of a body for which there is none.
pub(super) type Limit<E> = (Room, fn(Full) -> E);

/// There is no room for a message now.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too many messages at once")]
pub(super) struct Full;

/// The request with its body counted. A body that finds no room ends with what `refusal` makes of [`Full`].
pub(super) async fn count<E>(State((room, refusal)): State<Limit<E>>, request: Request<Body>) -> Request<Body>
where
    E: std::error::Error + Send + Sync + 'static,
{
    request.map(|body| Body::new(Counted { body, room, taken: 0, refusal }))
}

struct Counted<E> {
    body: Body,
    room: Room,
    taken: usize,
    refusal: fn(Full) -> E,
}

impl<E: std::error::Error + Send + Sync + 'static> HttpBody for Counted<E> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            if !self.room.take(bytes) {
                return Poll::Ready(Some(Err(axum::Error::new((self.refusal)(Full)))));
            }
            self.taken += bytes;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<E> Drop for Counted<E> {
    fn drop(&mut self) {
        self.room.0.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::identity;

    use axum::body::to_bytes;

    use super::*;

    async fn counted(room: &Room, body: Vec<u8>) -> Body {
        let state = State((room.clone(), identity as fn(Full) -> Full));
        count(state, Request::new(Body::from(body))).await.into_body()
    }

    #[tokio::test]
    async fn bodies_take_room_while_they_are_read_and_give_it_back() {
        let room = Room::default();
        let half = || vec![0; limits::UNREAD_BYTES / 2];
        for _ in 0..3 {
            assert_eq!(to_bytes(counted(&room, half()).await, usize::MAX).await.unwrap().len(), half().len());
        }
        let mut unread = counted(&room, half()).await;
        let frame = std::future::poll_fn(|context| Pin::new(&mut unread).poll_frame(context)).await;
        assert!(frame.unwrap().is_ok());
        let too_much = to_bytes(counted(&room, vec![0; limits::UNREAD_BYTES]).await, usize::MAX).await;
        let cause = std::error::Error::source(&too_much.unwrap_err()).map(ToString::to_string);
        assert_eq!(cause.as_deref(), Some("too many messages at once"));
        drop(unread);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
