//! Ports of a test's own.

use std::net::SocketAddr;

/// A port of 127.0.0.1 that the system gives to nobody else while this lives, but where the proxy can listen.
#[derive(Debug)]
pub(crate) struct FreePort {
    /// Bound, so that the port is not handed out; never listening, so that it takes no connection.
    _holder: socket2::Socket,
    pub(crate) address: SocketAddr,
}

impl FreePort {
    pub(crate) fn new() -> Self {
        let holder = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        holder.set_reuse_address(true).unwrap();
        holder.set_reuse_port(true).unwrap();
        holder.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = holder.local_addr().unwrap().as_socket().unwrap();
        Self { _holder: holder, address }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }
}
