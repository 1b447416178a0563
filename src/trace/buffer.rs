//! Where a worker keeps finished spans until they are handed to the exporter.
//!
//! The worker takes no lock and wakes no other thread per span: it gathers, and hands over a whole batch when
//! there are enough of them or a moment has passed. The queue behind is bounded; what does not fit is counted.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, mpsc};

use super::FinishedSpan;
use crate::snapshot::tracing::Flush;

/// The sending half of a tracer's queue; each worker has a clone.
#[derive(Debug, Clone)]
pub(crate) struct SpanQueue {
    sender: mpsc::UnboundedSender<Vec<FinishedSpan>>,
    counters: Arc<QueueCounters>,
    flush: Flush,
}

/// What is known of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueCounters {
    /// Spans in it now.
    pub(crate) waiting: AtomicUsize,
    /// Spans that did not fit.
    pub(crate) dropped: AtomicU64,
}

/// A queue for one tracer: what workers get, what the exporter reads, and what both count.
pub(crate) fn queue(
    flush: Flush,
) -> (SpanQueue, mpsc::UnboundedReceiver<Vec<FinishedSpan>>, Arc<QueueCounters>) {
    // The channel itself has no bound: `waiting` bounds it by spans, whatever the size of batches.
    let (sender, receiver) = mpsc::unbounded_channel();
    let counters = Arc::<QueueCounters>::default();
    (SpanQueue { sender, counters: Arc::clone(&counters), flush }, receiver, counters)
}

impl SpanQueue {
    fn hand_over(&self, mut batch: Vec<FinishedSpan>) {
        let waiting = self.counters.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        let room = self.flush.waiting.saturating_sub(waiting);
        let excess = batch.len().saturating_sub(room);
        if excess > 0 {
            batch.truncate(room);
            self.counters.waiting.fetch_sub(excess, Ordering::Relaxed);
            self.counters.dropped.fetch_add(excess as u64, Ordering::Relaxed);
        }
        let count = batch.len();
        // It fails only when the exporter is gone, which is after the last request at shutdown.
        if self.sender.send(batch).is_err() {
            self.counters.dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for SpanBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A worker's spans of all tracers.
#[derive(Debug)]
pub(crate) struct SpanBuffer {
    /// By [`crate::snapshot::tracing::Tracer::id`].
    tracers: Vec<(SpanQueue, RefCell<Vec<FinishedSpan>>)>,
    waiting: Notify,
}

impl SpanBuffer {
    /// With one queue per tracer of the snapshot.
    pub(crate) fn new(queues: Vec<SpanQueue>) -> Rc<Self> {
        let tracers = queues.into_iter().map(|queue| (queue, RefCell::default())).collect();
        Rc::new(Self { tracers, waiting: Notify::new() })
    }

    /// Keep `span` until the next hand-over.
    pub(crate) fn push(&self, span: FinishedSpan) {
        let Some((queue, spans)) = self.tracers.get(span.tracer) else { return };
        let mut spans = spans.borrow_mut();
        if spans.is_empty() {
            self.waiting.notify_one();
        }
        spans.push(span);
        if spans.len() >= queue.flush.spans {
            queue.hand_over(std::mem::take(&mut *spans));
        }
    }

    /// Hand over all that waits.
    pub(crate) fn flush(&self) {
        for (queue, spans) in &self.tracers {
            let batch = std::mem::take(&mut *spans.borrow_mut());
            if !batch.is_empty() {
                queue.hand_over(batch);
            }
        }
    }

    /// Hand over what has waited long enough, for ever. A worker without spans is not woken.
    pub(crate) async fn flush_by_age(self: Rc<Self>) {
        let interval = self.tracers.iter().map(|(queue, _)| queue.flush.interval).min().unwrap_or_default();
        loop {
            self.waiting.notified().await;
            tokio::time::sleep(interval).await;
            self.flush();
        }
    }
}
