//! Spans and the headers that carry their context, against those of Envoy 1.40.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{net::SocketAddr, path::Path};

use harness::{
    Bootstrap, CannedUpstream, Export, FakeCollector, FakeUpstream, FreePort, Message, OK, TestProxy, Wire,
    refusing_address,
};
use nix::sys::signal::Signal;
use serde_yaml::Value;

const HELLO_1: &str = "HTTP/1.1 200 OK\r\ncontent-length: 37\r\n\r\nHello from behind Envoy (service 1)!\n";
const HELLO_2: &str = "HTTP/1.1 200 OK\r\ncontent-length: 37\r\n\r\nHello from behind Envoy (service 2)!\n";

/// The sandbox's three proxies on their own files, with services and collector of the test.
struct Sandbox {
    front: TestProxy,
    others: Vec<TestProxy>,
    services: [CannedUpstream; 2],
    collector: FakeCollector,
}

impl Sandbox {
    async fn start() -> Self {
        let collector = FakeCollector::start().await;
        let services = [CannedUpstream::answering(HELLO_1).await, CannedUpstream::answering(HELLO_2).await];
        let spans = ("opentelemetry:4317", collector.address());
        let ports = [FreePort::new(), FreePort::new(), FreePort::new(), FreePort::new()];
        let [front, ingress, egress, second] = ports.each_ref().map(|port| port.address);
        let [front_port, ingress_port, egress_port, second_port] = ports;
        let envoy_2 = proxy(
            "envoy-2.yaml",
            vec![second_port],
            vec![("0.0.0.0:10000", second), ("service-2:8080", services[1].address()), spans],
        );
        let envoy_1 = proxy(
            "envoy-1.yaml",
            vec![ingress_port, egress_port],
            vec![
                ("0.0.0.0:10000", ingress),
                ("0.0.0.0:10001", egress),
                ("service-1:8080", services[0].address()),
                ("envoy-2:10000", second),
                spans,
            ],
        );
        let front_proxy = proxy(
            "envoy-front-proxy.yaml",
            vec![front_port],
            vec![("0.0.0.0:10000", front), ("envoy-1:10000", ingress), ("envoy-1:10001", egress), spans],
        );
        let (front, envoy_1, envoy_2) = tokio::join!(front_proxy, envoy_1, envoy_2);
        Self { front, others: vec![envoy_1, envoy_2], services, collector }
    }

    async fn get(&self, path: &str, headers: &str) -> Message {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost:10000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n{headers}\r\n"
        );
        self.front.connect().await.ask(&request).await
    }

    /// End all proxies, so that their last spans are sent.
    async fn end(&mut self) {
        for proxy in std::iter::once(&mut self.front).chain(&mut self.others) {
            proxy.signal(Signal::SIGTERM);
            assert_eq!(proxy.exit_code().await, Some(0));
        }
    }
}

async fn proxy(file: &str, listeners: Vec<FreePort>, addresses: Vec<(&str, SocketAddr)>) -> TestProxy {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandboxes/opentelemetry").join(file);
    let maps = addresses.iter().map(|(from, to)| format!("--map-address={from}={to}"));
    let maps: Vec<String> = maps.collect();
    let arguments: Vec<&str> = maps.iter().map(String::as_str).collect();
    TestProxy::start_file(&path, listeners, &arguments, &[], tempfile::tempdir().unwrap()).await
}

/// What two runs have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Comparable {
    url: String,
    service: String,
    name: String,
    kind: String,
    flags: u64,
    status: i64,
    /// Service and name of the parent.
    parent: Option<(String, String)>,
    attributes: Vec<(String, String)>,
}

fn without_id<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(String, String)> {
    attributes
        .map(|(key, value)| {
            let value = if key == "guid:x-request-id" { "(an id)" } else { value };
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// The spans that Envoy sent, in the order of their contents.
fn recorded() -> Vec<Comparable> {
    // As YAML, of which JSON is a part, since the order of the attributes matters.
    let spans: Vec<Value> = include_str!("fixtures/spans-envoy-1.40.jsonl")
        .lines()
        .map(|line| serde_yaml::from_str(line).unwrap())
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let owner = |span: &Value| (text(&span["resource"]["service.name"]), text(&span["name"]));
    let mut comparable: Vec<Comparable> = spans
        .iter()
        .map(|span| {
            let (service, name) = owner(span);
            let attributes = span["attrs"].as_mapping().unwrap().iter();
            Comparable {
                url: text(&span["attrs"]["http.url"]),
                service,
                name,
                kind: text(&span["kind"]),
                flags: span["flags"].as_u64().unwrap(),
                status: span["status"][0].as_i64().unwrap(),
                parent: spans.iter().find(|parent| parent["span_id"] == span["parent"]).map(owner),
                attributes: without_id(
                    attributes.map(|(key, value)| (key.as_str().unwrap(), value.as_str().unwrap())),
                ),
            }
        })
        .collect();
    comparable.sort();
    comparable
}

/// The spans that arrived, in the order of their contents.
fn comparable(exports: &[Export]) -> Vec<Comparable> {
    let mut comparable: Vec<Comparable> = exports
        .iter()
        .map(|export| {
            let span = &export.span;
            let parent = exports.iter().find(|parent| parent.span.span_id == span.parent_span_id);
            assert_eq!(parent.is_none(), span.parent_span_id.is_empty(), "a parent that was not sent");
            assert!(parent.is_none_or(|parent| parent.span.trace_id == span.trace_id));
            assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
            Comparable {
                url: export.attribute("http.url").unwrap().to_owned(),
                service: export.service.clone(),
                name: span.name.clone(),
                kind: span.kind().as_str_name().trim_start_matches("SPAN_KIND_").to_owned(),
                flags: span.flags.into(),
                status: span.status.as_ref().map_or(0, |status| status.code.into()),
                parent: parent.map(|parent| (parent.service.clone(), parent.span.name.clone())),
                attributes: without_id(export.attributes().into_iter()),
            }
        })
        .collect();
    comparable.sort();
    comparable
}

#[tokio::test]
async fn the_sandbox_sends_the_spans_that_envoy_sends() {
    let mut sandbox = Sandbox::start().await;
    assert_eq!(sandbox.get("/trace/1", "").await.text(), "Hello from behind Envoy (service 1)!\n");
    assert_eq!(sandbox.get("/trace/2", "").await.text(), "Hello from behind Envoy (service 2)!\n");
    assert_eq!(sandbox.get("/nope", "").await.status(), 404);
    sandbox.end().await;
    let exports = sandbox.collector.spans(6).await;
    assert!(sandbox.collector.is_empty());
    assert_eq!(comparable(&exports), recorded());

    // All spans of a request have its id, and each service was told the last span before it.
    for (service, last) in sandbox.services.iter_mut().zip(["envoy-1", "envoy-2"]) {
        let request = service.request().await;
        let mut names: Vec<&str> = request.headers.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        let expected = [
            "accept",
            "host",
            // And no empty tracestate, which the W3C recommendation advises against and Envoy sends.
            "traceparent",
            "user-agent",
            "x-envoy-expected-rq-timeout-ms",
            "x-forwarded-proto",
            "x-request-id",
        ];
        assert_eq!(names, expected);
        assert_eq!(request.header("host"), Some("localhost:10000"));
        assert_eq!(request.header("x-forwarded-proto"), Some("http"));
        assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("15000"));
        let context: Vec<&str> = request.header("traceparent").unwrap().split('-').collect();
        assert_eq!((context[0], context[3]), ("00", "01"));
        let of_trace: Vec<&Export> =
            exports.iter().filter(|export| hex(&export.span.trace_id) == context[1]).collect();
        assert!(of_trace.len() > 1);
        for export in &of_trace {
            assert_eq!(export.attribute("guid:x-request-id"), request.header("x-request-id"));
        }
        assert!(
            of_trace.iter().any(|export| hex(&export.span.span_id) == context[2] && export.service == last)
        );
        // The fifteenth letter of an id says that it is traced.
        assert_eq!(request.header("x-request-id").unwrap().as_bytes()[14], b'9');
    }
}

#[tokio::test]
async fn the_context_of_a_client_is_continued() {
    let mut sandbox = Sandbox::start().await;
    let headers = "x-client-trace-id: 123e4567-e89b-42d3-a456-426614174000\r\nx-request-id: abc\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: foo=bar\r\n";
    assert_eq!(sandbox.get("/trace/1", headers).await.status(), 200);
    let request = sandbox.services[0].request().await;
    // The id is no UUID, which decides that there is no trace; it is passed on, though.
    assert_eq!(request.header("x-request-id"), Some("abc"));
    assert_eq!(request.header("x-client-trace-id"), Some("123e4567-e89b-42d3-a456-426614174000"));
    assert_eq!(request.header("tracestate"), Some("foo=bar"));
    let context = request.header("traceparent").unwrap();
    assert!(context.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{context}");
    assert!(context.ends_with("-00") && !context.contains("b7ad6b7169203331"), "{context}");
    sandbox.end().await;
    assert!(sandbox.collector.is_empty());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the host sees of `headers`, and the one span.
async fn traced(config: Bootstrap, upstream: &mut CannedUpstream, headers: &str) -> (Message, Export) {
    let mut collector = FakeCollector::start().await;
    let mut proxy = config.traced_to(collector.address(), "one").start().await;
    let request = format!("GET /a?b HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
    proxy.connect().await.ask(&request).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    let export = collector.span().await;
    assert!(collector.is_empty());
    (upstream.request().await, export)
}

#[tokio::test]
async fn a_remote_parent_is_the_spans_parent() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let (request, export) = traced(
        Bootstrap::to(upstream.address()),
        &mut upstream,
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\ntracestate: b=2\r\n",
    )
    .await;
    assert_eq!(hex(&export.span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&export.span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(export.span.trace_state, "a=1,b=2");
    assert_eq!(export.span.flags, 0x301);
    let context = format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", hex(&export.span.span_id));
    assert_eq!(request.header("traceparent"), Some(&*context));
    assert_eq!(request.values("tracestate"), ["a=1,b=2"]);
}

#[tokio::test]
async fn a_client_trace_id_is_an_attribute() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let config = Bootstrap::to(upstream.address());
    let (request, export) = traced(config, &mut upstream, "x-client-trace-id: mine\r\n").await;
    assert_eq!(export.attribute("guid:x-client-trace-id"), Some("mine"));
    assert_eq!(request.header("x-request-id").unwrap().as_bytes()[14], b'b');
}

#[tokio::test]
async fn a_decorator_names_the_span() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let config = Bootstrap::to(upstream.address())
        .routes("[{match: {prefix: /}, route: {cluster: upstream}, decorator: {operation: shop}}]");
    assert_eq!(traced(config, &mut upstream, "").await.1.span.name, "shop");
    let config = Bootstrap::to(upstream.address()).listener("traffic_direction: OUTBOUND");
    assert_eq!(traced(config, &mut upstream, "").await.1.span.name, "egress h");
    let config = Bootstrap::to(upstream.address());
    let (request, export) = traced(config, &mut upstream, "x-envoy-decorator-operation: asked\r\n").await;
    assert_eq!(export.span.name, "asked");
    assert_eq!(request.header("x-envoy-decorator-operation"), None);
    assert_eq!(traced(Bootstrap::to(upstream.address()), &mut upstream, "").await.1.span.name, "ingress");
}

#[tokio::test]
async fn the_operation_is_told_to_the_other_side() {
    let route = "[{match: {prefix: /}, route: {cluster: upstream}, decorator: {operation: shop}}]";
    for (direction, in_request, in_response) in
        [("INBOUND", None, Some("shop")), ("OUTBOUND", Some("shop"), None)]
    {
        let mut upstream = CannedUpstream::answering(OK).await;
        let collector = FakeCollector::start().await;
        let proxy = Bootstrap::to(upstream.address())
            .routes(route)
            .listener(&format!("traffic_direction: {direction}"))
            .traced_to(collector.address(), "one")
            .start()
            .await;
        let response = proxy.connect().await.get("/").await;
        assert_eq!(response.header("x-envoy-decorator-operation"), in_response, "{direction}");
        let request = upstream.request().await;
        assert_eq!(request.header("x-envoy-decorator-operation"), in_request, "{direction}");
    }
}

#[tokio::test]
async fn a_failed_request_is_an_error_of_its_span() {
    let mut collector = FakeCollector::start().await;
    let config = Bootstrap::to(refusing_address()).traced_to(collector.address(), "one");
    let mut proxy = config.start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 503);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    let export = collector.span().await;
    assert_eq!(export.attribute("http.status_code"), Some("503"));
    assert_eq!(export.attribute("response_flags"), Some("UF"));
    assert_eq!(export.attribute("error"), Some("true"));
    assert_eq!(export.span.status.as_ref().unwrap().code, 2);
}

#[tokio::test]
async fn requests_that_are_not_sampled_leave_no_span() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let mut proxy = Bootstrap::to(upstream.address())
        .traced_to(collector.address(), "one")
        .manager("tracing: {random_sampling: {value: 0}}")
        .start()
        .await;
    let mut client = proxy.connect().await;
    client.get("/unsampled").await;
    let request = upstream.request().await;
    assert!(request.header("traceparent").unwrap().ends_with("-00"), "{request:?}");
    assert_eq!(request.header("x-request-id").unwrap().as_bytes()[14], b'4');
    // A client can ask for a trace by its trace id.
    client.ask("GET /asked HTTP/1.1\r\nhost: h\r\nx-client-trace-id: x\r\n\r\n").await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert_eq!(collector.span().await.attribute("http.url"), Some("http://h/asked"));
    assert!(collector.is_empty());
}

#[tokio::test]
async fn five_spans_are_sent_without_waiting() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let proxy = Bootstrap::to(upstream.address()).traced_to(collector.address(), "one").start().await;
    let mut client = proxy.connect().await;
    let start = tokio::time::Instant::now();
    for _ in 0..5 {
        client.get("/").await;
    }
    let exports = collector.spans(5).await;
    // The timer for fewer is five seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(4));
    assert!(exports.iter().all(|export| export.service == "one"));
}

/// Requests are served as fast as ever with this collector.
async fn assert_undisturbed(collector: SocketAddr) -> TestProxy {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).traced_to(collector, "one").start().await;
    let mut client: Wire = proxy.connect().await;
    for _ in 0..500 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    proxy
}

#[tokio::test]
async fn a_dead_collector_changes_nothing_for_requests() {
    let mut proxy = assert_undisturbed(refusing_address()).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn a_collector_that_hangs_changes_nothing_for_requests() {
    // It takes connections and never says anything.
    let collector = FakeUpstream::bind().await;
    let mut proxy = assert_undisturbed(collector.address()).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
}
