//! A proxy as a process of its own.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

/// How long a proxy may take until it listens.
const TO_START: Duration = Duration::from_secs(30);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Envoy,
    Spanway,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::Spanway => "spanway",
        }
    }
}

/// A program to run.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) kind: Kind,
    pub(crate) path: PathBuf,
}

impl Program {
    fn command(&self, env: &BTreeMap<String, String>) -> Command {
        let mut command = Command::new(&self.path);
        command.env_clear().stdin(Stdio::null()).kill_on_drop(true);
        let kept = ["PATH", "HOME"].map(|name| (name, std::env::var_os(name)));
        command.envs(kept.into_iter().filter_map(|(name, value)| Some((name, value?)))).envs(env);
        command.args(["--concurrency", "1", "--file-flush-interval-msec", "50"]);
        if self.kind == Kind::Envoy {
            command.args(["--disable-hot-restart", "-l", "error"]);
        }
        command
    }

    /// Whether it accepts this file; if not, what it says.
    pub(crate) async fn validate(&self, config: &Path, env: &BTreeMap<String, String>) -> Result<(), String> {
        let mut command = self.command(env);
        command.args(["--mode", "validate", "-c"]).arg(config);
        let output = timeout(TO_START, command.output()).await.map_err(|_| "it takes too long".to_owned())?;
        let output = output.map_err(|error| error.to_string())?;
        if output.status.success() { Ok(()) } else { Err(told(&output.stderr)) }
    }

    /// Start it and wait until it listens on all these addresses.
    pub(crate) async fn start(
        &self,
        config: &Path,
        env: &BTreeMap<String, String>,
        addresses: &[SocketAddr],
    ) -> Result<Proxy, String> {
        let log_path = config.with_extension("log");
        let log = std::fs::File::create(&log_path).map_err(|error| error.to_string())?;
        let mut command = self.command(env);
        command.arg("-c").arg(config);
        command.stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{}: {error}", self.path.display()))?;
        let mut proxy = Proxy { child, log: log_path };
        let deadline = Instant::now() + TO_START;
        loop {
            if let Ok(Some(status)) = proxy.child.try_wait() {
                return Err(format!("ended with {status}: {}", proxy.told()));
            }
            if are_listening(addresses) {
                return Ok(proxy);
            }
            if Instant::now() > deadline {
                return Err(format!("does not listen on all ports: {}", proxy.told()));
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A running process; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    child: Child,
    log: PathBuf,
}

impl Proxy {
    /// What it wrote.
    pub(crate) fn told(&self) -> String {
        told(&std::fs::read(&self.log).unwrap_or_default())
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// The last lines, without colours.
fn told(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let colours = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    let text = colours.replace_all(&text, "");
    let lines: Vec<String> = text.lines().map(|line| line.chars().take(1200).collect()).collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

/// Asked of the system: a connection to find out would be one that the proxy counts.
fn are_listening(addresses: &[SocketAddr]) -> bool {
    const LISTENING: &str = "0A";
    let mut ports = std::collections::HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        for line in table.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [_, local, _, LISTENING, ..] = words.as_slice()
                && let Some((_, port)) = local.rsplit_once(':')
                && let Ok(port) = u16::from_str_radix(port, 16)
            {
                ports.insert(port);
            }
        }
    }
    addresses.iter().all(|address| ports.contains(&address.port()))
}
