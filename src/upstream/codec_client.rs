//! One connection to a host with hyper's client on it.

use std::{cell::Cell, rc::Rc};

use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::AbortHandle;

use super::{LocalExecutor, conn_pool::Slot};
use crate::{
    body::RequestBody,
    cluster::circuit_breaker::Permit,
    snapshot::cluster::{Cluster, Http2Options},
    socket::Socket,
};

/// Bytes that a connection buffers in each direction before back-pressure, unless the cluster allows fewer.
const BUFFER_BYTES: u32 = 64 * 1024;
/// What hyper needs at least.
const MIN_BUFFER_BYTES: u32 = 8 * 1024;

/// Bytes that a connection to `cluster` buffers.
fn buffer_bytes(cluster: &Cluster) -> usize {
    cluster.buffer_limit_bytes.clamp(MIN_BUFFER_BYTES, BUFFER_BYTES) as usize
}

/// An HTTP/1 connection: one request at a time.
#[derive(Debug)]
pub(crate) struct Http1Client {
    sender: http1::SendRequest<RequestBody>,
    /// Requests it has been given.
    pub(crate) served: u32,
    driver: AbortHandle,
}

impl Http1Client {
    /// Speak HTTP/1 over `stream`. `slot` is given back when the connection is closed.
    pub(crate) async fn handshake(stream: Socket, cluster: &Cluster, slot: Slot) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(buffer_bytes(cluster))
            .handshake::<_, RequestBody>(TokioIo::new(stream))
            .await?;
        let driver = tokio::task::spawn_local(async move {
            // Its outcome reaches the request that is under way, if there is one.
            let _ = connection.with_upgrades().await;
            drop(slot);
        });
        Ok(Self { sender, served: 0, driver: driver.abort_handle() })
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
        self.sender.try_send_request(request)
    }

    /// Close it at once, whatever is under way.
    pub(crate) fn abort(self) {
        self.driver.abort();
    }
}

/// An HTTP/2 connection: many requests at a time. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Http2Client {
    sender: http2::SendRequest<RequestBody>,
    streams: Rc<Cell<u32>>,
    max_streams: u32,
}

impl Http2Client {
    /// Speak HTTP/2 over `stream`. `permit` is given back when the connection is closed.
    pub(crate) async fn handshake(
        stream: Socket,
        options: &Http2Options,
        cluster: &Cluster,
        permit: Permit,
    ) -> hyper::Result<Self> {
        let (sender, connection) = http2::Builder::new(LocalExecutor)
            .timer(TokioTimer::new())
            .initial_stream_window_size(options.initial_stream_window_bytes)
            .initial_connection_window_size(options.initial_connection_window_bytes)
            .max_send_buf_size(buffer_bytes(cluster))
            .handshake::<_, RequestBody>(TokioIo::new(stream))
            .await?;
        tokio::task::spawn_local(async move {
            let _ = connection.await;
            drop(permit);
        });
        Ok(Self { sender, streams: Rc::default(), max_streams: options.max_concurrent_streams })
    }

    /// Whether it can take one more stream.
    pub(crate) fn has_room(&self) -> bool {
        !self.sender.is_closed() && self.streams.get() < self.max_streams
    }

    /// Whether it never will again.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Count a stream until the guard is dropped.
    pub(crate) fn stream(&self) -> Http2Stream {
        self.streams.set(self.streams.get() + 1);
        Http2Stream(Rc::clone(&self.streams))
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
pub(crate) struct Http2Stream(Rc<Cell<u32>>);

impl Drop for Http2Stream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
