//! A collector that misbehaves as a test tells it to, and counts what it really took.

use std::{
    io,
    net::SocketAddr,
    pin::pin,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, Request, StatusCode};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{
        AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadHalf, copy, duplex,
    },
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    sync::{Notify, watch},
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep},
};
use tonic::Status;

use super::{
    FreePort,
    otlp_calls::{Answer, OtlpCall, plain, status, taken, url},
    within,
};

/// What a collector does with the calls that come.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// It takes all spans.
    Healthy,
    /// Nobody listens on its port.
    Refuses,
    /// Its connections are accepted and never read from.
    BlackHole,
    /// Its connections are reset as soon as something comes.
    Resets,
    /// It answers the first bytes of a connection with these.
    Garbage(&'static [u8]),
    /// It takes all spans, and says so byte by byte with this pause after each.
    Slow(Duration),
    /// It reads calls and does not answer.
    Hangs,
    /// It answers so, over either protocol.
    Http { status: u16, headers: Vec<(&'static str, String)>, body: String },
    /// It answers with this error of gRPC.
    Grpc(Status),
    /// It takes all spans of a call but the first so many, and says this.
    Partial { rejected: i64, message: String },
    /// It takes all spans, and has 5 MB to say about that.
    Talks,
    /// It takes all spans, and closes the connection after each call.
    Closes,
}

impl Behaviour {
    /// An answer of HTTP without a header or a body of its own.
    pub(crate) fn http(status: u16) -> Self {
        Self::Http { status, headers: Vec::new(), body: String::new() }
    }

    /// An answer of HTTP that says when to come back.
    pub(crate) fn retry_after(status: u16, value: impl Into<String>) -> Self {
        Self::Http { status, headers: vec![("retry-after", value.into())], body: String::new() }
    }

    /// It is a matter of connections, and not of the calls on them.
    fn is_of_connections(&self) -> bool {
        matches!(self, Self::Refuses | Self::BlackHole | Self::Resets | Self::Garbage(_) | Self::Slow(_))
    }
}

/// A call that came in whole.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) at: SystemTime,
    pub(crate) instant: Instant,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// As many bytes as the body had on its way.
    pub(crate) bytes: usize,
    pub(crate) compressed: bool,
    /// As many spans as were in it, taken or not.
    pub(crate) spans: usize,
}

/// A receiver of OTLP on one port of loopback: gRPC over HTTP/2, and protobuf over HTTP/1.1.
#[derive(Debug)]
pub(crate) struct FaultyCollector {
    port: FreePort,
    shared: Arc<Shared>,
    server: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    behaviour: Mutex<Behaviour>,
    calls: watch::Sender<Vec<Call>>,
    /// `http.url` of the spans that were taken.
    taken: Mutex<Vec<String>>,
}

impl FaultyCollector {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let shared = Shared {
            behaviour: Mutex::new(Behaviour::Refuses),
            calls: watch::Sender::default(),
            taken: Mutex::default(),
        };
        let mut collector = Self { port: FreePort::new(), shared: Arc::new(shared), server: None };
        collector.behave(behaviour).await;
        collector
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.port.address
    }

    /// Do so from now on. Connections are closed if the change is one of theirs, and else they stay.
    pub(crate) async fn behave(&mut self, behaviour: Behaviour) {
        let before = std::mem::replace(&mut *self.shared.behaviour.lock().unwrap(), behaviour.clone());
        if !before.is_of_connections() && !behaviour.is_of_connections() {
            return;
        }
        if let Some(server) = self.server.take() {
            server.abort();
            // When it is gone, so are its sockets.
            let _ = server.await;
        }
        if !matches!(behaviour, Behaviour::Refuses) {
            let listener = listen(self.port.address).unwrap();
            self.server = Some(tokio::spawn(serve(listener, Arc::clone(&self.shared))));
        }
    }

    /// The calls that came in whole, whatever they were answered.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.shared.calls.borrow().clone()
    }

    /// Wait for call number `count`, the first being 1.
    #[track_caller]
    pub(crate) fn called(&self, count: usize) -> impl Future<Output = ()> {
        let mut calls = self.shared.calls.subscribe();
        within(async move { drop(calls.wait_for(|calls| calls.len() >= count).await.unwrap()) })
    }

    /// `http.url` of the spans that it took, in their order.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.shared.taken.lock().unwrap().clone()
    }
}

impl Drop for FaultyCollector {
    fn drop(&mut self) {
        if let Some(server) = &self.server {
            server.abort();
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

/// Accept connections for ever; when this is dropped, they are.
async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        connections.spawn(connection(stream, Arc::clone(&shared)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>) {
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let mut first = [0];
    match behaviour {
        Behaviour::BlackHole => std::future::pending().await,
        Behaviour::Resets => {
            let _ = stream.read(&mut first).await;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        Behaviour::Garbage(bytes) => {
            let _ = stream.read(&mut first).await;
            let _ = stream.write_all(bytes).await;
            // The other end decides that this is enough.
            while stream.read(&mut [0; 4096]).await.is_ok_and(|read| read > 0) {}
        }
        Behaviour::Slow(pause) => {
            let (near, far) = duplex(1 << 16);
            let (mut requests, answers) = stream.into_split();
            let (mut from_server, mut to_server) = tokio::io::split(far);
            tokio::select! {
                _ = copy(&mut requests, &mut to_server) => {}
                _ = async { tokio::join!(http(TokioIo::new(near), shared), drip(&mut from_server, answers, pause)) } => {}
            }
        }
        _ => http(TokioIo::new(stream), shared).await,
    }
}

async fn drip(from: &mut ReadHalf<DuplexStream>, mut to: OwnedWriteHalf, pause: Duration) {
    while let Ok(byte) = from.read_u8().await
        && to.write_u8(byte).await.is_ok()
    {
        sleep(pause).await;
    }
}

/// Serve HTTP/1.1 or HTTP/2, whichever comes.
async fn http<S>(stream: TokioIo<S>, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let last = Arc::new(Notify::new());
    let service = {
        let last = Arc::clone(&last);
        service_fn(move |request| answer(request, Arc::clone(&shared), Arc::clone(&last)))
    };
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(stream, service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = last.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// Answer one call, after which the connection ends if `last` is notified.
async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
    last: Arc<Notify>,
) -> Result<Answer, io::Error> {
    let Some(call) = OtlpCall::read(request).await else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let behaviour = shared.behaviour.lock().unwrap().clone();
    let seen = Call {
        at: SystemTime::now(),
        instant: Instant::now(),
        path: call.path,
        headers: call.headers,
        bytes: call.bytes,
        compressed: call.compressed,
        spans: call.spans.len(),
    };
    shared.calls.send_modify(|calls| calls.push(seen));
    let take = |rejected: i64, message: &str| {
        let skipped = usize::try_from(rejected).unwrap_or_default();
        shared.taken.lock().unwrap().extend(call.spans.iter().skip(skipped).map(url));
        taken(call.grpc, rejected, message)
    };
    Ok(match behaviour {
        Behaviour::Hangs => {
            sleep(Duration::from_secs(30)).await;
            plain(StatusCode::SERVICE_UNAVAILABLE, "")
        }
        Behaviour::Http { status, headers, body } => {
            let mut answer = plain(StatusCode::from_u16(status).unwrap(), body);
            for (name, value) in headers {
                answer.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
            }
            answer
        }
        Behaviour::Grpc(error) => status(&error),
        Behaviour::Partial { rejected, message } => take(rejected, &message),
        Behaviour::Talks => take(0, &"x".repeat(5_000_000)),
        Behaviour::Closes => {
            last.notify_one();
            take(0, "")
        }
        // The others are done with at the connection.
        _ => take(0, ""),
    })
}
