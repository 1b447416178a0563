//! Takes the spans of a tracer to its collector, off the workers.
//!
//! Each tracer has a task of its own on the main thread, so that a collector that hangs holds up no other, and none of
//! them a request. What waits is bounded and the oldest goes first; what fails in a way that may pass is sent again;
//! what is lost is counted by its reason, and said.

mod backoff;
mod call_headers;
pub(crate) mod doctor;
mod failure;
mod grpc_call;
mod health;
mod hint;
mod http_call;
pub(crate) mod logs;
pub(crate) mod metrics;
mod otlp;
mod queue;
pub(crate) mod sender;
pub(crate) mod stats;
mod xray;
mod zipkin;

use std::{
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

pub(crate) use self::failure::{Failure, Protocol, Retry};
use self::{
    backoff::Backoff,
    health::Health,
    queue::{Call, Queue},
    sender::{Accepted, Sender},
    stats::{DropReason, DroppedSpans, LastError, State, TracerStats},
};
use crate::{
    snapshot::tracing::Tracer,
    trace::{batch::Batch, buffer::HandOver},
};

/// Calls at a time, to a collector that is far away. More than one only where more than one call's spans wait.
const CALLS: usize = 4;
/// How long the last spans may take to leave at the end.
const LAST_EXPORT: Duration = Duration::from_secs(5);
/// A call that fails later than that is told at once; one that fails sooner when it has failed twice, since a connection
/// that the collector had closed costs a call and no span.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// Who sees each batch before it is sent.
pub(crate) type Onlooker = Option<Box<dyn FnMut(&Batch) + Send>>;

/// The exporter of one tracer.
pub(crate) struct Exporter {
    delivery: crate::snapshot::delivery::Delivery,
    sender: Arc<Sender>,
    incoming: mpsc::UnboundedReceiver<Batch>,
    workers: Arc<HandOver>,
    stats: Arc<TracerStats>,
    queue: Queue,
    calls: FuturesUnordered<Pin<Box<dyn Future<Output = Settled> + Send>>>,
    in_flight: usize,
    backoff: Backoff,
    health: Health,
    /// When the calls that are under way began, and why the last one failed.
    calling_since: Option<Instant>,
    /// Since when the oldest span of each of these waits.
    waiting_since: Vec<Instant>,
    onlooker: Onlooker,
    last_failure: Option<(String, Option<&'static str>)>,
}

/// A call that has ended.
struct Settled {
    call: Call,
    outcome: Result<Accepted, Failure>,
    took: Duration,
}

impl Exporter {
    /// An exporter of what arrives in `incoming`, of which `workers` counts what is handed over.
    pub(crate) fn new(
        tracer: &Tracer,
        sender: Sender,
        incoming: mpsc::UnboundedReceiver<Batch>,
        workers: Arc<HandOver>,
        stats: Arc<TracerStats>,
        onlooker: Onlooker,
    ) -> Self {
        Self {
            onlooker,
            queue: Queue::new(tracer.delivery.queue, tracer.delivery.call),
            health: Health::new(tracer.name(), sender.destination()),
            delivery: tracer.delivery.clone(),
            sender: Arc::new(sender),
            incoming,
            workers,
            stats,
            calls: FuturesUnordered::new(),
            in_flight: 0,
            backoff: Backoff::default(),
            calling_since: None,
            waiting_since: Vec::new(),
            last_failure: None,
        }
    }

    /// Export until all workers are gone and nothing waits, or the time for that is over, or somebody is in a `hurry`.
    pub(crate) async fn run(mut self, mut hurry: watch::Receiver<bool>) {
        // Set when the workers are gone.
        let mut end: Option<Instant> = None;
        loop {
            let now = Instant::now();
            self.give_up(now);
            self.start_calls(now);
            self.publish();
            self.speak(now);
            let nothing_left = self.queue.spans() == 0 && self.calls.is_empty();
            if end.is_some_and(|end| nothing_left || now >= end || self.backoff.is_until_after(end)) {
                break;
            }
            let given_up = self.queue.given_up_at(self.delivery.retry_for);
            let wake =
                [self.backoff.until(now), self.health.due(), given_up, end].into_iter().flatten().min();
            tokio::select! {
                received = self.incoming.recv(), if end.is_none() => match received {
                    Some(batch) => self.receive(batch),
                    None => {
                        end = Some(Instant::now() + LAST_EXPORT);
                        self.backoff.forget();
                    }
                },
                Some(settled) = self.calls.next(), if !self.calls.is_empty() => self.settle(settled),
                () = wait_until(wake) => {}
                _ = hurry.wait_for(|hurry| *hurry), if end.is_some() => break,
            }
        }
        self.end();
    }

    /// Put what has come into the queue.
    fn receive(&mut self, first: Batch) {
        let now = Instant::now();
        let overflowed = self.workers.overflowed.swap(0, Ordering::Relaxed);
        self.count_overflow(usize::try_from(overflowed).unwrap_or(usize::MAX), now);
        let mut next = Some(first);
        while let Some(batch) = next {
            self.workers.taken(&batch);
            if let Some(onlooker) = &mut self.onlooker {
                onlooker(&batch);
            }
            let dropped = self.queue.push(batch, now);
            self.count_overflow(dropped, now);
            next = self.incoming.try_recv().ok();
        }
    }

    /// Count what found no room, and tell why there is none: the collector may be slow, or gone.
    fn count_overflow(&mut self, dropped: usize, now: Instant) {
        if dropped == 0 {
            return;
        }
        let before = self.drop_spans(DropReason::QueueFull, dropped);
        let silent = self.calling_since.filter(|since| now - *since >= NOTEWORTHY);
        match (&self.last_failure, silent) {
            (Some((cause, hint)), _) if self.backoff.is_failing() => {
                self.health.failed(cause, *hint, &before, now);
            }
            (_, Some(_)) => self.health.failed("has not answered yet", None, &before, now),
            // A first call that is under way may yet say what is wrong.
            (_, None) if self.stats.update(|delivered| delivered.state) == State::Ok => {
                self.health.behind(&before, now);
            }
            (_, None) => {}
        }
    }

    /// Count, and say what was lost before.
    fn drop_spans(&self, reason: DropReason, spans: usize) -> DroppedSpans {
        self.stats.update(|delivered| {
            let before = delivered.dropped;
            delivered.count_dropped(reason, spans);
            before
        })
    }

    /// Drop what has been sent again for long enough.
    fn give_up(&mut self, now: Instant) {
        let dropped = self.queue.give_up(self.delivery.retry_for, now);
        if dropped == 0 {
            return;
        }
        let before = self.drop_spans(DropReason::Timeout, dropped);
        // While the collector is left alone, nothing else would tell.
        if let Some((cause, hint)) = &self.last_failure {
            self.health.failed(cause, *hint, &before, now);
        }
    }

    /// Start as many calls as there may be. While calls fail there is one at a time, to see whether they still do.
    fn start_calls(&mut self, now: Instant) {
        while self.backoff.is_over(now)
            && (self.calls.is_empty()
                || !self.backoff.is_failing() && self.queue.has_full_call() && self.calls.len() < CALLS)
            && let Some(mut call) = self.queue.take()
        {
            if call.sent(now) {
                self.stats.update(|delivered| delivered.retries += 1);
            }
            self.in_flight += call.batch.len();
            self.calling_since.get_or_insert(now);
            self.waiting_since.push(call.since());
            let sender = Arc::clone(&self.sender);
            self.calls.push(Box::pin(async move {
                let outcome = sender.send(&call.batch).await;
                Settled { outcome, took: now.elapsed(), call }
            }));
        }
    }

    /// Count what became of a call.
    fn settle(&mut self, Settled { call, outcome, took }: Settled) {
        let now = Instant::now();
        let spans = call.batch.len();
        self.in_flight -= spans;
        if let Some(at) = self.waiting_since.iter().position(|since| *since == call.since()) {
            self.waiting_since.swap_remove(at);
        }
        self.calling_since = (!self.calls.is_empty()).then_some(now);
        match outcome {
            Ok(accepted) => self.accepted(spans, &accepted, now),
            Err(failure) => self.failed(call, &failure, took, now),
        }
    }

    fn accepted(&mut self, spans: usize, accepted: &Accepted, now: Instant) {
        let rejected = accepted.rejected.min(spans);
        let message = &accepted.message;
        self.backoff.forget();
        let before = self.stats.update(|delivered| {
            delivered.exported += (spans - rejected) as u64;
            delivered.batches += 1;
            delivered.bytes += accepted.bytes as u64;
            delivered.state = if rejected > 0 { State::Failing } else { State::Ok };
            let before = delivered.dropped;
            delivered.count_dropped(DropReason::Rejected, rejected);
            before
        });
        if rejected > 0 {
            let cause = match message.as_str() {
                "" => format!("rejected {rejected} of {spans} spans without a reason"),
                message => format!("rejected {rejected} of {spans} spans: {message}"),
            };
            self.health.failed(&cause, None, &before, now);
            self.remember(cause, None);
            return;
        }
        self.health.succeeded(now);
        if !message.is_empty() {
            if let Some(line) = self.health.remarked(message, now) {
                line.log();
            }
            self.remember(format!("took the spans, and says: {message}"), None);
        }
    }

    fn failed(&mut self, call: Call, failure: &Failure, took: Duration, now: Instant) {
        let hint = failure.hint(self.sender.protocol());
        let before = self.stats.update(|delivered| {
            delivered.failed += 1;
            delivered.state = State::Failing;
            delivered.dropped
        });
        let lost = match failure.retry {
            Retry::No => {
                self.drop_spans(DropReason::Permanent, call.batch.len());
                self.backoff.failed_for_good();
                true
            }
            Retry::Soon | Retry::After(_) => {
                self.backoff.failed(failure.retry, now);
                let dropped = self.queue.put_back(call);
                if dropped > 0 {
                    self.drop_spans(DropReason::QueueFull, dropped);
                }
                dropped > 0
            }
        };
        let long_pause = matches!(failure.retry, Retry::After(pause) if pause >= NOTEWORTHY);
        if lost || long_pause || took >= NOTEWORTHY || self.backoff.failures() > 1 {
            self.health.failed(&failure.told(), hint, &before, now);
        }
        self.last_failure = Some((failure.told(), hint));
        self.remember(failure.told(), hint);
    }

    fn remember(&self, cause: String, hint: Option<&'static str>) {
        let error = LastError { time: SystemTime::now(), cause, hint };
        self.stats.update(|delivered| delivered.last_error = Some(error));
    }

    /// Let others see what waits.
    fn publish(&self) {
        self.stats.update(|delivered| {
            delivered.queued_spans = self.queue.spans();
            delivered.queued_bytes = self.queue.bytes();
            delivered.oldest = self.waiting_since.iter().copied().chain(self.queue.oldest()).min();
            if delivered.state == State::Idle && !self.calls.is_empty() {
                delivered.state = State::Calling;
            }
            delivered.in_flight = self.in_flight;
        });
    }

    fn speak(&mut self, now: Instant) {
        if self.health.due().is_some_and(|due| due <= now)
            && let Some(line) = self.health.line(&self.stats.figures().delivered, now)
        {
            line.log();
        }
    }

    /// Count what is left as lost, and say what became of all.
    fn end(mut self) {
        let left = self.queue.clear() + std::mem::take(&mut self.in_flight);
        if left > 0 {
            self.drop_spans(DropReason::Shutdown, left);
        }
        self.publish();
        if let Some(line) = self.health.last_words(&self.stats.figures().delivered) {
            line.log();
        }
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
