//! One connection to a host with hyper's client on it.

use std::{
    cell::Cell,
    future::poll_fn,
    rc::{Rc, Weak},
    sync::Arc,
};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{task::AbortHandle, time::Instant};

use super::{LocalExecutor, counted::Counted, slot::Slot};
use crate::{
    body::RequestBody,
    snapshot::cluster::{Cluster, Http2Options},
    socket::Socket,
    stream_info::observed::UpstreamConnection,
};

/// Bytes that a connection buffers in each direction before back-pressure, unless the cluster allows fewer.
const BUFFER_BYTES: u32 = 64 * 1024;
/// What hyper needs at least.
const MIN_BUFFER_BYTES: u32 = 8 * 1024;

/// Bytes that a connection to `cluster` buffers.
fn buffer_bytes(cluster: &Cluster) -> usize {
    // As in Envoy zero is no limit, and leaves ours.
    match cluster.buffer_limit_bytes {
        0 => BUFFER_BYTES as usize,
        limit => limit.clamp(MIN_BUFFER_BYTES, BUFFER_BYTES) as usize,
    }
}

/// An HTTP/1 connection: one request at a time.
#[derive(Debug)]
pub(crate) struct Http1Client {
    sender: http1::SendRequest<RequestBody>,
    /// What is known of it.
    pub(crate) facts: Rc<UpstreamConnection>,
    /// Requests it has been given.
    pub(crate) served: u32,
    driver: AbortHandle,
    slot: Weak<Slot>,
}

impl Http1Client {
    /// Speak HTTP/1 over `stream`. `slot` is given back when the connection is closed.
    pub(crate) async fn handshake(
        stream: Socket,
        facts: Rc<UpstreamConnection>,
        cluster: &Arc<Cluster>,
        slot: Slot,
    ) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(buffer_bytes(cluster))
            .handshake::<_, RequestBody>(TokioIo::new(Counted::new(stream, cluster)))
            .await?;
        let slot = Rc::new(slot);
        let held = Rc::clone(&slot);
        let driver = tokio::task::spawn_local(async move {
            // Its outcome reaches the request that is under way, if there is one.
            let _ = connection.with_upgrades().await;
            drop(held);
        });
        Ok(Self { sender, facts, served: 0, driver: driver.abort_handle(), slot: Rc::downgrade(&slot) })
    }

    /// Whether it can take a request now.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Whether it never will again.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Wait until it can take a request again; false if it never will.
    pub(crate) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Send `request`. A request of which nothing was sent comes back in the error.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        self.served += 1;
        if let Some(slot) = self.slot.upgrade() {
            slot.serve();
        }
        self.sender.try_send_request(request)
    }

    /// Its place among the connections of its host, for who takes the connection over.
    pub(crate) fn slot(&self) -> Option<Rc<Slot>> {
        self.slot.upgrade()
    }

    /// Close it at once, whatever is under way.
    pub(crate) fn abort(self) {
        self.driver.abort();
    }
}

impl Drop for Http1Client {
    fn drop(&mut self) {
        // Unless its end is gone already, this is.
        if !self.sender.is_closed()
            && let Some(slot) = self.slot.upgrade()
        {
            slot.close_here();
        }
    }
}

/// An HTTP/2 connection: many requests at a time. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Http2Client {
    sender: http2::SendRequest<RequestBody>,
    state: Rc<Http2State>,
}

/// What is known of an HTTP/2 connection.
#[derive(Debug)]
struct Http2State {
    facts: Rc<UpstreamConnection>,
    /// Streams now.
    streams: Cell<u32>,
    /// Streams ever.
    served: Cell<u32>,
    /// Streams at a time that both sides allow.
    most_streams: Cell<usize>,
    /// Streams ever that the cluster allows.
    most_served: Option<u32>,
    /// When the last stream ended.
    idle_since: Cell<Instant>,
}

impl Http2Client {
    /// Speak HTTP/2 over `stream`. `slot` is given back when the connection is closed.
    pub(crate) async fn handshake(
        stream: Socket,
        facts: Rc<UpstreamConnection>,
        options: &Http2Options,
        cluster: &Arc<Cluster>,
        slot: Slot,
    ) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.initial_stream_window_bytes)
            .initial_connection_window_size(options.initial_connection_window_bytes)
            .max_send_buf_size(buffer_bytes(cluster))
            .handshake::<_, RequestBody>(TokioIo::new(Counted::new(stream, cluster)))
            .await?;
        let own_limit = options.max_concurrent_streams as usize;
        let state = Rc::new(Http2State {
            facts,
            streams: Cell::new(0),
            served: Cell::new(0),
            most_streams: Cell::new(own_limit),
            most_served: cluster.max_requests_per_connection,
            idle_since: Cell::new(Instant::now()),
        });
        let shared = Rc::clone(&state);
        tokio::task::spawn_local(async move {
            let mut connection = std::pin::pin!(connection);
            let _ = poll_fn(|cx| {
                let outcome = connection.as_mut().poll(cx);
                // The host may change its mind at any time.
                shared.most_streams.set(own_limit.min(connection.current_max_send_streams()));
                outcome
            })
            .await;
            slot.count_streams(shared.served.get(), shared.streams.get());
            drop(slot);
        });
        Ok(Self { sender, state })
    }

    /// What is known of it.
    pub(crate) fn facts(&self) -> &Rc<UpstreamConnection> {
        &self.state.facts
    }

    /// Whether it can take one more stream.
    pub(crate) fn has_room(&self) -> bool {
        !self.is_over() && (self.state.streams.get() as usize) < self.state.most_streams.get()
    }

    /// Whether it never will again: closed, or worn out.
    pub(crate) fn is_over(&self) -> bool {
        self.sender.is_closed() || self.state.most_served.is_some_and(|most| self.state.served.get() >= most)
    }

    /// Since when it idles, if it does.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.state.streams.get() == 0).then(|| self.state.idle_since.get())
    }

    /// Count a stream until the guard is dropped.
    pub(crate) fn stream(&self) -> Http2Stream {
        self.state.streams.set(self.state.streams.get() + 1);
        self.state.served.set(self.state.served.get().saturating_add(1));
        Http2Stream(Rc::clone(&self.state))
    }

    /// Send `request`. A request of which nothing was sent comes back in the error.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + use<> {
        self.sender.try_send_request(request)
    }
}

/// One of the streams that an [`Http2Client`] counts.
#[derive(Debug)]
pub(crate) struct Http2Stream(Rc<Http2State>);

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        self.0.idle_since.set(Instant::now());
    }
}
