//! The collector's interface for programs, through real sockets: what Jaeger's clients ask is answered as its
//! description says, and `spanway traces` prints it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may do so where it stands"
)]

mod command;
mod openapi;
mod terminal;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use clap::Parser as _;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use openapi::Description;
use serde_json::{Value, json};
use spanway::{
    collector::{Addresses, Collector},
    server::options::{Command, CommandLine},
};
use tokio::net::TcpStream;

/// How long anything here may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(20);
const ID: &str = "d1fca5106c27ef49b54d1eba13323f5f";
const OTHER: &str = "000000000000000000000000000000ab";

/// A collector that serves until the test ends.
async fn collector() -> Addresses {
    collector_with(&[]).await
}

/// One with these flags.
async fn collector_with(flags: &[&str]) -> Addresses {
    let free = ["grpc", "http", "pages"].map(|who| format!("--{who}-address=127.0.0.1:0"));
    let flags = flags.iter().map(|flag| (*flag).to_owned());
    let line = ["spanway", "collector"].into_iter().map(str::to_owned).chain(free).chain(flags);
    let Some(Command::Collector(options)) = CommandLine::try_parse_from(line).unwrap().command else {
        panic!()
    };
    let collector = Collector::bind(&options).await.unwrap();
    let addresses = collector.addresses();
    tokio::spawn(collector.serve(std::future::pending()));
    addresses
}

async fn send(to: SocketAddr, request: Request<String>) -> (StatusCode, Bytes) {
    let (head, body) = exchange(to, request).await;
    assert!(head.status != 200 || head.headers[header::CONTENT_TYPE] == "application/json");
    (head.status, body)
}

async fn exchange(to: SocketAddr, request: Request<String>) -> (http::response::Parts, Bytes) {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request.map(|body| Full::new(Bytes::from(body)))).await.unwrap();
    let (head, body) = answer.into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

/// A page for people.
async fn page(collector: &Addresses, path: &str) -> String {
    let (_, body) = exchange(collector.pages, Request::get(path).body(String::new()).unwrap()).await;
    String::from_utf8(body.to_vec()).unwrap()
}

async fn get(collector: &Addresses, path: &str) -> (StatusCode, Value) {
    let request = Request::get(path).body(String::new()).unwrap();
    let (status, body) = send(collector.pages, request).await;
    (status, serde_json::from_slice(&body).unwrap())
}

/// Send `trace` as OTLP JSON.
async fn post(collector: &Addresses, trace: &Value) {
    let request = Request::post("/v1/traces").header(header::CONTENT_TYPE, "application/json");
    let (status, answer) = send(collector.http, request.body(trace.to_string()).unwrap()).await;
    assert_eq!((status, &answer[..]), (StatusCode::OK, &b"{}"[..]));
}

/// Microseconds since 1970, a second ago.
fn recently() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_micros()).unwrap() - 1_000_000
}

fn resource(service: &str, spans: Value) -> Value {
    json!({
        "resource": {"attributes": [
            {"key": "service.name", "value": {"stringValue": service}},
            {"key": "host.name", "value": {"stringValue": "h1"}},
        ]},
        "scopeSpans": [{"scope": {"name": "lib", "version": "1.2"}, "spans": spans}],
    })
}

/// A request to `front`, which calls `back / office`, which fails, after 1.5 ms.
fn trace(id: &str, start_us: u64) -> Value {
    let nano = |offset: u64| (start_us * 1_000 + offset).to_string();
    let server = json!({
        "traceId": id, "spanId": "0000000000000001", "name": "GET /", "kind": 2,
        "startTimeUnixNano": nano(0), "endTimeUnixNano": nano(1_500_000), "traceState": "k=v",
        "attributes": [
            {"key": "http.status_code", "value": {"intValue": "503"}},
            {"key": "large", "value": {"intValue": "9223372036854775807"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"doubleValue": 0.5}]}}},
        ],
    });
    let client = json!({
        "traceId": id, "spanId": "0000000000000002", "parentSpanId": "0000000000000001", "name": "call", "kind": 3,
        "startTimeUnixNano": nano(100_000), "endTimeUnixNano": nano(1_400_000),
        "links": [{"traceId": OTHER, "spanId": "0000000000000009"}],
    });
    let failed = json!({
        "traceId": id, "spanId": "0000000000000003", "parentSpanId": "0000000000000002", "name": "POST /x", "kind": 2,
        "startTimeUnixNano": nano(200_000), "endTimeUnixNano": nano(1_300_000),
        "status": {"code": 2, "message": "no\u{1b}pe"},
        "events": [{"timeUnixNano": nano(300_000), "name": "exception",
                    "attributes": [{"key": "exception.type", "value": {"stringValue": "Io"}}]}],
    });
    let stray = json!({
        "traceId": id, "spanId": "0000000000000004", "parentSpanId": "00000000000000ff", "name": "stray", "kind": 1,
        "startTimeUnixNano": nano(400_000), "endTimeUnixNano": nano(500_000),
    });
    json!({"resourceSpans": [
        resource("front", json!([server, client])), resource("back / office", json!([failed, stray])),
    ]})
}

#[tokio::test]
async fn every_path_answers_as_it_is_described() {
    let collector = collector().await;
    let (status, description) = get(&collector, "/api/openapi.json").await;
    assert_eq!(status, 200);
    let mut description = Description::new(description);
    let empty = [
        ("/api/services", "/api/services"),
        ("/api/traces", "/api/traces"),
        ("/api/dependencies", "/api/dependencies"),
    ];
    for (path, asked) in empty {
        let (status, answer) = get(&collector, asked).await;
        description.holds(path, asked, status, &answer);
        assert_eq!(answer["data"], json!([]));
    }
    post(&collector, &trace(ID, recently())).await;
    for (path, asked, expected) in [
        ("/api/services", "/api/services", 200),
        ("/api/services/{service}/operations", "/api/services/front/operations", 200),
        ("/api/services/{service}/operations", "/api/services/nobody/operations", 200),
        ("/api/operations", "/api/operations?service=front&spanKind=server", 200),
        ("/api/operations", "/api/operations", 400),
        (
            "/api/traces",
            "/api/traces?service=front&operation=call&tags=%7B%7D&tag=host.name:h1&minDuration=1ms&maxDuration=1h&lookback=1h&limit=5",
            200,
        ),
        ("/api/traces", "/api/traces?start=0&end=9999999999999999", 200),
        ("/api/traces", &format!("/api/traces?traceID={ID}&traceID=1"), 200),
        ("/api/traces", "/api/traces?minDuration=soon", 400),
        ("/api/traces/{id}", &format!("/api/traces/{ID}"), 200),
        ("/api/traces/{id}", "/api/traces/1", 404),
        ("/api/traces/{id}", "/api/traces/x", 400),
        ("/api/dependencies", "/api/dependencies", 200),
        (
            "/api/dependencies",
            "/api/dependencies?endTs=9999999999999&lookback=9999999999999&service=front",
            200,
        ),
        ("/api/dependencies", "/api/dependencies?endTs=now", 400),
        ("/api/openapi.json", "/api/openapi.json", 200),
        ("/trace/{id}.json", &format!("/trace/{ID}.json"), 200),
        ("/trace/{id}.json", "/trace/1.json", 404),
        ("/trace/{id}.json", "/trace/x.json", 400),
    ] {
        let (status, answer) = get(&collector, asked).await;
        assert_eq!(status, expected, "{asked}: {answer}");
        description.holds(path, asked, status, &answer);
    }
    assert_eq!(description.never_asked(), [""; 0]);
}

#[tokio::test]
async fn what_is_described_is_read_only() {
    let collector = collector().await;
    for path in ["/api/services", "/api/traces/1", "/trace/1.json"] {
        let request = Request::builder().method(Method::DELETE).uri(path).body(String::new()).unwrap();
        assert_eq!(send(collector.pages, request).await.0, 405);
    }
}

#[tokio::test]
async fn grafana_and_jaegers_page_find_their_way_from_services_to_a_trace() {
    let collector = collector().await;
    let start = recently();
    post(&collector, &trace(ID, start)).await;
    let data = async |path: &str| get(&collector, path).await.1["data"].clone();

    let (_, services) = get(&collector, "/api/services").await;
    let expected =
        json!({"data": ["back / office", "front"], "total": 2, "limit": 0, "offset": 0, "errors": null});
    assert_eq!(services, expected);
    assert_eq!(data("/api/services/back%20%2F%20office/operations").await, json!(["POST /x", "stray"]));
    let operations = json!([{"name": "GET /", "spanKind": "server"}, {"name": "call", "spanKind": "client"}]);
    assert_eq!(data("/api/operations?service=front").await, operations);
    let dependencies = json!([{"parent": "front", "child": "back / office", "callCount": 1}]);
    assert_eq!(data("/api/dependencies?lookback=3600000").await, dependencies);

    let tags = "tags=%7B%22error%22%3A%22true%22%2C%22span.kind%22%3A%22server%22%7D";
    let found =
        data(&format!("/api/traces?service=back+%2F+office&operation=POST+%2Fx&{tags}&limit=20")).await;
    assert_eq!(found[0]["traceID"], ID);
    for none in [
        "service=front&tags=%7B%22error%22%3A%22true%22%7D",
        "minDuration=2ms",
        "end=5",
        "limit=0",
        "operation=x",
    ] {
        assert_eq!(data(&format!("/api/traces?{none}")).await, json!([]), "{none}");
    }

    let found = data(&format!("/api/traces/{}?start=1&end=2", &ID.to_uppercase())).await;
    let [server, client, failed, stray] = found[0]["spans"].as_array().unwrap().as_slice() else {
        panic!("{found}")
    };
    assert_eq!((&server["startTime"], &server["duration"]), (&json!(start), &json!(1_500)));
    let large = json!({"key": "large", "type": "int64", "value": "9223372036854775807"});
    assert!(server["tags"].as_array().unwrap().contains(&large));
    assert_eq!(
        client["references"],
        json!([
            {"refType": "CHILD_OF", "traceID": ID, "spanID": "0000000000000001"},
            {"refType": "FOLLOWS_FROM", "traceID": OTHER, "spanID": "0000000000000009"},
        ])
    );
    assert_eq!(
        failed["logs"][0]["fields"][0],
        json!({"key": "event", "type": "string", "value": "exception"})
    );
    assert_eq!(failed["warnings"], Value::Null);
    assert_eq!(stray["warnings"], json!(["missing parent: span 00000000000000ff has not come"]));
    assert_eq!(
        found[0]["processes"]["p2"],
        json!({
            "serviceName": "back / office", "tags": [{"key": "host.name", "type": "string", "value": "h1"}],
        })
    );
}

#[tokio::test]
async fn errors_are_those_of_jaeger() {
    let collector = collector().await;
    let refusal = |code: u16, msg: &str| {
        let errors = json!([{"code": code, "msg": msg}]);
        (
            StatusCode::from_u16(code).unwrap(),
            json!({"data": null, "total": 0, "limit": 0, "offset": 0, "errors": errors}),
        )
    };
    assert_eq!(get(&collector, "/api/traces/abc").await, refusal(404, "trace not found"));
    assert_eq!(get(&collector, "/api/operations").await, refusal(400, "parameter 'service' is required"));
    let wrong = "malformed 'tag' parameter, expecting key:value, received: a";
    assert_eq!(get(&collector, "/api/traces?tag=a").await, refusal(400, wrong));
    let no_path = refusal(404, "no such path: /api/openapi.json has all of them");
    for path in ["/api/nope", "/api/traces/1/2", "/api", "/api/"] {
        assert_eq!(get(&collector, path).await, no_path, "{path}");
    }
    let (status, answer) = get(&collector, "/api/traces?traceID=abc").await;
    assert_eq!(status, 200);
    let id = format!("{}abc", "0".repeat(29));
    assert_eq!(answer["errors"], json!([{"msg": "trace not found", "traceID": id}]));
}

#[tokio::test]
async fn a_trace_as_otlp_json_goes_into_a_second_collector_unchanged() {
    let (first, second) = (collector().await, collector().await);
    post(&first, &trace(ID, recently())).await;
    let (_, written) = get(&first, &format!("/trace/{ID}.json")).await;
    post(&second, &written).await;
    for path in [
        format!("/trace/{ID}.json"),
        format!("/api/traces/{ID}"),
        format!("/debug/tracez?format=json&trace_id={ID}"),
    ] {
        assert_eq!(get(&second, &path).await, get(&first, &path).await);
    }
}
