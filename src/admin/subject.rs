//! What the admin interface tells of.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use tokio::{
    sync::{Notify, mpsc::UnboundedSender},
    time::Instant,
};

use super::{CommandLineOptions, LastLook, StatNames, TracerStatus};
use crate::{
    cluster::ClusterState,
    export::logs::LogStats,
    loggers::Loggers,
    snapshot::{Address, Snapshot, listener::DrainedListeners},
    stream_info::IpText,
};

/// The process, as the admin interface sees it.
pub(crate) type Subject = Arc<Process>;

/// A serving process.
#[derive(Debug)]
pub(crate) struct Process {
    /// What is served.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its clusters.
    pub(crate) clusters: Vec<Arc<ClusterState>>,
    /// What its statistics are called.
    pub(crate) stat_names: StatNames,
    /// Its tracers.
    pub(crate) tracers: Vec<TracerStatus>,
    /// Its access logs that go to services of the network.
    pub(crate) logs: Vec<Arc<LogStats>>,
    /// How many workers serve.
    pub(crate) workers: usize,
    /// When it began.
    pub(crate) started: Instant,
    /// The same by the wall clock: when its configuration was read.
    pub(crate) loaded: SystemTime,
    /// It was told to answer health checks badly.
    pub(crate) unhealthy: AtomicBool,
    /// It was told to end, and lets open requests finish.
    pub(crate) ending: AtomicBool,
    /// Where it listens.
    pub(crate) listeners: Vec<ListenerStatus>,
    /// How it was started.
    pub(crate) options: CommandLineOptions,
    /// When somebody looked at its summary last.
    pub(crate) last_look: LastLook,
    /// The levels of its log.
    pub(crate) loggers: Arc<Loggers>,
    /// It keeps its own traces, and shows them.
    pub(crate) keeps_traces: bool,
    /// Whoever asks for statistics has them flushed to the stats sinks. `Bootstrap.stats_flush_on_admin`.
    pub(crate) flush: Option<Arc<Notify>>,
    /// This machine's address towards others.
    pub(crate) own_ip: IpText,
    /// What the main thread is told.
    pub(crate) orders: UnboundedSender<Order>,
}

/// A listener that is bound.
#[derive(Debug)]
pub(crate) struct ListenerStatus {
    /// `Listener.name`
    pub(crate) name: Arc<str>,
    /// Where, with the port that the system gave.
    pub(crate) address: Address,
}

/// What an operator has the process do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Open the files of logs again, after they were moved.
    ReopenLogs,
    /// Answer health checks badly, or well again.
    HealthCheck {
        /// Badly.
        fails: bool,
    },
    /// End the connections of listeners, and let them accept no more.
    Drain {
        /// Of which.
        listeners: DrainedListeners,
        /// They go on to accept for a while.
        graceful: bool,
        /// They go on to accept for ever.
        skip_exit: bool,
    },
    /// End as on SIGTERM.
    Quit,
}

/// `envoy.admin.v3.ServerInfo.State`, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It serves.
    Live = 0,
    /// It says of itself that it is not well, or it ends, so that nobody sends it anything new.
    Draining = 1,
}

impl State {
    /// Its name in the API.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Draining => "DRAINING",
        }
    }
}

impl Process {
    /// What it does.
    pub(super) fn state(&self) -> State {
        let drains = self.unhealthy.load(Ordering::Relaxed) || self.ending.load(Ordering::Relaxed);
        if drains { State::Draining } else { State::Live }
    }

    /// Whether it serves and is well.
    pub(super) fn is_live(&self) -> bool {
        self.state() == State::Live
    }
}
