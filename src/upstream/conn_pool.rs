//! A worker's connections to one host.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use http::Version;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Failure,
    codec_client::{Http1Client, Http2Client},
    connect::{ConnectError, connect},
};
use crate::{
    cluster::{ClusterState, circuit_breaker::Permit, host::Host},
    snapshot::cluster::Http2Options,
};

/// The connections of this worker to one host: idle HTTP/1 ones, open HTTP/2 ones, and who waits for one.
#[derive(Debug)]
pub(crate) struct HostPool {
    /// The host.
    pub(crate) host: Arc<Host>,
    /// Its cluster.
    pub(crate) cluster: Arc<ClusterState>,
    /// Taken from the end, so that those no longer needed grow old at the front.
    idle: RefCell<VecDeque<Idle>>,
    http2: RefCell<Vec<Http2Client>>,
    /// Requests that wait because the cluster may not open more connections.
    waiters: RefCell<VecDeque<oneshot::Sender<Result<Http1Client, Failure>>>>,
    /// HTTP/1 connections, opening ones included.
    open: Cell<u32>,
    /// A task closes idle connections.
    sweeping: Cell<bool>,
    /// Held while an HTTP/2 connection opens, so that a burst of requests shares it.
    opening_http2: tokio::sync::Mutex<()>,
}

/// An HTTP/1 connection that waits for a request.
#[derive(Debug)]
struct Idle {
    client: Http1Client,
    since: Instant,
}

impl HostPool {
    /// With no connection yet.
    pub(crate) fn new(host: Arc<Host>, cluster: Arc<ClusterState>) -> Self {
        Self {
            host,
            cluster,
            idle: RefCell::default(),
            http2: RefCell::default(),
            waiters: RefCell::default(),
            open: Cell::new(0),
            sweeping: Cell::new(false),
            opening_http2: tokio::sync::Mutex::default(),
        }
    }

    /// An HTTP/1 connection that is free: an idle one, or a new one, or the next that becomes free.
    pub(crate) async fn http1(self: &Rc<Self>) -> Result<Http1Client, Failure> {
        if let Some(client) = self.take_idle() {
            return Ok(client);
        }
        // Boxed, since most requests find an idle connection and need not carry this future's room.
        Box::pin(self.open_http1()).await
    }

    fn take_idle(&self) -> Option<Http1Client> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { client, .. }) = idle.pop_back() {
            // One that is not ready has been closed by the host, or is about to be.
            if client.is_ready() {
                return Some(client);
            }
        }
        None
    }

    async fn open_http1(self: &Rc<Self>) -> Result<Http1Client, Failure> {
        let _pending = self.cluster.limits.pending.acquire().ok_or(Failure::Overflow)?;
        match self.slot() {
            Some(slot) => self.connect_http1(slot).await.inspect_err(|failure| self.fail_waiters(*failure)),
            None => {
                let (sender, receiver) = oneshot::channel();
                self.waiters.borrow_mut().push_back(sender);
                // The sender goes without a word only with the pool itself.
                receiver.await.unwrap_or(Err(Failure::Terminated))
            }
        }
    }

    /// Room for one more connection. A host that has none gets one even over the cluster's limit, as in Envoy: the
    /// connections of other hosts would never serve its requests.
    fn slot(self: &Rc<Self>) -> Option<Slot> {
        let permit = self.cluster.limits.connections.acquire();
        if permit.is_none() && self.open.get() > 0 {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Slot { permit, pool: Rc::downgrade(self) })
    }

    async fn connect_http1(&self, slot: Slot) -> Result<Http1Client, Failure> {
        let stream = connect(&self.host.address, &self.cluster.config, Version::HTTP_11).await?;
        Http1Client::handshake(stream, &self.cluster.config, slot)
            .await
            .map_err(|error| Failure::of_exchange(&error))
    }

    /// Give back a connection whose response has been read to its end.
    pub(crate) fn put_back(self: &Rc<Self>, mut client: Http1Client) {
        let most = self.cluster.config.max_requests_per_connection;
        if most.is_some_and(|most| client.served >= most) {
            // hyper closes it when its handle goes.
            return;
        }
        if client.is_ready() {
            return self.offer(client);
        }
        if client.is_closed() {
            return;
        }
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if client.ready().await {
                pool.offer(client);
            }
        });
    }

    /// To who waits longest, else to the idle ones.
    fn offer(self: &Rc<Self>, mut client: Http1Client) {
        while let Some(waiter) = self.waiters.borrow_mut().pop_front() {
            match waiter.send(Ok(client)) {
                Ok(()) => return,
                Err(Ok(returned)) => client = returned,
                Err(Err(_)) => return,
            }
        }
        self.idle.borrow_mut().push_back(Idle { client, since: Instant::now() });
        if let Some(timeout) = self.cluster.config.idle_timeout
            && !self.sweeping.replace(true)
        {
            tokio::task::spawn_local(sweep(Rc::downgrade(self), timeout));
        }
    }

    /// Close what has idled for `timeout`; how long until the next is due, or `None` if there is none.
    fn close_idle(&self, timeout: Duration) -> Option<Duration> {
        let mut idle = self.idle.borrow_mut();
        while let Some(front) = idle.front() {
            let age = front.since.elapsed();
            if age < timeout && !front.client.is_closed() {
                return Some(timeout.saturating_sub(age));
            }
            idle.pop_front();
        }
        None
    }

    /// A connection went away for good: whoever waits longest gets a new one.
    fn replace_for_waiter(self: &Rc<Self>) {
        if self.waiters.borrow().is_empty() {
            return;
        }
        let Some(slot) = self.slot() else { return };
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            match pool.connect_http1(slot).await {
                Ok(client) => pool.offer(client),
                Err(failure) => pool.fail_waiters(failure),
            }
        });
    }

    /// The host cannot be reached: nobody need wait for it.
    fn fail_waiters(&self, failure: Failure) {
        for waiter in self.waiters.take() {
            // One that went away meanwhile need not know.
            let _ = waiter.send(Err(failure));
        }
    }

    /// An HTTP/2 connection with room for a stream.
    pub(crate) async fn http2(&self, options: &Http2Options) -> Result<Http2Client, Failure> {
        if let Some(client) = self.open_http2_with_room() {
            return Ok(client);
        }
        Box::pin(self.open_http2(options)).await
    }

    fn open_http2_with_room(&self) -> Option<Http2Client> {
        self.http2.borrow().iter().find(|client| client.has_room()).cloned()
    }

    async fn open_http2(&self, options: &Http2Options) -> Result<Http2Client, Failure> {
        let _pending = self.cluster.limits.pending.acquire().ok_or(Failure::Overflow)?;
        let _opening = self.opening_http2.lock().await;
        if let Some(client) = self.open_http2_with_room() {
            return Ok(client);
        }
        let permit = self.cluster.limits.connections.acquire().ok_or(Failure::Overflow)?;
        let stream = connect(&self.host.address, &self.cluster.config, Version::HTTP_2).await?;
        let client = Http2Client::handshake(stream, options, &self.cluster.config, permit)
            .await
            .map_err(|error| Failure::of_exchange(&error))?;
        let mut clients = self.http2.borrow_mut();
        clients.retain(|client| !client.is_closed());
        clients.push(client.clone());
        Ok(client)
    }
}

/// A connection's place among those of its host and cluster, for as long as it opens or is open. Its end, for
/// whatever reason, makes room for who waits.
#[derive(Debug)]
pub(crate) struct Slot {
    permit: Option<Permit>,
    pool: Weak<HostPool>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.permit.take();
        if let Some(pool) = self.pool.upgrade() {
            pool.open.set(pool.open.get().saturating_sub(1));
            pool.replace_for_waiter();
        }
    }
}

/// Close connections that idle for too long, as long as there are any: one such task per pool, and none for a pool
/// that is empty.
async fn sweep(pool: Weak<HostPool>, timeout: Duration) {
    let mut wait = timeout;
    loop {
        tokio::time::sleep(wait).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.close_idle(timeout) {
            Some(next) => wait = next,
            None => return pool.sweeping.set(false),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(error) => Self::Connect(error.kind()),
            ConnectError::Timeout(_) => Self::ConnectTimeout,
        }
    }
}
