//! What is known of one stream: filled in on its way, read at its end by spans, replies and formats.

pub(crate) mod calendar;
pub(crate) mod cause;
pub(crate) mod deadline;
mod expression;
pub(crate) mod flags;
pub(crate) mod formatter;
pub(crate) mod grpc_status;
pub(crate) mod observed;
pub(crate) mod tls;
pub(crate) mod value;

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, SystemTime},
};

use http::{HeaderValue, Version};
use tokio::time::Instant;

pub(crate) use self::flags::ResponseFlag;
use self::{
    cause::{AttemptOutcome, Cause, FailedAttempt},
    deadline::Deadlines,
    flags::ResponseFlags,
    observed::Observed,
    tls::TlsFacts,
};
use crate::{
    snapshot::{Address, Local, cluster::Cluster},
    stats::{MethodClass, RequestGroup, RequestStats},
    trace::Span,
};

/// An address with its text, which many requests repeat in their headers.
#[derive(Debug, Clone)]
pub(crate) struct IpText {
    /// The address.
    pub(crate) ip: IpAddr,
    /// The same as a header has it.
    pub(crate) text: HeaderValue,
}

impl From<IpAddr> for IpText {
    fn from(ip: IpAddr) -> Self {
        // Digits, letters, dots and colons are always a header value.
        let text = HeaderValue::try_from(ip.to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
        Self { ip, text }
    }
}

/// What all streams of a downstream connection share.
#[derive(Debug)]
pub(crate) struct ConnectionInfo {
    /// Unique in this process.
    pub(crate) id: u64,
    /// The connection's other end; `None` on a unix socket.
    pub(crate) peer: Option<SocketAddr>,
    /// Its own end.
    pub(crate) local: Address,
    /// What its TLS agreed on, once it has and if it has any.
    pub(crate) tls: Cell<Option<TlsFacts>>,
    /// The name that the client asked for by SNI, if it did.
    pub(crate) requested_server_name: OnceCell<Box<str>>,
    peer_ip: OnceCell<IpText>,
}

impl ConnectionInfo {
    /// A connection between `peer` and `local`. `id` is unique in this process.
    pub(crate) fn new(id: u64, peer: Option<SocketAddr>, local: Address) -> Self {
        Self {
            id,
            peer,
            local,
            tls: Cell::new(None),
            requested_server_name: OnceCell::new(),
            peer_ip: OnceCell::new(),
        }
    }

    /// The peer's address; an IPv4 one is written as such also where it came in as IPv6.
    pub(crate) fn peer_ip(&self) -> Option<&IpText> {
        let ip = self.peer?.ip().to_canonical();
        Some(self.peer_ip.get_or_init(|| ip.into()))
    }
}

/// One stream. Owned by its connection's worker, so plain cells do.
#[derive(Debug)]
pub(crate) struct StreamInfo {
    /// Its connection.
    pub(crate) connection: Rc<ConnectionInfo>,
    /// What the client speaks.
    pub(crate) protocol: Version,
    /// When its headers were complete, by the steady clock.
    pub(crate) start: Instant,
    /// The same by the wall clock.
    pub(crate) start_time: SystemTime,
    /// The client: the peer, or who `x-forwarded-for` says. `None` on a unix socket.
    pub(crate) remote: Cell<Option<SocketAddr>>,
    /// Bytes of the request's body so far.
    pub(crate) bytes_received: Cell<u64>,
    /// Bytes of the response's body so far.
    pub(crate) bytes_sent: Cell<u64>,
    /// When a byte of it last moved.
    pub(crate) last_activity: Cell<Instant>,
    /// When the request's body was complete.
    pub(crate) request_end: Cell<Option<Instant>>,
    /// What bounds it in time.
    pub(crate) deadlines: Cell<Deadlines>,
    /// Who waits for its response; woken when the request's body ends, which begins the route's deadline.
    pub(crate) waiter: RefCell<Option<Waker>>,
    /// The host may send and get trailers.
    pub(crate) upstream_trailers: Cell<bool>,
    /// The response's body was handed to the client's codec whole.
    pub(crate) response_complete: Cell<bool>,
    /// Status for the client; 0 as long as there is none.
    pub(crate) status: Cell<u16>,
    /// Why it did not go well.
    pub(crate) flags: Cell<ResponseFlags>,
    /// Where the status comes from, in Envoy's words (`RESPONSE_CODE_DETAILS`).
    pub(crate) details: Cell<&'static str>,
    /// Attempts to get a response from a host.
    pub(crate) attempts: Cell<u32>,
    /// The latest attempt has its connection.
    pub(crate) connected: Cell<bool>,
    /// It is a health check, and not to be traced. `envoy.filters.http.health_check`.
    pub(crate) health_check: Cell<bool>,
    /// Its client is internal.
    pub(crate) internal: Cell<bool>,
    /// Its method.
    pub(crate) method: Cell<MethodClass>,
    /// The chosen route's number; 0 as long as there is none.
    pub(crate) route: Cell<u32>,
    /// The chosen route's name.
    pub(crate) route_name: RefCell<Arc<str>>,
    /// Where it is counted besides.
    pub(crate) groups: RefCell<Vec<Arc<RequestGroup>>>,
    /// The chosen cluster.
    pub(crate) cluster: RefCell<Option<Local<Cluster>>>,
    /// Address of the chosen host.
    pub(crate) upstream_host: RefCell<Option<Local<str>>>,
    /// Attempts that did not go well.
    pub(crate) failed_attempts: RefCell<Vec<FailedAttempt>>,
    /// Why it got an error of the proxy's own, where somebody reads that.
    pub(crate) cause: RefCell<Option<Box<Cause>>>,
    /// Its span, unless it is not traced at all.
    pub(crate) span: RefCell<Option<Span>>,
    /// What only some formats read; `None` where there are none of these.
    pub(crate) observed: Option<Box<Observed>>,
}

impl StreamInfo {
    /// A stream whose headers are complete now.
    pub(crate) fn new(connection: Rc<ConnectionInfo>, protocol: Version) -> Self {
        let start = Instant::now();
        Self {
            remote: Cell::new(connection.peer),
            connection,
            protocol,
            start,
            start_time: SystemTime::now(),
            bytes_received: Cell::new(0),
            bytes_sent: Cell::new(0),
            last_activity: Cell::new(start),
            request_end: Cell::new(None),
            deadlines: Cell::default(),
            waiter: RefCell::new(None),
            upstream_trailers: Cell::new(false),
            response_complete: Cell::new(false),
            status: Cell::new(0),
            flags: Cell::new(ResponseFlags::default()),
            details: Cell::new(""),
            attempts: Cell::new(0),
            connected: Cell::new(false),
            health_check: Cell::new(false),
            internal: Cell::new(false),
            route_name: RefCell::default(),
            method: Cell::default(),
            route: Cell::new(0),
            groups: RefCell::default(),
            failed_attempts: RefCell::default(),
            cause: RefCell::default(),
            cluster: RefCell::new(None),
            upstream_host: RefCell::new(None),
            span: RefCell::new(None),
            observed: None,
        }
    }

    /// The same, where formats read more than most do.
    #[must_use]
    pub(crate) fn observed(self, moments: bool) -> Self {
        Self { observed: Some(Box::new(Observed { moments, ..Observed::default() })), ..self }
    }

    /// Note what came of an attempt that did not go well, for who asks why in the end.
    pub(crate) fn attempt_failed(&self, host: &Local<str>, outcome: AttemptOutcome) {
        /// Whose doing it is.
        const ROUTER: &str = "spanway::router";
        let connection = self.connection.id;
        match &*self.span.borrow() {
            Some(Span { trace_id, .. }) => {
                ::tracing::debug!(target: ROUTER, %trace_id, "connection {connection}: an attempt at {host} failed: {outcome}");
            }
            None => {
                ::tracing::debug!(target: ROUTER, "connection {connection}: an attempt at {host} failed: {outcome}")
            }
        }
        self.failed_attempts.borrow_mut().push(FailedAttempt { host: Rc::clone(host), outcome });
    }

    /// Count it where its virtual cluster and its route say, too.
    pub(crate) fn count(&self, count: impl Fn(&RequestStats)) {
        for group in &*self.groups.borrow() {
            count(group.stats.mine());
        }
    }

    /// Add a reason.
    pub(crate) fn flag(&self, flag: ResponseFlag) {
        self.flags.set(self.flags.get().with(flag));
    }

    /// A byte moved.
    pub(crate) fn touch(&self) {
        self.last_activity.set(Instant::now());
    }

    /// The request has no body: its headers were its end.
    pub(crate) fn end_request_at_start(&self) {
        self.request_end.set(Some(self.start));
    }

    /// The request's body is complete.
    pub(crate) fn end_request(&self) {
        if self.request_end.get().is_some() {
            return;
        }
        let now = Instant::now();
        self.request_end.set(Some(now));
        self.last_activity.set(now);
        if let Some(waiter) = self.waiter.borrow_mut().take() {
            waiter.wake();
        }
    }

    /// Whole time so far.
    pub(crate) fn duration(&self) -> Duration {
        self.start.elapsed()
    }
}

/// The id of a connection, of either side: unique in this process.
pub(crate) fn next_connection_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// `HTTP/1.1` and so on, as logs and spans have it.
pub(crate) fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}
