//! What goes beyond Envoy's tracing, and is off unless `spanway.config.trace.v1.TracingConfig` asks for it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, FakeCollector, Message, OK, TestProxy, Wire};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};

/// The options around the usual tracer.
fn options(text: &str) -> String {
    format!(
        r#"tracing:
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/spanway.config.trace.v1.TracingConfig
      tracer:
        "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
        grpc_service: {{envoy_grpc: {{cluster_name: collector}}}}
        service_name: svc
      {text}"#
    )
}

/// One proxy with these options, its host and its collector.
struct Traced {
    upstream: CannedUpstream,
    collector: FakeCollector,
    proxy: TestProxy,
}

impl Traced {
    async fn start(text: &str, change: impl FnOnce(Bootstrap) -> Bootstrap) -> Self {
        let upstream = CannedUpstream::answering(OK).await;
        let collector = FakeCollector::start().await;
        let config = Bootstrap::to(upstream.address())
            .cluster("collector", &[collector.address()])
            .over_http2()
            .manager(&options(text));
        let proxy = change(config).start().await;
        Self { upstream, collector, proxy }
    }

    /// The response to a request, what the host saw of it, and its span.
    async fn ask(&mut self, target: &str, headers: &str) -> (Message, Message, Span) {
        let mut wire: Wire = self.proxy.connect().await;
        let response = wire.ask(&format!("GET {target} HTTP/1.1\r\nhost: h:1\r\n{headers}\r\n")).await;
        (response, self.upstream.request().await, self.collector.span().await.span)
    }

    /// The proxy ends, and no span is left that was not taken.
    async fn end(mut self) {
        self.proxy.signal(Signal::SIGTERM);
        assert_eq!(self.proxy.exit_code().await, Some(0));
        assert!(self.collector.is_empty());
    }
}

fn unchanged(config: Bootstrap) -> Bootstrap {
    config
}

/// An attribute as text, with its type if that is another.
fn attribute(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    Some(match found.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => format!("int {number}"),
        other => panic!("{key} is {other:?}"),
    })
}

#[tokio::test]
async fn stable_conventions_replace_envoys_tags_by_typed_ones() {
    let route = "[{name: shop, match: {prefix: /}, route: {cluster: upstream}}]";
    let mut traced = Traced::start("semantic_conventions: STABLE", |config| config.routes(route)).await;
    let (.., span) = traced.ask("/a/b?c=d", "user-agent: me\r\n").await;
    for (key, value) in [
        ("http.request.method", "GET"),
        ("url.scheme", "http"),
        ("url.path", "/a/b"),
        ("url.query", "c=d"),
        ("server.address", "h"),
        ("server.port", "int 1"),
        ("http.response.status_code", "int 200"),
        ("network.protocol.version", "1.1"),
        ("network.peer.address", "127.0.0.1"),
        ("user_agent.original", "me"),
        ("http.route", "shop"),
        ("http.response.body.size", "int 2"),
        ("upstream_cluster", "upstream"),
        ("response_flags", "-"),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    for key in ["http.url", "http.method", "http.status_code", "user_agent", "error.type"] {
        assert_eq!(attribute(&span, key), None, "{key}");
    }
    traced.end().await;
}

#[tokio::test]
async fn both_conventions_stand_side_by_side() {
    let mut traced = Traced::start("semantic_conventions: BOTH", unchanged).await;
    let (.., span) = traced.ask("/", "").await;
    assert_eq!(attribute(&span, "http.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(&span, "http.response.status_code").as_deref(), Some("int 200"));
    traced.end().await;
}

#[tokio::test]
async fn a_span_named_by_its_route_is_never_named_by_a_client() {
    let route =
        "[{name: shop, match: {prefix: /}, route: {cluster: upstream}, decorator: {operation: other}}]";
    let mut traced = Traced::start("name_by_route: true", |config| config.routes(route)).await;
    let (.., span) = traced.ask("/", "x-envoy-decorator-operation: mine\r\n").await;
    assert_eq!(span.name, "GET shop");
    traced.end().await;

    let mut traced = Traced::start("name_by_route: true", unchanged).await;
    assert_eq!(traced.ask("/", "").await.2.name, "GET");
    traced.end().await;
}

#[tokio::test]
async fn values_of_listed_query_parameters_are_not_shown() {
    let mut traced = Traced::start("redacted_query_parameters: [token, key]", unchanged).await;
    let (_, request, span) = traced.ask("/a?x=1&token=secret&key=&tokens=2", "").await;
    assert_eq!(
        attribute(&span, "http.url").as_deref(),
        Some("http://h:1/a?x=1&token=REDACTED&key=REDACTED&tokens=2")
    );
    assert_eq!(request.start_line, "GET /a?x=1&token=secret&key=&tokens=2 HTTP/1.1");
    traced.end().await;
}

#[tokio::test]
async fn clients_are_told_their_trace() {
    let mut traced = Traced::start("server_timing: true", unchanged).await;
    let (response, _, span) = traced.ask("/", "").await;
    let expected = format!("trace;desc=\"00-{}-{}-01\"", hex(&span.trace_id), hex(&span.span_id));
    assert_eq!(response.header("server-timing"), Some(&*expected));
    traced.end().await;
}

const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";

#[tokio::test]
async fn an_external_client_begins_a_trace_that_is_linked_to_its_own() {
    let mut traced =
        Traced::start("link_untrusted_parent: true", |config| config.manager("use_remote_address: true"))
            .await;
    let (_, request, span) = traced.ask("/", PARENT).await;
    assert!(span.parent_span_id.is_empty());
    assert_eq!(span.links.len(), 1);
    assert_eq!(hex(&span.links[0].trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert!(!request.header("traceparent").unwrap().contains("0af7651916cd43dd"));
    traced.end().await;
}

#[tokio::test]
async fn an_external_client_that_names_no_readable_trace_is_traced_all_the_same() {
    let edge = |config: Bootstrap| {
        config.manager("use_remote_address: true").environment("SPANWAY_TRACE_CONTEXT", "envoy")
    };
    let mut traced = Traced::start("link_untrusted_parent: true", edge).await;
    let (_, request, span) = traced.ask("/", "traceparent: 00-nonsense\r\n").await;
    assert!(span.parent_span_id.is_empty() && span.links.is_empty());
    assert!(request.header("traceparent").unwrap().contains(&hex(&span.trace_id)));
    traced.end().await;
}

#[tokio::test]
async fn an_internal_client_goes_on_with_its_trace() {
    let mut traced = Traced::start("link_untrusted_parent: true", unchanged).await;
    let (.., span) = traced.ask("/", PARENT).await;
    assert!(!span.parent_span_id.is_empty() && span.links.is_empty());
    traced.end().await;
}

#[tokio::test]
async fn excluded_requests_have_no_span_and_tell_the_host_so() {
    let excluded = "exclude: {paths: [{exact: /healthz}], user_agents: [{prefix: kube-probe/}]}";
    let mut traced = Traced::start(excluded, unchanged).await;
    for (target, headers) in [("/healthz?x", ""), ("/", "user-agent: kube-probe/1.30\r\n")] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\n{headers}\r\n");
        traced.proxy.connect().await.ask(&request).await;
        let context = traced.upstream.request().await;
        assert!(context.header("traceparent").unwrap().ends_with("-00"));
    }
    assert_eq!(
        attribute(&traced.ask("/healthzz", "").await.2, "http.url").as_deref(),
        Some("http://h:1/healthzz")
    );
    traced.end().await;
}

#[tokio::test]
async fn of_several_propagators_the_first_that_finds_a_trace_counts_and_all_are_told() {
    let mut traced =
        Traced::start("propagators: [B3, TRACECONTEXT, B3MULTI, XRAY, BAGGAGE]", unchanged).await;
    let b3 = "b3: 00000000000000010000000000000002-0000000000000003-1\r\nbaggage: a=1\r\n";
    let (_, request, span) = traced.ask("/", &format!("{PARENT}{b3}")).await;
    let id = hex(&span.span_id);
    let trace = "00000000000000010000000000000002";
    assert_eq!((hex(&span.trace_id), hex(&span.parent_span_id)), (trace.into(), "0000000000000003".into()));
    assert_eq!(request.header("traceparent"), Some(&*format!("00-{trace}-{id}-01")));
    assert_eq!(request.header("b3"), Some(&*format!("{trace}-{id}-1-0000000000000003")));
    assert_eq!(request.header("x-b3-traceid"), Some(trace));
    assert_eq!(request.header("x-b3-spanid"), Some(&*id));
    let xray = format!("Root=1-00000000-000000010000000000000002;Parent={id};Sampled=1");
    assert_eq!(request.header("x-amzn-trace-id"), Some(&*xray));
    assert_eq!(request.header("baggage"), Some("a=1"));
    traced.end().await;
}

#[tokio::test]
async fn a_propagator_that_finds_nothing_valid_leaves_it_to_the_next() {
    let mut traced = Traced::start("propagators: [XRAY, B3, B3MULTI, TRACECONTEXT]", unchanged).await;
    let (.., span) = traced.ask("/", &format!("b3: junk\r\nx-amzn-trace-id: Root=junk\r\n{PARENT}")).await;
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    // None of them does: a trace begins here, with an id that X-Ray takes.
    let (_, request, span) = traced.ask("/", "traceparent: junk\r\n").await;
    assert!(span.parent_span_id.is_empty());
    assert!(request.header("x-amzn-trace-id").unwrap().starts_with("Root=1-"));
    traced.end().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
