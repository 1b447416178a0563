//! Opens connections to hosts.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use http::Version;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::error::Elapsed,
};
use tokio_rustls::client::TlsStream;

use super::transport_socket;
use crate::snapshot::{Address, cluster::Cluster};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The host refused, cannot be reached, or is not who it should be.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The host did not answer within the cluster's connect timeout.
    #[error("connection timeout")]
    Timeout(#[from] Elapsed),
}

/// Open a connection to `address` with the options of `cluster`, within its connect timeout. It will speak
/// `version` of HTTP.
pub(crate) async fn connect(
    address: &Address,
    cluster: &Cluster,
    version: Version,
) -> Result<UpstreamStream, ConnectError> {
    let open = async {
        let stream = open(address, cluster).await?;
        let Some(tls) = &cluster.tls else { return Ok(stream) };
        // Boxed, since a handshake takes much room and most connections are plain.
        let secured = Box::pin(transport_socket::handshake(stream, tls, version)).await;
        secured.inspect_err(|error| {
            tracing::debug!("cluster \"{}\": TLS handshake with {address} failed: {error}", cluster.name);
        })
    };
    tokio::time::timeout(cluster.connect_timeout, open).await?.map_err(ConnectError::Io)
}

async fn open(address: &Address, cluster: &Cluster) -> io::Result<UpstreamStream> {
    match address {
        Address::Socket(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            if let Some(options) = &cluster.tcp_keepalive {
                let mut keepalive = socket2::TcpKeepalive::new();
                if let Some(time) = options.time {
                    keepalive = keepalive.with_time(time);
                }
                if let Some(interval) = options.interval {
                    keepalive = keepalive.with_interval(interval);
                }
                if let Some(probes) = options.probes {
                    keepalive = keepalive.with_retries(probes);
                }
                SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
            }
            Ok(UpstreamStream::Tcp(stream))
        }
        Address::Pipe(path) => Ok(UpstreamStream::Unix(UnixStream::connect(path).await?)),
    }
}

/// A connection to a host.
#[derive(Debug)]
pub(crate) enum UpstreamStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
    /// With TLS over one of those. Boxed, so that plain connections do not carry its room.
    Tls(Box<TlsStream<UpstreamStream>>),
}

impl AsyncRead for UpstreamStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpstreamStream {
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
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
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
