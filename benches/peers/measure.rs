//! Interleaved rounds of proxies under full load.

use crate::{
    client,
    load::{Load, Sample},
    peer::{Peer, Running, World},
    report::{Row, median},
    setup::{Setup, Tracing},
    upstream::Surroundings,
};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Seconds of a round.
    pub(crate) seconds: u64,
    /// Rounds, of which the median counts.
    pub(crate) rounds: usize,
}

/// Something to measure: one proxy with one configuration under one load.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) variant: String,
    pub(crate) peer: Peer,
    pub(crate) setup: Setup,
    pub(crate) load: Load,
}

/// An entry that runs.
struct Contestant {
    entry: Entry,
    running: Running,
    /// Its own collector, so that its spans can be told from those of the others.
    around: Surroundings,
    costs: Vec<f64>,
    samples: Vec<Sample>,
}

/// Requests before the first round, for pools to fill and pages to be touched.
const WARM_UP: usize = 300;

/// All that a proxy has answered before it is measured: the one that told that it is up, and the warm-up.
pub(crate) const ANSWERED_BEFORE: usize = WARM_UP + 1;

/// Asks for `path` on one connection, again and again.
pub(crate) fn warm_up(port: u16, path: &str) -> Result<(), String> {
    let warm = || {
        (0..WARM_UP).try_fold(client::Connection::open(port)?, |mut connection, _| {
            connection.get(path).map(|()| connection)
        })
    };
    warm().map(drop).map_err(|error: std::io::Error| format!("it does not answer with 200: {error}"))
}

impl Contestant {
    fn start(entry: Entry, world: &World<'_>) -> Result<Self, String> {
        let mut around = world.around.clone();
        if entry.setup.tracing != Tracing::Off {
            around = around.with_collector(&world.cores.of_load(entry.setup.workers))?;
        }
        let running = Running::start(entry.peer, &World { around: &around, ..*world }, &entry.setup)?;
        if !entry.setup.http2 {
            warm_up(running.port, &entry.setup.path())?;
        }
        Ok(Self { entry, running, around, costs: Vec::new(), samples: Vec::new() })
    }

    fn round(&mut self, world: &World<'_>, effort: Effort) -> Result<(), String> {
        let before = self.running.cpu();
        let sample = self.entry.load.run(world, &self.entry.setup, self.running.port, effort.seconds)?;
        let used = self.running.cpu().saturating_sub(before);
        if !self.running.alive() {
            return Err("it has ended under load".to_owned());
        }
        if sample.requests < 1.0 {
            return Err("not one request was answered".to_owned());
        }
        self.costs.push(used.as_secs_f64() * 1e6 / sample.requests);
        self.samples.push(sample);
        Ok(())
    }

    fn row(&self, mode: &'static str) -> Row {
        let mut row = Row::new(mode, &self.entry.variant, self.entry.peer.name());
        let of = |figure: &dyn Fn(&Sample) -> f64| median(self.samples.iter().map(figure).collect());
        row.set("cpu_us", median(self.costs.clone()));
        row.set("rps", of(&|sample| sample.requests / sample.seconds));
        for (at, name) in ["p50_us", "p99_us", "p999_us"].into_iter().enumerate() {
            row.set(name, of(&|sample| sample.percentiles.get(at).copied().unwrap_or(f64::NAN)));
        }
        let memory = self.running.memory();
        row.set("rss_mb", memory.resident as f64 / 1024.0);
        row.set("hwm_mb", memory.peak as f64 / 1024.0);
        row.set("errors", self.samples.iter().map(|sample| sample.errors).sum());
        if let Tracing::Percent(_) = self.entry.setup.tracing {
            let requests: f64 = self.samples.iter().map(|sample| sample.requests).sum();
            row.set("spans_per_request", self.around.spans() as f64 / (requests + ANSWERED_BEFORE as f64));
        }
        let upload = if let Load::Http1 { upload, .. } = self.entry.load { upload } else { 0 };
        let bytes = upload.max(self.entry.setup.response);
        if bytes >= 1024 {
            row.set("cpu_ns_per_kb", median(self.costs.clone()) * 1000.0 / (bytes as f64 / 1024.0));
        }
        row.rounds.clone_from(&self.costs);
        row
    }
}

/// Starts all entries, loads them in turn, and takes medians. One that fails is left out and named.
pub(crate) fn interleaved(
    mode: &'static str,
    entries: Vec<Entry>,
    world: &World<'_>,
    effort: Effort,
) -> Vec<Row> {
    let complain = |entry: &Entry, error: &str| {
        eprintln!("peers: {mode}, {}, {}: {error}", entry.variant, entry.peer.name());
    };
    let mut contestants = Vec::new();
    for entry in entries {
        let possible = entry.peer.installed(world.tools) && entry.peer.can(&entry.setup);
        if !possible || !entry.load.installed(world) {
            continue;
        }
        match Contestant::start(entry.clone(), world) {
            Ok(contestant) => contestants.push(contestant),
            Err(error) => complain(&entry, &error),
        }
    }
    for _ in 0..effort.rounds {
        contestants.retain_mut(|contestant| match contestant.round(world, effort) {
            Ok(()) => true,
            Err(error) => {
                complain(&contestant.entry, &error);
                false
            }
        });
    }
    if contestants.iter().any(|contestant| contestant.entry.setup.tracing != Tracing::Off) {
        // Envoy sends what is left of a batch after five seconds.
        std::thread::sleep(std::time::Duration::from_secs(6));
    }
    contestants.iter().map(|contestant| contestant.row(mode)).collect()
}
