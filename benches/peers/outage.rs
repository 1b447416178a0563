//! What a person gets while the trace collector dies, hangs, and returns.
//!
//! Each proxy goes through the same phases twice. Once at a constant rate, the same for all, which half-loaded workers
//! keep: that tells what requests feel. And once as fast as answers come, which tells how much a worker can do; latency
//! there is that of the queue in front of it. One series cannot tell both: a client that waits for answers sends less
//! when the proxy is slow, and at full load more spans are made than a queue can keep for a second.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    collector::Collector,
    faulty::Behaviour,
    measure::{ANSWERED_BEFORE, Effort, warm_up},
    paced::Pace,
    peer::{Peer, Running, World},
    report::Row,
    series::{self, Second},
    setup::{Setup, Tracing},
};

/// What the mode is called.
pub(crate) const NAME: &str = "outage";
/// The whole of a run at a constant rate, with its series.
pub(crate) const PACED: &str = "all, constant rate";
/// The whole of a run at full load, with its series.
pub(crate) const FULL: &str = "all, full load";
/// Requests a second of the constant rate: less than half of what Envoy's worker can do when it traces.
const RATE: f64 = 5000.0;
/// How long spans may take to arrive after the end; Envoy sends what is left of a batch after five seconds.
const FLUSH: Duration = Duration::from_secs(6);

/// The phases: a name, what the collector does, and how long, in rounds' seconds.
const PHASES: [(&str, Behaviour, usize); 4] = [
    ("healthy", Behaviour::HEALTHY, 4),
    ("collector gone", Behaviour::Refuses, 12),
    ("collector hangs", Behaviour::BlackHole, 4),
    ("collector back", Behaviour::HEALTHY, 6),
];

/// One run of one proxy.
struct Run {
    /// All phases.
    seconds: Vec<Second>,
    /// Spans that arrived until a while after the end.
    arrived: u64,
}

/// The phases with the seconds in which each begins and ends.
fn phases(unit: usize) -> impl Iterator<Item = (&'static str, Behaviour, std::ops::Range<usize>)> {
    PHASES.iter().scan(0, move |begin, (name, behaviour, length)| {
        let seconds = *begin..*begin + length * unit;
        *begin = seconds.end;
        Some((*name, *behaviour, seconds))
    })
}

/// How the collector fails in a phase, if it does.
pub(crate) fn fault(phase: &str) -> Option<Behaviour> {
    let behaviour = PHASES.iter().find(|(name, ..)| *name == phase).map(|(_, behaviour, _)| *behaviour);
    behaviour.filter(|behaviour| *behaviour != Behaviour::HEALTHY)
}

/// Runs one proxy through all phases.
fn one(peer: Peer, world: &World<'_>, pace: Pace, unit: usize) -> Result<Run, String> {
    let collector = Collector::start(&world.cores.of_load(1), false)?;
    let around = world.around.clone().with_collector_at(collector.port);
    let setup = Setup { tracing: Tracing::Percent(100.0), ..Setup::default() };
    let mut running = Running::start(peer, &World { around: &around, ..*world }, &setup)?;
    warm_up(running.port, &setup.path())?;
    let length = phases(unit).map(|(_, _, seconds)| seconds.len()).sum();
    let seconds = series::watch(&running, world, &setup.path(), pace, length, |now| {
        let begins = phases(unit).find(|(_, _, seconds)| seconds.start == now && now > 0);
        if let Some((_, behaviour, _)) = begins {
            collector.behave(behaviour);
        }
    })?;
    if !running.alive() {
        return Err("it has ended".to_owned());
    }
    let run = Run { seconds, arrived: 0 };
    let until = Instant::now() + FLUSH;
    while (collector.spans() as f64) < run.answered() && Instant::now() < until {
        thread::sleep(Duration::from_millis(100));
    }
    Ok(Run { arrived: collector.spans(), ..run })
}

impl Run {
    /// All that was answered, also before the first phase.
    fn answered(&self) -> f64 {
        self.seconds.iter().map(Second::answered).sum::<f64>() + ANSWERED_BEFORE as f64
    }

    /// Requests and spans of the whole run, and the series.
    fn row(&self, variant: &str, peer: Peer) -> Row {
        let mut row = Row::new(NAME, variant, peer.name());
        let (answered, arrived) = (self.answered(), self.arrived as f64);
        row.set("answered", answered);
        row.set("arrived", arrived);
        row.set("lost", answered - arrived);
        row.set("errors", self.seconds.iter().map(|second| second.failed as f64).sum());
        let each = |figure: &dyn Fn(&Second) -> f64| self.seconds.iter().map(figure).collect::<Vec<f64>>();
        row.series.insert("answered", each(&Second::answered));
        row.series.insert("errors", each(&|second| second.failed as f64));
        row.series.insert("p50_us", each(&|second| second.percentiles()[0]));
        row.series.insert("p99_us", each(&|second| second.percentiles()[1]));
        row.series.insert("rss_mb", each(&|second| second.rss_mb));
        row
    }
}

/// A row for each phase, and one for each of the two runs.
fn rows(peer: Peer, paced: &Run, full: &Run, unit: usize) -> Vec<Row> {
    let mut rows: Vec<Row> = phases(unit)
        .map(|(name, _, seconds)| {
            let of = |run: &Run| Second::together(run.seconds.get(seconds.clone()).unwrap_or_default());
            let (paced, full) = (of(paced), of(full));
            let mut row = Row::new(NAME, name, peer.name());
            let [p50, p99] = paced.percentiles();
            row.set("seconds", seconds.len() as f64);
            row.set("full_rps", full.answered() / seconds.len() as f64);
            row.set("rate", RATE);
            row.set("p50_us", p50);
            row.set("p99_us", p99);
            row.set("errors", (paced.failed + full.failed) as f64);
            row.set("rss_mb", paced.rss_mb);
            row.set("full_rss_mb", full.rss_mb);
            row
        })
        .collect();
    rows.extend([paced.row(PACED, peer), full.row(FULL, peer)]);
    rows
}

/// Each proxy that traces in its turn; the rows of a phase stand together.
pub(crate) fn run(world: &World<'_>, effort: Effort) -> Vec<Row> {
    let unit = usize::try_from(effort.seconds).unwrap_or(1);
    let mut all: Vec<Vec<Row>> = Vec::new();
    for peer in [Peer::Envoy, Peer::Spanway, Peer::Guided] {
        if !peer.installed(world.tools) {
            continue;
        }
        let both = || {
            let paced = one(peer, world, Pace::Constant(RATE), unit)?;
            Ok::<_, String>(rows(peer, &paced, &one(peer, world, Pace::Full, unit)?, unit))
        };
        match both() {
            Ok(rows) => all.push(rows),
            Err(error) => eprintln!("peers: {NAME}, {}: {error}", peer.name()),
        }
    }
    let count = PHASES.len() + 2;
    (0..count).flat_map(|at| all.iter().filter_map(move |rows| rows.get(at).cloned())).collect()
}
