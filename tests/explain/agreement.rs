//! What is said of a request is what it gets.

use std::path::PathBuf;

use serde_json::Value;

use super::{Shop, explain, json};
use crate::harness::{Admin, H2Client, Message, Outcome};

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
fn wire(request: &str, headers: &[&str]) -> String {
    let (method, url) = request.split_once(' ').unwrap();
    let (host, path) = match url.strip_prefix("http://") {
        Some(rest) => rest.split_at(rest.find('/').unwrap()),
        None => ("", url),
    };
    let own = headers.iter().find_map(|header| header.strip_prefix("host: "));
    let host = own.unwrap_or(if method == "CONNECT" { path } else { host });
    let others = headers.iter().filter(|header| !header.starts_with("host:"));
    let others: String = others.map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{others}\r\n")
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// Hold what arrived at a host against what was said of it.
fn assert_sent(told: &Value, request: &Message, about: &str) {
    let (method, path) = (told["method"].as_str().unwrap(), told["path"].as_str().unwrap());
    assert_eq!(request.start_line, format!("{method} {path} HTTP/1.1"), "{about}");
    assert_eq!(request.header("host"), told["authority"].as_str(), "{about}");
    let changes = told["changes"].as_array().unwrap();
    let varying = changes.iter().filter(|change| change["varies"] == true);
    let varying: Vec<&str> = varying.map(|change| change["name"].as_str().unwrap()).collect();
    let plain = |list: &[(String, String)]| {
        let mut list: Vec<(String, String)> = list
            .iter()
            .filter(|(name, _)| name != "host")
            .map(|(name, value)| {
                let hidden = name == "cookie" || varying.contains(&name.as_str());
                (name.clone(), if hidden { String::new() } else { value.clone() })
            })
            .collect();
        list.sort();
        list
    };
    assert_eq!(plain(&request.headers), plain(&pairs(&told["headers"])), "{about}");
}

#[tokio::test]
async fn a_request_gets_what_was_said_of_it() {
    let mut shop = Shop::open().await;
    let mut traced = 0;
    for (request, headers) in REQUESTS {
        let about = format!("{request} {headers:?}");
        let outcome = shop.ask(request, headers, &["--format", "json"]).await;
        assert!(matches!(outcome.code, Some(0 | 1)), "{about}: {outcome:?}");
        let told = json(&outcome);
        let response = shop.proxy.connect().await.ask(&wire(request, headers)).await;
        let about = format!("{about}: {}", told["outcome"]["text"]);
        match told["outcome"]["kind"].as_str().unwrap() {
            "forwarded" => {
                assert_eq!((outcome.code, response.status()), (Some(0), 200), "{about}");
                let host = match told["cluster"]["name"].as_str().unwrap() {
                    "a" => &mut shop.a,
                    "b" => &mut shop.b,
                    other => panic!("{about}: {other}"),
                };
                let request = host.request().await;
                assert_sent(&told["upstream_request"], &request, &about);
                let sampled = request.header("traceparent").unwrap().ends_with("-01");
                let percent = told["tracing"]["percent"].as_f64().unwrap();
                assert_eq!(percent, if sampled { 100.0 } else { 0.0 }, "{about}: {}", told["tracing"]);
                traced += usize::from(sampled);
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
        assert!(shop.a.saw_nothing() && shop.b.saw_nothing(), "{about}: it went somewhere else, too");
    }
    assert_eq!(traced, 1, "the one whose client asks for it");
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
    // What asking the admin interface itself counts is not looked at.
    admin.get("/stats?type=Counters&filter=%5E(http.test|cluster|listener|tracing)").await.text().to_owned()
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
