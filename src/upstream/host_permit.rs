//! A permit of a cluster that is counted for the host, too.

use std::rc::Rc;

use super::conn_pool::HostPool;
use crate::{
    cluster::circuit_breaker::{Permit, Resource},
    stats::{Gauge, HostStats},
};

/// One of the requests of a host, for as long as it is held.
#[derive(Debug)]
pub(crate) struct HostPermit {
    _permit: Permit,
    pool: Rc<HostPool>,
    waits: bool,
}

impl HostPermit {
    /// A request that waits for a connection, unless there are too many.
    pub(super) fn pending(pool: &Rc<HostPool>) -> Option<Self> {
        Self::acquire(pool, Resource::Pending, true)
    }

    /// A request that has a connection, unless there are too many.
    pub(super) fn request(pool: &Rc<HostPool>) -> Option<Self> {
        let permit = Self::acquire(pool, Resource::Requests, false)?;
        pool.host.stats.mine().rq_total.inc();
        Some(permit)
    }

    fn acquire(pool: &Rc<HostPool>, resource: Resource, waits: bool) -> Option<Self> {
        let permit =
            Self { _permit: Permit::acquire(&pool.cluster, resource)?, pool: Rc::clone(pool), waits };
        permit.gauge().inc();
        Some(permit)
    }

    fn gauge(&self) -> &Gauge {
        let stats: &HostStats = self.pool.host.stats.mine();
        if self.waits { &stats.rq_pending_active } else { &stats.rq_active }
    }
}

impl Drop for HostPermit {
    fn drop(&mut self) {
        self.gauge().dec();
    }
}
