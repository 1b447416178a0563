//! TLS on both sides. Certificates and keys were read and checked while lowering; what is left of them are the
//! configurations of rustls.

use std::{fmt, sync::Arc, time::Duration};

use rustls::{ClientConfig, ServerConfig, pki_types::ServerName};

use super::certificate::Certificates;

/// TLS of a listener's connections. `extensions.transport_sockets.tls.v3.DownstreamTlsContext`.
#[derive(Clone)]
pub(crate) struct DownstreamTls {
    /// Its certificate, what it asks of clients, and the protocols it offers.
    pub(crate) config: Arc<ServerConfig>,
    /// How long a handshake may take; `None` for as long as the connection may idle, which is the default.
    /// `FilterChain.transport_socket_connect_timeout`.
    pub(crate) handshake_timeout: Option<Duration>,
    /// What they say.
    pub(crate) certificates: Arc<Certificates>,
}

/// TLS of a cluster's connections. `extensions.transport_sockets.tls.v3.UpstreamTlsContext`.
pub(crate) struct UpstreamTls {
    /// What the host is called, in its certificate too. `sni`.
    pub(crate) server_name: ServerName<'static>,
    /// For connections that will speak HTTP/1. They differ in what they offer by ALPN unless `alpn_protocols` says it.
    pub(crate) http1: Arc<ClientConfig>,
    /// For connections that will speak HTTP/2.
    pub(crate) http2: Arc<ClientConfig>,
    /// What its certificates say.
    pub(crate) certificates: Certificates,
}

// Written by hand, so that no key can ever come into a message.
impl fmt::Debug for DownstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownstreamTls")
            .field("handshake_timeout", &self.handshake_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}
