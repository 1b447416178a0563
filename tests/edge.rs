//! What the proxy believes of a client, and what it tells hosts about it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, Message, OK};

/// What the host sees of `headers` when the connection manager has `options`, and what the client gets.
async fn through(options: &str, headers: &str) -> (Message, Message) {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager(options)
        .routes(
            r#"[{match: {prefix: /}, route: {cluster: upstream}, response_headers_to_add:
                [{header: {key: x-remote, value: "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}}]}]"#,
        )
        .start()
        .await;
    let response = proxy.connect().await.ask(&format!("GET / HTTP/1.1\r\nhost: h\r\n{headers}\r\n")).await;
    assert_eq!(response.status(), 200);
    (upstream.request().await, response)
}

const FORWARDED: &str = "x-forwarded-for: 1.1.1.1, 2.2.2.2,10.0.0.3\r\nx-forwarded-proto: https\r\n";
const INTERNAL: &str = "internal_address_config: {cidr_ranges: [{address_prefix: 127.0.0.0, prefix_len: 8}, \
                        {address_prefix: 10.0.0.0, prefix_len: 8}]}";

#[tokio::test]
async fn inside_a_mesh_what_a_client_says_of_itself_is_kept() {
    let id = "x-request-id: zz\r\n";
    let (seen, response) = through("use_remote_address: false", &format!("{FORWARDED}{id}")).await;
    assert_eq!(seen.values("x-forwarded-for"), ["1.1.1.1, 2.2.2.2,10.0.0.3"]);
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(seen.header("x-request-id"), Some("zz"));
    assert_eq!(response.header("x-remote"), Some("10.0.0.3"));
}

#[tokio::test]
async fn a_client_without_a_history_gets_no_address_header() {
    let (seen, response) = through("use_remote_address: false", "").await;
    assert_eq!(seen.header("x-forwarded-for"), None);
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(response.header("x-remote"), Some("127.0.0.1"));
}

#[tokio::test]
async fn at_the_edge_the_connections_peer_is_the_client() {
    let (seen, response) = through("use_remote_address: true", FORWARDED).await;
    let forwarded = seen.header("x-forwarded-for").unwrap();
    let own = forwarded.strip_prefix("1.1.1.1, 2.2.2.2,10.0.0.3,").unwrap();
    assert!(own.parse::<std::net::IpAddr>().is_ok(), "{forwarded}");
    assert_eq!(seen.header("x-forwarded-proto"), Some("http"));
    assert_eq!(seen.header("x-envoy-external-address"), Some("127.0.0.1"));
    assert_eq!(seen.header("x-envoy-internal"), None);
    assert_eq!(response.header("x-remote"), Some("127.0.0.1"));
}

#[tokio::test]
async fn behind_trusted_hops_the_client_is_the_address_that_they_saw() {
    let (seen, response) = through("{use_remote_address: true, xff_num_trusted_hops: 1}", FORWARDED).await;
    assert_eq!(seen.header("x-envoy-external-address"), Some("10.0.0.3"));
    assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
    assert_eq!(response.header("x-remote"), Some("10.0.0.3"));
    let (seen, response) = through("{use_remote_address: true, xff_num_trusted_hops: 2}", FORWARDED).await;
    assert_eq!(seen.header("x-envoy-external-address"), Some("2.2.2.2"));
    assert_eq!(response.header("x-remote"), Some("2.2.2.2"));
    let (_, response) = through("{use_remote_address: false, xff_num_trusted_hops: 1}", FORWARDED).await;
    assert_eq!(response.header("x-remote"), Some("2.2.2.2"));
}

#[tokio::test]
async fn an_address_that_is_none_is_not_believed() {
    for address in ["junk", "10.0.0.3:123", ""] {
        let (_, response) =
            through("use_remote_address: false", &format!("x-forwarded-for: {address}\r\n")).await;
        assert_eq!(response.header("x-remote"), Some("127.0.0.1"), "{address:?}");
    }
}

#[tokio::test]
async fn the_address_is_not_appended_when_so_configured() {
    let options = "{use_remote_address: true, skip_xff_append: true}";
    let (seen, _) = through(options, FORWARDED).await;
    assert_eq!(seen.header("x-forwarded-for"), Some("1.1.1.1, 2.2.2.2,10.0.0.3"));
    let (seen, _) = through(options, "").await;
    assert_eq!(seen.header("x-forwarded-for"), None);
}

#[tokio::test]
async fn an_internal_client_is_marked_and_may_force_a_trace() {
    let headers = "x-forwarded-for: 10.0.0.3\r\nx-envoy-force-trace: true\r\n";
    let (seen, _) = through(INTERNAL, headers).await;
    assert_eq!(seen.header("x-envoy-internal"), Some("true"));
    assert_eq!(seen.header("x-envoy-force-trace"), Some("true"));
    let (seen, _) = through(INTERNAL, &format!("{FORWARDED}x-envoy-force-trace: true\r\n")).await;
    assert_eq!(seen.header("x-envoy-internal"), None);
    assert_eq!(seen.header("x-envoy-force-trace"), None);
}

#[tokio::test]
async fn an_external_client_cannot_give_internal_orders() {
    let orders = "x-envoy-internal: true\r\nx-envoy-force-trace: true\r\nx-envoy-upstream-rq-timeout-ms: 1\r\n\
                  x-envoy-max-retries: 9\r\nx-client-trace-id: t\r\nx-forwarded-host: f\r\n";
    for options in ["use_remote_address: false", "use_remote_address: true"] {
        let (seen, _) = through(options, orders).await;
        for name in [
            "x-envoy-internal",
            "x-envoy-force-trace",
            "x-envoy-upstream-rq-timeout-ms",
            "x-envoy-max-retries",
        ] {
            assert_eq!(seen.header(name), None, "{options}");
        }
        assert_eq!(seen.header("x-client-trace-id"), Some("t"));
        assert_eq!(seen.header("x-forwarded-host"), Some("f"));
        assert_eq!(seen.header("x-envoy-expected-rq-timeout-ms"), Some("15000"));
    }
    let (seen, _) = through("use_remote_address: true", "x-envoy-original-path: /o\r\n").await;
    assert_eq!(seen.header("x-envoy-original-path"), None);
}

fn is_uuid(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && id.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}

#[tokio::test]
async fn every_request_has_an_id_of_its_own() {
    let (first, _) = through("generate_request_id: true", "").await;
    let (second, _) = through("generate_request_id: true", "").await;
    let ids = [first.header("x-request-id").unwrap(), second.header("x-request-id").unwrap()];
    assert!(ids.iter().all(|id| is_uuid(id)), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn at_the_edge_a_clients_id_is_replaced_unless_preserved() {
    let header = "x-request-id: 9d5d64b8-1111-4111-8111-111111111111\r\n";
    let (seen, _) = through("use_remote_address: true", header).await;
    assert_ne!(seen.header("x-request-id"), Some("9d5d64b8-1111-4111-8111-111111111111"));
    let (seen, _) = through("{use_remote_address: true, preserve_external_request_id: true}", header).await;
    assert_eq!(seen.header("x-request-id"), Some("9d5d64b8-1111-4111-8111-111111111111"));
}

#[tokio::test]
async fn ids_are_not_generated_when_so_configured() {
    let (seen, _) = through("generate_request_id: false", "").await;
    assert_eq!(seen.header("x-request-id"), None);
}

#[tokio::test]
async fn the_id_is_returned_when_so_configured() {
    let (seen, response) = through("always_set_request_id_in_response: true", "").await;
    assert_eq!(response.header("x-request-id"), seen.header("x-request-id"));
    let (_, response) = through("always_set_request_id_in_response: false", "").await;
    assert_eq!(response.header("x-request-id"), None);
}

#[tokio::test]
async fn a_host_is_told_which_service_calls_it() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address())
        .manager("add_user_agent: true")
        .top("node: {id: node-1, cluster: shop}")
        .start()
        .await;
    proxy.connect().await.get("/").await;
    let seen = upstream.request().await;
    assert_eq!(seen.header("x-envoy-downstream-service-cluster"), Some("shop"));
    assert_eq!(seen.header("x-envoy-downstream-service-node"), Some("node-1"));
    assert_eq!(seen.header("user-agent"), Some("shop"));
}

/// What path the host sees, or the status of the refusal.
async fn path_through(options: &str, path: &str) -> Result<String, Message> {
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).manager(options).start().await;
    let response = proxy.connect().await.get(path).await;
    if response.status() == 200 { Ok(upstream.request().await.path().to_owned()) } else { Err(response) }
}

#[tokio::test]
async fn paths_are_left_alone_by_default() {
    for path in ["/a/../b", "/%2e%2e", "//", "/a%2fb", "/%41", "/?a=../b"] {
        assert_eq!(path_through("normalize_path: false", path).await.unwrap(), path);
    }
}

#[tokio::test]
async fn paths_are_normalized_when_so_configured() {
    let cases = [
        ("/a/../b", "/b"),
        ("/a/%2e%2E/b", "/b"),
        ("/../x", "/x"),
        ("/a/..", "/"),
        ("/a/b/.", "/a/b/"),
        ("/a/...", "/a/..."),
        ("/%41%7e%2d", "/A~-"),
        ("/a%2fb", "/a%2fb"),
        ("/a///b", "/a///b"),
        ("/a?b=/../c", "/a?b=/../c"),
    ];
    for (sent, seen) in cases {
        assert_eq!(path_through("normalize_path: true", sent).await.unwrap(), seen, "{sent}");
    }
    assert_eq!(path_through("normalize_path: true", "/a%00b").await.unwrap_err().status(), 400);
}

#[tokio::test]
async fn slashes_are_merged_when_so_configured() {
    for (sent, seen) in [("/a//b", "/a/b"), ("//a", "/a"), ("/a?b=//c", "/a?b=//c")] {
        assert_eq!(path_through("merge_slashes: true", sent).await.unwrap(), seen, "{sent}");
    }
}

#[tokio::test]
async fn escaped_slashes_are_treated_as_configured() {
    let action = |name| format!("path_with_escaped_slashes_action: {name}");
    assert_eq!(path_through(&action("KEEP_UNCHANGED"), "/a%2Fb").await.unwrap(), "/a%2Fb");
    assert_eq!(path_through(&action("UNESCAPE_AND_FORWARD"), "/a%2Fb?x=%2f").await.unwrap(), "/a/b?x=%2f");
    assert_eq!(path_through(&action("REJECT_REQUEST"), "/a%5cb").await.unwrap_err().status(), 400);
    let redirect = path_through(&action("UNESCAPE_AND_REDIRECT"), "/a%2fb?x=%2f").await.unwrap_err();
    assert_eq!((redirect.status(), redirect.header("location")), (307, Some("/a/b?x=%2f")));
}

#[tokio::test]
async fn ports_are_stripped_from_hosts_as_configured() {
    for (option, sent, seen) in [
        ("{}", "h:81", "h:81"),
        ("strip_any_host_port: true", "h:81", "h"),
        ("strip_matching_host_port: true", "h:81", "h:81"),
    ] {
        let mut upstream = CannedUpstream::answering(OK).await;
        let proxy = Bootstrap::to(upstream.address()).manager(option).start().await;
        proxy.connect().await.ask(&format!("GET / HTTP/1.1\r\nhost: {sent}\r\n\r\n")).await;
        assert_eq!(upstream.request().await.header("host"), Some(seen), "{option}");
    }
    let mut upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).manager("strip_matching_host_port: true").start().await;
    let host = format!("h:{}", proxy.address().port());
    proxy.connect().await.ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    assert_eq!(upstream.request().await.header("host"), Some("h"));
}
