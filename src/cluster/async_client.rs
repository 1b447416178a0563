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
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::ClusterState;
use crate::{snapshot::cluster::UpstreamProtocol, socket::Socket, upstream::connect::connect};

/// Bytes of an answer that are read; a collector has no more to say.
const LONGEST_ANSWER: usize = 64 * 1024;

/// An HTTP/2 channel to whatever hosts the cluster has when it connects. It connects at the first call, and
/// again after the connection is lost.
pub(crate) fn grpc_channel(
    cluster: Arc<ClusterState>,
    authority: &str,
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
    // In turn, so that a host that is down costs the connections that meet it and no more.
    let turn = AtomicUsize::new(0);
    let connector = tower::service_fn(move |_: Uri| {
        open(Arc::clone(&cluster), turn.fetch_add(1, Ordering::Relaxed), Version::HTTP_2)
    });
    Ok(endpoint.connect_with_connector_lazy(connector))
}

/// An HTTP client of whatever hosts the cluster has. Connections are kept between calls.
#[derive(Clone)]
pub(crate) struct HttpChannel {
    client: Client<Connector, Full<Bytes>>,
    scheme: Scheme,
}

impl HttpChannel {
    /// A client that has not connected yet.
    pub(crate) fn new(cluster: Arc<ClusterState>) -> Self {
        let http2 = matches!(cluster.config.protocol, UpstreamProtocol::Http2(_));
        let scheme = if cluster.config.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        let connector = Connector { cluster, turn: Arc::default(), http2 };
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

/// Connects to the hosts of a cluster in turn.
#[derive(Clone)]
struct Connector {
    cluster: Arc<ClusterState>,
    turn: Arc<AtomicUsize>,
    http2: bool,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Socket>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Socket>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let version = if self.http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        Box::pin(open(Arc::clone(&self.cluster), turn, version))
    }
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

async fn open(cluster: Arc<ClusterState>, turn: usize, version: Version) -> io::Result<TokioIo<Socket>> {
    let set = cluster.hosts.load_full();
    let host = set
        .hosts
        .get(turn % set.hosts.len().max(1))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no host"))?;
    let stream = connect(&host.address, &cluster.config, version)
        .await
        .map_err(|error| io::Error::other(format!("{}: {error}", host.address_text)))?;
    Ok(TokioIo::new(stream))
}
