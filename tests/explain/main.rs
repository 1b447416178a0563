//! `spanway explain`: what it says, and that it is what a request then gets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod agreement;
mod sampling;
mod scenarios;
mod usage;

use std::net::SocketAddr;

use harness::{Bootstrap, CannedUpstream, OK, Outcome, TestProxy, refusing_address, run};
use serde_json::Value;

const VIRTUAL_HOSTS: &str = r#"
- name: shop
  domains: [shop.test, "*.shop.test"]
  request_headers_to_add:
  - {header: {key: x-team, value: "%REQ(x-team)%;%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%;%PROTOCOL%"}}
  - {header: {key: x-when, value: "%START_TIME(%Y)%"}}
  request_headers_to_remove: [x-secret]
  response_headers_to_remove: [x-powered-by]
  response_headers_to_add: [{header: {key: x-shop, value: "1"}}]
  include_request_attempt_count: true
  routes:
  - name: canary
    match: {prefix: /api/, headers: [{name: x-canary, string_match: {exact: "1"}}]}
    route: {cluster: b, prefix_rewrite: /}
  - name: item
    match: {safe_regex: {regex: "/item/[0-9]+"}}
    route:
      cluster: a
      regex_rewrite: {pattern: {regex: "/item/([0-9]+)"}, substitution: "/i?n=\\1"}
  - name: api
    match: {prefix: /api/, case_sensitive: false}
    route:
      weighted_clusters:
        clusters:
        - name: a
          weight: 7
          request_headers_to_add: [{header: {key: x-share, value: seven}}]
      timeout: 3s
      retry_policy: {retry_on: "5xx,reset", num_retries: 4, per_try_timeout: 1s}
  - match: {path: /old}
    redirect: {path_redirect: "/new", https_redirect: true, response_code: FOUND}
  - match: {path: /hello}
    direct_response: {status: 200, body: {inline_string: "hi"}}
    response_headers_to_add: [{header: {key: x-said, value: "by %REQ(:path)%"}}]
  - match: {path: /teapot}
    direct_response: {status: 418}
  - match: {prefix: /q, query_parameters: [{name: page, string_match: {prefix: "1"}}]}
    route: {cluster: a}
  - match: {prefix: /to}
    route: {cluster_header: x-to}
  - match: {prefix: /put, headers: [{name: ":method", string_match: {exact: PUT}}]}
    route: {cluster: a}
  - match: {path_separated_prefix: /host}
    route: {cluster: b, host_rewrite_literal: inside.test, append_x_forwarded_host: true}
  - match: {prefix: /rpc, grpc: {}}
    route: {cluster: a, timeout: 0s}
  - match: {prefix: /dead}
    route: {cluster: nobody}
  - match: {prefix: /traced}
    decorator: {operation: shopping}
    route: {cluster: a}
- name: safe
  domains: ["safe.*"]
  require_tls: ALL
  routes: [{match: {prefix: /}, route: {cluster: a}}]
"#;

const MANAGER: &str = r#"
normalize_path: true
merge_slashes: true
path_with_escaped_slashes_action: UNESCAPE_AND_REDIRECT
strip_any_host_port: true
use_remote_address: true
via: spanway
internal_address_config: {cidr_ranges: [{address_prefix: 10.0.0.0, prefix_len: 8}]}
upgrade_configs: [{upgrade_type: websocket}]
tracing: {random_sampling: {value: 0}}
local_reply_config:
  mappers:
  - filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 404, runtime_key: x}}}}
    status_code: 410
    headers_to_add: [{header: {key: x-mapped, value: "yes"}}]
"#;

struct Shop {
    proxy: TestProxy,
    a: CannedUpstream,
    b: CannedUpstream,
}

impl Shop {
    async fn open() -> Self {
        let (a, b) = (CannedUpstream::answering(OK).await, CannedUpstream::answering(OK).await);
        let proxy = bootstrap(a.address(), b.address()).admin().start().await;
        Self { proxy, a, b }
    }

    async fn ask(&self, request: &str, headers: &[&str], more: &[&str]) -> Outcome {
        let admin = self.proxy.admin().0.to_string();
        explain(&["--live", &admin], request, headers, more).await
    }
}

fn bootstrap(a: SocketAddr, b: SocketAddr) -> Bootstrap {
    Bootstrap::empty()
        .cluster("a", &[a])
        .cluster("b", &[b])
        .cluster("nobody", &[])
        .virtual_hosts(VIRTUAL_HOSTS)
        .manager(MANAGER)
        .traced_to(refusing_address(), "shop")
}

async fn explain(of: &[&str], request: &str, headers: &[&str], more: &[&str]) -> Outcome {
    let headers = headers.iter().flat_map(|header| ["-H", header]);
    let asked = ["--request", request];
    let line = ["explain"].iter().chain(of).chain(&asked).copied();
    run(line.chain(headers).chain(more.iter().copied())).await
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|error| panic!("{error}: {outcome:?}"))
}

fn shop_file(folder: &tempfile::TempDir) -> String {
    let path = folder.path().join("envoy.yaml");
    let nobody = refusing_address();
    std::fs::write(&path, bootstrap(nobody, nobody).text("127.0.0.1:10000".parse().unwrap())).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_text_names_places_obstacles_rewrites_and_the_sampling() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop_file(&folder);
    let told = explain(&["-c", &file], "GET http://eu.shop.test/api/x", &["x-canary: 2"], &[]).await;
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    let text = told.stdout;
    let lines = std::fs::read_to_string(&file).unwrap();
    let line = 1 + lines.lines().position(|line| line.trim() == "- name: canary").unwrap();
    for expected in [
        "GET http://eu.shop.test/api/x\nforwarded to cluster \"a\" as GET /api/x\n",
        "listener \"main\" at 127.0.0.1:10000",
        "  domain \"*.shop.test\" (suffix) fits \"eu.shop.test\"\n",
        "0 \"canary\" prefix \"/api/\", header x-canary must be exactly \"1\": no",
        "    header x-canary is \"2\", must be exactly \"1\"\n",
        "    path \"/api/x\" does not match all of safe_regex \"/item/[0-9]+\"\n",
        "  10 routes follow, and are not tried\n",
        "  timeout 3s, per try 1s\n",
        "  retries: 4 at most, on 5xx, reset\n",
        "    + x-share: seven\n",
        "  headers of the response: - x-powered-by, + x-shop: 1\n",
        "tracing: not traced\n",
        "  random_sampling is 0 %\n",
    ] {
        assert!(text.contains(expected), "{expected}is not in\n{text}");
    }
    assert!(text.contains(&format!("{file}:{line}:")), "{line} is not in\n{text}");
}

#[tokio::test]
async fn what_has_no_route_is_an_error_that_says_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop_file(&folder);
    let host = explain(&["-c", &file], "GET http://shp.test/", &[], &[]).await;
    assert_eq!(host.code, Some(1));
    let why = "answered here with 410: no virtual host has a domain for \"shp.test\"; the nearest is \"shop.test\"\n";
    assert!(host.stdout.contains(why), "{}", host.stdout);
    assert!(host.stdout.contains("domains: *.shop.test, safe.*, shop.test\n"), "{}", host.stdout);
    let far = explain(&["-c", &file], "GET http://nowhere/", &[], &[]).await;
    let why = "\nanswered here with 410: no virtual host has a domain for \"nowhere\"; there are \"*.shop.test\", \
               \"safe.*\", \"shop.test\"\n";
    assert!(far.stdout.contains(why), "{}", far.stdout);
    let path = explain(&["-c", &file], "GET http://shop.test/nothing", &[], &[]).await;
    assert_eq!(path.code, Some(1));
    let why = "answered here with 410: none of the routes of virtual host \"shop\" takes it\n";
    assert!(path.stdout.contains(why), "{}", path.stdout);
}

#[tokio::test]
async fn of_many_domains_ten_are_named_in_the_sentence() {
    let domains: Vec<_> = (10..45).map(|number| format!("shop-{number}.example.com")).collect();
    let hosts = format!("[{{name: all, domains: [{}], routes: []}}]", domains.join(", "));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    let bootstrap = Bootstrap::empty().virtual_hosts(&hosts);
    std::fs::write(&path, bootstrap.text("127.0.0.1:10000".parse().unwrap())).unwrap();
    let told = explain(&["-c", path.to_str().unwrap()], "GET http://x/", &[], &[]).await;
    let sentence = told.stdout.lines().nth(1).unwrap();
    assert!(sentence.ends_with("\"shop-19.example.com\", and 25 more"), "{sentence}");
}

#[tokio::test]
async fn what_is_left_to_chance_is_told_with_its_shares() {
    let nobody = refusing_address();
    let routes = r#"
- match: {prefix: /, runtime_fraction: {default_value: {numerator: 30}}}
  route: {cluster: b}
- match: {prefix: /}
  route: {weighted_clusters: {clusters: [{name: a, weight: 50}, {name: b, weight: 50}]}}
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    let bootstrap = Bootstrap::empty().cluster("a", &[nobody]).cluster("b", &[nobody]).routes(routes);
    std::fs::write(&path, bootstrap.text("127.0.0.1:10000".parse().unwrap())).unwrap();
    let file = path.to_str().unwrap();
    let told = explain(&["-c", file], "GET http://h/", &[], &[]).await;
    // The same number decides both: of those that the first route leaves, 20 of 70 are below 50.
    for line in [
        "  50 %: route 1, cluster \"b\" (random 50, told here)\n",
        "  30 %: route 0, cluster \"b\" (random 0)\n",
        "  20 %: route 1, cluster \"a\" (random 30)\n",
    ] {
        assert!(told.stdout.contains(line), "{line}is not in\n{}", told.stdout);
    }
    let other = explain(&["-c", file], "GET http://h/", &[], &["--random", "30"]).await;
    assert!(other.stdout.contains("forwarded to cluster \"a\""), "{}", other.stdout);
    let drawn = explain(&["-c", file], "GET http://h/", &[], &["--random", "29", "--format", "json"]).await;
    assert_eq!(json(&drawn)["routing"]["routes"][0]["taken"], true);
}

#[tokio::test]
async fn of_many_routes_those_that_fit_the_path_are_listed_wherever_they_stand() {
    let many =
        |index| format!("- {{match: {{prefix: /service-{index}/}}, direct_response: {{status: 200}}}}\n");
    let near = "- {match: {prefix: /cart, headers: [{name: x-a, present_match: true}]}, direct_response: {status: 200}}\n";
    let routes = (0..150).map(many).collect::<String>() + near + &many(151);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    let bootstrap = Bootstrap::empty().routes(&routes);
    std::fs::write(&path, bootstrap.text("127.0.0.1:10000".parse().unwrap())).unwrap();
    let told = explain(&["-c", path.to_str().unwrap()], "GET http://h/cart", &[], &[]).await;
    assert_eq!(told.code, Some(1), "{told:?}");
    for line in [
        "  99 prefix \"/service-99/\": no",
        "  150 prefix \"/cart\", header x-a must be there: no",
        "    header x-a is missing, must be there\n",
        "  51 more do not fit the path, and are not listed\n",
    ] {
        assert!(told.stdout.contains(line), "{line} is not in\n{}", told.stdout);
    }
    assert!(!told.stdout.contains("/service-100/\": no"), "{}", told.stdout);
}
