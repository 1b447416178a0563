//! HTTP/2 without TLS on either side, and translation to and from HTTP/1.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use bytes::Bytes;
use h2::Reason;
use harness::{Bootstrap, CannedUpstream, FakeUpstream, H2Client, H2Upstream, OK, read, read_body, within};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://h{path}")).body(()).unwrap()
}

fn trailers(value: &'static str) -> HeaderMap {
    [("x-t".parse().unwrap(), HeaderValue::from_static(value))].into_iter().collect()
}

#[tokio::test]
async fn a_client_with_prior_knowledge_is_served_from_http1_hosts() {
    let mut upstream = CannedUpstream::answering(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let response = client.ask(get("/a?b")).await;
    assert_eq!((response.head.status, &*response.body), (StatusCode::OK, &b"ok"[..]));
    assert_eq!(response.head.headers["server"], "envoy");
    for name in ["connection", "keep-alive", "transfer-encoding"] {
        assert!(!response.head.headers.contains_key(name), "{name}");
    }
    let request = upstream.request().await;
    assert_eq!(request.start_line, "GET /a?b HTTP/1.1");
    assert_eq!(request.values("host"), ["h"]);
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn both_versions_are_served_on_one_port() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    assert_eq!(H2Client::connect(proxy.address()).await.ask(get("/")).await.head.status, StatusCode::OK);
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_listener_for_one_version_refuses_the_other() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).manager("codec_type: HTTP2").start().await;
    assert_eq!(H2Client::connect(proxy.address()).await.ask(get("/")).await.head.status, StatusCode::OK);
    let mut client = proxy.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(!answer.starts_with(b"HTTP/1."), "{answer:?}");

    let proxy = Bootstrap::to(upstream.address()).manager("codec_type: HTTP1").start().await;
    let mut client = proxy.connect().await;
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let answer = client.rest().await;
    assert!(answer.starts_with(b"HTTP/1.1 4") || answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn crumbs_of_cookies_are_joined_for_http1() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut request = get("/");
    request.headers_mut().append("cookie", HeaderValue::from_static("a=1"));
    request.headers_mut().append("cookie", HeaderValue::from_static("b=2"));
    H2Client::connect(proxy.address()).await.ask(request).await;
    assert_eq!(upstream.request().await.values("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn a_body_of_unknown_length_is_chunked_for_http1() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let request = Request::post("http://h/").body(()).unwrap();
    let (response, mut body) = client.start(request, false).await;
    body.send_data(Bytes::from_static(b"hello"), true).unwrap();
    assert_eq!(read(response).await.body, b"ok");
    let seen = upstream.request().await;
    assert_eq!((seen.text(), seen.header("transfer-encoding")), ("hello", Some("chunked")));
}

#[tokio::test]
async fn streams_of_one_connection_do_not_wait_for_each_other() {
    let upstream = FakeUpstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let (first, _) = client.start(get("/first"), true).await;
    let (mut slow, _) = upstream.accept_request().await;
    let (second, _) = client.start(get("/second"), true).await;
    let (mut fast, request) = upstream.accept_request().await;
    assert_eq!(request.path(), "/second");
    fast.send(OK).await;
    assert_eq!(read(second).await.body, b"ok");
    slow.send(OK).await;
    assert_eq!(read(first).await.body, b"ok");
}

#[tokio::test]
async fn a_host_over_http2_serves_http1_clients() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).over_http2().start().await;
    let mut client = proxy.connect().await;
    client
        .send(
            "POST /a HTTP/1.1\r\nhost: h\r\ncookie: a=1\r\ncookie: b=2\r\nconnection: keep-alive\r\n\
             te: trailers\r\ncontent-length: 5\r\n\r\nhello",
        )
        .await;
    let mut stream = upstream.request().await;
    assert_eq!(stream.head.method, Method::POST);
    assert_eq!(stream.head.uri.to_string(), "http://h/a");
    assert_eq!(stream.values("te"), ["trailers"]);
    assert_eq!(stream.values("cookie").join("; "), "a=1; b=2");
    for name in ["connection", "host", "transfer-encoding"] {
        assert!(stream.values(name).is_empty(), "{name}");
    }
    let (body, _) = read_body(&mut stream.body).await.unwrap();
    assert_eq!(body, b"hello");
    stream.answer(Response::builder().status(201).header("x-a", "1").body(()).unwrap(), "done");
    let response = client.response().await;
    assert_eq!((response.start_line.as_str(), response.text()), ("HTTP/1.1 201 Created", "done"));
    assert_eq!(response.header("x-a"), Some("1"));

    // Without a body there is nothing to wait for.
    client.send("GET /b HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut stream = upstream.request().await;
    assert!(stream.body.is_end_stream());
    stream.answer(Response::new(()), "");
    assert_eq!(client.response().await.text(), "");
}

#[tokio::test]
async fn requests_to_an_http2_host_share_a_connection() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address())
        .over_http2()
        .cluster_options("circuit_breakers: {thresholds: [{max_connections: 1}]}")
        .start()
        .await;
    let mut clients = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.connect().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        streams.push(upstream.request().await);
        clients.push(client);
    }
    for (client, stream) in clients.iter_mut().zip(&mut streams) {
        stream.answer(Response::new(()), "ok");
        assert_eq!(client.response().await.text(), "ok");
    }
}

#[tokio::test]
async fn trailers_pass_between_http2_ends() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).over_http2().start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let (response, mut body) = client.start(Request::post("http://h/").body(()).unwrap(), false).await;
    body.send_data(Bytes::from_static(b"hi"), false).unwrap();
    body.send_trailers(trailers("up")).unwrap();
    let mut stream = upstream.request().await;
    assert_eq!(read_body(&mut stream.body).await.unwrap(), (b"hi".to_vec(), Some(trailers("up"))));
    let mut answer = stream.respond.send_response(Response::new(()), false).unwrap();
    answer.send_data(Bytes::from_static(b"ok"), false).unwrap();
    answer.send_trailers(trailers("down")).unwrap();
    let response = read(response).await;
    assert_eq!((&*response.body, response.trailers), (&b"ok"[..], Some(trailers("down"))));
}

#[tokio::test]
async fn trailers_of_http2_reach_http1_only_when_enabled() {
    for enabled in [false, true] {
        let mut upstream = H2Upstream::bind().await;
        let proxy = Bootstrap::to(upstream.address())
            .over_http2()
            .manager(&format!("http_protocol_options: {{enable_trailers: {enabled}}}"))
            .start()
            .await;
        let mut client = proxy.connect().await;
        client.send("GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\n\r\n").await;
        let mut stream = upstream.request().await;
        // HTTP/1 clients get the trailers that the response announces.
        let head = Response::builder().header("trailer", "x-t").body(()).unwrap();
        let mut answer = stream.respond.send_response(head, false).unwrap();
        answer.send_data(Bytes::from_static(b"ok"), false).unwrap();
        answer.send_trailers(trailers("down")).unwrap();
        let response = client.response().await;
        assert_eq!(response.text(), "ok");
        let expected = [("x-t".to_owned(), "down".to_owned())];
        assert_eq!(response.trailers, expected[..usize::from(enabled)]);
    }
}

#[tokio::test]
async fn a_stream_that_the_host_resets_is_answered_503_with_flag_ur() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).over_http2().flags_as_body().start().await;
    let mut client = proxy.connect().await;
    for (reason, detail) in
        [(Reason::INTERNAL_ERROR, "remote_reset"), (Reason::REFUSED_STREAM, "remote_refused_stream_reset")]
    {
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
        upstream.request().await.respond.send_reset(reason);
        let expected = format!("503|UR|upstream_reset_before_response_started{{{detail}}}");
        assert_eq!(client.response().await.text(), expected);
    }
}

#[tokio::test]
async fn a_response_that_is_reset_midway_is_reset_for_the_client() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).over_http2().start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let (response, _) = client.start(get("/"), true).await;
    let mut stream = upstream.request().await;
    let mut answer = stream.respond.send_response(Response::new(()), false).unwrap();
    answer.send_data(Bytes::from_static(b"half"), false).unwrap();
    let mut received = within(response).await.unwrap().into_body();
    assert_eq!(within(received.data()).await.unwrap().unwrap(), "half");
    answer.send_reset(Reason::INTERNAL_ERROR);
    assert!(read_body(&mut received).await.is_err());
    // The connection lives.
    let (response, _) = client.start(get("/"), true).await;
    upstream.request().await.answer(Response::new(()), "ok");
    assert_eq!(read(response).await.body, b"ok");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_frees_the_host() {
    let mut upstream = H2Upstream::bind().await;
    let proxy = Bootstrap::to(upstream.address()).over_http2().start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let (response, mut body) = client.start(Request::post("http://h/").body(()).unwrap(), false).await;
    let mut stream = upstream.request().await;
    body.send_reset(Reason::CANCEL);
    drop(response);
    assert!(read_body(&mut stream.body).await.is_err());
    // The client's connection serves on.
    let (response, _) = client.start(get("/"), true).await;
    upstream.request().await.answer(Response::new(()), "ok");
    assert_eq!(read(response).await.body, b"ok");
}

#[tokio::test]
async fn a_host_that_is_dead_is_answered_to_http2_clients_too() {
    let proxy = Bootstrap::to(harness::refusing_address()).flags_as_body().start().await;
    let response = H2Client::connect(proxy.address()).await.ask(get("/")).await;
    assert_eq!(response.head.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.body.starts_with(b"503|UF|"), "{:?}", response.body);
}

#[tokio::test]
async fn garbage_instead_of_http2_ends_the_connection() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    client
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage that is no frame at all, whatever one may think")
        .await;
    client.rest().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
}

#[tokio::test]
async fn too_many_headers_reset_the_stream_only() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = H2Client::connect(proxy.address()).await;
    let mut request = get("/");
    for number in 0..120 {
        let name = http::HeaderName::try_from(format!("x-{number}")).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_static("v"));
    }
    let (response, _) = client.start(request, true).await;
    let refused = match within(response).await {
        Err(_) => true,
        Ok(response) => response.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    };
    assert!(refused);
    assert_eq!(client.ask(get("/")).await.head.status, StatusCode::OK);
}
