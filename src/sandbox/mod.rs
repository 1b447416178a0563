//! `spanway sandbox`: every hop of one of Envoy's sandboxes as a process of its own, on loopback.
//!
//! No Docker, no root, no network: the proxies, the services and the collector are children of this
//! process and run the same binary. The proxies read the YAML files that the containers read, with
//! nothing changed; since six containers have six addresses and loopback is one, each proxy is told by
//! `--map-address` which loopback address stands for which address of its file.

mod addresses;
mod banner;
mod children;
mod configuration;
mod leash;
mod once;
mod output;
pub mod service;
mod topology;
mod trace;

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    process::{ExitCode, Stdio},
    time::Duration,
};

pub use leash::hold as hold_leash;
use thiserror::Error;
use tokio::{
    net::TcpStream,
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep, timeout},
};

use self::{
    addresses::{AddressError, Addresses},
    banner::Banner,
    children::{Children, Exit},
    configuration::{FolderError, Source},
    once::OnceError,
    output::{complain, say},
    topology::{KNOWN, Member, Role, Topology},
};
use crate::server::options::SandboxOptions;

/// How long a child may take until it listens. It takes milliseconds unless the machine is drowning.
const READY_DEADLINE: Duration = Duration::from_secs(20);

/// How often a child that does not listen yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(3);

/// Why a sandbox ends with exit code 1.
#[derive(Debug, Error)]
enum SandboxError {
    #[error("no sandbox is called {0:?}; known: {known}", known = KNOWN.iter().map(|topology| topology.name).collect::<Vec<_>>().join(", "))]
    Unknown(String),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("cannot run: {0}")]
    System(#[from] io::Error),
    #[error("{member} cannot be started: {cause}")]
    Start { member: &'static str, cause: io::Error },
    #[error("{member} does not listen on {address} after {READY_DEADLINE:?}")]
    NotReady { member: &'static str, address: SocketAddr },
    #[error("{0}")]
    Died(Exit),
    #[error(transparent)]
    Once(#[from] OnceError),
    #[error("interrupted before it was ready")]
    Interrupted,
}

/// Run a sandbox until Ctrl-C or SIGTERM, or with `--once` until its traces are judged.
///
/// 0 if it ended when told to, or the traces are right; else 1, with the reason on standard error.
pub fn run(options: &SandboxOptions) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(SandboxError::from).and_then(|runtime| runtime.block_on(play(options)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// The whole play: find the ports and the files, start everyone, show, end everyone.
async fn play(options: &SandboxOptions) -> Result<(), SandboxError> {
    let name = &options.name;
    let topology = Topology::named(name).ok_or_else(|| SandboxError::Unknown(name.clone()))?;
    let source = Source::of(topology, options.dir.as_deref())?;
    // A check must not depend on what else runs on the machine.
    let any_ports = options.once || options.free_ports;
    let addresses = if any_ports { Addresses::free(topology) } else { Addresses::usual(topology) }?;

    let started = Instant::now();
    let mut children = Children::new();
    let outcome = match start_all(&mut children, topology, &addresses, &source) {
        Err(error) => Err(error),
        Ok(()) => watch(&mut children, options.once, topology, &addresses, &source, started).await,
    };
    let exits = children.stop().await;
    if matches!(outcome, Err(SandboxError::Once(_) | SandboxError::NotReady { .. })) {
        // What the proxies said may tell why.
        for exit in exits.iter().filter(|exit| exit.wrote()) {
            complain(&format!("last lines of {}:\n{}", exit.name, exit.last_lines()));
        }
    }
    outcome
}

fn start_all(
    children: &mut Children,
    topology: &'static Topology,
    addresses: &Addresses,
    source: &Source,
) -> Result<(), SandboxError> {
    let program = std::env::current_exe()?;
    for member in topology.members {
        let arguments = command_line(member, addresses, source)?;
        let stdout = match member.role {
            // It announces where it listens, which the banner says for all.
            Role::Collector => Stdio::null(),
            Role::Proxy { .. } | Role::Service { .. } => Stdio::piped(),
        };
        let started = children.start(member.name, &program, arguments, stdout);
        started.map_err(|cause| SandboxError::Start { member: member.name, cause })?;
    }
    Ok(())
}

/// What comes after the program's name.
fn command_line(
    member: &Member,
    addresses: &Addresses,
    source: &Source,
) -> Result<Vec<OsString>, AddressError> {
    let places: Vec<OsString> = addresses.of(member).map(|seat| seat.address.to_string().into()).collect();
    let with_addresses = |command: &str, flags: &[&str]| {
        let pairs = flags.iter().zip(&places).flat_map(|(flag, place)| [(*flag).into(), place.clone()]);
        std::iter::once(command.into()).chain(pairs).collect()
    };
    let arguments = match &member.role {
        Role::Proxy { file, built_in } => {
            let mut arguments: Vec<OsString> = source.flags(file, built_in).into();
            // One worker is enough for a user's curl, and nobody is to wait long for Ctrl-C.
            let fixed = ["--concurrency", "1", "--log-level", "warning", "--drain-time-s", "1"];
            arguments.extend(fixed.map(OsString::from));
            for mapping in addresses.mappings(member)? {
                arguments.extend(["--map-address".into(), mapping.as_flag().into()]);
            }
            arguments
        }
        Role::Service { service_name } => {
            let mut arguments: Vec<OsString> = with_addresses("sandbox-service", &["--address"]);
            arguments.extend(["--service-name", service_name].map(OsString::from));
            arguments
        }
        Role::Collector => {
            with_addresses("collector", &["--grpc-address", "--http-address", "--pages-address"])
        }
    };
    Ok(arguments)
}

/// From the start of all to the end of the play; a child that dies or a signal ends it early.
async fn watch(
    children: &mut Children,
    once: bool,
    topology: &'static Topology,
    addresses: &Addresses,
    source: &Source,
    started: Instant,
) -> Result<(), SandboxError> {
    let mut signals = Signals::new()?;
    signals.unless_ended(children, all_listen(addresses)).await?;
    let banner = Banner { topology, addresses, source, ready_after: started.elapsed() };
    if once {
        say(&format!("{banner}\n\nThe ports are free ones; without --once they are the usual ones."));
        signals.unless_ended(children, async { Ok(once::judge(topology, addresses).await?) }).await?;
        say("\nAll hops, names, kinds, parents and request ids are as Envoy has them.");
        return Ok(());
    }
    say(&banner.with_next_steps()?);
    children.echo();
    match signals.unless_ended(children, std::future::pending()).await {
        Err(SandboxError::Interrupted) => Ok(()),
        outcome => outcome,
    }
}

/// The signals that end a sandbox. Held from the start to the end, so that none is missed in between.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Do `act`, unless a signal comes or a child dies before it is done.
    async fn unless_ended(
        &mut self,
        children: &mut Children,
        act: impl Future<Output = Result<(), SandboxError>>,
    ) -> Result<(), SandboxError> {
        tokio::select! {
            exit = children.first_exit() => Err(SandboxError::Died(exit)),
            _ = self.terminate.recv() => Err(SandboxError::Interrupted),
            _ = self.interrupt.recv() => Err(SandboxError::Interrupted),
            outcome = act => outcome,
        }
    }
}

/// Wait until every place accepts connections.
async fn all_listen(addresses: &Addresses) -> Result<(), SandboxError> {
    for seat in addresses.seats() {
        let listens = async {
            while TcpStream::connect(seat.address).await.is_err() {
                sleep(ASK_EVERY).await;
            }
        };
        let not_ready = |_| SandboxError::NotReady { member: seat.member.name, address: seat.address };
        timeout(READY_DEADLINE, listens).await.map_err(not_ready)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_gets_the_command_line_of_its_role() {
        let topology = Topology::named("opentelemetry").unwrap();
        let addresses = Addresses::free(topology).unwrap();
        let source = Source::Folder("sandboxes/opentelemetry".into());
        let lines: Vec<String> = topology
            .members
            .iter()
            .map(|member| command_line(member, &addresses, &source).unwrap())
            .map(|arguments| arguments.join(" ".as_ref()).into_string().unwrap())
            .collect();
        let ports: Vec<u16> = addresses.seats().iter().map(|seat| seat.address.port()).collect();
        assert!(
            lines[0]
                .starts_with("--config-path sandboxes/opentelemetry/envoy-front-proxy.yaml --concurrency 1")
        );
        assert!(lines[0].contains(&format!(" --map-address 0.0.0.0:10000=127.0.0.1:{}", ports[0])));
        assert_eq!(lines[3], format!("sandbox-service --address 127.0.0.1:{} --service-name 1", ports[4]));
        let [grpc, http, pages] = ports[6..] else { panic!("{ports:?}") };
        assert_eq!(
            lines[5],
            format!(
                "collector --grpc-address 127.0.0.1:{grpc} --http-address 127.0.0.1:{http} --pages-address 127.0.0.1:{pages}"
            )
        );
    }

    #[test]
    fn an_unknown_sandbox_is_told_which_are_known() {
        let message = SandboxError::Unknown("zipkin".to_owned()).to_string();
        assert_eq!(message, r#"no sandbox is called "zipkin"; known: opentelemetry"#);
    }
}
