//! The store: received traces in memory, bounded by bytes, the oldest trace goes first.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem::size_of,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::span::{Span, SpanId, TraceId};

/// What a span costs beyond its own bytes: its share of the index's nodes, at worst half full, and the
/// reference counts. Bytes.
const SPAN_OVERHEAD_BYTES: usize = 2 * size_of::<(SpanId, Arc<Span>)>() + 6 * ALLOCATION_OVERHEAD_BYTES;

/// What a trace costs beyond its spans: its places in the table and the queue, both at worst half full, and
/// the first node of its index. Bytes.
const TRACE_OVERHEAD_BYTES: usize =
    2 * (size_of::<(TraceId, Trace)>() + size_of::<TraceId>()) + 11 * size_of::<(SpanId, Arc<Span>)>();

/// What the allocator adds to a block of memory, in bytes. Estimate.
const ALLOCATION_OVERHEAD_BYTES: usize = 16;

/// The part of the store that one trace may fill, so that an endless trace does not push out all others.
const LARGEST_TRACE_DIVISOR: usize = 4;

/// Traces in memory. Shared by receivers, which write, and pages, which read.
#[derive(Debug)]
pub struct Store {
    // A plain lock: it is held for as long as it takes to file one export, never across an await.
    shelf: Mutex<Shelf>,
}

/// Everything known of one trace at one moment.
#[derive(Debug, Clone)]
pub struct TraceSnapshot {
    /// The id that its spans share.
    pub trace_id: TraceId,
    /// Its spans, by id. Never empty.
    pub spans: Vec<Arc<Span>>,
}

/// What the store holds, and what it had to let go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Traces held now.
    pub traces: usize,
    /// Spans held now.
    pub spans: usize,
    /// Estimate of the memory held now.
    pub bytes: usize,
    /// What `bytes` never exceeds. `--store-bytes`.
    pub limit_bytes: usize,
    /// Traces let go since the start, to stay below the limit.
    pub evicted_traces: u64,
    /// Spans turned away since the start, because their trace alone would have filled too much of the store.
    pub refused_spans: u64,
}

impl Store {
    /// An empty store that holds at most `limit_bytes`, by its own estimate.
    pub fn new(limit_bytes: usize) -> Self {
        let totals = Totals { limit_bytes, ..Totals::default() };
        Self { shelf: Mutex::new(Shelf { totals, ..Shelf::default() }) }
    }

    /// File `spans` with their traces, whatever the order in which they come. One that is there already is
    /// passed over, since exporters send again what they are not sure of. Returns how many were refused
    /// because their trace is too large.
    pub fn insert(&self, spans: impl IntoIterator<Item = Span>) -> usize {
        let mut shelf = self.shelf();
        spans.into_iter().map(|span| usize::from(!shelf.insert(span))).sum()
    }

    /// The `count` traces that came last, newest first.
    pub fn newest(&self, count: usize) -> Vec<TraceSnapshot> {
        let shelf = self.shelf();
        shelf.arrival.iter().rev().take(count).filter_map(|id| shelf.snapshot(id)).collect()
    }

    /// The trace `id`, if it is still here.
    pub fn trace(&self, id: &TraceId) -> Option<TraceSnapshot> {
        self.shelf().snapshot(id)
    }

    /// What the store holds now.
    pub fn totals(&self) -> Totals {
        self.shelf().totals
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // No code that holds the lock stops half-way through a change, so a poisoned shelf is still in order.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the lock guards.
#[derive(Debug, Default)]
struct Shelf {
    traces: HashMap<TraceId, Trace>,
    /// Every trace of `traces` once, in the order in which their first spans came.
    arrival: VecDeque<TraceId>,
    totals: Totals,
}

#[derive(Debug, Default)]
struct Trace {
    spans: BTreeMap<SpanId, Arc<Span>>,
    bytes: usize,
    /// The span filed last: what the next one shares with it is not counted again.
    last: Option<Arc<Span>>,
}

impl Shelf {
    /// File `span`; false if its trace is too large already.
    fn insert(&mut self, span: Span) -> bool {
        let id = span.trace_id;
        let known = self.traces.get(&id);
        if known.is_some_and(|trace| trace.spans.contains_key(&span.span_id)) {
            return true;
        }
        let added = Trace::cost_of(known, &span);
        let largest_trace = self.totals.limit_bytes / LARGEST_TRACE_DIVISOR;
        if known.map_or(0, |trace| trace.bytes) + added > largest_trace {
            self.totals.refused_spans += 1;
            return false;
        }
        self.make_room(added, &id);

        let trace = self.traces.entry(id).or_insert_with(|| {
            self.arrival.push_back(id);
            self.totals.traces += 1;
            Trace::default()
        });
        let span = Arc::new(span);
        trace.last = Some(Arc::clone(&span));
        trace.spans.insert(span.span_id, span);
        trace.bytes += added;
        self.totals.spans += 1;
        self.totals.bytes += added;
        true
    }

    /// Let the oldest traces go until `added` bytes fit, but not `growing`, the one that they are for.
    fn make_room(&mut self, added: usize, growing: &TraceId) {
        while self.totals.bytes + added > self.totals.limit_bytes {
            let oldest = usize::from(self.arrival.front() == Some(growing));
            let Some(evicted) = self.arrival.remove(oldest).and_then(|id| self.traces.remove(&id)) else {
                return;
            };
            self.totals.traces -= 1;
            self.totals.spans -= evicted.spans.len();
            self.totals.bytes -= evicted.bytes;
            self.totals.evicted_traces += 1;
        }
    }

    fn snapshot(&self, id: &TraceId) -> Option<TraceSnapshot> {
        let spans = self.traces.get(id)?.spans.values().cloned().collect();
        Some(TraceSnapshot { trace_id: *id, spans })
    }
}

impl Trace {
    /// What filing `span` costs, in bytes. Resource and scope are counted once for each run of spans that
    /// share them, and again in every trace: rather too much than too little.
    fn cost_of(trace: Option<&Self>, span: &Span) -> usize {
        let last = trace.and_then(|trace| trace.last.as_deref());
        let shares = |last: &Span| {
            Arc::ptr_eq(&last.resource, &span.resource) && Arc::ptr_eq(&last.scope, &span.scope)
        };
        let shared = if last.is_some_and(shares) { 0 } else { span.shared_bytes() };
        let first = if trace.is_none() { TRACE_OVERHEAD_BYTES } else { 0 };
        span.own_bytes() + SPAN_OVERHEAD_BYTES + shared + first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{
            attribute::{Attribute, Value},
            span::tests::span,
        },
        *,
    };

    /// A span that weighs about `bytes`.
    fn heavy(trace: u128, id: u64, bytes: usize) -> Span {
        let value = Value::Text("x".repeat(bytes).into());
        Span { attributes: [Attribute { key: "weight".into(), value }].into(), ..span(trace, id, 0) }
    }

    fn ids(traces: &[TraceSnapshot]) -> Vec<u128> {
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
                let own: usize = kept.iter().flat_map(|trace| &trace.spans).map(|span| span.own_bytes()).sum();
                prop_assert!(own <= totals.bytes);
                prop_assert!(totals.bytes > 0 || kept.is_empty());
            }
        }
    }
}
