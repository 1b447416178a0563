//! What Prometheus makes of the statistics: first what it is told, then a real one that scrapes and is queried.
//! `SPANWAY_PROMETHEUS=skip` leaves the real one out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails may do so where it stands, and says what it left out"
)]

mod harness;

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use harness::{Bootstrap, CannedUpstream, FakeCollector, FreePort, OK, TestProxy, Wire, within};
use serde_json::Value;
use tokio::process::Command;

/// Where Debian has Prometheus.
const PROMETHEUS: &str = "/usr/bin/prometheus";

/// A proxy with routes of which one has a name, one has none, and one answers itself.
async fn proxy(upstream: &CannedUpstream, collector: &FakeCollector) -> TestProxy {
    Bootstrap::to(upstream.address())
        .virtual_hosts(
            r#"- name: shop
  domains: ["*"]
  routes:
  - {name: items, match: {prefix: /items}, route: {cluster: upstream}}
  - {match: {path: /down}, direct_response: {status: 503}}
  - {match: {path_separated_prefix: /plain}, route: {cluster: upstream}}"#,
        )
        .traced_to(collector.address(), "edge")
        .admin()
        .start()
        .await
}

/// The value of the sample of the durations that has these labels.
fn count<'a>(page: &'a str, route: &str, method: &str, class: &str) -> Option<&'a str> {
    let labels = format!(
        "http_route=\"{route}\",http_request_method=\"{method}\",http_response_status_class=\"{class}\"}} "
    );
    let of_count = |line: &&str| line.starts_with("http_server_request_duration_seconds_count");
    page.lines().filter(of_count).find_map(|line| line.split_once(&labels).map(|(_, value)| value))
}

fn trace_id(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_durations_of_each_route_are_told_with_method_and_class_of_status() {
    let upstream = CannedUpstream::answering(OK).await;
    let collector = FakeCollector::start().await;
    let proxy = proxy(&upstream, &collector).await;
    let mut client = proxy.connect().await;
    for (path, status) in
        [("/items/1", 200), ("/items/2", 200), ("/plain/x", 200), ("/down", 503), ("/none", 404)]
    {
        assert_eq!(client.get(path).await.status(), status);
    }
    let purge = "PURGE /items/3 HTTP/1.1\r\nhost: shop\r\n\r\n";
    assert_eq!(client.ask(purge).await.status(), 200);

    let answer = proxy.admin().get("/stats/prometheus").await;
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let page = answer.text();
    assert_eq!(count(page, "items", "GET", "2xx"), Some("2"));
    assert_eq!(count(page, "items", "_OTHER", "2xx"), Some("1"), "{page}");
    assert_eq!(count(page, "/plain/*", "GET", "2xx"), Some("1"));
    assert_eq!(count(page, "/down", "GET", "5xx"), Some("1"), "an answer of the proxy's own counts");
    assert_eq!(count(page, "", "GET", "4xx"), Some("1"), "so does one that has no route");
    assert!(!page.contains(" # {") && !page.contains("# EOF"), "that form has no exemplars");

    let only = proxy.admin().get("/stats/prometheus?filter=request.duration").await.text().to_owned();
    assert!(only.starts_with("# TYPE http_server_request_duration_seconds histogram\n"), "{only}");
    let without = proxy.admin().get("/stats/prometheus?filter=membership").await.text().to_owned();
    assert!(!without.contains("http_server_request"), "{without}");
}

#[tokio::test]
async fn the_durations_have_the_tags_of_all_statistics_and_can_be_unwanted() {
    let upstream = CannedUpstream::answering(OK).await;
    for (config, there) in [
        ("stats_tags: [{tag_name: region, fixed_value: eu}]", true),
        ("stats_matcher: {exclusion_list: {patterns: [{prefix: http.server.}]}}", false),
    ] {
        let bootstrap = Bootstrap::to(upstream.address()).top(&format!("stats_config: {{{config}}}"));
        let proxy = bootstrap.admin().start().await;
        assert_eq!(proxy.connect().await.get("/").await.status(), 200);
        let page = proxy.admin().get("/stats/prometheus").await.text().to_owned();
        let tagged = "http_response_status_class=\"2xx\",region=\"eu\"} 1\n";
        assert_eq!(page.contains(tagged), there, "{page}");
        assert_eq!(page.contains("http_server_request"), there, "{page}");
    }
}

#[tokio::test]
async fn an_exemplar_of_open_metrics_leads_to_the_trace() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let proxy = proxy(&upstream, &collector).await;
    assert_eq!(proxy.connect().await.get("/items/1").await.status(), 200);
    let trace_id = trace_id(&collector.span().await.span.trace_id);
    let accept = "accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";
    let answer = proxy.admin().ask("GET", "/stats/prometheus", accept, "").await;
    assert_eq!(
        answer.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let page = answer.text();
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    let examples: Vec<&str> = page.lines().filter(|line| line.contains(" # {")).collect();
    let [example] = examples.as_slice() else { panic!("one request, one example: {examples:?}") };
    assert!(example.contains("_bucket{") && example.contains("http_route=\"items\""), "{example}");
    assert!(example.contains(&format!(" # {{trace_id=\"{trace_id}\",span_id=\"")), "{example}");
}

/// A Prometheus that scrapes that address each half second, and where it is asked. It ends when this is dropped.
async fn scraping(admin: SocketAddr, folder: &Path) -> (tokio::process::Child, SocketAddr) {
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 500ms}}\nscrape_configs:\n- job_name: spanway\n  metrics_path: /stats/prometheus\n  \
         static_configs: [{{targets: [\"{admin}\"]}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let port = FreePort::new();
    let child = Command::new(PROMETHEUS)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={}", port.address))
        .arg("--enable-feature=exemplar-storage")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(folder.join("log")).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    (child, port.address)
}

/// What Prometheus answers once `is` holds.
async fn until(prometheus: SocketAddr, path: &str, is: impl Fn(&Value) -> bool) -> Value {
    let asked = async {
        loop {
            if let Ok(stream) = tokio::net::TcpStream::connect(prometheus).await {
                let request = format!("GET {path} HTTP/1.1\r\nhost: prometheus\r\nconnection: close\r\n\r\n");
                let answer = Wire::new(stream).ask(&request).await;
                let answer = serde_json::from_str(answer.text()).unwrap_or_default();
                if is(&answer) {
                    return answer;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    within(asked).await
}

#[tokio::test]
async fn a_real_prometheus_scrapes_and_answers_with_the_figures_and_their_traces() {
    if std::env::var_os("SPANWAY_PROMETHEUS").is_some_and(|wish| wish == "skip") {
        println!("left out: SPANWAY_PROMETHEUS=skip");
        return;
    }
    assert!(
        Path::new(PROMETHEUS).exists(),
        "no {PROMETHEUS}: install it with `apt-get install -y prometheus`, or leave it out with SPANWAY_PROMETHEUS=skip"
    );
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let proxy = proxy(&upstream, &collector).await;
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/items/1").await.status(), 200);
    }
    let traces: Vec<String> = collector.spans(3).await.iter().map(|it| trace_id(&it.span.trace_id)).collect();
    let folder = tempfile::tempdir().unwrap();
    let (_child, prometheus) = scraping(proxy.admin().0, folder.path()).await;

    let one = |answer: &Value| answer["data"]["result"].as_array().is_some_and(|found| found.len() == 1);
    let query = "/api/v1/query?query=envoy_cluster_upstream_rq%7Benvoy_cluster_name%3D%22upstream%22%7D";
    let answer = until(prometheus, query, one).await;
    let found = &answer["data"]["result"][0];
    assert_eq!(found["value"][1], "3");
    assert_eq!(found["metric"]["envoy_response_code"], "200");
    let query =
        "/api/v1/query?query=http_server_request_duration_seconds_count%7Bhttp_route%3D%22items%22%7D";
    assert_eq!(until(prometheus, query, one).await["data"]["result"][0]["value"][1], "3");
    let query =
        "/api/v1/query_exemplars?start=0&end=9999999999&query=http_server_request_duration_seconds_bucket";
    let some = |answer: &Value| answer["data"].as_array().is_some_and(|found| !found.is_empty());
    let answer = until(prometheus, query, some).await;
    let labels = &answer["data"][0]["exemplars"][0]["labels"];
    assert!(traces.iter().any(|trace| *trace == labels["trace_id"]), "{answer} of {traces:?}");
    // Nothing of what it read was odd to it.
    let targets = until(prometheus, "/api/v1/targets", |_| true).await;
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets}");
}
