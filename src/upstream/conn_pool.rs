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
    connect::{ConnectError, connect_and_tell},
    host_permit::HostPermit,
    slot::Slot,
    tls_failure::TlsFailure,
};
use crate::{
    cluster::{
        ClusterState,
        circuit_breaker::{Permit, Resource},
        host::Host,
    },
    snapshot::{Local, cluster::Http2Options},
    socket::Socket,
    stream_info::{next_connection_id, observed::UpstreamConnection, tls::TlsFacts},
};

/// The connections of this worker to one host: idle HTTP/1 ones, open HTTP/2 ones, and who waits for one.
#[derive(Debug)]
pub(crate) struct HostPool {
    /// The host.
    pub(crate) host: Arc<Host>,
    /// Its cluster.
    pub(crate) cluster: Local<ClusterState>,
    /// The host's address.
    pub(crate) address_text: Local<str>,
    /// Taken from the end, so that those no longer needed grow old at the front.
    idle: RefCell<VecDeque<Idle>>,
    http2: RefCell<Vec<Http2Client>>,
    /// Requests that wait because the cluster may not open more connections.
    waiters: RefCell<VecDeque<oneshot::Sender<Result<Http1Client, Failure>>>>,
    /// Connections, opening ones included.
    open: Cell<u32>,
    /// The worker ends.
    closing: Cell<bool>,
    /// A task closes idle connections.
    sweeping: Cell<bool>,
    /// Held while an HTTP/2 connection opens, so that a burst of requests shares it.
    opening_http2: tokio::sync::Mutex<()>,
    /// How often one was opened or could not be, and how that went the last time: for those who waited meanwhile.
    opened_http2: Cell<(u64, Option<Failure>)>,
}

/// An HTTP/1 connection that waits for a request.
#[derive(Debug)]
struct Idle {
    client: Http1Client,
    since: Instant,
}

impl HostPool {
    /// With no connection yet.
    pub(crate) fn new(host: Arc<Host>, cluster: Local<ClusterState>) -> Self {
        Self {
            address_text: Rc::new(Arc::clone(&host.address_text)),
            host,
            cluster,
            idle: RefCell::default(),
            http2: RefCell::default(),
            waiters: RefCell::default(),
            open: Cell::new(0),
            closing: Cell::new(false),
            sweeping: Cell::new(false),
            opening_http2: tokio::sync::Mutex::default(),
            opened_http2: Cell::new((0, None)),
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
        let _pending = HostPermit::pending(self).ok_or(Failure::Overflow)?;
        match self.slot() {
            Some(slot) => self.connect_http1(slot).await,
            None => {
                // The sender goes without a word only with the pool itself.
                self.queue().await.unwrap_or(Err(Failure::Terminated))
            }
        }
    }

    /// Wait for a connection behind those who wait already.
    fn queue(&self) -> oneshot::Receiver<Result<Http1Client, Failure>> {
        let (sender, receiver) = oneshot::channel();
        let mut waiters = self.waiters.borrow_mut();
        // Those that gave up leave their place behind.
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push_back(sender);
        receiver
    }

    /// Room for one more connection. A host that has none gets one even over the cluster's limit, as in Envoy: the
    /// connections of other hosts would never serve its requests.
    fn slot(self: &Rc<Self>) -> Option<Slot> {
        let permit = Permit::acquire(&self.cluster, Resource::Connections);
        if permit.is_none() && self.open.get() > 0 || self.closing.get() {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Slot::new(permit, self))
    }

    /// A connection is gone, which makes room for who waits.
    pub(super) fn vacate(self: &Rc<Self>) {
        self.open.set(self.open.get().saturating_sub(1));
        self.replace_for_waiter();
    }

    /// A new connection, and what is known of it.
    async fn connect(&self, version: Version) -> Result<(Socket, Rc<UpstreamConnection>), ConnectError> {
        let (start, connected) = (Instant::now(), Cell::new(None));
        let note = || connected.set(Some(Instant::now()));
        let config = &self.cluster.config;
        let stream = connect_and_tell(&self.host.address, config, version, note).await?;
        let facts = UpstreamConnection {
            id: next_connection_id(),
            local: stream.local_address(),
            remote: self.host.address.socket(),
            start,
            connected: connected.get().unwrap_or(start),
            tls: stream.negotiated().map(TlsFacts::of),
            secured: config.tls.as_ref().map(|_| Instant::now()),
        };
        Ok((stream, Rc::new(facts)))
    }

    async fn connect_http1(&self, slot: Slot) -> Result<Http1Client, Failure> {
        // While this still has its slot: freeing it would have a connection opened for who waits.
        let failed = |failure: Failure| {
            slot.failed(failure);
            self.cluster.config.stats.mine().upstream_rq_pending_failure_eject.inc();
            self.fail_waiters(failure);
            failure
        };
        slot.speaks(Version::HTTP_11);
        let opened = self.connect(Version::HTTP_11).await;
        let (stream, facts) = opened.map_err(|error| failed(error.into()))?;
        slot.opened();
        Http1Client::handshake(stream, facts, &self.cluster.config, slot)
            .await
            .map_err(|error| Failure::of_exchange(&error))
    }

    /// Give back a connection whose response has been read to its end.
    pub(crate) fn put_back(self: &Rc<Self>, mut client: Http1Client) {
        let most = self.cluster.config.max_requests_per_connection;
        if most.is_some_and(|most| client.served >= most) {
            // hyper closes it when its handle goes.
            return self.cluster.config.stats.mine().upstream_cx_max_requests.inc();
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
        while let Some(waiter) = self.next_waiter() {
            match waiter.send(Ok(client)) {
                Ok(()) => return,
                Err(Ok(returned)) => client = returned,
                Err(Err(_)) => return,
            }
        }
        self.idle.borrow_mut().push_back(Idle { client, since: Instant::now() });
        self.sweep();
    }

    /// Close what has idled for `timeout`; how long until the next is due, or `None` if there is none.
    fn close_idle(&self, timeout: Duration) -> Option<Duration> {
        let mut idle = self.idle.borrow_mut();
        let stats = self.cluster.config.stats.mine();
        while let Some(front) = idle.front() {
            match (front.client.is_closed(), front.since.elapsed() >= timeout) {
                (true, _) => {}
                (false, true) => stats.upstream_cx_idle_timeout.inc(),
                (false, false) => break,
            }
            idle.pop_front();
        }
        let mut http2 = self.http2.borrow_mut();
        http2.retain(|client| {
            let idled = client.idle_since().is_some_and(|since| since.elapsed() >= timeout);
            if idled && !client.is_over() {
                stats.upstream_cx_idle_timeout.inc();
            }
            !client.is_over() && !idled
        });
        let http1_due = idle.front().map(|front| timeout.saturating_sub(front.since.elapsed()));
        let http2_due = http2.iter().map(|client| {
            client.idle_since().map_or(timeout, |since| timeout.saturating_sub(since.elapsed()))
        });
        http2_due.chain(http1_due).min()
    }

    /// A connection went away for good: whoever waits longest gets a new one.
    fn replace_for_waiter(self: &Rc<Self>) {
        self.waiters.borrow_mut().retain(|waiter| !waiter.is_closed());
        // A worker that ends drops what is spawned at once, which would free another slot.
        if self.closing.get() || self.waiters.borrow().is_empty() {
            return;
        }
        let Some(slot) = self.slot() else { return };
        let pool = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if let Ok(client) = pool.connect_http1(slot).await {
                pool.offer(client);
            }
        });
    }

    fn next_waiter(&self) -> Option<oneshot::Sender<Result<Http1Client, Failure>>> {
        self.waiters.borrow_mut().pop_front()
    }

    /// The worker ends: nothing is opened any more, and nobody need wait.
    pub(crate) fn close(&self) {
        self.closing.set(true);
        self.fail_waiters(Failure::Terminated);
    }

    /// The host cannot be reached: nobody need wait for it.
    fn fail_waiters(&self, failure: Failure) {
        for waiter in self.waiters.take() {
            self.cluster.config.stats.mine().upstream_rq_pending_failure_eject.inc();
            // One that went away meanwhile need not know.
            let _ = waiter.send(Err(failure));
        }
    }

    /// An HTTP/2 connection with room for a stream.
    pub(crate) async fn http2(self: &Rc<Self>, options: &Http2Options) -> Result<Http2Client, Failure> {
        if let Some(client) = self.http2_with_room() {
            return Ok(client);
        }
        Box::pin(self.open_http2(options)).await
    }

    fn http2_with_room(&self) -> Option<Http2Client> {
        self.http2.borrow().iter().find(|client| client.has_room()).cloned()
    }

    async fn open_http2(self: &Rc<Self>, options: &Http2Options) -> Result<Http2Client, Failure> {
        let _pending = HostPermit::pending(self).ok_or(Failure::Overflow)?;
        let (before, _) = self.opened_http2.get();
        let _opening = self.opening_http2.lock().await;
        if let Some(client) = self.http2_with_room() {
            return Ok(client);
        }
        // All who waited for a connection that could not be opened share its fate, rather than try one by one.
        if let (now, Some(failure)) = self.opened_http2.get()
            && now != before
        {
            return Err(failure);
        }
        let outcome = self.connect_http2(options).await;
        self.opened_http2.set((before + 1, outcome.as_ref().err().copied()));
        outcome
    }

    async fn connect_http2(self: &Rc<Self>, options: &Http2Options) -> Result<Http2Client, Failure> {
        let slot = self.slot().ok_or(Failure::Overflow)?;
        slot.speaks(Version::HTTP_2);
        let opened = self.connect(Version::HTTP_2).await;
        let (stream, facts) = opened.map_err(|error| {
            let failure = error.into();
            slot.failed(failure);
            self.cluster.config.stats.mine().upstream_rq_pending_failure_eject.inc();
            failure
        })?;
        slot.opened();
        let client = Http2Client::handshake(stream, facts, options, &self.cluster.config, slot)
            .await
            .map_err(|error| Failure::of_exchange(&error))?;
        let mut clients = self.http2.borrow_mut();
        // One that is over ends with its last stream.
        clients.retain(|client| !client.is_over());
        clients.push(client.clone());
        drop(clients);
        self.sweep();
        Ok(client)
    }

    /// See that idle connections are closed in time.
    fn sweep(self: &Rc<Self>) {
        if let Some(timeout) = self.cluster.config.idle_timeout
            && !self.sweeping.replace(true)
        {
            tokio::task::spawn_local(sweep(Rc::downgrade(self), timeout));
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
            ConnectError::Tls(error) if error.kind() == std::io::ErrorKind::TimedOut => Self::ConnectTimeout,
            ConnectError::Io(error) => Self::Connect(error.kind()),
            ConnectError::Tls(error) => Self::Tls(TlsFailure::of(&error)),
            ConnectError::Timeout(_) => Self::ConnectTimeout,
        }
    }
}
