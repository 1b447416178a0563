//! The same bytes through Envoy 1.40.0 and spanway, and everything that can be seen of it compared. README.md tells
//! how scenarios are written.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program for developers: it prints what it finds, and ends where it cannot go on"
)]

mod arguments;
mod bootstrap;
mod client;
mod collector;
mod compare;
mod differences;
mod envoy;
mod frames;
#[path = "../harness/free_port.rs"]
mod free_port;
mod h2;
mod hpack;
mod http1;
mod load;
mod logs;
mod message;
mod normalize;
mod observation;
mod proxy;
mod report;
mod run;
mod scenario;
mod selftest;
mod spans;
mod upstream;
mod upstream_h2;
mod wire;
mod world;
mod zipkin;

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use arguments::{Arguments, Mode};
use proxy::{Kind, Program};
use report::Report;
use scenario::{Scenario, Topic};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

/// What a proxy says to a refused bootstrap stands under this path, and is not compared.
const TOLD: &str = "told";

/// How many topics run at once, each in a pair of proxies.
const TOPICS_AT_ONCE: usize = 2;

fn main() -> ExitCode {
    if std::env::var_os("SPANWAY_PARITY").is_some_and(|value| value == "skip") {
        println!("parity: skipped, as SPANWAY_PARITY says");
        return ExitCode::SUCCESS;
    }
    selftest::run();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    match runtime.block_on(parity(&Arguments::read())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("parity: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all is as it should be.
async fn parity(arguments: &Arguments) -> Result<bool, String> {
    let begin = Instant::now();
    let topics = read_all(arguments)?;
    if arguments.self_test {
        println!("parity: the self-test passed, {} files are readable", topics.len());
        return Ok(true);
    }
    let chosen: Vec<(Arc<Topic>, Vec<Scenario>)> = topics
        .iter()
        .map(|topic| (Arc::clone(topic), arguments.choose(topic)))
        .filter(|(_, scenarios)| !scenarios.is_empty())
        .collect();
    if chosen.is_empty() {
        // As the filters of other suites are given to this one, too.
        println!("parity: no scenario of that name");
        return Ok(!topics.is_empty());
    }
    let envoy = Program { kind: Kind::Envoy, path: envoy::find().await? };
    let other = if arguments.against_itself { envoy.clone() } else { spanway() };
    for program in [&envoy, &other] {
        if !program.path.is_file() {
            return Err(format!("no {} at {}", program.kind.name(), program.path.display()));
        }
    }
    match arguments.mode {
        Mode::Compare => {}
        Mode::Observe => return report::observe(&chosen, &envoy).await,
        Mode::Keep => return report::keep(&chosen, &[envoy, other]).await,
    }
    let mut report = Report::default();
    let turns = Arc::new(Semaphore::new(TOPICS_AT_ONCE));
    let mut tasks = JoinSet::new();
    for (topic, scenarios) in chosen {
        let (envoy, other, turns) = (envoy.clone(), other.clone(), Arc::clone(&turns));
        let ignore_differs = arguments.against_itself;
        tasks.spawn(async move {
            let _turn = turns.acquire().await;
            report::compare_topic(&topic, &scenarios, &envoy, &other, ignore_differs).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        report.add(&done.map_err(|error| error.to_string())?);
    }
    if arguments.owns_the_page() {
        report.page(&differences::page(&topics), arguments.bless);
    }
    report.summary(begin.elapsed());
    Ok(report.is_good())
}

fn spanway() -> Program {
    let path =
        std::env::var_os("SPANWAY_BIN").map_or_else(|| env!("CARGO_BIN_EXE_spanway").into(), PathBuf::from);
    Program { kind: Kind::Spanway, path }
}

/// All files of the folder.
fn read_all(arguments: &Arguments) -> Result<Vec<Arc<Topic>>, String> {
    let folder = std::fs::read_dir(&arguments.folder)
        .map_err(|error| format!("{}: {error}", arguments.folder.display()))?;
    let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    paths.sort();
    let mut topics: Vec<Arc<Topic>> = Vec::new();
    for path in &paths {
        topics.push(Arc::new(load::load(path)?));
    }
    let mut names = std::collections::HashMap::new();
    for scenario in topics.iter().flat_map(|topic| &topic.scenarios) {
        if let Some(other) = names.insert(scenario.spec.name.clone(), &scenario.place) {
            return Err(format!("{}: {:?} is the name of {other}, too", scenario.place, scenario.spec.name));
        }
    }
    Ok(topics)
}
