//! What large bodies cost: their bytes pass through, they are not kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, FakeUpstream, Wire};

/// As many bytes as pass in each direction.
const BODY_BYTES: usize = 256 << 20;
static BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];
/// What the whole process may have resident, the data structures of a debug build included.
const RESIDENT_KIB: u64 = 50 << 10;

async fn send_body(wire: &mut Wire) {
    for _ in 0..BODY_BYTES / BLOCK.len() {
        wire.send(&BLOCK).await;
    }
}

async fn receive_body(wire: &mut Wire) {
    for _ in 0..BODY_BYTES / BLOCK.len() {
        assert!(wire.bytes(BLOCK.len()).await == BLOCK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_up_and_down_stays_out_of_memory() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {BODY_BYTES}\r\n\r\n")).await;
    let mut host = upstream.accept().await;
    host.head().await;
    tokio::join!(send_body(&mut client), receive_body(&mut host));
    host.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY_BYTES}\r\n\r\n")).await;
    assert_eq!(client.head().await.status(), 200);
    tokio::join!(send_body(&mut host), receive_body(&mut client));
    let peak = proxy.memory_kib("VmHWM");
    assert!(peak < RESIDENT_KIB, "{peak} KiB");
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_the_host_and_fills_no_memory() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY_BYTES}\r\n\r\n")).await;
    let sent = host.send_until_held_up(&BLOCK).await;
    assert!(sent < BODY_BYTES, "all was taken");
    let peak = proxy.memory_kib("VmHWM");
    assert!(peak < RESIDENT_KIB, "{peak} KiB");
    assert_eq!(client.head().await.status(), 200);
    client.bytes(sent).await;
}
