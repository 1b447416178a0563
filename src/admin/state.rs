//! Commands that ask for the state of the process, or change it.

use std::sync::atomic::Ordering;

use axum::response::Response;
use http::StatusCode;

use super::{answer, command::Asked, subject::Order};
use crate::snapshot::listener::DrainedListeners;

/// `/ready`
pub(super) fn ready(asked: &Asked) -> Response {
    let subject = &asked.subject;
    let status = if subject.is_live() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::refusal(status, format!("{}\n", subject.state().name()))
}

/// `/reopen_logs`
pub(super) fn reopen_logs(asked: &Asked) -> Response {
    told(asked, Order::ReopenLogs)
}

/// Tell the main thread to do something. It does it after the answer; as in Envoy nobody waits for that.
fn told(asked: &Asked, order: Order) -> Response {
    // It fails while the process ends, and then there is nothing to tell any more.
    let _ = asked.subject.orders.send(order);
    answer::text("OK\n")
}

/// `/healthcheck/fail`
pub(super) fn fail_health_check(asked: &Asked) -> Response {
    asked.subject.unhealthy.store(true, Ordering::Relaxed);
    told(asked, Order::HealthCheck { fails: true })
}

/// `/healthcheck/ok`
pub(super) fn pass_health_check(asked: &Asked) -> Response {
    asked.subject.unhealthy.store(false, Ordering::Relaxed);
    told(asked, Order::HealthCheck { fails: false })
}

/// `/drain_listeners`
pub(super) fn drain_listeners(asked: &Asked) -> Response {
    let listeners = if asked.has("inboundonly") { DrainedListeners::Inbound } else { DrainedListeners::All };
    let (graceful, skip_exit) = (asked.has("graceful"), asked.has("skip_exit"));
    told(asked, Order::Drain { listeners, graceful, skip_exit })
}

/// `/quitquitquit`
pub(super) fn quit(asked: &Asked) -> Response {
    told(asked, Order::Quit)
}
