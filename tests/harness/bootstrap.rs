//! Bootstraps in the words of Envoy's API: a plain one, and what a test says merged over it.

use std::net::SocketAddr;

use serde_yaml::{Mapping, Value};

use super::{FreePort, TestProxy};

const MANAGER: &str = r#"
"@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
stat_prefix: test
http_filters:
- name: envoy.filters.http.router
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
route_config:
  name: routes
  virtual_hosts:
  - name: everything
    domains: ["*"]
    routes:
    - match: {prefix: /}
      route: {cluster: upstream}
"#;

/// What makes the flags and details of local replies visible to a client.
const FLAGS_AS_BODY: &str = r#"
local_reply_config:
  body_format:
    text_format_source:
      inline_string: "%RESPONSE_CODE%|%RESPONSE_FLAGS%|%RESPONSE_CODE_DETAILS%"
"#;

/// A bootstrap with one listener, whose routes lead to the cluster `upstream` unless the test says otherwise.
#[derive(Debug)]
pub(crate) struct Bootstrap {
    top: Value,
    listener: Value,
    manager: Value,
    clusters: Vec<Value>,
    arguments: Vec<String>,
    environment: Vec<(&'static str, String)>,
    admin: bool,
}

impl Bootstrap {
    /// Everything goes to the one host at `address`.
    pub(crate) fn to(address: SocketAddr) -> Self {
        Self::empty().cluster("upstream", &[address])
    }

    /// Without a cluster.
    pub(crate) fn empty() -> Self {
        Self {
            top: Value::Mapping(Mapping::new()),
            listener: Value::Mapping(Mapping::new()),
            manager: yaml(MANAGER),
            clusters: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            admin: false,
        }
    }

    /// Add a cluster of hosts.
    pub(crate) fn cluster(mut self, name: &str, hosts: &[SocketAddr]) -> Self {
        let endpoints: Vec<String> = hosts.iter().map(|host| endpoint(*host)).collect();
        self.clusters.push(yaml(&format!(
            "name: {name}\n\
             load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{}]}}]}}",
            endpoints.join(", ")
        )));
        self
    }

    /// Merge `text` over the cluster that was added last.
    pub(crate) fn cluster_options(mut self, text: &str) -> Self {
        merge(self.clusters.last_mut().unwrap(), yaml(text));
        self
    }

    /// The cluster that was added last speaks HTTP/2.
    pub(crate) fn over_http2(self) -> Self {
        self.cluster_options(
            r#"typed_extension_protocol_options:
  envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
    "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
    explicit_http_config: {http2_protocol_options: {}}"#,
        )
    }

    /// Merge `text` over the HTTP connection manager.
    pub(crate) fn manager(mut self, text: &str) -> Self {
        merge(&mut self.manager, yaml(text));
        self
    }

    /// The routes of the only virtual host are `text`.
    pub(crate) fn routes(mut self, text: &str) -> Self {
        self.manager["route_config"]["virtual_hosts"][0]["routes"] = yaml(text);
        self
    }

    /// The virtual hosts are `text`.
    pub(crate) fn virtual_hosts(mut self, text: &str) -> Self {
        self.manager["route_config"]["virtual_hosts"] = yaml(text);
        self
    }

    /// Local replies have `code|flags|details` as their body.
    pub(crate) fn flags_as_body(self) -> Self {
        self.manager(FLAGS_AS_BODY)
    }

    /// Merge `text` over the listener.
    pub(crate) fn listener(mut self, text: &str) -> Self {
        merge(&mut self.listener, yaml(text));
        self
    }

    /// Merge `text` over the whole.
    pub(crate) fn top(mut self, text: &str) -> Self {
        merge(&mut self.top, yaml(text));
        self
    }

    /// Trace to the collector at `address`, as `service`.
    pub(crate) fn traced_to(self, address: SocketAddr, service: &str) -> Self {
        self.cluster("collector", &[address]).over_http2().manager(&format!(
            r#"tracing:
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      grpc_service: {{envoy_grpc: {{cluster_name: collector}}, timeout: 10s}}
      service_name: {service}"#
        ))
    }

    /// Trace to the collector at `address` over OTLP/HTTP, as `service`.
    pub(crate) fn traced_over_http_to(self, address: SocketAddr, service: &str) -> Self {
        self.cluster("collector", &[address]).manager(&format!(
            r#"tracing:
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      http_service: {{http_uri: {{uri: "http://collector/v1/traces", cluster: collector, timeout: 10s}}}}
      service_name: {service}"#
        ))
    }

    /// Merge `text` over the OpenTelemetry tracer.
    pub(crate) fn tracer(self, text: &str) -> Self {
        let text = text.replace('\n', "\n      ");
        self.manager(&format!("tracing:\n  provider:\n    typed_config:\n      {text}"))
    }

    /// With an admin interface, see [`TestProxy::admin`].
    pub(crate) fn admin(mut self) -> Self {
        self.admin = true;
        self
    }

    /// Start with this argument, too.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Start with this environment variable, too.
    pub(crate) fn environment(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// The text, with the listener on `address`.
    pub(crate) fn text(&self, address: SocketAddr) -> String {
        let mut listener = yaml(&format!(
            "name: main\n\
             address: {{socket_address: {{address: {}, port_value: {}}}}}\n\
             filter_chains: [{{filters: [{{name: envoy.filters.network.http_connection_manager}}]}}]",
            address.ip(),
            address.port()
        ));
        listener["filter_chains"][0]["filters"][0]["typed_config"] = self.manager.clone();
        merge(&mut listener, self.listener.clone());
        let mut whole = yaml("static_resources: {}");
        whole["static_resources"]["listeners"] = Value::Sequence(vec![listener]);
        whole["static_resources"]["clusters"] = Value::Sequence(self.clusters.clone());
        merge(&mut whole, self.top.clone());
        serde_yaml::to_string(&whole).unwrap()
    }

    /// The same, with the admin interface at `admin`.
    pub(crate) fn text_with_admin(&self, address: SocketAddr, admin: SocketAddr) -> String {
        format!("{}admin: {{address: {}}}\n", self.text(address), socket_address(admin))
    }

    /// Start a proxy with it.
    pub(crate) async fn start(&self) -> TestProxy {
        let port = FreePort::new();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let admin = self.admin.then(FreePort::new);
        let text = match &admin {
            Some(admin) => self.text_with_admin(port.address, admin.address),
            None => self.text(port.address),
        };
        let listeners = std::iter::once(port).chain(admin).collect();
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        TestProxy::start(&text, listeners, &arguments, &environment).await
    }
}

fn endpoint(host: SocketAddr) -> String {
    format!("{{endpoint: {{address: {}}}}}", socket_address(host))
}

fn socket_address(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: '{}', port_value: {}}}}}", address.ip(), address.port())
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Mappings are merged, everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Mapping(into), Value::Mapping(from)) => {
            for (key, value) in from {
                match into.get_mut(&key) {
                    Some(there) => merge(there, value),
                    None => drop(into.insert(key, value)),
                }
            }
        }
        (into, from) => *into = from,
    }
}
