//! The interface for programs: Jaeger's query JSON, as its page and Grafana's data source read it, and OTLP JSON.
//!
//! `openapi.json` tells of each path what it takes and answers.

mod answer;
mod dependencies;
mod jaeger;
mod parameters;
mod search;
mod services;
mod tags;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{Path, RawQuery, State},
    response::{IntoResponse as _, Response},
    routing::{MethodRouter, any, get},
};
use http::header;

use self::{
    answer::{Complaint, Refusal},
    parameters::Parameters,
    search::Wanted,
};
use super::{
    otlp_out::TraceData,
    span::TraceId,
    store::{Store, Trace},
};

/// What the paths, parameters and answers are.
const OPENAPI: &str = include_str!("openapi.json");

/// What all handlers read.
type Shared = State<Arc<Store>>;

/// All paths of the interface.
pub(super) fn router(store: Arc<Store>) -> Router {
    let router =
        routes().into_iter().fold(Router::new(), |router, (path, method)| router.route(path, method));
    // Programs read what they get as JSON, also when they ask for what is not there.
    let nothing = async || Refusal::no_path();
    ["/api", "/api/", "/api/{*path}"]
        .into_iter()
        .fold(router, |router, path| router.route(path, any(nothing)))
        .with_state(store)
}

fn routes() -> [(&'static str, MethodRouter<Arc<Store>>); 7] {
    [
        ("/api/services", get(services::services)),
        ("/api/services/{service}/operations", get(services::names)),
        ("/api/operations", get(services::operations)),
        ("/api/traces", get(traces)),
        ("/api/traces/{id}", get(trace)),
        ("/api/dependencies", get(dependencies::dependencies)),
        ("/api/openapi.json", get(openapi)),
    ]
}

async fn traces(State(store): Shared, RawQuery(query): RawQuery) -> Result<Response, Refusal> {
    let parameters = Parameters::parse(query.as_deref());
    let (found, missing) = match Wanted::parse(&parameters, now_unix_nano())? {
        Wanted::Newest(query) => (query.run(&store), Vec::new()),
        Wanted::Traces(ids) => by_id(&store, &ids),
    };
    let data = found.iter().map(|trace| jaeger::Trace::from(&**trace)).collect();
    Ok(answer::uncounted(data, missing))
}

async fn trace(State(store): Shared, Path(id): Path<String>) -> Result<Response, Refusal> {
    let trace = known(&store, search::trace_id(&id)?).ok_or_else(Refusal::no_trace)?;
    Ok(answer::uncounted(vec![jaeger::Trace::from(&*trace)], Vec::new()))
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// The trace `id` as OTLP JSON, with its log records: `/trace/{id}.json`, beside the page of that trace.
pub(super) fn otlp_json(store: &Store, id: &str) -> Response {
    // Here logs alone are something, too.
    let trace = search::trace_id(id).and_then(|id| store.trace(&id).ok_or_else(Refusal::no_trace));
    trace.map(|trace| answer::json(&TraceData::from(&*trace))).into_response()
}

/// Those of `ids` that are here, and a word for each that is not.
fn by_id(store: &Store, ids: &[TraceId]) -> (Vec<Arc<Trace>>, Vec<Complaint>) {
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match known(store, *id) {
            Some(trace) => found.push(trace),
            None => missing.push(Complaint::no_trace(id)),
        }
    }
    (found, missing)
}

/// The trace `id`, once a span of it has come.
fn known(store: &Store, id: TraceId) -> Option<Arc<Trace>> {
    store.trace(&id).filter(|trace| trace.root.is_some())
}

fn now_unix_nano() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_description_has_every_path_and_no_other() {
        let description: Value = serde_json::from_str(OPENAPI).unwrap();
        let described: BTreeSet<&str> =
            description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        // The pages lead to that one.
        let served = routes().into_iter().map(|(path, _)| path).chain(["/trace/{id}.json"]);
        assert_eq!(described, served.collect());
    }
}
