//! Hosts that do what a test tells them to.

use std::net::SocketAddr;

use tokio::{
    net::TcpListener,
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

use super::{Message, Wire, within};

/// A host that leaves everything to the test: each connection is a [`Wire`] to read from and write to.
#[derive(Debug)]
pub(crate) struct FakeUpstream {
    listener: TcpListener,
}

impl FakeUpstream {
    pub(crate) async fn bind() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The proxy's next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> impl Future<Output = Wire> {
        let next = within(self.listener.accept());
        async { Wire::new(next.await.unwrap().0) }
    }

    /// The proxy's next connection, and the request on it.
    pub(crate) async fn accept_request(&self) -> (Wire, Message) {
        let mut wire = self.accept().await;
        let request = wire.request().await;
        (wire, request)
    }
}

/// A host that answers every request with the same bytes and keeps what it was asked.
#[derive(Debug)]
pub(crate) struct CannedUpstream {
    address: SocketAddr,
    requests: UnboundedReceiver<Message>,
}

impl CannedUpstream {
    /// Answer with `response`. It leaves the connection open unless it says `connection: close`.
    pub(crate) async fn answering(response: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, requests) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(Wire::new(stream), response, sender.clone()));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next request that arrived.
    #[track_caller]
    pub(crate) fn request(&mut self) -> impl Future<Output = Message> {
        let next = within(self.requests.recv());
        async { next.await.unwrap() }
    }

    /// No request is here that was not asked for.
    pub(crate) fn saw_nothing(&mut self) -> bool {
        self.requests.try_recv().is_err()
    }
}

/// Serve one connection until the proxy closes it.
async fn answer(mut wire: Wire, response: &'static str, requests: UnboundedSender<Message>) {
    while wire.has_more().await {
        let request = wire.request().await;
        let head = request.start_line.starts_with("HEAD ");
        // A test that ended no longer asks what arrived.
        let _ = requests.send(request);
        let end = if head { response.find("\r\n\r\n").unwrap() + 4 } else { response.len() };
        if !wire.send_if_open(&response[..end]).await || response.contains("connection: close") {
            return;
        }
    }
}

/// An address that refuses connections, most likely still so when it is used.
pub(crate) fn refusing_address() -> SocketAddr {
    free_address()
}

/// An address where nobody listens, most likely still so when somebody wants to.
pub(crate) fn free_address() -> SocketAddr {
    // Below the ports that the system hands out, so that neither a connection of another test takes it, nor does an
    // attempt to connect to it meet itself there. Bound but never listening: a process that another test starts just
    // now has the socket, too, until it is that process, and a listener would take connections for so long.
    let bind = |port| {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&address.into()).ok().map(|()| address)
    };
    std::iter::repeat_with(|| fastrand::u16(15_000..32_000)).find_map(bind).unwrap()
}

/// An address where connections are neither refused nor established: its listener's queue is full. Holds as long
/// as what is returned with it.
pub(crate) async fn silent_address() -> (SocketAddr, impl Sized) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    // The system takes one or two more than it was asked to; a connection that it does not take stays in progress.
    for _ in 0..4 {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _in_progress = socket.connect(&address.into());
        queue.push(socket);
    }
    (address, (listener, queue))
}
