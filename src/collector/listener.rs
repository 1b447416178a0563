//! The collector's sockets: connections that say nothing, or too slowly, end; and there are only so many of them, so that
//! one port that is full leaves the others their share of open files.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};

/// How long clients may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// From the connection to the first byte.
    first_byte: Duration,
    /// To the end of an HTTP/1 request's head, from the end of the request before: who sends spans does so more often, and
    /// connects again where not.
    head: Duration,
}

/// What clients of a collector get.
pub(super) const PATIENCE: Patience =
    Patience { first_byte: Duration::from_secs(60), head: Duration::from_secs(120) };

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections of a port at most, whatever the system allows.
const MOST_CONNECTIONS: u64 = 10_000;
/// Files that are open besides connections.
const OTHER_FILES: u64 = 64;

/// How many connections each of `ports` ports may have.
pub(super) fn connections_of_each(ports: u64) -> usize {
    let open_files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    let each = open_files.saturating_sub(OTHER_FILES) / ports.max(1);
    usize::try_from(each.clamp(1, MOST_CONNECTIONS)).unwrap_or(1)
}

/// Serve `router` on `listener`, on `most` connections at a time, until the other end of `stopping` is gone and requests
/// that are under way are done.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    patience: Patience,
    mut stopping: watch::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(most));
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Nothing is ever sent.
            _ = stopping.changed() => break,
        };
        let Ok((stream, _)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            // Once in a row: whoever opens so many opens more.
            if !full && let Ok(address) = listener.local_addr() {
                tracing::warn!("{address}: {most} connections are open; more are closed at once (ulimit -n)");
            }
            full = true;
            continue;
        };
        full = false;
        let (router, watcher) = (router.clone(), graceful.watcher());
        tokio::spawn(async move {
            if let Some(stream) = begun(stream, patience).await {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http1().timer(TokioTimer::new()).header_read_timeout(patience.head);
                builder.http2().timer(TokioTimer::new());
                let service = TowerToHyperService::new(router);
                let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
                // However it ends, there is nobody left to tell.
                let _ = watcher.watch(connection).await;
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The connection once something was sent on it; none if nothing is.
async fn begun(stream: TcpStream, patience: Patience) -> Option<TcpStream> {
    // Only latency is lost if this fails.
    let _ = stream.set_nodelay(true);
    timeout(patience.first_byte, stream.peek(&mut [0])).await.ok()?.ok()?;
    Some(stream)
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn served(most: usize, patience: Patience) -> (std::net::SocketAddr, watch::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopping) = watch::channel(());
        let router = Router::new().route("/", get(async || "here"));
        tokio::spawn(serve(listener, router, most, patience, stopping));
        (address, stop)
    }

    async fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_its_place_is_free_again_later() {
        let (address, _stop) = served(1, PATIENCE).await;
        let mut first = TcpStream::connect(address).await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0]).await.unwrap(), 0);
        assert!(ask(&mut first).await.ends_with("here"));
        loop {
            let mut third = TcpStream::connect(address).await.unwrap();
            if third.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.is_ok() {
                let mut answer = String::new();
                if third.read_to_string(&mut answer).await.is_ok() && answer.ends_with("here") {
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn connections_that_say_nothing_or_not_enough_end() {
        let short = Duration::from_millis(20);
        let (address, _stop) = served(10, Patience { first_byte: short, head: short }).await;
        for begin in ["", "GET / HT"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(begin.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let ended = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
            assert!(ended.is_ok(), "{begin:?} is waited for");
        }
    }
}
