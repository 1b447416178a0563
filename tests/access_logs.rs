//! Files of access logs as an operator meets them: when they are written, moved away, or cannot be written.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use harness::{Bootstrap, CannedUpstream, OK, TestProxy, within};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

/// A bootstrap with an access log of paths and statuses.
fn logging_to(upstream: &CannedUpstream, path: &Path) -> Bootstrap {
    Bootstrap::to(upstream.address()).manager(&format!(
        r#"
access_log:
- name: envoy.access_loggers.file
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: "{}"
    log_format: {{text_format_source: {{inline_string: "%REQ(:PATH)% %RESPONSE_CODE%\n"}}}}
"#,
        path.display()
    ))
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    (folder, path)
}

async fn get(proxy: &TestProxy, path: &str) {
    assert_eq!(proxy.connect().await.get(path).await.status(), 200);
}

/// Wait until the file holds `text`.
async fn until_it_holds(path: &Path, text: &str) {
    let holds = async {
        while std::fs::read_to_string(path).unwrap_or_default() != text {
            sleep(Duration::from_millis(5)).await;
        }
    };
    within(holds).await;
}

#[tokio::test]
async fn entries_wait_no_longer_than_the_flush_interval() {
    let (_folder, path) = folder();
    let upstream = CannedUpstream::answering(OK).await;
    let proxy =
        logging_to(&upstream, &path).argument("--file-flush-interval-msec").argument("20").start().await;
    get(&proxy, "/a").await;
    until_it_holds(&path, "/a 200\n").await;
    get(&proxy, "/b").await;
    until_it_holds(&path, "/a 200\n/b 200\n").await;
}

#[tokio::test]
async fn entries_that_wait_are_written_when_the_process_ends() {
    let (_folder, path) = folder();
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy = logging_to(&upstream, &path).start().await;
    get(&proxy, "/a").await;
    get(&proxy, "/b").await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "/a 200\n/b 200\n");
}

#[tokio::test]
async fn sigusr1_opens_the_file_again_after_it_was_moved_away() {
    let (folder, path) = folder();
    let moved = folder.path().join("moved");
    let upstream = CannedUpstream::answering(OK).await;
    let proxy =
        logging_to(&upstream, &path).argument("--file-flush-interval-msec").argument("20").start().await;
    get(&proxy, "/a").await;
    until_it_holds(&path, "/a 200\n").await;
    std::fs::rename(&path, &moved).unwrap();
    proxy.signal(Signal::SIGUSR1);
    until_it_holds(&path, "").await;
    within(async {
        while !path.exists() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    get(&proxy, "/b").await;
    until_it_holds(&path, "/b 200\n").await;
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "/a 200\n");
}

#[tokio::test]
async fn a_full_disk_stops_no_traffic_and_is_told_once() {
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy = logging_to(&upstream, Path::new("/dev/full"))
        .argument("--file-flush-interval-msec")
        .argument("5")
        .start()
        .await;
    let told = |proxy: &TestProxy| proxy.log().matches("entries are lost").count();
    let deadline = Instant::now() + Duration::from_secs(5);
    while told(&proxy) == 0 && Instant::now() < deadline {
        get(&proxy, "/").await;
    }
    for _ in 0..50 {
        get(&proxy, "/").await;
    }
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert_eq!(told(&proxy), 1, "{}", proxy.log());
    let log = proxy.log();
    let last = log.lines().find(|line| line.contains("entries were lost since the start"));
    assert!(last.is_some_and(|line| line.contains("access log \"/dev/full\": ")), "{log}");
}

/// The statistics of files and their entries.
async fn counted(proxy: &TestProxy) -> BTreeMap<String, u64> {
    let page = proxy.admin().get("/stats?filter=^(filesystem|access_logs)").await.text().to_owned();
    let line = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    page.lines().map(line).collect()
}

#[tokio::test]
async fn what_is_written_and_what_is_lost_is_counted() {
    let (_folder, path) = folder();
    let upstream = CannedUpstream::answering(OK).await;
    let start = async |path: &Path, interval: &str| {
        let bootstrap = logging_to(&upstream, path).admin();
        bootstrap.argument("--file-flush-interval-msec").argument(interval).start().await
    };
    let proxy = start(&path, "60000").await;
    get(&proxy, "/a").await;
    get(&proxy, "/bcd").await;
    let stats = counted(&proxy).await;
    assert_eq!(stats["filesystem.write_buffered"], 2);
    assert_eq!(stats["filesystem.write_total_buffered"], "/a 200\n/bcd 200\n".len() as u64);
    assert_eq!(stats["filesystem.write_completed"] + stats["filesystem.flushed_by_timer"], 0);

    let proxy = start(&path, "5").await;
    get(&proxy, "/a").await;
    let all = async {
        while counted(&proxy).await["filesystem.write_completed"] == 0 {}
        counted(&proxy).await
    };
    let stats = within(all).await;
    assert_eq!(stats["filesystem.flushed_by_timer"], 1);
    assert_eq!(stats["filesystem.write_total_buffered"], 0);
    assert_eq!(stats["filesystem.write_failed"] + stats["access_logs.file.logs_dropped"], 0);

    let proxy = start(Path::new("/dev/full"), "5").await;
    get(&proxy, "/a").await;
    get(&proxy, "/b").await;
    let all = async {
        while counted(&proxy).await["access_logs.file.logs_dropped"] < 2 {}
        counted(&proxy).await
    };
    let stats = within(all).await;
    assert_eq!(stats["access_logs.file.logs_dropped"], 2);
    assert!(stats["filesystem.write_failed"] > 0, "{stats:?}");
    assert_eq!(stats["filesystem.write_completed"], 0);
    assert_eq!(stats["filesystem.write_total_buffered"], 0);
    assert_eq!(proxy.admin().post("/reset_counters").await.status(), 200);
    assert_eq!(counted(&proxy).await["access_logs.file.logs_dropped"], 0);
    assert_eq!(counted(&proxy).await["filesystem.write_failed"], 0);
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_stops_neither_traffic_nor_the_end() {
    let (_folder, path) = folder();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Open for both, so that opening waits for nobody.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy =
        logging_to(&upstream, &path).argument("--file-flush-interval-msec").argument("1").start().await;
    let mut client = proxy.connect().await;
    // More than a pipe holds.
    let long = format!("/{}", "x".repeat(4000));
    for _ in 0..40 {
        assert_eq!(client.get(&long).await.status(), 200);
    }
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert!(proxy.log().contains("its last entries are lost"), "{}", proxy.log());
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("envoy.yaml");
    let upstream = CannedUpstream::answering(OK).await;
    let yaml = logging_to(&upstream, Path::new("/nonexistent/folder/log")).text(([127, 0, 0, 1], 1).into());
    std::fs::write(&config, yaml).unwrap();
    for mode in ["serve", "validate"] {
        let outcome =
            harness::run(["-c".as_ref(), config.as_os_str(), "--mode".as_ref(), mode.as_ref()]).await;
        assert_eq!(outcome.code, Some(1));
        let expected = "unable to open file '/nonexistent/folder/log': No such file or directory";
        assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
    }
}

#[tokio::test]
async fn operators_that_are_not_there_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("envoy.yaml");
    let yaml = Bootstrap::empty()
        .manager(
            r#"
access_log:
- name: envoy.access_loggers.file
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: /dev/null
    log_format: {json_format: {subject: "%DOWNSTREAM_PEER_SUBJECT%", none: "%NONE%"}}
"#,
        )
        .text(([127, 0, 0, 1], 1).into());
    std::fs::write(&config, yaml).unwrap();
    let outcome = harness::run(["-c".as_ref(), config.as_os_str()]).await;
    assert_eq!(outcome.code, Some(1));
    for expected in [
        "access_log[0].typed_config.log_format.json_format",
        "spanway does not have Envoy's format command '%DOWNSTREAM_PEER_SUBJECT%'",
        "spanway has no format command '%NONE%'",
    ] {
        assert!(outcome.stderr.contains(expected), "{expected}:\n{}", outcome.stderr);
    }
}

#[tokio::test]
async fn expressions_that_cannot_be_used_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("envoy.yaml");
    for (expression, expected) in [
        ("response.cod >= 400", "attribute `response.cod` is not supported"),
        ("response.code >=", "not a CEL expression"),
        ("request.headers[request.path] == 'x'", "names of headers that are computed are not supported"),
        ("request.time < timestamp('2030-01-01T00:00:00Z')", "attribute `request.time` is not supported"),
    ] {
        let yaml = Bootstrap::empty()
            .manager(&format!(
                r#"
access_log:
- name: envoy.access_loggers.file
  filter:
    extension_filter:
      name: envoy.access_loggers.extension_filters.cel
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter
        expression: "{expression}"
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
    path: /dev/null
"#
            ))
            .text(([127, 0, 0, 1], 1).into());
        std::fs::write(&config, yaml).unwrap();
        let outcome = harness::run(["-c".as_ref(), config.as_os_str()]).await;
        assert_eq!(outcome.code, Some(1));
        let place = "access_log[0].filter.extension_filter.typed_config.expression: ";
        for expected in [place, expected] {
            assert!(outcome.stderr.contains(expected), "{expected}:\n{}", outcome.stderr);
        }
    }
}

#[tokio::test]
async fn a_request_that_never_was_one_leaves_an_entry_with_its_cause() {
    let (_folder, path) = folder();
    let upstream = CannedUpstream::answering(OK).await;
    let format = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %SPANWAY_CAUSE%\\n";
    let proxy = Bootstrap::to(upstream.address())
        .manager(&format!(
            "request_headers_timeout: 0.1s\naccess_log:\n- name: envoy.access_loggers.file\n  typed_config:\n    \
             \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n    path: {}\n    \
             log_format: {{text_format_source: {{inline_string: \"{format}\"}}}}",
            path.display()
        ))
        .admin()
        .argument("--file-flush-interval-msec")
        .argument("20")
        .start()
        .await;
    let refused = "listener \"main\" refused a request: ";
    let mut wanted = String::new();
    let large = format!("GET / HTTP/1.1\r\nhost: h\r\nx: {}\r\n\r\n", "a".repeat(100_000));
    for (sent, status, line) in [
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "400 DPE http1.codec_error"),
        ("GET / HTTP/1.1\r\nhost: h\r\n", 408, "408 - request_header_timeout"),
        (&*large, 431, "431 DPE http1.headers_too_large"),
    ] {
        let mut client = proxy.connect().await;
        // Of what is too large the end is refused already.
        client.send_if_open(sent).await;
        assert_eq!(client.response().await.status(), status);
        let written = async {
            loop {
                let log = std::fs::read_to_string(&path).unwrap_or_default();
                if let Some(last) = log.strip_prefix(&wanted).filter(|last| last.ends_with('\n')) {
                    assert!(last.starts_with(&format!("{line} {refused}")), "{last}");
                    return log;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        wanted = within(written).await;
    }
    let page = proxy.admin().get("/stats/prometheus?filter=http.server.request").await.text().to_owned();
    let counted = |class: &str| {
        page.lines().any(|line| {
            line.contains("_count{")
                && line.contains(&format!("_OTHER\",http_response_status_class=\"{class}\""))
                && line.ends_with(" 3")
        })
    };
    assert!(counted("4xx"), "{page}");
}
