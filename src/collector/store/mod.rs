//! The store: received traces in memory, bounded by bytes. Of those that are neither failed nor slow the oldest goes
//! first.
//!
//! A trace is replaced whole when something of it comes while somebody reads it, so that readers take what there is at
//! one moment and then need no lock, however long they look.

mod passed_over;
mod retention;
mod search;
mod trace;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

pub use self::{passed_over::PassedOver, search::Search, trace::Trace};
use self::{retention::Retention, trace::TRACE_OVERHEAD_BYTES};
use super::{
    log::LogRecord,
    span::{Span, TraceId},
};

/// The part of the store that one trace may fill, so that an endless trace does not push out all others.
const LARGEST_TRACE_DIVISOR: usize = 4;

/// The version of a store to which nothing will come.
pub(super) const CLOSED: u64 = u64::MAX;

/// Traces in memory. Shared by receivers, which write, and pages, which read.
#[derive(Debug)]
pub struct Store {
    // A plain lock: it is held for as long as it takes to file one export, never across an await.
    shelf: Mutex<Shelf>,
    /// The version of what is there, for whoever waits for something new.
    changed: watch::Sender<u64>,
}

/// What the store holds, and what it had to let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Traces held now of which a span has come.
    pub traces: usize,
    /// Traces held now of which only log records have come.
    pub log_only_traces: usize,
    /// Spans held now.
    pub spans: usize,
    /// Log records held now.
    pub logs: usize,
    /// Estimate of the memory held now.
    pub bytes: usize,
    /// What `bytes` never exceeds. `--store-bytes`.
    pub limit_bytes: usize,
    /// Spans that were filed since the start.
    pub received_spans: u64,
    /// Log records that came since the start, kept or not.
    pub received_logs: u64,
    /// Data points of metrics that came since the start; none is kept.
    pub received_points: u64,
    /// Traces let go since the start, to stay below the limit.
    pub evicted_traces: u64,
    /// Spans turned away since the start, because their trace alone would have filled too much of the store.
    pub refused_spans: u64,
}

/// `traces` in the order of the times that are shown of them. They came in that of their ends, or later.
pub fn by_start(traces: impl Iterator<Item = Arc<Trace>>) -> Vec<Arc<Trace>> {
    let mut traces: Vec<_> = traces.collect();
    traces.sort_by_key(|trace| std::cmp::Reverse(trace.start_unix_nano));
    traces
}

impl Store {
    /// An empty store that holds at most `limit_bytes`, by its own estimate.
    pub fn new(limit_bytes: usize) -> Self {
        let totals = Totals { limit_bytes, ..Totals::default() };
        Self { shelf: Mutex::new(Shelf { totals, ..Shelf::default() }), changed: watch::Sender::default() }
    }

    /// File `spans` with their traces, whatever the order in which they come. One that is there already is
    /// passed over, since exporters send again what they are not sure of. Returns how many were refused
    /// because their trace is too large.
    pub fn insert(&self, spans: impl IntoIterator<Item = Span>) -> usize {
        let refused = {
            let mut shelf = self.shelf();
            shelf.version += 1;
            spans.into_iter().map(|span| usize::from(!shelf.insert(span))).sum()
        };
        self.tell();
        refused
    }

    /// File `logs` with their traces; those of traces that have no span yet wait for one. Returns how many were refused
    /// because their trace is too large. Log records without a trace are only counted.
    pub fn insert_logs(&self, logs: impl IntoIterator<Item = (Option<TraceId>, LogRecord)>) -> usize {
        let refused = {
            let mut shelf = self.shelf();
            shelf.version += 1;
            logs.into_iter().map(|(trace, log)| usize::from(!shelf.insert_log(trace, log))).sum()
        };
        self.tell();
        refused
    }

    /// Count data points of metrics, which are not kept.
    pub fn count_points(&self, points: u64) {
        self.shelf().totals.received_points += points;
    }

    /// The `count` traces that came last, newest first.
    pub fn newest(&self, count: usize) -> Vec<Arc<Trace>> {
        let shelf = self.shelf();
        let all = shelf.retention.newest_first().filter_map(|id| shelf.traces.get(id));
        all.filter(|trace| trace.root.is_some()).take(count).cloned().collect()
    }

    /// The `count` traces that came last of those that `search` finds, in the order in which they began, newest first.
    pub fn search(&self, search: &Search, count: usize) -> Vec<Arc<Trace>> {
        by_start(self.newest(usize::MAX).into_iter().filter(|trace| search.finds(trace)).take(count))
    }

    /// The trace `id`, if it is still here.
    pub fn trace(&self, id: &TraceId) -> Option<Arc<Trace>> {
        self.shelf().traces.get(id).cloned()
    }

    /// What the store holds now.
    pub fn totals(&self) -> Totals {
        self.shelf().totals
    }

    /// Nothing will come any more: whoever waits for something need not.
    pub(super) fn close(&self) {
        self.changed.send_replace(CLOSED);
    }

    /// Tells the version of what is there, whenever that changes; at the end the highest number there is.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn tell(&self) {
        let version = self.shelf().version;
        self.changed.send_replace(version);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // No code that holds the lock stops half-way through a change, so a poisoned shelf is still in order.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the lock guards.
#[derive(Debug, Default)]
struct Shelf {
    traces: HashMap<TraceId, Arc<Trace>, foldhash::fast::FixedState>,
    retention: Retention,
    totals: Totals,
    /// Counts changes.
    version: u64,
    /// Counts traces.
    arrivals: u64,
}

impl Shelf {
    /// File `span`; false if its trace is too large already.
    fn insert(&mut self, span: Span) -> bool {
        let id = span.trace_id;
        let known = self.traces.get(&id).and_then(|trace| trace.spans.get(&span.span_id));
        if let Some(known) = known {
            // Exporters send the same span again; two services that share an id, as Zipkin's do, have two spans.
            if known.resource.service != span.resource.service {
                self.note(&id, |passed_over| passed_over.twins += 1);
            }
            return true;
        }
        self.totals.received_spans += 1;
        let cost = match self.traces.get(&id) {
            Some(trace) => trace.cost_of(&span),
            None => Trace::new(id, 0).cost_of(&span),
        };
        if !self.make_room(&id, cost) {
            self.totals.refused_spans += 1;
            self.note(&id, |passed_over| passed_over.spans += 1);
            return false;
        }
        self.change(&id, |trace| trace.add(Arc::new(span), cost));
        self.totals.spans += 1;
        true
    }

    fn insert_log(&mut self, trace: Option<TraceId>, log: LogRecord) -> bool {
        self.totals.received_logs += 1;
        let Some(id) = trace else { return true };
        let cost = log.bytes();
        if !self.make_room(&id, cost) {
            self.note(&id, |passed_over| passed_over.logs += 1);
            return false;
        }
        self.change(&id, |trace| trace.add_log(Arc::new(log)));
        self.totals.logs += 1;
        true
    }

    /// Something of the trace of that id was not filed. If nothing of it was ever filed, there is no place to say so.
    fn note(&mut self, id: &TraceId, count: impl FnOnce(&mut PassedOver)) {
        if let Some(trace) = self.traces.get_mut(id) {
            let trace = Arc::make_mut(trace);
            count(&mut trace.passed_over);
            trace.version = self.version;
        }
    }

    /// Change the trace of that id, which may be a new one, and keep the books.
    fn change(&mut self, id: &TraceId, change: impl FnOnce(&mut Trace)) {
        if !self.traces.contains_key(id) {
            self.arrivals += 1;
            self.totals.log_only_traces += 1;
            self.totals.bytes += TRACE_OVERHEAD_BYTES;
        }
        let arrival = self.arrivals;
        let trace = self.traces.entry(*id).or_insert_with(|| Arc::new(Trace::new(*id, arrival)));
        let (before, had_span) = (trace.bytes, trace.root.is_some());
        let changed = Arc::make_mut(trace);
        change(changed);
        changed.version = self.version;
        if !had_span && trace.root.is_some() {
            self.totals.log_only_traces -= 1;
            self.totals.traces += 1;
        }
        self.totals.bytes += trace.bytes - before;
        let displaced = self.retention.file(trace, before);
        let displaced = displaced.and_then(|arrival| self.traces.get(self.retention.at(arrival)?)).cloned();
        if let Some(displaced) = displaced {
            self.retention.demote(&displaced);
        }
    }

    /// Let traces go until `added` bytes fit, but not `growing`, the one that they are for; false if that one is too
    /// large already.
    fn make_room(&mut self, growing: &TraceId, added: usize) -> bool {
        let known = self.traces.get(growing).map(|trace| trace.bytes);
        let added = added + if known.is_none() { TRACE_OVERHEAD_BYTES } else { 0 };
        let limit = self.totals.limit_bytes;
        if known.unwrap_or_default() + added > limit / LARGEST_TRACE_DIVISOR {
            return false;
        }
        while self.totals.bytes + added > limit {
            let next = self.retention.next(limit, growing);
            let Some(evicted) = next.and_then(|id| self.traces.remove(&id)) else { break };
            self.retention.remove(&evicted);
            match evicted.root {
                Some(_) => self.totals.traces -= 1,
                None => self.totals.log_only_traces -= 1,
            }
            self.totals.spans -= evicted.spans.len();
            self.totals.logs -= evicted.logs.len();
            self.totals.bytes -= evicted.bytes;
            self.totals.evicted_traces += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests;
