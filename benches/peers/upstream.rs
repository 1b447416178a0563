//! The host behind the proxies, and the collector of their spans: threads of this process on the cores of the load.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::{
    answers::{self, Answer},
    cores,
};

/// The largest body that a path can ask for.
const LARGEST: usize = 1 << 20;

/// The ports of what stands around the proxies.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// The host, HTTP/1.1.
    pub(crate) http1: u16,
    /// The host, HTTP/2 without TLS.
    pub(crate) http2: u16,
    /// OTLP over gRPC.
    pub(crate) collector: u16,
    /// Nothing listens there.
    pub(crate) dead: u16,
    spans: Arc<AtomicU64>,
}

impl Surroundings {
    /// Starts the host and the collector.
    pub(crate) fn start(load: &[usize]) -> Result<Self, String> {
        let spans = Arc::new(AtomicU64::new(0));
        Ok(Self {
            http1: listen(load, Role::Http1)?,
            http2: listen(load, Role::Http2)?,
            collector: listen(load, Role::Collector(Arc::clone(&spans)))?,
            dead: free_port()?,
            spans,
        })
    }

    /// The same with a collector of its own.
    pub(crate) fn with_collector(mut self, load: &[usize]) -> Result<Self, String> {
        self.spans = Arc::new(AtomicU64::new(0));
        self.collector = listen(load, Role::Collector(Arc::clone(&self.spans)))?;
        Ok(self)
    }

    /// The same with a collector that somebody else has started.
    pub(crate) fn with_collector_at(mut self, port: u16) -> Self {
        self.collector = port;
        self
    }

    /// How many spans have arrived.
    pub(crate) fn spans(&self) -> u64 {
        self.spans.load(Ordering::Relaxed)
    }
}

/// A port of loopback that was free a moment ago.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// What a listener is.
#[derive(Debug, Clone)]
enum Role {
    Http1,
    Http2,
    Collector(Arc<AtomicU64>),
}

/// Listens with a thread per core of the load.
fn listen(load: &[usize], role: Role) -> Result<u16, String> {
    let bind = || -> std::io::Result<(TcpListener, u16)> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        Ok((listener, port))
    };
    let (listener, port) = bind().map_err(|error| format!("listening: {error}"))?;
    for core in load {
        let (core, role) = (*core, role.clone());
        let listener = listener.try_clone().map_err(|error| format!("listening: {error}"))?;
        thread::spawn(move || {
            // A host that is not pinned takes the proxy's core; better none, which is seen at once.
            if cores::pin(&[core]).is_ok() {
                serve(listener, &role);
            }
        });
    }
    Ok(port)
}

/// Accepts for ever; the process's end is its end.
fn serve(listener: TcpListener, role: &Role) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async move {
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
        let largest = Bytes::from(vec![b'x'; LARGEST]);
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let (role, largest) = (role.clone(), largest.clone());
            tokio::spawn(async move {
                let stream = TokioIo::new(stream);
                match role {
                    Role::Http1 => {
                        let service = service_fn(|request| answer(request, largest.clone()));
                        let _ = http1::Builder::new()
                            .header_read_timeout(None)
                            .serve_connection(stream, service)
                            .await;
                    }
                    Role::Http2 => {
                        let service = service_fn(|request| answer(request, largest.clone()));
                        let _ = http2::Builder::new(TokioExecutor::new())
                            .max_concurrent_streams(1024)
                            .serve_connection(stream, service)
                            .await;
                    }
                    Role::Collector(spans) => {
                        let service = service_fn(|request| {
                            answers::answer(request, Answer::Thanks, Arc::clone(&spans))
                        });
                        let _ =
                            http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
                    }
                }
            });
        }
    });
}

/// Reads the request to its end and answers with as many bytes as the last segment of the path says.
async fn answer(mut request: Request<Incoming>, largest: Bytes) -> Result<Response<Full<Bytes>>, Infallible> {
    if !request.body().is_end_stream() {
        while let Some(Ok(_)) = request.body_mut().frame().await {}
    }
    let size = request.uri().path().rsplit('/').next().and_then(|text| text.parse().ok());
    Ok(Response::new(Full::new(largest.slice(..size.unwrap_or(12).min(LARGEST)))))
}
