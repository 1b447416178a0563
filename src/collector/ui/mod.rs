//! The pages, and the same as JSON.

mod details;
mod html;
mod json;
mod tracez;
mod waterfall;

use std::sync::Arc;

use axum::{
    Router,
    extract::{RawQuery, State},
    middleware::map_response,
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, StatusCode, header};

pub(super) use html::Size;

use super::{
    Addresses,
    span::TraceId,
    store::{Store, Trace},
};

/// Where the list of traces stands; the address that OpenTelemetry's zPages use.
const TRACEZ_PATH: &str = "/debug/tracez";

/// How many traces are listed, the newest. A page with more is not read to its end.
const TRACES_LISTED: usize = 100;

/// Style of all pages.
const STYLE: &str = include_str!("style.css");

/// Nothing that a page does needs more than its style, so nothing else is allowed: whatever a span contains,
/// it can neither run nor load anything.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// What a page tells.
#[derive(Debug)]
struct Pages {
    store: Arc<Store>,
    addresses: Addresses,
}

/// All pages. `addresses` is what an empty page tells to send traces to.
pub(super) fn router(store: Arc<Store>, addresses: Addresses) -> Router {
    Router::new()
        .route("/", get(async || Redirect::temporary(TRACEZ_PATH)))
        .route(TRACEZ_PATH, get(tracez))
        .route("/api/traces", get(api_traces))
        .route("/style.css", get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)))
        .fallback(async || (StatusCode::NOT_FOUND, format!("nothing here; traces are at {TRACEZ_PATH}\n")))
        .with_state(Arc::new(Pages { store, addresses }))
        .layer(map_response(guarded))
}

async fn tracez(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    let query = Query::parse(query.as_deref().unwrap_or_default());
    let traces = pages.select(&query);
    if query.as_json {
        return as_json(&traces);
    }
    let page = tracez::Page {
        traces: &traces,
        filter: query.trace_id.as_ref(),
        totals: pages.store.totals(),
        addresses: &pages.addresses,
    };
    Html(page.to_string()).into_response()
}

async fn api_traces(State(pages): State<Arc<Pages>>, RawQuery(query): RawQuery) -> Response {
    as_json(&pages.select(&Query::parse(query.as_deref().unwrap_or_default())))
}

impl Pages {
    fn select(&self, query: &Query) -> Vec<Arc<Trace>> {
        match &query.trace_id {
            None => self.store.newest(TRACES_LISTED),
            Some(Wanted::Trace(id)) => self.store.trace(id).into_iter().collect(),
            Some(Wanted::NoTraceId(_)) => Vec::new(),
        }
    }
}

/// What the address of a page asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    as_json: bool,
    trace_id: Option<Wanted>,
}

/// The `trace_id` that was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Trace(TraceId),
    /// What stands there is not a trace id, so no trace has it.
    NoTraceId(String),
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            match key {
                "format" => parsed.as_json = value == "json",
                // The search field sends an empty value for "all".
                "trace_id" if !value.is_empty() => parsed.trace_id = Some(Wanted::parse(value)),
                _ => {}
            }
        }
        parsed
    }
}

impl Wanted {
    fn parse(text: &str) -> Self {
        TraceId::from_hex(text).map_or_else(|| Self::NoTraceId(text.to_owned()), Self::Trace)
    }
}

fn as_json(traces: &[Arc<Trace>]) -> Response {
    match serde_json::to_vec(&json::Traces::from(traces)) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
    }
}

/// Add the headers that keep a page's content from doing anything.
async fn guarded(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 4] = [
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    response.headers_mut().extend(HEADERS);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_is_read() {
        assert_eq!(Query::parse(""), Query::default());
        assert_eq!(Query::parse("trace_id="), Query::default());
        assert!(Query::parse("a&trace_id=&format=json").as_json);
        let id = "d1fca5106c27ef49b54d1eba13323f5f";
        let wanted = Query::parse(&format!("trace_id={id}")).trace_id;
        assert_eq!(wanted, TraceId::from_hex(id).map(Wanted::Trace));
        assert_eq!(Query::parse("trace_id=%3C").trace_id, Some(Wanted::NoTraceId("%3C".into())));
    }
}
