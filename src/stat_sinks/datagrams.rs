//! A socket for datagrams, over UDP or at a path.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::{UdpSocket, UnixDatagram};

use crate::snapshot::Address;

/// So many datagrams of a flush may fail before the rest of it is given up.
const FAILURES: usize = 3;

/// Sends datagrams to one address.
#[derive(Debug)]
pub(super) struct Datagrams {
    to: Address,
    /// Open since it was first needed, and anew after a failure.
    socket: Option<Socket>,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Datagrams {
    /// To that address.
    pub(super) fn new(to: Address) -> Self {
        Self { to, socket: None }
    }

    /// Where they go, in words.
    pub(super) fn destination(&self) -> String {
        self.to.to_string()
    }

    /// Send them all. On this machine the system tells of a port where nobody listens, though only with the next datagram;
    /// elsewhere what nobody takes is lost unseen.
    pub(super) async fn send(&mut self, datagrams: &[String]) -> Result<(), String> {
        let socket = match self.socket.take() {
            Some(open) => open,
            None => open(&self.to).await.map_err(|error| format!("cannot be reached: {error}"))?,
        };
        let mut failures = Vec::new();
        for datagram in datagrams {
            if let Err(error) = socket.send(datagram.as_bytes()).await {
                failures.push(error);
                // It may be about the one before.
                if let Err(error) = socket.send(datagram.as_bytes()).await {
                    failures.push(error);
                }
                if failures.len() >= FAILURES {
                    break;
                }
            }
        }
        match failures.into_iter().next() {
            None => {
                self.socket = Some(socket);
                Ok(())
            }
            Some(error) => Err(format!("does not take datagrams: {error}")),
        }
    }
}

impl Socket {
    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Udp(socket) => socket.send(bytes).await,
            Self::Unix(socket) => socket.send(bytes).await,
        }
    }
}

async fn open(to: &Address) -> io::Result<Socket> {
    match to {
        Address::Socket(address) => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any).await?;
            // So that the system tells of a port on this machine where nobody listens.
            socket.connect(address).await?;
            Ok(Socket::Udp(socket))
        }
        Address::Pipe(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Ok(Socket::Unix(socket))
        }
    }
}
