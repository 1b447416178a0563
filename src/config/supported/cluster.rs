//! Clusters, their endpoints and how they are spoken to.

use super::{MessageRow, guarded, holds, honoured, message, no_effect, only, refused};

const PROTOCOL: &str = "use HttpProtocolOptions in typed_extension_protocol_options";

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.config.cluster.v3.Cluster",
        &[
            honoured(&["name", "connect_timeout", "load_assignment", "circuit_breakers"]),
            only(&["type"], &["STATIC", "STRICT_DNS", "LOGICAL_DNS"]),
            only(&["lb_policy"], &["ROUND_ROBIN", "RANDOM", "RING_HASH"]),
            only(&["dns_lookup_family"], &["AUTO", "V4_ONLY", "V6_ONLY", "V4_PREFERRED", "ALL"]),
            honoured(&["dns_refresh_rate", "respect_dns_ttl"]),
            no_effect(
                &["dns_failure_refresh_rate", "dns_jitter"],
                "after a failure the pause doubles from dns_refresh_rate up to a minute",
            ),
            honoured(&["alt_stat_name", "max_requests_per_connection", "upstream_connection_options"]),
            refused(&["ring_hash_lb_config"], "the ring is built as pingora builds it"),
            honoured(&["http2_protocol_options", "http_protocol_options", "common_http_protocol_options"]),
            honoured(&["per_connection_buffer_limit_bytes"]),
            holds(
                &["typed_extension_protocol_options"],
                &["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"],
            ),
            no_effect(&["track_cluster_stats", "track_timeout_budgets"], "there are no such statistics"),
            honoured(&["metadata"]),
            no_effect(&["cleanup_interval"], "it concerns clusters of type ORIGINAL_DST, and there are none"),
            no_effect(
                &["wait_for_warm_on_init"],
                "serving starts once every cluster was asked for its hosts",
            ),
            refused(&["health_checks"], "active health checks are not there yet"),
            refused(&["outlier_detection"], "outlier detection is not there yet"),
            refused(&["load_balancing_policy"], "use lb_policy"),
            refused(&["cluster_type"], "use type"),
            refused(&["eds_cluster_config"], "give the endpoints in load_assignment"),
            refused(&["lb_subset_config"], "subsets of a cluster are not there yet"),
            refused(&["common_lb_config"], "leave it out"),
            refused(
                &["dns_resolvers", "dns_resolution_config", "typed_dns_resolver_config"],
                "the system's resolver is asked",
            ),
            refused(&["upstream_http_protocol_options", "protocol_selection"], PROTOCOL),
            honoured(&["transport_socket"]),
            guarded(&["transport_socket_matches", "transport_socket_matcher"], "use transport_socket"),
            guarded(&["filters"], "no upstream network filter is there yet"),
        ],
    ),
    message(
        "envoy.config.cluster.v3.CircuitBreakers",
        &[honoured(&["thresholds"]), refused(&["per_host_thresholds"], "use thresholds")],
    ),
    message(
        "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
        &[
            honoured(&["priority", "max_connections", "max_pending_requests", "max_requests"]),
            honoured(&["max_retries", "track_remaining"]),
            refused(&["retry_budget"], "use max_retries"),
        ],
    ),
    message(
        "envoy.config.cluster.v3.UpstreamConnectionOptions",
        &[
            honoured(&["tcp_keepalive"]),
            no_effect(&["set_local_interface_name_on_upstream_connections"], "nothing reads it"),
        ],
    ),
    message(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        &[honoured(&["cluster_name", "endpoints"]), refused(&["policy", "named_endpoints"], "leave it out")],
    ),
    message(
        "envoy.config.endpoint.v3.LocalityLbEndpoints",
        &[
            honoured(&["lb_endpoints"]),
            no_effect(
                &["locality", "metadata", "proximity"],
                "hosts are chosen regardless of where they are; `/clusters` of the admin interface shows it",
            ),
            refused(&["priority"], "all hosts of a cluster have the same priority"),
            refused(&["load_balancing_weight"], "give the weights of endpoints"),
        ],
    ),
    message(
        "envoy.config.endpoint.v3.LbEndpoint",
        &[
            honoured(&["endpoint", "load_balancing_weight"]),
            only(&["health_status"], &["UNKNOWN", "HEALTHY", "UNHEALTHY", "DRAINING", "TIMEOUT"]),
            honoured(&["metadata"]),
        ],
    ),
    message(
        "envoy.config.endpoint.v3.Endpoint",
        &[
            honoured(&["address", "hostname"]),
            no_effect(&["observability_name"], "clusters have their names in statistics, or alt_stat_name"),
            no_effect(&["health_check_config"], "active health checks are not there yet"),
        ],
    ),
    message(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        &[
            honoured(&[
                "explicit_http_config",
                "use_downstream_protocol_config",
                "common_http_protocol_options",
            ]),
            refused(
                &["upstream_http_protocol_options"],
                "give the name of hosts in sni of UpstreamTlsContext",
            ),
            refused(&["auto_config"], "use explicit_http_config: the protocol is not chosen by ALPN yet"),
            guarded(&["http_filters"], "no upstream HTTP filter is there yet"),
        ],
    ),
    message(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
        &[
            honoured(&["http_protocol_options", "http2_protocol_options"]),
            refused(&["http3_protocol_options"], "HTTP/3 is not there yet"),
        ],
    ),
    message(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
        &[
            honoured(&["http_protocol_options", "http2_protocol_options"]),
            refused(&["http3_protocol_options"], "HTTP/3 is not there yet"),
        ],
    ),
    message(
        "envoy.config.core.v3.HttpProtocolOptions",
        &[
            honoured(&["idle_timeout", "max_requests_per_connection"]),
            refused(&["max_connection_duration"], "use idle_timeout"),
        ],
    ),
    message(
        "envoy.config.core.v3.Http1ProtocolOptions",
        &[
            honoured(&["enable_trailers"]),
            no_effect(&["use_balsa_parser"], "there is one parser"),
            no_effect(&["allow_absolute_url"], "it concerns requests that are received"),
        ],
    ),
    message(
        "envoy.config.core.v3.Http2ProtocolOptions",
        &[
            honoured(&["max_concurrent_streams", "initial_stream_window_size"]),
            honoured(&["initial_connection_window_size"]),
            no_effect(&["use_oghttp2_codec"], "there is one codec"),
        ],
    ),
];
