//! What `benches/micro` measures: operations of a request's way, each with all that it needs around it.
//!
//! No API: it is public only because benchmarks are a crate of their own, and changes with what they measure.
//! Everything is set up from configuration as it is at a start, so that an index that lowering builds is measured too.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture that cannot be set up is a benchmark that is broken"
)]

mod balancer;
mod headers;
mod pipeline;
mod routes;
mod spans;
mod stream;

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

pub use self::pipeline::Pipeline;
use self::{
    balancer::Balancer,
    headers::{Edge, Mutations, RequestId},
    routes::{Ask, Kind, Routes},
    spans::{Encode, Export, Spans},
    stream::Stream,
};
use crate::{
    config::{self, Problems, Sources, lower::Overrides},
    snapshot::{Snapshot, listener::Listener},
};

/// Something whose cost is measured.
pub trait Operation {
    /// Set up what is used up by running it so often; not measured.
    fn prepare(&mut self, times: usize);

    /// Do it so often.
    fn run(&mut self, times: usize);
}

/// Sets an operation up.
pub type Setup = fn() -> Box<dyn Operation>;

/// All operations by name. They are many for the routes: the cost of a lookup shows in how it grows.
pub fn operations() -> Vec<(&'static str, Setup)> {
    macro_rules! list {
        ($($name:literal => $operation:expr,)*) => { vec![$(($name, || Box::new($operation)),)*] };
    }
    list! {
        "route/prefix/10/first" => Routes::new(Kind::Prefix, 10, Ask::First),
        "route/prefix/10/last" => Routes::new(Kind::Prefix, 10, Ask::Last),
        "route/prefix/100/last" => Routes::new(Kind::Prefix, 100, Ask::Last),
        "route/prefix/10000/first" => Routes::new(Kind::Prefix, 10_000, Ask::First),
        "route/prefix/10000/last" => Routes::new(Kind::Prefix, 10_000, Ask::Last),
        "route/prefix/10000/none" => Routes::new(Kind::Prefix, 10_000, Ask::Unknown),
        "route/exact/10/first" => Routes::new(Kind::Exact, 10, Ask::First),
        "route/exact/10/last" => Routes::new(Kind::Exact, 10, Ask::Last),
        "route/exact/100/last" => Routes::new(Kind::Exact, 100, Ask::Last),
        "route/exact/10000/last" => Routes::new(Kind::Exact, 10_000, Ask::Last),
        "route/regex/10/first" => Routes::new(Kind::Regex, 10, Ask::First),
        "route/regex/10/last" => Routes::new(Kind::Regex, 10, Ask::Last),
        "route/regex/100/last" => Routes::new(Kind::Regex, 100, Ask::Last),
        "route/domain/10/last" => Routes::new(Kind::Domain, 10, Ask::Last),
        "route/domain/100/last" => Routes::new(Kind::Domain, 100, Ask::Last),
        "route/domain/10000/last" => Routes::new(Kind::Domain, 10_000, Ask::Last),
        "headers/edge" => Edge::new(),
        "headers/mutations" => Mutations::new(),
        "headers/request-id" => RequestId,
        "balancer/round-robin" => Balancer::new("ROUND_ROBIN", None),
        "balancer/ring-hash" => Balancer::new("RING_HASH", Some(7)),
        "span/sampled" => Spans::new(true),
        "span/unsampled" => Spans::new(false),
        "span/encode" => Encode::new(),
        "span/export" => Export::new(),
        "stream/untraced" => Stream::new(&tracing(None)),
        "stream/json-log" => Stream::new(JSON_LOG),
        "stream/unsampled" => Stream::new(&tracing(Some(0))),
        "stream/sampled" => Stream::new(&tracing(Some(100))),
    }
}

/// A connection manager's `tracing` that samples that many of a hundred.
fn tracing(percent: Option<u32>) -> String {
    let Some(percent) = percent else { return String::new() };
    format!(
        r#""tracing": {{"random_sampling": {{"value": {percent}}}, "provider": {{
            "name": "envoy.tracers.opentelemetry",
            "typed_config": {{
              "@type": "type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig", "service_name": "bench",
              "http_service": {{
                "http_uri": {{"uri": "http://collector/v1/traces", "cluster": "c", "timeout": "1s"}}}}}}}}}},"#
    )
}

/// A connection manager's `access_log`: the fields of Envoy's default format and some that are usual beside it, as JSON.
const JSON_LOG: &str = r#""access_log": [{"name": "envoy.access_loggers.file", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog", "path": "/dev/null",
    "log_format": {"json_format": {
        "start_time": "%START_TIME%", "method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "protocol": "%PROTOCOL%", "response_code": "%RESPONSE_CODE%", "response_flags": "%RESPONSE_FLAGS%",
        "response_code_details": "%RESPONSE_CODE_DETAILS%", "bytes_received": "%BYTES_RECEIVED%",
        "bytes_sent": "%BYTES_SENT%", "duration": "%DURATION%", "route_name": "%ROUTE_NAME%",
        "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", "user_agent": "%REQ(USER-AGENT)%",
        "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%", "request_id": "%REQ(X-REQUEST-ID)%",
        "authority": "%REQ(:AUTHORITY)%", "upstream_host": "%UPSTREAM_HOST%", "upstream_cluster": "%UPSTREAM_CLUSTER%",
        "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%"}}}}],"#;

/// What varies between configurations, each in JSON.
struct Variation<'a> {
    /// Members of the connection manager, with a comma at their end.
    manager: &'a str,
    virtual_hosts: &'a str,
    /// Members of the cluster `c`, with a comma at their end.
    cluster: &'a str,
    /// Addresses of its hosts.
    hosts: &'a [String],
}

impl Default for Variation<'_> {
    fn default() -> Self {
        Self {
            manager: "",
            virtual_hosts: r#"{"name": "v", "domains": ["*"], "routes": [
                {"match": {"prefix": "/"}, "route": {"cluster": "c"}}]}"#,
            cluster: "",
            hosts: &[],
        }
    }
}

/// What a process that is started with that configuration serves.
fn snapshot(variation: &Variation<'_>) -> Arc<Snapshot> {
    let Variation { manager, virtual_hosts, cluster, hosts } = variation;
    let hosts = hosts.iter().map(|address| format!(r#"{{"endpoint": {{"address": {address}}}}}"#));
    let hosts = hosts.collect::<Vec<_>>().join(",");
    // JSON is YAML whose indentation does not matter.
    let text = format!(
        r#"{{"node": {{"id": "n", "cluster": "bench"}}, "static_resources": {{
          "listeners": [{{
            "address": {{"socket_address": {{"address": "127.0.0.1", "port_value": 1}}}},
            "traffic_direction": "INBOUND",
            "filter_chains": [{{"filters": [{{
              "name": "envoy.filters.network.http_connection_manager",
              "typed_config": {{
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": "bench", {manager} "use_remote_address": true,
                "http_filters": [{{
                  "name": "envoy.filters.http.router",
                  "typed_config": {{"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}}}],
                "route_config": {{"name": "r", "virtual_hosts": [{virtual_hosts}]}}}}}}]}}]}}],
          "clusters": [{{
            "name": "c", {cluster} "type": "STATIC",
            "load_assignment": {{"cluster_name": "c", "endpoints": [{{"lb_endpoints": [{hosts}]}}]}}}}]}}}}"#
    );
    let sources = Sources { yaml: Some(text), ..Sources::default() };
    let (loaded, problems) = config::examine(&sources).unwrap_or_else(|problems| panic!("{problems}"));
    let mut found = Problems::new();
    let snapshot = config::lower::lower(&loaded, &Overrides::default(), &mut found);
    assert!(problems.is_empty() && found.is_empty(), "{problems}\n{found}");
    Arc::new(snapshot)
}

/// Its only listener.
fn listener(snapshot: &Snapshot) -> &Arc<Listener> {
    snapshot.listeners.first().expect("a listener")
}

/// The headers of a request as a browser behind a proxy sends them.
fn request_headers() -> HeaderMap {
    const HEADERS: [(&str, &str); 9] = [
        ("host", "www.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"),
        ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("cookie", "session=c2Vzc2lvbg; theme=dark"),
        ("cache-control", "no-cache"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-internal-token", "none"),
    ];
    // As hyper does: with room for what comes, and no more.
    let mut headers = HeaderMap::with_capacity(HEADERS.len());
    for (name, value) in HEADERS {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}
