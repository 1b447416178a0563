//! What Envoy has and spanway has not: each is refused with the reason, so that a script learns it from the answer.

use super::{Command, Run};

/// Commands of Envoy that are refused.
pub(super) const MISSING: &[Command] = &[
    post("/allocprofiler", "there is no profiler in it; its allocator is mimalloc"),
    get("/contention", "workers share no locks that could be fought over"),
    post("/cpuprofiler", "there is no profiler in it; perf and its like can look at the process"),
    get("/heap_dump", "its allocator, mimalloc, keeps no samples of the heap; /memory has sums"),
    post("/heapprofiler", "its allocator, mimalloc, keeps no samples of the heap; /memory has sums"),
    get("/init_dump", "nothing is initialized after it began to serve"),
    get("/memory/tcmalloc", "its allocator is mimalloc; /memory has sums"),
    get("/peak_heap_dump", "its allocator, mimalloc, keeps no samples of the heap; /memory has sums"),
    post("/runtime_modify", "the runtime is read with the configuration and stays as it is"),
    get("/stats/recentlookups", "names of statistics are known from the start and never looked up"),
    post("/stats/recentlookups/clear", "names of statistics are known from the start and never looked up"),
    post("/stats/recentlookups/disable", "names of statistics are known from the start and never looked up"),
    post("/stats/recentlookups/enable", "names of statistics are known from the start and never looked up"),
];

const fn get(path: &'static str, reason: &'static str) -> Command {
    Command { path, help: "", mutates: false, parameters: &[], run: Run::Missing(reason) }
}

const fn post(path: &'static str, reason: &'static str) -> Command {
    Command { mutates: true, ..get(path, reason) }
}
