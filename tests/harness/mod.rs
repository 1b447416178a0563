//! What the suites are made of: the proxy as its own process, the clients and hosts around it, all on loopback.
//!
//! Nothing here waits for a time to pass: whatever is awaited is an event, under one generous [`DEADLINE`].

#![allow(dead_code, unused_imports, reason = "each suite is a crate of its own and uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as it should be fails the test where it stands"
)]

mod admin;
mod bootstrap;
mod collector;
mod delivery;
mod faulty_collector;
mod free_port;
mod h2;
mod otlp_calls;
mod proxy;
mod upstream;
mod wire;

use std::time::Duration;

pub(crate) use self::{
    admin::{Admin, Dropped, SpanCounts, TracerReport},
    bootstrap::Bootstrap,
    collector::{Export, FakeCollector},
    delivery::{Delivery, Protocol, each_at_once},
    faulty_collector::{Behaviour, Call, FaultyCollector},
    free_port::FreePort,
    h2::{H2Client, H2Response, H2Stream, H2Upstream, read, read_body},
    proxy::{Outcome, TestProxy, run, spanway},
    upstream::{CannedUpstream, FakeUpstream, free_address, refusing_address, silent_address},
    wire::{Message, Wire},
};

/// How long anything may take on a machine that has other things to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A response with a body of two bytes, which leaves the connection open.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// What `future` gives, before the deadline.
#[track_caller]
pub(crate) fn within<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(DEADLINE, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing happened within {DEADLINE:?}, awaited at {caller}"),
        }
    }
}
