//! What the process tells of its configuration, held against what Envoy tells of the same.

use serde_json::Value;

use crate::{
    harness::{Bootstrap, refusing_address},
    pair::Pair,
};

fn bootstrap() -> Bootstrap {
    let options = r#"
connect_timeout: 0.25s
metadata: {filter_metadata: {some: {text: value, number: 2, list: [true]}}}
"#;
    Bootstrap::to(refusing_address())
        .cluster_options(options)
        .cluster("another", &[refusing_address(), refusing_address()])
        .listener("traffic_direction: OUTBOUND\nper_connection_buffer_limit_bytes: 4096")
        .top("node: {id: n1, cluster: c1}\nlayered_runtime: {layers: [{name: a, static_layer: {tracing.random_sampling: 5}}]}")
        .admin()
}

/// Without what differs at each start, or tells of the program.
fn comparable(mut dump: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("last_updated");
                for name in
                    ["user_agent_name", "user_agent_version", "user_agent_build_version", "extensions"]
                {
                    members.remove(name);
                }
                members.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut dump);
    dump
}

#[tokio::test]
async fn the_configuration_is_dumped_as_by_envoy() {
    let pair = Pair::start(&bootstrap()).await;
    for query in [
        "",
        "name_regex=upstream",
        "name_regex=.*",
        "name_regex=upst",
        "resource=static_clusters",
        "resource=static_clusters&mask=cluster.name",
        "resource=static_clusters&mask=cluster.name,cluster.connect_timeout",
        "resource=static_listeners&name_regex=main",
        "resource=static_listeners&mask=listener.address",
        "resource=static_route_configs&mask=route_config.name",
        "resource=dynamic_listeners",
        "mask=bootstrap.node.id",
        "mask=bootstrap.static_resources",
        "mask=static_clusters",
    ] {
        let (ours, theirs) = pair.json(&format!("/config_dump?{query}")).await;
        assert_eq!(comparable(ours), comparable(theirs), "{query}");
    }
}

#[tokio::test]
async fn what_cannot_be_dumped_is_refused_as_by_envoy() {
    let pair = Pair::start(&bootstrap()).await;
    for query in [
        "resource=nothing",
        "resource=bootstrap",
        "resource=bootstrap&mask=node.id",
        "mask=nothing",
        "mask=static_listeners.nothing",
        "mask=bootstrap.node.id,static_clusters",
    ] {
        pair.assert_same("GET", &format!("/config_dump?{query}")).await;
    }
    for query in ["resource=static_clusters&mask=nothing", "name_regex=%5B"] {
        let (ours, theirs) = pair.ask("GET", &format!("/config_dump?{query}")).await;
        assert_eq!((ours.status(), theirs.status()), (400, 400), "{query}");
    }
}

#[tokio::test]
async fn hosts_are_dumped_where_they_are_asked_for() {
    let pair = Pair::start(&bootstrap()).await;
    let (ours, theirs) = pair.json("/config_dump?include_eds").await;
    let types = |dump: &Value| -> Vec<String> {
        dump["configs"].as_array().unwrap().iter().map(|config| config["@type"].to_string()).collect()
    };
    assert_eq!(types(&ours), types(&theirs));
    let path = "/config_dump?include_eds&resource=static_endpoint_configs";
    let (ours, theirs) = pair.json(path).await;
    let hosts = |dump: &Value| -> Vec<(String, String, u64)> {
        let configs = dump["configs"].as_array().unwrap().iter().map(|config| &config["endpoint_config"]);
        let groups = configs.flat_map(|config| config["endpoints"].as_array().unwrap());
        groups
            .flat_map(|group| group["lb_endpoints"].as_array().unwrap())
            .map(|host| {
                let weight = host["load_balancing_weight"].as_u64().unwrap();
                (host["endpoint"]["address"].to_string(), host["health_status"].to_string(), weight)
            })
            .collect()
    };
    assert_eq!(hosts(&ours), hosts(&theirs));
    assert_eq!(hosts(&ours).len(), 3);
}

#[tokio::test]
async fn secrets_stay_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let certified = rcgen::generate_simple_self_signed(["front.example".to_owned()]).unwrap();
    let certificate = folder.path().join("cert.pem");
    std::fs::write(&certificate, certified.cert.pem()).unwrap();
    let key = certified.signing_key.serialize_pem();
    let options = format!(
        r#"transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: front.example
    common_tls_context:
      tls_certificates:
      - {{certificate_chain: {{filename: {path}}}, private_key: {{inline_string: "{key}"}}}}
      validation_context: {{trusted_ca: {{filename: {path}}}}}
"#,
        path = certificate.display(),
        key = key.replace('\n', "\\n")
    );
    let pair = Pair::start(&Bootstrap::to(refusing_address()).cluster_options(&options).admin()).await;
    let (ours, theirs) = pair.json("/config_dump").await;
    assert_eq!(comparable(ours), comparable(theirs));
    let dump = pair.ours.admin().get("/config_dump").await;
    assert!(dump.text().contains("\"inline_string\": \"[redacted]\""), "{}", dump.text());
    assert!(!dump.text().contains("PRIVATE KEY"), "{}", dump.text());
}

#[tokio::test]
async fn a_dump_leaves_no_memory_behind() {
    let proxy = bootstrap().start().await;
    let before = proxy.memory_kib("RssAnon");
    for _ in 0..5 {
        assert_eq!(proxy.admin().get("/config_dump").await.status(), 200);
    }
    // It is given back some time after the answer.
    let given_back = async {
        loop {
            let now = proxy.memory_kib("RssAnon");
            println!("{before} KiB, then {now} KiB");
            if now < before + (4 << 10) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    crate::harness::within(given_back).await;
}
