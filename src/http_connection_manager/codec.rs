//! hyper's servers on a client's connection: which HTTP it speaks, with which limits.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{
    Request,
    body::Incoming,
    server::conn::{http1, http2},
    service::Service,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{Connection, active_stream};
use crate::{
    snapshot::listener::{CodecType, HttpConnectionManager, Listener},
    socket::Socket,
    upstream::LocalExecutor,
};

/// What an HTTP/2 connection opens with (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes that hyper buffers of a connection before there is back-pressure, unless the listener allows fewer.
const BUFFER_BYTES: usize = 64 * 1024;
/// How many headers hyper takes unless it is told, which is Envoy's default, too.
const HEADERS_COUNT: usize = 100;
/// What hyper needs at least.
const MIN_BUFFER_BYTES: usize = 8 * 1024;

/// Which HTTP a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// ALPN's name of HTTP/2 (RFC 9113, 3.1).
const ALPN_HTTP2: &[u8] = b"h2";

/// Find out which HTTP a connection speaks: what was agreed by ALPN, else what it opens with. What is read for that
/// is read again by the codec.
pub(crate) async fn detect(codec: CodecType, stream: &mut DownstreamStream) -> io::Result<Protocol> {
    match codec {
        CodecType::Http1 => return Ok(Protocol::Http1),
        CodecType::Http2 => return Ok(Protocol::Http2),
        CodecType::Auto => {}
    }
    if let Some(agreed) = stream.socket.alpn_protocol() {
        return Ok(if agreed == ALPN_HTTP2 { Protocol::Http2 } else { Protocol::Http1 });
    }
    let mut seen = [0; PREFACE.len()];
    let mut length = 0;
    while let Some(room) = seen.get_mut(length..) {
        let read = stream.socket.read(room).await?;
        stream.manager.stats.mine().downstream_cx_rx_bytes_total.add(read as u64);
        length += read;
        let so_far = seen.get(..length).unwrap_or_default();
        if read == 0 || !PREFACE.starts_with(so_far) || length == PREFACE.len() {
            break;
        }
    }
    stream.unread(seen.get(..length).unwrap_or_default());
    Ok(if length == PREFACE.len() && seen == *PREFACE { Protocol::Http2 } else { Protocol::Http1 })
}

/// Bytes that a connection of `listener` buffers; as in Envoy zero is no limit, and leaves ours.
fn buffer_bytes(listener: &Listener) -> usize {
    match listener.buffer_limit_bytes as usize {
        0 => BUFFER_BYTES,
        limit => limit.clamp(MIN_BUFFER_BYTES, BUFFER_BYTES),
    }
}

/// hyper's HTTP/1 server on a connection.
pub(crate) type Http1Server = http1::UpgradeableConnection<TokioIo<DownstreamStream>, StreamService>;
/// hyper's HTTP/2 server on a connection.
pub(crate) type Http2Server = http2::Connection<TokioIo<DownstreamStream>, StreamService, LocalExecutor>;

/// Serve HTTP/1.
pub(crate) fn http1(stream: DownstreamStream, connection: Rc<Connection>) -> Http1Server {
    let limits = &connection.listener.manager.limits;
    let buffer = buffer_bytes(&connection.listener);
    let mut builder = http1::Builder::new();
    if limits.headers_count != HEADERS_COUNT {
        // Only then: hyper parses into memory that it sets up for each request once it is told a number.
        builder.max_headers(limits.headers_count);
    }
    builder
        .max_header_size(limits.headers_bytes)
        // The headers must fit in whatever the buffer is.
        .max_buf_size(buffer.max(limits.headers_bytes + MIN_BUFFER_BYTES))
        // Timeouts are the connection manager's own, see `drive`.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), StreamService(connection))
        .with_upgrades()
}

/// Serve HTTP/2.
pub(crate) fn http2(stream: DownstreamStream, connection: Rc<Connection>) -> Http2Server {
    let manager: &HttpConnectionManager = &connection.listener.manager;
    http2::Builder::new(LocalExecutor)
        .timer(TokioTimer::new())
        .max_concurrent_streams(manager.http2.max_concurrent_streams)
        .initial_stream_window_size(manager.http2.initial_stream_window_bytes)
        .initial_connection_window_size(manager.http2.initial_connection_window_bytes)
        .max_header_list_size(u32::try_from(manager.limits.headers_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(buffer_bytes(&connection.listener))
        .serve_connection(TokioIo::new(stream), StreamService(connection))
}

/// What hyper calls for each request of a connection.
#[derive(Debug)]
pub(crate) struct StreamService(Rc<Connection>);

impl Service<Request<Incoming>> for StreamService {
    type Response = hyper::Response<super::response_body::ResponseBody>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>>>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // Boxed, so that an idle connection does not carry the room of a stream.
        Box::pin(active_stream::serve(Rc::clone(&self.0), request))
    }
}

/// A client's connection, as hyper reads and writes it.
#[derive(Debug)]
pub(crate) struct DownstreamStream {
    socket: Socket,
    /// Bytes that were read, and are to be read again by the codec.
    prefix: Vec<u8>,
    seen: Arc<BytesSeen>,
    manager: Arc<HttpConnectionManager>,
}

/// What the bytes of a connection tell it. Atomic only because hyper wants upgradable connections to be able to change
/// threads.
#[derive(Debug, Default)]
pub(crate) struct BytesSeen {
    /// Something was read since the last stream began or ended: a request has begun to come in.
    pub(crate) read_any: AtomicBool,
    /// All was written that the codec had buffered when the last stream ended.
    pub(crate) flushed: AtomicBool,
}

impl DownstreamStream {
    /// For a connection that is ready for HTTP, which is told by its bytes.
    pub(crate) fn new(socket: Socket, connection: &Connection) -> Self {
        let (seen, manager) = (Arc::clone(&connection.bytes), Arc::clone(&connection.listener.manager));
        Self { socket, prefix: Vec::new(), seen, manager }
    }

    /// Count what was written.
    fn written(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.manager.stats.mine().downstream_cx_tx_bytes_total.add(bytes as u64);
        }
        outcome
    }

    /// Have `bytes` read again, before all others.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.prefix.splice(..0, bytes.iter().copied());
        self.seen.read_any.store(true, Ordering::Relaxed);
    }

    /// Wait for the beginning of something to read. False at the end of the connection.
    pub(crate) fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut seen = [0; PREFACE.len()];
        let mut buf = ReadBuf::new(&mut seen);
        let outcome = std::task::ready!(Pin::new(&mut *self).poll_read(cx, &mut buf));
        self.unread(buf.filled());
        Poll::Ready(outcome.is_ok() && !buf.filled().is_empty())
    }
}

impl AsyncRead for DownstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.prefix.is_empty() {
            let length = this.prefix.len().min(buf.remaining());
            buf.put_slice(this.prefix.get(..length).unwrap_or_default());
            this.prefix.drain(..length);
            if this.prefix.is_empty() {
                this.prefix = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut this.socket).poll_read(cx, buf))?;
        let read = buf.filled().len() - before;
        this.manager.stats.mine().downstream_cx_rx_bytes_total.add(read as u64);
        if read > 0 && !this.seen.read_any.load(Ordering::Relaxed) {
            this.seen.read_any.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for DownstreamStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.socket).poll_write(cx, buf);
        this.written(outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.socket).poll_write_vectored(cx, bufs);
        this.written(outcome)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when it has written all that it had.
        let this = self.get_mut();
        std::task::ready!(Pin::new(&mut this.socket).poll_flush(cx))?;
        this.seen.flushed.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }
}
