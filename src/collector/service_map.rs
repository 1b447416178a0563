//! Which service calls which, read from the spans.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use foldhash::fast::FixedState;

use super::{
    span::{Resource, Span, SpanId, SpanKind, StatusCode},
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

/// Who sends spans, and who calls whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceMap {
    /// The services that have sent spans.
    pub services: BTreeSet<String>,
    /// By caller and called.
    pub edges: Vec<Edge>,
    /// What came to services from where no spans come: calls whose caller has no name.
    pub entries: Vec<Edge>,
}

impl ServiceMap {
    /// What `traces` tell. A call is a span whose parent is of another service, or a CLIENT span without a child that
    /// names whom it calls.
    pub fn of(traces: &[Arc<Trace>]) -> Self {
        let mut survey = Survey::default();
        for trace in traces {
            survey.add(trace);
        }
        survey.map()
    }
}

/// The edges of the map of `traces`.
pub fn edges(traces: &[Arc<Trace>]) -> Vec<Edge> {
    ServiceMap::of(traces).edges
}

/// A caller and a called service by number, and whether the latter is only named by the caller.
type Pair = (usize, usize, bool);

/// The calls of a pair.
#[derive(Debug, Default)]
struct Calls {
    errors: u64,
    durations_nano: Vec<u64>,
}

impl Calls {
    fn add(&mut self, span: &Span) {
        self.errors += u64::from(span.status_code == StatusCode::Error);
        self.durations_nano.push(span.duration_nano());
    }
}

/// A map that is being made. A full store has more than a hundred thousand spans, which are looked at each time that
/// somebody opens the page: services are numbers while they are counted.
#[derive(Debug, Default)]
struct Survey<'a> {
    names: Vec<&'a str>,
    /// Whether that service sends spans.
    sends: Vec<bool>,
    by_name: HashMap<&'a str, usize, FixedState>,
    /// By the address of a resource, which all spans of an export share.
    by_resource: HashMap<*const Resource, usize, FixedState>,
    calls: HashMap<Pair, Calls, FixedState>,
    /// By the service in which a trace begins.
    entries: HashMap<usize, Calls, FixedState>,
    /// The spans of the present trace that have children.
    parents: Vec<SpanId>,
}

impl<'a> Survey<'a> {
    fn add(&mut self, trace: &'a Trace) {
        self.parents.clear();
        self.parents.extend(trace.spans.values().filter_map(|span| span.parent_span_id));
        self.parents.sort_unstable();
        for span in trace.spans.values() {
            let service = self.service(&span.resource);
            let parent = span.parent_span_id.and_then(|id| trace.spans.get(&id));
            if parent.is_none() {
                self.entries.entry(service).or_default().add(span);
            }
            if let Some(caller) = parent.map(|parent| self.service(&parent.resource))
                && caller != service
            {
                self.call((caller, service, false), span);
            }
            if span.kind != SpanKind::Client || self.parents.binary_search(&span.span_id).is_ok() {
                continue;
            }
            if let Some(peer) = PEER_ATTRIBUTES.iter().find_map(|key| span.text_attribute(key)) {
                let peer = self.number(peer);
                if peer != service {
                    self.call((service, peer, true), span);
                }
            }
        }
    }

    fn call(&mut self, pair: Pair, span: &Span) {
        self.calls.entry(pair).or_default().add(span);
    }

    /// The number of the service that sends `resource`.
    fn service(&mut self, resource: &'a Arc<Resource>) -> usize {
        if let Some(number) = self.by_resource.get(&Arc::as_ptr(resource)) {
            return *number;
        }
        let number = self.number(&resource.service);
        if let Some(sends) = self.sends.get_mut(number) {
            *sends = true;
        }
        self.by_resource.insert(Arc::as_ptr(resource), number);
        number
    }

    fn number(&mut self, name: &'a str) -> usize {
        *self.by_name.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.sends.push(false);
            self.names.len() - 1
        })
    }

    fn map(self) -> ServiceMap {
        let name = |number: usize| self.names.get(number).copied().unwrap_or_default();
        let sends = |number: usize| self.sends.get(number).copied().unwrap_or_default();
        let mut edges: BTreeMap<(&str, &str, bool), Calls> = BTreeMap::new();
        for ((parent, child, is_named), calls) in self.calls {
            // A call that did not get through, to a service that sends spans of others, counts with those.
            let edge = edges.entry((name(parent), name(child), is_named && !sends(child))).or_default();
            edge.errors += calls.errors;
            edge.durations_nano.extend(calls.durations_nano);
        }
        let entries: BTreeMap<&str, Calls> =
            self.entries.into_iter().map(|(service, calls)| (name(service), calls)).collect();
        let services = (0..self.names.len()).filter(|number| sends(*number));
        ServiceMap {
            services: services.map(|number| name(number).to_owned()).collect(),
            edges: edges
                .into_iter()
                .map(|((parent, child, external), calls)| edge(parent, child, external, calls))
                .collect(),
            entries: entries.into_iter().map(|(service, calls)| edge("", service, false, calls)).collect(),
        }
    }
}

fn edge(parent: &str, child: &str, external: bool, calls: Calls) -> Edge {
    let Calls { errors, mut durations_nano } = calls;
    durations_nano.sort_unstable();
    Edge {
        parent: parent.to_owned(),
        child: child.to_owned(),
        external,
        calls: durations_nano.len() as u64,
        errors,
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
    fn who_sends_spans_is_on_the_map_though_nobody_calls_it() {
        let store = Store::new(1 << 20);
        let peer = Attribute { key: "peer.service".into(), value: Value::Text("db".into()) };
        store.insert([of("a", 1, 0), Span { attributes: [peer].into(), ..of("b", 2, 0) }]);
        let services: Vec<String> = ServiceMap::of(&store.newest(1)).services.into_iter().collect();
        assert_eq!(services, ["a", "b"]);
    }

    #[test]
    fn failures_where_traces_begin_are_counted() {
        let store = Store::new(1 << 20);
        let failed = |span| Span { status_code: StatusCode::Error, ..span };
        store.insert([failed(of("a", 1, 0)), of("a", 2, 1), failed(of("b", 3, 2)), of("b", 4, 99)]);
        let entries = ServiceMap::of(&store.newest(1)).entries;
        let told: Vec<_> = entries.iter().map(|entry| (&*entry.child, entry.calls, entry.errors)).collect();
        assert_eq!(told, [("a", 1, 1), ("b", 1, 0)]);
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
        let mut edge = edge("a", "b", false, Calls::default());
        assert_eq!(edge.percentile_nano(50), 0);
        edge.durations_nano = (1..=200).collect();
        assert_eq!([50, 95, 99, 100].map(|percent| edge.percentile_nano(percent)), [100, 190, 198, 200]);
        edge.durations_nano = vec![7];
        assert_eq!([50, 99].map(|percent| edge.percentile_nano(percent)), [7, 7]);
    }
}
