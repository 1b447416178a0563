//! HTTP on one client's connection: its codec, its timers, its streams.

mod accounting;
pub(crate) mod active_stream;
pub(crate) mod admission;
mod broken_request;
mod cause;
pub(crate) mod client_address;
mod codec;
mod connection_timer;
pub(crate) mod date;
pub(crate) mod decision;
pub(crate) mod edge_headers;
pub(crate) mod local_reply;
mod observed;
mod path_normalization;
pub(crate) mod redirect;
mod reply_format;
mod request_target;
mod response;
mod response_body;
mod rest;
pub(crate) mod span_start;
mod stream_end;
mod tunnel;

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    io,
    pin::Pin,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll, Waker},
    time::SystemTime,
};

use slab::Slab;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::Instant,
};

use self::{
    broken_request::BrokenRequest,
    codec::{BytesSeen, DownstreamStream, Http1Server, Http2Server, Protocol},
    connection_timer::{ConnectionTimer, Due},
};
use crate::{
    access_log::buffer::LogBuffer,
    cluster::ClusterManager,
    snapshot::{
        Snapshot,
        listener::{DrainedListeners, Listener},
    },
    socket::Socket,
    stream_info::{ConnectionInfo, IpText, StreamInfo, deadline::StreamTimer, tls::TlsFacts},
    trace::buffer::SpanBuffer,
};

/// What all connections of a worker share. Owned by the worker, touched by no other thread.
#[derive(Debug)]
pub(crate) struct Services {
    /// What is served.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Where requests go.
    pub(crate) clusters: ClusterManager,
    /// Where finished spans go.
    pub(crate) spans: Rc<SpanBuffer>,
    /// Where entries of access logs go.
    pub(crate) logs: Rc<LogBuffer>,
    /// The `date` header.
    pub(crate) date: date::DateCache,
    /// This machine's address towards others.
    pub(crate) own_ip: IpText,
    /// Open connections, and whether they are to end.
    pub(crate) open: OpenConnections,
}

/// The open connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct OpenConnections {
    draining: Cell<bool>,
    closing: Cell<DrainedListeners>,
    unhealthy: Cell<bool>,
    tasks: RefCell<Slab<Waker>>,
    emptied: Notify,
    rested: Notify,
}

impl OpenConnections {
    /// Ask all connections to end after what they are doing.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        for (_, waker) in &*self.tasks.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Connections of these listeners end with their next response; all do, while the process answers health checks
    /// badly.
    pub(crate) fn close_with_responses(&self, listeners: DrainedListeners, unhealthy: bool) {
        self.closing.set(listeners);
        self.unhealthy.set(unhealthy);
        for (_, waker) in &*self.tasks.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Wait until one comes to rest, which frees its buffers.
    pub(crate) async fn rested(&self) {
        self.rested.notified().await;
    }

    /// Wait until there is none.
    pub(crate) async fn emptied(&self) {
        while !self.tasks.borrow().is_empty() {
            self.emptied.notified().await;
        }
    }
}

/// One client's connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) services: Rc<Services>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) info: Rc<ConnectionInfo>,
    /// Streams now.
    open: Cell<u32>,
    /// Streams ever.
    served: Cell<u32>,
    /// When the last stream ended, or the connection began.
    idle_since: Cell<Instant>,
    began: Instant,
    /// What its bytes tell.
    bytes: Arc<BytesSeen>,
    /// It ends with the next response.
    ending: Cell<bool>,
    /// It speaks HTTP/1: streams come one after the other, and all run in the connection's own task.
    http1: Cell<bool>,
    /// The stream of an HTTP/1 connection.
    current: RefCell<Option<Rc<StreamInfo>>>,
    /// The timer of that stream. It outlives streams, so that most requests never touch the runtime's timers.
    stream_timer: RefCell<StreamTimer>,
    /// When its codec was told to end.
    told: Cell<Option<Instant>>,
    /// Which HTTP it speaks, once that is known.
    protocol: Cell<Option<Protocol>>,
    /// It ends from this side.
    closed_here: Cell<bool>,
    /// A stream ended with it.
    cut: Cell<bool>,
}

impl Connection {
    /// Whether its bytes are encrypted.
    fn is_tls(&self) -> bool {
        self.listener.tls.is_some()
    }

    /// A stream begins.
    fn stream_started(&self, info: &Rc<StreamInfo>) {
        if self.http1.get() {
            self.current.replace(Some(Rc::clone(info)));
        }
        self.open.set(self.open.get() + 1);
        self.served.set(self.served.get() + 1);
        self.bytes.read_any.store(false, Ordering::Relaxed);
        self.count_request();
    }

    /// A stream has ended.
    fn stream_ended(&self) {
        self.current.take();
        self.open.set(self.open.get().saturating_sub(1));
        // What was read since the stream began was its body.
        self.bytes.read_any.store(false, Ordering::Relaxed);
        self.bytes.flushed.store(false, Ordering::Relaxed);
        if self.open.get() == 0 {
            self.idle_since.set(Instant::now());
        }
    }

    /// Whether the response of an HTTP/1 stream takes too long to be read. hyper asks its body for nothing while the
    /// client reads nothing, so nobody else would notice.
    fn poll_stuck(&self, cx: &mut Context<'_>) -> Poll<()> {
        let current = self.current.borrow();
        let Some(info) = current.as_ref().filter(|info| info.status.get() != 0) else { return Poll::Pending };
        let expired = std::task::ready!(self.stream_timer.borrow_mut().poll_expired(cx, info));
        info.flag(expired.flag());
        accounting::count_expired(info, expired);
        Poll::Ready(())
    }

    /// Whether the response that is being made is the connection's last.
    fn is_last_response(&self) -> bool {
        let limit = self.listener.manager.limits.requests_per_connection;
        self.ending.get()
            || self.services.open.draining.get()
            || self.closes_with_response()
            || limit.is_some_and(|limit| self.served.get() >= limit)
    }

    /// Whether it ends with its next response, for the good of who sends it requests.
    fn closes_with_response(&self) -> bool {
        let open = &self.services.open;
        open.unhealthy.get() || open.closing.get().has(self.listener.direction)
    }

    /// Whether it speaks HTTP/2, has served a request, and is to end: HTTP/1 says so with a header.
    fn says_goodbye(&self) -> bool {
        !self.http1.get() && self.served.get() > 0 && self.closes_with_response()
    }
}

/// Serve a client's connection until it ends. It begins when it is accepted; `socket` is there once its TLS is, if it
/// has any.
pub(crate) async fn serve(
    services: Rc<Services>,
    listener: Arc<Listener>,
    info: ConnectionInfo,
    socket: impl Future<Output = io::Result<Socket>>,
) {
    let now = Instant::now();
    let connection = Rc::new(Connection {
        bytes: Arc::default(),
        services,
        listener,
        info: Rc::new(info),
        open: Cell::new(0),
        served: Cell::new(0),
        idle_since: Cell::new(now),
        began: now,
        ending: Cell::new(false),
        http1: Cell::new(true),
        current: RefCell::new(None),
        stream_timer: RefCell::default(),
        told: Cell::new(None),
        protocol: Cell::new(None),
        closed_here: Cell::new(false),
        cut: Cell::new(false),
    });
    connection.count_opened();
    let manager = Arc::clone(&connection.listener.manager);
    let _registration = Registration::new(&connection.services).await;
    let open = async {
        let socket = socket.await?;
        let facts = socket.negotiated().map(TlsFacts::of);
        let mutual = socket.has_peer_certificate();
        connection.info.tls.set(facts.map(|facts| TlsFacts { mutual, ..facts }));
        if let Some(name) = socket.requested_server_name() {
            // It is set once, here.
            let _ = connection.info.requested_server_name.set(name.into());
        }
        let mut stream = DownstreamStream::new(socket, &connection);
        let protocol = codec::detect(manager.codec, &mut stream).await?;
        io::Result::Ok((stream, protocol))
    };
    // Until its first request comes in, a connection is as idle as between requests.
    let Some(Ok((mut stream, protocol))) = until_due(&connection, open).await else { return };
    connection.count_protocol(protocol);
    match protocol {
        Protocol::Http1 => loop {
            let end = {
                let mut server = Box::new(codec::http1(stream, Rc::clone(&connection)));
                let end = drive(&connection, &mut *server).await;
                // An upgraded connection is not ours any more.
                let Some(parts) = server.into_parts() else { return };
                stream = parts.io.into_inner();
                if end == End::Resting {
                    stream.unread(&parts.read_buf);
                }
                end
            };
            if end != End::Resting {
                return close_http1(stream, &connection, end).await;
            }
            if !rest::until_read(&mut stream, &connection).await {
                return;
            }
        },
        Protocol::Http2 => {
            connection.http1.set(false);
            let mut server = Box::new(codec::http2(stream, Rc::clone(&connection)));
            drive(&connection, &mut *server).await;
        }
    }
}

/// A connection's place among the open ones.
struct Registration {
    services: Rc<Services>,
    key: usize,
}

impl Registration {
    async fn new(services: &Rc<Services>) -> Self {
        // A task's waker stays the same for its life.
        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
        let key = services.open.tasks.borrow_mut().insert(waker);
        Self { services: Rc::clone(services), key }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let open = &self.services.open;
        open.tasks.borrow_mut().try_remove(self.key);
        open.emptied.notify_one();
    }
}

/// What hyper's two kinds of server have in common.
trait Server: Future<Output = hyper::Result<()>> + Unpin {
    fn begin_shutdown(&mut self);
}

impl Server for Http1Server {
    fn begin_shutdown(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

impl Server for Http2Server {
    fn begin_shutdown(&mut self) {
        Pin::new(self).graceful_shutdown();
    }
}

/// Why a connection's codec stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection ended by itself: the client left, or the last response was sent.
    Done,
    /// The headers of a request did not come in time.
    HeadersTimeout(&'static str),
    /// The connection has been idle for a moment, and goes on without a codec.
    Resting,
    /// The client speaks HTTP/2 where HTTP/1 is spoken. (What else is no HTTP/1 is answered by hyper.)
    Http2Preface,
}

/// Run the codec, end the connection when it is idle, old, or the worker drains.
async fn drive(connection: &Rc<Connection>, server: &mut impl Server) -> End {
    let mut timer = ConnectionTimer::that_rests();
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut *server).poll(cx) {
                Poll::Ready(Err(error)) if error.is_parse_version_h2() => {
                    return Poll::Ready(End::Http2Preface);
                }
                Poll::Ready(outcome) => {
                    // hyper answers these itself.
                    let broken = outcome.err().and_then(|error| BrokenRequest::of(&error));
                    if let Some(broken) = broken.filter(|_| connection.http1.get()) {
                        connection.note_broken_request(broken);
                    }
                    return Poll::Ready(End::Done);
                }
                Poll::Pending if connection.poll_stuck(cx).is_ready() => return Poll::Ready(End::Done),
                Poll::Pending => {}
            }
            let told = connection.told.get().is_some();
            let ending = match timer.poll_due(cx, connection) {
                Poll::Ready(Due::Headers(body)) => return Poll::Ready(End::HeadersTimeout(body)),
                Poll::Ready(Due::Rest) => return Poll::Ready(End::Resting),
                // It was told, and does not end by itself.
                Poll::Ready(_) if told => return Poll::Ready(End::Done),
                Poll::Ready(Due::Idle | Due::Drained) => true,
                Poll::Ready(Due::Age) => {
                    // A request may be on its way already: it is answered, and told that it was the last. HTTP/2 has
                    // a frame for that.
                    connection.ending.set(true);
                    if connection.http1.get() {
                        continue;
                    }
                    true
                }
                Poll::Pending => connection.services.open.draining.get() || connection.says_goodbye(),
            };
            let served_enough = connection
                .listener
                .manager
                .limits
                .requests_per_connection
                .is_some_and(|most| connection.served.get() >= most);
            if told {
                // A process that ends waits for requests, and for responses to be read, but not for what may become a
                // request. (Without a beginning of one, what hyper waits for is the end of a response to leave.)
                let begun = connection.bytes.read_any.load(Ordering::Relaxed);
                let unborn = connection.http1.get() && connection.open.get() == 0 && begun;
                let draining = connection.services.open.draining.get();
                return if unborn && draining { Poll::Ready(End::Done) } else { Poll::Pending };
            }
            if !(ending || served_enough) {
                return Poll::Pending;
            }
            if served_enough {
                connection.stats().downstream_cx_max_requests_reached.inc();
            } else if connection.services.open.draining.get() || connection.says_goodbye() {
                connection.stats().downstream_cx_drain_close.inc();
            }
            connection.told.set(Some(Instant::now()));
            server.begin_shutdown();
        }
    })
    .await
}

/// Wait for `future`, but no longer than the connection may idle or the worker serves.
async fn until_due<F: Future>(connection: &Connection, future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    let mut timer = ConnectionTimer::default();
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        if connection.services.open.draining.get() || timer.poll_due(cx, connection).is_ready() {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

/// Say why a connection ends, if a request was coming in, and let the client read its last response.
async fn close_http1(mut stream: DownstreamStream, connection: &Rc<Connection>, end: End) {
    let reply = match end {
        End::Done | End::Resting => None,
        End::HeadersTimeout(body) => {
            connection.note_broken_request(BrokenRequest::TooSlow);
            Some(("408 Request Timeout", body))
        }
        End::Http2Preface => {
            connection.note_broken_request(BrokenRequest::Malformed);
            Some(("400 Bad Request", "Bad Request"))
        }
    };
    if let Some((status, body)) = reply {
        let manager = &connection.listener.manager;
        let date = connection.services.date.now(SystemTime::now());
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\ncontent-type: text/plain\r\ndate: {}\r\n\
             server: {}\r\nconnection: close\r\n\r\n{body}",
            body.len(),
            date.to_str().unwrap_or_default(),
            manager.server_name.to_str().unwrap_or_default(),
        );
        let _ = stream.write_all(head.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
    // Closing a socket with unread data resets it, which may take the last response from the client.
    let discard = async {
        let mut scratch = vec![0; 16 * 1024];
        while matches!(stream.read(&mut scratch).await, Ok(read) if read > 0) {}
    };
    if connection.bytes.read_any.load(Ordering::Relaxed)
        || connection.open.get() > 0
        || connection.ending.get()
    {
        let patience = connection.listener.manager.limits.delayed_close;
        if tokio::time::timeout(patience, discard).await.is_err() {
            connection.count_delayed_close_timeout();
        }
    }
}
