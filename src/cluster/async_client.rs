//! spanway's own calls to clusters, such as exporting spans: from the main thread, never from a worker.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Uri, Version};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};

use super::ClusterState;
use crate::{snapshot::cluster::UpstreamProtocol, socket::Socket, upstream::connect::connect};

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
    let connector =
        tower::service_fn(move |_: Uri| open(Arc::clone(&cluster), turn.fetch_add(1, Ordering::Relaxed)));
    Ok(endpoint.connect_with_connector_lazy(connector))
}

async fn open(cluster: Arc<ClusterState>, turn: usize) -> io::Result<TokioIo<Socket>> {
    let set = cluster.hosts.load_full();
    let host = set
        .hosts
        .get(turn % set.hosts.len().max(1))
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "it has no host"))?;
    let stream = connect(&host.address, &cluster.config, Version::HTTP_2)
        .await
        .map_err(|error| io::Error::other(format!("{}: {error}", host.address_text)))?;
    Ok(TokioIo::new(stream))
}
