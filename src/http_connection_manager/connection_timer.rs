//! When a connection ends by the clock: idle, old, or with the headers of a request that do not come.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep},
};

use super::{Connection, codec::BytesSeen};

/// What is due on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Due {
    /// It has idled long enough.
    Idle,
    /// It is old enough.
    Age,
    /// It was old enough, and no request came to be told.
    Drained,
    /// It has been idle for long enough to give its buffers back.
    Rest,
    /// The headers of a request take too long; the body of the reply that says so.
    Headers(&'static str),
}

/// What bounds a connection at a moment, besides its age, which always does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bounds {
    idle: bool,
    rest: bool,
    headers: bool,
    told: bool,
}

impl Bounds {
    /// Whether there is nothing that `earlier` had not: what is due then can only have moved to a later time, since
    /// requests that come and go do nothing but that.
    fn within(self, earlier: Self) -> bool {
        (earlier.idle || !self.idle)
            && (earlier.rest || !self.rest)
            && !self.headers
            && !self.told
            && !earlier.told
    }
}

/// One timer for all that can be due on a connection.
#[derive(Debug, Default)]
pub(super) struct ConnectionTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// What was considered when it was armed.
    armed_for: Bounds,
    /// When the headers of a request began to come in.
    headers_since: Option<Instant>,
    /// The connection has buffers that it can do without.
    rests: bool,
}

/// After so long without a request a connection does without its codec and that one's buffers.
const REST_AFTER: Duration = Duration::from_secs(2);

impl ConnectionTimer {
    /// For a connection with a codec.
    pub(super) fn that_rests() -> Self {
        Self { rests: true, ..Self::default() }
    }

    /// Whether something is due; if not, the task is woken when something is, or earlier.
    pub(super) fn poll_due(&mut self, cx: &mut Context<'_>, connection: &Connection) -> Poll<Due> {
        // In HTTP/2 bytes may be about anything.
        let in_headers = connection.http1.get()
            && connection.open.get() == 0
            && !connection.ending.get()
            && connection.bytes.read_any.load(Ordering::Relaxed);
        if !in_headers {
            self.headers_since = None;
        } else if self.headers_since.is_none() {
            self.headers_since = Some(Instant::now());
        }
        let bounds = Bounds {
            idle: connection.open.get() == 0,
            rest: self.may_rest(connection),
            headers: self.headers_since.is_some(),
            told: connection.told.get().is_some(),
        };
        // Once armed it was polled, and will wake the connection's task.
        let armed = self.sleep.as_ref().is_some_and(|sleep| !sleep.is_elapsed());
        if armed && bounds.within(self.armed_for) {
            return Poll::Pending;
        }
        let Some((due, _)) = self.earliest(connection) else { return Poll::Pending };
        self.armed_for = bounds;
        match &mut self.sleep {
            Some(sleep) if due < sleep.deadline() => sleep.as_mut().reset(due),
            Some(_) if armed => return Poll::Pending,
            Some(_) => {}
            empty => *empty = Some(Box::pin(tokio::time::sleep_until(due))),
        }
        // A task that has used up its turn would be told that the timer is pending though it was not armed.
        while let Some(sleep) = &mut self.sleep
            && pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready()
        {
            match self.earliest(connection) {
                Some((due, what)) if due <= Instant::now() => {
                    if connection.told.get().is_none() {
                        connection.count_due(what);
                    }
                    return Poll::Ready(what);
                }
                Some((due, _)) => {
                    if let Some(sleep) = &mut self.sleep {
                        sleep.as_mut().reset(due);
                    }
                }
                None => self.sleep = None,
            }
        }
        Poll::Pending
    }

    /// Whether nothing of it is in a buffer.
    fn may_rest(&self, connection: &Connection) -> bool {
        let BytesSeen { read_any, flushed } = &*connection.bytes;
        self.rests
            && connection.http1.get()
            && connection.open.get() == 0
            && !connection.ending.get()
            && !read_any.load(Ordering::Relaxed)
            && flushed.load(Ordering::Relaxed)
    }

    /// What is due first, and when.
    fn earliest(&self, connection: &Connection) -> Option<(Instant, Due)> {
        let limits = &connection.listener.manager.limits;
        if let Some(told) = connection.told.get() {
            if connection.open.get() > 0 {
                return None;
            }
            // HTTP/1 waits for the end of a response to leave, HTTP/2 for an answer to its farewell.
            let patience = limits.stream_idle.filter(|_| connection.http1.get()).unwrap_or(limits.drain);
            let since = told.max(connection.idle_since.get());
            return since.checked_add(patience).map(|due| (due, Due::Drained));
        }
        let after = |since: Instant, limit: Option<Duration>, due| Some((since.checked_add(limit?)?, due));
        let ending = connection.ending.get();
        let open = connection.open.get() > 0;
        let age = match (ending, open) {
            (false, _) => after(connection.began, limits.connection_duration, Due::Age),
            (true, false) => {
                let drained =
                    limits.connection_duration.map(|duration| duration.saturating_add(limits.drain));
                after(connection.began, drained, Due::Drained)
            }
            (true, true) => None,
        };
        let idle = match (ending, open) {
            (false, false) => after(connection.idle_since.get(), limits.connection_idle, Due::Idle),
            _ => None,
        };
        let rest = if self.may_rest(connection) {
            after(connection.idle_since.get(), Some(REST_AFTER), Due::Rest)
        } else {
            None
        };
        let headers =
            |limit, body| self.headers_since.and_then(|since| after(since, limit, Due::Headers(body)));
        let late = headers(limits.request_headers, "request header timeout");
        let whole = headers(limits.request, "request timeout");
        let stalled = headers(limits.stream_idle, "stream timeout");
        [late, whole, stalled, idle, age, rest].into_iter().flatten().min_by_key(|(due, _)| *due)
    }
}
