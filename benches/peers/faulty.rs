//! What a collector does with a connection, if it is a good one and if it is not.

use std::{
    convert::Infallible,
    future::pending,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

use crate::answers::{self, Answer};

/// From one byte of a slow answer to the next: an answer takes about half a second, which is in time.
const BETWEEN_BYTES: Duration = Duration::from_millis(2);
/// What is written where frames of HTTP/2 are expected: the first would be 4 GB long, and of a type that there is not.
const GARBAGE: [u8; 1024] = [0xff; 1024];
/// What fits between a slow answer and the wire.
const PIPE: usize = 64 << 10;

/// How a collector behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// It answers each call like this.
    Answers(Answer),
    /// Nobody listens.
    Refuses,
    /// It takes connections and neither reads nor answers.
    BlackHole,
    /// It resets each connection once something has come.
    Resets,
    /// It sends what is no HTTP.
    Garbage,
    /// It answers well, a byte at a time.
    Drips,
    /// It answers one call well, and closes.
    ClosesAfterEach,
}

impl Behaviour {
    /// A good collector.
    pub(crate) const HEALTHY: Self = Self::Answers(Answer::Thanks);

    /// One that answers with a gRPC status.
    pub(crate) const fn grpc(status: &'static str) -> Self {
        Self::Answers(Answer::Grpc(status))
    }

    /// One that answers with a status of HTTP.
    pub(crate) const fn http(status: StatusCode) -> Self {
        Self::Answers(Answer::Http(status))
    }
}

/// What a connection speaks, and where its spans are counted.
#[derive(Debug, Clone)]
pub(crate) struct Dialect {
    /// HTTP/1.1 instead of HTTP/2.
    pub(crate) http1: bool,
    /// Spans that were taken.
    pub(crate) spans: Arc<AtomicU64>,
}

/// Behaves towards one connection until it ends or this is dropped.
pub(crate) async fn behave(behaviour: Behaviour, dialect: Dialect, mut stream: TcpStream) {
    match behaviour {
        Behaviour::Answers(answer) => serve(&dialect, answer, stream).await,
        Behaviour::Refuses => {}
        Behaviour::BlackHole => pending().await,
        Behaviour::Resets => {
            let _ = stream.read(&mut [0; 1024]).await;
            // It is closed with a reset then.
            let _ = stream.set_zero_linger();
        }
        Behaviour::Garbage => {
            let _ = stream.write_all(&GARBAGE).await;
            // What still comes is read, so that the peer finds the garbage and no reset.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
        Behaviour::Drips => {
            let (near, far) = tokio::io::duplex(PIPE);
            let (mut from_peer, mut to_peer) = stream.into_split();
            let (mut answers, mut requests) = tokio::io::split(near);
            let slowly = async {
                while let Ok(byte) = answers.read_u8().await {
                    if to_peer.write_u8(byte).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(BETWEEN_BYTES).await;
                }
            };
            tokio::select! {
                () = slowly => {}
                _ = tokio::io::copy(&mut from_peer, &mut requests) => {}
                () = serve(&dialect, Answer::Thanks, far) => {}
            }
        }
        Behaviour::ClosesAfterEach => serve_one(dialect, stream).await,
    }
}

/// Answers all calls of a connection.
async fn serve(dialect: &Dialect, answer: Answer, io: impl AsyncRead + AsyncWrite + Unpin) {
    let service = service_fn(|request| answers::answer(request, answer, Arc::clone(&dialect.spans)));
    if dialect.http1 {
        let builder = http1::Builder::new();
        let _ = builder.serve_connection(TokioIo::new(io), service).await;
    } else {
        let builder = http2::Builder::new(TokioExecutor::new());
        let _ = builder.serve_connection(TokioIo::new(io), service).await;
    }
}

/// Answers the first call of an HTTP/2 connection and ends it in good order.
async fn serve_one(dialect: Dialect, stream: TcpStream) {
    let answered = Arc::new(Notify::new());
    let service = service_fn(|request: Request<Incoming>| {
        let (answered, spans) = (Arc::clone(&answered), Arc::clone(&dialect.spans));
        async move {
            let response = answers::answer(request, Answer::Thanks, spans).await;
            answered.notify_one();
            response as Result<Response<_>, Infallible>
        }
    });
    let builder = http2::Builder::new(TokioExecutor::new());
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = answered.notified() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
