//! What is said of a request is what it gets.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::Value;

use super::{Shop, explain, json};
use crate::harness::{Admin, Bootstrap, CannedUpstream, H2Client, Message, OK, Outcome, refusing_address};

/// What `explain` and a real request are both given.
const REQUESTS: &[(&str, &[&str])] = &[
    ("GET http://shop.test/api/x?y=1", &["x-canary: 1", "x-secret: s", "x-team: t"]),
    ("GET http://shop.test/api/x?y=1", &["x-canary: 2", "x-canary: 3", "cookie: a=b"]),
    (
        "GET http://eu.shop.test:8080/API//y/../z",
        &["x-envoy-upstream-rq-timeout-ms: 7", "x-envoy-retry-on: 5xx"],
    ),
    ("POST http://shop.test/item/42?z", &["user-agent: curl", "x-forwarded-for: 10.1.1.1", "te: trailers"]),
    ("GET http://shop.test/item/abc", &[]),
    ("GET http://shop.test/old?q=1", &[]),
    ("GET http://shop.test/hello", &["x-request-id: 11111111-2222-4333-8444-555555555555"]),
    ("GET http://shop.test/teapot", &[]),
    ("GET http://shop.test/q?page=12&x", &["connection: x-gone, te", "x-gone: 1"]),
    ("GET http://shop.test/q?page=2", &[]),
    ("GET http://shop.test/to", &["x-to: b"]),
    ("GET http://shop.test/to", &["x-to: nowhere"]),
    ("PUT http://shop.test/put", &[]),
    ("GET http://shop.test/put", &[]),
    ("GET http://shop.test/host", &["x-forwarded-host: before"]),
    ("GET http://shop.test/hosts", &[]),
    ("POST http://shop.test/rpc", &["content-type: application/grpc"]),
    ("POST http://shop.test/no-rpc", &["content-type: application/grpc"]),
    ("GET http://shop.test/dead", &[]),
    (
        "GET http://shop.test/traced",
        &["traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
    ),
    ("GET http://shop.test/a%2fb", &[]),
    ("GET http://shop.test/%00", &[]),
    ("GET http://shop.test/api/ws", &["upgrade: h2c", "connection: upgrade"]),
    ("GET http://shop.test/api/ws", &["upgrade: other", "connection: upgrade"]),
    ("BREW http://shop.test/", &[]),
    ("QUERY http://shop.test/api/", &[]),
    ("GET http://safe.test/x?y", &[]),
    ("GET http://shoop.test/", &[]),
    ("GET http://shop.test/", &["host: a/b"]),
    ("POST http://shop.test/q?page=1", &["content-length: 0", "expect: 100-continue"]),
    (
        "PUT http://shop.test/put",
        &["x-envoy-force-trace: 1", "x-client-trace-id: c", "x-envoy-decorator-operation: o"],
    ),
    ("GET http://shop.test/traced", &["x-forwarded-proto: https", "referer: http://x/#y", "keep-alive: 5"]),
    ("OPTIONS *", &["host: shop.test"]),
    ("CONNECT shop.test:443", &[]),
];

/// The request as a client sends it that is given the same.
fn wire(http: &str, request: &str, headers: &[&str]) -> String {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, path) = match url.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/').unwrap()),
        None => ("", url),
    };
    let own = headers.iter().find_map(|header| header.strip_prefix("host: "));
    let host = own.unwrap_or(if method == "CONNECT" { path } else { host });
    let others = headers.iter().filter(|header| !header.starts_with("host:"));
    let others: String = others.map(|header| format!("{header}\r\n")).collect();
    let host = if host.is_empty() { String::new() } else { format!("host: {host}\r\n") };
    format!("{method} {path} HTTP/{http}\r\n{host}{others}\r\n")
}

pub(crate) fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// Hold what arrived at a host against what was said of it.
pub(crate) fn assert_sent(told: &Value, request: &Message, about: &str) {
    let (method, path) = (told["method"].as_str().unwrap(), told["path"].as_str().unwrap());
    assert_eq!(request.start_line, format!("{method} {path} HTTP/1.1"), "{about}");
    assert_eq!(request.header("host"), told["authority"].as_str(), "{about}");
    let changes = told["changes"].as_array().unwrap();
    let varying = changes.iter().filter(|change| change["varies"] == true);
    let mut hidden: Vec<String> = varying.map(|change| change["name"].as_str().unwrap().to_owned()).collect();
    let headers = pairs(&told["headers"]);
    hidden.extend(headers.iter().filter(|(_, value)| value == "[redacted]").map(|(name, _)| name.clone()));
    let plain = |list: &[(String, String)]| {
        let mut list: Vec<(String, String)> = list
            .iter()
            .filter(|(name, _)| name != "host")
            .map(|(name, value)| {
                (name.clone(), if hidden.contains(name) { String::new() } else { value.clone() })
            })
            .collect();
        list.sort();
        list
    };
    assert_eq!(plain(&request.headers), plain(&headers), "{about}");
}

impl Shop {
    /// Ask about a request of that version, send it, and hold what happens against what was said. It is returned, with the
    /// request as a host got it.
    async fn agree(&mut self, http: &str, request: &str, headers: &[&str]) -> (Value, Option<Message>) {
        let about = format!("{request} {headers:?}");
        let outcome = self.ask(request, headers, &["--http", http, "--format", "json"]).await;
        assert!(matches!(outcome.code, Some(0 | 1)), "{about}: {outcome:?}");
        let told = json(&outcome);
        let response = self.proxy.connect().await.ask(&wire(http, request, headers)).await;
        let about = format!("{about}: {}", told["outcome"]["text"]);
        let mut arrived = None;
        match told["outcome"]["kind"].as_str().unwrap() {
            "forwarded" => {
                assert_eq!((outcome.code, response.status()), (Some(0), 200), "{about}");
                let host = match told["cluster"]["name"].as_str().unwrap() {
                    "a" => &mut self.a,
                    "b" => &mut self.b,
                    other => panic!("{about}: {other}"),
                };
                let request = host.request().await;
                assert_sent(&told["upstream_request"], &request, &about);
                arrived = Some(request);
            }
            "answered" => {
                let reply = &told["reply"];
                assert_eq!(Some(u64::from(response.status())), reply["status"].as_u64(), "{about}");
                for (name, value) in pairs(&reply["headers"]) {
                    assert_eq!(response.header(&name), Some(&*value), "{about}: {name}");
                }
                assert_eq!(response.text(), reply["body"].as_str().unwrap(), "{about}");
                let is_error = told["outcome"]["status"].as_u64().unwrap() >= 400;
                assert_eq!(outcome.code, Some(i32::from(is_error)), "{about}");
            }
            other => panic!("{about}: {other}"),
        }
        assert!(self.a.saw_nothing() && self.b.saw_nothing(), "{about}: it went somewhere else, too");
        (told, arrived)
    }
}

#[tokio::test]
async fn a_request_gets_what_was_said_of_it() {
    let mut shop = Shop::open().await;
    let mut traced = 0;
    for (request, headers) in REQUESTS {
        let (told, arrived) = shop.agree("1.1", request, headers).await;
        let Some(arrived) = arrived else { continue };
        let sampled = arrived.header("traceparent").unwrap().ends_with("-01");
        let percent = told["tracing"]["percent"].as_f64().unwrap();
        assert_eq!(percent, if sampled { 100.0 } else { 0.0 }, "{request}: {}", told["tracing"]);
        traced += usize::from(sampled);
    }
    assert_eq!(traced, 1, "the one whose client asks for it");
}

/// A proxy that faces outwards, with other answers to most questions.
fn sidecar(a: SocketAddr, b: SocketAddr) -> Bootstrap {
    let named = format!(
        "load_assignment: {{cluster_name: b, endpoints: [{{lb_endpoints: [{{endpoint: {{hostname: inside.test, \
         address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]}}",
        b.ip(),
        b.port()
    );
    Bootstrap::empty()
        .cluster("a", &[a])
        .cluster_options("lb_policy: RING_HASH")
        .cluster("b", &[b])
        .cluster_options(&named)
        .cluster("collector", &[refusing_address()])
        .listener("traffic_direction: OUTBOUND")
        .top("node: {id: n, cluster: fleet}")
        .manager(SIDECAR)
        .virtual_hosts(SIDECAR_HOSTS)
}

const SIDECAR: &str = r#"
add_user_agent: true
preserve_external_request_id: true
scheme_header_transformation: {scheme_to_overwrite: https}
internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
http_protocol_options: {accept_http_10: true, default_host_for_http_10: old.test}
http_filters:
- name: check
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
    pass_through_mode: false
    headers: [{name: ":path", string_match: {exact: /health}}]
- name: router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
    suppress_envoy_headers: true
route_config:
  most_specific_header_mutations_wins: true
  internal_only_headers: [x-internal]
  request_headers_to_add: [{header: {key: x-level, value: all}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
tracing:
  spawn_upstream_span: true
  provider:
    name: envoy.tracers.zipkin
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
      collector_cluster: collector
      collector_endpoint: /api/v2/spans
      collector_endpoint_version: HTTP_JSON
"#;

const SIDECAR_HOSTS: &str = r#"
- name: everything
  domains: ["*"]
  retry_policy: {retry_on: connect-failure, retriable_request_headers: [{name: x-again, present_match: true}]}
  routes:
  - match: {prefix: /auto}
    route: {cluster: b, auto_host_rewrite: true, append_x_forwarded_host: true}
  - match: {prefix: /by-path}
    route:
      cluster: a
      host_rewrite_path_regex: {pattern: {regex: "^/by-path/(.+)$"}, substitution: "\\1.test"}
  - match: {prefix: /by-header}
    route: {cluster: a, host_rewrite_header: x-host, timeout: 0s}
    request_headers_to_add: [{header: {key: x-level, value: route}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}]
  - match: {prefix: /hash}
    decorator: {operation: hashing}
    route: {cluster: a, hash_policy: [{header: {header_name: x-user}}]}
  - match: {prefix: /upgrade}
    route: {cluster: a, upgrade_configs: [{upgrade_type: websocket, enabled: false}]}
"#;

const SIDECAR_REQUESTS: &[(&str, &str, &[&str])] = &[
    ("1.1", "GET http://shop.test/auto/x", &["x-internal: 1", "user-agent: curl"]),
    ("1.1", "GET http://shop.test/auto", &["x-forwarded-for: 10.0.0.1", "x-internal: 1"]),
    ("1.1", "GET http://shop.test/by-path/deep", &["b3: 0af7651916cd43dd-b7ad6b7169203331-0"]),
    ("1.1", "GET http://shop.test/by-path/a/b", &["b3: 1"]),
    ("1.1", "GET http://shop.test/by-header", &["x-host: other.test", "x-request-id: mine"]),
    ("1.1", "GET http://shop.test/by-header", &["x-envoy-original-path: /x", "x-envoy-force-trace: 1"]),
    ("1.1", "GET http://shop.test/hash", &["x-user: me", "x-again: 1", "x-b3-sampled: 0"]),
    (
        "1.1",
        "GET http://shop.test/hash",
        &[
            "x-forwarded-for: 10.0.0.1",
            "x-envoy-max-retries: 3",
            "x-envoy-retry-on: 5xx",
            "x-envoy-upstream-rq-timeout-ms: 9",
        ],
    ),
    ("1.1", "GET http://shop.test/upgrade", &["upgrade: websocket", "connection: upgrade"]),
    ("1.1", "GET http://shop.test/health", &[]),
    ("1.1", "GET http://shop.test/healthy", &[]),
    ("1.0", "GET /hash", &[]),
    ("1.0", "GET /auto", &["host: named.test"]),
    ("1.1", "GET /hash", &[]),
];

#[tokio::test]
async fn a_request_through_a_sidecar_gets_what_was_said_of_it() {
    let (a, b) = (CannedUpstream::answering(OK).await, CannedUpstream::answering(OK).await);
    let proxy = sidecar(a.address(), b.address()).admin().start().await;
    let mut shop = Shop { proxy, a, b };
    let mut forwarded = 0;
    for (http, request, headers) in SIDECAR_REQUESTS {
        forwarded += usize::from(shop.agree(http, request, headers).await.1.is_some());
    }
    assert_eq!(forwarded, 10);
    shop.proxy.admin().post("/healthcheck/fail").await;
    let (told, _) = shop.agree("1.1", "GET http://shop.test/health", &[]).await;
    assert_eq!(told["outcome"]["status"], 503, "{told}");
}

#[tokio::test]
async fn an_http2_request_gets_what_was_said_of_it() {
    let mut shop = Shop::open().await;
    let outcome =
        shop.ask("GET http://shop.test/api/x", &["x-canary: 1"], &["--http", "2", "--format", "json"]).await;
    let told = json(&outcome);
    let mut client = H2Client::connect(shop.proxy.address()).await;
    let request = http::Request::get("http://shop.test/api/x").header("x-canary", "1").body(()).unwrap();
    assert_eq!(client.ask(request).await.head.status, 200);
    assert_sent(&told["upstream_request"], &shop.b.request().await, &outcome.stdout);
}

async fn counters(admin: Admin) -> String {
    // What asking the admin interface itself counts is not looked at, nor connections: one that looked whether the proxy is
    // there yet may be counted at any time.
    let stats = admin.get("/stats?type=Counters&filter=%5E(http.test|cluster|listener|tracing)").await;
    stats.text().lines().filter(|line| !line.contains("downstream_cx_")).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn asking_counts_nothing_and_sends_nothing() {
    let mut shop = Shop::open().await;
    let admin = shop.proxy.admin();
    let before = counters(admin).await;
    assert!(before.contains("http.test.downstream_rq_total: 0"), "{before}");
    for (request, headers) in REQUESTS {
        shop.ask(request, headers, &[]).await;
    }
    assert_eq!(counters(admin).await, before);
    assert!(shop.a.saw_nothing() && shop.b.saw_nothing());
}

#[tokio::test]
async fn a_file_and_the_process_that_serves_it_say_the_same() {
    let shop = Shop::open().await;
    let file: PathBuf = shop.proxy.folder().join("envoy.yaml");
    let file = file.to_str().unwrap();
    for (request, headers) in REQUESTS {
        let live = shop.ask(request, headers, &["--format", "json"]).await;
        let told = explain(&["-c", file], request, headers, &["--format", "json"]).await;
        assert_eq!(live.code, told.code, "{request}");
        let strip = |outcome: &Outcome| {
            let mut told = json(outcome);
            without_chance(&mut told);
            told
        };
        assert_eq!(strip(&live), strip(&told), "{request}");
    }
}

/// Take off what is another each time, and where something stands in a file that a process no longer has.
fn without_chance(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("varies") == Some(&Value::Bool(true)) {
                members.remove("after");
            }
            members.remove("position");
            members.values_mut().for_each(without_chance);
        }
        Value::Array(items) => {
            items.retain(|item| !matches!(item[0].as_str(), Some("x-request-id" | "traceparent")));
            items.iter_mut().for_each(without_chance);
        }
        _ => {}
    }
}
