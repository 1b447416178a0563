//! A value that was measured and the trace in which it was, as an example of its bucket.

use std::{
    sync::atomic::{AtomicU64, Ordering, fence},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::trace::{SpanId, TraceId};

/// An example, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exemplar {
    /// Its trace.
    pub(crate) trace_id: TraceId,
    /// The span of it that lasted so long.
    pub(crate) span_id: SpanId,
    /// How long.
    pub(crate) duration: Duration,
    /// When it ended, since 1970, to a millisecond.
    pub(crate) at: Duration,
}

/// The latest example of a bucket. One thread writes it; whoever reads it while that happens sees that it changed, and
/// looks again.
#[derive(Debug, Default)]
pub(crate) struct ExemplarCell {
    /// Odd while the others are written; 0 if nothing ever was.
    version: AtomicU64,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
    microseconds: AtomicU64,
    milliseconds_since_1970: AtomicU64,
}

impl ExemplarCell {
    /// Replace it.
    pub(super) fn set(&self, (trace_id, span_id): (TraceId, SpanId), microseconds: u64, at: SystemTime) {
        let at = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let trace_id = u128::from_be_bytes(trace_id.to_bytes());
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        // Nothing of the new one is seen before the version is odd.
        fence(Ordering::Release);
        let [high, low] = &self.trace_id;
        high.store((trace_id >> 64) as u64, Ordering::Relaxed);
        low.store(trace_id as u64, Ordering::Relaxed);
        self.span_id.store(u64::from_be_bytes(span_id.to_bytes()), Ordering::Relaxed);
        self.microseconds.store(microseconds, Ordering::Relaxed);
        let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.milliseconds_since_1970.store(at, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    /// Take that of `other` if it is later. Only while nobody else writes this one.
    pub(super) fn absorb(&self, other: &Self) {
        let Some(theirs) = other.get() else { return };
        if self.get().is_none_or(|mine| mine.at < theirs.at) {
            let microseconds = u64::try_from(theirs.duration.as_micros()).unwrap_or(u64::MAX);
            self.set((theirs.trace_id, theirs.span_id), microseconds, UNIX_EPOCH + theirs.at);
        }
    }

    /// What it is now; `None` if there was none yet, or it is always being replaced.
    pub(super) fn get(&self) -> Option<Exemplar> {
        (0..10).find_map(|_| {
            let before = self.version.load(Ordering::Acquire);
            let [high, low] = self.trace_id.each_ref().map(|half| u128::from(half.load(Ordering::Relaxed)));
            let exemplar = Exemplar {
                trace_id: TraceId::from_bytes((high << 64 | low).to_be_bytes()),
                span_id: SpanId::from_bytes(self.span_id.load(Ordering::Relaxed).to_be_bytes()),
                duration: Duration::from_micros(self.microseconds.load(Ordering::Relaxed)),
                at: Duration::from_millis(self.milliseconds_since_1970.load(Ordering::Relaxed)),
            };
            fence(Ordering::Acquire);
            let after = self.version.load(Ordering::Relaxed);
            (before == after && before.is_multiple_of(2) && before > 0).then_some(exemplar)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_was_written_in_one_piece() {
        let cell = ExemplarCell::default();
        assert_eq!(cell.get(), None);
        let ids = |number: u64| {
            let half = number.to_be_bytes();
            (TraceId::from_bytes([half, half].concat().try_into().unwrap()), SpanId::from_bytes(half))
        };
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 1..=200_000 {
                    cell.set(ids(number), number, UNIX_EPOCH + Duration::from_millis(number));
                }
            });
            while !writer.is_finished() {
                let Some(read) = cell.get() else { continue };
                let number = read.at.as_millis() as u64;
                assert_eq!((read.trace_id, read.span_id), ids(number));
                assert_eq!(read.duration, Duration::from_micros(number));
            }
        });
        assert_eq!(cell.get().map(|last| last.span_id), Some(ids(200_000).1));
    }
}
