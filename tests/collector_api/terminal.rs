//! `spanway traces` prints what a collector has.

use std::process::Stdio;

use http::{Request, header};
use serde_json::{Value, json};
use spanway::collector::Addresses;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process,
    time::timeout,
};

use super::{
    DEADLINE, ID, OTHER, collector, collector_with, get, page, post, recently, resource, send, trace,
};

/// `spanway traces` with these arguments.
fn traces(collector: &Addresses, arguments: &[&str]) -> process::Command {
    let mut command = process::Command::new(env!("CARGO_BIN_EXE_spanway"));
    command.args(["traces", "--address", &collector.pages.to_string()]).args(arguments).kill_on_drop(true);
    // As wide as it likes, whatever the terminal of who runs the tests is.
    command.env_remove("COLUMNS");
    command
}

/// Its exit code and what it prints, without colours since nothing here is a terminal.
async fn printed(mut command: process::Command) -> (Option<i32>, String, String) {
    let output = timeout(DEADLINE, command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_terminal_lists_traces_newest_first() {
    let collector = collector().await;
    post(&collector, &trace(ID, 1_795_155_028_096_607)).await;
    post(&collector, &trace(OTHER, 1_795_155_029_096_607)).await;
    let (code, out, _) = printed(traces(&collector, &[])).await;
    let expected = format!(
        "TIME (UTC)               DURATION  SPANS  ERRORS  TRACE                             SERVICE AND OPERATION\n\
         2026-11-20 06:10:29.096   1.50 ms      4       1  {OTHER}  front  GET /\n\
         2026-11-20 06:10:28.096   1.50 ms      4       1  {ID}  front  GET /\n"
    );
    assert_eq!((code, out), (Some(0), expected));

    let all = [
        "--service=front",
        "--operation=GET /",
        "--attribute=http.status_code=503",
        "--min-duration=1ms",
        "--limit=1",
    ];
    let (_, out, _) = printed(traces(&collector, &all)).await;
    assert_eq!(out.lines().count(), 2);
    let (_, out, _) = printed(traces(&collector, &["--errors", "--json"])).await;
    let id = |line| serde_json::from_str::<Value>(line).unwrap()["traceID"].clone();
    assert_eq!(out.lines().map(id).collect::<Vec<_>>(), [OTHER, ID]);
    let (code, out, told) = printed(traces(&collector, &["--errors", "--service=front"])).await;
    assert_eq!((code, &*out), (Some(0), ""));
    assert!(told.starts_with("no trace found at 127.0.0.1:"), "{told}");
}

#[tokio::test]
async fn the_terminal_draws_one_trace() {
    let collector = collector().await;
    post(&collector, &trace(ID, 1_795_155_028_096_607)).await;
    let (code, out, _) = printed(traces(&collector, &[ID])).await;
    let expected = format!(
        "\
trace {ID}  2026-11-20 06:10:28.096 UTC
1.50 ms, 4 spans, 1 error

GET /          SERVER       front           1.50 ms  │██████████████████████████████│
└─ call        CLIENT       front           1.30 ms  │  ██████████████████████████  │
   └─ POST /x  SERVER       back / office   1.10 ms  │    ██████████████████████    │  ERROR no\u{fffd}pe
(span 00000000000000ff has not come)
└─ stray       INTERNAL     back / office    100 µs  │        ██                    │
"
    );
    assert_eq!((code, out), (Some(0), expected));
    let (_, out, _) = printed(traces(&collector, &[ID, "--json"])).await;
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["traceID"], ID);
    let (code, _, told) = printed(traces(&collector, &["ab"])).await;
    assert_eq!((code, &*told), (Some(1), "spanway traces: the collector says: trace not found\n"));
}

#[tokio::test]
async fn the_terminal_keeps_within_its_columns_and_shows_logs() {
    let collector = collector().await;
    post(&collector, &trace(ID, 1_795_155_028_096_607)).await;
    let record = json!({
        "timeUnixNano": "1795155028097000000", "traceId": ID, "spanId": "0000000000000003", "severityText": "WARN",
        "body": {"stringValue": "no stock"},
    });
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    let request = Request::post("/v1/logs").header(header::CONTENT_TYPE, "application/json");
    send(collector.http, request.body(logs.to_string()).unwrap()).await;
    let mut narrow = traces(&collector, &[ID]);
    narrow.env("COLUMNS", "60");
    let (_, out, _) = printed(narrow).await;
    assert!(out.lines().all(|line| line.chars().count() <= 60), "{out}");
    assert!(out.ends_with("LOGS\n  +393 µs  WARN  unknown_service POST /x  no stock\n"), "{out}");
    let mut narrow = traces(&collector, &[]);
    narrow.env("COLUMNS", "95");
    let (_, out, _) = printed(narrow).await;
    assert!(out.starts_with("TIME (UTC)    DURATION  ERRORS  TRACE"), "{out}");
}

#[tokio::test]
async fn the_terminal_shows_logs_of_a_trace_without_spans() {
    let collector = collector().await;
    let record =
        json!({"timeUnixNano": "1795155028097000000", "traceId": ID, "body": {"stringValue": "begun"}});
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]});
    let request = Request::post("/v1/logs").header(header::CONTENT_TYPE, "application/json");
    send(collector.http, request.body(logs.to_string()).unwrap()).await;
    let (code, out, told) = printed(traces(&collector, &[ID])).await;
    assert_eq!((code, &*told), (Some(0), ""));
    assert!(out.starts_with(&format!("trace {ID}  no span of it has come yet\n")), "{out}");
    assert!(out.contains("\nLOGS\n") && out.ends_with("unknown_service  begun\n"), "{out}");
    assert_eq!(get(&collector, &format!("/api/traces/{ID}")).await.0, 404, "Jaeger has no such traces");
}

#[tokio::test]
async fn the_terminal_follows_what_comes() {
    let collector = collector().await;
    post(&collector, &trace(ID, 1_795_155_028_096_607)).await;
    let mut child = traces(&collector, &["--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = async || timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(next().await.starts_with("TIME"));
    assert!(next().await.contains(ID));
    post(&collector, &trace(OTHER, 1_795_155_028_096_607)).await;
    assert!(next().await.contains(OTHER));
    child.kill().await.unwrap();
}

#[tokio::test]
async fn the_terminal_says_when_there_is_no_collector() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Addresses { pages: holder.local_addr().unwrap(), ..collector().await };
    drop(holder);
    for arguments in [&[][..], &[ID], &["--follow"]] {
        let (code, out, told) = printed(traces(&nobody, arguments)).await;
        assert_eq!((code, &*out), (Some(1), ""));
        let start = format!("spanway traces: no collector answers at {}: cannot connect: ", nobody.pages);
        assert!(told.starts_with(&start) && told.contains("start one with `spanway collector`"), "{told}");
    }
    let real = collector().await;
    let other = Addresses { pages: real.http, ..real };
    let (code, _, told) = printed(traces(&other, &[])).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("is no collector of spanway"), "{told}");
}

#[tokio::test]
async fn a_trace_that_is_too_large_says_what_of_it_is_missing() {
    let collector = collector_with(&["--store-bytes=100000"]).await;
    let start = recently() * 1_000;
    let span = |id: u64| {
        json!({
            "traceId": ID, "spanId": format!("{id:016x}"), "name": "step",
            "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + 5).to_string(),
        })
    };
    let spans: Value = (1..=1_000).map(span).collect();
    let request = Request::post("/v1/traces").header(header::CONTENT_TYPE, "application/json");
    let body = json!({"resourceSpans": [resource("front", spans)]}).to_string();
    let (_, answer) = send(collector.http, request.body(body).unwrap()).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let refused = answer["partialSuccess"]["rejectedSpans"].as_str().unwrap();
    let what = format!("{refused} spans of this trace were refused");
    let sentence = format!("{what}: it is larger than a quarter of the store (--store-bytes)");

    let (_, found) = get(&collector, &format!("/api/traces/{ID}")).await;
    assert_eq!(found["data"][0]["warnings"], json!([sentence]));
    let (_, out, _) = printed(traces(&collector, &[ID])).await;
    assert_eq!(out.lines().nth(2), Some(&*sentence));
    let (_, out, _) = printed(traces(&collector, &[])).await;
    assert!(out.lines().nth(1).unwrap().ends_with(&format!("front  step  ({what})")), "{out}");
    for (path, part) in
        [(format!("/trace/{ID}"), sentence), ("/".to_owned(), format!("{refused} spans missing"))]
    {
        let page = page(&collector, &path).await;
        assert!(page.contains(&part), "{path}: {page}");
    }
}
