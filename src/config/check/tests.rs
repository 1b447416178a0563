use super::*;
use crate::config::FieldPath;

const SANDBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sandboxes/opentelemetry/");

fn run(file: &str, json: bool, lower: impl Fn(&Loaded, &mut Problems)) -> (String, bool) {
    let options = CheckOptions { files: vec![file.into()], json, skip_unsupported: false };
    let mut out = Vec::new();
    let code = check(&options, &mut out, lower).unwrap();
    (String::from_utf8(out).unwrap(), format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS))
}

#[test]
fn a_good_file_is_summed_up_and_its_fields_are_listed() {
    let (text, good) = run(&format!("{SANDBOX}envoy-1.yaml"), false, |_, _| {});
    assert!(good, "{text}");
    for line in [
        "listener 0.0.0.0:10000, inbound: 1 virtual host, 1 route",
        "listener 0.0.0.0:10001, outbound: 1 virtual host, 1 route",
        "cluster envoy_cluster2, STRICT_DNS: 1 host",
        "tracer envoy-1, collected by opentelemetry_collector",
        "envoy.config.route.v3.Decorator: operation",
        "HttpConnectionManager: http_filters, route_config, stat_prefix, tracing",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn problems_of_lowering_stand_in_the_same_report_with_their_place() {
    let lower = |_: &Loaded, problems: &mut Problems| {
        let clusters = FieldPath::ROOT.field("static_resources.clusters");
        problems.push(&clusters.index(1).field("name"), "is taken");
    };
    let (text, good) = run(&format!("{SANDBOX}envoy-2.yaml"), false, lower);
    assert!(!good);
    assert!(text.contains("envoy-2.yaml:58:5: static_resources.clusters[1].name: is taken"), "{text}");
}

#[test]
fn json_is_one_object_for_each_file() {
    let (text, good) = run(&format!("{SANDBOX}envoy-front-proxy.yaml"), true, |_, _| {});
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(good && value["ok"] == true, "{text}");
    assert_eq!(value["summary"]["listeners"][0]["routes"], 2);
    assert_eq!(value["summary"]["tracers"][0]["service_name"], "front-envoy");
    assert_eq!(value["problems"].as_array().unwrap().len(), 0);

    let (text, good) = run("no/such.yaml", true, |_, _| {});
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!good && value["ok"] == false);
    assert!(value["problems"][0]["text"].as_str().unwrap().starts_with("no/such.yaml: cannot be opened"));
}
