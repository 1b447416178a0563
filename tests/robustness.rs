//! Bytes that nobody would send on purpose, from clients and from hosts: the proxy outlives them all.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use fastrand::Rng;
use harness::{Bootstrap, CannedUpstream, FakeUpstream, OK, TestProxy};

/// How many damaged messages are tried, each on a connection of its own.
const ROUNDS: u64 = 300;

/// `message` with some bytes changed, removed, repeated or cut off; the same for the same seed.
fn damaged(message: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut bytes = message.to_vec();
    for _ in 0..rng.usize(1..6) {
        let place = rng.usize(..bytes.len().max(1));
        match rng.u8(..5) {
            _ if bytes.is_empty() => bytes.push(rng.u8(..)),
            0 => bytes[place] = rng.u8(..),
            1 => drop(bytes.remove(place)),
            2 => bytes.insert(place, *rng.choice(b"\r\n\0: ;,\xff").unwrap()),
            3 => bytes.truncate(place.max(1)),
            _ => {
                let end = rng.usize(place..=bytes.len());
                let part = bytes[place..end].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
    bytes
}

async fn assert_serves(proxy: &mut TestProxy, path: &str) {
    assert!(proxy.is_running(), "{}", proxy.log());
    assert_eq!(proxy.connect().await.get(path).await.status(), 200);
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

#[tokio::test]
async fn damaged_requests_do_no_harm() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy = Bootstrap::to(upstream.address())
        .manager("{request_headers_timeout: 1s, stream_idle_timeout: 1s, normalize_path: true}")
        .start()
        .await;
    let request =
        b"POST /a/../b?c=d HTTP/1.1\r\nHost: h:80\r\nx-forwarded-for: 1.2.3.4\r\nconnection: close\r\n\
                    transfer-encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    for seed in 0..ROUNDS {
        let mut client = proxy.connect().await;
        if client.send_if_open(damaged(request, seed)).await {
            // An end of the request, in case that it still waits for one.
            client.finish().await;
        }
        let answer = client.rest().await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 "), "seed {seed}: {answer:?}");
    }
    assert_serves(&mut proxy, "/").await;
}

#[tokio::test]
async fn damaged_http2_connections_do_no_harm() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let mut proxy = Bootstrap::to(upstream.address()).start().await;
    // Settings, then a request: `:method GET`, `:scheme http`, `:path /`, `:authority h`.
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(b"\0\0\0\x04\0\0\0\0\0");
    bytes.extend(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01h");
    let mut intact = proxy.connect().await;
    intact.send(&bytes).await;
    assert_eq!(upstream.request().await.start_line, "GET / HTTP/1.1", "the undamaged request is a request");
    for seed in 0..ROUNDS {
        let mut client = proxy.connect().await;
        if client.send_if_open(damaged(&bytes, seed)).await {
            client.finish().await;
        }
        client.rest().await;
    }
    assert_serves(&mut proxy, "/").await;
}

#[tokio::test]
async fn damaged_responses_do_no_harm() {
    let upstream = FakeUpstream::bind().await;
    let healthy = CannedUpstream::answering(OK).await;
    let mut proxy = Bootstrap::to(upstream.address())
        .cluster("healthy", &[healthy.address()])
        .routes("[{match: {path: /healthy}, route: {cluster: healthy}}, {match: {prefix: /}, route: {cluster: upstream}}]")
        .start()
        .await;
    let response = b"HTTP/1.1 200 OK\r\nserver: x\r\nset-cookie: a=b\r\ntransfer-encoding: chunked\r\n\r\n\
                     3;x\r\nabc\r\n0\r\nx-t: 1\r\n\r\n";
    let mut unanswered = Vec::new();
    for seed in 0..ROUNDS {
        let mut client = proxy.connect().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        let (mut host, _) = upstream.accept_request().await;
        let damaged = damaged(response, seed);
        host.send_if_open(&damaged).await;
        drop(host);
        // Whatever a host says, its client is told something.
        if !client.rest().await.starts_with(b"HTTP/1.1 ") {
            unanswered.push(String::from_utf8_lossy(&damaged).into_owned());
        }
    }
    assert!(unanswered.is_empty(), "{unanswered:#?}");
    assert_serves(&mut proxy, "/healthy").await;
}
