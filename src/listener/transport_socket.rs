//! TLS of clients.

use std::{io, sync::Arc, time::Duration};

use tokio_rustls::TlsAcceptor;

use crate::{snapshot::tls::DownstreamTls, socket::Socket};

/// Shake hands with a client. One that fails costs its own connection and nothing else.
pub(crate) async fn handshake(socket: Socket, tls: &DownstreamTls, connection: u64) -> io::Result<Socket> {
    let acceptor = TlsAcceptor::from(Arc::clone(&tls.config));
    let accepted = within(tls.handshake_timeout, acceptor.accept(socket)).await;
    match accepted {
        Ok(stream) => Ok(Socket::Tls(Box::new(stream.into()))),
        Err(error) => {
            tracing::debug!("connection {connection}: TLS handshake failed: {error}");
            Err(error)
        }
    }
}

/// The outcome of `future`, unless it takes longer than `limit`.
async fn within<T>(limit: Option<Duration>, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match limit {
        None => future.await,
        Some(limit) => tokio::time::timeout(limit, future).await?,
    }
}
