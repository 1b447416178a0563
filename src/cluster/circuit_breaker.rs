//! Admission limits of a cluster, counted over all workers. `CircuitBreakers.Thresholds`.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::snapshot::cluster::Thresholds;

/// What is under way to a cluster, and how much may be.
#[derive(Debug)]
pub(crate) struct CircuitBreakers {
    /// Connections, opening ones included.
    pub(crate) connections: Arc<Limit>,
    /// Requests that wait for a connection.
    pub(crate) pending: Arc<Limit>,
    /// Requests, waiting ones not included.
    pub(crate) requests: Arc<Limit>,
    /// Attempts after the first.
    pub(crate) retries: Arc<Limit>,
}

impl CircuitBreakers {
    /// With nothing under way.
    pub(crate) fn new(thresholds: &Thresholds) -> Self {
        let limit = |most| Arc::new(Limit { most, now: AtomicU32::new(0) });
        Self {
            connections: limit(thresholds.max_connections),
            pending: limit(thresholds.max_pending_requests),
            requests: limit(thresholds.max_requests),
            retries: limit(thresholds.max_retries),
        }
    }
}

/// A count that may not pass a bound.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    now: AtomicU32,
}

impl Limit {
    /// One more, unless that would be too many. Taken back when the permit is dropped.
    pub(crate) fn acquire(self: &Arc<Self>) -> Option<Permit> {
        // Add first, as the common case is to stay below: one atomic step instead of a loop.
        if self.now.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.now.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }
}

/// One of what a [`Limit`] counts.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limit>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_never_passed_and_recovers_when_a_permit_goes() {
        let breakers = CircuitBreakers::new(&Thresholds { max_requests: 2, ..Thresholds::default() });
        let first = breakers.requests.acquire();
        let second = breakers.requests.acquire();
        assert!(first.is_some() && second.is_some());
        assert!(breakers.requests.acquire().is_none());
        drop(first);
        assert!(breakers.requests.acquire().is_some());
    }

    #[test]
    fn a_limit_of_zero_admits_nothing() {
        let breakers = CircuitBreakers::new(&Thresholds { max_requests: 0, ..Thresholds::default() });
        assert!(breakers.requests.acquire().is_none());
    }
}
