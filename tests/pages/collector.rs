//! A collector as a process of its own.

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
    _child: Child,
    /// Open, so that the collector can go on writing.
    _output: BufReader<ChildStdout>,
}

impl TestCollector {
    /// Start one on ports that are free, and read from what it prints where it listens.
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spanway"));
        command.arg("collector");
        for flag in ["--grpc-address", "--http-address", "--pages-address", "--health-address"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (mut pages, mut otlp) = (String::new(), String::new());
        while pages.is_empty() || otlp.is_empty() {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).await.unwrap(), 0, "the collector did not start");
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["OTLP/HTTP", address, ..] => otlp = address.replace("/v1/traces", ""),
                ["traces", address, ..] => pages = address.trim_end_matches('/').to_owned(),
                _ => {}
            }
        }
        Self { pages, otlp, _child: child, _output: output }
    }
}
