//! A connection's place among those of its host and cluster, and what is counted of it.

use std::{
    cell::Cell,
    rc::{Rc, Weak},
    sync::Arc,
};

use http::Version;
use tokio::time::Instant;

use super::{Failure, conn_pool::HostPool};
use crate::{
    cluster::{ClusterState, circuit_breaker::Permit, host::Host},
    snapshot::Local,
    stats::ClusterStats,
};

/// Held for as long as a connection opens or is open. Its end, for whatever reason, makes room for who waits.
#[derive(Debug)]
pub(crate) struct Slot {
    permit: Option<Permit>,
    pool: Weak<HostPool>,
    cluster: Local<ClusterState>,
    host: Arc<Host>,
    began: Instant,
    served: Cell<u32>,
    closed_here: Cell<bool>,
    /// Streams under way at its end. (Of an HTTP/1 connection who holds its request knows.)
    active: Cell<u32>,
}

impl Slot {
    /// The place of a connection of `pool` that begins to open.
    pub(super) fn new(permit: Option<Permit>, pool: &Rc<HostPool>) -> Self {
        let stats = pool.cluster.config.stats.mine();
        stats.upstream_cx_total.inc();
        stats.upstream_cx_active.inc();
        let host = pool.host.stats.mine();
        host.cx_total.inc();
        host.cx_active.inc();
        Self {
            host: Arc::clone(&pool.host),
            permit,
            pool: Rc::downgrade(pool),
            cluster: Rc::clone(&pool.cluster),
            began: Instant::now(),
            served: Cell::new(0),
            closed_here: Cell::new(false),
            active: Cell::new(0),
        }
    }

    fn stats(&self) -> &ClusterStats {
        self.cluster.config.stats.mine()
    }

    /// The connection will speak `version`.
    pub(super) fn speaks(&self, version: Version) {
        match version {
            Version::HTTP_2 => self.stats().upstream_cx_http2_total.inc(),
            _ => self.stats().upstream_cx_http1_total.inc(),
        }
    }

    /// The connection is open.
    pub(super) fn opened(&self) {
        self.stats().upstream_cx_connect_ms.record(self.age_ms());
    }

    /// The connection cannot be opened.
    pub(super) fn failed(&self, failure: Failure) {
        self.stats().upstream_cx_connect_fail.inc();
        self.host.stats.mine().cx_connect_fail.inc();
        if failure == Failure::ConnectTimeout {
            self.stats().upstream_cx_connect_timeout.inc();
            self.closed_here.set(true);
        }
    }

    /// It was given a request.
    pub(super) fn serve(&self) {
        self.served.set(self.served.get().saturating_add(1));
    }

    /// It has had that many streams, and `active` of them are under way.
    pub(super) fn count_streams(&self, served: u32, active: u32) {
        self.served.set(served);
        self.active.set(active);
    }

    /// It is closed from this side.
    pub(super) fn close_here(&self) {
        self.closed_here.set(true);
    }

    fn age_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A connection ends with a request under way, from this side or from the host's.
pub(super) fn count_cut(stats: &ClusterStats, here: bool) {
    stats.upstream_cx_destroy_with_active_rq.inc();
    let by = if here {
        &stats.upstream_cx_destroy_local_with_active_rq
    } else {
        &stats.upstream_cx_destroy_remote_with_active_rq
    };
    by.inc();
}

impl Drop for Slot {
    fn drop(&mut self) {
        let stats = self.stats();
        stats.upstream_cx_active.dec();
        self.host.stats.mine().cx_active.dec();
        stats.upstream_cx_destroy.inc();
        stats.upstream_cx_length_ms.record(self.age_ms());
        if self.served.get() > 0 {
            stats.upstream_rq_per_cx.record(self.served.get().into());
        }
        let here = self.closed_here.get();
        if here { &stats.upstream_cx_destroy_local } else { &stats.upstream_cx_destroy_remote }.inc();
        if self.active.get() > 0 {
            count_cut(stats, here);
        }
        self.permit.take();
        if let Some(pool) = self.pool.upgrade() {
            pool.vacate();
        }
    }
}
