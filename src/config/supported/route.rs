//! Routes: which request goes where, and what is changed on the way.

use super::{MessageRow, guarded, holds, honoured, message, no_effect, only, refused};

const PER_FILTER: &str = "no filter takes settings per route yet";
const HEDGING: &str = "an attempt begins when the one before has failed";
const UNREAD: &str = "nothing reads it";

const HEADERS: &[&str] = &[
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "response_headers_to_remove",
];

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.config.route.v3.RouteConfiguration",
        &[
            honoured(&["name", "virtual_hosts", "internal_only_headers", "validate_clusters"]),
            honoured(HEADERS),
            honoured(&["most_specific_header_mutations_wins", "max_direct_response_body_size_bytes"]),
            honoured(&["ignore_port_in_host_matching"]),
            guarded(&["ignore_path_parameters_in_path_matching"], "paths are compared whole"),
            no_effect(&["metadata"], UNREAD),
            refused(&["vhds"], "give the virtual hosts in virtual_hosts"),
            honoured(&["request_mirror_policies"]),
            guarded(&["typed_per_filter_config"], PER_FILTER),
        ],
    ),
    message(
        "envoy.config.route.v3.VirtualHost",
        &[
            honoured(&["name", "domains", "routes"]),
            honoured(HEADERS),
            honoured(&["include_request_attempt_count", "include_attempt_count_in_response"]),
            honoured(&["virtual_clusters", "metadata"]),
            honoured(&["retry_policy"]),
            refused(&["retry_policy_typed_config"], "use retry_policy"),
            refused(&["hedge_policy"], HEDGING),
            honoured(&["request_mirror_policies"]),
            only(&["require_tls"], &["NONE", "ALL"]),
            guarded(&["cors"], "the CORS filter is not there yet"),
            guarded(&["rate_limits"], "the rate limit filter is not there yet"),
            guarded(&["matcher"], "use routes"),
            guarded(&["typed_per_filter_config"], PER_FILTER),
        ],
    ),
    message("envoy.config.route.v3.VirtualCluster", &[honoured(&["name", "headers"])]),
    message(
        "envoy.config.route.v3.Route",
        &[
            honoured(&["name", "match", "route", "redirect", "direct_response", "decorator", "tracing"]),
            honoured(HEADERS),
            honoured(&["metadata", "stat_prefix"]),
            refused(&["non_forwarding_action", "filter_action"], "use route, redirect or direct_response"),
            guarded(&["typed_per_filter_config"], PER_FILTER),
        ],
    ),
    message(
        "envoy.config.route.v3.RouteMatch",
        &[
            honoured(&["prefix", "path", "safe_regex", "path_separated_prefix", "case_sensitive"]),
            honoured(&["headers", "query_parameters", "grpc", "runtime_fraction"]),
            // A condition that is left out makes a route take more requests than it should.
            guarded(&["path_match_policy"], "use prefix, path, path_separated_prefix or safe_regex"),
            guarded(&["tls_context"], "routes are not chosen by certificates yet"),
            guarded(&["connect_matcher"], "CONNECT is not there yet"),
            guarded(&["dynamic_metadata", "filter_state", "cookies"], "match on headers"),
        ],
    ),
    message(
        "envoy.config.route.v3.HeaderMatcher",
        &[
            honoured(&["name", "exact_match", "prefix_match", "suffix_match", "contains_match"]),
            honoured(&["safe_regex_match", "range_match", "present_match", "invert_match"]),
            honoured(&["string_match", "treat_missing_header_as_empty"]),
        ],
    ),
    message(
        "envoy.config.route.v3.QueryParameterMatcher",
        &[honoured(&["name", "string_match", "present_match"])],
    ),
    message(
        "envoy.config.route.v3.RouteAction",
        &[
            honoured(&["cluster", "cluster_header", "weighted_clusters", "cluster_not_found_response_code"]),
            honoured(&["prefix_rewrite", "regex_rewrite", "host_rewrite_literal", "host_rewrite_header"]),
            honoured(&["auto_host_rewrite", "host_rewrite_path_regex", "append_x_forwarded_host"]),
            honoured(&["timeout", "idle_timeout", "hash_policy", "upgrade_configs"]),
            only(&["priority"], &["DEFAULT"]),
            guarded(&["metadata_match"], "subsets of a cluster are not there yet"),
            honoured(&["retry_policy"]),
            refused(&["retry_policy_typed_config"], "use retry_policy"),
            refused(&["hedge_policy"], HEDGING),
            honoured(&["request_mirror_policies"]),
            refused(&["internal_redirect_policy"], "redirects are passed on to the client"),
            refused(&["max_stream_duration"], "use timeout"),
            refused(
                &["cluster_specifier_plugin", "inline_cluster_specifier_plugin"],
                "use cluster, cluster_header or weighted_clusters",
            ),
            guarded(&["cors"], "the CORS filter is not there yet"),
            guarded(&["rate_limits", "include_vh_rate_limits"], "the rate limit filter is not there yet"),
        ],
    ),
    message(
        "envoy.config.route.v3.RouteAction.RequestMirrorPolicy",
        &[
            honoured(&["cluster", "runtime_fraction", "disable_shadow_host_suffix_append"]),
            honoured(&["host_rewrite_literal", "trace_sampled"]),
            refused(&["cluster_header"], "give the cluster's name"),
            refused(&["request_headers_mutations"], "a copy has the headers of its request"),
        ],
    ),
    message(
        "envoy.config.route.v3.RetryPolicy",
        &[
            honoured(&["retry_on", "num_retries", "per_try_timeout", "retriable_status_codes"]),
            honoured(&["retriable_headers", "retriable_request_headers", "retry_back_off"]),
            honoured(&["retry_host_predicate", "host_selection_retry_max_attempts"]),
            refused(&["per_try_idle_timeout"], "use per_try_timeout"),
            refused(&["retry_priority"], "all hosts of a cluster have the same priority"),
            refused(&["retry_options_predicates"], "every attempt is made as the first was"),
            refused(&["rate_limited_retry_back_off"], "use retry_back_off"),
        ],
    ),
    message(
        "envoy.config.route.v3.RetryPolicy.RetryHostPredicate",
        &[
            honoured(&["name"]),
            holds(
                &["typed_config"],
                &["envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"],
            ),
        ],
    ),
    message(
        "envoy.config.route.v3.RetryPolicy.RetryBackOff",
        &[honoured(&["base_interval", "max_interval"])],
    ),
    message(
        "envoy.config.route.v3.RouteAction.HashPolicy",
        &[
            honoured(&["header", "connection_properties", "query_parameter", "terminal"]),
            refused(&["cookie", "filter_state"], "hash a header, a query parameter or the source address"),
        ],
    ),
    message("envoy.config.route.v3.RouteAction.HashPolicy.Header", &[honoured(&["header_name"])]),
    message("envoy.config.route.v3.RouteAction.HashPolicy.ConnectionProperties", &[honoured(&["source_ip"])]),
    message("envoy.config.route.v3.RouteAction.HashPolicy.QueryParameter", &[honoured(&["name"])]),
    message(
        "envoy.config.route.v3.RouteAction.UpgradeConfig",
        &[honoured(&["upgrade_type", "enabled"]), refused(&["connect_config"], "CONNECT is not there yet")],
    ),
    message(
        "envoy.config.route.v3.WeightedCluster",
        &[
            honoured(&["clusters", "total_weight"]),
            no_effect(&["runtime_key_prefix"], "there is no runtime: the weights are those given"),
            refused(&["header_name", "use_hash_policy"], "the cluster is chosen at random"),
        ],
    ),
    message(
        "envoy.config.route.v3.WeightedCluster.ClusterWeight",
        &[
            honoured(&["name", "weight"]),
            refused(&["host_rewrite_literal"], "give it in the route"),
            honoured(HEADERS),
            refused(&["cluster_header"], "give the cluster's name"),
            guarded(&["metadata_match"], "subsets of a cluster are not there yet"),
            guarded(&["typed_per_filter_config"], PER_FILTER),
        ],
    ),
    message(
        "envoy.config.route.v3.RedirectAction",
        &[
            honoured(&["host_redirect", "path_redirect", "prefix_rewrite", "regex_rewrite", "port_redirect"]),
            honoured(&["https_redirect", "scheme_redirect", "response_code", "strip_query"]),
        ],
    ),
    message(
        "envoy.config.route.v3.DirectResponseAction",
        &[honoured(&["status", "body"]), refused(&["body_format"], "give the text in body")],
    ),
    message("envoy.config.route.v3.Decorator", &[honoured(&["operation", "propagate"])]),
    message("envoy.type.matcher.v3.RegexMatchAndSubstitute", &[honoured(&["pattern", "substitution"])]),
    message(
        "envoy.type.matcher.v3.RegexMatcher",
        &[
            honoured(&["regex"]),
            no_effect(&["google_re2"], "there is one regular expression engine, and it runs in linear time"),
        ],
    ),
    message(
        "envoy.type.matcher.v3.StringMatcher",
        &[
            honoured(&["exact", "prefix", "suffix", "contains", "safe_regex", "ignore_case"]),
            guarded(&["custom"], "use exact, prefix, suffix, contains or safe_regex"),
        ],
    ),
    message("envoy.type.v3.Int64Range", &[honoured(&["start", "end"])]),
    message("envoy.config.core.v3.RuntimeFractionalPercent", &[honoured(&["default_value", "runtime_key"])]),
    message("envoy.config.core.v3.RuntimeUInt32", &[honoured(&["default_value", "runtime_key"])]),
    message(
        "envoy.config.route.v3.Tracing",
        &[
            honoured(&["client_sampling", "random_sampling", "overall_sampling", "custom_tags"]),
            honoured(&["operation", "upstream_operation"]),
        ],
    ),
    message(
        "envoy.type.v3.FractionalPercent",
        &[honoured(&["numerator"]), only(&["denominator"], &["HUNDRED", "TEN_THOUSAND", "MILLION"])],
    ),
];
