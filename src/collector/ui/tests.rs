//! The pages as a browser without JavaScript gets them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;
use crate::collector::{
    attribute::{Attribute, Value},
    log::LogRecord,
    span::{self, Event, Link, Resource, Scope, Span, SpanKind, tests::span},
};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);
const EVIL: &str = "<script>\"'&</script>";
const EVIL_IN_QUERY: &str = "%3Cscript%3E%22%27%26%3C%2Fscript%3E";

/// The status, the address that it leads to, and the page.
async fn get(router: &Router, path: &str) -> (u16, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let policy = head.headers.get(header::CONTENT_SECURITY_POLICY).unwrap().to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let location = head.headers.get(header::LOCATION).map(|to| to.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    (head.status.as_u16(), location.unwrap_or_default(), String::from_utf8(body.to_vec()).unwrap())
}

fn pages(store: &Arc<Store>, base: &str) -> Router {
    let addresses = Addresses { grpc: ADDRESS, http: ADDRESS, pages: ADDRESS, health: None };
    let router = router(Arc::clone(store), Some(addresses), base);
    if base.is_empty() { router } else { Router::new().nest(base, router) }
}

fn store(spans: impl IntoIterator<Item = Span>) -> Arc<Store> {
    let store = Arc::new(Store::new(64 << 20));
    store.insert(spans);
    store
}

fn text(key: &str, value: &str) -> Attribute {
    Attribute { key: key.into(), value: Value::Text(value.into()) }
}

fn of(service: &str, span: Span) -> Span {
    Span { resource: Arc::new(Resource { service: service.into(), attributes: Box::default() }), ..span }
}

fn failed(span: Span) -> Span {
    Span { status_code: span::StatusCode::Error, ..span }
}

fn log(span_id: Option<span::SpanId>, time_unix_nano: u64, words: &str) -> LogRecord {
    LogRecord {
        severity_number: 0,
        time_unix_nano,
        span_id,
        resource: span(1, 1, 0).resource,
        severity: words.into(),
        body: Value::Text(words.into()),
        attributes: [text(words, words)].into(),
    }
}

fn hostile() -> Span {
    let evil = || Box::<str>::from(EVIL);
    let attributes = || [Attribute { key: evil(), value: Value::List([Value::Text(evil())].into()) }];
    let other = span(7, 7, 0);
    let link = Link {
        flags: 0,
        trace_id: other.trace_id,
        span_id: other.span_id,
        trace_state: evil(),
        attributes: attributes().into(),
    };
    let keys = ["response_flags", "retry.count", "http.status_code", "peer.service", "http.method", EVIL];
    Span {
        name: evil(),
        kind: SpanKind::Client,
        resource: Arc::new(Resource { service: evil(), attributes: attributes().into() }),
        scope: Arc::new(Scope { name: evil(), version: evil(), attributes: Box::default() }),
        attributes: keys
            .map(|key| text(key, EVIL))
            .into_iter()
            .chain([text("http.url", "http://x/<script>'\"")])
            .collect(),
        events: [Event {
            time_unix_nano: 0,
            name: evil(),
            attributes: attributes().into(),
            dropped_attributes: 0,
        }]
        .into(),
        links: [link].into(),
        status_message: evil(),
        trace_state: evil(),
        ..span(1, 1, 9)
    }
}

#[tokio::test]
async fn nothing_that_a_span_or_an_address_says_becomes_markup() {
    let store = store([hostile(), span(1, 2, 1)]);
    let id = hostile().trace_id;
    store
        .insert_logs([(Some(id), log(None, 5, EVIL)), (Some(id), log(Some(span(1, 2, 1).span_id), 5, EVIL))]);
    let router = pages(&store, "");
    let evil = EVIL_IN_QUERY;
    let addresses = [
        "/".to_owned(),
        "/results".to_owned(),
        format!("/?service={evil}&operation={evil}&status={evil}&attributes=a={evil}"),
        format!("/?min={evil}"),
        "/?'><script>".replace('<', "%3C").replace('>', "%3E"),
        format!("/trace/{id}"),
        format!("/trace/{evil}"),
        "/debug/tracez".to_owned(),
        format!("/debug/tracez?name={evil}&service={evil}"),
        "/map".to_owned(),
        format!("/{evil}"),
    ];
    for address in addresses {
        let (_, _, mut page) = get(&router, &address).await;
        for file in ["search.js", "trace.js"] {
            page = page.replace(&format!("<script src=\"/{file}\" defer></script>"), "");
        }
        assert!(!page.contains("<script") && !page.contains("</script"), "{address}: {page}");
        assert!(!page.contains(" style=") && !page.contains(" onclick="), "{address} has something inline");
    }
}

#[tokio::test]
async fn an_empty_search_says_how_to_send_a_first_trace() {
    let (status, _, page) = get(&pages(&store([]), ""), "/").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("No trace yet") && page.contains("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318")
    );
}

#[tokio::test]
async fn the_search_lists_what_fits_newest_first() {
    let third = Span { attributes: [text("zone", "a b")].into(), ..of("shop", span(3, 3, 0)) };
    let router = pages(&store([of("shop", span(1, 1, 0)), of("basket", failed(span(2, 2, 0))), third]), "");
    for (query, found) in [
        ("", vec![3, 2, 1]),
        ("?service=shop", vec![3, 1]),
        ("?status=error", vec![2]),
        ("?status=ok&service=basket", vec![]),
        ("?operation=buy&min=1us", vec![3, 2, 1]),
        ("?min=10s", vec![]),
        ("?limit=2", vec![3, 2]),
        ("?attributes=zone%3D%22a+b%22", vec![3]),
    ] {
        let (_, _, page) = get(&router, &format!("/{query}")).await;
        let (_, _, part) = get(&router, &format!("/results{query}")).await;
        let rows = page.split("data-trace=\"").skip(1);
        let ids: Vec<u128> = rows.map(|row| u128::from_str_radix(&row[..32], 16).unwrap()).collect();
        assert_eq!(ids, found, "{query}");
        assert!(page.contains(&part), "the script gets what the server writes");
    }
    let (_, _, page) = get(&router, "/?min=soon").await;
    assert!(page.contains("role=\"alert\"") && page.contains("“soon” is no duration"));
    let (_, _, page) = get(&router, "/?status=bogus&limit=x").await;
    assert!(
        page.contains("“bogus” is neither error nor ok") && page.contains("limit: “x” is not understood")
    );
    let (status, _, told) = get(&router, "/results?status=bogus").await;
    assert!(status == 400 && told.contains("“bogus”"), "{status} {told}");
}

#[tokio::test]
async fn a_trace_id_leads_to_its_trace_from_everywhere() {
    let router = pages(&store([span(1, 1, 0)]), "");
    let id = span(1, 1, 0).trace_id;
    for from in ["/", "/debug/tracez"] {
        let (status, location, _) = get(&router, &format!("{from}?trace_id=+{id}+")).await;
        assert_eq!((status, location), (303, format!("/trace/{id}")));
    }
    let (status, _, page) = get(&router, &format!("/trace/{}", "1".repeat(32))).await;
    assert!(status == 404 && page.contains("load this page again"), "{page}");
    let (status, _, page) = get(&router, "/trace/12").await;
    assert!(status == 404 && page.contains("32 hexadecimal digits"), "{page}");
}

#[tokio::test]
async fn a_waterfall_shows_all_that_is_wrong() {
    let early = Span { start_unix_nano: 500_000, ..of("basket", span(1, 3, 1)) };
    let retried = Span { attributes: [text("retry.count", "2")].into(), ..span(1, 2, 1) };
    let root = Span { end_unix_nano: 20_000_000, start_unix_nano: 1_000_001, ..span(1, 1, 0) };
    let (id, logged) = (root.trace_id, retried.span_id);
    let backwards = Span { start_unix_nano: 3_000_000, end_unix_nano: 2_000_000, ..span(1, 5, 1) };
    let circle = [span(1, 6, 7), span(1, 7, 6)];
    let store = store([root, early, retried, failed(span(1, 4, 99)), backwards].into_iter().chain(circle));
    store.insert_logs([(Some(id), log(Some(logged), 2_100_000, "sent again"))]);
    let (status, _, page) = get(&pages(&store, ""), &format!("/trace/{id}")).await;
    assert_eq!(status, 200);
    for part in [
        "parent <code>0000000000000063</code> is missing",
        "<em class=\"skew\" title=\"clock skew: the span starts 500 µs before its parent\">clock skew</em>",
        "clock skew: the span starts 500 µs before its parent: the clocks of the two services differ by that much or more.</p>",
        "missing parent: span 0000000000000063 has not come: its service does not send spans here",
        "clock: the span ends 1.00 ms before it starts: its clock was set back",
        "circle of parents: the span is an ancestor of itself: ",
        ">retry 2</i>",
        "<strong>ERROR</strong>",
        "<bdi>sent again</bdi>",
        "after 100 µs",
        "<th scope=\"row\">start</th><td><bdi>1970-01-01 00:00:00.001000001 UTC</bdi>",
        "class=\"critical\"",
        "data-below=\"3\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[tokio::test]
async fn logs_without_a_span_have_a_page() {
    let store = store([span(2, 1, 0)]);
    let id = span(1, 1, 0).trace_id;
    store.insert_logs([(Some(id), log(Some(span(1, 9, 0).span_id), 1_000_007, "began"))]);
    let router = pages(&store, "");
    let (status, _, page) = get(&router, &format!("/trace/{id}")).await;
    assert!(status == 200 && page.contains("No span of this trace has come yet"), "{page}");
    assert!(
        page.contains("<small>1970-01-01 00:00:00.001000007 UTC</small>")
            && page.contains("<bdi>began</bdi>")
    );
    assert!(
        page.contains("1 trace, 1 span, 1 log record and 1 trace of which only logs have come, kept in"),
        "{page}"
    );
    let (status, _, json) = get(&router, &format!("/trace/{id}.json")).await;
    assert!(status == 200 && json.contains("resourceLogs") && json.contains("began"), "{json}");
    let (_, _, list) = get(&router, "/").await;
    assert!(!list.contains(&format!("data-trace=\"{id}\"")), "what is not counted is not listed");
    store.insert([span(1, 9, 0)]);
    let (_, _, page) = get(&router, &format!("/trace/{id}")).await;
    assert!(!page.contains("has come yet") && !page.contains("of which only"), "{page}");
}

#[tokio::test]
async fn a_long_text_is_cut_with_a_link_to_where_it_is_whole() {
    let long = Span { attributes: [text("body", &"x".repeat(1 << 20))].into(), ..span(1, 1, 0) };
    let id = long.trace_id;
    let (_, _, page) = get(&pages(&store([long]), "/traces"), &format!("/traces/trace/{id}")).await;
    let link = format!("<a href=\"/traces/trace/{id}.json\">all of it");
    assert!(page.len() < 20_000 && page.contains(&link));
}

#[tokio::test]
async fn a_page_draws_so_many_lines_and_counts_the_others() {
    let router = pages(&store((1..=waterfall::LINES_DRAWN as u64 + 7).map(|id| span(1, id, 0))), "");
    let (_, _, page) = get(&router, &format!("/trace/{}", span(1, 1, 0).trace_id)).await;
    assert_eq!(page.matches("<summary>").count(), waterfall::LINES_DRAWN);
    assert!(page.contains("7 more lines"));
}

#[tokio::test]
async fn below_a_prefix_every_link_has_it_and_leads_somewhere() {
    let store = store([of("shop", span(1, 1, 0)), of("basket", span(1, 2, 1))]);
    let router = pages(&store, "/traces");
    let mut ahead = vec!["/traces".to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(address) = ahead.pop() {
        if !seen.insert(address.clone()) {
            continue;
        }
        let (status, location, page) = get(&router, &address).await;
        assert!(status == 200 || !location.is_empty(), "{address}: {status}");
        let links =
            ["href=\"", "src=\"", "action=\"", "data-results=\""].map(|name| page.split(name).skip(1));
        for link in links.into_iter().flatten().filter_map(|rest| rest.split('"').next()) {
            let link = link.split('#').next().unwrap().replace("&amp;", "&");
            assert!(link.is_empty() || link.starts_with("/traces"), "{address} links to {link}");
            if !link.is_empty() {
                ahead.push(link);
            }
        }
    }
    assert!(seen.len() > 10 && seen.contains("/traces/map"), "{seen:?}");
}

#[tokio::test]
async fn a_long_name_can_be_read_in_the_details() {
    let named = |id, length: usize| Span { name: "é".repeat(length).into(), ..span(id, 1, 0) };
    let router = pages(&store([named(1, 2_000), named(2, 5_000)]), "");
    let (_, _, page) = get(&router, &format!("/trace/{:032x}", 1)).await;
    let whole = format!("<th scope=\"row\">name</th><td><bdi>{}</bdi></td>", "é".repeat(2_000));
    assert!(page.contains(&whole), "{page}");
    let (_, _, page) = get(&router, &format!("/trace/{:032x}", 2)).await;
    let hint =
        format!("… <em>(of 9 KiB)</em></bdi> <a href=\"/trace/{:032x}.json\">all of it in the JSON</a>", 2);
    assert!(page.contains(&hint), "{page}");
}

#[tokio::test]
async fn an_empty_name_is_told_on_every_page() {
    let router = pages(&store([Span { name: "".into(), ..span(1, 1, 0) }]), "");
    for (path, times) in [("/", 1), ("/debug/tracez", 1), (&format!("/trace/{:032x}", 1), 4)] {
        let (_, _, page) = get(&router, path).await;
        assert_eq!(page.matches("(no name)").count(), times, "{path}: {page}");
    }
}
