//! The deadlines of a stream, with one timer for all of them.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep},
};

use super::{ResponseFlag, StreamInfo};

/// What bounds a stream in time; `None` for no bound.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadlines {
    /// From the start to the end of the request's body. `HttpConnectionManager.request_timeout`.
    pub(crate) request: Option<Duration>,
    /// From the end of the request to the end of the response. `RouteAction.timeout`.
    pub(crate) route: Option<Duration>,
    /// Since a byte last moved. `stream_idle_timeout`, `RouteAction.idle_timeout`.
    pub(crate) idle: Option<Duration>,
}

/// Which deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expired {
    /// [`Deadlines::request`]
    Request,
    /// [`Deadlines::route`]
    Route,
    /// [`Deadlines::idle`]
    Idle,
}

impl Expired {
    /// The flag of a response that it breaks off.
    pub(crate) fn flag(self) -> ResponseFlag {
        match self {
            Self::Idle => ResponseFlag::StreamIdleTimeout,
            Self::Route | Self::Request => ResponseFlag::UpstreamRequestTimeout,
        }
    }
}

/// The timer. It is armed once for the earliest deadline; bytes that move only write down when, and what is
/// really due is looked up when it fires.
#[derive(Debug, Default)]
pub(crate) struct StreamTimer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl StreamTimer {
    /// Whether a deadline has passed; if not, the task is woken when one does, or earlier.
    pub(crate) fn poll_expired(&mut self, cx: &mut Context<'_>, info: &StreamInfo) -> Poll<Expired> {
        let Some((due, _)) = earliest(info) else {
            return Poll::Pending;
        };
        let sleep = match &mut self.sleep {
            // The end of the request brings the route's deadline, which may come before what is armed.
            Some(sleep) if due < sleep.deadline() => {
                sleep.as_mut().reset(due);
                sleep
            }
            // It was polled when it was armed, and will wake the task, which is always the same.
            Some(sleep) if !sleep.is_elapsed() => return Poll::Pending,
            Some(sleep) => sleep,
            empty => empty.insert(Box::pin(tokio::time::sleep_until(due))),
        };
        // A task that has used up its turn would be told that the timer is pending though it was not armed.
        while pin!(unconstrained(sleep.as_mut())).poll(cx).is_ready() {
            match earliest(info) {
                None => return Poll::Pending,
                Some((due, which)) if due <= Instant::now() => return Poll::Ready(which),
                Some((due, _)) => sleep.as_mut().reset(due),
            }
        }
        Poll::Pending
    }
}

/// The deadline that passes first.
fn earliest(info: &StreamInfo) -> Option<(Instant, Expired)> {
    let deadlines = info.deadlines.get();
    let bound = match info.request_end.get() {
        None => deadlines.request.and_then(|after| Some((info.start.checked_add(after)?, Expired::Request))),
        Some(end) => deadlines.route.and_then(|after| Some((end.checked_add(after)?, Expired::Route))),
    };
    let idle =
        deadlines.idle.and_then(|after| Some((info.last_activity.get().checked_add(after)?, Expired::Idle)));
    match (bound, idle) {
        (Some(bound), Some(idle)) => Some(if idle.0 < bound.0 { idle } else { bound }),
        (bound, idle) => bound.or(idle),
    }
}
