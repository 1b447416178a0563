//! Where a worker keeps finished spans until they are handed to the exporter.
//!
//! The worker takes no lock and wakes no other thread per span: it gathers, and hands over a whole batch when
//! there are enough of them or a moment has passed. The exporter bounds what waits behind; should it not come to that
//! for a while, since its thread gets no time, the worker does it.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tokio::sync::{Notify, mpsc};

use super::{FinishedSpan, batch::Batch, otlp::SpanEncoder};
use crate::snapshot::delivery::{Flush, Limits};

/// So many bytes are handed over at once, however few spans they are of.
const HAND_OVER_BYTES: usize = 256 << 10;

/// The sending half of a tracer's hand-over; each worker has a clone.
#[derive(Debug, Clone)]
pub(crate) struct SpanQueue {
    sender: mpsc::UnboundedSender<Batch>,
    counters: Arc<HandOver>,
    flush: Flush,
    limits: Limits,
    encoder: Option<SpanEncoder>,
}

/// What workers have handed over.
#[derive(Debug, Default)]
pub(crate) struct HandOver {
    /// Spans that have ended, lost ones included.
    pub(crate) created: AtomicU64,
    /// Spans that the exporter has not taken yet.
    pub(crate) spans: AtomicUsize,
    /// The bytes of these.
    pub(crate) bytes: AtomicUsize,
    /// Spans that were lost since too many were there.
    pub(crate) overflowed: AtomicU64,
    /// Batches that were handed over since their time had come.
    pub(crate) timer_flushed: AtomicU64,
}

impl HandOver {
    /// The exporter has taken `batch`.
    pub(crate) fn taken(&self, batch: &Batch) {
        self.spans.fetch_sub(batch.len(), Ordering::Relaxed);
        self.bytes.fetch_sub(batch.bytes(), Ordering::Relaxed);
    }
}

/// A hand-over for one tracer: what workers get, what the exporter reads, and what is counted. `limits` is what may
/// lie in it. With an `encoder` spans are written as they end.
pub(crate) fn queue(
    flush: Flush,
    limits: Limits,
    encoder: Option<SpanEncoder>,
) -> (SpanQueue, mpsc::UnboundedReceiver<Batch>, Arc<HandOver>) {
    // The channel itself has no bound: the counters bound it by spans and bytes, whatever the size of batches.
    let (sender, receiver) = mpsc::unbounded_channel();
    let counters = Arc::<HandOver>::default();
    (SpanQueue { sender, counters: Arc::clone(&counters), flush, limits, encoder }, receiver, counters)
}

impl SpanQueue {
    fn hand_over(&self, batch: Batch) {
        let (spans, bytes) = (batch.len(), batch.bytes());
        let counters = &self.counters;
        counters.created.fetch_add(spans as u64, Ordering::Relaxed);
        let room = counters.spans.load(Ordering::Relaxed) < self.limits.spans
            && counters.bytes.load(Ordering::Relaxed) < self.limits.bytes;
        if !room {
            counters.overflowed.fetch_add(spans as u64, Ordering::Relaxed);
            return;
        }
        counters.spans.fetch_add(spans, Ordering::Relaxed);
        counters.bytes.fetch_add(bytes, Ordering::Relaxed);
        // It fails only when the exporter is gone, which is after the last request at shutdown.
        if let Err(mpsc::error::SendError(batch)) = self.sender.send(batch) {
            counters.taken(&batch);
            counters.overflowed.fetch_add(spans as u64, Ordering::Relaxed);
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
            None => batch.push_record(span),
        }
        if batch.len() >= queue.flush.spans || batch.bytes() >= HAND_OVER_BYTES {
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
            let due = self.tracers.iter().filter(|(_, unsent)| unsent.borrow().batch.len() > 0);
            due.for_each(|(queue, _)| {
                queue.counters.timer_flushed.fetch_add(1, Ordering::Relaxed);
            });
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
            cause: None,
            events: Vec::new(),
        }
    }

    /// Batches of four, of which ten spans may lie there, or so many bytes.
    fn filled(encoder: Option<SpanEncoder>, spans: usize, bytes: usize) -> (Vec<Batch>, Arc<HandOver>) {
        let flush = Flush { spans: 4, interval: Duration::from_secs(1) };
        let (queue, mut batches, counters) = queue(flush, Limits { spans: 10, bytes }, encoder);
        let buffer = SpanBuffer::new(vec![queue]);
        (0..spans).for_each(|_| buffer.push(span()));
        let received = std::iter::from_fn(|| batches.try_recv().ok()).collect();
        (received, counters)
    }

    #[test]
    fn what_the_exporter_does_not_take_is_bounded_and_the_rest_is_counted() {
        let node = Node::default();
        for encoder in [None, Some(SpanEncoder::new(&node, Conventions::Envoy))] {
            for (bytes, kept) in [(usize::MAX, &[4, 4, 4][..]), (1, &[4])] {
                let (batches, counters) = filled(encoder.clone(), 40, bytes);
                let sizes = batches.iter().map(Batch::len).collect::<Vec<_>>();
                let lost = counters.overflowed.load(Ordering::Relaxed);
                let created = counters.created.load(Ordering::Relaxed);
                assert_eq!((sizes.as_slice(), created), (kept, 40));
                assert_eq!(lost, 40 - sizes.iter().sum::<usize>() as u64);
                batches.iter().for_each(|batch| counters.taken(batch));
                assert_eq!(counters.spans.load(Ordering::Relaxed), 0);
                assert_eq!(counters.bytes.load(Ordering::Relaxed), 0);
            }
        }
    }

    #[test]
    fn the_oldest_spans_of_a_batch_can_be_let_go() {
        let node = Node::default();
        for encoder in [None, Some(SpanEncoder::new(&node, Conventions::Envoy))] {
            let (batches, _) = filled(encoder, 4, usize::MAX);
            let mut batch = batches.into_iter().next().unwrap();
            let whole = batch.bytes();
            assert_eq!(batch.oldest_of(1), 1);
            assert_eq!(batch.oldest_of(whole), 4);
            batch.drop_oldest(1);
            assert_eq!((batch.len(), batch.bytes()), (3, whole / 4 * 3));
            batch.drop_oldest(9);
            assert_eq!((batch.len(), batch.bytes()), (0, 0));
        }
    }
}
