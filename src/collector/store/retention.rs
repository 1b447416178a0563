//! Which trace goes first when there is no room: the oldest, but of those that failed or were slow last.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::trace::Trace;
use crate::collector::span::TraceId;

/// So many traces of each operation count as its slowest.
const SLOWEST: usize = 8;
/// Operations of which the slowest are known; of others none is.
const OPERATIONS: usize = 1_024;
/// The part of the store that traces may fill which are kept longer.
const KEPT_DIVISOR: usize = 2;

/// Durations with the arrivals of their traces.
type Slowest = BTreeSet<(u64, u64)>;

/// The traces in the order in which they go.
#[derive(Debug, Default)]
pub(super) struct Retention {
    ordinary: BTreeMap<u64, TraceId>,
    /// Those that failed, or are among the slowest.
    kept: BTreeMap<u64, TraceId>,
    kept_bytes: usize,
    /// Of each service and operation of roots.
    slowest: HashMap<(Box<str>, Box<str>), Slowest>,
}

impl Retention {
    /// `trace` has changed, and took `bytes_before`. Returns another trace that lost its place among the slowest.
    pub(super) fn file(&mut self, trace: &Trace, bytes_before: usize) -> Option<u64> {
        let was_kept = self.kept.remove(&trace.arrival).is_some();
        if was_kept {
            self.kept_bytes -= bytes_before;
        }
        self.ordinary.remove(&trace.arrival);
        let (slow, displaced) = self.rank(trace);
        if trace.errors > 0 || slow {
            self.kept.insert(trace.arrival, trace.trace_id);
            self.kept_bytes += trace.bytes;
        } else {
            self.ordinary.insert(trace.arrival, trace.trace_id);
        }
        displaced
    }

    /// Whether `trace` is among the slowest of its operation, and which is not any more because of it.
    fn rank(&mut self, trace: &Trace) -> (bool, Option<u64>) {
        let Some(root) = trace.root.as_ref().filter(|root| root.parent_span_id.is_none()) else {
            return (false, None);
        };
        let key = (root.resource.service.clone(), root.name.clone());
        if !self.slowest.contains_key(&key) && self.slowest.len() >= OPERATIONS {
            return (false, None);
        }
        let slowest = self.slowest.entry(key).or_default();
        slowest.retain(|(_, arrival)| *arrival != trace.arrival);
        slowest.insert((trace.duration_nano(), trace.arrival));
        let displaced = if slowest.len() > SLOWEST { slowest.pop_first() } else { None };
        match displaced {
            Some((_, arrival)) if arrival == trace.arrival => (false, None),
            displaced => (true, displaced.map(|(_, arrival)| arrival)),
        }
    }

    /// `trace` is not among the slowest any more.
    pub(super) fn demote(&mut self, trace: &Trace) {
        if trace.errors == 0 && self.kept.remove(&trace.arrival).is_some() {
            self.kept_bytes -= trace.bytes;
            self.ordinary.insert(trace.arrival, trace.trace_id);
        }
    }

    /// The trace of that arrival.
    pub(super) fn at(&self, arrival: u64) -> Option<&TraceId> {
        self.ordinary.get(&arrival).or_else(|| self.kept.get(&arrival))
    }

    /// Which is to go next, but `growing`, where `limit` bytes are the store's bound.
    pub(super) fn next(&self, limit: usize, growing: &TraceId) -> Option<TraceId> {
        let oldest = |of: &BTreeMap<u64, TraceId>| of.values().find(|id| *id != growing).copied();
        if self.kept_bytes > limit / KEPT_DIVISOR {
            return oldest(&self.kept).or_else(|| oldest(&self.ordinary));
        }
        oldest(&self.ordinary).or_else(|| oldest(&self.kept))
    }

    /// `trace` has gone.
    pub(super) fn remove(&mut self, trace: &Trace) {
        self.ordinary.remove(&trace.arrival);
        if self.kept.remove(&trace.arrival).is_some() {
            self.kept_bytes -= trace.bytes;
        }
        let Some(root) = &trace.root else { return };
        let key = (root.resource.service.clone(), root.name.clone());
        if let Some(slowest) = self.slowest.get_mut(&key) {
            slowest.retain(|(_, arrival)| *arrival != trace.arrival);
            if slowest.is_empty() {
                self.slowest.remove(&key);
            }
        }
    }

    /// The traces, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &TraceId> {
        let (mut ordinary, mut kept) =
            (self.ordinary.iter().rev().peekable(), self.kept.iter().rev().peekable());
        std::iter::from_fn(move || match (ordinary.peek(), kept.peek()) {
            (Some((one, _)), Some((other, _))) if one > other => ordinary.next(),
            (_, Some(_)) => kept.next(),
            _ => ordinary.next(),
        })
        .map(|(_, id)| id)
    }
}
