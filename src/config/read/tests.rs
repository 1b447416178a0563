use prost_reflect::ReflectMessage;

use super::*;
use crate::config::{document::Format, node};

fn read(message: &str, yaml: &str) -> (DynamicMessage, Vec<String>) {
    let descriptor = api::all().get_message_by_name(message).unwrap();
    let tree = node::parse(yaml, Format::Yaml).unwrap_or_else(|error| panic!("{}", error.reason));
    let (message, problems) = super::message(&descriptor, &tree.root);
    (message, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn durations_are_decimal_seconds() {
    for (text, seconds, nanos) in [("0.250s", 0, 250_000_000), ("15s", 15, 0), ("-1.5s", -1, -500_000_000)] {
        let (message, problems) = read("google.protobuf.Duration", text);
        assert!(problems.is_empty(), "{problems:?}");
        let duration: prost_types::Duration = message.transcode_to().unwrap();
        assert_eq!((duration.seconds, duration.nanos), (seconds, nanos), "{text}");
    }
    for text in ["15", "1m", "s", "1.0000000001s", "\"\"", "[1s]", "99999999999999s", "+1s", ".5s"] {
        let (_, problems) = read("google.protobuf.Duration", text);
        assert_eq!(problems.len(), 1, "{text}");
    }
}

#[test]
fn the_type_of_an_any_may_stand_anywhere() {
    for yaml in [
        "{'@type': type.googleapis.com/envoy.config.trace.v3.ZipkinConfig, collector_cluster: c}",
        "{collectorCluster: c, '@type': type.googleapis.com/envoy.config.trace.v3.ZipkinConfig}",
    ] {
        let (any, problems) = read("google.protobuf.Any", yaml);
        assert!(problems.is_empty(), "{problems:?}");
        let any: prost_types::Any = any.transcode_to().unwrap();
        let zipkin: envoy_types::pb::envoy::config::trace::v3::ZipkinConfig =
            prost::Message::decode(&any.value[..]).unwrap();
        assert_eq!(zipkin.collector_cluster, "c");
    }
}

#[test]
fn a_type_that_does_not_exist_is_named_with_a_near_one() {
    let (_, problems) = read("google.protobuf.Any", "{'@type': x/envoy.config.trace.v2.ZipkinConfig}");
    assert_eq!(
        problems,
        ["no message 'envoy.config.trace.v2.ZipkinConfig' in the Envoy API; \
          did you mean 'envoy.config.trace.v3.ZipkinConfig'?"]
    );
}

#[test]
fn a_single_value_stands_for_a_list_and_enum_names_for_any_case() {
    let yaml = "{domains: '*', name: a, require_tls: external_only}";
    let (host, problems) = read("envoy.config.route.v3.VirtualHost", yaml);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(host.get_field_by_name("domains").unwrap().as_list().unwrap().len(), 1);
    assert_eq!(host.get_field_by_name("require_tls").unwrap().as_enum_number(), Some(1));
}

#[test]
fn a_field_or_an_alternative_is_set_once() {
    let (_, problems) = read("envoy.config.route.v3.RouteAction", "{prefix_rewrite: /, prefixRewrite: /}");
    assert_eq!(problems, ["prefix_rewrite: is set twice"]);
    let (_, problems) = read("envoy.config.route.v3.RouteAction", "{cluster: a, cluster_header: b}");
    assert_eq!(problems, ["cluster_header: excludes 'cluster', which is set too"]);
}

#[test]
fn structs_wrappers_maps_and_long_numbers_are_read() {
    let yaml = "{filter_metadata: {a: {b: [1, null, {c: true}], d: x}}}";
    let (metadata, problems) = read("envoy.config.core.v3.Metadata", yaml);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(metadata.descriptor().name(), "Metadata");
    let yaml =
        "{route: {cluster: a, retry_policy: {num_retries: '3'}}, match: {case_sensitive: no, prefix: /}}";
    let (_, problems) = read("envoy.config.route.v3.Route", yaml);
    assert!(problems.is_empty(), "{problems:?}");
    let (_, problems) = read("google.protobuf.UInt32Value", "4294967296");
    assert_eq!(problems, ["expected a whole number from 0 to 4294967295, found 4294967296"]);
    let (_, problems) = read("google.protobuf.UInt64Value", "'18446744073709551615'");
    assert!(problems.is_empty(), "{problems:?}");
}
