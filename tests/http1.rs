//! HTTP/1 between clients, the proxy and hosts, byte for byte.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

mod harness;

use harness::{Bootstrap, CannedUpstream, OK};

#[tokio::test]
async fn a_request_reaches_the_host_and_its_response_the_client() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).start().await;
    let mut client = proxy.connect().await;
    let response =
        client.ask("GET /a?b=c HTTP/1.1\r\nHost: h\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n").await;
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
