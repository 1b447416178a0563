//! What the process tells of itself, held against what Envoy tells on the same bootstrap.

use serde_json::Value;

use crate::{
    harness::Bootstrap,
    pair::{Pair, keys},
};

fn bootstrap() -> Bootstrap {
    let text = r#"
node: {id: n1, cluster: c1, locality: {region: r1, zone: z1, sub_zone: s1}}
layered_runtime:
  layers:
  - name: first
    static_layer:
      tracing: {random_sampling: 5, global_enabled: "50"}
      tracing.client_enabled: 7
  - name: second
    static_layer: {tracing.random_sampling: 2500000}
  - name: third
    admin_layer: {}
"#;
    Bootstrap::empty().routes("[]").top(text).admin()
}

#[tokio::test]
async fn the_commands_of_envoy_are_answered_as_by_envoy_or_refused_by_name() {
    let pair = Pair::start(&bootstrap()).await;
    let help = pair.envoy().get("/help").await;
    for line in help.text().lines().filter(|line| line.starts_with("  /")) {
        let (command, _) = line.trim().split_once(": ").unwrap();
        let path = command.trim_end_matches(" (POST)");
        let (ours, theirs) = pair.ask("GET", path).await;
        if ours.status() == 501 {
            assert!(ours.text().starts_with(&format!("spanway has no {path}: ")), "{}", ours.text());
            continue;
        }
        assert_eq!(ours.status(), theirs.status(), "{path}: {}", ours.text());
        // Prometheus is told which version of its format this is.
        if path != "/stats/prometheus" {
            assert_eq!(ours.header("content-type"), theirs.header("content-type"), "{path}");
        }
        for header in ["cache-control", "x-content-type-options"] {
            assert_eq!(ours.header(header), theirs.header(header), "{path}: {header}");
        }
        if theirs.status() == 405 {
            assert_eq!(ours.text(), theirs.text(), "{path}");
        }
    }
    pair.assert_same("POST", "/ready").await;
    pair.assert_same("PUT", "/reset_counters").await;
    pair.assert_same("POST", "/reset_counters").await;
    pair.assert_same("POST", "/reopen_logs").await;
}

#[tokio::test]
async fn listeners_runtime_and_hot_restart_version_are_those_of_envoy() {
    let pair = Pair::start(&bootstrap()).await;
    for path in ["/listeners", "/listeners?format=text", "/listeners?format=none", "/hot_restart_version"] {
        pair.assert_same("GET", path).await;
    }
    for path in ["/listeners?format=json", "/runtime"] {
        let (ours, theirs) = pair.json(path).await;
        assert_eq!(ours, theirs, "{path}");
    }
    let (ours, theirs) = pair.json("/memory").await;
    assert_eq!(keys(&ours), keys(&theirs));
    let bytes: u64 = ours["total_physical_bytes"].as_str().unwrap().parse().unwrap();
    assert!(bytes > 1 << 20, "{bytes}");
}

#[tokio::test]
async fn server_info_has_envoys_keys_and_the_values_of_the_flags() {
    let pair = Pair::start(
        &bootstrap().argument("--service-zone").argument("other").argument("--log-level").argument("warn"),
    )
    .await;
    let (ours, theirs) = pair.json("/server_info").await;
    let theirs = keys(&theirs);
    let unknown: Vec<_> = keys(&ours).into_iter().filter(|key| !theirs.contains(key)).collect();
    // Envoy tells its version in another field.
    assert_eq!(unknown, [".node.user_agent_version"]);
    assert!(ours["version"].as_str().unwrap().starts_with("spanway/"));
    assert_eq!((&ours["state"], &ours["hot_restart_version"]), (&"LIVE".into(), &"disabled".into()));
    let options = &ours["command_line_options"];
    for (key, value) in [
        ("concurrency", Value::from(1)),
        ("drain_time", "600s".into()),
        ("log_level", "warning".into()),
        ("mode", "Serve".into()),
        ("service_zone", "other".into()),
        ("config_yaml", "".into()),
    ] {
        assert_eq!(options[key], value, "{key}");
    }
    let locality = serde_json::json!({"region": "r1", "zone": "other", "sub_zone": "s1"});
    assert_eq!((&ours["node"]["id"], &ours["node"]["locality"]), (&"n1".into(), &locality));
}

#[tokio::test]
async fn a_port_that_the_system_chose_is_told_and_text_on_the_command_line_is_not() {
    let proxy = bootstrap()
        .argument("--config-yaml")
        .argument("node: {id: secret-of-mine}")
        .listener("additional_addresses: [{address: {socket_address: {address: 127.0.0.1, port_value: 0}}}]")
        .start()
        .await;
    let listeners = proxy.admin().get("/listeners").await;
    let addresses: Vec<_> = listeners.text().lines().map(|line| line.split_once("::").unwrap()).collect();
    assert_eq!(addresses.len(), 2, "{addresses:?}");
    for (name, address) in &addresses {
        assert_eq!(*name, "main");
        assert!(!address.ends_with(":0") && std::net::TcpStream::connect(address).is_ok(), "{address}");
    }
    let json = proxy.admin().get("/listeners?format=json").await;
    let json: Value = serde_json::from_str(json.text()).unwrap();
    let listener = &json["listener_statuses"][0];
    assert_eq!(listener["additional_local_addresses"].as_array().unwrap().len(), 1, "{json}");
    let info = proxy.admin().get("/server_info").await;
    let info: Value = serde_json::from_str(info.text()).unwrap();
    assert_eq!(info["command_line_options"]["config_yaml"], "[redacted]");
}
