//! What faulty collectors do to requests: the same constant rate with a good collector, a faulty one, and the good one
//! again, for each fault in a process of its own, so that none sees what another has left behind.

use std::{
    thread,
    time::{Duration, Instant},
};

use hyper::StatusCode;

use crate::{
    answers::Answer,
    collector::Collector,
    faulty::Behaviour,
    load::percentiles,
    measure::{ANSWERED_BEFORE, Effort, warm_up},
    paced::Pace,
    peer::{Peer, Running, World},
    report::{Row, median},
    series::{self, Second},
    setup::{Setup, Tracing},
};

/// What the mode is called.
pub(crate) const NAME: &str = "faults";
/// Requests a second; about a fifth of what a worker can do.
const RATE: f64 = 5000.0;
/// How long each collector is measured, in rounds' seconds.
const LENGTH: usize = 3;
/// Between the faulty collector and the good one after it: what has waited is sent, and is not measured.
const SETTLE: Duration = Duration::from_secs(2);
/// How long the last spans may take to arrive; spanway sends what it has five times a second.
const FLUSH: Duration = Duration::from_secs(1);

/// Faults of collectors that are told spans over gRPC.
const GRPC: [(&str, Behaviour); 15] = [
    ("healthy", Behaviour::HEALTHY),
    ("refuses connections", Behaviour::Refuses),
    ("accepts, never answers", Behaviour::BlackHole),
    ("hangs 30 s per call", Behaviour::Answers(Answer::Late)),
    ("answers byte by byte", Behaviour::Drips),
    ("resets connections", Behaviour::Resets),
    ("UNAVAILABLE", Behaviour::grpc("14")),
    ("RESOURCE_EXHAUSTED", Behaviour::grpc("8")),
    ("... with RetryInfo", Behaviour::Answers(Answer::GrpcComeBack)),
    ("UNIMPLEMENTED", Behaviour::grpc("12")),
    ("DEADLINE_EXCEEDED", Behaviour::grpc("4")),
    ("partial success", Behaviour::Answers(Answer::Partial)),
    ("garbage, no HTTP/2", Behaviour::Garbage),
    ("answers with 5 MB", Behaviour::Answers(Answer::Oversized)),
    ("closes after each call", Behaviour::ClosesAfterEach),
];

/// Faults of collectors that are told spans over HTTP.
const HTTP: [(&str, Behaviour); 4] = [
    ("HTTP, healthy", Behaviour::HEALTHY),
    ("HTTP 401", Behaviour::http(StatusCode::UNAUTHORIZED)),
    ("HTTP 429, Retry-After", Behaviour::Answers(Answer::HttpComeBack)),
    ("HTTP 503", Behaviour::http(StatusCode::SERVICE_UNAVAILABLE)),
];

/// p50 and p99 of a usual second: the medians, since what a shared machine does in one of them is not the collector's.
fn typical(seconds: &[Second]) -> [f64; 2] {
    [0, 1].map(|at| {
        let of_each = seconds.iter().filter_map(|second| second.percentiles().get(at).copied());
        median(of_each.collect())
    })
}

/// One fault, between two looks at the same proxy with a good collector.
fn one(
    fault: &str,
    behaviour: Behaviour,
    otlp_http: bool,
    world: &World<'_>,
    seconds: usize,
) -> Result<Row, String> {
    let load = world.cores.of_load(1);
    let collector = Collector::start(&load, otlp_http)?;
    let around = world.around.clone().with_collector_at(collector.port);
    let setup = Setup { tracing: Tracing::Percent(100.0), otlp_http, ..Setup::default() };
    let path = setup.path();
    let mut running = Running::start(Peer::Spanway, &World { around: &around, ..*world }, &setup)?;
    warm_up(running.port, &path)?;
    let measure = || series::watch(&running, world, &path, Pace::Constant(RATE), seconds, |_| {});
    let before = measure()?;
    collector.behave(behaviour);
    let during = measure()?;
    let memory = running.memory();
    collector.behave(Behaviour::HEALTHY);
    thread::sleep(SETTLE);
    let after = measure()?;
    let whole = Second::together(&[before.as_slice(), &during, &after].concat());
    let answered = whole.answered() + ANSWERED_BEFORE as f64;
    let until = Instant::now() + FLUSH;
    while (collector.spans() as f64) < answered && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    if !running.alive() {
        return Err("it has ended".to_owned());
    }
    let mut row = Row::new(NAME, fault, Peer::Spanway.name());
    let [p50, p99] = typical(&during);
    let [before_p50, before_p99] = typical(&before);
    let [after_p50, after_p99] = typical(&after);
    let [healthy_p50, healthy_p99] = typical(&[before, after].concat());
    let [_, _, p999] = percentiles(Second::together(&during).latencies);
    row.set("rate", RATE);
    row.set("p50_us", p50);
    row.set("p99_us", p99);
    row.set("p999_us", p999);
    row.set("before_p50_us", before_p50);
    row.set("before_p99_us", before_p99);
    row.set("after_p50_us", after_p50);
    row.set("after_p99_us", after_p99);
    row.set("x_healthy_p50", p50 / healthy_p50);
    row.set("x_healthy_p99", p99 / healthy_p99);
    row.set("rss_mb", memory.resident as f64 / 1024.0);
    row.set("hwm_mb", memory.peak as f64 / 1024.0);
    row.set("errors", whole.failed as f64);
    row.set("lost", answered - collector.spans() as f64);
    Ok(row)
}

/// All faults in turn.
pub(crate) fn run(world: &World<'_>, effort: Effort) -> Vec<Row> {
    let seconds = usize::try_from(effort.seconds).unwrap_or(1) * LENGTH;
    let all = GRPC.map(|(fault, behaviour)| (fault, behaviour, false)).into_iter();
    let all = all.chain(HTTP.map(|(fault, behaviour)| (fault, behaviour, true)));
    all.filter_map(|(fault, behaviour, otlp_http)| {
        one(fault, behaviour, otlp_http, world, seconds)
            .map_err(|error| eprintln!("peers: {NAME}, {fault}: {error}"))
            .ok()
    })
    .collect()
}
