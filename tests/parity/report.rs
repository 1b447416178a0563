//! Tells what came out.

use std::{fmt::Write as _, path::Path, sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::Instant};

use crate::{
    TOLD, client,
    compare::{Verdict, compare},
    observation::{Line, observe as observe_world},
    proxy::Program,
    run::{self, Results},
    scenario::{Scenario, Topic},
};

/// The counts of all topics so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    scenarios: usize,
    on_purpose: usize,
    failed: usize,
    stale_page: bool,
}

/// What came out of one topic.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    text: String,
    scenarios: usize,
    on_purpose: usize,
    failed: usize,
}

/// Run a topic through both and compare.
pub(crate) async fn compare_topic(
    topic: &Arc<Topic>,
    scenarios: &[Scenario],
    envoy: &Program,
    other: &Program,
    ignore_differs: bool,
) -> Outcome {
    let begin = Instant::now();
    let (one, two) = tokio::join!(apart(topic, scenarios, envoy), apart(topic, scenarios, other));
    let (mut one, mut two) = (one.unwrap(), two.unwrap());
    let mut outcome = Outcome { scenarios: scenarios.len(), ..Outcome::default() };
    let mut failures = String::new();
    for scenario in scenarios {
        let differs = if ignore_differs { &[] } else { scenario.spec.differs.as_slice() };
        let one = take(&mut one, scenario);
        let two = take(&mut two, scenario);
        let verdict = match (&one, &two) {
            (Ok(one), Ok(two)) => match compare(&compared(one), &compared(two), differs) {
                Verdict::Failed(text) => Verdict::Failed(text + &told("-", one) + &told("+", two)),
                other => other,
            },
            (Err(one), Err(two)) if one != two => Verdict::Failed(format!("{one}\n{two}\n")),
            (Err(error), _) | (_, Err(error)) => Verdict::Failed(format!("{error}\n")),
        };
        match verdict {
            Verdict::Equal => {}
            Verdict::OnPurpose => outcome.on_purpose += 1,
            Verdict::Failed(text) => {
                outcome.failed += 1;
                let _ = write!(failures, "\n{} {}\n{text}", scenario.place, scenario.spec.name);
            }
        }
    }
    let equal = outcome.scenarios - outcome.failed;
    let seconds = begin.elapsed().as_secs_f32();
    outcome.text =
        format!("{}: {} scenarios, {equal} equal, {seconds:.1} s{failures}", topic.file, outcome.scenarios);
    outcome
}

/// Run one side on a thread of its own, so that no deadline passes because of what another one calculates.
fn apart(topic: &Arc<Topic>, scenarios: &[Scenario], program: &Program) -> JoinHandle<Results> {
    let (topic, scenarios, program) = (Arc::clone(topic), scenarios.to_vec(), program.clone());
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run::run(&topic, &scenarios, &program))
    })
}

fn take(results: &mut Results, scenario: &Scenario) -> Result<Vec<Line>, String> {
    results.remove(&scenario.index).unwrap_or_else(|| Err("it did not run".to_owned()))
}

fn compared(lines: &[Line]) -> Vec<Line> {
    lines.iter().filter(|line| line.path != TOLD).cloned().collect()
}

fn told(sign: &str, lines: &[Line]) -> String {
    let told = lines.iter().filter(|line| line.path == TOLD);
    told.map(|line| format!("  {sign} {}\n", line.value)).collect()
}

impl Report {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        println!("{}", outcome.text);
        self.scenarios += outcome.scenarios;
        self.on_purpose += outcome.on_purpose;
        self.failed += outcome.failed;
    }

    /// Compare the page with what it should be, or write it.
    pub(crate) fn page(&mut self, page: &str, bless: bool) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
        if std::fs::read_to_string(&path).is_ok_and(|there| there == page) {
            return;
        }
        if bless {
            std::fs::write(&path, page).unwrap();
            println!("docs/differences.md is written anew");
        } else {
            self.stale_page = true;
            println!("docs/differences.md is stale: `cargo test --test parity -- --bless` writes it anew");
        }
    }

    pub(crate) fn summary(&self, time: Duration) {
        if self.failed > 0 {
            println!("(lines of a difference: - Envoy alone, + spanway alone; at equal ones both)");
        }
        println!(
            "parity: {} scenarios, {} equal, {} of them different on purpose, {} failed, {:.0} s",
            self.scenarios,
            self.scenarios - self.failed,
            self.on_purpose,
            self.failed,
            time.as_secs_f32()
        );
    }

    pub(crate) fn is_good(&self) -> bool {
        self.failed == 0 && !self.stale_page
    }
}

/// Print what is seen of Envoy.
pub(crate) async fn observe(chosen: &[(Arc<Topic>, Vec<Scenario>)], envoy: &Program) -> Result<bool, String> {
    let mut good = true;
    for (topic, scenarios) in chosen {
        let mut results = run::run(topic, scenarios, envoy).await;
        for scenario in scenarios {
            println!("{} {}", scenario.place, scenario.spec.name);
            match take(&mut results, scenario) {
                Ok(lines) => lines.iter().for_each(|line| println!("    {line}")),
                Err(error) => {
                    good = false;
                    println!("    {error}");
                }
            }
        }
    }
    Ok(good)
}

/// Run one scenario, print what is seen of both, and leave them up until interrupted.
pub(crate) async fn keep(
    chosen: &[(Arc<Topic>, Vec<Scenario>)],
    programs: &[Program; 2],
) -> Result<bool, String> {
    let [(topic, scenarios)] = chosen else { return Err("--keep takes the name of one scenario".to_owned()) };
    let [scenario] = scenarios.as_slice() else {
        return Err("--keep takes the name of one scenario".to_owned());
    };
    let mut kept = Vec::new();
    for program in programs {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut results = Results::new();
        let started =
            run::start(topic, std::slice::from_ref(scenario), program, folder.path(), &mut results).await;
        let Some(running) = started? else {
            println!("{}", take(&mut results, scenario).err().unwrap_or_default());
            continue;
        };
        let world = &running.worlds[0];
        let outcomes = client::run(world).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        println!("{}", program.kind.name());
        observe_world(world, &outcomes, &[]).iter().for_each(|line| println!("    {line}"));
        for (port, role) in world.ports() {
            println!("  {role}: 127.0.0.1:{port}");
        }
        println!("  bootstrap: {}", folder.path().join("bootstrap.json").display());
        println!("  log: {}", folder.path().join("bootstrap.log").display());
        kept.push((running, folder));
    }
    println!("Ctrl-C ends them.");
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())?;
    Ok(true)
}
