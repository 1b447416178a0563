//! Lowers where statistics are sent, and when: `Bootstrap.stats_sinks`, `stats_flush_interval`, `stats_flush_on_admin`.

use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::{
            bootstrap::v3::{Bootstrap, bootstrap::StatsFlush as FlushKind},
            core::v3::Address as ProtoAddress,
            metrics::v3::{
                DogStatsdSink, StatsSink as ProtoStatsSink, StatsdSink, dog_statsd_sink::DogStatsdSpecifier,
                stats_sink::ConfigType, statsd_sink::StatsdSpecifier,
            },
        },
        extensions::stat_sinks::open_telemetry::v3::{SinkConfig, sink_config::ProtocolSpecifier},
    },
    google::protobuf::Any,
};

use super::{
    Lowering,
    resource::{ResourceDetector, ResourceParts, resource_attributes},
    tracers::{SDK, is_default_true, resource_detector},
    unpack,
};
use crate::{
    config::FieldPath,
    snapshot::{
        delivery::OtlpExporter,
        stats::{OpenTelemetrySink, StatsFlush, StatsSink, StatsSinkKind, Statsd, StatsdAddress},
    },
};

/// `Bootstrap.stats_flush_interval`
const FLUSH_INTERVAL: Duration = Duration::from_secs(5);
/// `StatsdSink.prefix`, `DogStatsdSink.prefix`
const PREFIX: &str = "envoy";

/// `SinkConfig.max_data_points_per_request`: 0.7 MB with short names, where the usual limit of a gRPC message is 4 MB.
const POINTS: usize = 5_000;

impl Lowering<'_> {
    /// `Bootstrap.stats_flush_interval`, `Bootstrap.stats_flush_on_admin`
    pub(super) fn stats_flush(&mut self, bootstrap: &Bootstrap) -> StatsFlush {
        let interval = bootstrap.stats_flush_interval.as_ref();
        if let Some(FlushKind::StatsFlushOnAdmin(true)) = bootstrap.stats_flush {
            if interval.is_some() {
                self.problems.push_with_hint(
                    &FieldPath::ROOT.field("stats_flush_on_admin"),
                    "both stats_flush_on_admin and stats_flush_interval",
                    "statistics are sent at intervals, or when they are asked for: leave one of them out",
                );
            }
            return StatsFlush::OnAdmin;
        }
        let path = FieldPath::ROOT.field("stats_flush_interval");
        StatsFlush::Every(interval.map_or(FLUSH_INTERVAL, |interval| self.duration(&path, interval)))
    }

    /// `Bootstrap.stats_sinks`
    pub(super) fn stats_sinks(&mut self, bootstrap: &Bootstrap) -> Vec<StatsSink> {
        let path = FieldPath::ROOT.field("stats_sinks");
        let mut sinks = Vec::new();
        for (index, sink) in bootstrap.stats_sinks.iter().enumerate() {
            sinks.extend(self.stats_sink(bootstrap, &path.index(index), sink));
        }
        sinks
    }

    fn stats_sink(
        &mut self,
        bootstrap: &Bootstrap,
        path: &FieldPath<'_>,
        sink: &ProtoStatsSink,
    ) -> Option<StatsSink> {
        let Some(ConfigType::TypedConfig(config)) = &sink.config_type else {
            self.problems.push_with_hint(
                path,
                "no typed_config",
                "give one, such as envoy.config.metrics.v3.StatsdSink",
            );
            return None;
        };
        let path = path.field("typed_config");
        let kind = match unpack::<SinkConfig>(config) {
            Some(config) => StatsSinkKind::OpenTelemetry(self.opentelemetry_sink(bootstrap, &path, &config)?),
            // Another type was refused before.
            None => StatsSinkKind::Statsd(self.statsd(&path, config)?),
        };
        Some(StatsSink { name: sink.name.as_str().into(), kind, stats: Default::default() })
    }

    fn statsd(&mut self, path: &FieldPath<'_>, config: &Any) -> Option<Statsd> {
        if let Some(config) = unpack::<DogStatsdSink>(config) {
            let DogStatsdSpecifier::Address(address) = config.dog_statsd_specifier?;
            let bytes = config.max_bytes_per_datagram;
            return Some(Statsd {
                address: self.statsd_address(path, &address)?,
                prefix: prefix(&config.prefix),
                tags: true,
                datagram_bytes: bytes.map(|bytes| usize::try_from(bytes.value).unwrap_or(usize::MAX)),
            });
        }
        let config = unpack::<StatsdSink>(config)?;
        let address = match config.statsd_specifier? {
            StatsdSpecifier::Address(address) => self.statsd_address(path, &address)?,
            StatsdSpecifier::TcpClusterName(name) => {
                StatsdAddress::Cluster(self.cluster_id(&path.field("tcp_cluster_name"), &name)?)
            }
        };
        Some(Statsd { address, prefix: prefix(&config.prefix), tags: false, datagram_bytes: None })
    }

    fn statsd_address(&mut self, path: &FieldPath<'_>, address: &ProtoAddress) -> Option<StatsdAddress> {
        self.datagram_address(&path.field("address"), Some(address)).map(StatsdAddress::Datagrams)
    }

    fn opentelemetry_sink(
        &mut self,
        bootstrap: &Bootstrap,
        path: &FieldPath<'_>,
        config: &SinkConfig,
    ) -> Option<OpenTelemetrySink> {
        let exporter = match config.protocol_specifier.as_ref()? {
            ProtocolSpecifier::GrpcService(service) => {
                OtlpExporter::Grpc(self.grpc_service(&path.field("grpc_service"), service)?)
            }
            ProtocolSpecifier::HttpService(service) => {
                OtlpExporter::Http(self.http_service(&path.field("http_service"), service)?)
            }
        };
        Some(OpenTelemetrySink {
            exporter,
            resource: self.sink_resource(bootstrap, config),
            counters_as_deltas: config.report_counters_as_deltas,
            histograms_as_deltas: config.report_histograms_as_deltas,
            tags: is_default_true(config.emit_tags_as_attributes.as_ref()),
            extracted_names: is_default_true(config.use_tag_extracted_name.as_ref()),
            prefix: config.prefix.as_str().into(),
            max_points: match config.max_data_points_per_request {
                0 => POINTS,
                most => usize::try_from(most).unwrap_or(usize::MAX),
            },
        })
    }

    /// Who sends statistics. Of several proxies that are one service each has to be another to a collector.
    fn sink_resource(&mut self, bootstrap: &Bootstrap, config: &SinkConfig) -> Vec<(String, String)> {
        let node = bootstrap.node.clone().unwrap_or_default();
        let environment = self.environment();
        let mut detectors = Vec::new();
        if !node.id.is_empty() {
            detectors.push(ResourceDetector::Static(vec![("service.instance.id".to_owned(), node.id)]));
        }
        if config.resource_detectors.is_empty() {
            let mut attributes = environment.resource.clone();
            attributes.retain(|(key, _)| environment.service_name.is_none() || key != "service.name");
            detectors.push(ResourceDetector::Static(attributes));
        } else {
            detectors.extend(config.resource_detectors.iter().filter_map(resource_detector));
        }
        let service = environment.service_name.clone().unwrap_or(node.cluster);
        let parts = ResourceParts { service_name: true, telemetry_sdk: true };
        resource_attributes(&service, SDK, parts, &detectors)
    }
}

fn prefix(said: &str) -> Box<str> {
    if said.is_empty() { PREFIX.into() } else { said.into() }
}
