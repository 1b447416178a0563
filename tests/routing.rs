//! Which route a request takes, and what routes do to it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{collections::HashMap, net::SocketAddr};

use harness::{Bootstrap, CannedUpstream, Message, OK, TestProxy};

/// Each of `routes` answers with its own name: `name: match`.
fn named(routes: &[(&str, &str)]) -> String {
    let lines = routes.iter().map(|(name, matcher)| {
        format!("- {{match: {matcher}, direct_response: {{status: 200, body: {{inline_string: {name}}}}}}}\n")
    });
    lines.collect()
}

fn request(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\n{headers}\r\n")
}

/// Every request of `cases` takes the route that stands beside it; "-" is none.
async fn assert_routes(routes: &[(&str, &str)], cases: &[(&str, &str, &str)]) {
    let proxy = Bootstrap::empty().routes(&named(routes)).start().await;
    let mut client = proxy.connect().await;
    for (path, headers, route) in cases {
        let response = client.ask(&request(path, headers)).await;
        let taken = if response.status() == 404 { "-" } else { response.text() };
        assert_eq!(taken, *route, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn no_route_is_answered_404_with_flag_nr() {
    let proxy = Bootstrap::empty().routes(&named(&[("a", "{path: /a}")])).start().await;
    let mut client = proxy.connect().await;
    let response = client.get("/b").await;
    assert_eq!((response.status(), response.text()), (404, ""));
    assert_eq!(client.get("/a").await.status(), 200);
    let config = Bootstrap::empty().routes(&named(&[("a", "{path: /a}")])).flags_as_body();
    assert_eq!(config.start().await.connect().await.get("/b").await.text(), "404|NR|route_not_found");
}

#[tokio::test]
async fn virtual_hosts_are_chosen_by_their_most_specific_domain() {
    let host = |name: &str, domains: &str| {
        format!(
            "- {{name: {name}, domains: [{domains}], routes: [{{match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {name}}}}}}}]}}\n"
        )
    };
    let hosts = [
        host("any", "'*'"),
        host("exact", "a.foo.com, 'port.com:81'"),
        host("suffix", "'*.foo.com'"),
        host("longer", "'*.b.foo.com'"),
        host("dash", "'*-bar.foo.com'"),
        host("prefix", "'foo.*'"),
    ];
    let proxy = Bootstrap::empty().virtual_hosts(&hosts.concat()).start().await;
    let mut client = proxy.connect().await;
    for (authority, virtual_host) in [
        ("a.foo.com", "exact"),
        ("A.FOO.com", "exact"),
        ("c.foo.com", "suffix"),
        ("a.b.foo.com", "longer"),
        ("x-bar.foo.com", "dash"),
        ("foo.org", "prefix"),
        (".foo.com", "any"),
        ("foo.", "any"),
        ("a.foo.com:80", "any"),
        ("port.com:81", "exact"),
        ("port.com", "any"),
    ] {
        let response = client.ask(&format!("GET / HTTP/1.1\r\nhost: {authority}\r\n\r\n")).await;
        assert_eq!(response.text(), virtual_host, "{authority}");
    }
}

#[tokio::test]
async fn ports_do_not_matter_when_they_are_ignored() {
    let proxy = Bootstrap::empty()
        .virtual_hosts(
            "[{name: a, domains: [a.com], routes: [{match: {prefix: /}, direct_response: {status: 200}}]}]",
        )
        .manager("route_config: {ignore_port_in_host_matching: true}")
        .start()
        .await;
    let mut client = proxy.connect().await;
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: a.com:81\r\n\r\n").await.status(), 200);
    assert_eq!(client.ask("GET / HTTP/1.1\r\nhost: b.com\r\n\r\n").await.status(), 404);
}

#[tokio::test]
async fn paths_match_by_prefix_whole_expression_and_segments() {
    let routes = [
        ("exact", "{path: /exact}"),
        ("folded", "{path: /FOLDED, case_sensitive: false}"),
        ("segments", "{path_separated_prefix: /seg}"),
        ("regex", r"{safe_regex: {regex: '/r/\d+'}}"),
        ("prefix", "{prefix: /pre}"),
    ];
    let cases = [
        ("/exact", "", "exact"),
        ("/exact?q", "", "exact"),
        ("/exact/", "", "-"),
        ("/Exact", "", "-"),
        ("/folded", "", "folded"),
        ("/seg", "", "segments"),
        ("/seg/a", "", "segments"),
        ("/seg?x", "", "segments"),
        ("/segment", "", "-"),
        ("/r/12", "", "regex"),
        ("/r/12?q", "", "regex"),
        ("/r/12a", "", "-"),
        ("/x/r/12", "", "-"),
        ("/prefix", "", "prefix"),
        ("/PRE", "", "-"),
    ];
    assert_routes(&routes, &cases).await;
}

#[tokio::test]
async fn the_first_route_that_matches_is_taken() {
    let routes = [("one", "{prefix: /a}"), ("two", "{path: /a}"), ("rest", "{prefix: /}")];
    assert_routes(&routes, &[("/a", "", "one"), ("/b", "", "rest")]).await;
}

#[tokio::test]
async fn headers_are_matched_in_every_way() {
    let matcher = |header: &str| format!("{{prefix: /, headers: [{{name: x, {header}}}]}}");
    let kinds = [
        ("exact", "string_match: {exact: one}", "one", "One"),
        ("folded", "string_match: {exact: one, ignore_case: true}", "ONE", "two"),
        ("prefix", "string_match: {prefix: pre}", "prefix", "xpre"),
        ("suffix", "string_match: {suffix: fix}", "suffix", "fixx"),
        ("contains", "string_match: {contains: mid}", "amidst", "mad"),
        ("regex", "string_match: {safe_regex: {regex: 'a+'}}", "aaa", "aab"),
        ("range", "range_match: {start: 5, end: 10}", "5", "10"),
        ("inverted", "string_match: {exact: one}, invert_match: true", "two", "one"),
    ];
    for (name, header, matching, other) in kinds {
        let matcher = matcher(header);
        assert_routes(
            &[(name, &matcher)],
            &[("/", &format!("x: {matching}\r\n"), name), ("/", &format!("x: {other}\r\n"), "-")],
        )
        .await;
    }
    let present = matcher("present_match: true");
    assert_routes(&[("yes", &present)], &[("/", "x: any\r\n", "yes"), ("/", "", "-")]).await;
    let absent = matcher("present_match: false");
    assert_routes(&[("no", &absent)], &[("/", "x: any\r\n", "-"), ("/", "", "no")]).await;
    let method = "{prefix: /, headers: [{name: ':method', string_match: {exact: GET}}]}";
    assert_routes(&[("get", method)], &[("/", "", "get")]).await;
}

#[tokio::test]
async fn all_conditions_of_a_route_must_hold() {
    let both = "{prefix: /, headers: [{name: x, string_match: {exact: a}}, {name: y, present_match: true}]}";
    let cases = [("/", "x: a\r\ny: b\r\n", "both"), ("/", "x: a\r\n", "-"), ("/", "y: b\r\n", "-")];
    assert_routes(&[("both", both)], &cases).await;
}

#[tokio::test]
async fn query_parameters_are_matched() {
    let routes = [
        ("value", "{prefix: /, query_parameters: [{name: q, string_match: {exact: one}}]}"),
        ("present", "{prefix: /, query_parameters: [{name: p, present_match: true}]}"),
    ];
    let cases = [
        ("/?q=one", "", "value"),
        ("/?a=b&q=one&c", "", "value"),
        ("/?q=two", "", "-"),
        ("/?p", "", "present"),
        ("/?pp=1", "", "-"),
        ("/q=one", "", "-"),
    ];
    assert_routes(&routes, &cases).await;
}

#[tokio::test]
async fn grpc_routes_take_grpc_only() {
    let routes = named(&[("grpc", "{prefix: /, grpc: {}}"), ("other", "{prefix: /}")]);
    let proxy = Bootstrap::empty().routes(&routes).start().await;
    let mut client = proxy.connect().await;
    for (kind, grpc) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("application/grpc-web", false),
        ("text/plain", false),
    ] {
        let response = client.ask(&request("/", &format!("content-type: {kind}\r\n"))).await;
        // The body of a local reply to gRPC is its message.
        let message = response.header("grpc-message");
        let taken = message.unwrap_or_else(|| response.text());
        assert_eq!(taken, if grpc { "grpc" } else { "other" }, "{kind}");
    }
}

#[tokio::test]
async fn a_share_of_requests_takes_a_route() {
    let fraction = |numerator| {
        format!(
            "{{prefix: /, runtime_fraction: {{default_value: {{numerator: {numerator}, denominator: HUNDRED}}}}}}"
        )
    };
    let (none, half, all) = (fraction(0), fraction(50), fraction(100));
    assert_routes(&[("never", &none), ("always", &all)], &[("/", "", "always")]).await;

    let routes = named(&[("half", &half), ("other", "{prefix: /}")]);
    let proxy = Bootstrap::empty().routes(&routes).start().await;
    let counts = count(&proxy, 400).await;
    // Six standard deviations.
    assert!((140..=260).contains(&counts["half"]), "{counts:?}");
    assert_eq!(counts["half"] + counts["other"], 400);
}

/// How often each body is answered.
async fn count(proxy: &TestProxy, requests: usize) -> HashMap<String, usize> {
    let mut client = proxy.connect().await;
    let mut counts = HashMap::new();
    for _ in 0..requests {
        *counts.entry(client.get("/").await.text().to_owned()).or_insert(0) += 1;
    }
    counts
}

const A: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na";
const B: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nb";

#[tokio::test]
async fn weighted_clusters_share_the_requests() {
    let (a, b) = (CannedUpstream::answering(A).await, CannedUpstream::answering(B).await);
    let proxy = Bootstrap::empty()
        .cluster("a", &[a.address()])
        .cluster("b", &[b.address()])
        .cluster("c", &[b.address()])
        .routes(
            "[{match: {prefix: /}, route: {weighted_clusters: {clusters: \
             [{name: a, weight: 75}, {name: b, weight: 25}, {name: c, weight: 0}]}}}]",
        )
        .start()
        .await;
    let counts = count(&proxy, 400).await;
    assert!((250..=350).contains(&counts["a"]), "{counts:?}");
    assert_eq!(counts["a"] + counts["b"], 400);
}

#[tokio::test]
async fn hosts_of_a_cluster_take_turns() {
    let (a, b) = (CannedUpstream::answering(A).await, CannedUpstream::answering(B).await);
    let proxy = Bootstrap::empty().cluster("upstream", &[a.address(), b.address()]).start().await;
    let counts = count(&proxy, 10).await;
    assert_eq!((counts["a"], counts["b"]), (5, 5));
}

#[tokio::test]
async fn hosts_get_requests_by_their_weights() {
    let (a, b) = (CannedUpstream::answering(A).await, CannedUpstream::answering(B).await);
    let endpoint = |address: SocketAddr, weight| {
        format!(
            "{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}, load_balancing_weight: {weight}}}",
            address.port()
        )
    };
    let endpoints = [endpoint(a.address(), 3), endpoint(b.address(), 1)].join(", ");
    let proxy = Bootstrap::empty()
        .cluster("upstream", &[])
        .cluster_options(&format!("load_assignment: {{endpoints: [{{lb_endpoints: [{endpoints}]}}]}}"))
        .start()
        .await;
    let counts = count(&proxy, 40).await;
    assert_eq!((counts["a"], counts["b"]), (30, 10));
}

#[tokio::test]
async fn names_are_resolved() {
    let upstream = CannedUpstream::answering(A).await;
    for kind in ["STRICT_DNS", "LOGICAL_DNS"] {
        let port = upstream.address().port();
        let proxy = Bootstrap::empty()
            .cluster("upstream", &[])
            .cluster_options(&format!(
                "{{type: {kind}, dns_lookup_family: V4_ONLY, load_assignment: {{endpoints: [{{lb_endpoints: \
                 [{{endpoint: {{address: {{socket_address: {{address: localhost, port_value: {port}}}}}}}}}]}}]}}}}"
            ))
            .start()
            .await;
        assert_eq!(proxy.connect().await.get("/").await.text(), "a", "{kind}");
    }
}

#[tokio::test]
async fn a_direct_response_is_answered_as_configured() {
    let proxy = Bootstrap::empty()
        .routes(
            "[{match: {path: /text}, direct_response: {status: 418, body: {inline_string: hello}}},\
             {match: {path: /none}, direct_response: {status: 200}},\
             {match: {path: /204}, direct_response: {status: 204}}]",
        )
        .start()
        .await;
    let mut client = proxy.connect().await;
    let text = client.get("/text").await;
    assert_eq!((text.status(), text.text()), (418, "hello"));
    assert_eq!(text.header("content-type"), Some("text/plain"));
    assert_eq!(text.header("server"), Some("envoy"));
    let none = client.get("/none").await;
    assert_eq!((none.status(), none.header("content-length")), (200, Some("0")));
    assert_eq!(client.get("/204").await.header("content-length"), None);
    let head = client.ask("HEAD /text HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!((head.status(), head.header("content-length")), (418, Some("5")));
    assert_eq!(client.get("/text").await.text(), "hello");
}

#[tokio::test]
async fn a_direct_response_to_a_body_that_is_not_read_closes() {
    let proxy =
        Bootstrap::empty().routes("[{match: {prefix: /}, direct_response: {status: 403}}]").start().await;
    let mut client = proxy.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000\r\n\r\npart").await;
    let response = client.response().await;
    assert_eq!((response.status(), response.header("connection")), (403, Some("close")));
    client.assert_closed().await;
}

/// Where `redirect` leads a request for `/r/x/tail?q=1` of `authority`.
async fn location(redirect: &str, authority: &str) -> (u16, String) {
    let proxy = Bootstrap::empty()
        .routes(&format!("[{{match: {{prefix: /r/x}}, redirect: {redirect}}}]"))
        .start()
        .await;
    let request = format!("GET /r/x/tail?q=1 HTTP/1.1\r\nhost: {authority}\r\n\r\n");
    let response = proxy.connect().await.ask(&request).await;
    (response.status(), response.header("location").unwrap().to_owned())
}

#[tokio::test]
async fn redirects_change_what_they_say_and_keep_the_rest() {
    for (redirect, authority, expected) in [
        ("{}", "h", "http://h/r/x/tail?q=1"),
        ("{https_redirect: true}", "h", "https://h/r/x/tail?q=1"),
        ("{https_redirect: true}", "h:80", "https://h/r/x/tail?q=1"),
        ("{https_redirect: true}", "h:8080", "https://h:8080/r/x/tail?q=1"),
        ("{scheme_redirect: ftp}", "h", "ftp://h/r/x/tail?q=1"),
        ("{host_redirect: other.com}", "h:99", "http://other.com/r/x/tail?q=1"),
        ("{port_redirect: 8443, https_redirect: true}", "h", "https://h:8443/r/x/tail?q=1"),
        ("{path_redirect: /new}", "h", "http://h/new?q=1"),
        ("{path_redirect: '/new?x=1'}", "h", "http://h/new?x=1"),
        ("{prefix_rewrite: /new}", "h", "http://h/new/tail?q=1"),
        ("{regex_rewrite: {pattern: {regex: '/r/x'}, substitution: /n}}", "h", "http://h/n/tail?q=1"),
        ("{strip_query: true}", "h", "http://h/r/x/tail"),
    ] {
        assert_eq!(location(redirect, authority).await, (301, expected.to_owned()), "{redirect}");
    }
    for (code, status) in
        [("FOUND", 302), ("SEE_OTHER", 303), ("TEMPORARY_REDIRECT", 307), ("PERMANENT_REDIRECT", 308)]
    {
        assert_eq!(location(&format!("{{response_code: {code}}}"), "h").await.0, status);
    }
}

#[tokio::test]
async fn a_virtual_host_may_require_tls() {
    let proxy = Bootstrap::empty()
        .virtual_hosts(
            "[{name: a, domains: ['*'], require_tls: ALL, routes: \
             [{match: {prefix: /}, direct_response: {status: 200}}]}]",
        )
        .start()
        .await;
    let response = proxy.connect().await.get("/a?b").await;
    assert_eq!((response.status(), response.header("location")), (301, Some("https://h/a?b")));
}

/// What the host sees of `request` on `route`, and what the client gets.
async fn through(route: &str, request: &str) -> (Message, Message) {
    let mut upstream = CannedUpstream::answering(
        "HTTP/1.1 200 OK\r\nx-old: 1\r\nx-old: 2\r\nx-gone: 1\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let proxy = Bootstrap::to(upstream.address()).routes(route).start().await;
    let response = proxy.connect().await.ask(request).await;
    assert_eq!(response.status(), 200);
    (upstream.request().await, response)
}

#[tokio::test]
async fn paths_are_rewritten_and_the_original_told() {
    for (route, sent, seen) in [
        ("match: {prefix: /pw/}, route: {cluster: upstream, prefix_rewrite: /}", "/pw/a?x=1", "/a?x=1"),
        ("match: {prefix: /p2}, route: {cluster: upstream, prefix_rewrite: /}", "/p2/a", "//a"),
        ("match: {path: /pw}, route: {cluster: upstream, prefix_rewrite: /new}", "/pw?b", "/new?b"),
        (
            "match: {path_separated_prefix: /sep}, route: {cluster: upstream, prefix_rewrite: /new}",
            "/sep/a",
            "/new/a",
        ),
        (
            r"match: {prefix: /}, route: {cluster: upstream, regex_rewrite: {pattern: {regex: '/(\w+)/(\w+)'}, substitution: '/\2/\1'}}",
            "/a/b?c",
            "/b/a?c",
        ),
    ] {
        let (request, _) = through(&format!("[{{{route}}}]"), &request(sent, "")).await;
        assert_eq!(request.path(), seen, "{route}");
        assert_eq!(request.header("x-envoy-original-path"), Some(sent), "{route}");
    }
    let (request, _) =
        through("[{match: {prefix: /}, route: {cluster: upstream}}]", &request("/a", "")).await;
    assert_eq!(request.header("x-envoy-original-path"), None);
}

#[tokio::test]
async fn hosts_are_rewritten() {
    let route =
        |rewrite: &str| format!("[{{match: {{prefix: /}}, route: {{cluster: upstream, {rewrite}}}}}]");
    let (seen, _) = through(&route("host_rewrite_literal: new.com"), &request("/", "")).await;
    assert_eq!(seen.values("host"), ["new.com"]);
    let (seen, _) = through(&route("host_rewrite_header: x-to"), &request("/", "x-to: there\r\n")).await;
    assert_eq!(seen.values("host"), ["there"]);
    let (seen, _) = through(&route("host_rewrite_header: x-to"), &request("/", "")).await;
    assert_eq!(seen.values("host"), ["h"]);
    let (seen, _) =
        through(&route("host_rewrite_literal: new.com, append_x_forwarded_host: true"), &request("/", ""))
            .await;
    assert_eq!(seen.header("x-forwarded-host"), Some("h"));
}

#[tokio::test]
async fn headers_are_added_by_their_append_action() {
    let add = |name: &str, action: &str| {
        format!("{{header: {{key: {name}, value: new}}, append_action: {action}}}")
    };
    let list =
        ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD", "OVERWRITE_IF_EXISTS"]
            .iter()
            .enumerate()
            .flat_map(|(number, action)| {
                [add(&format!("x-there-{number}"), action), add(&format!("x-new-{number}"), action)]
            })
            .collect::<Vec<_>>()
            .join(", ");
    let route =
        format!("[{{match: {{prefix: /}}, route: {{cluster: upstream}}, request_headers_to_add: [{list}]}}]");
    let there: String =
        (0..4).map(|number| format!("x-there-{number}: 1\r\nx-there-{number}: 2\r\n")).collect();
    let (seen, _) = through(&route, &request("/", &there)).await;
    assert_eq!(seen.values("x-there-0"), ["1", "2", "new"]);
    assert_eq!(seen.values("x-new-0"), ["new"]);
    assert_eq!(seen.values("x-there-1"), ["1", "2"]);
    assert_eq!(seen.values("x-new-1"), ["new"]);
    assert_eq!(seen.values("x-there-2"), ["new"]);
    assert_eq!(seen.values("x-new-2"), ["new"]);
    assert_eq!(seen.values("x-there-3"), ["new"]);
    assert_eq!(seen.values("x-new-3"), Vec::<&str>::new());
}

#[tokio::test]
async fn headers_are_removed_before_others_are_added() {
    let route = "[{match: {prefix: /}, route: {cluster: upstream}, \
                 request_headers_to_remove: [x-a, X-B], request_headers_to_add: [{header: {key: x-a, value: new}}], \
                 response_headers_to_remove: [x-gone], response_headers_to_add: [{header: {key: x-old, value: '3'}}]}]";
    let (seen, response) = through(route, &request("/", "x-a: 1\r\nx-b: 2\r\nx-c: 3\r\n")).await;
    assert_eq!(seen.values("x-a"), ["new"]);
    assert_eq!((seen.header("x-b"), seen.header("x-c")), (None, Some("3")));
    assert_eq!(response.values("x-old"), ["1", "2", "3"]);
    assert_eq!(response.header("x-gone"), None);
}

#[tokio::test]
async fn all_levels_add_their_headers_in_order() {
    let mut upstream = CannedUpstream::answering(OK).await;
    let add = |name: &str| {
        format!(
            "request_headers_to_add: [{{header: {{key: x-l, value: {name}}}}}], \
             response_headers_to_add: [{{header: {{key: x-l, value: {name}}}}}]"
        )
    };
    let proxy = Bootstrap::to(upstream.address())
        .virtual_hosts(&format!(
            "[{{name: a, domains: ['*'], {}, routes: [{{match: {{prefix: /}}, {}, route: {{weighted_clusters: \
             {{clusters: [{{name: upstream, weight: 1, {}}}]}}}}}}]}}]",
            add("host"),
            add("route"),
            add("cluster"),
        ))
        .manager(&format!("route_config: {{{}}}", add("config")))
        .start()
        .await;
    let response = proxy.connect().await.get("/").await;
    let order = ["cluster", "route", "host", "config"];
    assert_eq!(upstream.request().await.values("x-l"), order);
    assert_eq!(response.values("x-l"), order);
}

#[tokio::test]
async fn header_values_are_formatted() {
    let formats = [
        ("%PROTOCOL%", "HTTP/1.1"),
        ("%REQ(:method)% %REQ(:path)%", "GET /p?q"),
        ("%REQ(x-none?x-some)%", "some"),
        ("%REQ(x-some):2%", "so"),
        ("a%%b", "a%b"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "127.0.0.1"),
        ("%UPSTREAM_CLUSTER%", "upstream"),
        ("%RESPONSE_CODE%", "200"),
        ("%RESPONSE_FLAGS%", "-"),
        ("%ROUTE_NAME%", "the-route"),
    ];
    let adds = formats.iter().enumerate().map(|(number, (format, _))| {
        format!(
            "{{header: {{key: x-{number}, value: '{format}'}}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}"
        )
    });
    let route = format!(
        "[{{name: the-route, match: {{prefix: /}}, route: {{cluster: upstream}}, response_headers_to_add: [{}]}}]",
        adds.collect::<Vec<_>>().join(", ")
    );
    let (_, response) = through(&route, &request("/p?q", "x-some: some\r\n")).await;
    for (number, (format, expected)) in formats.iter().enumerate() {
        assert_eq!(response.header(&format!("x-{number}")), Some(*expected), "{format}");
    }
}

#[tokio::test]
async fn a_format_without_a_value_adds_no_header() {
    let route = "[{match: {prefix: /}, route: {cluster: upstream}, request_headers_to_add: \
                 [{header: {key: x-a, value: '%REQ(x-none)%'}}, \
                  {header: {key: x-b, value: '%REQ(x-none)%'}, keep_empty_value: true}]}]";
    let (seen, _) = through(route, &request("/", "")).await;
    assert_eq!((seen.header("x-a"), seen.header("x-b")), (None, Some("")));
}

#[tokio::test]
async fn local_replies_are_mapped_and_formatted() {
    let proxy = Bootstrap::empty()
        .routes("[{match: {path: /d}, direct_response: {status: 503, body: {inline_string: text}}}]")
        .manager(
            r#"local_reply_config:
  mappers:
  - filter: {status_code_filter: {comparison: {op: EQ, value: {default_value: 404, runtime_key: x}}}}
    status_code: 499
    body: {inline_string: custom}
    headers_to_add: [{header: {key: x-lr, value: "v-%RESPONSE_CODE%"}}]
  body_format: {json_format: {code: "%RESPONSE_CODE%", body: "%LOCAL_REPLY_BODY%"}}"#,
        )
        .start()
        .await;
    let mut client = proxy.connect().await;
    let mapped = client.get("/none").await;
    assert_eq!((mapped.status(), mapped.text()), (499, "{\"body\":\"custom\",\"code\":499}\n"));
    assert_eq!(mapped.header("content-type"), Some("application/json"));
    assert!(mapped.header("x-lr").is_some());
    let other = client.get("/d").await;
    assert_eq!((other.status(), other.text()), (503, "{\"body\":\"text\",\"code\":503}\n"));
}

#[tokio::test]
async fn local_replies_to_grpc_have_a_grpc_status() {
    let proxy =
        Bootstrap::empty().routes("[{match: {path: /none}, direct_response: {status: 200}}]").start().await;
    let response = proxy.connect().await.ask(&request("/", "content-type: application/grpc\r\n")).await;
    assert_eq!((response.status(), response.header("grpc-status")), (200, Some("12")));
    assert_eq!(response.header("content-type"), Some("application/grpc"));
}
