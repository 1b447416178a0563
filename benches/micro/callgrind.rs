//! Counts instructions by running this program once more, under valgrind. Counts are the same on a busy machine.

use std::{
    collections::BTreeMap,
    fmt, fs,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};
use spanway::benchmark::{Operation, operations};
use spanway_heap::{Allocations, allocations};

/// The argument of the run under valgrind.
pub(crate) const MEASURE: &str = "measure";
/// How often an operation runs, before it is counted and then counted: as many times as a batch has spans, so that
/// there is one hand-over in it.
const TIMES: usize = 256;

/// What one operation costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// Instructions outside of the kernel.
    pub(crate) instructions: u64,
    /// Allocations, in hundredths: not every operation has the same number.
    pub(crate) allocations_x100: u64,
    /// Bytes of them.
    pub(crate) bytes: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { instructions, allocations_x100, bytes } = self;
        let (whole, part) = (allocations_x100 / 100, allocations_x100 % 100);
        write!(f, "{instructions:9} instructions {whole:4}.{part:02} allocations {bytes:7} bytes")
    }
}

/// The costs of all operations by name.
pub(crate) type Costs = BTreeMap<String, Cost>;

/// Callgrind counts inside of this function.
#[inline(never)]
fn counted_by_callgrind(operation: &mut dyn Operation) {
    std::hint::black_box(&mut *operation).run(TIMES);
}

/// And writes down the count when this one returns: it cannot do both for one function.
#[inline(never)]
fn written_by_callgrind(operation: &mut dyn Operation) -> Allocations {
    let before = allocations();
    counted_by_callgrind(operation);
    let after = allocations();
    Allocations { count: after.count - before.count, bytes: after.bytes - before.bytes }
}

/// The part that runs under valgrind: what is printed are the allocations of each operation, in order.
pub(crate) fn measure(wanted: &str) {
    for (name, setup) in operations().into_iter().filter(|(name, _)| name.contains(wanted)) {
        let mut operation = setup();
        operation.prepare(TIMES);
        operation.run(TIMES);
        operation.prepare(TIMES);
        let Allocations { count, bytes } = written_by_callgrind(&mut *operation);
        println!("{name} {count} {bytes}");
    }
}

/// Run the operations with that in their names under callgrind. With `keep` callgrind's own files stay, and it is said
/// where: `callgrind_annotate` shows what is in them.
pub(crate) fn count(wanted: &str, keep: bool) -> Costs {
    // Removed also where valgrind is missing.
    let folder = tempfile::Builder::new().prefix("spanway-callgrind-").tempdir().expect("a folder");
    let run = Command::new("valgrind")
        .args(["-q", "--tool=callgrind", "--trace-children=no"])
        .args([
            "--toggle-collect=*counted_by_callgrind*",
            "--dump-after=micro::callgrind::written_by_callgrind",
        ])
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .arg(std::env::current_exe().expect("this program"))
        .args([MEASURE, wanted])
        .stderr(Stdio::inherit())
        .output()
        .expect("valgrind is installed");
    assert!(run.status.success(), "the run under valgrind ended with {}", run.status);
    let printed = String::from_utf8(run.stdout).expect("text");
    let costs = (1..).zip(printed.lines()).map(|(number, line)| {
        let mut words = line.split(' ');
        let name = words.next().expect("a name").to_owned();
        let mut number_of = || words.next().and_then(|word| word.parse::<u64>().ok()).expect("a number");
        let (allocations, bytes) = (number_of(), number_of());
        let dump =
            fs::read_to_string(folder.path().join(format!("out.{number}"))).expect("callgrind's counts");
        let total = dump.lines().find_map(|line| line.strip_prefix("totals: ")).expect("a total");
        let total = total.trim().parse::<u64>().expect("a number");
        let times = TIMES as u64;
        let cost = Cost {
            instructions: total / times,
            allocations_x100: allocations * 100 / times,
            bytes: bytes / times,
        };
        (name, cost)
    });
    let costs = costs.collect();
    if keep {
        println!("callgrind's files are in {}, in the order of the operations", folder.keep().display());
    }
    costs
}
