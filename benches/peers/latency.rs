//! What a proxy adds to the latency of a request when it is half busy.

use crate::{
    cores,
    load::{Load, Sample},
    measure::Effort,
    paced,
    peer::{Peer, Running, World},
    report::{Row, median},
    setup::Setup,
};

/// What a worker is kept busy.
const SHARE: f64 = 0.5;

/// The least part of the rate that must have been answered in time.
const KEPT: f64 = 0.97;

/// One proxy at one rate, and the host alone at the same rate.
struct Case {
    variant: &'static str,
    rate: f64,
    through: Vec<Sample>,
    direct: Vec<Sample>,
    busy: Vec<f64>,
}

impl Case {
    fn new(variant: &'static str, rate: f64) -> Self {
        Self { variant, rate, through: Vec::new(), direct: Vec::new(), busy: Vec::new() }
    }

    /// The same rate with and without the proxy, one after the other.
    fn round(&mut self, running: &Running, world: &World<'_>, seconds: u64) -> Result<(), String> {
        let path = Setup::default().path();
        let load = world.cores.of_load(1);
        let before = running.cpu();
        let through = cores::pinned(&load, || paced::run(running.port, &path, self.rate, seconds))??;
        self.busy.push(running.cpu().saturating_sub(before).as_secs_f64() / through.seconds);
        self.through.push(through);
        self.direct
            .push(cores::pinned(&load, || paced::run(world.around.http1, &path, self.rate, seconds))??);
        Ok(())
    }

    fn row(&self, peer: Peer) -> Row {
        let mut row = Row::new("latency", self.variant, peer.name());
        let of = |samples: &[Sample], at: usize| {
            median(
                samples
                    .iter()
                    .map(|sample| sample.percentiles.get(at).copied().unwrap_or(f64::NAN))
                    .collect(),
            )
        };
        let requests: f64 = self.through.iter().map(|sample| sample.requests).sum();
        row.set("rate", self.rate);
        row.set("rps", median(self.through.iter().map(|sample| sample.requests / sample.seconds).collect()));
        row.set("busy_percent", median(self.busy.clone()) * 100.0);
        row.set(
            "cpu_us",
            median(self.busy.clone()) * self.through.iter().map(|s| s.seconds).sum::<f64>() * 1e6 / requests,
        );
        // Where the load itself came too late, its own queue is what would be measured.
        let on_time = |samples: &[Sample]| {
            samples.iter().all(|sample| sample.requests >= self.rate * sample.seconds * KEPT)
        };
        let kept = on_time(&self.through) && on_time(&self.direct);
        if !kept {
            eprintln!("peers: latency, {}, {}: the rate was not kept", self.variant, peer.name());
        }
        for (at, (all, added)) in
            [("p50_us", "added_p50_us"), ("p99_us", "added_p99_us"), ("p999_us", "added_p999_us")]
                .into_iter()
                .enumerate()
        {
            row.set(all, of(&self.through, at));
            if kept {
                row.set(added, of(&self.through, at) - of(&self.direct, at));
            }
        }
        row.set("errors", self.through.iter().map(|sample| sample.errors).sum());
        row.rounds = self.through.iter().filter_map(|sample| sample.percentiles.first().copied()).collect();
        row
    }
}

/// Each at half of its own capacity, which a short run at full load tells; and all at half of Envoy's.
pub(crate) fn run(world: &World<'_>, effort: Effort) -> Vec<Row> {
    let load = Load::Http1 { close: false, upload: 0 };
    if !load.installed(world) {
        return Vec::new();
    }
    let mut contestants = Vec::new();
    for peer in Peer::ALL.into_iter().filter(|peer| peer.installed(world.tools)) {
        let start = || -> Result<(Running, f64), String> {
            let running = Running::start(peer, world, &Setup::default())?;
            let before = running.cpu();
            let sample = load.run(world, &Setup::default(), running.port, effort.seconds)?;
            let used = running.cpu().saturating_sub(before).as_secs_f64();
            if used <= 0.0 || sample.requests < 1.0 {
                Err(format!("{} requests in {used:.2} s of CPU under full load", sample.requests))
            } else {
                Ok((running, sample.requests / used))
            }
        };
        match start() {
            Ok((running, capacity)) => contestants.push((
                peer,
                running,
                vec![Case::new("half of its own capacity", capacity * SHARE)],
            )),
            Err(error) => eprintln!("peers: latency, {}: {error}", peer.name()),
        }
    }
    let envoy = contestants.iter().find(|(peer, ..)| *peer == Peer::Envoy);
    let common = envoy.and_then(|(_, _, cases)| cases.first()).map(|case| case.rate);
    if let Some(rate) = common {
        for (_, _, cases) in &mut contestants {
            cases.push(Case::new("half of Envoy's capacity", rate));
        }
    }
    for _ in 0..effort.rounds {
        for (peer, running, cases) in &mut contestants {
            for case in cases {
                if let Err(error) = case.round(running, world, effort.seconds) {
                    eprintln!("peers: latency, {}, {}: {error}", case.variant, peer.name());
                }
            }
        }
    }
    let measured = contestants.iter().flat_map(|(peer, _, cases)| cases.iter().map(|case| (*peer, case)));
    let mut rows: Vec<Row> =
        measured.filter(|(_, case)| !case.direct.is_empty()).map(|(peer, case)| case.row(peer)).collect();
    rows.sort_by_key(|row| row.variant.clone());
    rows
}
