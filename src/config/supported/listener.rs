//! The bootstrap and its listeners.

use super::{MessageRow, guarded, holds_filters, honoured, message, no_effect, only, refused};

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.config.bootstrap.v3.Bootstrap",
        &[
            honoured(&["node", "static_resources", "layered_runtime"]),
            honoured(&[
                "admin",
                "application_log_config",
                "stats_config",
                "stats_sinks",
                "stats_flush_interval",
                "stats_flush_on_admin",
            ]),
            no_effect(
                &["deferred_stat_options", "stats_eviction_interval"],
                "statistics take memory once something is counted",
            ),
            no_effect(
                &["enable_dispatcher_stats", "stats_server_version_override"],
                "there are no such statistics",
            ),
            no_effect(&["watchdog", "watchdogs"], "workers are not watched"),
            no_effect(&["cluster_manager"], "its settings concern xDS and statistics"),
            no_effect(&["memory_allocator_manager"], "the allocator needs no settings"),
            refused(&["dynamic_resources"], "give listeners and clusters in static_resources"),
            refused(&["tracing"], "give the tracer in tracing.provider of the HTTP connection manager"),
            guarded(&["overload_manager"], "its limits would not hold"),
        ],
    ),
    message("envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig", &[honoured(&["log_format"])]),
    message(
        "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat",
        &[honoured(&["text_format", "json_format"])],
    ),
    message(
        "envoy.config.bootstrap.v3.Admin",
        &[
            honoured(&["address"]),
            no_effect(&["access_log", "access_log_path"], "requests of the admin interface are not logged"),
            no_effect(&["profile_path"], "there is no profiler"),
            no_effect(&["ignore_global_conn_limit"], "there is no global limit"),
            refused(&["socket_options"], "leave it out"),
            guarded(&["allow_paths"], "all paths are answered"),
        ],
    ),
    message(
        "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
        &[
            honoured(&["listeners", "clusters"]),
            guarded(&["secrets"], "give certificates where they are used"),
        ],
    ),
    message("envoy.config.bootstrap.v3.LayeredRuntime", &[honoured(&["layers"])]),
    message(
        "envoy.config.bootstrap.v3.RuntimeLayer",
        &[
            honoured(&["name", "static_layer"]),
            no_effect(&["admin_layer"], "the admin interface does not change the runtime yet"),
            refused(&["disk_layer", "rtds_layer"], "give the keys in a static_layer"),
        ],
    ),
    message(
        "envoy.config.core.v3.Node",
        &[
            honoured(&["id", "cluster", "locality"]),
            no_effect(
                &["metadata", "user_agent_name", "user_agent_version", "client_features"],
                "it is told to a control plane, and there is none",
            ),
        ],
    ),
    message(
        "envoy.config.listener.v3.Listener",
        &[
            honoured(&[
                "name",
                "address",
                "additional_addresses",
                "filter_chains",
                "default_filter_chain",
                "traffic_direction",
                "per_connection_buffer_limit_bytes",
                "tcp_backlog_size",
                "bind_to_port",
            ]),
            only(&["enable_reuse_port"], &["true"]),
            refused(
                &["tcp_keepalive"],
                "use common_http_protocol_options.idle_timeout of the HTTP connection manager",
            ),
            honoured(&["stat_prefix", "metadata"]),
            no_effect(&["drain_type"], "a listener is drained when the process stops, and only then"),
            no_effect(&["reuse_port"], "each worker has its own socket in any case"),
            refused(&["connection_balance_config"], "the kernel spreads connections over the workers"),
            refused(&["access_log"], "use access_log of the HTTP connection manager"),
            refused(&["use_original_dst", "transparent", "freebind", "socket_options"], "leave it out"),
            guarded(&["listener_filters"], "no listener filter is there yet"),
            guarded(&["filter_chain_matcher"], "use one filter chain"),
        ],
    ),
    message("envoy.config.listener.v3.AdditionalAddress", &[honoured(&["address"])]),
    message(
        "envoy.config.listener.v3.FilterChain",
        &[
            honoured(&["name", "filters", "transport_socket", "transport_socket_connect_timeout"]),
            honoured(&["metadata"]),
            guarded(&["filter_chain_match"], "use one filter chain, which takes every connection"),
            guarded(&["use_proxy_proto"], "the PROXY protocol is not there yet"),
        ],
    ),
    message(
        "envoy.config.listener.v3.Filter",
        &[
            honoured(&["name"]),
            holds_filters(
                &["typed_config"],
                &["envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"],
            ),
            guarded(&["config_discovery"], "give the filter's typed_config"),
        ],
    ),
];
