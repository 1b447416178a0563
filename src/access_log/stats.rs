//! What is counted of the files of access logs: Envoy's `filesystem.*`.
//!
//! Workers count what they put into their buffers in cells of their own. The threads of files count in atomics, once in a
//! batch.

use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

use crate::stats::{Counter, Gauge, Metric, Reader, Scope, group};

group! {
    /// What workers count.
    pub(crate) struct BufferStats {
        /// Entries.
        write_buffered: Counter,
        /// Batches that were handed over since they had waited long enough.
        flushed_by_timer: Counter,
        /// Bytes of entries that are not handed over yet.
        write_total_buffered: Gauge,
    }
}

/// What workers count, in all files.
static BUFFERS: OnceLock<Scope<BufferStats>> = OnceLock::new();

/// What threads of files count, in all files.
static FILES: FileStats = FileStats {
    write_completed: Total::new(),
    write_failed: Total::new(),
    reopen_failed: Total::new(),
    logs_dropped: Total::new(),
    waiting: AtomicU64::new(0),
};

#[derive(Debug)]
struct FileStats {
    write_completed: Total,
    write_failed: Total,
    reopen_failed: Total,
    logs_dropped: Total,
    /// Bytes of entries that are handed over and not written.
    waiting: AtomicU64,
}

/// A number that only grows, from many threads.
#[derive(Debug)]
struct Total {
    value: AtomicU64,
    /// What it was when counters were reset.
    base: AtomicU64,
}

impl Total {
    const fn new() -> Self {
        Self { value: AtomicU64::new(0), base: AtomicU64::new(0) }
    }

    fn add(&self, count: u64) {
        self.value.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    fn since_reset(&self) -> u64 {
        self.get().saturating_sub(self.base.load(Ordering::Relaxed))
    }

    fn reset(&self) {
        self.base.store(self.get(), Ordering::Relaxed);
    }
}

fn buffers() -> &'static Scope<BufferStats> {
    BUFFERS.get_or_init(Scope::default)
}

/// An entry of so many bytes was put into a worker's buffer.
pub(super) fn buffered(bytes: usize) {
    let buffer = buffers().mine();
    buffer.write_buffered.inc();
    buffer.write_total_buffered.add(i64::try_from(bytes).unwrap_or(i64::MAX));
}

/// So many bytes of a worker's buffer are handed over.
pub(super) fn handed_over(bytes: usize) {
    buffers().mine().write_total_buffered.add(-i64::try_from(bytes).unwrap_or(i64::MAX));
    FILES.waiting.fetch_add(bytes as u64, Ordering::Relaxed);
}

/// A batch was handed over since it had waited long enough.
pub(super) fn flushed_by_timer() {
    buffers().mine().flushed_by_timer.inc();
}

/// So many bytes wait no longer: they are written, or lost.
pub(super) fn settled(bytes: usize) {
    FILES.waiting.fetch_sub(bytes as u64, Ordering::Relaxed);
}

/// A batch was written.
pub(super) fn written() {
    FILES.write_completed.add(1);
}

/// A batch could not be written.
pub(super) fn failed() {
    FILES.write_failed.add(1);
}

/// A file could not be opened again.
pub(super) fn reopen_failed() {
    FILES.reopen_failed.add(1);
}

/// So many entries are lost.
pub(super) fn dropped(entries: u64) {
    FILES.logs_dropped.add(entries);
}

/// How many entries were lost since the process began.
#[cfg(test)]
pub(super) fn all_dropped() -> u64 {
    FILES.logs_dropped.get()
}

/// Show all of it to `reader`: `filesystem.*`, and `access_logs.file.logs_dropped`, which Envoy does not have.
pub(crate) fn read(reader: &mut dyn Reader) {
    let buffers = buffers().total();
    buffers.write_buffered.read("filesystem.write_buffered", reader);
    buffers.flushed_by_timer.read("filesystem.flushed_by_timer", reader);
    let here = u64::try_from(buffers.write_total_buffered.get()).unwrap_or(0);
    let waiting = here + FILES.waiting.load(Ordering::Relaxed);
    let used = buffers.write_total_buffered.is_used();
    reader.gauge("filesystem.write_total_buffered", waiting, used);
    reader.counter("filesystem.write_completed", FILES.write_completed.since_reset());
    reader.counter("filesystem.write_failed", FILES.write_failed.since_reset());
    reader.counter("filesystem.reopen_failed", FILES.reopen_failed.since_reset());
    reader.counter("access_logs.file.logs_dropped", FILES.logs_dropped.since_reset());
}

/// Counters begin at zero again.
pub(crate) fn reset_counters() {
    buffers().reset_counters();
    for total in [&FILES.write_completed, &FILES.write_failed, &FILES.reopen_failed, &FILES.logs_dropped] {
        total.reset();
    }
}
