//! One request of our own: a GET over HTTP/1.1.

use std::{io, path::Path, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, ToSocketAddrs, UnixStream},
    time::timeout,
};

/// How long an answer may take, body included. The proxies' own route timeout is 15 s, but on loopback
/// nothing takes that long.
const DEADLINE: Duration = Duration::from_secs(5);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its headers.
    pub(crate) headers: HeaderMap,
    /// Its body.
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// Nobody listens there.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// What came back was no HTTP, or ended early.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// The path is none.
    #[error("{0}")]
    Request(#[from] http::Error),
    /// Nothing came in time.
    #[error("no answer within {DEADLINE:?}")]
    Deadline,
}

/// GET `path` from `address` on a connection of its own, saying that it goes to `host`.
pub(crate) async fn get(address: impl ToSocketAddrs, host: &str, path: &str) -> Result<Answer, ClientError> {
    in_time(async { exchange(TcpStream::connect(address).await?, host, path).await }).await
}

/// The same over the unix socket at `socket`.
pub(crate) async fn get_unix(socket: &Path, path: &str) -> Result<Answer, ClientError> {
    in_time(async { exchange(UnixStream::connect(socket).await?, "localhost", path).await }).await
}

async fn in_time(answer: impl Future<Output = Result<Answer, ClientError>>) -> Result<Answer, ClientError> {
    timeout(DEADLINE, answer).await.unwrap_or(Err(ClientError::Deadline))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
) -> Result<Answer, ClientError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Its error, if any, is the request's too.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("spanway/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = response.into_body().collect().await?.to_bytes();
    Ok(Answer { status, headers, body })
}
