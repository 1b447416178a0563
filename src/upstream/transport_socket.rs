//! TLS to hosts.

use std::{io, sync::Arc};

use http::Version;
use tokio_rustls::TlsConnector;

use crate::{snapshot::tls::UpstreamTls, socket::Socket};

/// Shake hands over a connection that will speak `version`. The host's certificate is verified.
pub(crate) async fn handshake(stream: Socket, tls: &UpstreamTls, version: Version) -> io::Result<Socket> {
    let config = if version == Version::HTTP_2 { &tls.http2 } else { &tls.http1 };
    let stream = TlsConnector::from(Arc::clone(config)).connect(tls.server_name.clone(), stream).await?;
    Ok(Socket::Tls(Box::new(stream.into())))
}
