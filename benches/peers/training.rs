//! Traffic for a profile-guided build: each kind of it for a moment, from a client of this process, so that nothing has
//! to be installed. Nothing is measured.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
    header::HOST,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinSet};

use crate::{
    peer::{Peer, Running, World},
    setup::{Setup, Tracing},
};

/// How long each kind of traffic goes on.
const EACH: Duration = Duration::from_secs(2);
/// Connections of HTTP/1.1.
const CONNECTIONS: usize = 32;
/// Connections of HTTP/2, with as many streams each at once.
const HTTP2: (usize, usize) = (2, 32);

/// A kind of traffic.
struct Lesson {
    setup: Setup,
    /// Bytes of each request's body.
    upload: usize,
}

fn lessons() -> Vec<Lesson> {
    let setup = Setup::default;
    let get = |setup| Lesson { setup, upload: 0 };
    vec![
        get(setup()),
        get(Setup { tracing: Tracing::Percent(100.0), ..setup() }),
        get(Setup { tracing: Tracing::Percent(1.0), ..setup() }),
        get(Setup { exact: true, ..setup() }),
        get(Setup { response: 64 << 10, ..setup() }),
        Lesson { setup: setup(), upload: 64 << 10 },
        get(Setup { http2: true, ..setup() }),
        get(Setup { http2: true, upstream_http2: true, tracing: Tracing::Percent(100.0), ..setup() }),
        Lesson {
            setup: Setup { http2: true, upstream_http2: true, response: 64 << 10, ..setup() },
            upload: 64 << 10,
        },
    ]
}

/// Has spanway serve each kind.
pub(crate) fn run(world: &World<'_>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    for Lesson { setup, upload } in lessons() {
        let running = Running::start(Peer::Spanway, world, &setup)?;
        let answered = runtime.block_on(traffic(running.port, &setup, upload))?;
        if answered == 0 {
            return Err(format!("not one request was answered: {setup:?}"));
        }
        eprintln!("peers: train: {answered} requests");
    }
    Ok(())
}

/// Requests on all connections until the time is over; how many were answered.
async fn traffic(port: u16, setup: &Setup, upload: usize) -> Result<u64, String> {
    let until = Instant::now() + EACH;
    let body = Bytes::from(vec![b'x'; upload]);
    let path = setup.path();
    let mut clients = JoinSet::new();
    let failed = |error: hyper::Error| format!("a request: {error}");
    let (connections, streams) = if setup.http2 { HTTP2 } else { (CONNECTIONS, 1) };
    for _ in 0..connections {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let stream = stream.map_err(|error| format!("connecting: {error}"))?;
        let _ = stream.set_nodelay(true);
        let stream = TokioIo::new(stream);
        let ask = Ask { path: path.clone(), body: body.clone(), http2: setup.http2 };
        if setup.http2 {
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), stream).await.map_err(failed)?;
            tokio::spawn(connection);
            for _ in 0..streams {
                let (ask, mut sender) = (ask.clone(), sender.clone());
                clients.spawn(async move {
                    let mut answered = 0;
                    while Instant::now() < until {
                        sender.ready().await?;
                        answered += read(sender.send_request(ask.request()).await?).await?;
                    }
                    Ok::<u64, hyper::Error>(answered)
                });
            }
        } else {
            let (mut sender, connection) = http1::handshake(stream).await.map_err(failed)?;
            tokio::spawn(connection);
            clients.spawn(async move {
                let mut answered = 0;
                while Instant::now() < until {
                    sender.ready().await?;
                    answered += read(sender.send_request(ask.request()).await?).await?;
                }
                Ok(answered)
            });
        }
    }
    let mut answered = 0;
    while let Some(client) = clients.join_next().await {
        answered += client.map_err(|error| error.to_string())?.map_err(failed)?;
    }
    Ok(answered)
}

/// What is asked for.
#[derive(Clone)]
struct Ask {
    path: String,
    body: Bytes,
    http2: bool,
}

impl Ask {
    fn request(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        if !self.body.is_empty() {
            *request.method_mut() = Method::POST;
        }
        let target = if self.http2 { format!("http://bench.test{}", self.path) } else { self.path.clone() };
        if let Ok(uri) = target.parse() {
            *request.uri_mut() = uri;
        }
        if !self.http2 {
            request.headers_mut().insert(HOST, hyper::header::HeaderValue::from_static("bench.test"));
        }
        request
    }
}

/// Read an answer to its end; 1 if it is a good one.
async fn read(answer: Response<Incoming>) -> Result<u64, hyper::Error> {
    let good = answer.status().is_success();
    answer.into_body().collect().await?;
    Ok(u64::from(good))
}
