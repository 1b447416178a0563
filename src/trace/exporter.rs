//! Sends the spans of one tracer to its collector, off the workers.
//!
//! Each tracer has a task of its own on the main thread, so that a collector that hangs holds up no other, and
//! none of them a request. Batches are sent one at a time; what waits meanwhile is bounded by the queue.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{
    buffer::{Batch, QueueCounters},
    sender::{Lost, Sender},
};
use crate::snapshot::tracing::Tracer;

/// Spans of one export call.
const EXPORT_SPANS: usize = 512;
/// The least time between two log lines about the same fault.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The exporter of one tracer.
#[derive(Debug)]
pub(crate) struct Exporter {
    tracer: Arc<Tracer>,
    sender: Sender,
    spans: mpsc::UnboundedReceiver<Batch>,
    counters: Arc<QueueCounters>,
    health: Health,
}

/// Whether exports succeed, and when that was last said.
#[derive(Debug, Default)]
struct Health {
    failing: bool,
    /// Why the last export failed.
    cause: Option<String>,
    /// Lost since the last line.
    lost: u64,
    /// What the queue had dropped at the last line.
    dropped_before: u64,
    said: Option<Instant>,
}

impl Exporter {
    /// An exporter of what arrives in `spans`.
    pub(crate) fn new(
        tracer: Arc<Tracer>,
        sender: Sender,
        spans: mpsc::UnboundedReceiver<Batch>,
        counters: Arc<QueueCounters>,
    ) -> Self {
        Self { tracer, sender, spans, counters, health: Health::default() }
    }

    /// Export until all workers are gone and the queue is empty.
    pub(crate) async fn run(mut self) {
        while let Some(mut batch) = self.spans.recv().await {
            // Take what else is there, so that many small hand-overs make one call.
            while batch.len() + self.tracer.flush.spans <= EXPORT_SPANS
                && let Ok(more) = self.spans.try_recv()
            {
                batch.append(more);
            }
            let count = batch.len();
            let outcome = self.sender.send(batch).await;
            self.counters.waiting.fetch_sub(count, Ordering::Relaxed);
            self.report(outcome);
        }
        let cause = self.health.cause.take();
        self.say_lost(cause.as_deref());
    }

    /// One line when spans begin to be lost, at most one in ten seconds while they are, one when exports work again.
    fn report(&mut self, outcome: Result<(), Lost>) {
        let cause = match outcome {
            Err(Lost { spans, cause }) => {
                self.health.lost += spans as u64;
                Some(cause)
            }
            Ok(()) => None,
        };
        match &cause {
            Some(_) => self.health.failing = true,
            None if std::mem::take(&mut self.health.failing) => {
                self.say_lost(None);
                tracing::info!("tracer \"{}\": spans are exported again", self.tracer.name());
                self.health.said = None;
            }
            None => {}
        }
        if self.health.said.is_none_or(|said| said.elapsed() >= LOG_INTERVAL) {
            self.say_lost(cause.as_deref());
        }
        self.health.cause = cause;
    }

    /// Say what was lost since the last time, if anything was.
    fn say_lost(&mut self, cause: Option<&str>) {
        let dropped = self.counters.dropped.load(Ordering::Relaxed);
        let overflowed = dropped - self.health.dropped_before;
        let lost = std::mem::take(&mut self.health.lost) + overflowed;
        if lost == 0 {
            return;
        }
        self.health.dropped_before = dropped;
        self.health.said = Some(Instant::now());
        tracing::warn!(
            "tracer \"{}\": {lost} spans lost since the last report, {overflowed} of them because the queue was full; \
             {} {}; requests are not affected",
            self.tracer.name(),
            self.sender.destination(),
            cause.map_or_else(
                || "is slower than spans come".to_owned(),
                |cause| format!("did not take them: {cause}")
            ),
        );
    }
}
