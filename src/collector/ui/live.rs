//! `/live`: tells a page that something has come. The search asks for what it shows by itself; a trace is told how many
//! spans there are of it.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::collector::{
    span::TraceId,
    store::{CLOSED, Store},
};

/// A page is told no more often than that: people do not see more, and it asks again each time.
const PERIOD: Duration = Duration::from_millis(250);

/// The versions of the store, as they come; the present one at once, so that a page that was away catches up.
pub(super) fn events(changes: watch::Receiver<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let versions = stream::unfold((changes, true), async |(mut changes, is_first)| {
        if !is_first {
            tokio::time::sleep(PERIOD).await;
            changes.changed().await.ok()?;
        }
        let version = *changes.borrow_and_update();
        // A page that stays open would hold up the end.
        if version == CLOSED {
            return None;
        }
        Some((Ok(Event::default().data(version.to_string())), (changes, false)))
    });
    Sse::new(versions).keep_alive(KeepAlive::default())
}

/// How many spans there are of a trace, whenever that changes; at once, too. None if it is not there.
pub(super) fn spans_of(store: Arc<Store>, id: TraceId) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let changes = store.changes();
    let counts = stream::unfold((store, id, changes, None), async |(store, id, mut changes, told)| {
        loop {
            if told.is_some() {
                tokio::time::sleep(PERIOD).await;
                changes.changed().await.ok()?;
            }
            if *changes.borrow_and_update() == CLOSED {
                return None;
            }
            let count = store.trace(&id).map_or(0, |trace| trace.spans.len());
            if told != Some(count) {
                return Some((
                    Ok(Event::default().data(count.to_string())),
                    (store, id, changes, Some(count)),
                ));
            }
        }
    });
    Sse::new(counts).keep_alive(KeepAlive::default())
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;
    use crate::collector::span::tests::span;

    #[tokio::test]
    async fn a_page_is_told_at_once_and_then_four_times_a_second_at_most() {
        let (store, changes) = watch::channel(7_u64);
        let mut body = events(changes).into_response().into_body();
        let start = Instant::now();
        let mut told = Vec::new();
        for version in [8, 9, 10] {
            let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
            told.push((String::from_utf8_lossy(&frame).into_owned(), start.elapsed()));
            store.send_replace(version);
        }
        assert_eq!(told[0].0, "data: 7\n\n");
        assert_eq!(told[1].0, "data: 8\n\n");
        assert!(told[1].1 >= PERIOD && told[2].1 >= 2 * PERIOD, "{told:?}");
    }

    #[tokio::test]
    async fn a_trace_is_told_of_its_own_spans_only() {
        let store = Arc::new(Store::new(1 << 20));
        store.insert([span(1, 1, 0)]);
        let mut body = spans_of(Arc::clone(&store), span(1, 1, 0).trace_id).into_response().into_body();
        let mut told = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(told().await, "data: 1\n\n");
        store.insert([span(2, 1, 0), span(2, 2, 1)]);
        let late = async {
            tokio::time::sleep(2 * PERIOD).await;
            store.insert([span(1, 2, 1), span(1, 3, 1)]);
        };
        assert_eq!(tokio::join!(told(), late).0, "data: 3\n\n");
    }
}
