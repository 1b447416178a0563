//! Why a request got an error of the proxy's own: told to internal clients in a header, in access logs and on spans.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::net::SocketAddr;

use harness::{Bootstrap, CannedUpstream, FakeCollector, FreePort, OK, TestProxy, within};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};

const INTERNAL: &str = "use_remote_address: true\ninternal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}";
const SWITCHED_ON: &str =
    "layered_runtime: {layers: [{name: static, static_layer: {spanway: {cause_header: true}}}]}";

const ROUTES: &str = r#"- name: shop
  domains: [shop.example]
  routes:
  - {name: dead, match: {prefix: /dead}, route: {cluster: dead}}
  - {match: {prefix: /empty}, route: {cluster: empty}}
  - {name: slow, match: {prefix: /slow}, route: {cluster: upstream, timeout: 0.05s}}
  - name: again
    match: {prefix: /again}
    route: {cluster: dead, retry_policy: {retry_on: connect-failure, num_retries: 2}}
  - {match: {prefix: /by-header}, route: {cluster_header: x-cluster}}
  - {name: gone, match: {path: /gone}, direct_response: {status: 410}}"#;

/// A proxy to a host that refuses connections, to none, and to one that never answers.
fn bootstrap(dead: SocketAddr, silent: SocketAddr) -> Bootstrap {
    Bootstrap::to(silent).cluster("dead", &[dead]).cluster("empty", &[]).virtual_hosts(ROUTES)
}

/// What the client is told of `GET path`.
async fn told(proxy: &TestProxy, path: &str, headers: &str) -> (u16, Option<String>) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n{headers}\r\n");
    let answer = proxy.connect().await.ask(&request).await;
    (answer.status(), answer.header("x-spanway-cause").map(str::to_owned))
}

#[tokio::test]
async fn an_internal_client_is_told_what_happened_and_where() {
    let dead = FreePort::new();
    let (silent, _open) = harness::silent_address().await;
    let proxy = bootstrap(dead.address, silent).manager(INTERNAL).top(SWITCHED_ON).start().await;
    let dead = dead.address;
    for (path, status, wanted) in [
        (
            "/dead",
            503,
            format!(
                "{dead} of cluster \"dead\" refuses connections (route \"dead\"; 1 of 1 hosts healthy); is the service \
                 running, and does it listen on that port?"
            ),
        ),
        (
            "/again",
            503,
            format!(
                "{dead} of cluster \"dead\" refuses connections (route \"again\"; 1 of 1 hosts healthy); 3 attempts: \
                 {dead}: refused the connection, {dead}: refused the connection, {dead}: refused the connection; is \
                 the service running, and does it listen on that port?"
            ),
        ),
        (
            "/slow",
            504,
            format!(
                "{} of cluster \"upstream\" did not answer within the timeout of route \"slow\", 50ms (1 of 1 hosts healthy); see in the host's \
                 own spans what it waited for, or raise the route's timeout",
                silent
            ),
        ),
        ("/gone", 410, "route \"gone\" answers so itself (direct_response)".to_owned()),
        (
            "/else?secret=1",
            404,
            "none of the 6 routes of virtual host \"shop\" takes GET /else (listener \"main\"); spanway explain says of \
             each route why not"
                .to_owned(),
        ),
    ] {
        assert_eq!(told(&proxy, path, "").await, (status, Some(wanted)), "{path}");
    }
    let (_, empty) = told(&proxy, "/empty", "").await;
    let empty = empty.unwrap();
    assert!(
        empty.starts_with(
            "route \"/empty*\" leads to cluster \"empty\", which has no host to send to: 0 of 0"
        ),
        "{empty}"
    );
    let (_, cluster) = told(&proxy, "/by-header", "x-cluster: n\u{f6}ne\r\n").await;
    let cluster = cluster.unwrap();
    assert!(cluster.starts_with("route \"/by-header*\" leads to the cluster \""), "{cluster}");
    assert!(cluster.contains("that x-cluster names, which does not exist"), "{cluster}");
    let answer = proxy.connect().await.ask("GET / HTTP/1.1\r\nhost: other.example\r\n\r\n").await;
    let wanted = "no virtual host of listener \"main\" takes the authority \"other.example\"; add it to the domains of \
                  one, or ask for another host";
    assert_eq!(answer.header("x-spanway-cause"), Some(wanted));
}

#[tokio::test]
async fn nobody_else_is_told() {
    let dead = FreePort::new();
    let upstream = CannedUpstream::answering(OK).await;
    let internal = bootstrap(dead.address, upstream.address()).manager(INTERNAL);
    let proxy = internal.start().await;
    assert_eq!(told(&proxy, "/dead", "").await, (503, None), "it is not switched on");
    let proxy = internal.top(SWITCHED_ON).start().await;
    assert_eq!(
        told(&proxy, "/dead", "x-forwarded-for: 203.0.113.7\r\n").await,
        (503, None),
        "an external client"
    );
    assert_eq!(told(&proxy, "/by-header", "x-cluster: upstream\r\n").await, (200, None), "nothing is wrong");
}

#[tokio::test]
async fn an_access_log_and_the_span_have_the_same() {
    let dead = FreePort::new();
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let proxy = bootstrap(dead.address, upstream.address())
        .traced_to(collector.address(), "edge")
        .manager(&format!(
            "access_log:\n- name: envoy.access_loggers.file\n  typed_config:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n    \
             path: \"{}\"\n    log_format: {{text_format_source: {{inline_string: \"%SPANWAY_CAUSE%\\n\"}}}}",
            path.display()
        ))
        .argument("--file-flush-interval-msec")
        .argument("20")
        .start()
        .await;
    assert_eq!(told(&proxy, "/dead", "").await, (503, None));
    let span = collector.span().await.span;
    let [event] = span.events.as_slice() else { panic!("one event: {:?}", span.events) };
    assert_eq!(event.name, "spanway.local_reply");
    assert!((span.start_time_unix_nano..=span.end_time_unix_nano).contains(&event.time_unix_nano));
    let text = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => (attribute.key.clone(), text.clone()),
        other => panic!("{other:?}"),
    };
    let attributes: Vec<(String, String)> = event.attributes.iter().map(text).collect();
    let sentence = format!(
        "{} of cluster \"dead\" refuses connections (route \"dead\"; 1 of 1 hosts healthy)",
        dead.address
    );
    let hint = "is the service running, and does it listen on that port?";
    assert_eq!(
        attributes,
        [("spanway.cause".to_owned(), sentence.clone()), ("spanway.hint".to_owned(), hint.to_owned())]
    );
    assert_eq!(told(&proxy, "/by-header", "x-cluster: upstream\r\n").await, (200, None));
    assert!(collector.span().await.span.events.is_empty(), "nothing went wrong");
    let written = async {
        loop {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            if log.lines().count() == 2 {
                return log;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert_eq!(within(written).await, format!("{sentence}; {hint}\n-\n"));
}
