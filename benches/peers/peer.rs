//! A proxy under measurement.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::{
    accounting, client,
    cores::Cores,
    envoy, haproxy, nginx,
    process::Process,
    setup::{Setup, Tracing},
    tools::Tools,
    upstream::{Surroundings, free_port},
};

/// What the profile-guided build is called in the output.
pub(crate) const GUIDED: &str = "spanway PGO";
/// The longest that a start may take.
const START: Duration = Duration::from_secs(20);

/// Which proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Nginx,
    Haproxy,
    Envoy,
    Spanway,
    /// The profile-guided build of it.
    Guided,
}

impl Peer {
    /// All of them, in the order of the tables.
    pub(crate) const ALL: [Self; 5] = [Self::Nginx, Self::Haproxy, Self::Envoy, Self::Spanway, Self::Guided];

    /// What it is called in the output.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Spanway => "spanway",
            Self::Guided => GUIDED,
        }
    }

    /// Whether it can do what the setup asks; the first two send no OTLP, and nginx only lately HTTP/2 to a host.
    pub(crate) fn can(self, setup: &Setup) -> bool {
        match self {
            Self::Nginx => setup.tracing == Tracing::Off && !setup.upstream_http2,
            // It logs to a syslog only.
            Self::Haproxy => setup.tracing == Tracing::Off && !setup.json_log,
            Self::Envoy | Self::Spanway | Self::Guided => true,
        }
    }

    /// Whether it was found.
    pub(crate) fn installed(self, tools: &Tools) -> bool {
        match self {
            Self::Nginx => tools.nginx.is_some(),
            Self::Haproxy => tools.haproxy.is_some(),
            Self::Envoy => tools.envoy.is_some(),
            Self::Spanway => tools.spanway.is_some(),
            Self::Guided => tools.guided.is_some(),
        }
    }

    /// Its command, with the files that it needs written.
    fn command(self, world: &World<'_>, setup: &Setup, port: u16) -> Result<Command, String> {
        let file = world.folder.join(format!("{}-{port}.conf", self.name().replace(' ', "-")));
        // Envoy goes by the name of the file.
        let yaml = file.with_extension("yaml");
        let write = |path: &Path, text: String| fs::write(path, text).map_err(|error| error.to_string());
        let binary = match self {
            Self::Nginx => &world.tools.nginx,
            Self::Haproxy => &world.tools.haproxy,
            Self::Envoy => &world.tools.envoy,
            Self::Spanway => &world.tools.spanway,
            Self::Guided => &world.tools.guided,
        };
        let binary = binary.as_ref().ok_or_else(|| format!("no {}", self.name()))?;
        let mut command = Command::new(binary);
        let workers = setup.workers.to_string();
        match self {
            Self::Nginx => {
                write(&file, nginx::configuration(setup, world.around, port, world.folder))?;
                command.args(["-e", "stderr", "-p"]).arg(world.folder).arg("-c").arg(&file);
            }
            Self::Haproxy => {
                let map = file.with_extension("map");
                write(&map, haproxy::map(setup))?;
                write(&file, haproxy::configuration(setup, world.around, port, &map.to_string_lossy()))?;
                command.args(["-db", "-f"]).arg(&file);
            }
            Self::Envoy => {
                write(&yaml, envoy::configuration(setup, world.around, port, world.folder))?;
                command.arg("-c").arg(&yaml).args(["--concurrency", &workers, "-l", "error"]);
                command.args(["--disable-hot-restart"]);
            }
            Self::Spanway | Self::Guided => {
                write(&yaml, envoy::configuration(setup, world.around, port, world.folder))?;
                command.arg("-c").arg(&yaml).args(["--concurrency", &workers, "-l", "error"]);
            }
        }
        Ok(command)
    }
}

/// What every measurement needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct World<'run> {
    pub(crate) tools: &'run Tools,
    pub(crate) cores: &'run Cores,
    pub(crate) around: &'run Surroundings,
    pub(crate) folder: &'run Path,
}

/// A proxy that serves.
#[derive(Debug)]
pub(crate) struct Running {
    /// Where it listens.
    pub(crate) port: u16,
    /// From the start of the program to its first answer.
    pub(crate) start_up: Duration,
    process: Process,
    family: Vec<i32>,
}

impl Running {
    /// Starts a proxy and waits until it serves.
    pub(crate) fn start(peer: Peer, world: &World<'_>, setup: &Setup) -> Result<Self, String> {
        let port = free_port()?;
        let log = world.folder.join(format!("{}-{port}.log", peer.name().replace(' ', "-")));
        let mut command = peer.command(world, setup, port)?;
        command.stdout(Stdio::null());
        command.stderr(fs::File::create(&log).map_err(|error| error.to_string())?);
        let started = Instant::now();
        let mut process = Process::start(&mut command, &world.cores.of_proxy(setup.workers))?;
        let path = setup.path();
        // A listener for HTTP/2 alone is up when it accepts; h2load finds out whether it answers.
        let serves = || if setup.http2 { client::accepts(port) } else { client::get(port, &path).is_ok() };
        while !serves() {
            let ended = process.ended().is_some();
            if ended || started.elapsed() > START {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last = said.lines().last().unwrap_or_default();
                let what = if ended { "ended at once" } else { "does not answer" };
                return Err(format!("{} {what}: {last}", peer.name()));
            }
            thread::sleep(Duration::from_micros(200));
        }
        let start_up = started.elapsed();
        // nginx's workers are there, since one has accepted.
        let family = accounting::family(process.id());
        Ok(Self { port, start_up, process, family })
    }

    /// CPU time until now.
    pub(crate) fn cpu(&self) -> Duration {
        accounting::cpu(&self.family)
    }

    /// Memory now.
    pub(crate) fn memory(&self) -> accounting::Memory {
        accounting::memory(&self.family)
    }

    /// Whether it is still there.
    pub(crate) fn alive(&mut self) -> bool {
        self.process.ended().is_none()
    }
}
