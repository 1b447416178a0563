//! The command line as users and containers give it: flags, exit codes, and every bad input.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{os::unix::fs::symlink, path::PathBuf};

use harness::{Bootstrap, CannedUpstream, FreePort, OK, Outcome, TestProxy, run, spanway, within};
use tempfile::TempDir;

/// A folder with one file.
struct File {
    _folder: TempDir,
    path: PathBuf,
}

fn file(name: &str, text: impl AsRef<[u8]>) -> File {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    File { _folder: folder, path }
}

fn free() -> std::net::SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

/// Serving `file` fails with exit code 1, and so does validating it, with the same words.
async fn refused(file: &File) -> String {
    let path = file.path.to_str().unwrap();
    let serve = run(["-c", path]).await;
    let validate = run(["--mode", "validate", "-c", path]).await;
    for outcome in [&serve, &validate] {
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert_eq!(outcome.stdout, "", "{outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{outcome:?}");
        assert!(outcome.stderr.starts_with(&format!("{path}:")), "{outcome:?}");
    }
    assert_eq!(serve.stderr, validate.stderr);
    serve.stderr.replace(path, "FILE")
}

async fn refused_yaml(text: &str) -> String {
    refused(&file("envoy.yaml", text)).await
}

#[tokio::test]
async fn a_good_file_validates_in_envoys_words() {
    let good = file("envoy.yaml", Bootstrap::to(free()).text(free()));
    let path = good.path.to_str().unwrap();
    let outcome = run(["--mode", "validate", "--config-path", path]).await;
    assert_eq!((outcome.code, outcome.stdout), (Some(0), format!("configuration '{path}' OK\n")));
}

#[tokio::test]
async fn json_is_read_as_yaml_is() {
    let text = Bootstrap::to(free()).text(free());
    let value: serde_json::Value = serde_yaml::from_str(&text).unwrap();
    let good = file("envoy.json", value.to_string());
    assert_eq!(run(["--mode", "validate", "-c", good.path.to_str().unwrap()]).await.code, Some(0));
}

#[tokio::test]
async fn the_text_of_config_yaml_is_merged_over_the_file() {
    let upstream = CannedUpstream::answering(OK).await;
    let over = "static_resources: {clusters: []}\nnode: {id: other}";
    let proxy = Bootstrap::to(upstream.address())
        .routes(r#"[{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: "x"}}, response_headers_to_add: [{header: {key: x-node, value: "%ENVIRONMENT(HOME)%"}}]}]"#)
        .argument("--config-yaml")
        .argument(over)
        .start()
        .await;
    assert_eq!(proxy.connect().await.get("/").await.text(), "x");

    // What is merged is checked, too.
    let good = file("envoy.yaml", Bootstrap::to(free()).text(free()));
    let path = good.path.to_str().unwrap();
    let outcome = run(["--mode", "validate", "-c", path, "--config-yaml", "node: {idd: x}"]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("did you mean 'id'?"), "{outcome:?}");
}

#[tokio::test]
async fn text_alone_is_a_configuration() {
    let outcome = run(["--mode", "validate", "--config-yaml", "{}"]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[tokio::test]
async fn no_configuration_at_all_is_an_error() {
    let outcome = run::<&str>([]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("--config-path"), "{outcome:?}");
}

#[tokio::test]
async fn envoys_other_flags_are_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("spanway.log");
    let upstream = CannedUpstream::answering(OK).await;
    let mut config = Bootstrap::to(upstream.address());
    for argument in [
        "--log-level",
        "debug",
        "--log-path",
        log.to_str().unwrap(),
        "--log-format",
        "%l said %v",
        "--service-cluster",
        "c",
        "--service-node",
        "n",
        "--service-zone",
        "z",
        "--drain-time-s",
        "1",
        "--base-id",
        "7",
        "--disable-hot-restart",
    ] {
        config = config.argument(argument);
    }
    let mut proxy = config.start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
    proxy.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.lines().all(|line| line.contains(" said ")) && !lines.is_empty(), "{lines}");
    assert_eq!(proxy.log(), "");
}

#[tokio::test]
async fn the_version_and_the_help_are_told() {
    let version = run(["--version"]).await;
    assert_eq!(
        (version.code, &*version.stdout),
        (Some(0), concat!("spanway ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    let help = run(["--help"]).await;
    assert_eq!(help.code, Some(0));
    for word in
        ["--config-path", "--config-yaml", "--mode", "--concurrency", "sandbox", "collector", "Exit codes"]
    {
        assert!(help.stdout.contains(word), "{word}");
    }
}

#[tokio::test]
async fn an_unknown_flag_is_exit_code_2() {
    let outcome = run(["--no-such-flag"]).await;
    assert_eq!(outcome.code, Some(2));
    assert!(outcome.stderr.contains("--no-such-flag"), "{outcome:?}");
}

#[tokio::test]
async fn installed_as_envoy_it_serves_as_envoy() {
    let folder = tempfile::tempdir().unwrap();
    let envoy = folder.path().join("envoy");
    symlink(env!("CARGO_BIN_EXE_spanway"), &envoy).unwrap();
    let good = file("envoy.yaml", Bootstrap::to(free()).text(free()));
    let path = good.path.to_str().unwrap();
    let output = tokio::process::Command::new(&envoy).args(["--mode", "validate", "-c", path]).output();
    let output = within(output).await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("configuration '{path}' OK\n"));
    // Containers repeat the program's name.
    let outcome = run(["envoy", "--mode", "validate", "-c", path]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
}

#[tokio::test]
async fn malformed_yaml_is_refused_with_its_place() {
    let message = refused_yaml("static_resources:\n  listeners: [\n").await;
    assert!(message.starts_with("FILE:3:1: "), "{message}");
}

#[tokio::test]
async fn malformed_json_is_refused_with_its_place() {
    let message = refused(&file("envoy.json", "{\"static_resources\": {\n  \"clusters\": [}}")).await;
    assert!(message.starts_with("FILE:2:"), "{message}");
}

#[tokio::test]
async fn an_unknown_field_is_refused_with_its_place_and_the_near_one() {
    let text = "static_resources:\n  clusters:\n  - name: a\n    conect_timeout: 1s\n";
    assert_eq!(
        refused_yaml(text).await,
        "FILE:4:5: static_resources.clusters[0]: no field 'conect_timeout' in \
         envoy.config.cluster.v3.Cluster; did you mean 'connect_timeout'?\n"
    );
}

#[tokio::test]
async fn a_wrong_type_is_refused_with_its_place_and_what_was_expected() {
    let message = refused_yaml("static_resources:\n  clusters:\n  - name: a\n    connect_timeout: 5\n").await;
    assert!(
        message.starts_with(
            "FILE:4:5: static_resources.clusters[0].connect_timeout: expected a duration such as"
        ),
        "{message}"
    );
}

#[tokio::test]
async fn all_that_is_wrong_is_told_in_one_run() {
    let text = "static_resources:\n  clusters:\n  - name: a\n    connect_timeout: 5\n    typ: STATIC\n\
                \x20 - name: b\n    lb_policy: NO_SUCH\n";
    let message = refused_yaml(text).await;
    assert_eq!(message.lines().count(), 3, "{message}");
    for (line, place) in message.lines().zip(["FILE:4:5: ", "FILE:5:5: ", "FILE:7:5: "]) {
        assert!(line.starts_with(place), "{message}");
    }
}

#[tokio::test]
async fn a_route_to_a_missing_cluster_is_refused() {
    let config = Bootstrap::to(free()).routes("[{match: {prefix: /}, route: {cluster: upstreem}}]");
    let message = refused_yaml(&config.text(free())).await;
    assert!(message.contains("routes[0].route.cluster: "), "{message}");
    assert!(message.contains("upstreem") && message.contains("upstream"), "{message}");
}

#[tokio::test]
async fn duplicates_are_refused() {
    let twice = Bootstrap::to(free()).cluster("upstream", &[]);
    let message = refused_yaml(&twice.text(free())).await;
    assert!(message.contains("static_resources.clusters[1]"), "{message}");

    let route = "routes: [{match: {prefix: /}, route: {cluster: upstream}}]";
    let hosts = format!("[{{name: a, domains: [x.com], {route}}}, {{name: b, domains: [X.COM], {route}}}]");
    let message = refused_yaml(&Bootstrap::to(free()).virtual_hosts(&hosts).text(free())).await;
    assert!(message.contains("virtual_hosts[1].domains[0]"), "{message}");
}

#[tokio::test]
async fn a_filter_that_is_not_implemented_is_refused_in_any_case() {
    let config = Bootstrap::to(free()).manager(
        r#"http_filters:
- name: envoy.filters.http.rbac
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
- name: envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"#,
    );
    let bad = file("envoy.yaml", config.text(free()));
    let message = refused(&bad).await;
    assert!(message.contains("http_filters[0].typed_config"), "{message}");
    let outcome = run(["--mode", "validate", "--skip-unsupported", "-c", bad.path.to_str().unwrap()]).await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
}

#[tokio::test]
async fn an_unsupported_field_may_be_skipped_with_a_warning() {
    let config = Bootstrap::to(free()).cluster_options("outlier_detection: {consecutive_5xx: 3}");
    let bad = file("envoy.yaml", config.text(free()));
    let message = refused(&bad).await;
    assert!(message.contains("static_resources.clusters[0].outlier_detection"), "{message}");
    let outcome = run(["--mode", "validate", "--skip-unsupported", "-c", bad.path.to_str().unwrap()]).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("outlier_detection"), "{outcome:?}");
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    for text in ["", "# nothing but a comment\n"] {
        assert!(refused_yaml(text).await.contains("empty"), "{text:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_text_is_refused() {
    refused(&file("envoy.yaml", [0xff, 0xfe, 0, 1, 2, 3])).await;
    refused(&file("envoy.yaml", "[1, 2]")).await;
    refused(&file("envoy.yaml", "just words")).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_refused() {
    let mut gone = file("envoy.yaml", "{}");
    gone.path = gone.path.with_file_name("gone.yaml");
    assert!(refused(&gone).await.contains("No such file"));
    let mut folder = file("envoy.yaml", "{}");
    folder.path = folder.path.parent().unwrap().to_owned();
    assert!(refused(&folder).await.contains("directory"));
}

#[tokio::test]
async fn a_huge_file_is_refused_at_once() {
    let huge = file("envoy.yaml", "");
    std::fs::OpenOptions::new().write(true).open(&huge.path).unwrap().set_len(100 << 20).unwrap();
    assert!(refused(&huge).await.contains("larger than"));
}

#[tokio::test]
async fn aliases_that_would_fill_the_memory_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    refused_yaml(&text).await;
    refused(&file("envoy.json", "[".repeat(100_000))).await;
}

#[tokio::test]
async fn a_taken_port_is_named_and_nothing_is_half_started() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = FreePort::new();
    let text = Bootstrap::to(free.address).text(free.address);
    let mut config: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let mut second = config["static_resources"]["listeners"][0].clone();
    second["name"] = "second".into();
    let port = taken.local_addr().unwrap().port();
    second["address"]["socket_address"]["port_value"] = port.into();
    config["static_resources"]["listeners"].as_sequence_mut().unwrap().push(second);
    let bad = file("envoy.yaml", serde_yaml::to_string(&config).unwrap());

    let mut child = spanway(["-c", bad.path.to_str().unwrap()]);
    let output = within(child.output()).await.unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(
        message.contains(&format!("listener \"second\" cannot listen on 127.0.0.1:{port}: ")),
        "{message}"
    );
    assert!(!message.contains("serves on"), "{message}");
}

#[tokio::test]
async fn a_second_proxy_does_not_share_the_firsts_port() {
    let upstream = CannedUpstream::answering(OK).await;
    let first = Bootstrap::to(upstream.address()).start().await;
    let second = file("envoy.yaml", Bootstrap::to(upstream.address()).text(first.address()));
    let outcome: Outcome = run(["-c", second.path.to_str().unwrap()]).await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(&first.address().to_string()), "{outcome:?}");
    assert_eq!(first.connect().await.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_log_that_cannot_be_written_is_an_error() {
    let outcome = run(["--config-yaml", "{}", "--log-path", "/no/such/folder/log"]).await;
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("/no/such/folder/log"), "{outcome:?}");
}

#[tokio::test]
async fn several_workers_serve_one_port() {
    let upstream = CannedUpstream::answering(OK).await;
    let port = FreePort::new();
    let config = file("envoy.yaml", Bootstrap::to(upstream.address()).text(port.address));
    let mut child = spanway(["-c", config.path.to_str().unwrap(), "--concurrency", "3"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let address = port.address;
    let serving = async {
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    within(serving).await;
    for _ in 0..20 {
        assert_eq!(harness::Wire::connect(address).await.get("/").await.status(), 200);
    }
    child.kill().await.unwrap();
}

#[tokio::test]
async fn check_reports_each_field_for_people_and_for_machines() {
    let bootstrap = Bootstrap::to(free()).top("stats_eviction_interval: 5s");
    let good = file("envoy.yaml", bootstrap.text(free()));
    let path = good.path.to_str().unwrap();
    let people = run(["check", path]).await;
    assert_eq!(people.code, Some(0), "{people:?}");
    for word in ["upstream", "honoured", "stat_prefix"] {
        assert!(people.stdout.contains(word), "{word} in {people:?}");
    }
    let machines = run(["check", "--json", path]).await;
    let report: serde_json::Value = serde_json::from_str(&machines.stdout).unwrap();
    assert_eq!((&report["ok"], &report["problems"]), (&true.into(), &serde_json::json!([])));
    let fields = report["fields"]["without_effect"].to_string();
    assert!(fields.contains("stats_eviction_interval"), "{fields}");

    let bad = file("bad.yaml", "node: {idd: x}");
    let both = run(["check", "--json", path, bad.path.to_str().unwrap()]).await;
    assert_eq!(both.code, Some(1));
    let lines: Vec<serde_json::Value> =
        both.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["ok"], &lines[1]["ok"]), (&true.into(), &false.into()));
    assert_eq!(lines[1]["problems"][0]["line"], 1);
}

#[tokio::test]
async fn a_listener_may_stand_on_a_unix_socket() {
    let upstream = CannedUpstream::answering(OK).await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let port = FreePort::new();
    let text = Bootstrap::to(upstream.address()).text(port.address);
    let mut config: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let mut second = config["static_resources"]["listeners"][0].clone();
    second["name"] = "unix".into();
    second["address"] = serde_yaml::from_str(&format!("pipe: {{path: {}}}", socket.display())).unwrap();
    config["static_resources"]["listeners"].as_sequence_mut().unwrap().push(second);
    let text = serde_yaml::to_string(&config).unwrap();
    let _proxy = TestProxy::start(&text, vec![port], &[], &[]).await;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    // The harness has waited for the other listener only.
    let connected = async {
        loop {
            if let Ok(stream) = tokio::net::UnixStream::connect(&socket).await {
                return stream;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let mut stream = within(connected).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}
