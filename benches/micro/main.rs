//! The operations of a request's way, each by itself: `src/benchmark` lists them.
//!
//! ```sh
//! cargo bench --profile micro --bench micro                      # time, with divan's options, such as part of a name
//! cargo bench --profile micro --bench micro -- count             # instructions under callgrind, and allocations
//! cargo bench --profile micro --bench micro -- count stream      # of some; callgrind's files stay, to see where
//! cargo bench --profile micro --bench micro -- check             # all, held against benches/baseline.json
//! cargo bench --profile micro --bench micro -- update            # all, written to it
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program that stops where it cannot go on"
)]

mod baseline;
mod callgrind;

use std::{cell::RefCell, process::ExitCode};

use divan::Bencher;
use spanway::benchmark::operations;

#[global_allocator]
static HEAP: spanway_heap::Counted = spanway_heap::Counted;

fn main() -> ExitCode {
    // Cargo says `--bench`, or nothing.
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let command = arguments.next();
    let wanted = arguments.next().unwrap_or_default();
    match command.as_deref() {
        Some(callgrind::MEASURE) => {
            callgrind::measure(&wanted);
            ExitCode::SUCCESS
        }
        Some("count") => {
            for (name, cost) in callgrind::count(&wanted, !wanted.is_empty()) {
                println!("{name:28}{cost}");
            }
            ExitCode::SUCCESS
        }
        Some("check") => baseline::check(&callgrind::count("", false)),
        Some("update") => baseline::update(&callgrind::count("", false)),
        Some(other) if !other.starts_with('-') && !names().any(|name| name.contains(other)) => {
            eprintln!("'{other}' is no command and part of no operation's name; see benches/micro/main.rs");
            ExitCode::from(2)
        }
        _ => {
            divan::main();
            ExitCode::SUCCESS
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    operations().into_iter().map(|(name, _)| name)
}

#[divan::bench(args = names(), sample_size = 1)]
fn operation(bencher: Bencher<'_, '_>, name: &str) {
    let (_, setup) = operations().into_iter().find(|(known, _)| *known == name).expect("an operation");
    let operation = RefCell::new(setup());
    // Enough at once that what is around them does not count.
    const TIMES: usize = 64;
    bencher
        .counter(divan::counter::ItemsCount::new(TIMES))
        .with_inputs(|| operation.borrow_mut().prepare(TIMES))
        .bench_local_values(|()| {
            operation.borrow_mut().run(TIMES);
        });
}
