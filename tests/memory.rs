//! What large bodies cost: their bytes pass through, they are not kept.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::time::Duration;

use harness::{Bootstrap, CannedUpstream, FakeUpstream, OK, Wire};

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

/// Connections that wait at a time.
const WAITING: u64 = 500;
/// What each may take, sockets and all that the debug build adds included.
const WAITING_KIB: u64 = 8;

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_holds_no_buffers() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
    // What the first of them allocates once belongs to none.
    assert_eq!(proxy.connect().await.ask(request).await.status(), 200);
    let mut clients = Vec::new();
    for _ in 0..WAITING {
        let mut client = proxy.connect().await;
        assert_eq!(client.ask(request).await.status(), 200);
        clients.push(client);
    }
    let busy = proxy.memory_kib("VmRSS");
    // It is given back some time after the connections have come to rest.
    let mut resting = busy;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        resting = proxy.memory_kib("VmRSS");
        if resting + WAITING * WAITING_KIB < busy {
            break;
        }
    }
    println!("{busy} KiB, then {resting} KiB");
    assert!(resting + WAITING * WAITING_KIB < busy, "{busy} KiB, then {resting} KiB");
    // All of them are as good as before.
    for mut client in clients {
        client.send("GET / HT").await;
        assert_eq!(client.ask("TP/1.1\r\nhost: h\r\n\r\n").await.status(), 200);
    }
}
