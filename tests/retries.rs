//! Retries: what is sent again, how often, what hosts and clients are told of it, and what an attempt may cost.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{net::SocketAddr, time::Duration};

use harness::{
    Bootstrap, CannedUpstream, FakeUpstream, H2Upstream, Message, OK, TestProxy, Wire, refusing_address,
};

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const UNAVAILABLE: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
const LATER: &str =
    "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: ";

/// Everything goes to the cluster `upstream` with this retry policy; attempts are counted for both sides.
fn counted(config: Bootstrap, policy: &str) -> Bootstrap {
    config.virtual_hosts(&format!(
        "[{{name: v, domains: ['*'], include_request_attempt_count: true, include_attempt_count_in_response: true, \
         routes: [{{match: {{prefix: /}}, route: {{cluster: upstream, retry_policy: {{{policy}}}}}}}]}}]"
    ))
}

/// A proxy before one host of the test's own, and a client's connection to it.
async fn one_host(policy: &str) -> (FakeUpstream, TestProxy, Wire) {
    let upstream = FakeUpstream::bind().await;
    let proxy = counted(Bootstrap::to(upstream.address()), policy).start().await;
    let client = proxy.connect().await;
    (upstream, proxy, client)
}

/// Answer attempt after attempt, each on the connection that it comes on, and give the requests.
async fn answer(upstream: &FakeUpstream, answers: &[&str]) -> Vec<Message> {
    let mut requests = Vec::new();
    let mut host: Option<Wire> = None;
    for bytes in answers {
        let mut wire = match host.take() {
            Some(wire) => wire,
            None => upstream.accept().await,
        };
        requests.push(wire.request().await);
        if bytes.is_empty() {
            continue;
        }
        wire.send(bytes).await;
        // A response without body leaves its connection for the next attempt.
        host = bytes.ends_with("\r\n\r\n").then_some(wire);
    }
    requests
}

#[tokio::test]
async fn a_failed_attempt_is_followed_by_another_and_both_sides_are_told_its_number() {
    let (upstream, _proxy, mut client) = one_host("retry_on: 5xx, num_retries: 2").await;
    client.send(GET).await;
    let requests = answer(&upstream, &[UNAVAILABLE, "", OK]).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text()), (200, "ok"));
    assert_eq!(response.header("x-envoy-attempt-count"), Some("3"));
    let told: Vec<_> =
        requests.iter().map(|request| request.header("x-envoy-attempt-count").unwrap()).collect();
    assert_eq!(told, ["1", "2", "3"]);
    // Each says the same but for its number and the time that is left.
    let same = |request: &Message| {
        let mut headers = request.headers.clone();
        headers
            .retain(|(name, _)| name != "x-envoy-attempt-count" && name != "x-envoy-expected-rq-timeout-ms");
        (request.start_line.clone(), headers)
    };
    assert!(requests.iter().all(|request| same(request) == same(&requests[0])), "{requests:#?}");
    let left = |request: &Message| request.header("x-envoy-expected-rq-timeout-ms").unwrap().parse().unwrap();
    let left: Vec<u32> = requests.iter().map(left).collect();
    assert!(left[0] == 15_000 && left.is_sorted_by(|one, two| one >= two), "{left:?}");
}

#[tokio::test]
async fn there_is_one_retry_unless_the_policy_says_otherwise_and_the_last_response_is_the_clients() {
    let (upstream, _proxy, mut client) = one_host("retry_on: 5xx").await;
    client.send(GET).await;
    let last = "HTTP/1.1 503 No\r\ncontent-length: 4\r\nx-last: 1\r\n\r\nlast";
    answer(&upstream, &[UNAVAILABLE, last]).await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text()), (503, "last"));
    assert_eq!(response.header("x-last"), Some("1"));
}

#[tokio::test]
async fn a_host_that_never_answers_well_leaves_flag_urx_and_a_text_that_says_retried() {
    let dead = refusing_address();
    let policy = "retry_on: connect-failure, num_retries: 2";
    let response = counted(Bootstrap::to(dead), policy).start().await.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (503, &*format!("{LATER}remote connection failure")));
    assert_eq!(response.header("x-envoy-attempt-count"), Some("3"));

    let config = counted(Bootstrap::to(dead), policy).flags_as_body();
    let told = config.start().await.connect().await.get("/").await;
    let expected = "503|URX,UF|upstream_reset_before_response_started{remote_connection_failure";
    assert!(told.text().starts_with(expected), "{}", told.text());
}

#[tokio::test]
async fn what_no_condition_names_is_not_sent_again() {
    for (policy, bytes, status) in [
        ("retry_on: gateway-error", "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", 500),
        ("retry_on: reset", UNAVAILABLE, 503),
        ("retry_on: connect-failure", "", 503),
        ("retry_on: reset-before-request", "", 503),
        ("retry_on: retriable-4xx", "HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n", 404),
        ("retry_on: 5xx", "HTTP/1.1 503 No\r\nx-envoy-ratelimited: true\r\ncontent-length: 0\r\n\r\n", 503),
        ("retry_on: ''", UNAVAILABLE, 503),
    ] {
        let (upstream, _proxy, mut client) = one_host(policy).await;
        client.send(GET).await;
        answer(&upstream, &[bytes]).await;
        let response = client.response().await;
        assert_eq!(response.status(), status, "{policy}");
        assert_eq!(response.header("x-envoy-attempt-count"), Some("1"), "{policy}");
    }
}

#[tokio::test]
async fn what_a_condition_names_is_sent_again() {
    for (policy, bytes) in [
        ("retry_on: gateway-error", "HTTP/1.1 502 No\r\ncontent-length: 0\r\n\r\n"),
        ("retry_on: reset", ""),
        ("retry_on: retriable-4xx", "HTTP/1.1 409 No\r\ncontent-length: 0\r\n\r\n"),
        (
            "retry_on: envoy-ratelimited",
            "HTTP/1.1 429 No\r\nx-envoy-ratelimited: 1\r\ncontent-length: 0\r\n\r\n",
        ),
        ("retry_on: unavailable", "HTTP/1.1 200 OK\r\ngrpc-status: 14\r\ncontent-length: 0\r\n\r\n"),
        (
            "retry_on: retriable-status-codes, retriable_status_codes: [418]",
            "HTTP/1.1 418 No\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "retry_on: retriable-headers, retriable_headers: [{name: x-again}]",
            "HTTP/1.1 200 OK\r\nx-again: 1\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            "retry_on: retriable-headers, retriable_headers: [{name: ':status', string_match: {exact: '202'}}]",
            "HTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n",
        ),
    ] {
        let (upstream, _proxy, mut client) = one_host(policy).await;
        client.send(GET).await;
        answer(&upstream, &[bytes, OK]).await;
        let response = client.response().await;
        assert_eq!(
            (response.status(), response.header("x-envoy-attempt-count")),
            (200, Some("2")),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn a_refused_stream_is_sent_again() {
    let mut upstream = H2Upstream::bind().await;
    let config = counted(Bootstrap::to(upstream.address()).over_http2(), "retry_on: refused-stream");
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    client.send(GET).await;
    upstream.request().await.respond.send_reset(h2::Reason::REFUSED_STREAM);
    let mut second = upstream.request().await;
    assert_eq!(second.values("x-envoy-attempt-count"), ["2"]);
    second.answer(http::Response::new(()), "ok");
    assert_eq!(client.response().await.text(), "ok");
}

#[tokio::test]
async fn a_body_is_sent_again_whole() {
    for framing in
        ["content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
    {
        let (upstream, _proxy, mut client) = one_host("retry_on: 5xx").await;
        client.send(format!("POST / HTTP/1.1\r\nhost: h\r\n{framing}")).await;
        let requests = answer(&upstream, &[UNAVAILABLE, OK]).await;
        assert_eq!(client.response().await.status(), 200);
        assert!(requests.iter().all(|request| request.text() == "hello"), "{requests:#?}");
    }
}

#[tokio::test]
async fn a_body_that_is_still_coming_goes_on_where_the_new_attempt_has_caught_up() {
    let (upstream, _proxy, mut client) = one_host("retry_on: 5xx").await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello").await;
    let mut first = upstream.accept().await;
    first.head().await;
    assert_eq!(first.bytes(5).await, b"hello");
    first.send(UNAVAILABLE).await;
    let mut second = upstream.accept().await;
    second.head().await;
    assert_eq!(second.bytes(5).await, b"hello");
    client.send("world").await;
    assert_eq!(second.bytes(5).await, b"world");
    second.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
    first.assert_closed().await;
}

#[tokio::test]
async fn a_body_over_http2_that_is_still_coming_is_cut_off_for_the_attempt_that_failed() {
    let mut upstream = H2Upstream::bind().await;
    let config = counted(Bootstrap::to(upstream.address()).over_http2(), "retry_on: 5xx");
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nhello").await;
    let mut first = upstream.request().await;
    first.answer(http::Response::builder().status(503).body(()).unwrap(), "");
    let mut second = upstream.request().await;
    client.send("world").await;
    let (body, _) = harness::read_body(&mut second.body).await.unwrap();
    assert_eq!(body, b"helloworld");
    second.answer(http::Response::new(()), "ok");
    assert_eq!(client.response().await.status(), 200);
    assert!(harness::read_body(&mut first.body).await.is_err(), "the first attempt was not reset");
}

#[tokio::test]
async fn a_body_over_the_listeners_buffer_limit_is_sent_once() {
    let upstream = FakeUpstream::bind().await;
    let config = counted(Bootstrap::to(upstream.address()), "retry_on: 5xx");
    let proxy = config.listener("per_connection_buffer_limit_bytes: 1000").start().await;
    let closing = "HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 4\r\n\r\nlast";
    for (length, answers, status) in [(1000, &[closing, OK][..], 200), (1001, &[closing], 503)] {
        let mut client = proxy.connect().await;
        let body = "x".repeat(length);
        client.send(format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")).await;
        for bytes in answers {
            let (mut host, request) = upstream.accept_request().await;
            assert_eq!(request.body.len(), length);
            host.send(bytes).await;
        }
        assert_eq!(client.response().await.status(), status, "{length}");
    }
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_and_followed_by_another() {
    let (upstream, _proxy, mut client) = one_host("retry_on: 5xx, per_try_timeout: 0.1s").await;
    client.send(GET).await;
    let (slow, request) = upstream.accept_request().await;
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("100"));
    let (mut host, request) = upstream.accept_request().await;
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("100"));
    slow.assert_closed().await;
    host.send(OK).await;
    assert_eq!(client.response().await.status(), 200);
}

#[tokio::test]
async fn attempts_that_all_take_too_long_are_answered_504() {
    let (upstream, _proxy, mut client) = one_host("retry_on: reset, per_try_timeout: 0.05s").await;
    client.send(GET).await;
    let (_first, _) = upstream.accept_request().await;
    let (_second, _) = upstream.accept_request().await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text()), (504, "upstream request timeout"));

    for (policy, told) in [("retry_on: reset, ", "504|URX,UT|"), ("", "504|UT|")] {
        let config = counted(Bootstrap::to(upstream.address()), &format!("{policy}per_try_timeout: 0.05s"));
        let response = config.flags_as_body().start().await.connect().await.get("/").await;
        assert_eq!(response.text(), format!("{told}upstream_per_try_timeout"));
    }
}

#[tokio::test]
async fn the_routes_timeout_ends_a_pause_between_attempts() {
    let upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let routes = "[{match: {prefix: /}, route: {cluster: upstream, timeout: 0.1s, retry_policy: {retry_on: 5xx, \
                  num_retries: 9, retry_back_off: {base_interval: 3600s, max_interval: 3600s}}}}]";
    let config = Bootstrap::to(upstream.address()).routes(routes).flags_as_body();
    let response = config.start().await.connect().await.get("/").await;
    assert_eq!(response.text(), "504|UT|response_timeout");
}

#[tokio::test]
async fn a_response_whose_headers_went_out_is_not_retried() {
    let (upstream, _proxy, mut client) = one_host("retry_on: '5xx,reset'").await;
    client.send(GET).await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf").await;
    drop(host);
    assert_eq!(client.head().await.status(), 200);
    assert_eq!(client.rest().await, b"half");
}

#[tokio::test]
async fn more_retries_than_the_cluster_may_have_are_not_made() {
    let upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let breaker = "circuit_breakers: {thresholds: [{max_retries: 0}]}";
    let config = Bootstrap::to(upstream.address()).cluster_options(breaker);
    let response = counted(config, "retry_on: 5xx").start().await.connect().await.get("/").await;
    assert_eq!((response.status(), response.header("x-envoy-attempt-count")), (503, Some("1")));

    let config = Bootstrap::to(refusing_address()).cluster_options(breaker).flags_as_body();
    let told = counted(config, "retry_on: 5xx").start().await.connect().await.get("/").await;
    assert!(told.text().starts_with("503|UO,UF|"), "{}", told.text());
}

#[tokio::test]
async fn the_policy_of_a_route_stands_for_that_of_its_virtual_host() {
    let upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let config = Bootstrap::to(upstream.address()).virtual_hosts(
        "[{name: v, domains: ['*'], include_attempt_count_in_response: true, \
         retry_policy: {retry_on: 5xx, num_retries: 2}, routes: [\
         {match: {prefix: /own}, route: {cluster: upstream, retry_policy: {retry_on: reset}}}, \
         {match: {prefix: /}, route: {cluster: upstream}}]}]",
    );
    let proxy = config.start().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/own").await.header("x-envoy-attempt-count"), Some("1"));
    assert_eq!(client.get("/").await.header("x-envoy-attempt-count"), Some("3"));
}

#[tokio::test]
async fn a_host_that_was_tried_is_avoided() {
    let bad = CannedUpstream::answering(UNAVAILABLE).await;
    let good = CannedUpstream::answering(OK).await;
    let policy = "retry_on: 5xx, host_selection_retry_max_attempts: 5, retry_host_predicate: [{name: p, typed_config: \
                  {'@type': type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]";
    for balancing in ["ROUND_ROBIN", "RANDOM", "RING_HASH"] {
        let config = Bootstrap::empty()
            .cluster("upstream", &[bad.address(), good.address()])
            .cluster_options(&format!("lb_policy: {balancing}"));
        let proxy = counted(config, &policy.replace("attempts: 5", "attempts: 100")).start().await;
        let mut client = proxy.connect().await;
        for _ in 0..8 {
            assert_eq!(client.get("/").await.status(), 200, "{balancing}");
        }
    }
}

#[tokio::test]
async fn an_automatic_host_rewrite_follows_the_attempts_host() {
    let mut one = CannedUpstream::answering(UNAVAILABLE).await;
    let mut two = CannedUpstream::answering(UNAVAILABLE).await;
    let host = |name: &str, address: SocketAddr| {
        let (ip, port) = (address.ip(), address.port());
        format!(
            "{{endpoint: {{hostname: {name}, address: {{socket_address: {{address: {ip}, port_value: {port}}}}}}}}}"
        )
    };
    let config = Bootstrap::empty().cluster("upstream", &[]).cluster_options(&format!(
        "load_assignment: {{endpoints: [{{lb_endpoints: [{}, {}]}}]}}",
        host("one.test", one.address()),
        host("two.test", two.address())
    ));
    let routes = "[{match: {prefix: /}, route: {cluster: upstream, auto_host_rewrite: true, \
                  retry_policy: {retry_on: 5xx}}}]";
    let proxy = config.routes(routes).start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 503);
    assert_eq!(one.request().await.header("host"), Some("one.test"));
    assert_eq!(two.request().await.header("host"), Some("two.test"));
}

#[tokio::test]
async fn internal_clients_ask_for_retries_and_timeouts_in_headers_that_go_no_further() {
    let mut upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let config = Bootstrap::to(upstream.address()).manager(
        "use_remote_address: true\n\
         internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}",
    );
    let proxy = config.start().await;
    let ask = "GET / HTTP/1.1\r\nhost: h\r\nx-envoy-retry-on: junk, 5xx\r\nx-envoy-max-retries: 2\r\n\
               x-envoy-upstream-rq-timeout-ms: 7000\r\nx-envoy-upstream-rq-per-try-timeout-ms: 600\r\n\r\n";
    assert_eq!(proxy.connect().await.ask(ask).await.status(), 503);
    for _ in 0..3 {
        let request = upstream.request().await;
        let mut ours: Vec<_> =
            request.headers.iter().filter(|(name, _)| name.starts_with("x-envoy-")).collect();
        ours.sort();
        let expected = [
            ("x-envoy-expected-rq-timeout-ms".to_owned(), "600".to_owned()),
            ("x-envoy-internal".to_owned(), "true".to_owned()),
        ];
        assert_eq!(ours, expected.iter().collect::<Vec<_>>());
    }
    assert!(upstream.saw_nothing());

    // A client from outside has nothing to say about it.
    let config = Bootstrap::to(upstream.address()).manager("use_remote_address: true");
    assert_eq!(config.start().await.connect().await.ask(ask).await.status(), 503);
    let request = upstream.request().await;
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("15000"));
    assert_eq!(request.header("x-envoy-retry-on"), None);
    assert!(upstream.saw_nothing());
}

#[tokio::test]
async fn an_internal_client_may_be_answered_204_instead_of_a_timeout() {
    let upstream = FakeUpstream::bind().await;
    let config = Bootstrap::to(upstream.address()).manager(
        "use_remote_address: true\n\
         internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}]}",
    );
    let proxy = config.start().await;
    let ask = "GET / HTTP/1.1\r\nhost: h\r\nx-envoy-upstream-rq-timeout-ms: 50\r\n\
               x-envoy-upstream-rq-timeout-alt-response: 1\r\n\r\n";
    let response = proxy.connect().await.ask(ask).await;
    assert_eq!((response.status(), response.text()), (204, ""));
}

#[tokio::test]
async fn a_route_may_ask_for_retries_by_the_headers_that_it_adds() {
    let mut upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let config = Bootstrap::to(upstream.address()).routes(
        "[{match: {prefix: /}, route: {cluster: upstream}, \
         request_headers_to_add: [{header: {key: x-envoy-retry-on, value: 5xx}}]}]",
    );
    assert_eq!(config.start().await.connect().await.get("/").await.status(), 503);
    for _ in 0..2 {
        assert_eq!(upstream.request().await.header("x-envoy-retry-on"), None);
    }
    assert!(upstream.saw_nothing());
}

#[tokio::test]
async fn only_requests_that_the_policy_names_are_retried() {
    let upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let policy = "retry_on: 5xx, retriable_request_headers: [{name: ':method', string_match: {exact: GET}}]";
    let proxy = counted(Bootstrap::to(upstream.address()), policy).start().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.header("x-envoy-attempt-count"), Some("2"));
    let post = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(client.ask(post).await.header("x-envoy-attempt-count"), Some("1"));
}

#[tokio::test]
async fn pauses_are_as_long_as_the_policy_allows_at_most() {
    let upstream = CannedUpstream::answering(UNAVAILABLE).await;
    let policy =
        "retry_on: 5xx, num_retries: 20, retry_back_off: {base_interval: 0.001s, max_interval: 0.002s}";
    let proxy = counted(Bootstrap::to(upstream.address()), policy).start().await;
    let mut client = proxy.connect().await;
    let before = tokio::time::Instant::now();
    assert_eq!(client.get("/").await.header("x-envoy-attempt-count"), Some("21"));
    // Without the bound they would double up to minutes.
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn what_retries_do_not_have_yet_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (policy, told) in [
        ("retry_on: '5xx,sometimes'", "unknown condition \"sometimes\""),
        ("per_try_idle_timeout: 1s", "per_try_idle_timeout"),
        ("retry_priority: {name: p}", "retry_priority"),
        ("rate_limited_retry_back_off: {reset_headers: [{name: x}]}", "rate_limited_retry_back_off"),
        ("retry_host_predicate: [{name: p}]", "no configuration of the predicate"),
        (
            "retry_host_predicate: [{name: p, typed_config: {'@type': \
             type.googleapis.com/envoy.extensions.retry.host.omit_canary_hosts.v3.OmitCanaryHostsPredicate}}]",
            "OmitCanaryHostsPredicate",
        ),
        ("retry_back_off: {base_interval: 2s, max_interval: 1s}", "shorter than base_interval"),
    ] {
        let file = folder.path().join("envoy.yaml");
        let config = counted(Bootstrap::to(refusing_address()), policy);
        std::fs::write(&file, config.text(refusing_address())).unwrap();
        let outcome = harness::run(["check", file.to_str().unwrap()]).await;
        let all = outcome.stdout + &outcome.stderr;
        assert!(outcome.code != Some(0) && all.contains(told), "{policy}:\n{all}");
    }
}
