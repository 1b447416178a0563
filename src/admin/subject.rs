//! What the admin interface tells of.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::time::Instant;

use super::TracerStatus;
use crate::{cluster::ClusterState, snapshot::Snapshot};

/// The process, as the admin interface sees it.
pub(crate) type Subject = Arc<Process>;

/// A serving process.
#[derive(Debug)]
pub(crate) struct Process {
    /// What is served.
    pub(crate) snapshot: Arc<Snapshot>,
    /// Its clusters.
    pub(crate) clusters: Vec<Arc<ClusterState>>,
    /// Its tracers.
    pub(crate) tracers: Vec<TracerStatus>,
    /// How many workers serve.
    pub(crate) workers: usize,
    /// When it began.
    pub(crate) started: Instant,
    /// It was told to answer health checks badly.
    pub(crate) unhealthy: AtomicBool,
}

/// `envoy.admin.v3.ServerInfo.State`, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It serves.
    Live = 0,
    /// It says of itself that it is not well, so that nobody sends it anything new.
    Draining = 1,
}

impl Process {
    /// What it does.
    pub(super) fn state(&self) -> State {
        if self.unhealthy.load(Ordering::Relaxed) { State::Draining } else { State::Live }
    }

    /// Whether it serves and is well.
    pub(super) fn is_live(&self) -> bool {
        self.state() == State::Live
    }
}
