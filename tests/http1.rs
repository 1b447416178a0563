//! HTTP/1 between clients, the proxy and hosts, byte for byte.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::time::Duration;

use harness::{Bootstrap, CannedUpstream, FakeUpstream, OK};
use tokio::{task::JoinSet, time::timeout};

/// How long an answer may take that may be missing at all, where several cases are tried at once.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_request_reaches_the_host_and_its_response_the_client() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response = client.ask("GET /a?b=c HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n").await;
    assert_eq!(response.start_line, "HTTP/1.1 200 OK");
    assert_eq!(response.text(), "ok");
    assert_eq!(response.header("content-length"), Some("2"));
    assert_eq!(response.header("server"), Some("envoy"));
    assert!(response.header("date").unwrap().ends_with(" GMT"));
    assert!(response.header("x-envoy-upstream-service-time").unwrap().parse::<u64>().is_ok());
    assert_eq!(response.header("connection"), None);

    let request = upstream.request().await;
    assert_eq!(request.start_line, "GET /a?b=c HTTP/1.1");
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| &**name).collect();
    let expected = [
        "host",
        "user-agent",
        "accept",
        "x-forwarded-proto",
        "x-request-id",
        "x-envoy-expected-rq-timeout-ms",
    ];
    assert_eq!(names, expected);
    assert_eq!(request.header("x-envoy-expected-rq-timeout-ms"), Some("15000"));
}

#[tokio::test]
async fn hop_by_hop_headers_end_at_the_proxy() {
    let mut upstream = CannedUpstream::answering(
        "HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nconnection: keep-alive\r\nproxy-connection: x\r\n\
         x-kept: 1\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let request = "GET / HTTP/1.1\r\nhost: h\r\nconnection: x-foo, TE\r\nx-foo: 1\r\nte: gzip, trailers\r\n\
                   keep-alive: 5\r\nproxy-connection: x\r\nupgrade: x\r\nx-kept: 1\r\n\r\n";
    let response = proxy.connect().await.ask(request).await;
    for name in ["keep-alive", "connection", "proxy-connection"] {
        assert_eq!(response.header(name), None, "{response:?}");
    }
    assert_eq!(response.header("x-kept"), Some("1"));

    let seen = upstream.request().await;
    for name in ["connection", "x-foo", "keep-alive", "proxy-connection", "upgrade"] {
        assert_eq!(seen.header(name), None, "{seen:?}");
    }
    assert_eq!(seen.header("te"), Some("trailers"));
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[tokio::test]
async fn connections_on_both_sides_serve_one_request_after_another() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET /0 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut host = upstream.accept().await;
    for number in 0..3 {
        assert_eq!(host.request().await.path(), format!("/{number}"));
        host.send(OK).await;
        assert_eq!(client.response().await.text(), "ok");
        client.send(format!("GET /{} HTTP/1.1\r\nhost: h\r\n\r\n", number + 1)).await;
    }
}

#[tokio::test]
async fn a_client_that_wants_to_close_is_closed_and_its_hosts_connection_kept() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    let (mut host, request) = upstream.accept_request().await;
    assert_eq!(request.header("connection"), None);
    host.send(OK).await;
    assert_eq!(client.response().await.header("connection"), Some("close"));
    client.assert_closed().await;

    let mut other = proxy.connect().await;
    other.send("GET /again HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(host.request().await.path(), "/again");
    host.send(OK).await;
    assert_eq!(other.response().await.status(), 200);
}

#[tokio::test]
async fn a_host_that_closes_does_not_close_its_client() {
    let mut upstream =
        CannedUpstream::answering("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
            .await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        let response = client.get("/").await;
        assert_eq!((response.status(), response.header("connection")), (200, None));
        upstream.request().await;
    }
}

#[tokio::test]
async fn a_response_to_head_has_the_length_and_no_body() {
    let upstream = CannedUpstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123456789").await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let head = client.ask("HEAD / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!((head.status(), head.header("content-length")), (200, Some("10")));
    // What follows directly is the next response.
    assert_eq!(client.get("/").await.text(), "0123456789");
}

#[tokio::test]
async fn a_204_has_neither_body_nor_length() {
    let upstream = CannedUpstream::answering("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/").await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.header("content-length"), None);
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(client.get("/").await.status(), 204);
}

#[tokio::test]
async fn a_304_has_no_body_whatever_length_it_would_have() {
    let upstream =
        CannedUpstream::answering("HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 55\r\n\r\n").await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/").await;
    assert_eq!(response.status(), 304);
    assert_eq!(response.header("etag"), Some("x"));
    assert_eq!(client.get("/").await.status(), 304);
}

#[tokio::test]
async fn a_chunked_response_stays_chunked_and_whole() {
    let upstream = CannedUpstream::answering(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    )
    .await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    for _ in 0..2 {
        let response = client.get("/").await;
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.text(), "abcde");
    }
}

#[tokio::test]
async fn a_response_that_ends_with_its_connection_is_chunked_for_the_client() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 200 OK\r\n\r\nuntil the end").await;
    drop(host);
    let response = client.response().await;
    assert_eq!(response.header("transfer-encoding"), Some("chunked"));
    assert_eq!(response.text(), "until the end");
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    upstream.accept_request().await;
}

#[tokio::test]
async fn a_body_arrives_at_the_host_as_it_was_sent() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.ask("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello").await;
    let request = upstream.request().await;
    assert_eq!((request.text(), request.header("content-length")), ("hello", Some("5")));
    assert_eq!(request.header("transfer-encoding"), None);

    let chunked =
        "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2;e=f\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
    client.ask(chunked).await;
    let request = upstream.request().await;
    assert_eq!((request.text(), request.header("content-length")), ("abc", None));

    client.ask("POST / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let request = upstream.request().await;
    assert_eq!((request.text(), request.header("content-length")), ("", Some("0")));
    client.ask("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(upstream.request().await.header("content-length"), None);
}

#[tokio::test]
async fn bodies_stream_in_both_directions_before_they_end() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let mut host = upstream.accept().await;
    host.head().await;
    assert_eq!(host.chunk().await.unwrap(), b"one");
    client.send("3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(host.chunk().await.unwrap(), b"two");

    host.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await.unwrap(), b"first");
    host.send("6\r\nsecond\r\n0\r\n\r\n").await;
    assert_eq!(client.chunk().await.unwrap(), b"second");
    assert_eq!(client.chunk().await, None);
}

const WITH_TRAILERS: &str =
    "HTTP/1.1 200 OK\r\ntrailer: x-t\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: v\r\n\r\n";
const POST_WITH_TRAILERS: &str = "POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntrailer: x-q\r\n\
                                  transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-q: w\r\n\r\n";

#[tokio::test]
async fn trailers_are_dropped_unless_enabled() {
    let mut upstream = CannedUpstream::answering(WITH_TRAILERS).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let response = proxy.connect().await.ask(POST_WITH_TRAILERS).await;
    assert_eq!(response.text(), "ok");
    assert_eq!(response.trailers, []);
    let request = upstream.request().await;
    assert_eq!(request.text(), "hi");
    assert_eq!(request.trailers, []);
}

#[tokio::test]
async fn trailers_pass_both_ways_when_enabled() {
    let mut upstream = CannedUpstream::answering(WITH_TRAILERS).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("http_protocol_options: {enable_trailers: true}")
        .cluster_options(
            r#"typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http_protocol_options: {enable_trailers: true}}"#,
        )
        .start()
        .await;
    let response = proxy.connect().await.ask(POST_WITH_TRAILERS).await;
    assert_eq!(response.trailers, [("x-t".to_owned(), "v".to_owned())]);
    assert_eq!(upstream.request().await.trailers, [("x-q".to_owned(), "w".to_owned())]);
}

#[tokio::test]
async fn http_1_0_is_told_to_upgrade_unless_accepted() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response = client.ask("GET / HTTP/1.0\r\nhost: h\r\n\r\n").await;
    assert_eq!((response.status(), response.text()), (426, "Upgrade Required"));
    client.assert_closed().await;
    assert!(upstream.saw_nothing());
}

#[tokio::test]
async fn an_accepted_http_1_0_request_is_answered_and_closed() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("http_protocol_options: {accept_http_10: true, default_host_for_http_10: standard}")
        .start()
        .await;
    let mut client = proxy.connect().await;
    let response = client.ask("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(response.start_line, "HTTP/1.0 200 OK");
    assert_eq!(response.text(), "ok");
    client.assert_closed().await;
    let request = upstream.request().await;
    assert_eq!(request.start_line, "GET / HTTP/1.1");
    assert_eq!(request.header("host"), Some("standard"));
}

#[tokio::test]
async fn a_client_that_expects_it_is_told_to_continue() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.response().await.status(), 100);
    client.send("hi").await;
    assert_eq!(client.response().await.text(), "ok");
    let request = upstream.request().await;
    assert_eq!((request.text(), request.header("expect")), ("hi", None));
}

#[tokio::test]
async fn interim_responses_of_the_host_stay_with_the_proxy() {
    let upstream = CannedUpstream::answering(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let response = proxy.connect().await.get("/").await;
    assert_eq!((response.status(), response.text()), (200, "ok"));
}

#[tokio::test]
async fn reason_phrases_are_the_proxys_own() {
    let upstream = CannedUpstream::answering("HTTP/1.1 200 Fine\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    assert_eq!(proxy.connect().await.get("/").await.start_line, "HTTP/1.1 200 OK");
}

#[tokio::test]
async fn malformed_requests_are_answered_400_and_closed() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let requests: &[&[u8]] = &[
        b"complete nonsense\r\n\r\n",
        b"GET foo HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n: empty name\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nspaced : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: abc\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +1\r\n\r\na",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
    ];
    let mut answers = JoinSet::new();
    for request in requests {
        let mut client = proxy.connect().await;
        answers.spawn(async move {
            client.send(request).await;
            let answer = timeout(PATIENCE, client.rest()).await.unwrap_or_else(|_| b"no end".to_vec());
            (String::from_utf8_lossy(request), String::from_utf8(answer).unwrap())
        });
    }
    let mut answers = answers.join_all().await;
    answers.retain(|(_, answer)| !answer.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert!(answers.is_empty(), "{answers:#?}");
    assert!(upstream.saw_nothing());
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_fragment_is_taken_off_before_a_request_is_routed() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/path?q#/../admin").await.status(), 200);
    assert_eq!(upstream.request().await.path(), "/path?q");
}

/// RFC 9112, 6.3: the chunks count, the length is taken off, and nothing that follows is a request.
#[tokio::test]
async fn a_request_with_two_framings_is_not_smuggled_on() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client
        .send(
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
             0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: h\r\n\r\n",
        )
        .await;
    let answer = client.rest().await;
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    let request = upstream.request().await;
    assert_eq!(
        (request.header("content-length"), request.header("transfer-encoding")),
        (None, Some("chunked"))
    );
    assert!(upstream.saw_nothing());
}

#[tokio::test]
async fn unknown_transfer_codings_are_not_implemented() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    // What does not end in chunks has no end at all, which is the client's fault rather than a lack of ours.
    for (coding, status) in [
        ("gzip, chunked", "501 Not Implemented"),
        ("chunked, chunked", "501 Not Implemented"),
        ("identity", "400 Bad Request"),
    ] {
        let mut client = proxy.connect().await;
        client.send(format!("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: {coding}\r\n\r\n")).await;
        let answer = timeout(PATIENCE, client.rest()).await.unwrap_or_else(|_| b"no end".to_vec());
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{coding}: {answer:?}");
    }
    assert!(upstream.saw_nothing());
}

fn request_of(lines: usize) -> String {
    // The host line counts.
    let lines: String = (1..lines).map(|number| format!("x-{number}: v\r\n")).collect();
    format!("GET / HTTP/1.1\r\nhost: h\r\n{lines}\r\n")
}

#[tokio::test]
async fn a_hundred_headers_are_accepted_and_no_more() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    assert_eq!(proxy.connect().await.ask(&request_of(100)).await.status(), 200);
    let mut client = proxy.connect().await;
    let response = client.ask(&request_of(101)).await;
    assert_eq!(response.start_line, "HTTP/1.1 431 Request Header Fields Too Large");
    client.assert_closed().await;
}

#[tokio::test]
async fn the_limit_of_headers_is_configurable() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("common_http_protocol_options: {max_headers_count: 200}")
        .start()
        .await;
    assert_eq!(proxy.connect().await.ask(&request_of(200)).await.status(), 200);
    assert_eq!(proxy.connect().await.ask(&request_of(201)).await.status(), 431);
}

#[tokio::test]
async fn headers_larger_than_the_limit_are_answered_431() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let of = |length| format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "v".repeat(length));
    assert_eq!(proxy.connect().await.ask(&of(59 * 1024)).await.status(), 200);
    let mut client = proxy.connect().await;
    client.send(of(61 * 1024)).await;
    let answer = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 431 "), "{:?}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let one = |path| format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n");
    client.send(format!("{}{}{}", one("/a"), one("/b"), one("/c"))).await;
    let mut host = upstream.accept().await;
    for path in ["/a", "/b", "/c"] {
        assert_eq!(host.request().await.path(), path);
        host.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{path}")).await;
    }
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.response().await.text(), path);
    }
}

#[tokio::test]
async fn an_absolute_target_decides_about_host_and_path() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    proxy.connect().await.ask("GET http://other:81/p?q HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let request = upstream.request().await;
    assert_eq!((request.path(), request.header("host")), ("/p?q", Some("other:81")));
}

#[tokio::test]
async fn the_server_header_is_transformed_as_configured() {
    let upstream =
        CannedUpstream::answering("HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 0\r\n\r\n").await;
    let silent = CannedUpstream::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let cases = [
        ("OVERWRITE", Some("mine"), Some("mine")),
        ("APPEND_IF_ABSENT", Some("nginx"), Some("mine")),
        ("PASS_THROUGH", Some("nginx"), None),
    ];
    for (transformation, told, untold) in cases {
        let proxy = Bootstrap::to(upstream.address())
            .cluster("silent", &[silent.address()])
            .manager(&format!("{{server_name: mine, server_header_transformation: {transformation}}}"))
            .routes("[{match: {path: /s}, route: {cluster: silent}}, {match: {prefix: /}, route: {cluster: upstream}}]")
            .start()
            .await;
        let mut client = proxy.connect().await;
        assert_eq!(client.get("/").await.header("server"), told, "{transformation}");
        assert_eq!(client.get("/s").await.header("server"), untold, "{transformation}");
    }
}

#[tokio::test]
async fn via_is_appended_both_ways() {
    let mut upstream =
        CannedUpstream::answering("HTTP/1.1 200 OK\r\nvia: 1.1 up\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = Bootstrap::to(upstream.address()).manager("via: me").start().await;
    let response = proxy.connect().await.ask("GET / HTTP/1.1\r\nhost: h\r\nvia: 1.0 cl\r\n\r\n").await;
    assert_eq!(response.header("via"), Some("1.1 up, me"));
    assert_eq!(upstream.request().await.header("via"), Some("1.0 cl, me"));
}

#[tokio::test]
async fn the_last_request_that_a_connection_may_have_is_told_so() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("common_http_protocol_options: {max_requests_per_connection: 2}")
        .start()
        .await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.header("connection"), None);
    assert_eq!(client.get("/").await.header("connection"), Some("close"));
    client.assert_closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_timeout() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("{common_http_protocol_options: {idle_timeout: 0.3s}, drain_timeout: 0.01s}")
        .start()
        .await;
    proxy.connect().await.assert_closed().await;
    let mut client = proxy.connect().await;
    assert_eq!(client.get("/").await.status(), 200);
    client.assert_closed().await;
}

#[tokio::test]
async fn a_connection_that_has_rested_is_held_to_the_same_timeouts() {
    let upstream = CannedUpstream::answering(OK).await;
    let limits = "{common_http_protocol_options: {idle_timeout: 4s}, request_headers_timeout: 0.05s}";
    let proxy = Bootstrap::to(upstream.address()).manager(limits).start().await;
    let (mut slow, mut silent) = (proxy.connect().await, proxy.connect().await);
    assert_eq!(slow.get("/").await.status(), 200);
    assert_eq!(silent.get("/").await.status(), 200);
    // They come to rest after two seconds.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    slow.send("GET / HTTP/1.1\r\nhost: h\r\n").await;
    let response = slow.response().await;
    assert_eq!((response.status(), response.text()), (408, "request header timeout"));
    silent.assert_closed().await;
}

#[tokio::test]
async fn a_connection_that_rests_when_it_is_old_enough_serves_one_more_request_or_is_closed() {
    let upstream = CannedUpstream::answering(OK).await;
    let limits = "{common_http_protocol_options: {max_connection_duration: 2.5s}, drain_timeout: 1s}";
    let proxy = Bootstrap::to(upstream.address()).manager(limits).start().await;
    let (mut silent, mut late) = (proxy.connect().await, proxy.connect().await);
    assert_eq!(silent.get("/").await.status(), 200);
    assert_eq!(late.get("/").await.header("connection"), None);
    tokio::time::sleep(Duration::from_millis(2800)).await;
    assert_eq!(late.get("/").await.header("connection"), Some("close"));
    late.assert_closed().await;
    silent.assert_closed().await;
}

#[tokio::test]
async fn requests_that_do_not_come_in_time_are_answered_408() {
    let upstream = CannedUpstream::answering(OK).await;
    let cases = [
        ("request_headers_timeout", "POST / HTTP/1.1\r\nhost: h\r\n", "request header timeout"),
        ("request_timeout", "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf", "request timeout"),
        (
            "stream_idle_timeout",
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\nhalf",
            "stream timeout",
        ),
    ];
    for (field, part, body) in cases {
        let proxy = Bootstrap::to(upstream.address()).manager(&format!("{field}: 0.05s")).start().await;
        let mut client = proxy.connect().await;
        client.send(part).await;
        let response = client.response().await;
        assert_eq!((response.status(), response.text()), (408, body), "{field}");
        client.assert_closed().await;
    }
}

#[tokio::test]
async fn a_response_that_comes_before_the_body_was_sent_reaches_the_client() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\nhalf").await;
    let mut host = upstream.accept().await;
    host.head().await;
    host.send("HTTP/1.1 413 Payload Too Large\r\ncontent-length: 2\r\n\r\nno").await;
    let response = client.response().await;
    assert_eq!((response.status(), response.text()), (413, "no"));
    assert_eq!(response.header("connection"), Some("close"));
    client.assert_closed().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_let_go_after_the_stream_idle_timeout() {
    static BLOCK: [u8; 64 << 10] = [b'x'; 64 << 10];
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).manager("stream_idle_timeout: 0.2s").start().await;
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let (mut host, _) = upstream.accept_request().await;
    host.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
    // The host can send until nobody reads any more, and then learns that nobody will.
    while host.send_if_open(&BLOCK).await {}
    assert!(client.rest().await.len() < 1_000_000_000);
}
