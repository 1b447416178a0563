//! HTTP filters before the router: what they answer, what they mark, and which configurations of them are refused.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, OK, refusing_address, run};

const CHECKED: &str = "x-envoy-upstream-healthchecked-cluster";
const ROUTER: &str = "{name: router, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}";

/// A health check filter with these fields.
fn health_check(fields: &str) -> String {
    format!(
        "{{name: check, typed_config: {{'@type': \
         type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck, {fields}}}}}"
    )
}

/// Checks are requests for `/healthz`, with a proxy whose cluster is `fleet`.
fn checked(config: Bootstrap, pass_through: bool) -> Bootstrap {
    let fields = format!(
        "pass_through_mode: {pass_through}, headers: [{{name: ':path', string_match: {{exact: /healthz}}}}]"
    );
    config
        .manager(&format!("http_filters: [{}, {ROUTER}]", health_check(&fields)))
        .top("node: {id: n, cluster: fleet}")
}

#[tokio::test]
async fn a_health_check_is_answered_by_the_proxy_whatever_its_hosts_do() {
    let proxy = checked(Bootstrap::to(refusing_address()), false).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/healthz").await;
    assert_eq!((response.status(), response.text()), (200, ""));
    assert_eq!(response.header(CHECKED), Some("fleet"));
    // The connection stays, and what is no check goes on.
    let response = client.get("/healthz?deep").await;
    assert_eq!((response.status(), response.header(CHECKED)), (503, None));
}

#[tokio::test]
async fn an_answered_health_check_says_so_in_its_details_and_has_the_routes_headers() {
    let config = checked(Bootstrap::to(refusing_address()), false).flags_as_body();
    let response = config.start().await.connect().await.get("/healthz").await;
    assert_eq!(response.text(), "200|-|health_check_ok");

    let config = checked(Bootstrap::to(refusing_address()), false)
        .manager("route_config: {response_headers_to_add: [{header: {key: x-v, value: '1'}}]}");
    let response = config.start().await.connect().await.get("/healthz").await;
    assert_eq!(response.header("x-v"), Some("1"));
}

#[tokio::test]
async fn a_health_check_needs_no_route() {
    let config = checked(Bootstrap::to(refusing_address()), false)
        .routes("[{match: {path: /only}, direct_response: {status: 200}}]");
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/healthz").await.status(), 200);
    assert_eq!(client.get("/other").await.status(), 404);
}

#[tokio::test]
async fn a_health_check_that_is_passed_on_is_answered_by_the_service_and_marked() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = checked(Bootstrap::to(upstream.address()), true).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/healthz").await;
    assert_eq!((response.text(), response.header(CHECKED)), ("ok", Some("fleet")));
    assert_eq!(upstream.request().await.path(), "/healthz");
    assert_eq!(client.get("/").await.header(CHECKED), None);
}

#[tokio::test]
async fn without_matchers_every_request_is_a_health_check() {
    let filters = format!("http_filters: [{}, {ROUTER}]", health_check("pass_through_mode: false"));
    let proxy = Bootstrap::to(refusing_address()).manager(&filters).start().await;
    assert_eq!(proxy.connect().await.get("/any").await.status(), 200);
}

#[tokio::test]
async fn filters_that_are_not_there_or_not_in_order_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let check = health_check("pass_through_mode: false");
    let cors =
        "{name: c, typed_config: {'@type': type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}}";
    for (filters, told) in [
        (format!("{ROUTER}, {check}"), "the router \"router\" must be the last HTTP filter"),
        (check.clone(), "the last HTTP filter is \"check\""),
        (format!("{cors}, {ROUTER}"), "envoy.extensions.filters.http.cors.v3.Cors"),
        (format!("{}, {ROUTER}", health_check("pass_through_mode: true, cache_time: 1s")), "cache_time"),
        (
            format!(
                "{}, {ROUTER}",
                health_check(
                    "pass_through_mode: false, cluster_min_healthy_percentages: {upstream: {value: 50}}"
                )
            ),
            "cluster_min_healthy_percentages",
        ),
        (format!("{}, {ROUTER}", health_check("headers: []")), "pass_through_mode"),
    ] {
        let file = folder.path().join("envoy.yaml");
        let config = Bootstrap::to(refusing_address()).manager(&format!("http_filters: [{filters}]"));
        std::fs::write(&file, config.text(refusing_address())).unwrap();
        let outcome = run(["check", file.to_str().unwrap()]).await;
        let all = outcome.stdout + &outcome.stderr;
        assert!(outcome.code != Some(0) && all.contains(told), "{filters}:\n{all}");
    }
}
