//! `/live`: tells a page that something has come. The page asks for what it shows by itself.

use std::{convert::Infallible, time::Duration};

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::watch;

use crate::collector::store::CLOSED;

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

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use http_body_util::BodyExt as _;
    use tokio::time::Instant;

    use super::*;

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
}
