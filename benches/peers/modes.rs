//! What can be measured.

use crate::{
    faults, idle, latency,
    load::Load,
    measure::{Effort, Entry, interleaved},
    outage,
    peer::{Peer, World},
    report::Row,
    setup::{Setup, Tracing},
    startup,
};

/// The names of the modes, in the order of a run, and what each is about.
pub(crate) const MODES: [(&str, &str); 13] = [
    ("h1", "64 keep-alive connections, tiny responses"),
    ("tracing", "h1 with tracing off, at 1 %, at 100 %, and at 100 % to a collector that is not there"),
    ("log", "h1 without and with an access log of fifteen members as JSON"),
    ("routes", "10 against 10,000 routes, the last one matched, by exact path and by prefix"),
    ("bodies", "10 KB and 1 MB, responses and requests"),
    ("idle", "memory of 4,000 idle keep-alive connections"),
    ("start-up", "start to first 200; checking 2,000 routes and 500 clusters; size of the binary"),
    ("h2", "h2load, 4 connections with 100 streams, to an HTTP/1 and to an HTTP/2 host"),
    ("churn", "h1 with a connection per request"),
    ("latency", "a constant rate at half of what one worker can"),
    ("workers", "two workers against one"),
    (outage::NAME, "while the collector dies, hangs and returns; two runs of 26 times --seconds a proxy"),
    (faults::NAME, "spanway with collectors that fail in many ways; 9 times --seconds a fault"),
];

const H1: Load = Load::Http1 { close: false, upload: 0 };

/// A variant for every proxy.
fn each(variant: &str, setup: &Setup, load: Load) -> Vec<Entry> {
    let entry = |peer| Entry { variant: variant.to_owned(), peer, setup: setup.clone(), load };
    Peer::ALL.into_iter().map(entry).collect()
}

/// Runs one mode by its name.
pub(crate) fn run(mode: &str, world: &World<'_>, effort: Effort) -> Vec<Row> {
    let production = Setup::default();
    match mode {
        "h1" => interleaved("h1", each("100 routes", &production, H1), world, effort),
        "churn" => {
            let load = Load::Http1 { close: true, upload: 0 };
            interleaved("churn", each("a connection each", &production, load), world, effort)
        }
        "tracing" => {
            let variants = [
                ("off", Tracing::Off),
                ("1 %", Tracing::Percent(1.0)),
                ("100 %", Tracing::Percent(100.0)),
                ("dead collector", Tracing::DeadCollector),
            ];
            let entries = variants
                .into_iter()
                .flat_map(|(variant, tracing)| each(variant, &Setup { tracing, ..Setup::default() }, H1));
            interleaved("tracing", entries.collect(), world, effort)
        }
        "log" => {
            let entries = [("none", false), ("JSON", true)]
                .into_iter()
                .flat_map(|(variant, json_log)| each(variant, &Setup { json_log, ..Setup::default() }, H1));
            interleaved("log", entries.collect(), world, effort)
        }
        "routes" => {
            let entries = [(true, "exact"), (false, "prefix")].into_iter().flat_map(|(exact, name)| {
                [10, 10_000].into_iter().flat_map(move |routes| {
                    let setup = Setup { routes, matched: routes - 1, exact, ..Setup::default() };
                    each(&format!("{routes} {name}"), &setup, H1)
                })
            });
            interleaved("routes", entries.collect(), world, effort)
        }
        "bodies" => {
            let entries = [(10 << 10, "10 KB"), (1 << 20, "1 MB")].into_iter().flat_map(|(bytes, name)| {
                let down = Setup { response: bytes, ..Setup::default() };
                let up = Load::Http1 { close: false, upload: bytes };
                let mut entries = each(&format!("{name} down"), &down, H1);
                entries.extend(each(&format!("{name} up"), &Setup::default(), up));
                entries
            });
            interleaved("bodies", entries.collect(), world, effort)
        }
        "h2" => {
            let setup = Setup { http2: true, ..Setup::default() };
            let mut entries = each("to h1", &setup, Load::Http2);
            entries.extend(each("to h2", &Setup { upstream_http2: true, ..setup }, Load::Http2));
            interleaved("h2", entries, world, effort)
        }
        "workers" => {
            let entries = [1, 2]
                .into_iter()
                .flat_map(|workers| each(&format!("{workers}"), &Setup { workers, ..Setup::default() }, H1));
            if !world.cores.leave_room(2) {
                eprintln!("peers: workers: two workers share a core with the load here, which proves little");
            }
            interleaved("workers", entries.collect(), world, effort)
        }
        "idle" => idle::run(world),
        "start-up" => startup::run(world, effort),
        "latency" => latency::run(world, effort),
        outage::NAME => outage::run(world, effort),
        faults::NAME => faults::run(world, effort),
        _ => Vec::new(),
    }
}
