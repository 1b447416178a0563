//! Access logs, and filters of them.

use super::{MessageRow, holds, honoured, message, message_at, no_effect, only, refused};

/// The access logs that spanway has.
pub(super) const LOGS: &[&str] = &[
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
    "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
];
/// The resource detectors of OpenTelemetry that spanway has.
const DETECTORS: &[&str] = &[
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig",
    "envoy.extensions.tracers.opentelemetry.resource_detectors.v3.StaticConfigResourceDetectorConfig",
];
const NO_FILTER_STATE: &str = "there is no filter state";

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.config.accesslog.v3.AccessLog",
        &[honoured(&["name", "filter"]), holds(&["typed_config"], LOGS)],
    ),
    message(
        "envoy.extensions.access_loggers.file.v3.FileAccessLog",
        &[honoured(&["path", "format", "json_format", "typed_json_format", "log_format"])],
    ),
    message("envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", &[honoured(&["log_format"])]),
    message("envoy.extensions.access_loggers.stream.v3.StderrAccessLog", &[honoured(&["log_format"])]),
    message(
        "envoy.extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        &[
            honoured(&["common_config", "grpc_service", "http_service", "log_name"]),
            honoured(&["buffer_flush_interval", "buffer_size_bytes", "stat_prefix"]),
            honoured(&["body", "attributes", "resource_attributes", "disable_builtin_labels"]),
            honoured(&["resource_detectors", "custom_tags"]),
            refused(&["formatters"], "use the operators that are built in"),
            refused(&["filter_state_objects_to_log"], NO_FILTER_STATE),
        ],
    ),
    message_at(
        "envoy.config.core.v3.TypedExtensionConfig",
        "OpenTelemetryAccessLogConfig.resource_detectors",
        &[honoured(&["name"]), holds(&["typed_config"], DETECTORS)],
    ),
    message(
        "envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig",
        &[
            honoured(&["common_config", "additional_request_headers_to_log"]),
            honoured(&["additional_response_headers_to_log", "additional_response_trailers_to_log"]),
        ],
    ),
    message(
        "envoy.extensions.access_loggers.grpc.v3.CommonGrpcAccessLogConfig",
        &[
            honoured(&["log_name", "grpc_service", "buffer_flush_interval", "buffer_size_bytes"]),
            honoured(&["custom_tags"]),
            only(&["transport_api_version"], &["V3"]),
            refused(&["filter_state_objects_to_log"], NO_FILTER_STATE),
            refused(
                &["grpc_stream_retry_policy"],
                "leave it out: a stream that fails is opened again in any case",
            ),
        ],
    ),
    message("opentelemetry.proto.common.v1.KeyValueList", &[honoured(&["values"])]),
    message("opentelemetry.proto.common.v1.ArrayValue", &[honoured(&["values"])]),
    message("opentelemetry.proto.common.v1.KeyValue", &[honoured(&["key", "value"])]),
    message(
        "opentelemetry.proto.common.v1.AnyValue",
        &[
            honoured(&["string_value", "array_value", "kvlist_value"]),
            honoured(&["bool_value", "int_value", "double_value", "bytes_value"]),
        ],
    ),
    message(
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.HcmAccessLogOptions",
        &[
            honoured(&["access_log_flush_interval", "flush_access_log_on_new_request"]),
            honoured(&["flush_log_on_tunnel_successfully_established"]),
        ],
    ),
    message(
        "envoy.config.accesslog.v3.AccessLogFilter",
        &[
            honoured(&["status_code_filter", "duration_filter", "not_health_check_filter"]),
            honoured(&["traceable_filter", "runtime_filter", "and_filter", "or_filter", "header_filter"]),
            honoured(&["response_flag_filter", "grpc_status_filter", "metadata_filter", "log_type_filter"]),
            honoured(&["extension_filter"]),
        ],
    ),
    message(
        "envoy.config.accesslog.v3.ExtensionFilter",
        &[
            honoured(&["name"]),
            holds(&["typed_config"], &["envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"]),
        ],
    ),
    message(
        "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
        &[
            honoured(&["expression"]),
            refused(&["cel_config"], "write the expression without functions of texts that it switches on"),
        ],
    ),
    message("envoy.config.accesslog.v3.StatusCodeFilter", &[honoured(&["comparison"])]),
    message("envoy.config.accesslog.v3.DurationFilter", &[honoured(&["comparison"])]),
    message("envoy.config.accesslog.v3.ComparisonFilter", &[honoured(&["op", "value"])]),
    message(
        "envoy.config.accesslog.v3.RuntimeFilter",
        &[honoured(&["runtime_key", "percent_sampled", "use_independent_randomness"])],
    ),
    message("envoy.config.accesslog.v3.AndFilter", &[honoured(&["filters"])]),
    message("envoy.config.accesslog.v3.OrFilter", &[honoured(&["filters"])]),
    message("envoy.config.accesslog.v3.HeaderFilter", &[honoured(&["header"])]),
    message("envoy.config.accesslog.v3.ResponseFlagFilter", &[honoured(&["flags"])]),
    message("envoy.config.accesslog.v3.GrpcStatusFilter", &[honoured(&["statuses", "exclude"])]),
    message(
        "envoy.config.accesslog.v3.MetadataFilter",
        &[
            no_effect(&["matcher"], "no filter notes anything of requests: match_if_key_not_found counts"),
            honoured(&["match_if_key_not_found"]),
        ],
    ),
    message("envoy.config.accesslog.v3.LogTypeFilter", &[honoured(&["types", "exclude"])]),
];
