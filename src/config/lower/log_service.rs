//! Lowers access logs that go to a service of the network.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::core::v3::{BuildVersion, GrpcService as ProtoGrpcService, Node, node::UserAgentVersionType},
        extensions::access_loggers::{
            grpc::v3::HttpGrpcAccessLogConfig, open_telemetry::v3::OpenTelemetryAccessLogConfig,
        },
        r#type::{tracing::v3::CustomTag as ProtoTag, v3::SemanticVersion},
    },
    google::protobuf::{Duration as ProtoDuration, UInt32Value},
    opentelemetry::proto::common::v1::{AnyValue, KeyValue, KeyValueList, any_value::Value},
};
use http::HeaderName;
use prost::Message;

use super::{Lowering, resource::resource_attributes, tracers};
use crate::{
    config::FieldPath,
    proto_writer::{put_bytes, put_text},
    snapshot::{
        access_log::LogSink,
        delivery::OtlpExporter,
        log_service::{AnyFormat, HttpEntryFormat, LogProtocol, LogRecordFormat, LogService},
        tracing::{CustomTag, TagValue},
    },
};

/// What a worker gathers unless it is told otherwise.
const BUFFER_BYTES: u32 = 16_384;
/// And at most, since it is sent as one message.
const MOST_BUFFER_BYTES: usize = 256 << 10;
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// `Resource.attributes`; `StreamAccessLogsMessage.Identifier.node` and `log_name`
const ATTRIBUTES: u32 = 1;
const NODE: u32 = 1;
const LOG_NAME: u32 = 2;

impl Lowering<'_> {
    /// An access log of log records.
    pub(super) fn open_telemetry_log(
        &mut self,
        path: &FieldPath<'_>,
        config: &OpenTelemetryAccessLogConfig,
    ) -> Option<LogSink> {
        let (exporter, cluster) = self.log_exporter(path, config)?;
        #[expect(deprecated, reason = "Envoy still reads the field that grpc_service replaced")]
        let common = config.common_config.clone().unwrap_or_default();
        let common_path = path.field("common_config");
        // What stands above counts before the older message.
        let first = |own: &str, older: &str| if own.is_empty() { older.to_owned() } else { own.to_owned() };
        let log_name = first(&config.log_name, &common.log_name);
        let buffer = config.buffer_size_bytes.or(common.buffer_size_bytes);
        let (interval_path, interval) = match &config.buffer_flush_interval {
            Some(interval) => (path.field("buffer_flush_interval"), Some(*interval)),
            None => (common_path.field("buffer_flush_interval"), common.buffer_flush_interval),
        };
        let interval = self.flush_interval(&interval_path, interval.as_ref());
        let resource = self.log_resource(config, &log_name);
        let service = LogService {
            name: if log_name.is_empty() { cluster } else { log_name.into() },
            protocol: LogProtocol::OpenTelemetry { exporter, resource },
            buffer_bytes: buffer_bytes(buffer),
            interval,
            stat_prefix: config.stat_prefix.as_str().into(),
        };
        let body = config.body.as_ref().filter(|body| body.value.is_some());
        let record = LogRecordFormat {
            body: match body {
                Some(body) => Some(self.any_format(&path.field("body"), body)?),
                None => None,
            },
            attributes: match &config.attributes {
                Some(list) => self.map_format(&path.field("attributes"), list)?,
                None => Vec::new(),
            },
            tags: self.log_tags(path, &config.custom_tags, &common.custom_tags),
        };
        Some(LogSink::OpenTelemetry(self.log_service(service), record))
    }

    /// The one service that takes records, and the name of its cluster.
    fn log_exporter(
        &mut self,
        path: &FieldPath<'_>,
        config: &OpenTelemetryAccessLogConfig,
    ) -> Option<(OtlpExporter, Box<str>)> {
        #[expect(deprecated, reason = "Envoy still reads the field that grpc_service replaced")]
        let common = config.common_config.as_ref().and_then(|common| common.grpc_service.as_ref());
        let common_path = path.field("common_config");
        let exporter = match (&config.grpc_service, &config.http_service, common) {
            (Some(service), None, None) => {
                OtlpExporter::Grpc(self.grpc_service(&path.field("grpc_service"), service)?)
            }
            (None, None, Some(service)) => {
                OtlpExporter::Grpc(self.grpc_service(&common_path.field("grpc_service"), service)?)
            }
            (None, Some(service), None) => {
                OtlpExporter::Http(self.http_service(&path.field("http_service"), service)?)
            }
            (None, None, None) => {
                let hint = "give a grpc_service or an http_service";
                self.problems.push_with_hint(path, "nowhere to send entries", hint);
                return None;
            }
            _ => {
                self.problems.push_with_hint(
                    path,
                    "more than one of grpc_service, http_service and common_config.grpc_service",
                    "entries go to one collector: leave the others out",
                );
                return None;
            }
        };
        let cluster = match &exporter {
            OtlpExporter::Grpc(service) => service.cluster,
            OtlpExporter::Http(service) => service.cluster,
        };
        let name = self.clusters.get(cluster.0).map(|cluster| (&*cluster.name).into());
        Some((exporter, name.unwrap_or_default()))
    }

    /// Whose entries they are: labels of the node, then what detectors find, then what is configured; of two with one
    /// key the later counts.
    fn log_resource(&self, config: &OpenTelemetryAccessLogConfig, log_name: &str) -> Box<[u8]> {
        let mut attributes: Vec<KeyValue> = Vec::new();
        let mut set =
            |attribute: KeyValue| match attributes.iter_mut().find(|known| known.key == attribute.key) {
                Some(known) => *known = attribute,
                None => attributes.push(attribute),
            };
        if !config.disable_builtin_labels {
            let node = &self.node;
            for (key, value) in [
                ("log_name", log_name),
                ("zone_name", &*node.zone),
                ("cluster_name", &*node.cluster),
                ("node_name", &*node.id),
            ] {
                set(text_attribute(key, value));
            }
        }
        for (key, value) in resource_attributes(
            "",
            tracers::SDK,
            super::resource::ResourceParts { service_name: false, telemetry_sdk: false },
            &config.resource_detectors.iter().filter_map(tracers::resource_detector).collect::<Vec<_>>(),
        ) {
            set(text_attribute(&key, &value));
        }
        for attribute in config.resource_attributes.iter().flat_map(|list| &list.values) {
            set(attribute.clone());
        }
        let mut resource = Vec::new();
        for attribute in attributes {
            put_bytes(&mut resource, ATTRIBUTES, &attribute.encode_to_vec());
        }
        resource.into()
    }

    fn any_format(&mut self, path: &FieldPath<'_>, value: &AnyValue) -> Option<AnyFormat> {
        Some(match &value.value {
            Some(Value::StringValue(text)) => {
                AnyFormat::Text(self.format(&path.field("string_value"), text)?)
            }
            Some(Value::ArrayValue(list)) => {
                let path = path.field("array_value.values");
                let mut items = Vec::with_capacity(list.values.len());
                for (index, item) in list.values.iter().enumerate() {
                    items.push(self.any_format(&path.index(index), item)?);
                }
                AnyFormat::List(items)
            }
            Some(Value::KvlistValue(list)) => {
                AnyFormat::Map(self.map_format(&path.field("kvlist_value"), list)?)
            }
            // As in Envoy.
            _ => {
                self.problems.push_with_hint(
                    path,
                    "a value of an entry is a string_value, a kvlist_value or an array_value",
                    "write it as a text",
                );
                return None;
            }
        })
    }

    fn map_format(
        &mut self,
        path: &FieldPath<'_>,
        list: &KeyValueList,
    ) -> Option<Vec<(Box<str>, AnyFormat)>> {
        let path = path.field("values");
        let mut members = Vec::with_capacity(list.values.len());
        for (index, KeyValue { key, value, .. }) in list.values.iter().enumerate() {
            let empty = AnyValue::default();
            let path = path.index(index);
            let value = self.any_format(&path.field("value"), value.as_ref().unwrap_or(&empty))?;
            members.push((key.as_str().into(), value));
        }
        Some(members)
    }

    /// An access log of an `AccessLogService`.
    pub(super) fn http_grpc_log(
        &mut self,
        path: &FieldPath<'_>,
        config: &HttpGrpcAccessLogConfig,
    ) -> Option<LogSink> {
        let common = config.common_config.clone().unwrap_or_default();
        let common_path = path.field("common_config");
        let service = common.grpc_service.as_ref().unwrap_or(&EMPTY);
        let service = self.grpc_service(&common_path.field("grpc_service"), service)?;
        let interval_path = common_path.field("buffer_flush_interval");
        let service = LogService {
            name: common.log_name.as_str().into(),
            protocol: LogProtocol::AccessLogService {
                service,
                identifier: self.identifier(&common.log_name),
            },
            buffer_bytes: buffer_bytes(common.buffer_size_bytes),
            interval: self.flush_interval(&interval_path, common.buffer_flush_interval.as_ref()),
            stat_prefix: "".into(),
        };
        let mut names = |field: &str, names: &[String]| {
            let path = path.field(field);
            let name = |(index, name): (usize, &String)| self.header_name(&path.index(index), name);
            names.iter().enumerate().filter_map(name).collect::<Vec<HeaderName>>()
        };
        let request_headers =
            names("additional_request_headers_to_log", &config.additional_request_headers_to_log);
        let response_headers =
            names("additional_response_headers_to_log", &config.additional_response_headers_to_log);
        let response_trailers =
            names("additional_response_trailers_to_log", &config.additional_response_trailers_to_log);
        let tags = self.log_tags(&common_path, &common.custom_tags, &[]);
        let entry = HttpEntryFormat { request_headers, response_headers, response_trailers, tags };
        Some(LogSink::AccessLogService(self.log_service(service), entry))
    }

    /// Who sends: what the first message of a stream says.
    fn identifier(&self, log_name: &str) -> Box<[u8]> {
        let mut numbers = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap_or_default());
        let mut number = || numbers.next().unwrap_or_default();
        let version = SemanticVersion { major_number: number(), minor_number: number(), patch: number() };
        let node = Node {
            user_agent_name: "spanway".to_owned(),
            user_agent_version_type: Some(UserAgentVersionType::UserAgentBuildVersion(BuildVersion {
                version: Some(version),
                metadata: None,
            })),
            ..self.proto_node.clone()
        };
        let mut identifier = Vec::new();
        put_bytes(&mut identifier, NODE, &node.encode_to_vec());
        put_text(&mut identifier, LOG_NAME, log_name);
        identifier.into()
    }

    /// Custom tags of entries; those of the older message come behind.
    fn log_tags(&mut self, path: &FieldPath<'_>, own: &[ProtoTag], older: &[ProtoTag]) -> Vec<CustomTag> {
        let mut tags = self.custom_tags(&path.field("custom_tags"), own);
        tags.extend(self.custom_tags(&path.field("common_config.custom_tags"), older));
        self.observes_route |= tags.iter().any(|tag| matches!(tag.value, TagValue::RouteMetadata(..)));
        tags
    }

    fn flush_interval(&mut self, path: &FieldPath<'_>, interval: Option<&ProtoDuration>) -> Duration {
        let interval = interval.map(|interval| self.duration(path, interval));
        interval.filter(|interval| !interval.is_zero()).unwrap_or(FLUSH_INTERVAL)
    }

    /// The place of a service, which several access logs may have.
    fn log_service(&mut self, service: LogService) -> usize {
        let known = self.log_services.iter().position(|known| **known == service);
        known.unwrap_or_else(|| {
            self.log_services.push(Arc::new(service));
            self.log_services.len() - 1
        })
    }
}

/// Stands for a service that is missing, which was told before.
static EMPTY: ProtoGrpcService = ProtoGrpcService {
    target_specifier: None,
    timeout: None,
    initial_metadata: Vec::new(),
    retry_policy: None,
};

fn buffer_bytes(configured: Option<UInt32Value>) -> usize {
    super::number(configured.as_ref(), BUFFER_BYTES).try_into().unwrap_or(usize::MAX).min(MOST_BUFFER_BYTES)
}

fn text_attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}
