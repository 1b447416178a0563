//! The services that sent spans, and what they did.

use std::collections::{BTreeSet, HashSet};

use axum::{
    extract::{Path, RawQuery, State},
    response::Response,
};
use serde::Serialize;

use super::{
    Shared,
    answer::{self, Refusal},
    parameters::Parameters,
    tags,
};
use crate::collector::{span::SpanKind, store::Store};

/// A name that spans have, and their kind.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Operation {
    name: String,
    /// `server`, `client`, `producer`, `consumer`, `internal`, or empty.
    #[serde(rename = "spanKind")]
    kind: &'static str,
}

/// `/api/services`: the names of all services, in order.
pub(super) async fn services(State(store): Shared) -> Response {
    let traces = store.newest(usize::MAX);
    let spans = traces.iter().flat_map(|trace| trace.spans.values());
    let names: HashSet<&str> = spans.map(|span| &*span.resource.service).collect();
    let mut names = Vec::from_iter(names);
    names.sort_unstable();
    answer::list(names)
}

/// `/api/services/{service}/operations`: the names of its spans, in order.
pub(super) async fn names(State(store): Shared, Path(service): Path<String>) -> Response {
    let operations = operations_of(&store, &service, None);
    let names: BTreeSet<String> = operations.into_iter().map(|operation| operation.name).collect();
    answer::list(Vec::from_iter(names))
}

/// `/api/operations`: the names of a service's spans with their kinds.
pub(super) async fn operations(State(store): Shared, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let parameters = Parameters::parse(query.as_deref());
    let service =
        parameters.text("service").ok_or_else(|| Refusal::bad_request("parameter 'service' is required"))?;
    Ok(answer::list(operations_of(&store, service, parameters.text("spanKind"))))
}

/// What `service` did; of one kind, if one is given.
fn operations_of(store: &Store, service: &str, kind: Option<&str>) -> Vec<Operation> {
    let traces = store.newest(usize::MAX);
    let spans = traces.iter().flat_map(|trace| trace.spans.values());
    let known: HashSet<(&str, &'static str)> = spans
        .filter(|span| *span.resource.service == *service)
        .map(|span| (&*span.name, word(span.kind)))
        .filter(|(_, word)| kind.is_none_or(|kind| kind == *word))
        .collect();
    let mut operations: Vec<Operation> =
        known.into_iter().map(|(name, kind)| Operation { name: name.to_owned(), kind }).collect();
    operations.sort_unstable();
    operations
}

fn word(kind: SpanKind) -> &'static str {
    tags::kind(kind).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::span::{Span, tests::span};

    #[test]
    fn operations_are_told_once_with_each_kind() {
        let store = Store::new(1 << 20);
        let client = Span { kind: SpanKind::Client, ..span(1, 2, 1) };
        store.insert([span(1, 1, 0), client, span(2, 1, 0), Span { name: "a".into(), ..span(1, 3, 0) }]);
        let operation = |name: &str, kind| Operation { name: name.to_owned(), kind };
        assert_eq!(
            operations_of(&store, "shop", None),
            [operation("a", "server"), operation("buy", "client"), operation("buy", "server")]
        );
        assert_eq!(operations_of(&store, "shop", Some("client")), [operation("buy", "client")]);
        assert_eq!(operations_of(&store, "other", None), []);
    }
}
