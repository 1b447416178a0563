//! Opens connections to hosts.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use http::Version;
use socket2::SockRef;
use tokio::{
    net::{TcpStream, UnixStream},
    time::error::Elapsed,
};

use super::transport_socket;
use crate::{
    snapshot::{Address, cluster::Cluster},
    socket::Socket,
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// The host refused, or cannot be reached.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The host is not who it should be, or does not speak TLS.
    #[error("{0}")]
    Tls(io::Error),
    /// The host did not answer within the cluster's connect timeout.
    #[error("connection timeout")]
    Timeout(#[from] Elapsed),
}

/// Open a connection to `address` with the options of `cluster`, within its connect timeout. It will speak `version` of
/// HTTP. `connected` is called before a TLS handshake begins.
pub(crate) async fn connect_and_tell(
    address: &Address,
    cluster: &Cluster,
    version: Version,
    connected: impl FnOnce(),
) -> Result<Socket, ConnectError> {
    let is_connected = AtomicBool::new(false);
    let open = async {
        let stream = open(address, cluster).await?;
        is_connected.store(true, Ordering::Relaxed);
        connected();
        let Some(tls) = &cluster.tls else { return Ok(stream) };
        // Boxed, since a handshake takes much room and most connections are plain.
        let secured = Box::pin(transport_socket::handshake(stream, tls, version)).await;
        secured.map_err(|error| {
            tracing::debug!("cluster \"{}\": TLS handshake with {address} failed: {error}", cluster.name);
            ConnectError::Tls(error)
        })
    };
    match tokio::time::timeout(cluster.connect_timeout, open).await {
        Ok(outcome) => outcome,
        Err(_) if is_connected.load(Ordering::Relaxed) => {
            let silent = io::Error::new(io::ErrorKind::TimedOut, "no answer to the handshake");
            Err(ConnectError::Tls(silent))
        }
        Err(elapsed) => Err(elapsed.into()),
    }
}

async fn open(address: &Address, cluster: &Cluster) -> io::Result<Socket> {
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
            Ok(Socket::Tcp(stream))
        }
        Address::Pipe(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
    }
}
