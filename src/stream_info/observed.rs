//! What only some formats and access logs read of a stream: recorded where one of them is configured, and nowhere else.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version, header::HOST, request::Parts, uri::PathAndQuery,
};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{
    StreamInfo,
    formatter::{Headers, PseudoHeaders},
    tls::TlsFacts,
};
use crate::{
    snapshot::{
        Local,
        access_log::{HeaderNames, Wanted},
        format::command::{Precision, TimePoint},
        matcher::header_text,
        metadata::Metadata,
    },
    stats::RequestGroup,
};

/// What is known of a connection to a host.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    /// Unique in this process.
    pub(crate) id: u64,
    /// Its own end; `None` on a unix socket.
    pub(crate) local: Option<SocketAddr>,
    /// The host's end.
    pub(crate) remote: Option<SocketAddr>,
    /// When it began to open.
    pub(crate) start: Instant,
    /// When it was open.
    pub(crate) connected: Instant,
    /// What its TLS agreed on, if it has any.
    pub(crate) tls: Option<TlsFacts>,
    /// When its TLS was, if it has any.
    pub(crate) secured: Option<Instant>,
}

/// A host that a connection was used of.
#[derive(Debug, Clone)]
pub(crate) struct AttemptedHost {
    /// Its address.
    pub(crate) address: Local<str>,
    /// Its name; empty if it has none.
    pub(crate) name: Arc<str>,
}

impl AttemptedHost {
    /// Its name, or its address where it has none.
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() { &self.address } else { &self.name }
    }
}

/// Headers that are read later.
pub(crate) type KeptHeaders = Vec<(HeaderName, HeaderValue)>;

/// The request as access logs read it.
#[derive(Debug, Default)]
pub(crate) struct KeptRequest {
    method: Method,
    path: Option<PathAndQuery>,
    https: bool,
    /// Those of its headers that are read, and `host`.
    headers: KeptHeaders,
    /// All its headers, in bytes.
    pub(crate) bytes: u64,
}

impl KeptRequest {
    /// Those of its headers that are read, and `host`.
    pub(crate) fn headers(&self) -> Headers<'_> {
        Headers::Kept(&self.headers)
    }

    /// Its pseudo-headers.
    pub(crate) fn pseudo(&self) -> PseudoHeaders<'_> {
        PseudoHeaders {
            method: self.method.as_str(),
            path: self.path.as_ref().map_or("", PathAndQuery::as_str),
            authority: self.headers().get(&HOST).map_or("", header_text),
            scheme: if self.https { "https" } else { "http" },
        }
    }
}

/// What was recorded. All of it stays empty until it happens.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    /// Something reads when what happened.
    pub(crate) moments: bool,
    /// The request is gRPC.
    pub(crate) grpc: Cell<bool>,
    /// The request as it went upstream, or came in.
    pub(crate) request: RefCell<Option<KeptRequest>>,
    /// Those headers of the response that are read.
    pub(crate) response: RefCell<Option<KeptHeaders>>,
    /// All of them, in bytes.
    pub(crate) response_bytes: Cell<u64>,
    /// The response's trailers.
    pub(crate) trailers: RefCell<Option<HeaderMap>>,
    /// The connection of the latest attempt.
    pub(crate) connection: RefCell<Option<Rc<UpstreamConnection>>>,
    /// What is spoken on it.
    pub(crate) protocol: Cell<Option<Version>>,
    /// Why there is none.
    pub(crate) transport_failure: Cell<&'static str>,
    /// The host of the latest attempt.
    pub(crate) host: RefCell<Option<AttemptedHost>>,
    /// What is noted of it.
    pub(crate) host_metadata: RefCell<Metadata>,
    /// The virtual host that took the request.
    pub(crate) virtual_host_name: RefCell<Option<Arc<str>>>,
    /// A route did, too.
    pub(crate) has_route: Cell<bool>,
    /// What is noted of the route.
    pub(crate) route_metadata: RefCell<Metadata>,
    /// What is noted of the virtual host.
    pub(crate) virtual_host_metadata: RefCell<Metadata>,
    /// Where its virtual cluster counts it, if it has one of its own.
    pub(crate) virtual_cluster: RefCell<Option<Arc<RequestGroup>>>,
    /// The connections to hosts that were used, by their ids.
    pub(crate) connection_ids: RefCell<Vec<u64>>,
    /// The hosts that connections were used of.
    pub(crate) attempted: RefCell<SmallVec<[AttemptedHost; 1]>>,
    /// What an entry of an access log is about; empty outside of them.
    pub(crate) log_type: Cell<&'static str>,
    /// When the latest attempt asked for a connection.
    pub(crate) attempt_start: Cell<Option<Instant>>,
    /// When it had one, or not.
    pub(crate) pool_ready: Cell<Option<Instant>>,
    /// When its request began to leave.
    pub(crate) send_start: Cell<Option<Instant>>,
    /// When its response's headers were there.
    pub(crate) response_start: Cell<Option<Instant>>,
    /// When its response was there.
    pub(crate) response_end: Cell<Option<Instant>>,
    /// When the response began to leave.
    pub(crate) reply_start: Cell<Option<Instant>>,
    /// When it had left.
    pub(crate) reply_end: Cell<Option<Instant>>,
}

impl Observed {
    /// This moment, where somebody reads it: to look at the clock costs more than all else here.
    pub(crate) fn now(&self) -> Option<Instant> {
        self.moments.then(Instant::now)
    }

    /// Keep what access logs read of a request.
    pub(crate) fn keep_request(&self, wanted: &Wanted, parts: &Parts, https: bool) {
        let headers = kept(&parts.headers, &wanted.request);
        let path = parts.uri.path_and_query().filter(|_| parts.method != Method::CONNECT).cloned();
        let mut kept = KeptRequest { method: parts.method.clone(), path, https, headers, bytes: 0 };
        if wanted.request_bytes {
            let pseudo = kept.pseudo();
            let fields = [
                (":method", pseudo.method),
                (":path", pseudo.path),
                (":authority", pseudo.authority),
                (":scheme", pseudo.scheme),
            ];
            let fields = fields.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
            kept.bytes = fields as u64 + bytes_but(&parts.headers, Some(&HOST));
        }
        self.request.replace(Some(kept));
    }

    /// Keep what access logs read of a response.
    pub(crate) fn keep_response(&self, wanted: &Wanted, headers: &HeaderMap) {
        if wanted.response_bytes {
            // The status has three digits.
            self.response_bytes.set(":status".len() as u64 + 3 + bytes_but(headers, None));
        }
        self.response.replace(Some(kept(headers, &wanted.response)));
    }

    /// Keep the trailers of a response.
    pub(crate) fn keep_trailers(&self, trailers: &HeaderMap) {
        self.trailers.replace(Some(trailers.clone()));
    }

    /// Another attempt begins: what was of the one before is not of this one.
    pub(crate) fn start_attempt(&self, host: AttemptedHost, metadata: &Metadata) {
        self.host.replace(Some(host));
        self.host_metadata.borrow_mut().clone_from(metadata);
        self.connection.take();
        self.protocol.take();
        self.transport_failure.take();
        self.attempt_start.set(self.now());
        self.pool_ready.take();
        self.send_start.take();
        self.response_start.take();
    }

    /// It has a connection.
    pub(crate) fn connected(&self, connection: &Rc<UpstreamConnection>, protocol: Version) {
        let now = self.now();
        self.pool_ready.set(now);
        self.send_start.set(now);
        self.connection.replace(Some(Rc::clone(connection)));
        self.protocol.set(Some(protocol));
        self.connection_ids.borrow_mut().push(connection.id);
        let mut attempted = self.attempted.borrow_mut();
        let host = self.host.borrow();
        let is_new = |host: &&AttemptedHost| !attempted.iter().any(|known| known.address == host.address);
        if let Some(host) = host.as_ref().filter(is_new) {
            attempted.push(host.clone());
        }
    }

    /// Bytes of the trailers.
    pub(crate) fn trailers_bytes(&self) -> u64 {
        self.trailers.borrow().as_ref().map_or(0, |trailers| bytes_but(trailers, None))
    }

    fn moment(&self, point: TimePoint, info: &StreamInfo) -> Option<Instant> {
        let connection = self.connection.borrow();
        match point {
            TimePoint::RequestStart => Some(info.start),
            TimePoint::RequestEnd => info.request_end.get(),
            TimePoint::ConnectStart => connection.as_ref().map(|connection| connection.start),
            TimePoint::ConnectEnd => connection.as_ref().map(|connection| connection.connected),
            TimePoint::HandshakeEnd => connection.as_ref()?.secured,
            TimePoint::AttemptStart => self.attempt_start.get(),
            TimePoint::PoolReady => self.pool_ready.get(),
            TimePoint::SendStart => self.send_start.get(),
            // Its body leaves as it comes.
            TimePoint::SendEnd => self
                .send_start
                .get()
                .max(info.request_end.get())
                .filter(|_| self.send_start.get().is_some() && info.request_end.get().is_some()),
            TimePoint::ResponseStart => self.response_start.get(),
            TimePoint::ResponseEnd => self.response_end.get(),
            TimePoint::ReplyStart => self.reply_start.get(),
            TimePoint::ReplyEnd => self.reply_end.get(),
        }
    }

    /// The time between two moments; `None` if one of them was not reached, or they were in the other order.
    pub(crate) fn between(
        &self,
        info: &StreamInfo,
        (from, to): (TimePoint, TimePoint),
        precision: Precision,
    ) -> Option<u64> {
        let time: Duration = self.moment(to, info)?.checked_duration_since(self.moment(from, info)?)?;
        let count = match precision {
            Precision::Milliseconds => time.as_millis(),
            Precision::Microseconds => time.as_micros(),
            Precision::Nanoseconds => time.as_nanos(),
        };
        u64::try_from(count).ok()
    }
}

/// The headers of these names.
fn kept(headers: &HeaderMap, names: &HeaderNames) -> KeptHeaders {
    let mut kept = Vec::new();
    for (name, value) in headers {
        if names.contains(name) {
            if kept.is_empty() {
                kept.reserve_exact(names.len());
            }
            kept.push((name.clone(), value.clone()));
        }
    }
    kept
}

/// Bytes of names and values.
fn bytes_but(headers: &HeaderMap, but: Option<&HeaderName>) -> u64 {
    let fields = headers.iter().filter(|(name, _)| Some(*name) != but);
    fields.map(|(name, value)| (name.as_str().len() + value.len()) as u64).sum()
}
