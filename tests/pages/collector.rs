//! A collector as a process of its own.

#![allow(dead_code, reason = "each suite that starts one uses a part")]

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStdout, Command},
};

/// A collector that has started. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct TestCollector {
    /// The address of the pages, without a slash at its end.
    pub(crate) pages: String,
    /// The address of OTLP/HTTP, likewise.
    pub(crate) otlp: String,
    /// The address of OTLP/gRPC, likewise.
    pub(crate) grpc: String,
    child: Child,
    /// Open, so that the collector can go on writing.
    _output: BufReader<ChildStdout>,
}

impl TestCollector {
    /// Start one on ports that are free, and read from what it prints where it listens.
    pub(crate) async fn start() -> Self {
        Self::start_as(Command::new(env!("CARGO_BIN_EXE_spanway"))).await
    }

    /// Start one by `command`, which is spanway without arguments.
    pub(crate) async fn start_as(mut command: Command) -> Self {
        command.arg("collector");
        for flag in ["--grpc-address", "--http-address", "--pages-address", "--health-address"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (mut pages, mut otlp, mut grpc) = (String::new(), String::new(), String::new());
        while [&pages, &otlp, &grpc].iter().any(|address| address.is_empty()) {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).await.unwrap(), 0, "the collector did not start");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["OTLP/gRPC", address, ..] => grpc = format!("http://{address}"),
                ["OTLP/HTTP", address, ..] => otlp = address.replace("/v1/traces", ""),
                ["traces", address, ..] => pages = address.trim_end_matches('/').to_owned(),
                _ => {}
            }
        }
        Self { pages, otlp, grpc, child, _output: output }
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }
}
