//! How long it takes to start, and to check a large file.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    envoy,
    measure::Effort,
    peer::{GUIDED, Peer, Running, World},
    process,
    report::{Row, median},
    setup::Setup,
};

/// Starts are short: this many for each round.
const PER_ROUND: usize = 3;
/// Routes of the file that is checked.
const ROUTES: usize = 2000;
/// Clusters of the file that is checked.
const CLUSTERS: usize = 500;

/// Starts in turn, then checks, then sizes.
pub(crate) fn run(world: &World<'_>, effort: Effort) -> Vec<Row> {
    let mut times: Vec<(Peer, Vec<f64>)> = Peer::ALL
        .into_iter()
        .filter(|peer| peer.installed(world.tools))
        .map(|peer| (peer, Vec::new()))
        .collect();
    for _ in 0..effort.rounds * PER_ROUND {
        for (peer, times) in &mut times {
            match Running::start(*peer, world, &Setup::default()) {
                Ok(running) => times.push(running.start_up.as_secs_f64() * 1e3),
                Err(error) => eprintln!("peers: start-up: {error}"),
            }
        }
    }
    let mut rows: Vec<Row> = times
        .into_iter()
        .filter(|(_, times)| !times.is_empty())
        .map(|(peer, times)| {
            let mut row = Row::new("start-up", "100 routes", peer.name());
            row.set("start_ms", median(times.clone()));
            row.rounds = times;
            row
        })
        .collect();
    rows.extend(checks(world, effort));
    rows.extend(world.tools.sizes());
    rows
}

/// `spanway check` and `envoy --mode validate` of a large file.
fn checks(world: &World<'_>, effort: Effort) -> Vec<Row> {
    let file = world.folder.join("large.yaml");
    let variant = format!("check of {ROUTES} routes, {CLUSTERS} clusters");
    let written = fs::write(&file, envoy::large(ROUTES, CLUSTERS, world.around.dead));
    let check = |binary: Option<&PathBuf>| {
        let mut command = Command::new(binary?);
        command.arg("check").arg(&file);
        Some(command)
    };
    let commands: [(&str, Option<Command>); 3] = [
        (
            "envoy",
            world.tools.envoy.as_ref().map(|binary| {
                let mut command = Command::new(binary);
                command.args(["--mode", "validate", "-l", "error", "-c"]).arg(&file);
                command
            }),
        ),
        ("spanway", check(world.tools.spanway.as_ref())),
        (GUIDED, check(world.tools.guided.as_ref())),
    ];
    let mut rows = Vec::new();
    for (name, command) in commands {
        let (Some(mut command), Ok(())) = (command, &written) else { continue };
        let mut times = Vec::new();
        for _ in 0..effort.rounds {
            let started = Instant::now();
            match process::run(&mut command, &world.cores.of_proxy(1), Duration::from_secs(30)) {
                Ok(_) => times.push(started.elapsed().as_secs_f64() * 1e3),
                Err(error) => eprintln!("peers: start-up, {variant}: {error}"),
            }
        }
        if !times.is_empty() {
            let mut row = Row::new("start-up", &variant, name);
            row.set("check_ms", median(times.clone()));
            row.rounds = times;
            rows.push(row);
        }
    }
    rows
}
