//! What became of a tracer's spans, counted after the collector's word.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::SystemTime,
};

use tokio::time::Instant;

use crate::trace::buffer::HandOver;

/// Why spans were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DropReason {
    /// Newer ones took their place.
    QueueFull,
    /// The collector took others of the same call, and not these.
    Rejected,
    /// The collector refused them for good.
    Permanent,
    /// They could not be sent for too long.
    Timeout,
    /// The process ended.
    Shutdown,
}

impl DropReason {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 5] =
        [Self::QueueFull, Self::Rejected, Self::Permanent, Self::Timeout, Self::Shutdown];

    /// As a name of a counter.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::Permanent => "permanent",
            Self::Timeout => "timeout",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Whether spans get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum State {
    /// No call was made yet.
    #[default]
    Idle,
    /// The first call is under way.
    Calling,
    /// They do.
    Ok,
    /// They do not, or not all.
    Failing,
}

impl State {
    /// As a word of the page.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Calling => "calling",
            Self::Ok => "ok",
            Self::Failing => "failing",
        }
    }
}

/// What went wrong last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastError {
    /// When.
    pub(crate) time: SystemTime,
    /// What.
    pub(crate) cause: String,
    /// What to do.
    pub(crate) hint: Option<&'static str>,
}

/// Spans that were dropped, in the order of [`DropReason::ALL`].
pub(super) type DroppedSpans = [u64; DropReason::ALL.len()];

/// What the exporter of a tracer has done, as at one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Delivered {
    /// Spans that a collector has acknowledged.
    pub(crate) exported: u64,
    /// Spans that were dropped, in the order of [`DropReason::ALL`].
    pub(super) dropped: DroppedSpans,
    /// Calls that were acknowledged.
    pub(crate) batches: u64,
    /// Their bytes, before they are compressed.
    pub(crate) bytes: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
    /// Calls that were made again.
    pub(crate) retries: u64,
    /// Spans that wait.
    pub(crate) queued_spans: usize,
    /// Their bytes.
    pub(crate) queued_bytes: usize,
    /// Since when the oldest of these waits.
    pub(crate) oldest: Option<Instant>,
    /// Spans in calls that are under way.
    pub(crate) in_flight: usize,
    /// Whether spans get through.
    pub(crate) state: State,
    /// What went wrong last.
    pub(crate) last_error: Option<LastError>,
}

impl Delivered {
    /// Spans dropped for that reason.
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or_default()
    }

    /// Spans dropped for any reason.
    pub(crate) fn dropped_in_all(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Count `spans` as dropped.
    pub(super) fn count_dropped(&mut self, reason: DropReason, spans: usize) {
        if let Some(count) = self.dropped.get_mut(reason as usize) {
            *count += spans as u64;
        }
    }
}

/// The figures of one tracer: workers count what they hand over, the exporter what becomes of it.
#[derive(Debug)]
pub(crate) struct TracerStats {
    workers: Arc<HandOver>,
    /// Touched by the exporter and whoever looks, never by a worker.
    exporter: Mutex<Delivered>,
}

/// All figures of one tracer.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Spans that workers have handed over or lost.
    pub(crate) created: u64,
    /// Spans that are neither exported nor dropped.
    pub(crate) queued: u64,
    /// Batches that were handed over by time.
    pub(crate) timer_flushed: u64,
    /// What the exporter did; drops of the workers included.
    pub(crate) delivered: Delivered,
}

impl TracerStats {
    /// All zero, beside what workers count.
    pub(crate) fn new(workers: Arc<HandOver>) -> Self {
        Self { workers, exporter: Mutex::default() }
    }

    /// Change what the exporter counts.
    pub(super) fn update<T>(&self, change: impl FnOnce(&mut Delivered) -> T) -> T {
        change(&mut self.exporter.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All as it is now.
    pub(crate) fn figures(&self) -> Figures {
        let mut delivered = self.update(|delivered| delivered.clone());
        let handed_over = self.workers.spans.load(Ordering::Relaxed);
        let overflowed = self.workers.overflowed.load(Ordering::Relaxed);
        delivered.count_dropped(DropReason::QueueFull, usize::try_from(overflowed).unwrap_or(usize::MAX));
        Figures {
            created: self.workers.created.load(Ordering::Relaxed),
            queued: (handed_over + delivered.queued_spans + delivered.in_flight) as u64,
            timer_flushed: self.workers.timer_flushed.load(Ordering::Relaxed),
            delivered,
        }
    }
}
