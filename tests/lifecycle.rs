//! The life of the process: how it ends, and what it finishes before.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, FakeCollector, FakeUpstream, OK};
use nix::sys::signal::Signal;

#[tokio::test]
async fn sigterm_ends_an_idle_proxy_with_exit_code_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let upstream = CannedUpstream::answering(OK).await;
        let mut proxy = Bootstrap::to(upstream.address()).start().await;
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.status(), 200);
        proxy.signal(signal);
        assert_eq!(proxy.exit_code().await, Some(0));
        // A connection that waits for nothing does not hold it up.
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn sigterm_lets_an_open_request_finish() {
    let upstream = FakeUpstream::bind().await;
    let mut proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    proxy.signal(Signal::SIGTERM);
    proxy.stopped_accepting().await;
    assert!(proxy.is_running());
    host.send("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await;
    client.head().await;
    assert_eq!(client.bytes(4).await, b"half");
    host.send("done").await;
    assert_eq!(client.rest().await, b"done");
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_client_is_told_that_the_connection_ends() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    proxy.signal(Signal::SIGTERM);
    proxy.stopped_accepting().await;
    host.send(OK).await;
    assert_eq!(client.response().await.header("connection"), Some("close"));
    client.assert_closed().await;
}

#[tokio::test]
async fn a_second_signal_ends_what_is_open() {
    let upstream = FakeUpstream::bind().await;
    let mut proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (_host, _) = upstream.accept_request().await;
    proxy.signal(Signal::SIGTERM);
    proxy.stopped_accepting().await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    client.rest().await;
}

#[tokio::test]
async fn the_drain_time_ends_what_is_open() {
    let upstream = FakeUpstream::bind().await;
    let mut proxy = Bootstrap::to(upstream.address()).argument("--drain-time-s").argument("0").start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (_host, _) = upstream.accept_request().await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn spans_that_wait_are_sent_before_the_end() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let mut proxy = Bootstrap::to(upstream.address()).traced_to(collector.address(), "ending").start().await;
    assert_eq!(proxy.connect().await.get("/last").await.status(), 200);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    let export = collector.span().await;
    assert_eq!(export.service, "ending");
    assert_eq!(export.attribute("http.url"), Some("http://h/last"));
    assert!(collector.is_empty());
}

#[tokio::test]
async fn a_request_that_waits_for_a_connection_does_not_hold_up_the_end() {
    let upstream = FakeUpstream::bind().await;
    let mut proxy = Bootstrap::to(upstream.address())
        .cluster_options("circuit_breakers: {thresholds: [{max_connections: 1}]}")
        .argument("--drain-time-s")
        .argument("0")
        .start()
        .await;
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    first.send("GET /first HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (_host, _) = upstream.accept_request().await;
    // It is queued behind the first: a third request, answered at once, shows that it was read.
    second.send("GET /second HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut third = proxy.connect().await;
    third.send("GET /third HTTP/1.0\r\n\r\n").await;
    assert_eq!(third.response().await.status(), 426);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0), "{}", proxy.log());
    first.rest().await;
    second.rest().await;
}

#[tokio::test]
async fn sigterm_waits_for_a_tunnel() {
    let upstream = FakeUpstream::bind().await;
    let mut proxy = Bootstrap::to(upstream.address())
        .manager("upgrade_configs: [{upgrade_type: websocket}]")
        .start()
        .await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n").await;
    assert_eq!(client.head().await.status(), 101);
    proxy.signal(Signal::SIGTERM);
    proxy.stopped_accepting().await;
    client.send("still").await;
    assert_eq!(host.bytes(5).await, b"still");
    assert!(proxy.is_running());
    client.finish().await;
    host.assert_closed().await;
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_request_that_has_only_begun_does_not_hold_up_the_end() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.status(), 200);
    client.send("GET / HT").await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    client.rest().await;
}

#[tokio::test]
async fn a_log_that_was_moved_is_opened_again_and_a_hangup_is_ignored() {
    let upstream = CannedUpstream::answering(OK).await;
    let folder = tempfile::tempdir().unwrap();
    let (log, moved) = (folder.path().join("log"), folder.path().join("moved"));
    let mut proxy = Bootstrap::to(upstream.address())
        .argument("--log-path")
        .argument(log.to_str().unwrap())
        .start()
        .await;
    std::fs::rename(&log, &moved).unwrap();
    proxy.signal(Signal::SIGHUP);
    proxy.signal(Signal::SIGUSR1);
    // A file at the old place says that it was opened; until then the other signal would be faster.
    while !log.exists() {
        assert_eq!(proxy.connect().await.get("/").await.status(), 200);
    }
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert!(std::fs::read_to_string(&moved).unwrap().contains("serving with"));
    assert!(std::fs::read_to_string(&log).unwrap().contains("stopping"));
}
