//! The sandbox's processes, as a user and the system see them.

#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod harness;

use std::{
    net::{SocketAddr, TcpListener as Holder},
    process::Stdio,
    time::Duration,
};

use harness::free_address;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    process::{Child, Command},
    time::{sleep, timeout},
};

/// How long anything here may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(20);

fn spanway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanway"));
    command.args(arguments).kill_on_drop(true);
    command
}

async fn connected(address: SocketAddr) -> TcpStream {
    let connect = async {
        loop {
            match TcpStream::connect(address).await {
                Ok(stream) => return stream,
                Err(_) => sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(DEADLINE, connect).await.unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connected(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

fn service(address: SocketAddr) -> Command {
    spanway(&["sandbox-service", "--service-name", "1", "--address", &address.to_string()])
}

async fn exit_code(child: &mut Child) -> Option<i32> {
    timeout(DEADLINE, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn the_service_greets_on_its_own_path_only() {
    let address = free_address();
    let mut child = service(address).stdout(Stdio::piped()).spawn().unwrap();
    let greeting = get(address, "/trace/1").await;
    assert!(greeting.starts_with("HTTP/1.1 200 OK\r\n"), "{greeting}");
    assert!(greeting.contains("content-type: text/html; charset=utf-8\r\n"), "{greeting}");
    assert!(greeting.ends_with("\r\n\r\nHello from behind Envoy (service 1)!\n"), "{greeting}");
    assert!(get(address, "/trace/2").await.starts_with("HTTP/1.1 404 "));

    child.start_kill().unwrap();
    let log = String::from_utf8(child.wait_with_output().await.unwrap().stdout).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains(r#""GET /trace/1 HTTP/1.1" 200"#), "{log}");
    assert!(lines[1].contains(r#""GET /trace/2 HTTP/1.1" 404"#), "{log}");
}

#[tokio::test]
async fn a_child_ends_when_its_parent_is_gone() {
    let address = free_address();
    let mut child = service(address).env("SPANWAY_LEASH", "stdin").stdin(Stdio::piped()).spawn().unwrap();
    connected(address).await;
    // A parent that dies closes its end of the pipe.
    drop(child.stdin.take());
    assert_eq!(exit_code(&mut child).await, Some(1));
}

#[tokio::test]
async fn standard_input_does_not_matter_outside_a_sandbox() {
    let address = free_address();
    let mut child = service(address).stdin(Stdio::null()).spawn().unwrap();
    assert!(get(address, "/trace/1").await.starts_with("HTTP/1.1 200 "));
    assert!(child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_started() {
    // Whether it is held here or by something else on this machine makes no difference.
    let _holder = Holder::bind("127.0.0.1:10280");
    let output = timeout(DEADLINE, spanway(&["sandbox"]).output()).await.unwrap().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("127.0.0.1:10280 is wanted by service-2 (answers /trace/2)"), "{message}");
    assert!(output.stdout.is_empty());
}

#[tokio::test]
async fn an_unknown_sandbox_is_refused_with_the_known_ones() {
    let output = spanway(&["sandbox", "zipkin"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "spanway sandbox: no sandbox is called \"zipkin\"; known: opentelemetry\n"
    );
}

#[tokio::test]
async fn the_sandbox_finds_its_own_traces_right() {
    // From another folder, so that the files in the binary are used.
    let elsewhere = tempfile::tempdir().unwrap();
    let output = spanway(&["sandbox", "--once"]).current_dir(&elsewhere).output();
    let output = timeout(DEADLINE, output).await.unwrap().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("└─ routeToEnvoy1 "), "{told}");
    assert!(std::fs::read_dir(&elsewhere).unwrap().next().is_none(), "litter");
}

#[tokio::test]
async fn an_address_is_healthy_while_it_accepts() {
    let health = async |address: SocketAddr| {
        exit_code(&mut spanway(&["health", &address.to_string()]).spawn().unwrap()).await
    };
    let holder = Holder::bind("127.0.0.1:0").unwrap();
    assert_eq!(health(holder.local_addr().unwrap()).await, Some(0));
    // Bound, so that nobody else takes it, but not listening.
    let taken = TcpSocket::new_v4().unwrap();
    taken.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(health(taken.local_addr().unwrap()).await, Some(1));
}
