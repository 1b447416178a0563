//! The HTTP connection manager, its tracing and its filters.

use super::{
    MessageRow, guarded, holds, holds_filters, honoured, message, message_at, no_effect, only, refused,
};

const ALL_STATISTICS: &str = "everything is counted in any case";

/// The tracers that spanway has.
const TRACERS: &[&str] = &[
    "envoy.config.trace.v3.OpenTelemetryConfig",
    "envoy.config.trace.v3.ZipkinConfig",
    "envoy.config.trace.v3.XRayConfig",
];
/// The same, and spanway's own message around one of them.
const PROVIDERS: &[&str] = &[
    "envoy.config.trace.v3.OpenTelemetryConfig",
    "envoy.config.trace.v3.ZipkinConfig",
    "envoy.config.trace.v3.XRayConfig",
    "spanway.config.trace.v1.TracingConfig",
];

/// The samplers of OpenTelemetry that spanway has.
const SAMPLERS: &[&str] = &[
    "envoy.extensions.tracers.opentelemetry.samplers.v3.AlwaysOnSamplerConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
    "envoy.extensions.tracers.opentelemetry.samplers.v3.CELSamplerConfig",
];
/// The resource detectors of OpenTelemetry that spanway has.
const DETECTORS: &[&str] = &[
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig",
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
];

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        &[
            only(&["codec_type"], &["AUTO", "HTTP1", "HTTP2"]),
            honoured(&["route_config", "http_filters", "tracing", "upgrade_configs"]),
            honoured(&["http_protocol_options", "http2_protocol_options", "common_http_protocol_options"]),
            honoured(&["server_name", "server_header_transformation", "via", "add_user_agent"]),
            honoured(&["request_timeout", "request_headers_timeout", "stream_idle_timeout"]),
            honoured(&[
                "max_request_headers_kb",
                "use_remote_address",
                "xff_num_trusted_hops",
                "skip_xff_append",
            ]),
            honoured(&["internal_address_config", "normalize_path", "merge_slashes"]),
            honoured(&[
                "path_with_escaped_slashes_action",
                "strip_matching_host_port",
                "strip_any_host_port",
            ]),
            honoured(&["local_reply_config", "request_id_extension", "generate_request_id"]),
            honoured(&["preserve_external_request_id", "always_set_request_id_in_response"]),
            honoured(&["stat_prefix"]),
            honoured(&["delayed_close_timeout", "drain_timeout"]),
            refused(
                &["proxy_100_continue"],
                "spanway answers Expect: 100-continue itself when a host asks for the body",
            ),
            no_effect(&["add_proxy_protocol_connection_state"], "the PROXY protocol is not there yet"),
            honoured(&["access_log", "access_log_options"]),
            honoured(&["flush_access_log_on_new_request", "access_log_flush_interval"]),
            refused(&["rds", "scoped_routes"], "give the routes in route_config"),
            guarded(
                &[
                    "forward_client_cert_details",
                    "set_current_client_cert_details",
                    "forward_client_cert_matcher",
                ],
                "x-forwarded-client-cert of requests is taken off, and none is made",
            ),
            honoured(&["original_ip_detection_extensions", "scheme_header_transformation"]),
            refused(&["forward_proto_config"], "the PROXY protocol is not there yet"),
            guarded(&["typed_header_validation_config", "early_header_mutation_extensions"], "leave it out"),
            refused(&["http3_protocol_options"], "HTTP/3 is not there yet"),
        ],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.Tracing",
        &[
            honoured(&["provider", "client_sampling", "random_sampling", "overall_sampling"]),
            honoured(&["max_path_tag_length", "verbose", "custom_tags", "spawn_upstream_span"]),
            honoured(&["operation", "upstream_operation", "no_context_propagation"]),
        ],
    ),
    message_at(
        "envoy.config.core.v3.TypedExtensionConfig",
        "HttpConnectionManager.original_ip_detection_extensions",
        &[
            honoured(&["name"]),
            holds_filters(
                &["typed_config"],
                &[
                    "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
                    "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
                ],
            ),
        ],
    ),
    message(
        "envoy.extensions.http.original_ip_detection.xff.v3.XffConfig",
        &[honoured(&["xff_num_trusted_hops", "xff_trusted_cidrs", "skip_xff_append"])],
    ),
    message("envoy.extensions.http.original_ip_detection.xff.v3.XffTrustedCidrs", &[honoured(&["cidrs"])]),
    message(
        "envoy.extensions.http.original_ip_detection.custom_header.v3.CustomHeaderConfig",
        &[honoured(&["header_name", "allow_extension_to_set_address_as_trusted", "reject_with_status"])],
    ),
    message(
        "envoy.config.core.v3.SchemeHeaderTransformation",
        &[
            honoured(&["scheme_to_overwrite"]),
            refused(&["match_upstream"], "give the scheme in scheme_to_overwrite"),
        ],
    ),
    message("envoy.type.v3.HttpStatus", &[honoured(&["code"])]),
    message(
        "envoy.config.trace.v3.Tracing.Http",
        &[honoured(&["name"]), holds(&["typed_config"], PROVIDERS)],
    ),
    message(
        "spanway.config.trace.v1.TracingConfig",
        &[
            holds(&["tracer"], TRACERS),
            honoured(&["semantic_conventions", "name_by_route", "propagators", "redacted_query_parameters"]),
            honoured(&["server_timing", "link_untrusted_parent", "exclude", "export"]),
        ],
    ),
    message(
        "spanway.config.trace.v1.TracingConfig.Export",
        &[honoured(&["headers", "compression", "max_batch_spans", "max_queue_bytes", "retry_for"])],
    ),
    message("spanway.config.trace.v1.TracingConfig.Export.Header", &[honoured(&["name", "value"])]),
    message("spanway.config.trace.v1.TracingConfig.Exclusion", &[honoured(&["paths", "user_agents"])]),
    message(
        "envoy.config.trace.v3.OpenTelemetryConfig",
        &[
            honoured(&["grpc_service", "http_service", "service_name", "max_cache_size"]),
            honoured(&["set_telemetry_sdk_resource_attributes", "set_service_name_resource_attribute"]),
            honoured(&["set_instrumentation_scope"]),
            honoured(&["sampler", "resource_detectors"]),
            refused(&["exporter"], "use grpc_service or http_service"),
        ],
    ),
    message_at(
        "envoy.config.core.v3.TypedExtensionConfig",
        "OpenTelemetryConfig.sampler",
        &[honoured(&["name"]), holds(&["typed_config"], SAMPLERS)],
    ),
    message_at(
        "envoy.config.core.v3.TypedExtensionConfig",
        "ParentBasedSamplerConfig.wrapped_sampler",
        &[honoured(&["name"]), holds(&["typed_config"], SAMPLERS)],
    ),
    message_at(
        "envoy.config.core.v3.TypedExtensionConfig",
        "OpenTelemetryConfig.resource_detectors",
        &[honoured(&["name"]), holds(&["typed_config"], DETECTORS)],
    ),
    message(
        "envoy.extensions.tracers.opentelemetry.samplers.v3.ParentBasedSamplerConfig",
        &[honoured(&["wrapped_sampler"])],
    ),
    message(
        "envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig",
        &[honoured(&["sampling_percentage"])],
    ),
    message(
        "envoy.extensions.tracers.opentelemetry.samplers.v3.CELSamplerConfig",
        &[honoured(&["expression"])],
    ),
    message(
        "xds.type.v3.CelExpression",
        &[
            honoured(&["parsed_expr", "checked_expr", "cel_expr_parsed", "cel_expr_checked"]),
            honoured(&["cel_expr_string"]),
        ],
    ),
    message(
        "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
        &[honoured(&["attributes"])],
    ),
    message(
        "envoy.config.trace.v3.ZipkinConfig",
        &[
            honoured(&["collector_cluster", "collector_endpoint", "collector_hostname", "collector_service"]),
            only(&["collector_endpoint_version"], &["HTTP_JSON", "HTTP_PROTO"]),
            honoured(&["trace_id_128bit", "timestamp_trace_ids", "shared_span_context"]),
            honoured(&["split_spans_for_request", "trace_context_option"]),
        ],
    ),
    message(
        "envoy.config.trace.v3.XRayConfig",
        &[honoured(&["daemon_endpoint", "segment_name", "sampling_rule_manifest", "segment_fields"])],
    ),
    message("envoy.config.trace.v3.XRayConfig.SegmentFields", &[honoured(&["origin", "aws"])]),
    message_at(
        "envoy.config.core.v3.SocketAddress",
        "XRayConfig.daemon_endpoint",
        &[
            only(&["protocol"], &["UDP"]),
            honoured(&["address", "port_value"]),
            refused(&["ipv4_compat", "named_port", "resolver_name"], "use address and port_value"),
        ],
    ),
    message(
        "envoy.type.tracing.v3.CustomTag",
        &[honoured(&["tag", "literal", "environment", "request_header", "metadata", "value"])],
    ),
    message("envoy.type.tracing.v3.CustomTag.Literal", &[honoured(&["value"])]),
    message("envoy.type.tracing.v3.CustomTag.Environment", &[honoured(&["name", "default_value"])]),
    message("envoy.type.tracing.v3.CustomTag.Header", &[honoured(&["name", "default_value"])]),
    message(
        "envoy.type.tracing.v3.CustomTag.Metadata",
        &[honoured(&["kind", "metadata_key", "default_value"])],
    ),
    message(
        "envoy.type.metadata.v3.MetadataKind",
        &[
            no_effect(&["request"], "no filter sets metadata of requests: the default value counts"),
            honoured(&["route", "cluster", "host"]),
        ],
    ),
    message("envoy.type.metadata.v3.MetadataKey", &[honoured(&["key", "path"])]),
    message("envoy.type.metadata.v3.MetadataKey.PathSegment", &[honoured(&["key", "index"])]),
    message(
        "envoy.config.core.v3.HttpService",
        &[honoured(&["http_uri", "request_headers_to_add"]), refused(&["formatters"], "leave it out")],
    ),
    message("envoy.config.core.v3.HttpUri", &[honoured(&["uri", "cluster", "timeout"])]),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig",
        &[
            honoured(&["upgrade_type", "enabled"]),
            guarded(&["filters"], "upgraded requests pass the same http_filters as others"),
        ],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.InternalAddressConfig",
        &[honoured(&["unix_sockets", "cidr_ranges"])],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig",
        &[honoured(&["mappers", "body_format"])],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper",
        &[honoured(&["filter", "status_code", "body", "body_format_override", "headers_to_add"])],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.RequestIDExtension",
        &[holds(&["typed_config"], &["envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig"])],
    ),
    message(
        "envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig",
        &[honoured(&["pack_trace_reason", "use_request_id_for_trace_sampling"])],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
        &[
            honoured(&["name"]),
            holds_filters(
                &["typed_config"],
                &[
                    "envoy.extensions.filters.http.health_check.v3.HealthCheck",
                    "envoy.extensions.filters.http.router.v3.Router",
                ],
            ),
            guarded(&["config_discovery"], "give the filter's typed_config"),
            guarded(&["is_optional", "disabled"], "list the filters that shall run, and no others"),
        ],
    ),
    message(
        "envoy.extensions.filters.http.health_check.v3.HealthCheck",
        &[
            honoured(&["pass_through_mode", "headers"]),
            refused(&["cache_time"], "every check is passed on"),
            // Without it a check is answered well whatever the clusters are.
            guarded(&["cluster_min_healthy_percentages"], "a check is answered well while the proxy serves"),
        ],
    ),
    message(
        "envoy.extensions.filters.http.router.v3.Router",
        &[
            honoured(&["suppress_envoy_headers", "start_child_span"]),
            no_effect(&["dynamic_stats", "suppress_grpc_request_failure_code_stats"], ALL_STATISTICS),
            refused(
                &["upstream_log", "upstream_log_options"],
                "use access_log of the HTTP connection manager",
            ),
            guarded(&["upstream_http_filters", "strict_check_headers"], "leave it out"),
        ],
    ),
    message_at(
        "envoy.config.core.v3.HttpProtocolOptions",
        "HttpConnectionManager.common_http_protocol_options",
        &[
            honoured(&["idle_timeout", "max_connection_duration"]),
            honoured(&["max_headers_count", "max_requests_per_connection"]),
            guarded(&["headers_with_underscores_action"], "underscores in header names are allowed"),
        ],
    ),
    message_at(
        "envoy.config.core.v3.Http1ProtocolOptions",
        "HttpConnectionManager.http_protocol_options",
        &[
            honoured(&["accept_http_10", "default_host_for_http_10"]),
            only(&["allow_absolute_url"], &["true"]),
            honoured(&["enable_trailers"]),
            no_effect(&["use_balsa_parser"], "there is one parser"),
        ],
    ),
    message_at(
        "envoy.config.core.v3.Http2ProtocolOptions",
        "HttpConnectionManager.http2_protocol_options",
        &[
            honoured(&["max_concurrent_streams", "initial_stream_window_size"]),
            honoured(&["initial_connection_window_size"]),
            no_effect(&["use_oghttp2_codec"], "there is one codec"),
        ],
    ),
];
