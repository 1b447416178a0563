//! The collector, as a process.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// A collector that is killed when this is dropped.
pub(crate) struct Collector {
    /// Where it takes OTLP over gRPC.
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Start one on ports that are free.
pub(crate) fn start() -> Collector {
    let any = "127.0.0.1:0";
    let mut process = Command::new(env!("CARGO_BIN_EXE_spanway"))
        .args(["collector", "--grpc-address", any, "--http-address", any, "--pages-address", any])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the collector starts");
    let output = process.stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let line = lines.find(|line| line.contains("gRPC")).expect("it says where it listens");
    let address = line.split_whitespace().find_map(|word| word.parse().ok()).expect("an address");
    // What else it says is not to stop it.
    std::thread::spawn(move || lines.for_each(drop));
    Collector { address, process }
}
