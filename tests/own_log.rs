//! The program's own log: in Envoy's patterns and as JSON, with the trace that a line is about, and nothing secret.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Bootstrap, CannedUpstream, FakeCollector, FreePort, OK, TestProxy, run, within};
use serde_json::Value;

const JSON: &str = r#"application_log_config:
  log_format:
    json_format: {time: "%Y-%m-%dT%T.%e", level: "%l", logger: "%n", message: "%j", service: {name: edge, "n": 5}}"#;

/// The first line of the log that has `text`, once it is there.
async fn line_with(proxy: &TestProxy, text: &str) -> String {
    let found = async {
        loop {
            if let Some(line) = proxy.log().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(found).await
}

#[tokio::test]
async fn each_line_is_json_and_names_the_trace_that_it_is_about() {
    let dead = FreePort::new();
    let mut collector = FakeCollector::start().await;
    let proxy = Bootstrap::to(dead.address)
        .traced_to(collector.address(), "edge")
        .top(JSON)
        .argument("--component-log-level")
        .argument("http_connection_manager:debug,router:debug")
        .start()
        .await;
    let request =
        "GET /\" HTTP/1.1\r\nhost: a\r\nauthorization: Bearer hunter2\r\ncookie: id=hunter2\r\n\r\n";
    let answer = proxy.connect().await.ask(&request.replace("/\"", "/?token=hunter2")).await;
    assert_eq!(answer.status(), 503);
    let span = collector.span().await.span;
    let trace_id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = line_with(&proxy, "answered 503").await;
    let read: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["level"], "debug");
    // By this name `/logging` and `--component-log-level` know it.
    assert_eq!(read["logger"], "http_connection_manager");
    assert_eq!(read["service"], serde_json::json!({"name": "edge", "n": 5}));
    assert_eq!(read["trace_id"], trace_id);
    assert!(
        read["message"].as_str().unwrap().contains("of cluster \"upstream\" refuses connections"),
        "{line}"
    );
    let attempt: Value = serde_json::from_str(&line_with(&proxy, "an attempt at").await).unwrap();
    assert_eq!(attempt["trace_id"], trace_id);
    let log = proxy.log();
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_pattern_of_the_configuration_counts_and_a_text_line_has_the_trace_at_its_end() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut collector = FakeCollector::start().await;
    let proxy = Bootstrap::to(upstream.address())
        .routes("[{match: {path: /no}, direct_response: {status: 403}}]")
        .traced_to(collector.address(), "edge")
        .top("application_log_config: {log_format: {text_format: \"<%l> %v\"}}")
        .argument("--log-level")
        .argument("debug")
        .start()
        .await;
    assert_eq!(proxy.connect().await.get("/no").await.status(), 403);
    let span = collector.span().await.span;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = line_with(&proxy, "answered 403").await;
    assert!(line.starts_with("<debug> connection "), "{line}");
    let end = format!(" trace_id={} span_id={}", hex(&span.trace_id), hex(&span.span_id));
    assert!(line.ends_with(&end), "{line}");
}

#[tokio::test]
async fn a_format_that_cannot_be_is_refused_with_its_place() {
    let bare = JSON.replace("%j", "%v");
    let outcome = run(["--mode", "validate", "--config-yaml", &bare]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("--config-yaml:3:"), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("application_log_config.log_format.json_format[\"message\"]"),
        "{}",
        outcome.stderr
    );
    assert!(outcome.stderr.contains("write %j"), "{}", outcome.stderr);
    let outcome = run(["--mode", "validate", "--config-yaml", JSON, "--log-format", "%v"]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("the command line has --log-format, too"), "{}", outcome.stderr);
}
