//! The collector through real sockets: what exporters send arrives, and nothing that they send stops it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails may do so where it stands"
)]

use std::{
    borrow::Cow,
    io::Write as _,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse, trace_service_client::TraceServiceClient,
    },
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use prost::Message as _;
use serde_json::{Value, json};
use spanway::{
    collector::{Addresses, Collector, CollectorError},
    server::options::CollectorOptions,
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, sync::oneshot};
use tonic::codec::CompressionEncoding;

const ID: &str = "d1fca5106c27ef49b54d1eba13323f5f";

fn options() -> CollectorOptions {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    CollectorOptions {
        grpc_address: free,
        http_address: free,
        pages_address: free,
        health_address: Some(free),
        store_bytes: 4 << 20,
        file: None,
        file_bytes: 0,
    }
}

/// A collector that serves until the test ends.
async fn collector() -> Addresses {
    let collector = Collector::bind(&options()).await.unwrap();
    let addresses = collector.addresses();
    tokio::spawn(collector.serve(std::future::pending()));
    addresses
}

async fn send(to: SocketAddr, request: Request<Bytes>) -> (http::response::Parts, Bytes) {
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (head, body) = sender.send_request(request.map(Full::new)).await.unwrap().into_parts();
    (head, body.collect().await.unwrap().to_bytes())
}

async fn get(from: SocketAddr, path: &str) -> (http::response::Parts, String) {
    let (head, body) = send(from, Request::get(path).body(Bytes::new()).unwrap()).await;
    (head, String::from_utf8(body.to_vec()).unwrap())
}

async fn post(
    to: SocketAddr,
    content_type: &str,
    encoding: &str,
    body: impl Into<Bytes>,
) -> (StatusCode, Bytes) {
    let request = Request::post("/v1/traces")
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CONTENT_ENCODING, encoding)
        .body(body.into())
        .unwrap();
    let (head, body) = send(to, request).await;
    (head.status, body)
}

/// All spans of the trace `id`, as the collector tells them.
async fn spans_of(collector: &Addresses, id: &str) -> Vec<Value> {
    let (_, body) = get(collector.pages, &format!("/debug/tracez?format=json&trace_id={id}")).await;
    let mut answer: Value = serde_json::from_str(&body).unwrap();
    match answer["traces"].as_array_mut().unwrap().as_mut_slice() {
        [] => Vec::new(),
        [trace] => trace["spans"].as_array().unwrap().clone(),
        several => panic!("{} traces with one id", several.len()),
    }
}

fn otlp_json(name: &str) -> String {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}}]},
        "scopeSpans": [{"spans": [{
            "traceId": ID, "spanId": "d6791b9a5c287909", "name": name, "kind": 2,
            "startTimeUnixNano": "1795155028096607000", "endTimeUnixNano": "1795155028098098000",
        }]}],
    }]})
    .to_string()
}

fn otlp_protobuf(span: Span) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
    }
}

fn valid_span() -> Span {
    Span { trace_id: vec![7; 16], span_id: vec![8; 8], name: "sent".into(), ..Span::default() }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_the_opentelemetry_exporter_sends_over_grpc_arrives_whole() {
    let collector = collector().await;
    let mut exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{}", collector.grpc))
        .build()
        .unwrap();
    exporter.set_resource(&Resource::builder_empty().with_service_name("front-envoy").build());
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_155_028);
    let span = SpanData {
        span_context: SpanContext::new(
            TraceId::from_hex(ID).unwrap(),
            SpanId::from_hex("d6791b9a5c287909").unwrap(),
            TraceFlags::SAMPLED,
            true,
            TraceState::from_key_value([("k", "v")]).unwrap(),
        ),
        parent_span_id: SpanId::from_hex("9e64040e133ce786").unwrap(),
        parent_span_is_remote: true,
        span_kind: SpanKind::Server,
        name: Cow::Borrowed("routeToEnvoy2"),
        start_time: start,
        end_time: start + Duration::from_millis(5),
        attributes: vec![KeyValue::new("zone", ""), KeyValue::new("http.status_code", 200)],
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::error("503"),
        instrumentation_scope: InstrumentationScope::builder("envoy").with_version("1.40").build(),
    };
    exporter.export(vec![span]).await.unwrap();

    let spans = spans_of(&collector, ID).await;
    assert_eq!(
        spans,
        [json!({
            "trace_id": ID,
            "span_id": "d6791b9a5c287909",
            "parent_span_id": "9e64040e133ce786",
            "service": "front-envoy",
            "scope": "envoy",
            "scope_version": "1.40",
            "name": "routeToEnvoy2",
            "kind": "SERVER",
            "start_unix_nano": 1_795_155_028_000_000_000_u64,
            "end_unix_nano": 1_795_155_028_005_000_000_u64,
            "flags": 0x301,
            "trace_state": "k=v",
            "status_code": "ERROR",
            "status_message": "503",
            "attributes": {"zone": "", "http.status_code": 200},
            "events": [],
            "resource": {"service.name": "front-envoy"},
        })]
    );
}

#[tokio::test]
async fn grpc_takes_gzip_and_says_what_it_rejected() {
    let collector = collector().await;
    let mut client = TraceServiceClient::connect(format!("http://{}", collector.grpc))
        .await
        .unwrap()
        .send_compressed(CompressionEncoding::Gzip);
    let answer = client.export(otlp_protobuf(valid_span())).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    let answer = client.export(otlp_protobuf(Span { trace_id: vec![], ..valid_span() })).await.unwrap();
    assert_eq!(answer.into_inner().partial_success.unwrap().rejected_spans, 1);
    assert_eq!(spans_of(&collector, &"07".repeat(16)).await.len(), 1);
}

#[tokio::test]
async fn grpc_refuses_a_message_that_is_too_large_and_takes_the_next() {
    let collector = collector().await;
    let mut client = TraceServiceClient::connect(format!("http://{}", collector.grpc))
        .await
        .unwrap()
        .send_compressed(CompressionEncoding::Gzip);
    let bomb = Span { name: "0".repeat(17 << 20), ..valid_span() };
    let status = client.export(otlp_protobuf(bomb)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted, "{status}");
    client.export(otlp_protobuf(valid_span())).await.unwrap();
}

#[tokio::test]
async fn http_takes_protobuf_and_json_with_and_without_gzip() {
    let collector = collector().await;
    let protobuf = |id| otlp_protobuf(Span { span_id: vec![id; 8], ..valid_span() }).encode_to_vec();
    for (encoding, body) in [("identity", protobuf(1)), ("gzip", gzip(&protobuf(2)))] {
        let (status, answer) = post(collector.http, "application/x-protobuf", encoding, body).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(ExportTraceServiceResponse::decode(answer), Ok(ExportTraceServiceResponse::default()));
    }
    assert_eq!(spans_of(&collector, &"07".repeat(16)).await.len(), 2);

    for body in [Bytes::from(otlp_json("buy")), gzip(otlp_json("buy").as_bytes()).into()] {
        let encoding = if body.starts_with(b"{") { "" } else { "gzip" };
        let (status, answer) = post(collector.http, "application/json", encoding, body).await;
        assert_eq!((status, &*answer), (StatusCode::OK, &b"{}"[..]));
    }
    let spans = spans_of(&collector, ID).await;
    assert_eq!(spans.len(), 1, "the second was the same span again");
    assert_eq!(spans[0]["service"], "shop");
}

#[tokio::test]
async fn a_json_request_is_told_in_json_what_was_rejected() {
    let collector = collector().await;
    let body = otlp_json("buy").replace(ID, "00");
    let (status, answer) = post(collector.http, "application/json", "", body).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
}

#[tokio::test]
async fn a_bad_span_in_a_json_message_costs_no_other_and_is_named() {
    let collector = collector().await;
    let good = json!({"traceId": ID, "spanId": "d6791b9a5c287909", "name": "good", "attributes": [
        {"key": "ratio", "value": {"doubleValue": "NaN"}}], "events": null});
    let bad = json!({"traceId": ID, "spanId": "d6791b9a5c287910", "startTimeUnixNano": "soon"});
    let body = json!({"resourceSpans": [{"scopeSpans": [{"spans": [bad, good]}]}]});
    let (status, answer) = post(collector.http, "application/json", "", body.to_string()).await;
    assert_eq!(status, StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1");
    let told = answer["partialSuccess"]["errorMessage"].as_str().unwrap();
    assert!(told.contains("startTimeUnixNano: a number from 0 to 2^64 - 1"), "{told}");
    let (_, trace) = get(collector.pages, &format!("/trace/{ID}.json")).await;
    let trace: Value = serde_json::from_str(&trace).unwrap();
    let span = &trace["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "good");
    assert_eq!(span["attributes"][0]["value"], json!({"doubleValue": "NaN"}));
}

#[tokio::test]
async fn clients_that_never_finish_their_messages_stop_nobody() {
    let collector = collector().await;
    let mut unfinished = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(collector.http).await.unwrap();
        let head = "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                    content-length: 1000000\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        unfinished.push(stream);
    }
    let (status, _) = post(collector.http, "application/json", "", otlp_json("buy")).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn bad_requests_are_answered_and_the_collector_lives() {
    let collector = collector().await;
    let json = "application/json";
    let too_large = vec![b' '; (16 << 20) + 1];
    let deep = format!("{}{}", r#"{"x":"#, "[".repeat(100_000)).into_bytes();
    let cases = [
        (json, "", b"{".to_vec(), 400),
        (json, "", b"[]".to_vec(), 400),
        (json, "", b"".to_vec(), 400),
        (json, "", deep, 400),
        (json, "gzip", b"{}".to_vec(), 400),
        (json, "br", b"{}".to_vec(), 415),
        (json, "gzip", gzip(&too_large), 413),
        ("text/plain", "", b"{}".to_vec(), 415),
        (json, "", too_large, 413),
        (json, "", otlp_json("after all").into_bytes(), 200),
    ];
    for (content_type, encoding, body, expected) in cases {
        let start = String::from_utf8_lossy(&body[..body.len().min(20)]).into_owned();
        let (status, answer) = post(collector.http, content_type, encoding, body).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(status, expected, "{content_type} {encoding} {start:?}: {answer}");
        assert!(status.is_success() || answer["message"].is_string(), "{answer}");
    }

    let (status, answer) = post(collector.http, "application/x-protobuf", "", "nonsense").await;
    assert_eq!(status, 400);
    let answer = tonic_types::Status::decode(answer).unwrap();
    assert_eq!(answer.code, tonic::Code::InvalidArgument as i32);
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    let collector = collector().await;
    let (head, _) = get(collector.http, "/v1/traces").await;
    assert_eq!(
        (head.status, &head.headers[header::ALLOW]),
        (StatusCode::METHOD_NOT_ALLOWED, &"POST".parse().unwrap())
    );
    let request = Request::builder().method(Method::POST).uri("/v1/nothing").body(Bytes::new()).unwrap();
    assert_eq!(send(collector.http, request).await.0.status, 404);
}

#[tokio::test]
async fn the_pages_show_traces_and_keep_what_spans_say_harmless() {
    let collector = collector().await;
    let (head, body) = get(collector.pages, "/").await;
    assert!(head.status.is_success() && body.contains("No trace yet"));
    let policy = head.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");

    let (status, _) =
        post(collector.http, "application/json", "", otlp_json("<script>alert(1)</script>")).await;
    assert_eq!(status, 200);
    for page in ["/", "/debug/tracez", &format!("/trace/{ID}")] {
        let (_, body) = get(collector.pages, page).await;
        assert!(body.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}: {body}");
        assert!(!body.contains("<script>"), "{page}: {body}");
    }
    let (head, _) = get(collector.pages, &format!("/debug/tracez?trace_id={ID}")).await;
    assert_eq!(head.headers[header::LOCATION], format!("/trace/{ID}"));
    let (head, other) = get(collector.pages, &format!("/trace/{}", "1".repeat(32))).await;
    assert!(head.status == 404 && other.contains("No trace <code><bdi>1111"), "{other}");
    let (_, as_json) = get(collector.pages, "/debug/tracez?format=json").await;
    assert!(as_json.contains("<script>alert(1)</script>") && as_json.contains(ID));
}

#[tokio::test]
async fn a_page_is_told_when_something_comes() {
    let collector = collector().await;
    let stream = TcpStream::connect(collector.pages).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/live").body(Full::<Bytes>::default()).unwrap();
    let (head, mut body) = sender.send_request(request).await.unwrap().into_parts();
    assert_eq!(head.headers[header::CONTENT_TYPE], "text/event-stream");
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    post(collector.http, "application/json", "", otlp_json("buy")).await;
    let second = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"data: ") && second.starts_with(b"data: ") && first != second);
}

#[tokio::test]
async fn other_addresses_have_no_page_and_the_health_check_answers() {
    let collector = collector().await;
    assert_eq!(get(collector.pages, "/nothing").await.0.status, 404);
    assert_eq!(get(collector.health.unwrap(), "/").await.0.status, 200);
}

#[tokio::test]
async fn a_taken_port_is_named_with_who_wants_it_and_how_to_change_it() {
    let taken = collector().await.grpc;
    let error = Collector::bind(&CollectorOptions { grpc_address: taken, ..options() }).await.unwrap_err();
    assert!(matches!(error, CollectorError::Bind { .. }));
    let told = error.to_string();
    for part in ["OTLP/gRPC", &taken.to_string(), "in use", "--grpc-address"] {
        assert!(told.contains(part), "{told}");
    }
}

#[tokio::test]
async fn it_stops_when_told_although_a_client_keeps_its_connection() {
    let collector = Collector::bind(&options()).await.unwrap();
    let addresses = collector.addresses();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(collector.serve(async { stopped.await.unwrap() }));
    let client = TraceServiceClient::connect(format!("http://{}", addresses.grpc)).await.unwrap();
    assert_eq!(get(addresses.health.unwrap(), "/").await.0.status, 200);
    stop.send(()).unwrap();
    serving.await.unwrap();
    assert!(TcpStream::connect(addresses.grpc).await.is_err());
    drop(client);
}

#[tokio::test]
async fn pages_of_this_machine_are_read_by_its_name_only() {
    let collector = collector().await;
    for (host, status) in [
        ("localhost:55679", StatusCode::OK),
        ("127.0.0.1:55679", StatusCode::OK),
        ("[::1]:55679", StatusCode::OK),
        ("evil.example", StatusCode::FORBIDDEN),
        ("127.0.0.1.evil.example:80", StatusCode::FORBIDDEN),
    ] {
        let request = Request::get("/api/services").header(header::HOST, host).body(Bytes::new()).unwrap();
        let (head, _) = send(collector.pages, request).await;
        assert_eq!(head.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_trace_is_found_by_an_id_of_64_bits() {
    let collector = collector().await;
    let spans = json!({"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "00000000000000000123456789abcdef", "spanId": "0123456789abcdef", "name": "short"}]}]}]});
    let body = spans.to_string().into_bytes();
    post(collector.http, "application/json", "", body).await;
    for id in ["123456789abcdef", "0123456789abcdef", "00000000000000000123456789abcdef"] {
        let (head, page) = get(collector.pages, &format!("/trace/{id}")).await;
        assert_eq!(head.status, StatusCode::OK, "{id}: {page}");
    }
}
