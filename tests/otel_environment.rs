//! OpenTelemetry's environment variables: they count where the file is silent, and never against it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::net::SocketAddr;

use harness::{
    Behaviour, Bootstrap, CannedUpstream, FakeCollector, FaultyCollector, OK, TestProxy, run, within,
};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";

fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// A host, and a configuration without a tracer that leads to it.
async fn untraced() -> (CannedUpstream, Bootstrap) {
    let upstream = CannedUpstream::answering(OK).await;
    let config = Bootstrap::to(upstream.address());
    (upstream, config)
}

async fn ask(proxy: &TestProxy, count: usize) {
    let mut client = proxy.connect().await;
    for _ in 0..count {
        assert_eq!(client.get("/").await.status(), 200);
    }
}

#[tokio::test]
async fn a_file_that_names_no_tracer_is_traced_to_the_environment_s_collector() {
    let (_upstream, config) = untraced().await;
    let mut collector = FakeCollector::start().await;
    let config = config
        .environment(ENDPOINT, url(collector.address()))
        .environment(PROTOCOL, "grpc")
        .environment(HEADERS, "x-key=one%2Ctwo, other = blank%20inside ")
        .environment("OTEL_SERVICE_NAME", "shop")
        .environment(
            "OTEL_RESOURCE_ATTRIBUTES",
            "service.name=other,deployment.environment.name=a%20b,nonsense",
        );
    let proxy = config.start().await;
    ask(&proxy, 1).await;
    let export = collector.span().await;
    assert_eq!(export.service, "shop");
    assert_eq!(export.metadata.get("x-key").unwrap(), "one,two");
    assert_eq!(export.metadata.get("other").unwrap(), "blank inside");
    assert_eq!(export.resource("deployment.environment.name"), Some("a b"));
    assert!(!proxy.log().contains("one,two"), "{}", proxy.log());
}

#[tokio::test]
async fn over_http_the_general_address_is_a_base_and_that_of_traces_is_used_as_it_is() {
    for (variable, base, path) in [
        (ENDPOINT, "", "/v1/traces"),
        (ENDPOINT, "/otlp/", "/otlp/v1/traces"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/in", "/in"),
    ] {
        let (_upstream, config) = untraced().await;
        let collector = FaultyCollector::start(Behaviour::Healthy).await;
        let config = config.admin().environment(variable, format!("{}{base}", url(collector.address())));
        // That of traces counts, wherever the other one leads.
        let config =
            if variable == ENDPOINT { config } else { config.environment(ENDPOINT, "http://127.0.0.1:1") };
        let proxy = config.start().await;
        ask(&proxy, 1).await;
        proxy.admin().settled("unknown_service:envoy", 1).await;
        assert_eq!(collector.calls()[0].path, path);
    }
}

#[tokio::test]
async fn a_tracer_of_the_file_goes_where_the_file_says_with_the_headers_that_it_says() {
    let (_upstream, config) = untraced().await;
    let mut collector = FakeCollector::start().await;
    let other = FaultyCollector::start(Behaviour::Healthy).await;
    let proxy = config
        .traced_to(collector.address(), "file")
        .environment(ENDPOINT, url(other.address()))
        .environment(HEADERS, "x-key=of-another")
        .environment("OTEL_SERVICE_NAME", "environment")
        .start()
        .await;
    ask(&proxy, 1).await;
    let export = collector.span().await;
    assert_eq!(export.service, "file");
    assert!(export.metadata.get("x-key").is_none(), "a key is for the collector that it was given with");
    assert!(other.calls().is_empty());
}

#[tokio::test]
async fn a_tracer_of_the_file_takes_from_the_environment_what_the_file_leaves_out() {
    let (_upstream, config) = untraced().await;
    let mut collector = FakeCollector::start().await;
    let proxy = config
        .traced_to(collector.address(), "''")
        .environment("OTEL_SERVICE_NAME", "environment")
        .environment("OTEL_RESOURCE_ATTRIBUTES", "team=shop")
        .environment("OTEL_TRACES_SAMPLER", "parentbased_always_off")
        .start()
        .await;
    ask(&proxy, 3).await;
    let sampled = "GET / HTTP/1.1\r\nhost: h\r\ntraceparent: \
                   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    assert_eq!(proxy.connect().await.ask(sampled).await.status(), 200);
    let export = collector.span().await;
    assert_eq!(
        export.span.parent_span_id,
        0xb7ad_6b71_6920_3331_u64.to_be_bytes(),
        "the others are not sampled"
    );

    let (_upstream, config) = untraced().await;
    let proxy = config
        .traced_to(collector.address(), "''")
        .environment("OTEL_SERVICE_NAME", "environment")
        .environment("OTEL_RESOURCE_ATTRIBUTES", "team=shop")
        .environment("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
        .environment("OTEL_TRACES_SAMPLER_ARG", "1.0")
        .start()
        .await;
    ask(&proxy, 1).await;
    let export = collector.span().await;
    assert_eq!((export.service.as_str(), export.resource("team")), ("environment", Some("shop")));
}

#[tokio::test]
async fn the_environment_s_collector_can_be_switched_off() {
    for (name, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let (_upstream, config) = untraced().await;
        let collector = FaultyCollector::start(Behaviour::Healthy).await;
        let config = config.admin().environment(ENDPOINT, url(collector.address())).environment(name, value);
        let proxy = config.start().await;
        ask(&proxy, 1).await;
        assert!(proxy.admin().tracing().await.tracers.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn what_says_where_spans_go_must_be_understood_and_the_rest_is_passed_over_aloud() {
    let refused = [
        (ENDPOINT, "collector:4317"),
        (ENDPOINT, "ftp://collector"),
        (ENDPOINT, "http://me:s3cret@collector:4318"),
        (PROTOCOL, "http/json"),
        (HEADERS, "s3cret"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/s.key"),
    ];
    for (name, value) in refused {
        let (_upstream, config) = untraced().await;
        let endpoint =
            if name.ends_with("CLIENT_KEY") { "https://127.0.0.1:4318" } else { "http://127.0.0.1:4318" };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("envoy.yaml");
        std::fs::write(&file, config.text("127.0.0.1:0".parse().unwrap())).unwrap();
        let mut command =
            harness::spanway(["--mode".as_ref(), "validate".as_ref(), "-c".as_ref(), file.as_os_str()]);
        let output = within(command.env(ENDPOINT, endpoint).env(name, value).output()).await.unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}={value}: {told}");
        assert!(told.starts_with(&format!("environment: {name}: ")), "{told}");
        assert!(!told.contains("s3cret"), "{told}");
    }
    let (_upstream, config) = untraced().await;
    let collector = FaultyCollector::start(Behaviour::Healthy).await;
    let config = config.admin().environment(ENDPOINT, url(collector.address()));
    let proxy = config
        .environment("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote")
        .environment("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd")
        .environment("OTEL_BSP_MAX_QUEUE_SIZE", "many")
        .start()
        .await;
    ask(&proxy, 1).await;
    proxy.admin().settled("unknown_service:envoy", 1).await;
    for name in ["OTEL_TRACES_SAMPLER", "OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_BSP_MAX_QUEUE_SIZE"] {
        assert_eq!(proxy.log().matches(&format!("environment: {name}: ")).count(), 1, "{}", proxy.log());
    }
}

#[tokio::test]
async fn limits_of_the_environment_count_where_the_file_has_none() {
    let (_upstream, config) = untraced().await;
    let collector = FaultyCollector::start(Behaviour::Healthy).await;
    let config = config.admin().environment(ENDPOINT, url(collector.address()));
    let proxy = config.environment("OTEL_BSP_MAX_QUEUE_SIZE", "77").start().await;
    let page = proxy.admin().tracing().await;
    assert_eq!(page.tracers[0].queue.max_spans, 77);

    let (_upstream, config) = untraced().await;
    let config = config.admin().traced_to(collector.address(), "file").tracer("max_cache_size: 55");
    let proxy = config.environment("OTEL_BSP_MAX_QUEUE_SIZE", "77").start().await;
    assert_eq!(proxy.admin().tracing().await.tracers[0].queue.max_spans, 55);
}

#[tokio::test]
async fn trace_test_tells_each_step_and_ends_with_one_unless_the_span_arrives() {
    let collector = FaultyCollector::start(Behaviour::Healthy).await;
    let endpoint = url(collector.address());
    for protocol in ["grpc", "http/protobuf"] {
        let good =
            run(["trace-test", "--endpoint", &endpoint, "--protocol", protocol, "--header", "x-key=a,b"])
                .await;
        assert_eq!(good.code, Some(0), "{}{}", good.stdout, good.stderr);
        for word in ["connect", "TLS", "answer", "accepted"] {
            assert!(good.stdout.contains(word), "{}", good.stdout);
        }
    }
    assert!(collector.calls().iter().all(|call| call.headers["x-key"] == "a,b"));

    for (behaviour, step) in [
        (Behaviour::Refuses, "FAILED connect"),
        (Behaviour::Garbage(b"220 mail.example ESMTP\r\n"), "FAILED HTTP/1.1"),
        (Behaviour::http(401), "FAILED answer"),
        (Behaviour::Partial { rejected: 1, message: "no thanks".into() }, "FAILED accepted"),
    ] {
        let collector = FaultyCollector::start(behaviour.clone()).await;
        let endpoint = url(collector.address());
        let bad = run(["trace-test", "--endpoint", &endpoint, "--header", "x-key=s3cret-key"]).await;
        assert_eq!(bad.code, Some(1), "{behaviour:?}: {}", bad.stdout);
        assert!(bad.stdout.contains(step), "{behaviour:?}: {}", bad.stdout);
        assert!(!bad.stdout.contains("s3cret"), "{}", bad.stdout);
    }
    let bare = run(["trace-test", "--endpoint", "localhost:4317"]).await;
    assert_eq!(bare.code, Some(1));
    assert!(bare.stderr.contains("http://localhost:4318"), "{}", bare.stderr);
}
