//! Access logs that go to services of the network: what arrives there, and what a service that fails costs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod receiver;

use std::net::SocketAddr;

use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, stream_access_logs_message::LogEntries,
};
use harness::{
    Bootstrap, CannedUpstream, DEADLINE, OK, TestProxy, Wire, free_address, silent_address, within,
};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use receiver::Receiver;
use serde_json::Value as Json;
use spanway::{collector::Collector, server::options::CollectorOptions};
use tokio::time::{Duration, Instant, sleep};

/// A bootstrap whose access log sends paths as log records; `more` is said besides.
fn records_to(upstream: &CannedUpstream, collector: SocketAddr, more: &str) -> Bootstrap {
    Bootstrap::to(upstream.address()).cluster("logs", &[collector]).over_http2().admin().manager(&format!(
        r#"
access_log:
- name: envoy.access_loggers.open_telemetry
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig
    grpc_service: {{envoy_grpc: {{cluster_name: logs}}, timeout: 2s}}
    log_name: the-log
    {more}
"#
    ))
}

/// The same for an access log service.
fn entries_to(upstream: &CannedUpstream, service: SocketAddr, more: &str) -> Bootstrap {
    Bootstrap::to(upstream.address()).cluster("logs", &[service]).over_http2().admin().manager(&format!(
        r#"
access_log:
- name: envoy.access_loggers.http_grpc
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig
    common_config: {{log_name: the-log, transport_api_version: V3, grpc_service: {{envoy_grpc: {{cluster_name: logs}}}}, {more}}}
"#
    ))
}

const QUICKLY: &str = "buffer_flush_interval: 0.02s";
const QUICKLY_WITH_PATH: &str = r#"buffer_flush_interval: 0.02s
    body: {string_value: "%REQ(:PATH)%"}"#;

async fn get(proxy: &TestProxy, path: &str) {
    assert_eq!(proxy.connect().await.get(path).await.status(), 200);
}

/// Entries that were written and dropped, once that is so.
async fn until_counted(proxy: &TestProxy, of: &str, is: impl Fn(u64, u64) -> bool) -> (u64, u64) {
    let end = Instant::now() + DEADLINE;
    loop {
        let page = proxy.admin().get(&format!("/stats?filter=^access_logs.{of}")).await.text().to_owned();
        let count = |name: &str| {
            let line = page.lines().find_map(|line| line.strip_prefix(&format!("access_logs.{of}.{name}: ")));
            line.unwrap_or_else(|| panic!("no {name} in {page}")).parse::<u64>().unwrap()
        };
        let (written, dropped) = (count("logs_written"), count("logs_dropped"));
        if is(written, dropped) {
            return (written, dropped);
        }
        assert!(Instant::now() < end, "it stays {written} written, {dropped} dropped:\n{}", proxy.log());
        // Nothing tells when counters change.
        sleep(Duration::from_millis(10)).await;
    }
}

const RECORDS: &str = "open_telemetry_access_log";
const ENTRIES: &str = "grpc_access_log";

/// Wait until the proxy has said that.
async fn until_said(proxy: &TestProxy, text: &str) {
    let said = async {
        while !proxy.log().contains(text) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(said).await;
}

/// The paths of the entries in a message.
fn paths(message: &StreamAccessLogsMessage) -> Vec<String> {
    let Some(LogEntries::HttpLogs(logs)) = &message.log_entries else { panic!("{message:?}") };
    logs.log_entry.iter().map(|entry| entry.request.clone().unwrap().path).collect()
}

#[tokio::test]
async fn records_wait_for_a_collector_that_comes_later_and_the_log_tells_of_it_twice() {
    let upstream = CannedUpstream::answering(OK).await;
    let address = free_address();
    let proxy = records_to(&upstream, address, QUICKLY_WITH_PATH).start().await;
    for path in ["/a", "/b", "/c"] {
        get(&proxy, path).await;
    }
    until_said(&proxy, "nothing listens there").await;
    let mut receiver = Receiver::at(address, true);
    assert_eq!(receiver.bodies(3).await, ["/a", "/b", "/c"]);
    assert_eq!(until_counted(&proxy, RECORDS, |written, _| written == 3).await, (3, 0));
    until_said(&proxy, "entries get through").await;
    let log = proxy.log();
    assert_eq!(log.matches("access log \"the-log\": 127.0.0.1").count(), 1, "{log}");
    assert!(log.contains("again; none was lost"), "{log}");
}

#[tokio::test]
async fn records_that_a_collector_rejects_are_dropped_and_the_reason_is_told() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut receiver = Receiver::start().await;
    receiver.reject(1);
    let proxy =
        records_to(&upstream, receiver.address(), &format!("{QUICKLY_WITH_PATH}\n    stat_prefix: p"))
            .start()
            .await;
    get(&proxy, "/a").await;
    assert_eq!(receiver.bodies(1).await, ["/a"]);
    assert_eq!(until_counted(&proxy, &format!("{RECORDS}.p"), |_, dropped| dropped == 1).await, (0, 1));
    until_said(&proxy, "rejected 1 of 1 entries: too odd").await;
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_neither_traffic_nor_memory() {
    let upstream = CannedUpstream::answering(OK).await;
    let (address, _silence) = silent_address().await;
    // An entry is longer than a megabyte.
    let long = "%REQ(X-A)%".repeat(40);
    let body = format!("buffer_flush_interval: 0.02s\n    body: {{string_value: \"{long}\"}}");
    let proxy = records_to(&upstream, address, &body).start().await;
    let request = format!("GET / HTTP/1.1\r\nhost: h\r\nx-a: {}\r\n\r\n", "x".repeat(30_000));
    let mut client = proxy.connect().await;
    assert_eq!(client.ask(&request).await.status(), 200);
    let before = proxy.memory_kib("VmRSS");
    for _ in 0..60 {
        assert_eq!(client.ask(&request).await.status(), 200);
    }
    until_counted(&proxy, RECORDS, |_, dropped| dropped > 30).await;
    let grown = proxy.memory_kib("VmRSS").saturating_sub(before);
    assert!(grown < 40 << 10, "{grown} KiB");
    until_said(&proxy, "access log \"the-log\"").await;
}

#[tokio::test]
async fn a_record_leaves_at_once_where_nothing_is_gathered_and_all_leave_at_the_end() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut receiver = Receiver::start().await;
    let at_once = r#"buffer_flush_interval: 600s
    buffer_size_bytes: 0
    body: {string_value: "%REQ(:PATH)%"}"#;
    let proxy = records_to(&upstream, receiver.address(), at_once).start().await;
    get(&proxy, "/a").await;
    assert_eq!(receiver.bodies(1).await, ["/a"]);
    let late = at_once.replace("buffer_size_bytes: 0", "buffer_size_bytes: 100000");
    let mut proxy = records_to(&upstream, receiver.address(), &late).start().await;
    get(&proxy, "/b").await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(receiver.bodies(1).await, ["/b"]);
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn records_over_http_arrive_with_their_labels() {
    let upstream = CannedUpstream::answering(OK).await;
    let collector = Collector::bind(&collector_options()).await.unwrap();
    let addresses = collector.addresses();
    tokio::spawn(collector.serve(std::future::pending()));
    let proxy = Bootstrap::to(upstream.address())
        .traced_to(addresses.grpc, "shop")
        .cluster("logs", &[addresses.http])
        .admin()
        .manager(
            r#"
access_log:
- name: envoy.access_loggers.open_telemetry
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig
    http_service: {http_uri: {uri: "http://collector/v1/logs", cluster: logs, timeout: 2s}}
    buffer_flush_interval: 0.02s
    body: {string_value: "entry of %REQ(:PATH)%"}
    resource_attributes: {values: [{key: service.name, value: {string_value: shop}}]}
"#,
        )
        .start()
        .await;
    get(&proxy, "/with-a-log").await;
    until_counted(&proxy, RECORDS, |written, _| written == 1).await;
    proxy.admin().settled("shop", 1).await;
    // The collector shows the entry beside the span that it is of.
    let request = "GET /api/traces?service=shop HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let found = async {
        loop {
            let answer = Wire::connect(addresses.pages).await.ask(request).await;
            let traces: Json =
                serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
            let shown = traces["data"][0]["spans"][0]["logs"].to_string();
            if shown.contains("entry of /with-a-log") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    within(found).await;
}

fn collector_options() -> CollectorOptions {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    CollectorOptions {
        grpc_address: free,
        http_address: free,
        pages_address: free,
        health_address: None,
        store_bytes: 4 << 20,
        file: None,
        file_bytes: 0,
    }
}

#[tokio::test]
async fn the_stream_of_entries_stays_open_names_the_proxy_once_and_is_opened_again() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut receiver = Receiver::start().await;
    let proxy = entries_to(&upstream, receiver.address(), QUICKLY)
        .top("node: {id: n, cluster: c, locality: {zone: z}}")
        .start()
        .await;
    get(&proxy, "/a").await;
    let (stream, first) = receiver.message().await;
    let identifier = first.identifier.clone().unwrap();
    let node = identifier.node.unwrap();
    assert_eq!((&*identifier.log_name, &*node.id, &*node.cluster), ("the-log", "n", "c"));
    assert_eq!((&*node.locality.unwrap().zone, &*node.user_agent_name), ("z", "spanway"));
    assert_eq!(paths(&first), ["/a"]);
    get(&proxy, "/b").await;
    let (same, second) = receiver.message().await;
    assert_eq!((same, paths(&second)), (stream, vec!["/b".to_owned()]));
    assert!(second.identifier.is_none());
    receiver.end_streams();
    get(&proxy, "/c").await;
    let (next, third) = receiver.message().await;
    // What was under way when the stream ended may be lost; what came later is not.
    assert_ne!(next, stream);
    assert!(third.identifier.is_some());
    assert_eq!(paths(&third), ["/c"]);
    assert_eq!(until_counted(&proxy, ENTRIES, |written, _| written == 3).await, (3, 0));
}

#[tokio::test]
async fn entries_wait_for_a_service_that_comes_later_and_for_the_end_of_the_process() {
    let upstream = CannedUpstream::answering(OK).await;
    let address = free_address();
    let mut proxy = entries_to(&upstream, address, QUICKLY).start().await;
    get(&proxy, "/a").await;
    until_said(&proxy, "nothing listens there").await;
    let mut receiver = Receiver::at(address, true);
    assert_eq!(paths(&receiver.message().await.1), ["/a"]);
    until_said(&proxy, "entries get through").await;
    assert_eq!(until_counted(&proxy, ENTRIES, |written, _| written == 1).await, (1, 0));
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/b").await.status(), 200);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(paths(&receiver.message().await.1), ["/b"]);
    assert_eq!(proxy.exit_code().await, Some(0));
}

#[tokio::test]
async fn entries_that_a_stream_failed_upon_are_dropped_and_the_reason_is_told() {
    let upstream = CannedUpstream::answering(OK).await;
    let receiver = Receiver::of_records_only().await;
    let proxy = entries_to(&upstream, receiver.address(), QUICKLY).start().await;
    get(&proxy, "/a").await;
    until_counted(&proxy, ENTRIES, |_, dropped| dropped == 1).await;
    until_said(&proxy, "this port has no such service").await;
    get(&proxy, "/b").await;
    assert_eq!(until_counted(&proxy, ENTRIES, |_, dropped| dropped == 2).await, (0, 2));
    assert_eq!(proxy.log().matches("this port has no such service").count(), 1, "{}", proxy.log());
}

#[tokio::test]
async fn two_access_logs_of_one_service_share_it() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut receiver = Receiver::start().await;
    let log = r#"{name: l, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig, grpc_service: {envoy_grpc: {cluster_name: logs}}, buffer_flush_interval: 0.05s, body: {string_value: BODY}}}"#;
    let (one, two) = (log.replace("BODY", "one"), log.replace("BODY", "two"));
    let proxy = Bootstrap::to(upstream.address())
        .cluster("logs", &[receiver.address()])
        .over_http2()
        .admin()
        .manager(&format!("access_log: [{one}, {two}]"))
        .start()
        .await;
    get(&proxy, "/").await;
    let export = receiver.export().await;
    let labels = &export.resource_logs[0].resource.as_ref().unwrap().attributes;
    let label = |of: &KeyValue| match of.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => (of.key.clone(), text),
        other => panic!("{other:?}"),
    };
    let labels = labels.iter().map(label).collect::<Vec<_>>();
    let keys = labels.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>();
    assert_eq!(keys, ["log_name", "zone_name", "cluster_name", "node_name"]);
    assert_eq!(export.resource_logs[0].scope_logs[0].log_records.len(), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_service_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("envoy.yaml");
    for (more, expected) in [
        (
            "grpc_service: {envoy_grpc: {cluster_name: nowhere}}",
            "grpc_service.envoy_grpc.cluster_name: unknown cluster",
        ),
        ("body: {string_value: x}", "nowhere to send entries"),
        (
            "grpc_service: {envoy_grpc: {cluster_name: logs}}, attributes: {values: [{key: a, value: {int_value: 3}}]}",
            "attributes.values[0].value: a value of an entry is a string_value",
        ),
        (
            "grpc_service: {envoy_grpc: {cluster_name: logs}}, body: {string_value: \"%NOPE%\"}",
            "body.string_value: spanway has no format command '%NOPE%'",
        ),
        (
            "grpc_service: {envoy_grpc: {cluster_name: logs}}, filter_state_objects_to_log: [a]",
            "filter_state_objects_to_log",
        ),
    ] {
        let yaml = Bootstrap::empty()
            .cluster("logs", &[free_address()])
            .over_http2()
            .manager(&format!(
                r#"access_log: [{{name: l, typed_config: {{"@type": type.googleapis.com/envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig, {more}}}}}]"#
            ))
            .text(([127, 0, 0, 1], 1).into());
        std::fs::write(&config, yaml).unwrap();
        let outcome = harness::run(["-c".as_ref(), config.as_os_str()]).await;
        assert_eq!(outcome.code, Some(1));
        assert!(outcome.stderr.contains(expected), "{expected}:\n{}", outcome.stderr);
    }
}
