//! Access logs, and filters of them.

use super::{MessageRow, holds, honoured, message, no_effect, refused};

/// The access logs that spanway has.
pub(super) const LOGS: &[&str] = &[
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
];

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
            refused(&["extension_filter"], "use the filters that Envoy has built in"),
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
