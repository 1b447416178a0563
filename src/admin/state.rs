//! Commands that ask for the state of the process, or change it.

use axum::response::Response;
use http::StatusCode;

use super::{answer, command::Asked, subject::Order};

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
