//! Request mirroring: what the copy says, and that a request knows nothing of what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{
    Bootstrap, CannedUpstream, FakeCollector, FakeUpstream, H2Upstream, OK, TestProxy, Wire, refusing_address,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: h:81\r\n\r\n";

/// Routes to the cluster `upstream` with mirrors as `policies`.
fn routes(policies: &str) -> String {
    format!("[{{match: {{prefix: /}}, route: {{cluster: upstream, request_mirror_policies: [{policies}]}}}}]")
}

/// A proxy before a host that answers, with a host of the test's own for copies, and a client's connection to it.
async fn mirrored(policies: &str) -> (CannedUpstream, FakeUpstream, TestProxy, Wire) {
    let upstream = CannedUpstream::answering(OK).await;
    let shadow = FakeUpstream::bind().await;
    let config = Bootstrap::to(upstream.address()).cluster("shadow", &[shadow.address()]);
    let proxy = config.routes(&routes(policies)).start().await;
    let client = proxy.connect().await;
    (upstream, shadow, proxy, client)
}

#[tokio::test]
async fn a_copy_goes_to_the_other_cluster_with_a_host_that_tells_it_apart() {
    let (mut upstream, shadow, _proxy, mut client) = mirrored("{cluster: shadow}").await;
    assert_eq!(client.ask(GET).await.text(), "ok");
    let request = upstream.request().await;
    let (mut host, copy) = shadow.accept_request().await;
    assert_eq!((request.header("host"), copy.header("host")), (Some("h:81"), Some("h-shadow:81")));
    assert_eq!(copy.header("x-envoy-internal"), Some("true"));
    assert!(copy.header("x-forwarded-for").is_some());
    assert_eq!(copy.start_line, request.start_line);
    for name in ["x-request-id", "x-envoy-expected-rq-timeout-ms", "x-forwarded-proto"] {
        assert_eq!(copy.header(name), request.header(name), "{name}");
    }
    // Its response is read, and its connection used again.
    host.send(OK).await;
    assert_eq!(client.ask(GET).await.text(), "ok");
    host.request().await;
}

#[tokio::test]
async fn the_hosts_name_may_stay_or_be_given() {
    for (policy, expected) in [
        ("{cluster: shadow, disable_shadow_host_suffix_append: true}", "h:81"),
        ("{cluster: shadow, host_rewrite_literal: other.test}", "other.test"),
    ] {
        let (_upstream, shadow, _proxy, mut client) = mirrored(policy).await;
        client.send(GET).await;
        let (_, copy) = shadow.accept_request().await;
        assert_eq!(copy.header("host"), Some(expected));
    }
}

#[tokio::test]
async fn a_body_is_copied_as_it_comes() {
    for framing in [
        "content-length: 10\r\n\r\nhello|world",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n|5\r\nworld\r\n0\r\n\r\n",
    ] {
        let (mut upstream, shadow, _proxy, mut client) = mirrored("{cluster: shadow}").await;
        let (first, second) = framing.split_once('|').unwrap();
        client.send(format!("POST / HTTP/1.1\r\nhost: h\r\n{first}")).await;
        let mut copy = shadow.accept().await;
        let head = copy.head().await;
        if head.header("content-length").is_some() {
            assert_eq!(copy.bytes(5).await, b"hello");
        } else {
            assert_eq!(copy.chunk().await.unwrap(), b"hello");
        }
        client.send(second).await;
        assert_eq!(client.response().await.status(), 200);
        if head.header("content-length").is_some() {
            assert_eq!(copy.bytes(5).await, b"world");
        } else {
            assert_eq!(copy.chunk().await.unwrap(), b"world");
            assert!(copy.chunk().await.is_none());
        }
        assert_eq!(upstream.request().await.text(), "helloworld");
    }
}

#[tokio::test]
async fn a_copy_may_go_over_http2() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut shadow = H2Upstream::bind().await;
    let config = Bootstrap::to(upstream.address()).cluster("shadow", &[shadow.address()]).over_http2();
    let proxy = config.routes(&routes("{cluster: shadow}")).start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello").await;
    let mut copy = shadow.request().await;
    assert_eq!(copy.head.uri.authority().unwrap().as_str(), "h-shadow");
    assert_eq!(harness::read_body(&mut copy.body).await.unwrap().0, b"hello");
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn what_becomes_of_a_copy_touches_nothing() {
    // Nobody there, no hosts at all, a response that is an error, a connection that ends.
    let upstream = CannedUpstream::answering(OK).await;
    let failing = CannedUpstream::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let leaving = FakeUpstream::bind().await;
    let config = Bootstrap::to(upstream.address())
        .cluster("dead", &[refusing_address()])
        .cluster("empty", &[])
        .cluster("failing", &[failing.address()])
        .cluster("leaving", &[leaving.address()]);
    let all = "{cluster: dead}, {cluster: empty}, {cluster: failing}, {cluster: leaving}";
    let proxy = config.routes(&routes(all)).start().await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        assert_eq!(client.ask(GET).await.text(), "ok");
        drop(leaving.accept_request().await);
    }
}

#[tokio::test]
async fn a_copy_that_nobody_reads_is_cut_off_and_slows_nothing() {
    const BODY: usize = 16 << 20;
    let (mut upstream, shadow, _proxy, mut client) = mirrored("{cluster: shadow}").await;
    client.send(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {BODY}\r\n\r\n")).await;
    // It reads nothing, so that what the sockets do not hold has to wait.
    let copy = shadow.accept().await;
    client.send(vec![b'x'; BODY]).await;
    assert_eq!(client.response().await.status(), 200);
    assert_eq!(upstream.request().await.body.len(), BODY);
    assert!(copy.rest().await.len() < BODY);
}

#[tokio::test]
async fn a_request_that_breaks_off_breaks_off_its_copy() {
    let (_upstream, shadow, _proxy, mut client) = mirrored("{cluster: shadow}").await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello").await;
    let mut copy = shadow.accept().await;
    copy.head().await;
    assert_eq!(copy.bytes(5).await, b"hello");
    drop(client);
    copy.assert_closed().await;
}

#[tokio::test]
async fn a_fraction_of_zero_copies_nothing_and_one_of_all_everything() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut none = CannedUpstream::answering(OK).await;
    let mut all = CannedUpstream::answering(OK).await;
    let config = Bootstrap::to(upstream.address())
        .cluster("none", &[none.address()])
        .cluster("all", &[all.address()])
        .routes(&routes(
            "{cluster: none, runtime_fraction: {default_value: {numerator: 0}}}, \
             {cluster: all, runtime_fraction: {default_value: {numerator: 1000000, denominator: MILLION}}}",
        ));
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    for _ in 0..5 {
        assert_eq!(client.ask(GET).await.status(), 200);
        all.request().await;
    }
    assert!(none.saw_nothing());
}

#[tokio::test]
async fn the_nearest_level_that_names_mirrors_counts() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut shadows = [
        CannedUpstream::answering(OK).await,
        CannedUpstream::answering(OK).await,
        CannedUpstream::answering(OK).await,
    ];
    let mut config = Bootstrap::to(upstream.address());
    for (name, shadow) in ["config", "host", "route"].iter().zip(&shadows) {
        config = config.cluster(name, &[shadow.address()]);
    }
    let config = config
        .virtual_hosts(
            "[{name: bare, domains: [bare], routes: [{match: {prefix: /}, route: {cluster: upstream}}]}, \
             {name: v, domains: ['*'], request_mirror_policies: [{cluster: host}], routes: [\
             {match: {path: /route}, route: {cluster: upstream, request_mirror_policies: [{cluster: route}]}}, \
             {match: {prefix: /}, route: {cluster: upstream}}]}]",
        )
        .manager("route_config: {request_mirror_policies: [{cluster: config}]}");
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    let asked = [("/any", "bare"), ("/any", "other"), ("/route", "other")];
    for (index, (path, host)) in asked.iter().enumerate() {
        client.ask(&format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
        shadows[index].request().await;
        assert!(shadows.iter_mut().all(CannedUpstream::saw_nothing), "{path} {host}");
    }
}

#[tokio::test]
async fn a_retried_request_is_copied_once() {
    let upstream = CannedUpstream::answering("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
    let mut shadow = CannedUpstream::answering(OK).await;
    let config = Bootstrap::to(upstream.address()).cluster("shadow", &[shadow.address()]).routes(
        "[{match: {prefix: /}, route: {cluster: upstream, retry_policy: {retry_on: 5xx, num_retries: 3}, \
         request_mirror_policies: [{cluster: shadow}]}}]",
    );
    let proxy = config.start().await;
    let ask = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello";
    assert_eq!(proxy.connect().await.ask(ask).await.status(), 503);
    assert_eq!(shadow.request().await.text(), "hello");
    assert!(shadow.saw_nothing());
}

#[tokio::test]
async fn a_copy_belongs_to_the_requests_trace() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let mut shadow = CannedUpstream::answering(OK).await;
    let collector = FakeCollector::start().await;
    let config = Bootstrap::to(upstream.address())
        .cluster("shadow", &[shadow.address()])
        .traced_to(collector.address(), "svc")
        .routes(&routes("{cluster: shadow}"));
    let proxy = config.start().await;
    assert_eq!(proxy.connect().await.ask(GET).await.status(), 200);
    let request = upstream.request().await.header("traceparent").unwrap().to_owned();
    let copy = shadow.request().await.header("traceparent").unwrap().to_owned();
    let trace = |header: &str| header.split('-').nth(1).map(str::to_owned);
    assert_eq!(trace(&copy), trace(&request));
    assert_ne!(copy, request, "a copy has a span of its own");
}
