//! Admission limits of a cluster, counted over all workers. `CircuitBreakers.Thresholds`.

use std::{
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
};

use super::ClusterState;
use crate::snapshot::{Local, cluster::Thresholds};

/// What is under way to a cluster, and how much may be.
#[derive(Debug)]
pub(crate) struct CircuitBreakers {
    connections: Limit,
    pending: Limit,
    requests: Limit,
    retries: Limit,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    /// Connections, opening ones included.
    Connections,
    /// Requests that wait for a connection.
    Pending,
    /// Requests, waiting ones not included.
    Requests,
    /// Attempts after the first.
    Retries,
}

impl CircuitBreakers {
    /// With nothing under way.
    pub(crate) fn new(thresholds: &Thresholds) -> Self {
        let limit = |most| Limit { most, now: AtomicU32::new(0) };
        Self {
            connections: limit(thresholds.max_connections),
            pending: limit(thresholds.max_pending_requests),
            requests: limit(thresholds.max_requests),
            retries: limit(thresholds.max_retries),
        }
    }

    /// How many there are now, and how many there may be.
    pub(crate) fn usage(&self, resource: Resource) -> (u32, u32) {
        let limit = self.limit(resource);
        (limit.now.load(Ordering::Relaxed), limit.most)
    }

    fn limit(&self, resource: Resource) -> &Limit {
        match resource {
            Resource::Connections => &self.connections,
            Resource::Pending => &self.pending,
            Resource::Requests => &self.requests,
            Resource::Retries => &self.retries,
        }
    }
}

/// A count that may not pass a bound. All workers write it with each request, so that it lies on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Limit {
    most: u32,
    now: AtomicU32,
}

impl Limit {
    /// Count one more, unless that would be too many.
    fn take(&self) -> bool {
        // Add first, as the common case is to stay below: one atomic step instead of a loop.
        let admitted = self.now.fetch_add(1, Ordering::Relaxed) < self.most;
        if !admitted {
            self.give_back();
        }
        admitted
    }

    fn give_back(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of what a cluster counts, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Permit {
    cluster: Local<ClusterState>,
    resource: Resource,
}

impl Permit {
    /// One more, unless that would be too many.
    pub(crate) fn acquire(cluster: &Local<ClusterState>, resource: Resource) -> Option<Self> {
        let taken = cluster.limits.limit(resource).take();
        count(cluster, resource, taken);
        taken.then(|| Self { cluster: Rc::clone(cluster), resource })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.cluster.limits.limit(self.resource).give_back();
        let stats = self.cluster.config.stats.mine();
        match self.resource {
            Resource::Pending => stats.upstream_rq_pending_active.dec(),
            Resource::Requests => stats.upstream_rq_active.dec(),
            Resource::Connections | Resource::Retries => {}
        }
    }
}

/// Count that something was let through, or not.
fn count(cluster: &ClusterState, resource: Resource, taken: bool) {
    let stats = cluster.config.stats.mine();
    match (resource, taken) {
        (Resource::Pending, true) => {
            stats.upstream_rq_pending_total.inc();
            stats.upstream_rq_pending_active.inc();
        }
        (Resource::Requests, true) => {
            stats.upstream_rq_total.inc();
            stats.upstream_rq_active.inc();
        }
        (Resource::Pending, false) => stats.upstream_rq_pending_overflow.inc(),
        (Resource::Requests, false) => stats.upstream_rq_active_overflow.inc(),
        (Resource::Connections, false) => stats.upstream_cx_overflow.inc(),
        (Resource::Retries, true) => {
            stats.upstream_rq_retry.inc();
            stats.upstream_rq_retry_backoff_exponential.inc();
        }
        (Resource::Retries, false) => stats.upstream_rq_retry_overflow.inc(),
        (Resource::Connections, true) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_passed_and_recovers_when_one_is_given_back() {
        let breakers = CircuitBreakers::new(&Thresholds { max_requests: 2, ..Thresholds::default() });
        let requests = breakers.limit(Resource::Requests);
        assert!(requests.take() && requests.take());
        assert!(!requests.take() && !requests.take());
        requests.give_back();
        assert!(requests.take() && !requests.take());
    }

    #[test]
    fn a_limit_of_zero_admits_nothing() {
        let breakers = CircuitBreakers::new(&Thresholds { max_requests: 0, ..Thresholds::default() });
        assert!(!breakers.limit(Resource::Requests).take());
    }
}
