//! Connections that become something else: WebSocket through `upgrade_configs`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, FakeUpstream, OK};

const ASK: &str = "GET /chat HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn websockets(upstream: &FakeUpstream) -> Bootstrap {
    Bootstrap::to(upstream.address()).manager("upgrade_configs: [{upgrade_type: websocket}]")
}

#[tokio::test]
async fn a_websocket_carries_bytes_both_ways_until_one_side_leaves() {
    let upstream = FakeUpstream::bind().await;
    let proxy = websockets(&upstream).start().await;
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let (mut host, request) = upstream.accept_request().await;
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert_eq!(request.header("connection").map(str::to_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(request.header("sec-websocket-version"), Some("13"));
    // What the host sends along with its answer is not lost.
    host.send(format!("{AGREE}hello")).await;
    let response = client.head().await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.header("upgrade"), Some("websocket"));
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(client.bytes(5).await, b"hello");
    for round in 0..3 {
        let bytes = [round; 1000];
        client.send(bytes).await;
        assert_eq!(host.bytes(1000).await, bytes);
        host.send(bytes).await;
        assert_eq!(client.bytes(1000).await, bytes);
    }
    client.finish().await;
    host.assert_closed().await;
}

#[tokio::test]
async fn a_host_that_leaves_ends_the_websocket() {
    let upstream = FakeUpstream::bind().await;
    let proxy = websockets(&upstream).start().await;
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(format!("{AGREE}bye")).await;
    drop(host);
    assert_eq!(client.head().await.status(), 101);
    assert_eq!(client.rest().await, b"bye");
}

#[tokio::test]
async fn a_host_may_decline() {
    let upstream = FakeUpstream::bind().await;
    let proxy = websockets(&upstream).start().await;
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 426 Upgrade Required\r\ncontent-length: 2\r\n\r\nno").await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text()), (426, "no"));
}

#[tokio::test]
async fn an_upgrade_that_is_not_configured_is_refused_403_and_closed() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response = client.ask(ASK).await;
    assert_eq!((response.status(), response.text()), (403, ""));
    assert_eq!(response.header("connection"), Some("close"));
    client.assert_closed().await;
    assert!(upstream.saw_nothing());
    let config = Bootstrap::to(upstream.address()).flags_as_body();
    let told = config.start().await.connect().await.ask(ASK).await;
    assert_eq!(told.text(), "403|-|upgrade_failed");
}

#[tokio::test]
async fn a_route_may_refuse_what_the_connection_manager_allows() {
    let upstream = FakeUpstream::bind().await;
    let proxy = websockets(&upstream)
        .routes(
            "[{match: {prefix: /}, route: {cluster: upstream, \
             upgrade_configs: [{upgrade_type: websocket, enabled: false}]}}]",
        )
        .start()
        .await;
    assert_eq!(proxy.connect().await.ask(ASK).await.status(), 403);
}

#[tokio::test]
async fn an_upgrade_to_h2c_is_ignored() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
                   http2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n";
    assert_eq!(proxy.connect().await.ask(request).await.status(), 200);
    let seen = upstream.request().await;
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(seen.header(name), None);
    }
}

#[tokio::test]
async fn a_websocket_does_not_end_with_the_routes_timeout() {
    let upstream = FakeUpstream::bind().await;
    let proxy = websockets(&upstream)
        .routes("[{match: {prefix: /}, route: {cluster: upstream, timeout: 0.05s}}]")
        .start()
        .await;
    let mut client = proxy.connect().await;
    client.send(ASK).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(AGREE).await;
    assert_eq!(client.head().await.status(), 101);
    // A request that does end with it passes by meanwhile, so the time is over.
    assert_eq!(proxy.connect().await.get("/").await.status(), 504);
    client.send("still here").await;
    assert_eq!(host.bytes(10).await, b"still here");
}
