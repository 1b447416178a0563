//! Which service calls which, read from the spans.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    span::{Span, SpanId, SpanKind, StatusCode},
    store::Trace,
};

/// The attributes by which a client names whom it calls, the best first.
const PEER_ATTRIBUTES: [&str; 4] =
    ["peer.service", "server.address", "upstream_cluster.name", "upstream_cluster"];

/// All calls of one service to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    /// Who calls.
    pub parent: String,
    /// Who is called.
    pub child: String,
    /// Whether `child` sends no spans of these calls itself: it is what the caller names.
    pub external: bool,
    /// How many calls.
    pub calls: u64,
    /// How many of them failed, as the called side says; the caller, if that side is external.
    pub errors: u64,
    /// How long each took, as that side says; ascending.
    pub durations_nano: Vec<u64>,
}

/// The calls in `traces`, by caller and called. A call is a span whose parent is of another service, or a CLIENT span
/// without a child that names whom it calls.
pub fn edges(traces: &[Arc<Trace>]) -> Vec<Edge> {
    let senders: BTreeSet<&str> = traces.iter().flat_map(|trace| trace.services().into_keys()).collect();
    let mut edges: BTreeMap<(&str, &str, bool), Vec<&Span>> = BTreeMap::new();
    for trace in traces {
        let has_child: BTreeSet<SpanId> =
            trace.spans.values().filter_map(|span| span.parent_span_id).collect();
        for span in trace.spans.values() {
            let service = &*span.resource.service;
            let parent = span.parent_span_id.and_then(|id| trace.spans.get(&id));
            if let Some(caller) =
                parent.map(|parent| &*parent.resource.service).filter(|caller| *caller != service)
            {
                edges.entry((caller, service, false)).or_default().push(span);
            }
            let is_last = span.kind == SpanKind::Client && !has_child.contains(&span.span_id);
            let peer = PEER_ATTRIBUTES.iter().find_map(|key| span.text_attribute(key)).filter(|_| is_last);
            if let Some(peer) = peer.filter(|peer| *peer != service) {
                // A call that did not get through, to a service that sends spans of others.
                edges.entry((service, peer, !senders.contains(peer))).or_default().push(span);
            }
        }
    }
    edges
        .into_iter()
        .map(|((parent, child, external), calls)| edge(parent, child, external, &calls))
        .collect()
}

fn edge(parent: &str, child: &str, external: bool, calls: &[&Span]) -> Edge {
    let mut durations_nano: Vec<u64> = calls.iter().map(|span| span.duration_nano()).collect();
    durations_nano.sort_unstable();
    let errors = calls.iter().filter(|span| span.status_code == StatusCode::Error).count();
    Edge {
        parent: parent.to_owned(),
        child: child.to_owned(),
        external,
        calls: durations_nano.len() as u64,
        errors: errors as u64,
        durations_nano,
    }
}

impl Edge {
    /// The duration that so many of a hundred calls do not exceed: the nearest rank. Zero without calls.
    pub fn percentile_nano(&self, percent: usize) -> u64 {
        let rank = (self.durations_nano.len() * percent).div_ceil(100);
        self.durations_nano.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{
        attribute::{Attribute, Value},
        span::{Resource, tests::span},
        store::Store,
    };

    fn of(service: &str, id: u64, parent: u64) -> Span {
        let resource = Arc::new(Resource { service: service.into(), attributes: Box::default() });
        Span { resource, kind: SpanKind::Client, ..span(1, id, parent) }
    }

    fn edges_of(spans: impl IntoIterator<Item = Span>) -> Vec<Edge> {
        let store = Store::new(1 << 20);
        store.insert(spans);
        edges(&store.newest(usize::MAX))
    }

    #[test]
    fn a_call_is_a_span_whose_parent_is_of_another_service() {
        let failed = Span { status_code: StatusCode::Error, ..of("b", 3, 2) };
        let found =
            edges_of([of("a", 1, 0), of("a", 2, 1), failed, of("b", 4, 3), of("b", 5, 2), of("c", 6, 99)]);
        let calls = Edge {
            parent: "a".into(),
            child: "b".into(),
            external: false,
            calls: 2,
            errors: 1,
            durations_nano: vec![500_000; 2],
        };
        assert_eq!(found, [calls]);
    }

    #[test]
    fn a_client_without_a_child_leads_to_whom_it_names() {
        let text = |key: &str, value: &str| Attribute { key: key.into(), value: Value::Text(value.into()) };
        let peers = [text("upstream_cluster", "db"), text("server.address", "db.local")];
        let calling = Span { attributes: peers.clone().into(), ..of("a", 2, 1) };
        let answered = Span { attributes: peers.into(), ..of("a", 1, 0) };
        let found = edges_of([answered, calling]);
        let named: Vec<_> = found.iter().map(|edge| (&*edge.parent, &*edge.child, edge.external)).collect();
        assert_eq!(named, [("a", "db.local", true)]);
    }

    #[test]
    fn a_call_that_did_not_get_through_counts_with_those_that_did() {
        let upstream = Attribute { key: "upstream_cluster".into(), value: Value::Text("b".into()) };
        let lost = Span { attributes: [upstream].into(), status_code: StatusCode::Error, ..of("a", 2, 1) };
        let found = edges_of([of("a", 1, 0), lost, of("b", 3, 1)]);
        let told: Vec<_> =
            found.iter().map(|edge| (&*edge.child, edge.external, edge.calls, edge.errors)).collect();
        assert_eq!(told, [("b", false, 2, 1)]);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let mut edge = edge("a", "b", false, &[]);
        assert_eq!(edge.percentile_nano(50), 0);
        edge.durations_nano = (1..=200).collect();
        assert_eq!([50, 95, 99, 100].map(|percent| edge.percentile_nano(percent)), [100, 190, 198, 200]);
        edge.durations_nano = vec![7];
        assert_eq!([50, 99].map(|percent| edge.percentile_nano(percent)), [7, 7]);
    }
}
