//! Lowers tracers: OpenTelemetry, Zipkin, X-Ray, and the services that take their spans.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{
            core::v3::{
                HttpService as ProtoHttpService, TypedExtensionConfig,
                http_uri::HttpUpstreamType,
                socket_address::{PortSpecifier, Protocol},
            },
            trace::v3::{
                OpenTelemetryConfig, XRayConfig, ZipkinConfig,
                zipkin_config::{CollectorEndpointVersion, TraceContextOption},
            },
        },
        extensions::tracers::opentelemetry::{
            resource_detectors::v3::{EnvironmentResourceDetectorConfig, StaticConfigResourceDetectorConfig},
            samplers::v3::{
                AlwaysOnSamplerConfig, CelSamplerConfig, ParentBasedSamplerConfig,
                TraceIdRatioBasedSamplerConfig,
            },
        },
    },
    google::protobuf::{Any, BoolValue},
};
use http::uri::PathAndQuery;

use super::{
    Lowering, cel,
    metadata::object,
    resource::{
        OTEL_RESOURCE_ATTRIBUTES, ResourceDetector, ResourceParts, Sdk, UNKNOWN_SERVICE, resource_attributes,
    },
    route::fractional_percent,
    unpack,
};
use crate::{
    config::FieldPath,
    snapshot::{
        delivery::{HttpService, OtlpExporter},
        otel_sampler::{ConfiguredSampler, Sampler, TraceIdRatio},
        route::Fraction,
        tracing::{NewTrace, OpenTelemetry, XRay, Zipkin},
        xray_sampling::SamplingStrategy,
    },
};

/// The runtime key `tracing.zipkin.request_timeout` replaces it.
const ZIPKIN_TIMEOUT: Duration = Duration::from_secs(5);
impl Lowering<'_> {
    /// The OpenTelemetry tracer.
    pub(super) fn opentelemetry(
        &mut self,
        path: &FieldPath<'_>,
        config: &OpenTelemetryConfig,
    ) -> Option<OpenTelemetry> {
        let exporter = match (&config.grpc_service, &config.http_service) {
            (Some(service), None) => {
                OtlpExporter::Grpc(self.grpc_service(&path.field("grpc_service"), service)?)
            }
            (None, Some(service)) => {
                OtlpExporter::Http(self.http_service(&path.field("http_service"), service)?)
            }
            (None, None) => {
                self.problems.push_with_hint(
                    path,
                    "nowhere to send spans",
                    "give a grpc_service or an http_service",
                );
                return None;
            }
            (Some(_), Some(_)) => {
                self.problems.push_with_hint(
                    path,
                    "both grpc_service and http_service",
                    "spans go to one collector: leave one of them out",
                );
                return None;
            }
        };
        let sampler = match &config.sampler {
            Some(sampler) => Some(Arc::new(self.configured_sampler(&path.field("sampler"), sampler)?)),
            None => self.environment().sampler.clone(),
        };
        let parts = ResourceParts {
            service_name: is_default_true(config.set_service_name_resource_attribute.as_ref()),
            telemetry_sdk: is_default_true(config.set_telemetry_sdk_resource_attributes.as_ref()),
        };
        let environment = self.environment();
        let mut detectors: Vec<ResourceDetector> =
            config.resource_detectors.iter().filter_map(resource_detector).collect();
        let named = Some(&config.service_name).filter(|name| !name.is_empty());
        let service_name = named.or(environment.service_name.as_ref());
        if config.resource_detectors.is_empty() {
            let mut attributes = environment.resource.clone();
            attributes.retain(|(key, _)| service_name.is_none() || key != "service.name");
            detectors.push(ResourceDetector::Static(attributes));
        }
        let resource = resource_attributes(service_name.map_or("", |name| name), SDK, parts, &detectors);
        let known = resource.iter().find(|(key, _)| key == "service.name").map(|(_, name)| name.as_str());
        let provider = OpenTelemetry {
            service_name: service_name.map_or(known.unwrap_or(UNKNOWN_SERVICE), |name| name).into(),
            resource,
            sampler,
            scope: is_default_true(config.set_instrumentation_scope.as_ref()),
            exporter,
        };
        Some(provider)
    }

    fn configured_sampler(
        &mut self,
        path: &FieldPath<'_>,
        config: &TypedExtensionConfig,
    ) -> Option<ConfiguredSampler> {
        let any = config.typed_config.as_ref()?;
        let bytes = [any.type_url.as_bytes(), &any.value].concat();
        self.sampler(&path.field("typed_config"), any)
            .map(|sampler| ConfiguredSampler { config: bytes, sampler })
    }

    fn sampler(&mut self, path: &FieldPath<'_>, config: &Any) -> Option<Sampler> {
        if unpack::<AlwaysOnSamplerConfig>(config).is_some() {
            return Some(Sampler::AlwaysOn);
        }
        if let Some(config) = unpack::<ParentBasedSamplerConfig>(config) {
            let path = path.field("wrapped_sampler");
            let Some(wrapped) = config.wrapped_sampler.and_then(|wrapped| wrapped.typed_config) else {
                self.problems.push_with_hint(
                    &path,
                    "no sampler for traces that begin here",
                    "give one, such as envoy.tracers.opentelemetry.samplers.always_on",
                );
                return None;
            };
            return self
                .sampler(&path.field("typed_config"), &wrapped)
                .map(|wrapped| Sampler::ParentBased(Box::new(wrapped)));
        }
        if let Some(config) = unpack::<TraceIdRatioBasedSamplerConfig>(config) {
            let ratio = config.sampling_percentage.as_ref().map(fractional_percent);
            return Some(Sampler::TraceIdRatioBased(ratio.map_or_else(
                TraceIdRatio::default,
                |Fraction { numerator, denominator }| TraceIdRatio { numerator, denominator },
            )));
        }
        let config = unpack::<CelSamplerConfig>(config)?;
        match cel::sampler(&config.expression.unwrap_or_default()) {
            Ok(sampler) => Some(sampler),
            Err(error) => {
                self.problems.push(&path.field("expression"), error.to_string());
                None
            }
        }
    }

    /// The Zipkin tracer.
    pub(super) fn zipkin(&mut self, path: &FieldPath<'_>, config: &ZipkinConfig) -> Option<Zipkin> {
        let protobuf = match config.collector_endpoint_version() {
            CollectorEndpointVersion::HttpJson => false,
            CollectorEndpointVersion::HttpProto => true,
            // Also for GRPC, which was refused before.
            _ => {
                self.problems.push_with_hint(
                    &path.field("collector_endpoint_version"),
                    "no version of the collector's interface",
                    "give HTTP_JSON or HTTP_PROTO",
                );
                return None;
            }
        };
        let service = match &config.collector_service {
            Some(service) => self.zipkin_service(&path.field("collector_service"), service)?,
            None => self.zipkin_cluster(path, config)?,
        };
        let timeout = self.runtime.integer("tracing.zipkin.request_timeout");
        #[expect(deprecated, reason = "Envoy still reads the field that spawn_upstream_span replaced")]
        let split_spans = config.split_spans_for_request;
        let zipkin = Zipkin {
            service: HttpService {
                timeout: timeout.map_or(ZIPKIN_TIMEOUT, Duration::from_millis),
                ..service
            },
            protobuf,
            new_trace: NewTrace { wide: config.trace_id_128bit, timestamp: config.timestamp_trace_ids },
            shared_span_context: is_default_true(config.shared_span_context.as_ref()),
            trace_context: config.trace_context_option() == TraceContextOption::UseB3WithW3cPropagation,
            split_spans,
        };
        Some(zipkin)
    }

    /// `collector_service`: a whole URI, or a path, for which the cluster's name stands.
    fn zipkin_service(&mut self, path: &FieldPath<'_>, service: &ProtoHttpService) -> Option<HttpService> {
        let uri = service.http_uri.as_ref().map_or("", |target| target.uri.as_str());
        if !uri.starts_with('/') {
            return self.http_service(path, service);
        }
        let mut whole = service.clone();
        if let Some(target) = &mut whole.http_uri {
            let Some(HttpUpstreamType::Cluster(name)) = &target.http_upstream_type else { return None };
            target.uri = format!("http://{name}{uri}");
        }
        self.http_service(path, &whole)
    }

    /// `collector_cluster`, `collector_endpoint`, `collector_hostname`.
    fn zipkin_cluster(&mut self, path: &FieldPath<'_>, config: &ZipkinConfig) -> Option<HttpService> {
        if config.collector_cluster.is_empty() || config.collector_endpoint.is_empty() {
            self.problems.push_with_hint(
                path,
                "nowhere to send spans",
                "give a collector_service, or a collector_cluster and a collector_endpoint",
            );
            return None;
        }
        let cluster = self.cluster_id(&path.field("collector_cluster"), &config.collector_cluster)?;
        let host = match config.collector_hostname.as_str() {
            "" => &config.collector_cluster,
            host => host,
        };
        let authority = self.header_value(&path.field("collector_hostname"), host)?;
        let endpoint = config.collector_endpoint.strip_prefix('/').unwrap_or(&config.collector_endpoint);
        let endpoint_path = format!("/{endpoint}").parse::<PathAndQuery>();
        if endpoint_path.is_err() {
            self.problems.push(
                &path.field("collector_endpoint"),
                format!("\"{}\" is no path", config.collector_endpoint),
            );
        }
        Some(HttpService {
            cluster,
            authority,
            path: endpoint_path.ok()?,
            timeout: ZIPKIN_TIMEOUT,
            headers: Vec::new(),
        })
    }

    /// The X-Ray tracer.
    pub(super) fn xray(&mut self, path: &FieldPath<'_>, config: &XRayConfig) -> Option<XRay> {
        let daemon = self.daemon(&path.field("daemon_endpoint"), config)?;
        let manifest_path = path.field("sampling_rule_manifest");
        let manifest = config.sampling_rule_manifest.as_ref();
        let manifest = manifest.map(|manifest| self.data_source(&manifest_path, manifest));
        let manifest = String::from_utf8_lossy(&manifest.unwrap_or_default()).into_owned();
        let mut sampling = SamplingStrategy::default();
        if !manifest.is_empty() {
            let (read, problem) = SamplingStrategy::from_manifest(&manifest);
            if let Some(problem) = problem {
                self.problems.push(&manifest_path, format!("the sampling rules cannot be used: {problem}"));
            }
            sampling = read;
        }
        let fields = config.segment_fields.clone().unwrap_or_default();
        let xray = XRay {
            daemon,
            segment_name: config.segment_name.as_str().into(),
            origin: fields.origin.into(),
            aws: fields.aws.as_ref().map(object).unwrap_or_default(),
            manifest,
            sampling: Arc::new(sampling),
        };
        Some(xray)
    }

    fn daemon(&mut self, path: &FieldPath<'_>, config: &XRayConfig) -> Option<SocketAddr> {
        let endpoint = config.daemon_endpoint.as_ref();
        let address = endpoint.filter(|endpoint| endpoint.protocol() == Protocol::Udp).and_then(|endpoint| {
            let port = match endpoint.port_specifier {
                Some(PortSpecifier::PortValue(port)) => u16::try_from(port).ok()?,
                Some(PortSpecifier::NamedPort(_)) | None => return None,
            };
            Some(SocketAddr::new(endpoint.address.parse().ok()?, port))
        });
        if address.is_none() {
            self.problems.push_with_hint(
                path,
                "no UDP address of the X-Ray daemon",
                "give protocol: UDP, an IP address and port_value, such as 127.0.0.1 and 2000",
            );
        }
        address
    }
}

/// What emits the spans.
pub(super) const SDK: Sdk<'_> = Sdk { language: "rust", name: "spanway", version: env!("CARGO_PKG_VERSION") };

/// Where attributes of a resource come from besides.
pub(super) fn resource_detector(config: &TypedExtensionConfig) -> Option<ResourceDetector> {
    let any = config.typed_config.as_ref()?;
    if unpack::<EnvironmentResourceDetectorConfig>(any).is_some() {
        return Some(ResourceDetector::Environment(std::env::var(OTEL_RESOURCE_ATTRIBUTES).ok()));
    }
    let config = unpack::<StaticConfigResourceDetectorConfig>(any)?;
    let mut attributes: Vec<(String, String)> = config.attributes.into_iter().collect();
    // A map has no order of its own.
    attributes.sort();
    Some(ResourceDetector::Static(attributes))
}

pub(super) fn is_default_true(value: Option<&BoolValue>) -> bool {
    value.is_none_or(|value| value.value)
}
