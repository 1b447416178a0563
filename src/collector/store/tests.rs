//! What the store keeps, what it lets go, and what it finds.

use proptest::prelude::*;

use super::*;
use crate::collector::{
    attribute::{Attribute, Value},
    span::{Resource, StatusCode, tests::span},
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
    store.insert([twin.clone(), twin.clone()]);
    assert_eq!(store.totals(), once);
    assert_eq!(store.newest(1)[0].passed_over, PassedOver::default());
}

#[test]
fn two_services_with_one_span_id_are_told() {
    let store = Store::new(1 << 20);
    let resource = Resource { service: "stock".into(), attributes: Box::default() };
    store.insert([span(1, 1, 0), Span { resource: Arc::new(resource), ..span(1, 1, 0) }]);
    let trace = store.newest(1).remove(0);
    assert_eq!((trace.spans.len(), trace.passed_over.twins), (1, 1));
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
    let large = store.trace(&span(2, 1, 0).trace_id).unwrap();
    assert_eq!((large.passed_over.spans, large.spans.len()), (refused as u64, 1_000 - refused));
    assert_eq!(store.trace(&span(1, 1, 0).trace_id).unwrap().passed_over, PassedOver::default());
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
        severity_number: 0,
        time_unix_nano: 1,
        span_id: None,
        resource: span(1, 1, 0).resource,
        severity: "INFO".into(),
        body: Value::Text("bought".into()),
        attributes: Box::default(),
    };
    assert_eq!(store.insert_logs([(Some(trace), log()), (None, log())]), 0);
    assert!(store.newest(10).is_empty(), "a trace without a span is not listed");
    assert_eq!((store.totals().traces, store.totals().log_only_traces), (0, 1));
    store.insert([span(1, 1, 0)]);
    assert_eq!(store.newest(10)[0].logs.len(), 1);
    assert_eq!((store.totals().traces, store.totals().log_only_traces), (1, 0));
    assert_eq!((store.totals().logs, store.totals().received_logs), (1, 2));
    store.insert((2..200).map(|trace| heavy(trace, 1, 1_000)));
    assert_eq!((store.trace(&trace).is_none(), store.totals().logs), (true, 0));
    let later = span(1_000, 1, 0).trace_id;
    store.insert_logs([(Some(later), log())]);
    store.insert((2_000..2_200).map(|trace| heavy(trace, 1, 1_000)));
    assert_eq!((store.trace(&later).is_none(), store.totals().log_only_traces), (true, 0));
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
