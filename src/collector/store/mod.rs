//! The store: received traces in memory, bounded by bytes. Of those that are neither failed nor slow the oldest goes
//! first.
//!
//! A trace is replaced whole when something of it comes while somebody reads it, so that readers take what there is at
//! one moment and then need no lock, however long they look.

mod retention;
mod search;
mod trace;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use self::{retention::Retention, trace::TRACE_OVERHEAD_BYTES};
pub use self::{search::Search, trace::Trace};
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
    /// Traces held now.
    pub traces: usize,
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

    /// The first `count` traces that `search` finds, newest first.
    pub fn search(&self, search: &Search, count: usize) -> Vec<Arc<Trace>> {
        self.newest(usize::MAX).into_iter().filter(|trace| search.finds(trace)).take(count).collect()
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
        if self.traces.get(&id).is_some_and(|trace| trace.spans.contains_key(&span.span_id)) {
            return true;
        }
        self.totals.received_spans += 1;
        let cost = match self.traces.get(&id) {
            Some(trace) => trace.cost_of(&span),
            None => Trace::new(id, 0).cost_of(&span),
        };
        if !self.make_room(&id, cost) {
            self.totals.refused_spans += 1;
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
            return false;
        }
        self.change(&id, |trace| trace.add_log(Arc::new(log)));
        self.totals.logs += 1;
        true
    }

    /// Change the trace of that id, which may be a new one, and keep the books.
    fn change(&mut self, id: &TraceId, change: impl FnOnce(&mut Trace)) {
        if !self.traces.contains_key(id) {
            self.arrivals += 1;
            self.totals.traces += 1;
            self.totals.bytes += TRACE_OVERHEAD_BYTES;
        }
        let arrival = self.arrivals;
        let trace = self.traces.entry(*id).or_insert_with(|| Arc::new(Trace::new(*id, arrival)));
        let before = trace.bytes;
        let changed = Arc::make_mut(trace);
        change(changed);
        changed.version = self.version;
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
            self.totals.traces -= 1;
            self.totals.spans -= evicted.spans.len();
            self.totals.logs -= evicted.logs.len();
            self.totals.bytes -= evicted.bytes;
            self.totals.evicted_traces += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            attribute::{Attribute, Value},
            span::{StatusCode, tests::span},
        },
        *,
    };

    /// A span that weighs about `bytes`.
    fn heavy(trace: u128, id: u64, bytes: usize) -> Span {
        let value = Value::Text("x".repeat(bytes).into());
        Span { attributes: [Attribute { key: "weight".into(), value }].into(), ..span(trace, id, 0) }
    }

    fn ids(traces: &[Arc<Trace>]) -> Vec<u128> {
        traces.iter().map(|trace| u128::from_str_radix(&trace.trace_id.to_string(), 16).unwrap()).collect()
    }

    #[test]
    fn late_and_out_of_order_spans_join_their_trace() {
        let store = Store::new(1 << 20);
        store.insert([span(1, 2, 1), span(2, 9, 0)]);
        store.insert([span(1, 1, 0)]);
        assert_eq!(ids(&store.newest(10)), [2, 1]);
        assert_eq!(store.trace(&span(1, 1, 0).trace_id).unwrap().spans.len(), 2);
    }

    #[test]
    fn a_span_sent_twice_is_kept_once() {
        let store = Store::new(1 << 20);
        let twin = span(1, 1, 0);
        store.insert([twin.clone(), twin.clone()]);
        let once = store.totals();
        assert_eq!(once.spans, 1);
        store.insert([twin.clone(), twin]);
        assert_eq!(store.totals(), once);
    }

    #[test]
    fn the_oldest_trace_goes_first_and_whole() {
        let store = Store::new(50_000);
        store.insert((1..=3).flat_map(|trace| [heavy(trace, 1, 5_000), heavy(trace, 2, 5_000)]));
        assert_eq!(ids(&store.newest(10)), [3, 2, 1]);
        store.insert([heavy(4, 1, 9_000), heavy(4, 2, 100)]);
        store.insert([heavy(5, 1, 9_000)]);
        assert_eq!(ids(&store.newest(10)), [5, 4, 3, 2]);
        assert_eq!(store.totals().evicted_traces, 1);
    }

    #[test]
    fn a_trace_without_end_does_not_push_out_the_others() {
        let store = Store::new(100_000);
        store.insert([span(1, 1, 0)]);
        let refused = store.insert((1..=1_000).map(|id| heavy(2, id, 1_000)));
        assert!(refused > 900, "{refused} were refused");
        assert_eq!(ids(&store.newest(10)), [2, 1]);
    }

    #[test]
    fn failed_and_slow_traces_are_kept_longer_though_not_at_the_price_of_all_others() {
        let failed = |trace| Span { status_code: StatusCode::Error, ..heavy(trace, 1, 1_000) };
        let slow = |trace| Span { end_unix_nano: 90_000_000_000, ..heavy(trace, 1, 1_000) };
        let store = Store::new(100_000);
        store.insert([failed(1), slow(2)]);
        store.insert((10..200).map(|trace| heavy(trace, 1, 1_000)));
        let kept = ids(&store.newest(usize::MAX));
        assert!(kept.ends_with(&[2, 1]), "{kept:?}");
        store.insert((1_000..1_200).map(failed));
        let kept = ids(&store.newest(usize::MAX));
        assert!(!kept.contains(&1) && kept.contains(&199), "failures fill no more than half: {kept:?}");
    }

    #[test]
    fn a_search_finds_what_has_all_that_is_asked_for() {
        let store = Store::new(1 << 20);
        let with = |trace, key: &str, value: Value| Span {
            attributes: [Attribute { key: key.into(), value }].into(),
            ..span(trace, 1, 0)
        };
        store.insert([
            with(1, "http.status_code", Value::Int(200)),
            with(2, "http.status_code", Value::Text("503".into())),
            Span { status_code: StatusCode::Error, end_unix_nano: 9_000_000, ..span(3, 1, 0) },
            Span { name: "sell".into(), ..span(4, 1, 0) },
        ]);
        let found = |search: Search| ids(&store.search(&search, 10));
        let attributes = |value: &str| vec![("http.status_code".to_owned(), value.to_owned())];
        assert_eq!(found(Search::default()), [4, 3, 2, 1]);
        assert_eq!(found(Search { attributes: attributes("200"), ..Search::default() }), [1]);
        assert_eq!(found(Search { attributes: attributes("503"), ..Search::default() }), [2]);
        assert_eq!(found(Search { failed: Some(true), ..Search::default() }), [3]);
        assert_eq!(found(Search { failed: Some(false), ..Search::default() }), [4, 2, 1]);
        assert_eq!(found(Search { min_duration_nano: Some(5_000_000), ..Search::default() }), [3]);
        assert_eq!(found(Search { operation: Some("sell".into()), ..Search::default() }), [4]);
        let service = |name: &str| Some(name.to_owned());
        assert_eq!(found(Search { service: service("shop"), ..Search::default() }), [4, 3, 2, 1]);
        assert_eq!(found(Search { service: service("other"), ..Search::default() }), []);
        let both = Search { service: service("shop"), operation: Some("sell".into()), ..Search::default() };
        assert_eq!(found(both), [4]);
    }

    #[test]
    fn logs_wait_for_their_trace_and_go_with_it() {
        let store = Store::new(50_000);
        let trace = span(1, 1, 0).trace_id;
        let log = || LogRecord {
            time_unix_nano: 1,
            span_id: None,
            resource: span(1, 1, 0).resource,
            severity: "INFO".into(),
            body: Value::Text("bought".into()),
            attributes: Box::default(),
        };
        assert_eq!(store.insert_logs([(Some(trace), log()), (None, log())]), 0);
        assert!(store.newest(10).is_empty(), "a trace without a span is not shown");
        store.insert([span(1, 1, 0)]);
        assert_eq!(store.newest(10)[0].logs.len(), 1);
        assert_eq!((store.totals().logs, store.totals().received_logs), (1, 2));
        store.insert((2..200).map(|trace| heavy(trace, 1, 1_000)));
        assert_eq!((store.trace(&trace).is_none(), store.totals().logs), (true, 0));
    }

    #[test]
    fn a_reader_keeps_what_it_took_while_the_trace_grows() {
        let store = Store::new(1 << 20);
        store.insert([span(1, 1, 0)]);
        let taken = store.newest(1).remove(0);
        let version = *store.changes().borrow();
        store.insert([span(1, 2, 1)]);
        assert_eq!((taken.spans.len(), store.newest(1)[0].spans.len()), (1, 2));
        assert!(*store.changes().borrow() > version);
    }

    #[test]
    fn a_store_without_room_refuses() {
        assert_eq!(Store::new(0).insert([span(1, 1, 0)]), 1);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_bound_holds_and_the_books_balance(
            limit in 0_usize..60_000,
            spans in prop::collection::vec((1_u128..20, 1_u64..10, 0_usize..4_000), 0..200),
        ) {
            let store = Store::new(limit);
            for (trace, id, bytes) in spans {
                store.insert([heavy(trace, id, bytes)]);
                let totals = store.totals();
                prop_assert!(totals.bytes <= limit, "{} > {limit}", totals.bytes);
                let kept = store.newest(usize::MAX);
                prop_assert_eq!(totals.traces, kept.len());
                prop_assert_eq!(totals.spans, kept.iter().map(|trace| trace.spans.len()).sum::<usize>());
                let own: usize = kept.iter().flat_map(|trace| trace.spans.values()).map(|span| span.own_bytes()).sum();
                prop_assert!(own <= totals.bytes);
                prop_assert!(totals.bytes > 0 || kept.is_empty());
            }
        }
    }
}
