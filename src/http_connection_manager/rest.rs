//! An HTTP/1 connection that waits for its next request without a codec.
//!
//! hyper's codec holds a buffer for each direction for as long as it lives, which is most of what an idle connection
//! costs. Between requests there is nothing in them but, at most, the beginning of a request that was sent ahead, which is
//! read again. So a connection that has been idle for a moment can do without, and begin with new ones when its client
//! sends something.

use std::{future::poll_fn, task::Poll};

use tokio::{io::AsyncWriteExt, time::timeout};

use super::{
    Connection,
    codec::DownstreamStream,
    connection_timer::{ConnectionTimer, Due},
};

/// Wait until the client sends something. False if the connection ended first, or has to.
pub(super) async fn until_read(stream: &mut DownstreamStream, connection: &Connection) -> bool {
    // It was armed for streams that have ended.
    connection.stream_timer.take();
    connection.services.open.rested.notify_one();
    let mut timer = ConnectionTimer::default();
    let goes_on = poll_fn(|cx| {
        if let Poll::Ready(begun) = stream.poll_begin(cx) {
            return Poll::Ready(begun);
        }
        if connection.services.open.draining.get() {
            return Poll::Ready(false);
        }
        loop {
            return match std::task::ready!(timer.poll_due(cx, connection)) {
                Due::Idle | Due::Drained => Poll::Ready(false),
                // A request may be on its way already: it is answered, and told that it was the last.
                Due::Age => {
                    connection.ending.set(true);
                    continue;
                }
                // Neither is due on a connection that rests and of which nothing was read.
                Due::Headers(_) | Due::Rest => Poll::Ready(true),
            };
        }
    })
    .await;
    if !goes_on {
        // TLS has a word for it.
        let _ = timeout(connection.listener.manager.limits.delayed_close, stream.shutdown()).await;
    }
    goes_on
}
