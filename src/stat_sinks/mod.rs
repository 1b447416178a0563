//! Sends statistics on, at intervals or when they are asked for.
//!
//! A flush adds up what all threads counted, once for all sinks. Each sink has a task of its own on the main thread, so
//! that one that hangs holds up no other, and none of them a request. What a sink could not take in time is not kept: the
//! next flush tells what has become of it since.

mod datagrams;
mod health;
mod lines;
mod open_telemetry;
mod since;
mod statsd;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior},
};

use self::{health::Health, open_telemetry::OpenTelemetry, statsd::StatsdSender};
use crate::{
    export::sender::Surroundings,
    snapshot::{
        Snapshot,
        stats::{StatsFlush, StatsSink, StatsSinkKind},
    },
    stats::Stat,
};

/// How long the last flush may take at the end.
const LAST_FLUSH: Duration = Duration::from_secs(5);

/// All statistics at a moment, sorted by name.
type Collected = Arc<Vec<Stat>>;

/// A sink that cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("stats sink \"{name}\": {error}")]
pub(crate) struct SinkError {
    name: String,
    error: String,
}

/// The flushes of a process.
#[derive(Debug)]
pub(crate) struct Flushes {
    end: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Flushes {
    /// Begin to flush to the sinks of `snapshot`, when it is time or, if that is how it is done, when it is `asked` for;
    /// `collect` gathers statistics. Nothing is begun if there are no sinks.
    pub(crate) fn start(
        snapshot: &Arc<Snapshot>,
        around: &Surroundings<'_>,
        asked: Arc<Notify>,
        collect: impl Fn() -> Vec<Stat> + Send + 'static,
    ) -> Result<Option<Self>, SinkError> {
        if snapshot.stats_sinks.is_empty() {
            return Ok(None);
        }
        let (mut senders, mut tasks) = (Vec::new(), Vec::new());
        for index in 0..snapshot.stats_sinks.len() {
            let Some(sink) = Sink::new(snapshot, index, around)? else { continue };
            let (sender, flushes) = mpsc::channel(1);
            senders.push(sender);
            tasks.push(tokio::spawn(sink.serve(flushes)));
        }
        let (end, ending) = oneshot::channel();
        let flusher = Flusher { snapshot: Arc::clone(snapshot), asked, collect, senders, tasks };
        Ok(Some(Self { end, ended: tokio::spawn(flusher.run(ending)) }))
    }

    /// Flush for the last time, unless somebody is in a `hurry`.
    pub(crate) async fn finish(self, mut hurry: watch::Receiver<bool>) {
        // Whoever has ended needs not be told.
        let _ = self.end.send(());
        tokio::select! {
            ended = tokio::time::timeout(LAST_FLUSH, self.ended) => if ended.is_err() {
                tracing::warn!("stats sinks did not take the last statistics within {LAST_FLUSH:?}");
            },
            _ = hurry.wait_for(|hurry| *hurry) => {}
        }
    }
}

struct Flusher<F> {
    snapshot: Arc<Snapshot>,
    asked: Arc<Notify>,
    collect: F,
    senders: Vec<mpsc::Sender<Collected>>,
    tasks: Vec<JoinHandle<()>>,
}

impl<F: Fn() -> Vec<Stat>> Flusher<F> {
    async fn run(self, mut end: oneshot::Receiver<()>) {
        let every = match self.snapshot.stats_flush {
            StatsFlush::Every(interval) => Some(interval),
            StatsFlush::OnAdmin => None,
        };
        let mut timer = every.map(|every| {
            let mut timer = tokio::time::interval_at(Instant::now() + every, every);
            // A flush that comes late moves those after it.
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        });
        let due = async |timer: &mut Option<tokio::time::Interval>| match timer {
            Some(timer) => drop(timer.tick().await),
            None => self.asked.notified().await,
        };
        loop {
            tokio::select! {
                () = due(&mut timer) => {}
                _ = &mut end => break,
            }
            let collected = Arc::new((self.collect)());
            let busy = self.senders.iter().map(|sender| sender.try_send(Arc::clone(&collected)));
            if busy.filter(Result::is_err).count() > 0 {
                self.snapshot.flush_stats.mine().dropped_stat_flushes.inc();
            }
        }
        let collected = Arc::new((self.collect)());
        for sender in &self.senders {
            // A sink that takes nothing any more has said so.
            let _ = sender.send(Arc::clone(&collected)).await;
        }
        drop(self.senders);
        for task in self.tasks {
            let _ = task.await;
        }
    }
}

/// A sink at work.
struct Sink {
    snapshot: Arc<Snapshot>,
    /// Its place in `Snapshot::stats_sinks`.
    index: usize,
    sender: Sender,
    health: Health,
}

enum Sender {
    Statsd(StatsdSender),
    OpenTelemetry(Box<OpenTelemetry>),
}

impl Sink {
    fn new(
        snapshot: &Arc<Snapshot>,
        index: usize,
        around: &Surroundings<'_>,
    ) -> Result<Option<Self>, SinkError> {
        let Some(sink) = snapshot.stats_sinks.get(index) else { return Ok(None) };
        let failed = |error| SinkError { name: sink.name.to_string(), error };
        let (sender, destination) = match &sink.kind {
            StatsSinkKind::Statsd(statsd) => {
                let sender = StatsdSender::new(statsd, around).map_err(failed)?;
                let destination = sender.destination();
                (Sender::Statsd(sender), destination)
            }
            StatsSinkKind::OpenTelemetry(config) => {
                let sender = OpenTelemetry::new(config, around).map_err(failed)?;
                let destination = sender.destination();
                (Sender::OpenTelemetry(Box::new(sender)), destination)
            }
        };
        tracing::info!("stats sink \"{}\" sends statistics to {destination}", sink.name);
        let health = Health::new(&sink.name, destination);
        Ok(Some(Self { snapshot: Arc::clone(snapshot), index, sender, health }))
    }

    async fn serve(mut self, mut flushes: mpsc::Receiver<Collected>) {
        while let Some(collected) = flushes.recv().await {
            let Some(StatsSink { kind, stats, .. }) = self.snapshot.stats_sinks.get(self.index) else {
                return;
            };
            let outcome = match (&mut self.sender, kind) {
                (Sender::Statsd(sender), StatsSinkKind::Statsd(config)) => {
                    sender.send(config, collected).await
                }
                (Sender::OpenTelemetry(sender), StatsSinkKind::OpenTelemetry(config)) => {
                    sender.send(config, collected).await
                }
                _ => return,
            };
            match &outcome {
                Ok(()) => stats.mine().flush_success.inc(),
                Err(_) => stats.mine().flush_failure.inc(),
            }
            self.health.after(&outcome, Instant::now());
        }
    }
}
