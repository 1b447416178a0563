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
      cluster_name: a
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
    assert!(lines[3].starts_with("--config-yaml:10:"), "{problems}");
    assert_eq!(lines.len(), 4, "{problems}");
}

/// The problems of `yaml` inside an HTTP connection manager.
fn problems_of_hcm(yaml: &str, skip_unsupported: bool) -> Vec<String> {
    let routes = if yaml.contains("route_config") { "" } else { ", route_config: {}" };
    let whole = format!(
        "static_resources: {{listeners: [{{address: {{pipe: {{path: /s}}}}, filter_chains: [{{filters: [\
         {{name: hcm, typed_config: {{'@type': x/envoy.extensions.filters.network.http_connection_manager.v3.\
         HttpConnectionManager, stat_prefix: a, {yaml}{routes}}}}}]}}]}}]}}"
    );
    match load(&Sources { skip_unsupported, ..text(&whole) }) {
        Ok(_) => Vec::new(),
        Err(problems) => {
            let prefix = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";
            problems
                .into_iter()
                .map(|problem| {
                    let text = Problem { position: None, ..problem }.to_string();
                    text.replace(prefix, "")
                })
                .collect()
        }
    }
}

#[test]
fn a_field_that_is_not_implemented_is_refused_unless_it_is_skipped() {
    let yaml = "http3_protocol_options: {}";
    let refused = [".http3_protocol_options: spanway does not implement it; HTTP/3 is not there yet"];
    assert_eq!(problems_of_hcm(yaml, false), refused);
    assert!(problems_of_hcm(yaml, true).is_empty());
    let loaded = load(&Sources { skip_unsupported: true, ..text("flags_path: x") }).unwrap();
    assert_eq!(loaded.warnings.to_string(), "--config-yaml:1:1: flags_path: spanway does not implement it");
    assert_eq!(loaded.report.skipped.len(), 1);
}

#[test]
fn an_unsupported_filter_is_refused_even_when_skipping() {
    let yaml =
        "http_filters: [{name: r, typed_config: {'@type': x/envoy.extensions.filters.http.rbac.v3.RBAC}}]";
    let problems = problems_of_hcm(yaml, true);
    assert_eq!(
        problems,
        [
            ".http_filters[0].typed_config: spanway does not implement envoy.extensions.filters.http.rbac.v3.RBAC; \
          supported: envoy.extensions.filters.http.health_check.v3.HealthCheck, \
          envoy.extensions.filters.http.router.v3.Router"
        ]
    );
    let unknown = "http_filters: [{name: r, typed_config: {'@type': x/envoy.filters.rbac}}]";
    assert!(problems_of_hcm(unknown, true)[0].contains("no message 'envoy.filters.rbac' in the Envoy API"));
    assert!(
        problems_of_hcm("http_filters: [{name: r, typed_config: {}}]", true)[0]
            .contains("expected an '@type'")
    );
    let tls = "static_resources: {clusters: [{name: a, transport_socket_matches: [{name: tls}]}]}";
    assert!(load(&Sources { skip_unsupported: true, ..text(tls) }).is_err());
}

#[test]
fn what_is_switched_off_explicitly_is_not_refused() {
    assert!(
        problems_of_hcm("strip_trailing_host_dot: false, stream_error_on_invalid_http_message: false", false)
            .is_empty()
    );
    assert_eq!(problems_of_hcm("stream_error_on_invalid_http_message: true", false).len(), 1);
    assert!(load(&text("static_resources: {listeners: [{enable_reuse_port: true}]}")).is_ok());
    let problems = load(&text("static_resources: {listeners: [{enable_reuse_port: false}]}")).unwrap_err();
    assert!(
        problems
            .to_string()
            .ends_with("enable_reuse_port: spanway does not implement false; supported: true")
    );
}

#[test]
fn rules_of_the_api_hold_inside_an_any() {
    let route = "match: {prefix: /}, direct_response: {status: 99}";
    let yaml = format!("route_config: {{virtual_hosts: [{{name: '', domains: [], routes: [{{{route}}}]}}]}}");
    assert_eq!(
        problems_of_hcm(&yaml, false),
        [
            ".route_config.virtual_hosts[0].name: must not be empty",
            ".route_config.virtual_hosts[0].domains: must have at least 1 item",
            ".route_config.virtual_hosts[0].routes[0].direct_response.status: \
             must be at least 200 and less than 600, and is 99",
        ]
    );
    assert_eq!(problems_of_hcm("max_request_headers_kb: 0", false).len(), 1);
    assert!(problems_of_hcm("tracing: {client_sampling: {value: 100.5}}", false)[0].contains("at most 100"));
    assert!(problems_of_hcm("request_headers_timeout: -1s", false)[0].contains("at least 0s, and is -1s"));
    assert_eq!(problems_of_hcm("server_name: \"a\\nb\"", false).len(), 1);
}

#[test]
fn a_field_is_supported_where_it_means_something() {
    let zero = "{default_host_for_http_10: a}";
    assert!(problems_of_hcm(&format!("http_protocol_options: {zero}"), false).is_empty());
    let upstream = format!("static_resources: {{clusters: [{{name: a, http_protocol_options: {zero}}}]}}");
    assert_eq!(load(&text(&upstream)).unwrap_err().len(), 1);
}

#[test]
fn problems_of_merged_items_stand_in_the_document_they_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    std::fs::write(
        &path,
        "{\"static_resources\":\n{\"clusters\": [{\"name\": \"a\", \"lb_policy\": \"MAGLEV\"}]}}",
    )
    .unwrap();
    let yaml = "static_resources:\n  clusters:\n  - name: b\n    lb_policy: MAGLEV\n".to_owned();
    let sources = Sources { path: Some(path), yaml: Some(yaml), skip_unsupported: false };
    let problems = load(&sources).unwrap_err().to_string();
    let lines: Vec<_> = problems.lines().collect();
    assert!(lines[0].contains("a.json:2:") && lines[0].contains("clusters[0].lb_policy"), "{problems}");
    assert!(lines[1].starts_with("--config-yaml:4:5: static_resources.clusters[1].lb_policy"), "{problems}");
}

#[test]
fn files_that_are_no_configuration_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |name: &str, content: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        load(&Sources { path: Some(path), ..Sources::default() }).unwrap_err().to_string()
    };
    assert!(refusal("empty.yaml", b"\n").ends_with("is empty; expected an Envoy v3 bootstrap"));
    assert!(refusal("comment.yaml", b"# nothing\n").contains("comment.yaml"));
    assert!(refusal("latin.yaml", b"node: {id: \"\xe9\"}").contains("is not UTF-8 text, from byte 12 on"));
    assert!(refusal("list.yaml", b"- 1\n").contains("expected a message"));
    assert!(refusal("open.json", b"{\"node\": {").contains("open.json:1:10: EOF"));
    assert!(refusal("tab.yaml", b"node:\n\t- x").contains("tab.yaml:2:1: "));
    assert!(refusal("a.pb", b"x").contains("protobuf files are not read"));
    let large = vec![b' '; (32 << 20) + 1];
    assert!(refusal("large.yaml", &large).ends_with("is larger than 32 MB"));
    let missing = Sources { path: Some(dir.path().join("missing.yaml")), ..Sources::default() };
    assert!(load(&missing).unwrap_err().to_string().contains("cannot be opened: No such file"));
    assert!(load(&Sources::default()).unwrap_err().to_string().contains("no configuration was given"));
}

#[test]
fn deep_nesting_is_refused_and_aliases_do_not_explode() {
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("\n- - ", "")] {
        let deep = format!("node: {}{}", open.repeat(100_000), close.repeat(100_000));
        assert!(load(&text(&deep)).is_err());
    }
    let deep = format!("node: {{metadata: {}1{}}}", "{a: ".repeat(120), "}".repeat(120));
    let _refused_or_not = load(&text(&deep));
    let mut laughs = "a: &a0 [x]\n".to_owned();
    for level in 1..40 {
        let alias = format!("*a{}", level - 1);
        laughs += &format!("b{level}: &a{level} [{}]\n", [alias.as_str(); 10].join(","));
    }
    assert!(load(&text(&laughs)).is_err());
}

#[test]
fn anchors_may_be_defined_below_an_ignored_key() {
    let yaml =
        "!ignore shared: &timeout 3s\nstatic_resources: {clusters: [{name: a, connect_timeout: *timeout}]}";
    let bootstrap = load(&text(yaml)).unwrap().bootstrap;
    let timeout = bootstrap.static_resources.unwrap().clusters[0].connect_timeout;
    assert_eq!(timeout.unwrap().seconds, 3);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(300))]

    /// Cutting, doubling and overwriting parts of a good file gives answers, not panics.
    #[test]
    fn a_damaged_file_is_answered(
        edits in proptest::collection::vec((0.0..1.0f64, 0..40usize, "[ -~\n]{0,6}"), 1..6),
        json in proptest::bool::ANY,
    ) {
        let mut damaged = std::fs::read_to_string(format!("{SANDBOX}envoy-2.yaml")).unwrap();
        if json {
            let value: serde_json::Value = serde_yaml::from_str(&damaged).unwrap();
            damaged = value.to_string();
        }
        for (place, length, insert) in edits {
            let start = (damaged.len() as f64 * place) as usize;
            let end = (start + length).min(damaged.len());
            damaged.replace_range(start..end, &insert);
        }
        if let Err(problems) = load(&text(&damaged)) {
            assert!(!problems.to_string().is_empty());
        }
    }
}

#[test]
fn each_of_many_problems_has_its_line_and_the_report_stays_short() {
    let clusters: String = (0..300).map(|n| format!("  - name: c{n}\n    tipe: STATIC\n")).collect();
    let problems = load(&text(&format!("static_resources:\n  clusters:\n{clusters}"))).unwrap_err();
    assert_eq!(problems.len(), 300);
    for (n, problem) in problems.iter().enumerate() {
        assert_eq!(problem.position.as_ref().unwrap().line_column, Some((4 + 2 * n, 5)));
    }
    assert!(problems.to_string().ends_with("\nand 200 more"));
}

#[test]
fn items_and_keys_are_located_in_every_style() {
    for (yaml, line_column) in [
        ("static_resources:\n  clusters:\n  - name: a\n  - {}\n", (2, 3)),
        ("static_resources:\n  clusters:\n  - name: a\n  - type: 0\n", (4, 5)),
        ("{\"staticResources\": {\"clusters\": [{\"name\": \"a\"},\n\t{\"name\": \"\"}]}}", (2, 3)),
        ("!ignore x: &x {name: ''}\nstatic_resources:\n  clusters: *x\n", (1, 16)),
    ] {
        let problems = load(&text(yaml)).unwrap_err();
        let found = problems.iter().next().unwrap().position.as_ref().unwrap().line_column;
        assert_eq!(found, Some(line_column), "{yaml}: {problems}");
    }
}
