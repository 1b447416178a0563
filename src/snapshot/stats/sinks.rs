//! Where statistics are sent. `Bootstrap.stats_sinks`.

use std::time::Duration;

use crate::{
    snapshot::{Address, ClusterId, delivery::OtlpExporter},
    stats::{Scope, StatsSinkStats},
};

/// When statistics are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatsFlush {
    /// Each time that so long has passed. Default 5 s, from 1 ms to 5 min. `Bootstrap.stats_flush_interval`.
    Every(Duration),
    /// When `/stats` or `/stats/prometheus` is asked for. `Bootstrap.stats_flush_on_admin`.
    OnAdmin,
}

/// One place that statistics are sent to. `config.metrics.v3.StatsSink`.
#[derive(Debug)]
pub(crate) struct StatsSink {
    /// What the log calls it. `StatsSink.name`.
    pub(crate) name: Box<str>,
    /// In which way.
    pub(crate) kind: StatsSinkKind,
    /// What is counted of it.
    pub(crate) stats: Scope<StatsSinkStats>,
}

impl StatsSink {
    /// What its own statistics call it.
    pub(crate) fn short_name(&self) -> &'static str {
        match &self.kind {
            StatsSinkKind::Statsd(statsd) if statsd.tags => "dog_statsd",
            StatsSinkKind::Statsd(_) => "statsd",
            StatsSinkKind::OpenTelemetry(_) => "open_telemetry",
        }
    }
}

/// How statistics are sent.
#[derive(Debug)]
pub(crate) enum StatsSinkKind {
    /// `config.metrics.v3.StatsdSink`, `config.metrics.v3.DogStatsdSink`
    Statsd(Statsd),
    /// `extensions.stat_sinks.open_telemetry.v3.SinkConfig`
    OpenTelemetry(OpenTelemetrySink),
}

/// Lines.
#[derive(Debug)]
pub(crate) struct Statsd {
    /// Where they go.
    pub(crate) address: StatsdAddress,
    /// Goes before names, with a dot. Default `envoy`. `prefix`.
    pub(crate) prefix: Box<str>,
    /// Tags stand behind the value, in DogStatsD's way, and not in the name.
    pub(crate) tags: bool,
    /// Several lines go in a datagram of so many bytes. Default one line in each. `DogStatsdSink.max_bytes_per_datagram`.
    pub(crate) datagram_bytes: Option<usize>,
}

/// Where lines go.
#[derive(Debug)]
pub(crate) enum StatsdAddress {
    /// In datagrams, over UDP or to a socket at a path. `address`.
    Datagrams(Address),
    /// Over a TCP connection. `StatsdSink.tcp_cluster_name`.
    Cluster(ClusterId),
}

/// Metrics of OTLP.
#[derive(Debug)]
pub(crate) struct OpenTelemetrySink {
    /// Who takes them. `grpc_service`, `http_service`.
    pub(crate) exporter: OtlpExporter,
    /// Who sends them: keys and values. `resource_detectors`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_SERVICE_NAME`.
    pub(crate) resource: Vec<(String, String)>,
    /// Counters tell what came since the last time. Default false. `report_counters_as_deltas`.
    pub(crate) counters_as_deltas: bool,
    /// Histograms do. Default false. `report_histograms_as_deltas`.
    pub(crate) histograms_as_deltas: bool,
    /// Tags are attributes. Default true. `emit_tags_as_attributes`.
    pub(crate) tags: bool,
    /// Names are without what became tags. Default true. `use_tag_extracted_name`.
    pub(crate) extracted_names: bool,
    /// Goes before names, with a dot. Default none. `prefix`.
    pub(crate) prefix: Box<str>,
    /// A call has so many data points at most. Default 5,000 (Envoy: no limit), so that a call is no longer than collectors
    /// take. `max_data_points_per_request`.
    pub(crate) max_points: usize,
}
