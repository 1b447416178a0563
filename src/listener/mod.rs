//! Listeners: sockets that are bound before anything serves, then accepted from by each worker.

pub(crate) mod accept;
mod transport_socket;

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::snapshot::{Address, listener::Listener};

/// A listening socket of one worker.
#[derive(Debug)]
pub(crate) enum BoundSocket {
    /// On an IP address and port.
    Tcp(TcpListener),
    /// On a path.
    Unix(UnixListener),
}

impl BoundSocket {
    /// The address that it got, which may have been asked for with port 0.
    pub(crate) fn socket_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }
}

/// A listener that cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("listener \"{name}\" cannot listen on {address}: {cause}{hint}")]
pub(crate) struct BindError {
    name: Arc<str>,
    address: Address,
    cause: io::Error,
    hint: &'static str,
}

/// Bind `listener` once for each of `workers`.
pub(crate) fn bind(listener: &Listener, workers: usize) -> Result<Vec<BoundSocket>, BindError> {
    let bound = match &listener.address {
        Address::Socket(address) => bind_tcp(*address, listener.backlog, workers),
        Address::Pipe(path) => bind_unix(path, workers),
    };
    bound.map_err(|cause| BindError {
        name: Arc::clone(&listener.name),
        address: listener.address.clone(),
        hint: match cause.kind() {
            io::ErrorKind::AddrInUse => "; something else is there",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege",
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        },
        cause,
    })
}

fn bind_tcp(address: SocketAddr, backlog: u32, workers: usize) -> io::Result<Vec<BoundSocket>> {
    // Sockets that share a port by SO_REUSEPORT would also share it with another proxy of the same user, and
    // half of the connections would go there. So ask first whether the port is free.
    if address.port() != 0 {
        tcp_socket(address, false)?;
    }
    let mut bound = Vec::with_capacity(workers);
    let mut address = address;
    for _ in 0..workers {
        let socket = tcp_socket(address, true)?;
        // `listen` caps it at what the system allows.
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        // Port 0 means any; the other workers share what the first one got.
        address = listener.local_addr()?;
        bound.push(BoundSocket::Tcp(listener));
    }
    Ok(bound)
}

fn tcp_socket(address: SocketAddr, reuse_port: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn bind_unix(path: &Path, workers: usize) -> io::Result<Vec<BoundSocket>> {
    if path.exists() {
        // A socket that nobody answers on is left over from a process that is gone.
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        let socket = path.metadata()?.file_type().is_socket();
        if !socket || !UnixStream::connect(path).is_err_and(|error| refused(&error)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    (0..workers).map(|_| listener.try_clone().map(BoundSocket::Unix)).collect()
}
