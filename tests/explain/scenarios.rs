//! The scenarios of tests/parity, through one proxy: what is said of each of their requests is what it gets.

use std::{net::SocketAddr, path::Path};

use form_urlencoded::Serializer;
use serde_yaml::{Mapping, Value};
use tokio::net::TcpSocket;

use super::agreement::{assert_sent, pairs};
use crate::harness::{CannedUpstream, FreePort, Message, OK, TestProxy, Wire, refusing_address, within};

/// Files about where requests go, and how many requests of each can be asked about, at least.
const ROUTING: &[(&str, usize)] = &[
    ("access-logs", 90),
    ("edge-headers", 130),
    ("headers", 65),
    ("http1", 30),
    ("local-replies", 18),
    ("paths", 40),
    ("rewrites-redirects", 60),
    ("routing", 90),
];

/// The same about tracing.
const TRACING: &[(&str, usize)] = &[
    ("retries-tracing", 2),
    ("tracing-decision", 110),
    ("tracing-propagation", 95),
    ("tracing-spans", 135),
    ("tracing-zipkin-xray", 130),
];

/// What of a scenario makes no difference to where its requests go, or is understood here.
const UNDERSTOOD: &[&str] = &[
    "name",
    "hcm",
    "listener",
    "router",
    "tracing",
    "tracer",
    "tracer_name",
    "routes",
    "virtual_host",
    "route_config",
    "requests",
    "compare",
    "differs",
    "access_log",
    "stats",
    "upstreams",
];

const MANAGER: &str = r#"
"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
stat_prefix: in
http_filters:
- name: envoy.filters.http.router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config: {virtual_hosts: [{name: everything, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: up}}]}]}
"#;

const TRACER: &str = r#"
"@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 2s}
service_name: svc
"#;

const HTTP2: &str = r#"
envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
  "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
  explicit_http_config: {http2_protocol_options: {}}
"#;

/// What placeholders become; nobody takes the spans.
const NAMES: &[(&str, &str)] = &[
    ("${up}", "up"),
    ("${collector}", "collector"),
    ("${collector.http}", "collector-http"),
    ("${daemon.port}", "2000"),
];

/// A request as it is sent: its head alone, from that address.
struct Sent {
    listener: String,
    address: SocketAddr,
    head: String,
    from: Option<String>,
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// As the suite merges: mappings are merged, a null removes, and another `@type` begins anew.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Mapping(into), Value::Mapping(from)) => {
            if from.get("@type").is_some_and(|of| into.get("@type").is_some_and(|there| there != of)) {
                *into = Mapping::new();
            }
            for (key, value) in from {
                match into.get_mut(key) {
                    _ if value.is_null() => drop(into.remove(key)),
                    Some(there) => merge(there, value),
                    None => drop(into.insert(key.clone(), value.clone())),
                }
            }
        }
        (into, from) => *into = from.clone(),
    }
}

fn address(address: SocketAddr) -> Value {
    yaml(&format!("socket_address: {{address: {}, port_value: {}}}", address.ip(), address.port()))
}

/// The listener of a scenario; `None` for one that is about more than that.
fn listener(scenario: &Value, port: SocketAddr) -> Option<Value> {
    let known = |key: &Value| UNDERSTOOD.contains(&key.as_str().unwrap());
    let plain = |upstream: &Value| {
        upstream
            .as_mapping()
            .unwrap()
            .keys()
            .all(|key| ["status", "headers", "body"].contains(&key.as_str().unwrap()))
    };
    let upstreams = scenario.get("upstreams").and_then(Value::as_mapping);
    if !scenario.as_mapping().unwrap().keys().all(known)
        || upstreams.is_some_and(|all| all.iter().any(|(name, one)| name != "up" || !plain(one)))
        || serde_yaml::to_string(scenario).unwrap().contains("${")
    {
        return None;
    }
    let over = |value: &mut Value, key: &str| {
        if let Some(said) = scenario.get(key) {
            merge(value, said);
        }
    };
    let mut manager = yaml(MANAGER);
    if let Some(routes) = scenario.get("routes") {
        manager["route_config"]["virtual_hosts"][0]["routes"] = routes.clone();
    }
    over(&mut manager["route_config"]["virtual_hosts"][0], "virtual_host");
    over(&mut manager["route_config"], "route_config");
    over(&mut manager["http_filters"][0]["typed_config"], "router");
    if let Some(said) = scenario.get("tracing") {
        let mut tracer = yaml(TRACER);
        over(&mut tracer, "tracer");
        let mut tracing = yaml("provider: {}");
        let name = scenario.get("tracer_name").cloned();
        tracing["provider"]["name"] = name.unwrap_or_else(|| "envoy.tracers.opentelemetry".into());
        tracing["provider"]["typed_config"] = tracer;
        merge(&mut tracing, said);
        manager["tracing"] = tracing;
    }
    over(&mut manager, "hcm");
    let mut listener =
        yaml("filter_chains: [{filters: [{name: envoy.filters.network.http_connection_manager}]}]");
    listener["name"] = scenario["name"].clone();
    listener["address"] = address(port);
    listener["filter_chains"][0]["filters"][0]["typed_config"] = manager;
    over(&mut listener, "listener");
    Some(listener)
}

/// The heads that a scenario sends, but for those that want more than being sent.
fn heads(scenario: &Value, address: SocketAddr) -> Vec<Sent> {
    let default = yaml("[{send: \"GET / HTTP/1.1\\nhost: h\"}]");
    let requests = scenario.get("requests").unwrap_or(&default).as_sequence().unwrap();
    let head = |request: &Value| {
        let only = |key: &Value| ["send", "from"].contains(&key.as_str().unwrap());
        let text = request.get("send")?.as_str()?.trim_end_matches('\n');
        let lower = text.to_ascii_lowercase();
        let whole = !["\n\n", "\r", "content-length:", "transfer-encoding:", "expect:", "\nupgrade:"]
            .iter()
            .any(|part| lower.contains(part));
        // Absolute targets cannot be asked about: a URL becomes a path and a host.
        let relative = text.split(' ').nth(1).is_some_and(|target| target.starts_with('/'));
        (request.as_mapping().unwrap().keys().all(only) && whole && relative).then(|| Sent {
            listener: scenario["name"].as_str().unwrap().to_owned(),
            address,
            head: text.to_owned(),
            from: request.get("from").and_then(Value::as_str).map(str::to_owned),
        })
    };
    requests.iter().filter_map(head).collect()
}

/// What is asked about it.
fn query(sent: &Sent) -> Option<String> {
    let mut lines = sent.head.lines();
    let (request, version) = lines.next()?.rsplit_once(" HTTP/")?;
    let mut query = Serializer::new(String::from("/explain?"));
    query.append_pair("format", "json").append_pair("listener", &sent.listener);
    query.append_pair("request", request).append_pair("http", version);
    if let Some(from) = &sent.from {
        query.append_pair("source", from);
    }
    for line in lines {
        query.append_pair("header", line);
    }
    Some(query.finish())
}

#[tokio::test]
async fn requests_of_the_parity_suite_get_what_was_said_of_them() {
    ask_and_send(ROUTING).await;
}

#[tokio::test]
async fn requests_of_the_parity_suite_are_traced_as_was_said_of_them() {
    ask_and_send(TRACING).await;
}

async fn ask_and_send(files: &[(&str, usize)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity");
    for (name, least) in files {
        let text = std::fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap();
        let file = yaml(&NAMES.iter().fold(text, |text, (from, to)| text.replace(from, to)));
        let mut host = CannedUpstream::answering(OK).await;
        let (mut ports, mut listeners, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for scenario in file["scenarios"].as_sequence().unwrap() {
            let mut whole = file.get("defaults").cloned().unwrap_or_else(|| yaml("{}"));
            merge(&mut whole, scenario);
            let port = FreePort::new();
            let Some(listener) = listener(&whole, port.address) else { continue };
            all.extend(heads(&whole, port.address));
            listeners.push(listener);
            ports.push(port);
        }
        let admin = FreePort::new();
        let mut bootstrap = yaml("{static_resources: {}, node: {id: n, cluster: c}}");
        bootstrap["static_resources"]["listeners"] = Value::Sequence(listeners);
        let clusters = [("up", host.address()), ("collector", refusing_address()), ("collector-http", refusing_address())].map(|(name, host)| {
            let mut cluster = yaml(&format!("{{name: {name}, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint: {{}}}}]}}]}}}}"));
            cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"] = address(host);
            if name == "collector" {
                cluster["typed_extension_protocol_options"] = yaml(HTTP2);
            }
            cluster
        });
        bootstrap["static_resources"]["clusters"] = Value::Sequence(clusters.into());
        bootstrap["admin"] = yaml("{}");
        bootstrap["admin"]["address"] = address(admin.address);
        if let Some(more) = file.get("bootstrap") {
            merge(&mut bootstrap, more);
        }
        ports.push(admin);
        let environment: Vec<(&str, &str)> = file
            .get("env")
            .and_then(Value::as_mapping)
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str().unwrap(), value.as_str().unwrap()))
            .collect();
        let proxy =
            TestProxy::start(&serde_yaml::to_string(&bootstrap).unwrap(), ports, &[], &environment).await;
        let mut asked = 0;
        for sent in &all {
            let Some(query) = query(sent) else { continue };
            let told = proxy.admin().get(&query).await;
            if told.status() == 400 {
                // A codec refuses it, too.
                continue;
            }
            let told: serde_json::Value = serde_json::from_str(told.text()).unwrap();
            compare(&told, sent, &mut host).await;
            asked += 1;
        }
        assert!(asked >= *least, "{name}: {asked} of {}", all.len());
    }
}

/// Hold what a host was told of the sampling against what was said of it.
fn assert_sampled(told: &serde_json::Value, request: &Message, about: &str) {
    // Else what a host reads is the client's own, or decided anew for the span of the request to the host.
    let own = told["propagation"].as_str().is_some_and(|text| text.starts_with("the host is told by"))
        && !told["steps"].to_string().contains("decided anew by the sampler");
    let words = told["propagation"].as_str().and_then(|text| text.split([' ', ',']).nth(5));
    let by = |name: &str, is: fn(&str) -> bool| request.header(name).map(is);
    let sampled = match words {
        Some("traceparent") => by("traceparent", |value| value.ends_with(['1', '3'])),
        Some("b3") => by("b3", |value| value.split('-').nth(2) == Some("1")),
        Some("x-b3-*") => by("x-b3-sampled", |value| value == "1"),
        Some("x-amzn-trace-id") => by("x-amzn-trace-id", |value| value.contains("Sampled=1")),
        _ => None,
    };
    match (sampled, told["percent"].as_f64()) {
        (Some(true), Some(percent)) if own => assert!(percent > 0.0, "{about}: {told}"),
        (Some(false), Some(percent)) if own => assert!(percent < 100.0, "{about}: {told}"),
        _ => {}
    }
}

/// Send it, and hold what happens against what was said.
async fn compare(told: &serde_json::Value, sent: &Sent, host: &mut CannedUpstream) {
    let about = format!("{}: {:?}: {}", sent.listener, sent.head, told["outcome"]["text"]);
    let socket = TcpSocket::new_v4().unwrap();
    if let Some(from) = &sent.from {
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    }
    let mut wire = Wire::new(within(socket.connect(sent.address)).await.unwrap());
    wire.send(format!("{}\r\n\r\n", sent.head.replace('\n', "\r\n"))).await;
    let response = wire.head().await;
    if told["outcome"]["kind"] == "forwarded" {
        assert_eq!(response.status(), 200, "{about}");
        let request = host.request().await;
        assert_sent(&told["upstream_request"], &request, &about);
        assert_sampled(&told["tracing"], &request, &about);
    } else {
        assert_eq!(Some(u64::from(response.status())), told["reply"]["status"].as_u64(), "{about}");
        // The codec has its own way to say that there are too many headers.
        let headers = if response.status() == 431 { Vec::new() } else { pairs(&told["reply"]["headers"]) };
        for (name, value) in headers {
            assert!(response.values(&name).contains(&&*value), "{about}: {name}: {value}: {response:?}");
        }
    }
    assert!(host.saw_nothing(), "{about}: it was sent, too");
}
