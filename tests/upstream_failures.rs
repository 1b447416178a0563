//! What clients see when hosts fail: status, body, flags and details, and what becomes of the connections.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, FakeUpstream, OK, refusing_address, silent_address};

const PREFIX: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";
const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

#[tokio::test]
async fn a_dead_host_is_answered_503_with_flag_uf() {
    let dead = refusing_address();
    let proxy = Bootstrap::to(dead).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/").await;
    assert_eq!((response.status(), response.text()), (503, &*format!("{PREFIX}remote connection failure")));
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.header("x-envoy-upstream-service-time"), None);
    // The connection stays.
    assert_eq!(client.get("/").await.status(), 503);

    let proxy = Bootstrap::to(dead).flags_as_body().start().await;
    let told = proxy.connect().await.get("/").await;
    let expected = "503|UF|upstream_reset_before_response_started{remote_connection_failure";
    assert!(told.text().starts_with(expected), "{}", told.text());
}

#[tokio::test]
async fn a_host_that_does_not_accept_in_time_is_answered_503_with_flag_uf() {
    let (silent, _queue) = silent_address().await;
    let config = Bootstrap::to(silent).cluster_options("connect_timeout: 0.05s");
    let response = config.start().await.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (503, &*format!("{PREFIX}connection timeout")));
}

#[tokio::test]
async fn a_cluster_without_hosts_is_answered_503_with_flag_uh() {
    let config = Bootstrap::empty().cluster("upstream", &[]);
    let response = config.start().await.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (503, "no healthy upstream"));
    let config = Bootstrap::empty().cluster("upstream", &[]).flags_as_body();
    let told = config.start().await.connect().await.get("/").await;
    assert_eq!(told.text(), "503|UH|no_healthy_upstream");
}

#[tokio::test]
async fn a_host_that_leaves_before_its_response_is_answered_503_with_flag_uc() {
    for reset in [false, true] {
        let upstream = FakeUpstream::bind().await;
        let proxy = Bootstrap::to(upstream.address()).flags_as_body().start().await;
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let (host, _) = upstream.accept_request().await;
        if reset {
            host.reset();
        } else {
            drop(host);
        }
        let response = client.response().await;
        let details = "503|UC|upstream_reset_before_response_started{connection_termination}";
        assert_eq!((response.status(), response.text()), (503, details), "reset: {reset}");
        // The client's connection serves on.
        client.send(GET).await;
        let (mut host, _) = upstream.accept_request().await;
        host.send(OK).await;
        assert_eq!(client.response().await.status(), 200);
    }
}

#[tokio::test]
async fn nonsense_from_a_host_is_answered_502_and_its_connection_not_used_again() {
    let nonsense: &[&str] = &[
        "garbage garbage garbage\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).flags_as_body().start().await;
    let mut wrong = Vec::new();
    for bytes in nonsense {
        let mut client = proxy.connect().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        let (mut host, _) = upstream.accept_request().await;
        host.send(bytes).await;
        let answer = String::from_utf8(client.rest().await).unwrap();
        let details = "502|UPE|upstream_reset_before_response_started{protocol_error}";
        if !answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n") || !answer.ends_with(details) {
            wrong.push((bytes, answer));
        }
        host.assert_closed().await;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_response_that_stops_in_its_headers_is_answered_503() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).flags_as_body().start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 200 OK\r\ncontent-le").await;
    drop(host);
    let response = client.response().await;
    let details = "503|UC|upstream_reset_before_response_started{connection_termination}";
    assert_eq!((response.status(), response.text()), (503, details));
}

#[tokio::test]
async fn a_response_that_breaks_in_its_body_breaks_at_the_client_too() {
    let broken: &[&str] = &[
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n9\r\nmore",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
    ];
    for bytes in broken {
        let upstream = FakeUpstream::bind().await;
        let proxy = Bootstrap::to(upstream.address()).start().await;
        let mut client = proxy.connect().await;
        client.send(GET).await;
        let (mut host, _) = upstream.accept_request().await;
        host.send(bytes).await;
        drop(host);
        assert_eq!(client.head().await.status(), 200);
        let rest = String::from_utf8(client.rest().await).unwrap();
        assert!(rest.contains("half") && !rest.ends_with("0\r\n\r\n"), "{bytes:?}: {rest:?}");
    }
}

#[tokio::test]
async fn bytes_after_a_response_end_the_hosts_connection_and_nothing_else() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")).await;
    assert_eq!(client.response().await.text(), "ok");
    client.send(GET).await;
    let (mut other, _) = upstream.accept_request().await;
    other.send(OK).await;
    assert_eq!(client.response().await.text(), "ok");
}

#[tokio::test]
async fn a_host_that_takes_too_long_is_answered_504_with_flag_ut() {
    let upstream = FakeUpstream::bind().await;
    let routes = "[{match: {prefix: /}, route: {cluster: upstream, timeout: 0.05s}}]";
    let config = Bootstrap::to(upstream.address()).routes(routes);
    let response = config.start().await.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (504, "upstream request timeout"));

    let proxy = config.flags_as_body().start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (_, request) = upstream.accept_request().await;
    // The first proxy's request or this one's, both say how long they wait.
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("50"));
    assert_eq!(client.response().await.text(), "504|UT|response_timeout");
    // The connection that is still busy is not used for another request.
    client.send(GET).await;
    upstream.accept_request().await;
}

#[tokio::test]
async fn a_host_that_pauses_too_long_is_answered_504_with_flag_si() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).manager("stream_idle_timeout: 0.05s").start().await;
    let response = proxy.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (504, "stream timeout"));
}

#[tokio::test]
async fn a_timeout_of_zero_waits_for_ever_and_tells_no_timeout() {
    let upstream = FakeUpstream::bind().await;
    let routes = "[{match: {prefix: /}, route: {cluster: upstream, timeout: 0s}}]";
    let proxy = Bootstrap::to(upstream.address()).routes(routes).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, request) = upstream.accept_request().await;
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), None);
    host.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn a_response_that_is_too_slow_is_cut_off() {
    let upstream = FakeUpstream::bind().await;
    let routes = "[{match: {prefix: /}, route: {cluster: upstream, timeout: 0.5s}}]";
    let proxy = Bootstrap::to(upstream.address()).routes(routes).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest().await, b"half");
    host.assert_closed().await;
}

#[tokio::test]
async fn more_requests_than_a_cluster_may_have_are_answered_503_with_flag_uo() {
    let upstream = FakeUpstream::bind().await;
    let config = Bootstrap::to(upstream.address())
        .cluster_options("circuit_breakers: {thresholds: [{max_requests: 1}]}");
    let proxy = config.start().await;
    let mut first = proxy.connect().await;
    first.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    let refused = proxy.connect().await.get("/").await;
    assert_eq!((refused.status(), refused.text()), (503, &*format!("{PREFIX}overflow")));
    assert_eq!(refused.header("x-envoy-overloaded"), Some("true"));
    host.send(OK).await;
    assert_eq!(first.response().await.status(), 200);
    // The place is free again.
    first.send(GET).await;
    host.request().await;
    host.send(OK).await;
    assert_eq!(first.response().await.status(), 200);
}

#[tokio::test]
async fn requests_beyond_the_connections_wait_and_beyond_the_queue_are_refused() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address())
        .cluster_options("circuit_breakers: {thresholds: [{max_connections: 1, max_pending_requests: 1}]}")
        .flags_as_body()
        .start()
        .await;
    let mut first = proxy.connect().await;
    first.send("GET /1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    // Of two more, one waits for the connection and one is too many.
    let mut second = proxy.connect().await;
    second.send("GET /2 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut third = proxy.connect().await;
    third.send("GET /3 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (refused, mut waiting) = tokio::select! {
        response = second.response() => (response, third),
        response = third.response() => (response, second),
    };
    let details = "503|UO|upstream_reset_before_response_started{overflow}";
    assert_eq!((refused.status(), refused.text()), (503, details));
    host.send(OK).await;
    assert_eq!(first.response().await.status(), 200);
    host.request().await;
    host.send(OK).await;
    assert_eq!(waiting.response().await.status(), 200);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_request() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
    // The proxy closes its end when it has noticed: before that the request might already be on its way.
    host.finish().await;
    host.assert_closed().await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn hosts_take_turns_and_a_client_that_leaves_frees_its_host() {
    let hosts = [FakeUpstream::bind().await, FakeUpstream::bind().await];
    let addresses = hosts.each_ref().map(FakeUpstream::address);
    let proxy = Bootstrap::empty().cluster("upstream", &addresses).start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (first, mut host) = tokio::select! {
        host = hosts[0].accept() => (0, host),
        host = hosts[1].accept() => (1, host),
    };
    host.request().await;
    drop(client);
    host.assert_closed().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    let (mut host, _) = hosts[1 - first].accept_request().await;
    host.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn a_cluster_that_a_header_names_and_that_is_not_there_is_answered_503_with_flag_nc() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .routes(
            "[{match: {prefix: /}, route: {cluster_header: x-to}, \
             response_headers_to_add: [{header: {key: x-by, value: route}}]}]",
        )
        .flags_as_body()
        .start()
        .await;
    let mut client = proxy.connect().await;
    for request in [GET, "GET / HTTP/1.1\r\nhost: h\r\nx-to: nowhere\r\n\r\n"] {
        let response = client.ask(request).await;
        assert_eq!((response.status(), response.text()), (503, "503|NC|cluster_not_found"));
        assert_eq!(
            response.header("x-by"),
            Some("route"),
            "what the route adds is added to the proxy's own replies"
        );
    }
    let response = client.ask("GET / HTTP/1.1\r\nhost: h\r\nx-to: upstream\r\n\r\n").await;
    assert_eq!(response.status(), 200);
}
