//! One bootstrap for all scenarios of a topic: a plain one, and what they say merged over it.

use std::net::SocketAddr;

use serde_yaml::{Mapping, Value};

use crate::{
    scenario::{ListenerSpec, Protocol, UpstreamSpec},
    world::World,
};

/// Tracers, and what makes them send spans as soon as they are there; spanway knows the keys of tracers in use only.
const AT_ONCE: [(&str, &str); 2] = [
    ("OpenTelemetryConfig", "tracing.opentelemetry.min_flush_spans"),
    ("ZipkinConfig", "tracing.zipkin.min_flush_spans"),
];

const HTTP2: &str = r#"
typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}
"#;

const MANAGER: &str = r#"
"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
delayed_close_timeout: 0.2s
"#;

const ROUTER: &str = r#"
"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#;

/// The bootstrap of these scenarios.
pub(crate) fn bootstrap(worlds: &[&World], over: &Value, admin: Option<SocketAddr>) -> Value {
    let mut listeners = Vec::new();
    let mut clusters = Vec::new();
    for world in worlds {
        for (name, spec) in &world.spec.listeners {
            listeners.push(listener(world, name, spec));
        }
        clusters.extend(clusters_of(world));
    }
    let mut whole = yaml("node: {id: parity-node, cluster: parity-cluster, locality: {zone: z}}");
    let text = serde_yaml::to_string(&listeners).unwrap_or_default();
    let keys = AT_ONCE.iter().filter(|(tracer, _)| text.contains(tracer));
    let keys: Mapping = keys.map(|(_, key)| ((*key).into(), 1.into())).collect();
    if !keys.is_empty() {
        whole["layered_runtime"] = yaml("layers: [{name: static}]");
        whole["layered_runtime"]["layers"][0]["static_layer"] = Value::Mapping(keys);
    }
    if let Some(admin) = admin {
        whole["admin"] = yaml(&format!("address: {{{}}}", address(admin)));
    }
    whole["static_resources"] = yaml("{}");
    whole["static_resources"]["listeners"] = Value::Sequence(listeners);
    whole["static_resources"]["clusters"] = Value::Sequence(clusters);
    if !over.is_null() {
        merge(&mut whole, over.clone());
    }
    whole
}

fn listener(world: &World, name: &str, spec: &ListenerSpec) -> Value {
    let unique = world.unique(name);
    let mut host = yaml("{name: everything, domains: ['*']}");
    host["routes"] = match &spec.routes {
        Some(routes) => routes.clone(),
        None => yaml(&format!("[{{match: {{prefix: /}}, route: {{cluster: {}}}}}]", world.unique("up"))),
    };
    over(&mut host, spec.virtual_host.as_ref());
    let mut routes = yaml("name: routes");
    routes["virtual_hosts"] = Value::Sequence(vec![host]);
    over(&mut routes, spec.route_config.as_ref());

    let mut router = yaml("name: envoy.filters.http.router");
    router["typed_config"] = yaml(ROUTER);
    over(&mut router["typed_config"], spec.router.as_ref());

    let mut manager = yaml(MANAGER);
    manager["stat_prefix"] = unique.clone().into();
    manager["route_config"] = routes;
    manager["http_filters"] = Value::Sequence(vec![router]);
    if let Some(tracing) = &spec.tracing {
        manager["tracing"] = self::tracing(world, spec, tracing);
    }
    if let Some(format) = &world.spec.access_log
        && name == "in"
    {
        manager["access_log"] = access_log(world, format);
    }
    over(&mut manager, spec.hcm.as_ref());

    let mut listener =
        yaml(&format!("name: {unique}\naddress: {{{}}}", address(world.listeners[name].address)));
    listener["filter_chains"] = yaml("[{filters: [{name: envoy.filters.network.http_connection_manager}]}]");
    listener["filter_chains"][0]["filters"][0]["typed_config"] = manager;
    over(&mut listener, spec.listener.as_ref());
    listener
}

fn tracing(world: &World, spec: &ListenerSpec, over: &Value) -> Value {
    let mut tracer = yaml(&format!(
        r#"
"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
grpc_service: {{envoy_grpc: {{cluster_name: {}}}, timeout: 2s}}
service_name: svc
"#,
        world.unique("collector")
    ));
    self::over(&mut tracer, spec.tracer.as_ref());
    let mut tracing = yaml("provider: {}");
    let name = spec.tracer_name.as_deref().unwrap_or("envoy.tracers.opentelemetry");
    tracing["provider"]["name"] = name.into();
    tracing["provider"]["typed_config"] = tracer;
    merge(&mut tracing, over.clone());
    tracing
}

/// File access logs: of a text, of what is merged over one, or of a list of these. All write the same file.
fn access_log(world: &World, said: &Value) -> Value {
    let logs = match said {
        Value::Sequence(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    let log = |said: &Value| {
        let mut log = yaml(
            r#"
name: envoy.access_loggers.file
typed_config:
  "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
"#,
        );
        log["typed_config"]["path"] = world.access_log.to_string_lossy().into_owned().into();
        match said {
            Value::String(format) => {
                log["typed_config"]["log_format"] = yaml("text_format_source: {}");
                log["typed_config"]["log_format"]["text_format_source"]["inline_string"] =
                    format!("{format}\n").into();
            }
            over => merge(&mut log, over.clone()),
        }
        log
    };
    Value::Sequence(logs.iter().map(log).collect())
}

/// Those of the upstreams, the collector, and those that lead back to a listener.
fn clusters_of(world: &World) -> Vec<Value> {
    let mut clusters = world.spec.clusters.clone();
    for (name, spec) in &world.spec.upstreams {
        let mut cluster = cluster(&world.unique(name), world.address(name), spec.protocol);
        over(&mut cluster, spec.cluster.as_ref());
        clusters.push(cluster);
    }
    if world.mentions("collector") || world.spec.listeners.values().any(|listener| listener.tracing.is_some())
    {
        let mut collector = cluster(&world.unique("collector"), world.address("collector"), Protocol::Http2);
        over(
            &mut collector,
            world.spec.collector.as_ref().and_then(|spec: &UpstreamSpec| spec.cluster.as_ref()),
        );
        clusters.push(collector);
    }
    if world.mentions("collector.http") {
        clusters.push(cluster(&world.unique("collector-http"), world.address("collector"), Protocol::Http1));
    }
    for (name, port) in &world.listeners {
        if world.mentions(name) {
            clusters.push(cluster(&world.unique(name), port.address, Protocol::Http1));
        }
    }
    clusters
}

fn cluster(name: &str, host: SocketAddr, protocol: Protocol) -> Value {
    let mut cluster = yaml(&format!(
        "name: {name}\n\
         load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{{}}}}}}}]}}]}}",
        address(host)
    ));
    if protocol == Protocol::Http2 {
        merge(&mut cluster, yaml(HTTP2));
    }
    cluster
}

fn address(address: SocketAddr) -> String {
    format!("socket_address: {{address: '{}', port_value: {}}}", address.ip(), address.port())
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

fn over(into: &mut Value, from: Option<&Value>) {
    if let Some(from) = from {
        merge(into, from.clone());
    }
}

/// Mappings are merged, everything else is replaced; a null removes, and another `@type` begins anew.
pub(crate) fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Mapping(into), Value::Mapping(from)) => {
            if from.get("@type").is_some_and(|of| into.get("@type").is_some_and(|there| there != of)) {
                *into = Mapping::new();
            }
            for (key, value) in from {
                match into.get_mut(&key) {
                    _ if value.is_null() => drop(into.shift_remove(&key)),
                    Some(there) => merge(there, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (into, from) => *into = from,
    }
}
