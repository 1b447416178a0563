//! Who calls whom.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    response::Response,
};
use serde::Serialize;

use super::{
    Shared,
    answer::{self, Refusal},
    now_unix_nano,
    parameters::{MILLISECOND, Parameters},
};
use crate::collector::{
    service_map::{self, Edge},
    store::{Search, Trace},
};

/// How far back calls are counted unless the request says it. Jaeger's, in milliseconds.
const DEFAULT_LOOKBACK_MS: u64 = 86_400_000;

/// One service calls another.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Dependency {
    parent: String,
    child: String,
    #[serde(rename = "callCount")]
    calls: u64,
}

/// `/api/dependencies`: the calls in traces that began in the `lookback` milliseconds before `endTs`.
pub(super) async fn dependencies(
    State(store): Shared,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let parameters = Parameters::parse(query.as_deref());
    let end = parameters.moment("endTs", MILLISECOND)?.unwrap_or_else(now_unix_nano);
    let lookback = parameters.moment("lookback", MILLISECOND)?.unwrap_or(DEFAULT_LOOKBACK_MS * MILLISECOND);
    let search = Search {
        from_unix_nano: Some(end.saturating_sub(lookback)),
        to_unix_nano: Some(end),
        ..Search::default()
    };
    let traces: Vec<Arc<Trace>> = store.search(&search, usize::MAX);
    let dependencies = of_edges(service_map::edges(&traces), parameters.text("service"));
    Ok(answer::uncounted(dependencies, Vec::new()))
}

/// The calls between services that send spans, of `service` if one is given.
fn of_edges(edges: Vec<Edge>, service: Option<&str>) -> Vec<Dependency> {
    let mut calls: BTreeMap<(String, String), u64> = BTreeMap::new();
    let known = edges.into_iter().filter(|edge| !edge.external);
    for edge in known.filter(|edge| service.is_none_or(|name| edge.parent == name || edge.child == name)) {
        *calls.entry((edge.parent, edge.child)).or_default() += edge.calls;
    }
    calls.into_iter().map(|((parent, child), calls)| Dependency { parent, child, calls }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(parent: &str, child: &str, external: bool) -> Edge {
        let (parent, child) = (parent.to_owned(), child.to_owned());
        Edge { parent, child, calls: 2, errors: 0, durations_nano: Vec::new(), external }
    }

    #[test]
    fn calls_of_one_pair_are_added_and_unknown_services_left_out() {
        let edges =
            vec![edge("a", "b", false), edge("a", "b", false), edge("b", "c", false), edge("a", "db", true)];
        let dependency = |parent: &str, child: &str, calls| Dependency {
            parent: parent.to_owned(),
            child: child.to_owned(),
            calls,
        };
        assert_eq!(of_edges(edges.clone(), None), [dependency("a", "b", 4), dependency("b", "c", 2)]);
        assert_eq!(of_edges(edges.clone(), Some("c")), [dependency("b", "c", 2)]);
        assert_eq!(of_edges(edges, Some("db")), []);
    }
}
