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

use super::{
    FinishedSpan,
    otlp::{EncodedSpans, SpanEncoder},
};
use crate::snapshot::tracing::Flush;

/// Spans on their way to the exporter. Only one of the two is filled, always the same for one tracer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Those of tracers that write spans when they send them.
    pub(crate) records: Vec<FinishedSpan>,
    /// Those that were written when they ended.
    pub(crate) encoded: EncodedSpans,
}

impl Batch {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.records.len() + self.encoded.len()
    }

    /// Add `others`.
    pub(super) fn append(&mut self, others: Self) {
        self.records.extend(others.records);
        self.encoded.append(&others.encoded);
    }

    /// Take what is there, and leave room for as much.
    fn take(&mut self) -> Self {
        let room = Self {
            records: Vec::with_capacity(self.records.len()),
            encoded: EncodedSpans::with_room_for(&self.encoded),
        };
        std::mem::replace(self, room)
    }

    fn truncate(&mut self, count: usize) {
        self.records.truncate(count);
        self.encoded.truncate(count);
    }
}

/// The sending half of a tracer's queue; each worker has a clone.
#[derive(Debug, Clone)]
pub(crate) struct SpanQueue {
    sender: mpsc::UnboundedSender<Batch>,
    counters: Arc<QueueCounters>,
    flush: Flush,
    encoder: Option<SpanEncoder>,
}

/// What is known of a queue.
#[derive(Debug, Default)]
pub(crate) struct QueueCounters {
    /// Spans in it now.
    pub(crate) waiting: AtomicUsize,
    /// Spans that did not fit.
    pub(crate) dropped: AtomicU64,
}

/// A queue for one tracer: what workers get, what the exporter reads, and what both count. With an `encoder` spans are
/// written as they end.
pub(crate) fn queue(
    flush: Flush,
    encoder: Option<SpanEncoder>,
) -> (SpanQueue, mpsc::UnboundedReceiver<Batch>, Arc<QueueCounters>) {
    // The channel itself has no bound: `waiting` bounds it by spans, whatever the size of batches.
    let (sender, receiver) = mpsc::unbounded_channel();
    let counters = Arc::<QueueCounters>::default();
    (SpanQueue { sender, counters: Arc::clone(&counters), flush, encoder }, receiver, counters)
}

impl SpanQueue {
    fn hand_over(&self, mut batch: Batch) {
        let waiting = self.counters.waiting.fetch_add(batch.len(), Ordering::Relaxed);
        let room = self.flush.waiting.saturating_sub(waiting);
        let excess = batch.len().saturating_sub(room);
        if excess > 0 {
            batch.truncate(room);
            self.counters.waiting.fetch_sub(excess, Ordering::Relaxed);
            self.counters.dropped.fetch_add(excess as u64, Ordering::Relaxed);
        }
        let count = batch.len();
        // An empty batch would still take the memory of a full one, for as long as the exporter is held up.
        if count == 0 {
            return;
        }
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
    tracers: Vec<(SpanQueue, RefCell<Unsent>)>,
    waiting: Notify,
}

/// What a worker has not handed over yet.
#[derive(Debug, Default)]
struct Unsent {
    batch: Batch,
    encoder: Option<SpanEncoder>,
}

impl SpanBuffer {
    /// With one queue per tracer of the snapshot.
    pub(crate) fn new(queues: Vec<SpanQueue>) -> Rc<Self> {
        let tracers = queues.into_iter().map(|mut queue| {
            let unsent = Unsent { encoder: queue.encoder.take(), ..Unsent::default() };
            (queue, RefCell::new(unsent))
        });
        Rc::new(Self { tracers: tracers.collect(), waiting: Notify::new() })
    }

    /// Keep `span` until the next hand-over.
    pub(crate) fn push(&self, span: FinishedSpan) {
        let Some((queue, unsent)) = self.tracers.get(span.tracer) else { return };
        let Unsent { batch, encoder } = &mut *unsent.borrow_mut();
        if batch.len() == 0 {
            self.waiting.notify_one();
        }
        match encoder {
            Some(encoder) => encoder.encode(&span, &mut batch.encoded),
            None => batch.records.push(span),
        }
        if batch.len() >= queue.flush.spans {
            queue.hand_over(batch.take());
        }
    }

    /// Hand over all that waits.
    pub(crate) fn flush(&self) {
        for (queue, unsent) in &self.tracers {
            let batch = std::mem::take(&mut unsent.borrow_mut().batch);
            if batch.len() > 0 {
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

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use http::HeaderValue;

    use super::*;
    use crate::{
        snapshot::{Node, tracing::Conventions},
        trace::{SpanKind, SpanName, Subject, attempt::AttemptFacts, context::Carrier},
    };

    fn span() -> FinishedSpan {
        FinishedSpan {
            tracer: 0,
            trace_id: 1_u128.into(),
            span_id: 1_u64.into(),
            parent: None,
            remote_parent: false,
            carrier: Carrier::TraceContext,
            egress: false,
            trace_state: HeaderValue::from_static(""),
            kind: SpanKind::Server,
            name: SpanName::Ingress,
            start: SystemTime::UNIX_EPOCH,
            end: SystemTime::UNIX_EPOCH,
            subject: Subject::Attempt(AttemptFacts::default()),
            route: "".into(),
            link: None,
            status: 200,
            flags: Default::default(),
            cluster: None,
            grpc_status: None,
            custom_tags: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Batches of four, of which ten spans may wait.
    fn filled(encoder: Option<SpanEncoder>, spans: usize) -> (Vec<Batch>, u64) {
        let flush = Flush { spans: 4, interval: Duration::from_secs(1), waiting: 10 };
        let (queue, mut batches, counters) = queue(flush, encoder);
        let buffer = SpanBuffer::new(vec![queue]);
        (0..spans).for_each(|_| buffer.push(span()));
        let received = std::iter::from_fn(|| batches.try_recv().ok()).collect();
        (received, counters.dropped.load(Ordering::Relaxed))
    }

    #[test]
    fn a_queue_that_is_full_takes_no_more_batches_and_counts_what_it_drops() {
        let node = Node { id: "".into(), cluster: "".into(), zone: "".into() };
        for encoder in [None, Some(SpanEncoder::new(&node, Conventions::Envoy))] {
            let (batches, dropped) = filled(encoder, 40);
            let sizes = batches.iter().map(Batch::len).collect::<Vec<_>>();
            assert_eq!((sizes.as_slice(), dropped), (&[4, 4, 2][..], 30));
        }
    }
}
