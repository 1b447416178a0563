//! Envoy's configuration, which is spanway's.

use std::{fmt::Write, path::Path};

use crate::{
    setup::{Setup, Tracing},
    upstream::Surroundings,
};

const HTTP2: &str = "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
";

/// What an entry of an access log has: what Envoy's default format has.
const MEMBERS: &str = r#"start_time: "%START_TIME%", method: "%REQ(:METHOD)%", path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
                protocol: "%PROTOCOL%", response_code: "%RESPONSE_CODE%", response_flags: "%RESPONSE_FLAGS%",
                bytes_received: "%BYTES_RECEIVED%", bytes_sent: "%BYTES_SENT%", duration: "%DURATION%",
                upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
                x_forwarded_for: "%REQ(X-FORWARDED-FOR)%", user_agent: "%REQ(USER-AGENT)%",
                request_id: "%REQ(X-REQUEST-ID)%", authority: "%REQ(:AUTHORITY)%", upstream_host: "%UPSTREAM_HOST%""#;

/// A cluster with one host.
fn cluster(text: &mut String, name: &str, port: u16, http2: bool) {
    let _ = write!(
        text,
        "  - name: {name}
    type: STATIC
    connect_timeout: 1s
    circuit_breakers: {{thresholds: [{{max_connections: 10000, max_pending_requests: 10000, \
         max_requests: 10000}}]}}
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}
{protocol}",
        protocol = if http2 { HTTP2 } else { "" },
    );
}

/// Request ids (on unless switched off), X-Forwarded-For by `use_remote_address`, timeouts, path normalization.
pub(crate) fn configuration(setup: &Setup, around: &Surroundings, port: u16, folder: &Path) -> String {
    let mut text = format!(
        "static_resources:
  listeners:
  - name: ingress
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
         HttpConnectionManager
          stat_prefix: ingress
          use_remote_address: true
          normalize_path: true
          request_headers_timeout: 10s
          request_timeout: 60s
          stream_idle_timeout: 60s
          common_http_protocol_options: {{idle_timeout: 300s}}
"
    );
    if setup.json_log {
        let _ = write!(
            text,
            "          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {}/access-{port}.json
              log_format: {{json_format: {{{MEMBERS}}}}}
",
            folder.display()
        );
    }
    let percent = match setup.tracing {
        Tracing::Off => None,
        Tracing::Percent(percent) => Some(percent),
        Tracing::DeadCollector => Some(100.0),
    };
    if let Some(percent) = percent {
        let service = if setup.otlp_http {
            "http_service: {http_uri: {uri: \"http://collector/v1/traces\", cluster: collector, timeout: 1s}}"
        } else {
            "grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 1s}"
        };
        let _ = write!(
            text,
            "          tracing:
            random_sampling: {{value: {percent}}}
            provider:
              name: envoy.tracers.opentelemetry
              typed_config:
                \"@type\": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
                {service}
                service_name: bench
"
        );
    }
    text.push_str(
        "          http_filters:
          - name: envoy.filters.http.router
            typed_config: {\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
",
    );
    let how = if setup.exact { "path" } else { "prefix" };
    for route in setup.matches() {
        let _ = write!(
            text,
            "              - match: {{{how}: \"{route}\"}}
                route: {{cluster: host, timeout: 15s}}
"
        );
    }
    text.push_str("  clusters:\n");
    let upstream = if setup.upstream_http2 { around.http2 } else { around.http1 };
    cluster(&mut text, "host", upstream, setup.upstream_http2);
    if percent.is_some() {
        let dead = setup.tracing == Tracing::DeadCollector;
        cluster(&mut text, "collector", if dead { around.dead } else { around.collector }, !setup.otlp_http);
    }
    text
}

/// A file for `spanway check` and `envoy --mode validate`: many routes, and clusters that they lead to in turn.
pub(crate) fn large(routes: usize, clusters: usize, port: u16) -> String {
    let mut text = format!(
        "static_resources:
  listeners:
  - name: ingress
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.\
         HttpConnectionManager
          stat_prefix: ingress
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{\"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config:
            name: local
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
"
    );
    for route in 0..routes {
        let cluster = route % clusters.max(1);
        let _ = write!(
            text,
            "              - match: {{prefix: \"/service-{route}/\"}}
                route: {{cluster: host-{cluster}, timeout: 15s}}
"
        );
    }
    text.push_str("  clusters:\n");
    for number in 0..clusters {
        cluster(&mut text, &format!("host-{number}"), 9, false);
    }
    text
}
