//! Spans from their creation to the collector's word: spanway's pipeline beside the batch processor of OpenTelemetry's
//! SDK with its OTLP exporter, both over gRPC to the same collector.
//!
//! ```sh
//! cargo bench --bench pipeline
//! ```
//!
//! One thread makes spans with 17 attributes at a constant rate, as one worker does. CPU time is that of this process:
//! making, gathering, encoding and sending; the collector is a process of its own.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a command line program that stops where it cannot go on, and a thread that waits for real time"
)]

mod collector;
mod distant;
mod sdk;

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use spanway::benchmark::Pipeline;

#[global_allocator]
static HEAP: spanway_heap::Heap = spanway_heap::Heap;

/// Spans a second.
const RATES: [usize; 4] = [5_000, 15_000, 30_000, 60_000];
/// For how long.
const SECONDS: usize = 4;
/// How often a second some are made.
const STEPS: usize = 1_000;

fn main() {
    println!("| Collector | Spans a second | Pipeline | made | acknowledged | lost | CPU µs per span |");
    println!("|---|---:|---|---:|---:|---:|---:|");
    for rate in RATES {
        let near = |name, run: Run| {
            let collector = collector::start();
            row("near", rate, name, collector.address, run);
        };
        near("spanway", ours);
        near("opentelemetry_sdk", sdks);
    }
    let address = distant::start();
    let away = format!("{:?} away", distant::ROUND_TRIP);
    for rate in RATES {
        row(&away, rate, "spanway", address, ours);
        row(&away, rate, "opentelemetry_sdk", address, sdks);
    }
}

/// Makes so many spans a second: how many were made, and how many acknowledged.
type Run = fn(SocketAddr, usize) -> (u64, u64);

fn ours(collector: SocketAddr, rate: usize) -> (u64, u64) {
    let mut pipeline = Pipeline::start(collector);
    let made = paced(rate, |count, step| {
        pipeline.make(count);
        // Workers hand over after 200 ms.
        if step % (STEPS / 5) == 0 {
            pipeline.flush();
        }
    });
    (made, pipeline.end())
}

fn sdks(collector: SocketAddr, rate: usize) -> (u64, u64) {
    let pipeline = sdk::Pipeline::start(collector);
    let made = paced(rate, |count, _| pipeline.make(count));
    (made, pipeline.end())
}

/// Run a pipeline and print what it did. A distant collector is in this process, so that its time is none of CPU's.
fn row(place: &str, rate: usize, name: &str, collector: SocketAddr, run: Run) {
    let before = cpu();
    let (made, acknowledged) = run(collector, rate);
    let used = cpu() - before;
    let per_span = if place == "near" {
        format!("{:.1}", used.as_secs_f64() * 1e6 / made as f64)
    } else {
        "-".to_owned()
    };
    let lost = made - acknowledged;
    println!("| {place} | {rate} | {name} | {made} | {acknowledged} | {lost} | {per_span} |");
}

/// Call `make` with how many spans are due, at each step.
fn paced(rate: usize, mut make: impl FnMut(usize, usize)) -> u64 {
    let start = Instant::now();
    let mut made = 0;
    for step in 1..=SECONDS * STEPS {
        let due = start + Duration::from_secs_f64(step as f64 / STEPS as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let count = rate * step / STEPS - made;
        make(count, step);
        made += count;
    }
    made as u64
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("the process's own figures");
    let fields = stat.rsplit_once(')').expect("its name").1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    // A hundred a second, on all systems that Linux runs on.
    Duration::from_millis(ticks * 10)
}
