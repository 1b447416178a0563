use super::*;

const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sandboxes/opentelemetry/");

fn file(name: &str) -> Sources {
    Sources { path: Some(format!("{SANDBOX}{name}").into()), ..Sources::default() }
}

fn text(yaml: &str) -> Sources {
    Sources { yaml: Some(yaml.to_owned()), ..Sources::default() }
}

#[test]
fn the_three_files_of_the_opentelemetry_sandbox_load() {
    for (name, listeners, clusters) in
        [("envoy-front-proxy.yaml", 1, 3), ("envoy-1.yaml", 2, 3), ("envoy-2.yaml", 1, 2)]
    {
        let loaded = load(&file(name)).unwrap_or_else(|problems| panic!("{problems}"));
        let resources = loaded.bootstrap.static_resources.unwrap();
        assert_eq!((resources.listeners.len(), resources.clusters.len()), (listeners, clusters), "{name}");
    }
}

#[test]
fn config_yaml_is_merged_over_the_file() {
    let yaml = "{node: {id: me}, static_resources: {clusters: [{name: more, connect_timeout: 1s}]}}";
    let sources = Sources { yaml: Some(yaml.to_owned()), ..file("envoy-2.yaml") };
    let bootstrap = load(&sources).unwrap().bootstrap;
    assert_eq!(bootstrap.node.unwrap().id, "me");
    assert_eq!(bootstrap.static_resources.unwrap().clusters.len(), 3);
}

#[test]
fn every_problem_is_reported_with_its_place_and_a_near_miss_with_the_name_meant() {
    let yaml = "\
static_resources:
  clusters:
  - name: a
    conect_timeout: 1s
    type: STRICT_DSN
    load_assignment:
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 1, port_value: x}}}
";
    let problems = load(&text(yaml)).unwrap_err().to_string();
    let lines: Vec<_> = problems.lines().collect();
    assert_eq!(
        lines[0],
        "--config-yaml:4:5: static_resources.clusters[0]: no field 'conect_timeout' in \
         envoy.config.cluster.v3.Cluster; did you mean 'connect_timeout'?"
    );
    assert!(lines[1].starts_with("--config-yaml:5:5: static_resources.clusters[0].type: "), "{problems}");
    assert!(
        lines[2].contains("socket_address.address: expected text, found 1; put it in quotes"),
        "{problems}"
    );
    assert!(lines[3].starts_with("--config-yaml:9:"), "{problems}");
    assert_eq!(lines.len(), 4, "{problems}");
}
