//! How statistics are named, and where they are sent.

use super::{MessageRow, holds, honoured, message, no_effect, refused};

pub(super) const TABLE: &[MessageRow] = &[
    message(
        "envoy.config.metrics.v3.StatsConfig",
        &[honoured(&[
            "stats_tags",
            "use_all_default_tags",
            "stats_matcher",
            "histogram_bucket_settings",
            "allow_default_tag_overrides",
        ])],
    ),
    message("envoy.config.metrics.v3.TagSpecifier", &[honoured(&["tag_name", "regex", "fixed_value"])]),
    message(
        "envoy.config.metrics.v3.StatsMatcher",
        &[honoured(&["reject_all", "exclusion_list", "inclusion_list"])],
    ),
    message("envoy.type.matcher.v3.ListStringMatcher", &[honoured(&["patterns"])]),
    message(
        "envoy.config.metrics.v3.HistogramBucketSettings",
        &[
            honoured(&["match", "buckets"]),
            no_effect(&["bins"], "a histogram has as many bins as its values need"),
        ],
    ),
    message(
        "envoy.config.metrics.v3.StatsSink",
        &[
            honoured(&["name"]),
            holds(
                &["typed_config"],
                &[
                    "envoy.config.metrics.v3.StatsdSink",
                    "envoy.config.metrics.v3.DogStatsdSink",
                    "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
                ],
            ),
        ],
    ),
    message("envoy.config.metrics.v3.StatsdSink", &[honoured(&["address", "tcp_cluster_name", "prefix"])]),
    message(
        "envoy.config.metrics.v3.DogStatsdSink",
        &[honoured(&["address", "prefix", "max_bytes_per_datagram"])],
    ),
    message(
        "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig",
        &[
            honoured(&[
                "grpc_service",
                "http_service",
                "resource_detectors",
                "report_counters_as_deltas",
                "report_histograms_as_deltas",
                "emit_tags_as_attributes",
                "use_tag_extracted_name",
                "prefix",
                "max_data_points_per_request",
            ]),
            refused(
                &["custom_metric_conversions"],
                "use stats_config: its stats_matcher drops, its stats_tags name",
            ),
        ],
    ),
];
