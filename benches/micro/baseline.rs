//! What operations cost when that was last written down, and whether they cost more now.

use std::{fs, process::ExitCode};

use serde::{Deserialize, Serialize};

use crate::callgrind::{Cost, Costs};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline.json");
/// A rise by more percent than this is refused.
const MOST_PERCENT: u64 = 5;

/// The file.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    /// What it was compiled with: another compiler may count otherwise.
    compiler: String,
    operations: Costs,
}

fn compiler() -> String {
    let version = std::process::Command::new("rustc").arg("--version").output();
    version.ok().and_then(|run| String::from_utf8(run.stdout).ok()).unwrap_or_default().trim().to_owned()
}

/// Write down what operations cost now.
pub(crate) fn update(costs: &Costs) -> ExitCode {
    let baseline = Baseline { compiler: compiler(), operations: costs.clone() };
    let text = serde_json::to_string_pretty(&baseline).expect("numbers can be written");
    fs::write(FILE, text + "\n").expect("the baseline can be written");
    println!("{} operations written to {FILE}", costs.len());
    ExitCode::SUCCESS
}

/// Print what operations cost now, and fail if one costs noticeably more than was written down.
pub(crate) fn check(costs: &Costs) -> ExitCode {
    let text = fs::read_to_string(FILE).expect("a baseline");
    let baseline: Baseline = serde_json::from_str(&text).expect("a baseline in JSON");
    let mut faults = Vec::new();
    for (name, now) in costs {
        let Some(before) = baseline.operations.get(name) else {
            faults.push(format!("{name} has no baseline"));
            continue;
        };
        println!("{name:28}{now}{}", change(before.instructions, now.instructions));
        faults.extend(risen(before, now).map(|what| format!("{name}: {what}")));
    }
    let gone = baseline.operations.keys().filter(|name| !costs.contains_key(*name));
    faults.extend(gone.map(|name| format!("{name} is in the baseline, and measured no more")));
    if faults.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("\n{}\n", faults.join("\n"));
    eprintln!("What is meant to cost more is committed together with its new baseline:");
    eprintln!("cargo bench --profile micro --bench micro -- update");
    if baseline.compiler != compiler() {
        eprintln!("(The baseline is of {}, this is {}.)", baseline.compiler, compiler());
    }
    ExitCode::FAILURE
}

/// What of a cost has risen.
fn risen(before: &Cost, now: &Cost) -> impl Iterator<Item = String> {
    let pairs = [
        ("instructions", before.instructions, now.instructions),
        ("hundredths of an allocation", before.allocations_x100, now.allocations_x100),
        ("bytes allocated", before.bytes, now.bytes),
    ];
    let risen = pairs.into_iter().filter(|(_, before, now)| now * 100 > before * (100 + MOST_PERCENT));
    risen.map(|(what, before, now)| format!("{now} {what} instead of {before}"))
}

fn change(before: u64, now: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for the eye")]
    let percent = (now as f64 / before.max(1) as f64 - 1.0) * 100.0;
    if percent.abs() < 0.1 { String::new() } else { format!("  {percent:+.1} %") }
}
