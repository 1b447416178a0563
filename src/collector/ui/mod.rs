//! The pages, and the interface for programs beside them.
//!
//! A page is what implements `Display`, put into a `frame`. Every link begins with the `base`, so that the pages can be
//! mounted anywhere. Scripts only add to what the server has written: without them all can be read.

mod bar;
mod base;
mod catalogue;
mod curl;
mod details;
mod drawing;
mod frame;
mod html;
mod json;
mod labels;
mod layers;
mod live;
mod map;
mod other_logs;
mod query;
mod results;
mod search;
mod shape;
mod trace_page;
mod tracez;
mod waterfall;

use std::{
    fmt::Display,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, RawQuery, State},
    middleware::{map_request, map_response},
    response::{Html, IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderName, HeaderValue, Request, StatusCode, header};

pub(super) use html::{Count, Elapsed, Moment, Size, named};

use self::{
    base::Base,
    catalogue::Catalogue,
    frame::{Frame, Place},
    query::{Form, Query},
    results::{LISTED, Results},
};
use super::{
    Addresses, api,
    service_map::ServiceMap,
    span::TraceId,
    store::{Store, Trace, by_start},
};

/// The files that the pages load: path, type, content.
const FILES: [(&str, &str, &str); 4] = [
    ("/style.css", "text/css; charset=utf-8", include_str!("static/style.css")),
    ("/search.js", "text/javascript; charset=utf-8", include_str!("static/search.js")),
    ("/trace.js", "text/javascript; charset=utf-8", include_str!("static/trace.js")),
    ("/icon.svg", "image/svg+xml", include_str!("static/icon.svg")),
];

/// Pages load their own files and nothing else, and only files run: whatever a span contains, it can neither run nor
/// load anything.
const CONTENT_SECURITY_POLICY: &str = concat!(
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; ",
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
);

/// What the pages tell of.
#[derive(Debug)]
struct Pages {
    store: Arc<Store>,
    addresses: Option<Addresses>,
    base: Base,
    catalogue: Mutex<Catalogue>,
}

/// All pages. `addresses` is what an empty page tells to send traces to, if anything can be sent; `base` is the path below which the router will
/// be mounted, empty for the root.
pub(super) fn router(store: Arc<Store>, addresses: Option<Addresses>, base: &str) -> Router {
    let pages = Pages { store, addresses, base: Base::new(base), catalogue: Mutex::default() };
    let mut router = Router::new()
        .route("/", get(search))
        .route("/results", get(results))
        .route("/live", get(live))
        .route("/trace/{id}", get(trace))
        .route("/debug/tracez", get(tracez))
        .route("/map", get(map))
        .fallback(async |State(pages): State<Arc<Pages>>| {
            let main = format!(
                "<section class=\"empty\">\n<h1>Nothing here</h1>\n<p><a href=\"{}\">See the newest traces</a></p>\n</section>\n",
                pages.base.home(),
            );
            (StatusCode::NOT_FOUND, pages.page("Nothing here", Place::Elsewhere, None, main))
        });
    for (path, kind, content) in FILES {
        router = router.route(path, get(async move || ([(header::CONTENT_TYPE, kind)], content)));
    }
    let interface = api::router(Arc::clone(&pages.store));
    let is_local = addresses.is_some_and(|addresses| addresses.pages.ip().is_loopback());
    let router = router.with_state(Arc::new(pages)).merge(interface).layer(map_response(guarded));
    if is_local { router.layer(map_request(from_here)) } else { router }
}

/// A trace's page, for what only wants to know that it can be written.
pub(super) fn write_trace(trace: &Trace) -> String {
    let (base, palette) = (Base::new(""), Catalogue::default().palette());
    trace_page::TracePage { trace, base: &base, palette: &palette }.to_string()
}

async fn search(State(pages): State<Arc<Pages>>, RawQuery(raw): RawQuery) -> Response {
    let form = Form::of(&Query::parse(raw.as_deref()));
    if !form.trace_id.is_empty() {
        let id = base::encoded(&form.trace_id).to_string();
        return Redirect::to(&format!("{}/trace/{id}", pages.base)).into_response();
    }
    let (services, operations, palette) =
        pages.known(|known| (known.services(), known.operations(&form.service), known.palette()));
    let found = form.wanted().map(|wanted| (pages.store.search(&wanted.search, wanted.limit), wanted.limit));
    let found = match &found {
        Ok((traces, limit)) => Ok(Results { traces, limit: *limit, base: &pages.base, palette: &palette }),
        Err(problems) => Err(&**problems),
    };
    let main = search::SearchPage {
        base: &pages.base,
        form: &form,
        query: raw.as_deref().unwrap_or_default(),
        services: &services,
        operations: &operations,
        found,
        is_empty: form.is_empty() && pages.store.totals().spans == 0,
        addresses: pages.addresses.as_ref(),
    };
    pages.page("Search", Place::Search, Some("search.js"), main).into_response()
}

/// What changes in the search when something comes.
async fn results(State(pages): State<Arc<Pages>>, RawQuery(raw): RawQuery) -> Response {
    let form = Form::of(&Query::parse(raw.as_deref()));
    match form.wanted() {
        Ok(query::Wanted { search, limit }) => {
            let (traces, palette) = (pages.store.search(&search, limit), pages.known(Catalogue::palette));
            Html(Results { traces: &traces, limit, base: &pages.base, palette: &palette }.to_string())
                .into_response()
        }
        Err(problems) => (StatusCode::BAD_REQUEST, problems.join("\n")).into_response(),
    }
}

/// What comes: as a number that changes or, with a trace id, as the number of spans of that trace.
async fn live(State(pages): State<Arc<Pages>>, RawQuery(raw): RawQuery) -> Response {
    match Query::parse(raw.as_deref()).get("trace_id").and_then(TraceId::from_hex) {
        Some(id) => live::spans_of(Arc::clone(&pages.store), id).into_response(),
        None => live::events(pages.store.changes()).into_response(),
    }
}

/// A trace as a page, or, with `.json` after its id, as OTLP JSON.
async fn trace(State(pages): State<Arc<Pages>>, Path(wanted): Path<String>) -> Response {
    if let Some(id) = wanted.strip_suffix(".json") {
        return api::otlp_json(&pages.store, id);
    }
    let found = TraceId::from_short_hex(&wanted).and_then(|id| pages.store.trace(&id));
    let Some(trace) = found else {
        let main = trace_page::NoTrace { wanted: &wanted, base: &pages.base };
        return (StatusCode::NOT_FOUND, pages.page("No such trace", Place::Elsewhere, None, main))
            .into_response();
    };
    let palette = pages.known(Catalogue::palette);
    let title = trace.root.as_ref().map_or_else(
        || "Logs of a trace".to_owned(),
        |root| format!("{} {}", root.resource.service, named(&root.name)),
    );
    let main = trace_page::TracePage { trace: &trace, base: &pages.base, palette: &palette };
    pages.page(&title, Place::Elsewhere, Some("trace.js"), main).into_response()
}

async fn tracez(State(pages): State<Arc<Pages>>, RawQuery(raw): RawQuery) -> Response {
    let query = Query::parse(raw.as_deref());
    if query.get("format") == Some("json") {
        return pages.as_json(&query);
    }
    if let Some(id) = query.get("trace_id") {
        return Redirect::to(&format!("{}/trace/{}", pages.base, base::encoded(id))).into_response();
    }
    let traces = pages.store.newest(usize::MAX);
    let palette = pages.known(Catalogue::palette);
    let main = tracez::TracezPage { traces: &traces, base: &pages.base, palette: &palette, query: &query };
    pages.page("Latencies", Place::Tracez, None, main).into_response()
}

async fn map(State(pages): State<Arc<Pages>>) -> Response {
    let traces = pages.store.newest(usize::MAX);
    let ServiceMap { services: mut alone, edges, entries } = ServiceMap::of(&traces);
    for edge in &edges {
        alone.remove(&edge.parent);
        alone.remove(&edge.child);
    }
    // A time of zero is one that nobody said.
    let starts = || traces.iter().map(|trace| trace.start_unix_nano).filter(|start| *start > 0);
    let (first, last) = (starts().min().unwrap_or_default(), starts().max().unwrap_or_default());
    let palette = pages.known(Catalogue::palette);
    let main = map::MapPage {
        edges: &edges,
        entries: &entries,
        alone: &alone,
        span_nano: last - first,
        base: &pages.base,
        palette: &palette,
    };
    pages.page("Service map", Place::Map, None, main).into_response()
}

impl Pages {
    fn page(
        &self,
        title: &str,
        place: Place,
        script: Option<&'static str>,
        main: impl Display,
    ) -> Html<String> {
        let totals = self.store.totals();
        Html(Frame { base: &self.base, title, place, script, totals, main }.to_string())
    }

    /// What `read` reads from the catalogue, after everything in the store was added to it.
    fn known<T>(&self, read: impl FnOnce(&Catalogue) -> T) -> T {
        // A catalogue whose update was broken off only lacks names.
        let mut catalogue = self.catalogue.lock().unwrap_or_else(PoisonError::into_inner);
        catalogue.update(&self.store);
        read(&catalogue)
    }

    /// The newest traces, or the one that was asked for.
    fn as_json(&self, query: &Query) -> Response {
        let traces: Vec<Arc<Trace>> = match query.get("trace_id") {
            None => by_start(self.store.newest(LISTED).into_iter()),
            Some(id) => TraceId::from_hex(id).and_then(|id| self.store.trace(&id)).into_iter().collect(),
        };
        match serde_json::to_vec(&json::Traces::from(&*traces)) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(cause) => (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response(),
        }
    }
}

/// Pages of this machine are for browsers that ask for this machine: a page from elsewhere, whose name its owner makes an
/// address of loopback, must not read them.
async fn from_here(request: Request<Body>) -> Result<Request<Body>, (StatusCode, &'static str)> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    let is_here = name.parse::<IpAddr>().is_ok()
        || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || name == "localhost"
        || name.ends_with(".localhost");
    if is_here {
        return Ok(request);
    }
    Err((
        StatusCode::FORBIDDEN,
        "ask for localhost, or listen on another address than loopback (--pages-address)\n",
    ))
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
mod tests;
