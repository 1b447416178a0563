//! How statistics are named, and where they are sent.

use super::{MessageRow, honoured, message, no_effect};

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
];
