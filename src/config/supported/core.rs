//! Messages that many places share.

use super::{MessageRow, honoured, message, no_effect, refused};

pub(super) const TABLE: &[MessageRow] = &[
    message("envoy.config.core.v3.Locality", &[honoured(&["zone", "region", "sub_zone"])]),
    message(
        "envoy.config.core.v3.Address",
        &[
            honoured(&["socket_address", "pipe"]),
            refused(&["envoy_internal_address"], "use socket_address or pipe"),
        ],
    ),
    message(
        "envoy.config.core.v3.SocketAddress",
        &[
            // UDP is refused where it is not for datagrams, by lowering.
            honoured(&["protocol"]),
            honoured(&["address", "port_value"]),
            refused(&["ipv4_compat"], "listen on an IPv4 and an IPv6 address"),
            refused(&["named_port", "resolver_name"], "use port_value"),
        ],
    ),
    message(
        "envoy.config.core.v3.Pipe",
        &[honoured(&["path"]), refused(&["mode"], "the socket has the permissions that the umask gives")],
    ),
    message(
        "envoy.config.core.v3.TcpKeepalive",
        &[honoured(&["keepalive_probes", "keepalive_time", "keepalive_interval"])],
    ),
    message("envoy.config.core.v3.CidrRange", &[honoured(&["address_prefix", "prefix_len"])]),
    message(
        "envoy.config.core.v3.DataSource",
        &[
            honoured(&["filename", "inline_bytes", "inline_string", "environment_variable"]),
            refused(&["watched_directory"], "the file is read once"),
        ],
    ),
    message(
        "envoy.config.core.v3.SubstitutionFormatString",
        &[
            honoured(&["text_format", "text_format_source", "json_format", "content_type"]),
            honoured(&["omit_empty_values"]),
            no_effect(&["json_format_options"], "the properties are written in the order of their names"),
            refused(&["formatters"], "use the built-in commands"),
        ],
    ),
    message(
        "envoy.config.core.v3.HeaderValueOption",
        &[honoured(&["header", "append", "append_action", "keep_empty_value"])],
    ),
    message("envoy.config.core.v3.HeaderValue", &[honoured(&["key", "value", "raw_value"])]),
    message(
        "envoy.config.core.v3.GrpcService",
        &[
            honoured(&["envoy_grpc", "timeout", "initial_metadata"]),
            refused(&["google_grpc"], "use envoy_grpc"),
            refused(&["retry_policy"], "leave it out"),
        ],
    ),
    message(
        "envoy.config.core.v3.GrpcService.EnvoyGrpc",
        &[
            honoured(&["cluster_name", "authority"]),
            no_effect(&["skip_envoy_headers"], "such headers are not added to the proxy's own calls"),
            refused(&["retry_policy"], "leave it out"),
        ],
    ),
    message("envoy.type.v3.Percent", &[honoured(&["value"])]),
    message(
        "envoy.config.core.v3.Metadata",
        &[honoured(&["filter_metadata"]), refused(&["typed_filter_metadata"], "give it as filter_metadata")],
    ),
];
