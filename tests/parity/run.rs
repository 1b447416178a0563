//! Runs the scenarios of a topic through one proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    bootstrap::bootstrap,
    client::{self, Outcomes},
    free_port::FreePort,
    http1,
    message::Message,
    observation::{Line, observe},
    proxy::{Program, Proxy},
    scenario::{Scenario, Topic},
    wire::Wire,
    world::{World, alone, to_json},
};

/// How many scenarios run at once, and how many processes that only validate.
const AT_ONCE: usize = 32;
const VALIDATING: usize = 3;
/// Spans have come when nothing has come for so long.
const QUIET: Duration = Duration::from_millis(400);
const AT_LEAST: Duration = Duration::from_millis(800);
const AT_MOST: Duration = Duration::from_secs(8);
/// What a scenario may take at most.
const FOR_A_SCENARIO: Duration = Duration::from_secs(40);

/// What became of each scenario, by its index.
pub(crate) type Results = BTreeMap<usize, Result<Vec<Line>, String>>;

/// A proxy with all that is around it.
pub(crate) struct Running {
    pub(crate) proxy: Proxy,
    pub(crate) worlds: Vec<Arc<World>>,
    admin: FreePort,
}

/// Run these scenarios of a topic through one program.
pub(crate) async fn run(topic: &Topic, scenarios: &[Scenario], program: &Program) -> Results {
    let folder = tempfile::tempdir().unwrap();
    let mut results = Results::new();
    let (validations, live): (Vec<_>, Vec<_>) =
        scenarios.iter().cloned().partition(|scenario| scenario.spec.is_validation());
    results.extend(validate(topic, &validations, program, folder.path()).await);
    let mut batches = vec![live];
    while let Some(mut batch) = batches.pop() {
        let folder = tempfile::tempdir().unwrap();
        let Err(told) = run_batch(topic, &batch, program, folder.path(), &mut results).await else {
            continue;
        };
        // One of them breaks the proxy for all: it is found by halves.
        batch.retain(|scenario| !results.contains_key(&scenario.index));
        match batch.as_slice() {
            [] => {}
            [culprit] => drop(results.insert(culprit.index, Err(told))),
            _ => {
                let second = batch.split_off(batch.len() / 2);
                batches.extend([batch, second]);
            }
        }
    }
    results
}

/// Run scenarios in one process; an error if it does not live until the end.
async fn run_batch(
    topic: &Topic,
    scenarios: &[Scenario],
    program: &Program,
    folder: &Path,
    results: &mut Results,
) -> Result<(), String> {
    let Some(mut running) = start(topic, scenarios, program, folder, results).await? else { return Ok(()) };
    let outcomes = ask(&running.worlds).await;
    settle(&running).await;
    let (mut stats, mut exposition) = (String::new(), String::new());
    if running.worlds.iter().any(|world| !world.spec.stats.is_empty()) {
        stats = read_page(running.admin.address, "/stats").await;
    }
    if running.worlds.iter().any(|world| !world.spec.prometheus.is_empty()) {
        exposition = read_page(running.admin.address, "/stats/prometheus").await;
    }
    if !running.proxy.is_running() {
        return Err(format!("{} ended:\n{}", program.kind.name(), running.proxy.told()));
    }
    for (world, outcomes) in running.worlds.iter().zip(outcomes) {
        let mut counted = stats_of(world, &stats);
        counted.extend(samples_of(world, &exposition));
        let result = outcomes.map(|outcomes| observe(world, &outcomes, &counted));
        results.insert(world.index, result);
    }
    Ok(())
}

/// Build the worlds and start the proxy; scenarios that it refuses are results already. An error
/// if it does not start though it refuses none of them alone.
pub(crate) async fn start(
    topic: &Topic,
    scenarios: &[Scenario],
    program: &Program,
    folder: &Path,
    results: &mut Results,
) -> Result<Option<Running>, String> {
    let mut worlds = Vec::new();
    for scenario in scenarios {
        match World::new(scenario, folder).await {
            Ok(world) => worlds.push(Arc::new(world)),
            Err(error) => drop(results.insert(scenario.index, Err(error))),
        }
    }
    let admin = FreePort::new();
    while !worlds.is_empty() {
        let config = folder.join("bootstrap.json");
        let has_stats =
            worlds.iter().any(|world| !(world.spec.stats.is_empty() && world.spec.prometheus.is_empty()));
        let all: Vec<&World> = worlds.iter().map(|world| &**world).collect();
        let address = has_stats.then_some(admin.address);
        std::fs::write(&config, to_json(&bootstrap(&all, &topic.bootstrap, address))).unwrap();
        let addresses: Vec<SocketAddr> =
            worlds.iter().flat_map(|world| world.listeners.values().map(|port| port.address)).collect();
        let refusal = match program.start(&config, &topic.env, &addresses).await {
            Ok(proxy) => return Ok(Some(Running { proxy, worlds, admin })),
            Err(refusal) => refusal,
        };
        let refused = refused(topic, &worlds, program, folder).await;
        if refused.is_empty() {
            return Err(format!("{}: {refusal}", program.kind.name()));
        }
        worlds.retain(|world| !refused.contains_key(&world.index));
        results.extend(refused.into_iter().map(|(index, told)| (index, Err(told))));
    }
    Ok(None)
}

/// Which scenarios are refused when each is alone.
async fn refused(
    topic: &Topic,
    worlds: &[Arc<World>],
    program: &Program,
    folder: &Path,
) -> BTreeMap<usize, String> {
    let turns = Arc::new(Semaphore::new(VALIDATING));
    let mut tasks = JoinSet::new();
    for world in worlds {
        let config = folder.join(format!("alone-{}.json", world.index));
        std::fs::write(&config, alone(world, &topic.bootstrap)).unwrap();
        let (program, env, turns) = (program.clone(), topic.env.clone(), Arc::clone(&turns));
        let index = world.index;
        tasks.spawn(async move {
            let _turn = turns.acquire().await;
            (index, program.validate(&config, &env).await)
        });
    }
    let name = program.kind.name();
    let told = |(index, result): (usize, Result<(), String>)| {
        result.err().map(|told| (index, format!("{name} refuses the bootstrap of this scenario:\n{told}")))
    };
    tasks.join_all().await.into_iter().filter_map(told).collect()
}

/// Scenarios that are only validated.
async fn validate(topic: &Topic, scenarios: &[Scenario], program: &Program, folder: &Path) -> Results {
    let turns = Arc::new(Semaphore::new(VALIDATING));
    let mut tasks = JoinSet::new();
    let mut results = Results::new();
    for scenario in scenarios {
        let index = scenario.index;
        let written = async {
            let world = World::new(scenario, folder).await?;
            let (name, text) = match &scenario.spec.config {
                Some(text) => (format!("validate-{index}.yaml"), world.fill_text(text)?),
                None => (format!("validate-{index}.json"), alone(&world, &topic.bootstrap)),
            };
            let config = folder.join(name);
            std::fs::write(&config, text).map_err(|error| error.to_string())?;
            Ok(config)
        };
        match written.await {
            Ok(config) => {
                let (program, env, turns) = (program.clone(), topic.env.clone(), Arc::clone(&turns));
                tasks.spawn(async move {
                    let _turn = turns.acquire().await;
                    let result = program.validate(&config, &env).await;
                    (index, result)
                });
            }
            Err(error) => drop(results.insert(index, Err(error))),
        }
    }
    for (index, result) in tasks.join_all().await {
        let mut lines = vec![Line::new("validate", if result.is_ok() { "accepted" } else { "refused" })];
        if let Err(told) = result {
            // For whoever looks, not compared.
            lines.push(Line::new(crate::TOLD, told));
        }
        results.insert(index, Ok(lines));
    }
    results
}

/// Send all requests of all scenarios.
async fn ask(worlds: &[Arc<World>]) -> Vec<Result<Outcomes, String>> {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = Vec::new();
    for world in worlds {
        let (world, turns) = (Arc::clone(world), Arc::clone(&turns));
        tasks.push(tokio::spawn(async move {
            let _turn = turns.acquire().await;
            match timeout(FOR_A_SCENARIO, client::run(&world)).await {
                Ok(outcomes) => outcomes,
                Err(_) => Err("it takes too long".to_owned()),
            }
        }));
    }
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap_or_else(|error| Err(error.to_string())));
    }
    outcomes
}

/// Wait until no more spans come.
async fn settle(running: &Running) {
    let begin = Instant::now();
    loop {
        let last = |world: &Arc<World>| {
            let collector = world.hosts.get("collector").and_then(|host| host.received.last());
            collector.max(world.daemon.last())
        };
        let quiet = running.worlds.iter().filter_map(last).max().is_none_or(|last| last.elapsed() > QUIET);
        if (quiet && begin.elapsed() > AT_LEAST) || begin.elapsed() > AT_MOST {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// A page of the admin interface.
async fn read_page(admin: SocketAddr, path: &str) -> String {
    let page = async {
        let mut wire = Wire::new(TcpStream::connect(admin).await.ok()?);
        wire.writer.send(format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n").into_bytes());
        let mut page = Message::default();
        http1::read_response(&mut wire, &mut page, "GET").await;
        Some(String::from_utf8_lossy(&page.body).into_owned())
    };
    timeout(Duration::from_secs(5), page).await.ok().flatten().unwrap_or_default()
}

/// The counters that a scenario names, which have its names instead of the unique ones.
fn stats_of(world: &World, page: &str) -> Vec<(String, String)> {
    let own: BTreeSet<String> = world.names().into_iter().map(|(_, name)| name).collect();
    let value = |name: &String| {
        let segments = name.split('.').map(|segment| match own.contains(segment) {
            true => world.unique(segment),
            false => segment.to_owned(),
        });
        let unique = segments.collect::<Vec<_>>().join(".");
        let line = page.lines().find_map(|line| line.strip_prefix(&*unique)?.strip_prefix(": "));
        (name.clone(), line.unwrap_or("(none)").trim().to_owned())
    };
    world.spec.stats.iter().map(value).collect()
}

/// The samples of the metrics that a scenario names, as far as they are about what it has, under its own names.
fn samples_of(world: &World, page: &str) -> Vec<(String, String)> {
    let mut samples = Vec::new();
    for line in page.lines() {
        let Some((sample, value)) = line.rsplit_once(' ') else { continue };
        let Some((metric, _)) = sample.split_once('{') else { continue };
        if !world.spec.prometheus.iter().any(|named| named == metric) {
            continue;
        }
        let mut own = sample.to_owned();
        for (unique, name) in world.names() {
            own = own.replace(&format!("\"{unique}\""), &format!("\"{name}\""));
            own = own.replace(&format!("\"{unique}."), &format!("\"{name}."));
        }
        if own != sample || metric.starts_with("envoy_server") {
            samples.push((own, value.to_owned()));
        }
    }
    samples
}
