//! The proxy as its own process.

use std::{
    ffi::OsStr,
    net::{SocketAddr, TcpStream as StdTcpStream},
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::{Duration, sleep},
};

use super::{Admin, FreePort, Wire, within};

/// The program under test.
pub(crate) fn spanway<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanway"));
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What a run to its end left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; none after a signal, as a panic with abort or a kill would leave.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Run the program to its end.
pub(crate) async fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Outcome {
    let output = within(spanway(arguments).output()).await.unwrap();
    Outcome {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A proxy that serves. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct TestProxy {
    child: Child,
    listeners: Vec<FreePort>,
    folder: TempDir,
}

impl TestProxy {
    /// Start the proxy on `yaml`, which listens on `listeners`, and wait until it accepts connections on all.
    pub(crate) async fn start(
        yaml: &str,
        listeners: Vec<FreePort>,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("envoy.yaml");
        std::fs::write(&config, yaml).unwrap();
        Self::start_file(&config, listeners, arguments, environment, folder).await
    }

    /// The same with a file that is there already.
    pub(crate) async fn start_file(
        config: &Path,
        listeners: Vec<FreePort>,
        arguments: &[&str],
        environment: &[(&str, &str)],
        folder: TempDir,
    ) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = spanway(["-c".as_ref(), config.as_os_str()])
            .args(["--concurrency", "1"])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, listeners, folder };
        within(proxy.accepting()).await;
        proxy
    }

    /// Wait until all listeners accept.
    async fn accepting(&mut self) {
        for index in 0..self.listeners.len() {
            while StdTcpStream::connect(self.listeners[index].address).is_err() {
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("the proxy ended with {status}:\n{}", self.log());
                }
                // Nothing tells when another process listens.
                sleep(Duration::from_millis(2)).await;
            }
        }
    }

    /// Where the first listener listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listeners[0].address
    }

    /// Where listener number `index` listens.
    pub(crate) fn address_of(&self, index: usize) -> SocketAddr {
        self.listeners[index].address
    }

    /// The admin interface, if the bootstrap asks for one, which is then the last to listen.
    pub(crate) fn admin(&self) -> Admin {
        Admin(self.listeners.last().unwrap().address)
    }

    /// A client's connection to the first listener.
    pub(crate) async fn connect(&self) -> Wire {
        Wire::connect(self.address()).await
    }

    /// What the proxy has written, on standard output and standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A folder that lives as long as the proxy.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Whether the process is still there.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Send it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The exit code that it ends with.
    pub(crate) async fn exit_code(&mut self) -> Option<i32> {
        within(self.child.wait()).await.unwrap().code()
    }

    /// Wait until it accepts no more connections.
    pub(crate) async fn stopped_accepting(&self) {
        let refused = async {
            while TcpStream::connect(self.address()).await.is_ok() {
                sleep(Duration::from_millis(2)).await;
            }
        };
        within(refused).await;
    }

    /// A line such as `VmRSS` of `/proc/PID/status`, in KiB.
    pub(crate) fn memory_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
        found.unwrap().trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().try_into().unwrap())
    }
}
