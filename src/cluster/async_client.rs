//! spanway's own calls to clusters, such as exporting spans: from the main thread, never from a worker.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, Version, uri::Scheme};
use http_body_util::{BodyExt, Collected, Full, Limited};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use opentelemetry_http::{HttpClient, HttpError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::ClusterState;
use crate::{
    snapshot::cluster::{Cluster, Discovery, UpstreamProtocol},
    socket::Socket,
    upstream::connect::{ConnectError, connect_and_tell},
};

/// Bytes of an answer that are read; a collector has no more to say.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An HTTP/2 channel to whatever hosts the cluster has when it connects. It connects at the first call, and
/// again after the connection is lost.
pub(crate) fn grpc_channel(
    cluster: Arc<ClusterState>,
    authority: &str,
    observer: Observer,
) -> Result<Channel, tonic::transport::Error> {
    let mut endpoint = Endpoint::from_shared(format!("http://{authority}"))
        .or_else(|_| Endpoint::from_shared("http://cluster"))?
        .connect_timeout(cluster.config.connect_timeout)
        .http2_keep_alive_interval(Duration::from_secs(60));
    // TLS is made while connecting; what is left to tell is the scheme of requests.
    if cluster.config.tls.is_some()
        && let Ok(origin) = Uri::try_from(format!("https://{authority}"))
    {
        endpoint = endpoint.origin(origin);
    }
    if let UpstreamProtocol::Http2(options) = &cluster.config.protocol {
        endpoint = endpoint
            .initial_stream_window_size(options.initial_stream_window_bytes)
            .initial_connection_window_size(options.initial_connection_window_bytes);
    }
    Ok(endpoint.connect_with_connector_lazy(Connector::new(cluster, true, observer)))
}

/// An HTTP client of whatever hosts the cluster has. Connections are kept between calls.
#[derive(Clone)]
pub(crate) struct HttpChannel {
    client: Client<Connector, Full<Bytes>>,
    scheme: Scheme,
}

impl HttpChannel {
    /// A client that has not connected yet.
    pub(crate) fn new(cluster: Arc<ClusterState>, observer: Observer) -> Self {
        let http2 = matches!(cluster.config.protocol, UpstreamProtocol::Http2(_));
        let scheme = if cluster.config.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let connector = Connector::new(cluster, http2, observer);
        Self { client: Client::builder(TokioExecutor::new()).http2_only(http2).build(connector), scheme }
    }
}

impl fmt::Debug for HttpChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpChannel").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

#[tonic::async_trait]
impl HttpClient for HttpChannel {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (mut parts, body) = request.into_parts();
        let mut uri = parts.uri.into_parts();
        uri.scheme = Some(self.scheme.clone());
        parts.uri = Uri::from_parts(uri)?;
        let response = self.client.request(Request::from_parts(parts, Full::new(body))).await?;
        let (parts, body) = response.into_parts();
        // The status says how it went, whatever becomes of the rest.
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        Ok(Response::from_parts(parts, body.map(Collected::to_bytes).unwrap_or_default()))
    }
}

/// A step on the way to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectStep {
    /// A host was chosen, at this address.
    Host(Arc<str>),
    /// It has accepted.
    Connected,
    /// The TLS handshake is done, with this protocol by ALPN.
    Secured(Option<String>),
    /// The first bytes of what it says, at most nine: the head of a frame of HTTP/2.
    Said(Vec<u8>),
}

/// Who is told of each [`ConnectStep`].
pub(crate) type Observer = Option<Arc<dyn Fn(ConnectStep) + Send + Sync>>;

/// Why there is no connection to a cluster.
#[derive(Debug)]
pub(crate) enum ConnectFailure {
    /// The cluster has no host; its names that may have no address.
    NoHost(Vec<Arc<str>>),
    /// The host at that address cannot be connected to.
    Host(Arc<str>, ConnectError),
}

impl ConnectFailure {
    /// How far it came.
    fn progress(&self) -> u8 {
        match self {
            Self::NoHost(_) => 0,
            Self::Host(_, ConnectError::Io(_)) => 1,
            Self::Host(_, ConnectError::Timeout(_)) => 2,
            Self::Host(_, ConnectError::Tls(_)) => 3,
        }
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHost(names) if names.is_empty() => f.write_str("it has no host"),
            Self::NoHost(names) => {
                let names = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>();
                write!(f, "no address is known of {}", names.join(", "))
            }
            Self::Host(address, error) => write!(f, "{address}: {error}"),
        }
    }
}

impl std::error::Error for ConnectFailure {}

/// Connects to the hosts of a cluster in turn, and to the next one where one is down.
#[derive(Clone)]
struct Connector {
    cluster: Arc<ClusterState>,
    turn: Arc<AtomicUsize>,
    version: Version,
    observer: Observer,
}

impl Connector {
    fn new(cluster: Arc<ClusterState>, http2: bool, observer: Observer) -> Self {
        let version = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Self { cluster, turn: Arc::default(), version, observer }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Watched>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Watched>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Box::pin(open(Arc::clone(&self.cluster), turn, self.version, self.observer.clone()))
    }
}

/// A connection to a host of the cluster, for what is no HTTP.
pub(crate) async fn stream(cluster: Arc<ClusterState>) -> Result<Stream, ConnectFailure> {
    open(cluster, 0, Version::HTTP_11, None).await.map(TokioIo::into_inner)
}

/// A connection to a host of a cluster.
pub(crate) type Stream = Watched;

/// A connection whose first bytes are told.
pub(crate) struct Watched {
    socket: Socket,
    /// Until something was read.
    observer: Observer,
}

impl Connection for Watched {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        let said = buf.filled().get(before..).unwrap_or_default();
        if !said.is_empty()
            && let Some(observer) = self.observer.take()
        {
            observer(ConnectStep::Said(said.iter().take(9).copied().collect()));
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

async fn open(
    cluster: Arc<ClusterState>,
    turn: usize,
    version: Version,
    observer: Observer,
) -> Result<TokioIo<Watched>, ConnectFailure> {
    let tell = |step| {
        if let Some(observer) = &observer {
            observer(step);
        }
    };
    let set = cluster.hosts.load_full();
    let mut failure = ConnectFailure::NoHost(dns_names(&cluster.config));
    // Each host once: a name may stand for addresses of which only some are served.
    for host in set.hosts.iter().cycle().skip(turn % set.hosts.len().max(1)).take(set.hosts.len()) {
        tell(ConnectStep::Host(Arc::clone(&host.address_text)));
        let connected = || tell(ConnectStep::Connected);
        match connect_and_tell(&host.address, &cluster.config, version, connected).await {
            Ok(socket) => {
                if cluster.config.tls.is_some() {
                    let protocol =
                        socket.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
                    tell(ConnectStep::Secured(protocol));
                }
                return Ok(TokioIo::new(Watched { socket, observer }));
            }
            Err(error) => {
                let other = ConnectFailure::Host(Arc::clone(&host.address_text), error);
                // Told is the one that came furthest.
                if other.progress() > failure.progress() {
                    failure = other;
                }
            }
        }
    }
    Err(failure)
}

fn dns_names(cluster: &Cluster) -> Vec<Arc<str>> {
    match &cluster.discovery {
        Discovery::Static(_) => Vec::new(),
        Discovery::StrictDns(endpoints, _) => {
            endpoints.iter().map(|endpoint| Arc::clone(&endpoint.address.host)).collect()
        }
        Discovery::LogicalDns(endpoint, _) => vec![Arc::clone(&endpoint.address.host)],
    }
}
