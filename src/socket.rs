//! Connections as bytes: plain, over a unix socket, or with TLS.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use rustls::{CipherSuite, ProtocolVersion};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsStream;

/// A connection of either side: accepted from a client, or opened to a host.
#[derive(Debug)]
pub(crate) enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
    /// With TLS over one of those. Boxed, so that plain connections do not carry its room.
    Tls(Box<TlsStream<Socket>>),
}

impl Socket {
    /// What its TLS agreed on, if it has any.
    pub(crate) fn negotiated(&self) -> Option<(ProtocolVersion, CipherSuite)> {
        let Self::Tls(stream) = self else { return None };
        let (_, session) = stream.get_ref();
        Some((session.protocol_version()?, session.negotiated_cipher_suite()?.suite()))
    }

    /// The name that a client asks for by SNI, if it does.
    pub(crate) fn requested_server_name(&self) -> Option<&str> {
        match self {
            Self::Tls(stream) => match &**stream {
                TlsStream::Server(stream) => stream.get_ref().1.server_name(),
                TlsStream::Client(_) => None,
            },
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    /// Whether the other side has shown a certificate.
    pub(crate) fn has_peer_certificate(&self) -> bool {
        let Self::Tls(stream) = self else { return false };
        stream.get_ref().1.peer_certificates().is_some_and(|chain| !chain.is_empty())
    }

    /// The address of its own end; `None` for a unix socket.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.local_addr().ok(),
            Self::Unix(_) => None,
            Self::Tls(stream) => stream.get_ref().0.local_address(),
        }
    }

    /// The protocol that was agreed by ALPN, if any.
    pub(crate) fn alpn_protocol(&self) -> Option<&[u8]> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }
}

/// A message with a small body is copied into one piece, since a plain send is cheaper than one of many pieces.
const GATHERED_BYTES: usize = 1024;

/// All of `bufs` in one; `None` if there is no room.
fn gather(bufs: &[io::IoSlice<'_>], into: &mut [u8; GATHERED_BYTES]) -> Option<usize> {
    let mut length = 0;
    for buf in bufs {
        into.get_mut(length..length + buf.len())?.copy_from_slice(buf);
        length += buf.len();
    }
    Some(length)
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = [0; GATHERED_BYTES];
        if bufs.len() > 1
            && let Some(length) = gather(bufs, &mut gathered)
        {
            return self.poll_write(cx, gathered.get(..length).unwrap_or_default());
        }
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // Sockets do not buffer in the process.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
