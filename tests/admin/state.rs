//! Commands that change what the process does, held against Envoy where it answers them, too.

use std::net::SocketAddr;

use crate::{
    harness::{Bootstrap, CannedUpstream, Message, OK, TestProxy, Wire, within},
    pair::Pair,
};

const HEALTH_CHECK: &str = r#"
http_filters:
- name: envoy.filters.http.health_check
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck
    pass_through_mode: false
    headers: [{name: ":path", string_match: {exact: /healthz}}]
- name: envoy.filters.http.router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
"#;

async fn ask(address: SocketAddr, path: &str) -> Message {
    Wire::connect(address).await.get(path).await
}

/// What of a response an operator's decision changes.
fn seen(message: &Message) -> (u16, Vec<Option<String>>) {
    let headers =
        ["connection", "x-envoy-immediate-health-check-fail", "x-envoy-upstream-healthchecked-cluster"];
    (message.status(), headers.map(|name| message.header(name).map(str::to_owned)).to_vec())
}

/// Ask until the answer is as it should be: orders reach workers some time after they are given.
async fn until(address: SocketAddr, path: &str, is: impl Fn(&Message) -> bool) -> Message {
    within(async {
        loop {
            let answer = ask(address, path).await;
            if is(&answer) {
                return answer;
            }
        }
    })
    .await
}

async fn until_refused(address: SocketAddr) {
    within(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn inbound() -> (TestProxy, CannedUpstream) {
    let upstream = CannedUpstream::answering(OK).await;
    let bootstrap = Bootstrap::to(upstream.address()).listener("traffic_direction: INBOUND").admin();
    (bootstrap.start().await, upstream)
}

#[tokio::test]
async fn a_failed_health_check_is_told_as_by_envoy_until_it_is_well_again() {
    let upstream = CannedUpstream::answering(OK).await;
    let bootstrap =
        Bootstrap::to(upstream.address()).manager(HEALTH_CHECK).top("node: {cluster: c1}").admin();
    let pair = Pair::start(&bootstrap).await;
    for (command, status, path) in [("fail", 503, "/healthz"), ("ok", 200, "/healthz")] {
        pair.assert_same("GET", &format!("/healthcheck/{command}")).await;
        pair.assert_same("POST", &format!("/healthcheck/{command}")).await;
        pair.assert_same("GET", "/ready").await;
        let is = |answer: &Message| answer.status() == status;
        let ours = until(pair.ours.address(), path, is).await;
        let theirs = until(pair.envoy_address(), path, is).await;
        assert_eq!(seen(&ours), seen(&theirs), "{command}");
        let (ours, theirs) = (ask(pair.ours.address(), "/").await, ask(pair.envoy_address(), "/").await);
        assert_eq!(seen(&ours), seen(&theirs), "{command}");
        let (ours, theirs) = pair.json("/server_info").await;
        assert_eq!(ours["state"], theirs["state"]);
    }
}

#[tokio::test]
async fn drained_listeners_end_connections_with_their_next_response_and_accept_no_more() {
    let (proxy, _upstream) = inbound().await;
    let mut kept = proxy.connect().await;
    assert_eq!(kept.get("/").await.header("connection"), None);
    let answer = proxy.admin().post("/drain_listeners?inboundonly").await;
    assert_eq!((answer.status(), answer.text()), (200, "OK\n"));
    until_refused(proxy.address()).await;
    let told = "told to drain listeners whose traffic_direction is INBOUND: connections end with their next response, \
                and no new ones are accepted";
    assert!(proxy.log().contains(told), "{}", proxy.log());
    let last = kept.get("/").await;
    assert_eq!((last.status(), last.header("connection")), (200, Some("close")));
    assert_eq!(proxy.admin().get("/ready").await.text(), "LIVE\n");
}

#[tokio::test]
async fn a_graceful_drain_goes_on_to_accept() {
    let (proxy, _upstream) = inbound().await;
    assert_eq!(proxy.admin().post("/drain_listeners?graceful&skip_exit").await.status(), 200);
    let answer = until(proxy.address(), "/", |answer| answer.header("connection") == Some("close")).await;
    assert_eq!(answer.status(), 200);
    let told = "told to drain all listeners: connections end with their next response, and new ones are still accepted";
    assert!(proxy.log().contains(told), "{}", proxy.log());
    assert_eq!(proxy.admin().post("/drain_listeners?skip_exit").await.status(), 200);
    assert_eq!(ask(proxy.address(), "/").await.status(), 200);
}

#[tokio::test]
async fn what_is_not_inbound_is_not_drained_with_what_is() {
    let upstream = CannedUpstream::answering(OK).await;
    let bootstrap = Bootstrap::to(upstream.address()).listener("traffic_direction: OUTBOUND").admin();
    let pair = Pair::start(&bootstrap).await;
    pair.assert_same("POST", "/drain_listeners?inboundonly").await;
    for address in [pair.ours.address(), pair.envoy_address()] {
        assert_eq!(seen(&ask(address, "/").await).0, 200);
    }
}

#[tokio::test]
async fn quitquitquit_ends_the_process_in_order() {
    let (mut proxy, _upstream) = inbound().await;
    assert_eq!(proxy.admin().get("/quitquitquit").await.status(), 405);
    assert!(proxy.is_running());
    assert_eq!(proxy.admin().post("/quitquitquit").await.text(), "OK\n");
    assert_eq!(proxy.exit_code().await, Some(0));
}

fn levels(text: &str) -> Vec<(String, String)> {
    let lines = text.split_once("active loggers:\n").unwrap().1.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| line.trim().split_once(": ").unwrap())
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .collect()
}

#[tokio::test]
async fn levels_of_the_log_change_while_serving() {
    let (proxy, _upstream) = inbound().await;
    let admin = proxy.admin();
    let level = |text: &str, name: &str| levels(text).into_iter().find(|(known, _)| known == name).unwrap().1;
    let all = admin.post("/logging").await;
    assert!(levels(all.text()).iter().all(|(_, level)| level == "info"), "{}", all.text());
    let one = admin.post("/logging?admin=off").await;
    assert_eq!((level(one.text(), "admin"), level(one.text(), "router")), ("off".into(), "info".into()));
    admin.get("/reset_counters").await;
    assert!(!proxy.log().contains("mutates state"), "{}", proxy.log());
    admin.post("/logging?paths=admin:error,http:debug").await;
    admin.get("/reset_counters").await;
    assert!(proxy.log().contains("mutates state"), "{}", proxy.log());
    // A form sends its empty fields, too.
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let every = admin.ask("POST", "/logging", form, "paths=&level=warning").await;
    assert!(levels(every.text()).iter().all(|(_, level)| level == "warning"), "{}", every.text());
}

#[tokio::test]
async fn a_wrong_change_of_levels_is_refused_as_by_envoy() {
    let pair = Pair::start(&Bootstrap::empty().routes("[]").admin()).await;
    for query in [
        "level=loud",
        "paths=admin:loud",
        "paths=nobody:debug",
        "paths=admin",
        "nobody=debug",
        "admin=error&http=info",
        "level=info&paths=admin:debug",
        "group=http:debug",
    ] {
        let (ours, theirs) = pair.ask("POST", &format!("/logging?{query}")).await;
        assert_eq!((ours.status(), theirs.status()), (400, 400), "{query}");
        assert_eq!(ours.text().lines().next(), theirs.text().lines().next(), "{query}");
    }
    for query in ["", "level=", "paths=", "level=debug", "admin=trace", "paths=router:off,tracing:info"] {
        let (ours, theirs) = pair.ask("POST", &format!("/logging?{query}")).await;
        assert_eq!((ours.status(), theirs.status()), (200, 200), "{query}");
    }
}

#[tokio::test]
async fn a_refused_change_of_levels_names_what_was_said_and_what_there_is() {
    let proxy = Bootstrap::empty().routes("[]").admin().start().await;
    for (query, words, detail) in [
        ("foo=debug", "unknown logger name", "there is no logger \"foo\", but access_log, admin, cluster, "),
        ("paths=admin:off,foo:debug", "unknown logger name", "there is no logger \"foo\", but access_log, "),
        ("level=loud", "unknown logger level", "there is no level \"loud\", but trace, debug, info, "),
        ("admin=loud", "unknown logger level", "there is no level \"loud\", but trace, debug, info, "),
    ] {
        let refused = proxy.admin().post(&format!("/logging?{query}")).await;
        assert_eq!(refused.status(), 400, "{query}");
        let expected = format!("error: {words}\n{detail}");
        assert!(refused.text().starts_with(&expected), "{query}: {}", refused.text());
    }
}

#[tokio::test]
async fn levels_of_rooms_are_set_on_the_command_line() {
    let bootstrap = Bootstrap::empty().routes("[]").admin();
    let proxy = bootstrap.argument("--component-log-level").argument("admin:off,router:trace").start().await;
    let all = proxy.admin().post("/logging").await;
    let found = levels(all.text());
    assert!(found.contains(&("router".into(), "trace".into())), "{found:?}");
    assert!(!proxy.log().contains("the admin interface is at"), "{}", proxy.log());
    let wrong = crate::harness::run(["--component-log-level", "nobody:debug"]).await;
    assert_eq!(wrong.code, Some(2));
    let told = "unknown logger name: there is no logger \"nobody\", but access_log, admin, cluster, ";
    assert!(wrong.stderr.contains(told), "{}", wrong.stderr);
    let wrong = crate::harness::run(["--component-log-level", "router:loud"]).await;
    let told = "unknown logger level: there is no level \"loud\", but trace, debug, info, warning, ";
    assert!(wrong.stderr.contains(told), "{}", wrong.stderr);
}
