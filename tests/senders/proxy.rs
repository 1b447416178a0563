//! One request through the real Envoy, which sends its spans to the collector.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use axum::{Router, routing::get};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Instant, timeout},
};

use crate::{free_port::FreePort, install};

/// How long it may take to start on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(30);

/// An Envoy that has forwarded a request. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Envoy {
    /// Where the host behind it was.
    pub(crate) shop: SocketAddr,
    _process: Child,
}

/// Start `envoy`, and send one request of the trace `id` through it.
pub(crate) async fn one_request_through(envoy: &Path, collector: &str, id: &str) -> Envoy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = listener.local_addr().unwrap();
    let router = Router::new().route("/buy", get(async || "tea\n"));
    let serving = tokio::spawn(async { axum::serve(listener, router).await });
    let edge = FreePort::new();
    let (_, collector_port) = collector.rsplit_once(':').unwrap();
    let config = std::fs::read_to_string(install::script("envoy.yaml"))
        .unwrap()
        .replace("EDGE_PORT", &edge.port().to_string())
        .replace("SHOP_PORT", &shop.port().to_string())
        .replace("COLLECTOR_PORT", collector_port);
    let mut command = Command::new(envoy);
    command.args(["--use-dynamic-base-id", "-l", "error", "--concurrency", "1", "--config-yaml", &config]);
    let mut process =
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true).spawn().unwrap_or_else(|error| {
            panic!("{}: {error}: set ENVOY_BIN, or SPANWAY_SENDERS=skip", envoy.display())
        });
    let stream = connect(&mut process, edge.address).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("/buy?tea=2")
        .header("host", "shop.example")
        .header("user-agent", "test")
        .header("x-request-id", "00000000-0000-4000-8000-000000000001")
        .header("traceparent", format!("00-{id}-d6791b9a5c287909-01"))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    let answer = timeout(DEADLINE, sender.send_request(request)).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "tea\n");
    serving.abort();
    Envoy { shop, _process: process }
}

/// Connect as soon as it listens.
async fn connect(process: &mut Child, address: SocketAddr) -> TcpStream {
    let started = Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        if let Some(status) = process.try_wait().unwrap() {
            panic!("Envoy has ended: {status}");
        }
        assert!(started.elapsed() < DEADLINE, "Envoy does not listen after {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
