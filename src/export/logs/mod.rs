//! Takes entries of access logs to services of the network, off the workers.
//!
//! As with spans, each service has a task of its own on the main thread; what waits is bounded in bytes and the oldest
//! goes first; what is lost is counted, and said when it begins and when it is over. [`otlp`] makes calls that are
//! answered, and makes them again; [`stream`] keeps a stream open on which nothing is answered.

mod otlp;
mod queue;
mod report;
mod stream;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant},
};

use self::{
    otlp::LogCalls,
    queue::{Portion, Queue},
    report::Report,
    stream::LogStream,
};
use super::sender::Surroundings;
use crate::{
    access_log::{file::Batch, service::OnTheWay},
    snapshot::log_service::{LogProtocol, LogService},
};

/// How long the last entries may take to leave at the end.
const LAST_EXPORT: Duration = Duration::from_secs(5);

/// What became of a service's entries.
#[derive(Debug)]
pub(crate) struct LogStats {
    /// The service.
    pub(crate) service: Arc<LogService>,
    written: AtomicU64,
    dropped: AtomicU64,
    on_the_way: Arc<OnTheWay>,
}

impl LogStats {
    /// Nothing yet, beside what workers could not hand over.
    pub(crate) fn new(service: &Arc<LogService>, on_the_way: &Arc<OnTheWay>) -> Arc<Self> {
        Arc::new(Self {
            service: Arc::clone(service),
            written: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            on_the_way: Arc::clone(on_the_way),
        })
    }

    /// Entries that have arrived, as far as can be known. `logs_written`.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Entries that were lost. `logs_dropped`.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) + self.on_the_way.lost()
    }

    fn count_written(&self, entries: u64) {
        self.written.fetch_add(entries, Ordering::Relaxed);
    }

    fn count_dropped(&self, entries: u64) {
        self.dropped.fetch_add(entries, Ordering::Relaxed);
    }
}

/// What sends a service's entries.
pub(crate) struct LogExporter {
    kind: Kind,
    inbox: Inbox,
}

enum Kind {
    Calls(LogCalls),
    Stream(LogStream),
}

impl LogExporter {
    /// Of what arrives in `incoming`. It fails if the service has no usable address. Needs a runtime.
    pub(crate) fn new(
        stats: &Arc<LogStats>,
        around: &Surroundings<'_>,
        incoming: mpsc::UnboundedReceiver<Batch>,
    ) -> Result<Self, String> {
        let service = &stats.service;
        let (kind, destination) = match &service.protocol {
            LogProtocol::OpenTelemetry { exporter, resource } => {
                let (calls, destination) = LogCalls::new(exporter, resource, around)?;
                (Kind::Calls(calls), destination)
            }
            LogProtocol::AccessLogService { service, identifier } => {
                let (stream, destination) = LogStream::new(service, identifier, around)?;
                (Kind::Stream(stream), destination)
            }
        };
        let report = Report::new(&service.name, destination);
        Ok(Self {
            kind,
            inbox: Inbox { incoming, stats: Arc::clone(stats), queue: Queue::default(), report },
        })
    }

    /// Where its entries go, in words.
    pub(crate) fn destination(&self) -> &str {
        self.inbox.report.destination()
    }

    /// In which way.
    pub(crate) fn protocol(&self) -> &'static str {
        match &self.kind {
            Kind::Calls(calls) => calls.protocol().name(),
            Kind::Stream(_) => "gRPC",
        }
    }

    /// Send until all workers are gone and nothing waits, or the time for that is over, or somebody is in a `hurry`.
    pub(crate) async fn run(self, hurry: watch::Receiver<bool>) {
        let inbox = match self.kind {
            Kind::Calls(calls) => calls.run(self.inbox, hurry).await,
            Kind::Stream(stream) => stream.run(self.inbox, hurry).await,
        };
        inbox.end();
    }
}

/// What has come and was not sent yet, and what is counted and said of it.
struct Inbox {
    incoming: mpsc::UnboundedReceiver<Batch>,
    stats: Arc<LogStats>,
    queue: Queue,
    report: Report,
}

impl Inbox {
    /// Put what has come into the queue.
    fn receive(&mut self, first: Batch) {
        let mut lost = self.stats.on_the_way.take_lost();
        self.stats.count_dropped(lost);
        let mut next = Some(first);
        while let Some(batch) = next {
            self.stats.on_the_way.arrived(&batch);
            let dropped = self.queue.push(batch);
            self.stats.count_dropped(dropped);
            lost += dropped;
            next = self.incoming.try_recv().ok();
        }
        if lost > 0 {
            self.report.behind(self.stats.dropped());
        }
    }

    /// Put back what could not be sent.
    fn put_back(&mut self, portion: Portion) {
        let dropped = self.queue.put_back(portion);
        self.stats.count_dropped(dropped);
    }

    /// Count what is left as lost, and say what became of all.
    fn end(mut self) {
        let lost = self.stats.on_the_way.take_lost();
        self.stats.count_dropped(lost + self.queue.clear());
        self.report.last_words(self.stats.written(), self.stats.dropped());
    }
}

async fn wait_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
