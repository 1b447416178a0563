//! The command lines of `spanway collector` and `spanway traces`: what they take, and what they say of the rest.

use std::process::Stdio;

use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{DEADLINE, ID, collector, post, recently, trace};

const FREE: [&str; 4] = ["--grpc-address", "--http-address", "--pages-address", "--health-address"];

fn spanway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanway"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The exit code and what is said on standard error.
async fn ended(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = timeout(DEADLINE, spanway(arguments).output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A collector at `host`, with these arguments, when it has said that it listens.
async fn started(host: &str, arguments: &[&str]) -> (Child, String) {
    let free = format!("{host}:0");
    let all: Vec<&str> = ["collector"]
        .into_iter()
        .chain(FREE.into_iter().flat_map(|flag| [flag, &*free]))
        .chain(arguments.iter().copied())
        .collect();
    let mut child = spanway(&all).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = String::new();
    while !said.contains("  traces  ") {
        let line = timeout(DEADLINE, lines.next_line()).await.unwrap().unwrap();
        said.push_str(&line.unwrap());
        said.push('\n');
    }
    (child, said)
}

#[tokio::test]
async fn addresses_of_a_collector_may_have_names_and_sizes_units() {
    let (_child, said) = started("localhost", &["--store-bytes=2MiB", "--file-bytes", "1GB"]).await;
    assert!(said.contains("up to 2 MiB") && said.contains("http://127.0.0.1:"), "{said}");
    for (arguments, told) in [
        (["collector", "--store-bytes=0"], "'0' for '--store-bytes <BYTES>': nothing would fit"),
        (["collector", "--store-bytes=lots"], "'lots' for '--store-bytes <BYTES>': this is no size"),
        (["collector", "--file-bytes=0"], "'0' for '--file-bytes <BYTES>': nothing would fit"),
        (["--keep-traces=0MB", "-c=x"], "'0MB' for '--keep-traces <BYTES>': nothing would fit"),
        (
            ["collector", "--grpc-address=4317"],
            "'4317' for '--grpc-address <ADDRESS>': HOST:PORT is expected",
        ),
        (["collector", "--health-address=localhost"], "HOST:PORT is expected, such as"),
        (["traces", "--limit=0"], "'0' for '--limit <N>': a number from 1 on is expected"),
        (["traces", "--attribute=x"], "'x' for '--attribute <KEY=VALUE>': KEY=VALUE is expected"),
        (
            ["traces", "--min-duration=5"],
            "'5' for '--min-duration <DURATION>': this is no duration: write a number with",
        ),
        (["traces", "xyz"], "'xyz' for '[TRACE-ID]': a trace id has up to 32 hexadecimal digits"),
        (["traces", "--address=https://localhost:1"], "pages are served over http"),
    ] {
        let (code, _, error) = ended(&arguments).await;
        assert_eq!(code, Some(2), "{arguments:?}: {error}");
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn the_address_of_a_collector_is_read_as_people_write_it() {
    let collector = collector().await;
    post(&collector, &trace(ID, recently())).await;
    let port = collector.pages.port();
    for address in [format!(":{port}"), format!("localhost:{port}"), format!("http://127.0.0.1:{port}/")] {
        let (code, out, error) = ended(&["traces", "--address", &address]).await;
        assert!(code == Some(0) && out.contains(ID), "{address}: {out}{error}");
    }
    let (code, _, error) =
        ended(&["traces", "--address", &format!("http://127.0.0.1:{port}/elsewhere")]).await;
    assert_eq!(code, Some(1), "the path counts");
    assert!(
        error.contains(&format!("what answers at 127.0.0.1:{port}/elsewhere is no collector")),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_broken_lines_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "my notes\n").unwrap();
    let free = FREE.map(|flag| format!("{flag}=127.0.0.1:0"));
    let mut arguments = vec!["collector", "--file", path.to_str().unwrap()];
    arguments.extend(free.iter().map(String::as_str));
    let (code, _, error) = ended(&arguments).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("notes.txt: there is a file that holds no OTLP"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "my notes\n");

    let path = folder.path().join("spans.jsonl");
    std::fs::write(&path, "{\"resourceSpans\":[]}\n{\"resourceSpans\":[{\"sco\n").unwrap();
    let (mut child, _) = started("127.0.0.1", &["--file", path.to_str().unwrap()]).await;
    child.start_kill().unwrap();
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).await.unwrap();
    assert!(
        error.contains("[warning]") && error.contains("spans.jsonl: 1 of 2 lines cannot be read"),
        "{error}"
    );
}
