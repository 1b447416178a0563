//! Lowers tracing: of connection managers, of routes, and the tracers themselves.

use std::sync::Arc;

use super::{
    Lowering,
    environment::pack,
    extras::{Export, TracingConfig},
    lower_metadata, number,
    route::fractional_percent,
    unpack,
};
use crate::{
    config::FieldPath,
    snapshot::{
        delivery::CallHeader,
        format::{Format, FormatHeader},
        metadata::{MetadataKey, PathSegment},
        route::Fraction,
        tracing::{
            Conformance, Conventions, CustomTag, Extras, Provider, TagValue, TracePolicy, Tracer, Tracing,
        },
    },
};
use envoy_types::pb::{
    envoy::{
        config::{
            route::v3::{Route as ProtoRoute, Tracing as ProtoRouteTracing},
            trace::v3::{
                OpenTelemetryConfig, XRayConfig, ZipkinConfig,
                tracing::{Http as TracerProvider, http::ConfigType as TracerConfig},
            },
        },
        extensions::filters::network::http_connection_manager::v3::http_connection_manager::Tracing as ProtoTracing,
        r#type::{
            metadata::v3::{
                MetadataKey as ProtoMetadataKey,
                metadata_key::{PathSegment as ProtoPathSegment, path_segment::Segment},
                metadata_kind::Kind as MetadataKind,
            },
            tracing::v3::{CustomTag as ProtoTag, custom_tag::Type as TagType},
            v3::Percent,
        },
    },
    google::protobuf::{Any, BoolValue},
};

const MAX_PATH_TAG: u32 = 256;

/// The runtime keys that tracers read; without the tracer they have nothing to say.
pub(super) const RUNTIME_KEYS: [&str; 8] = [
    "tracing.client_enabled",
    "tracing.random_sampling",
    "tracing.global_enabled",
    "tracing.opentelemetry.min_flush_spans",
    "tracing.opentelemetry.flush_interval_ms",
    "tracing.zipkin.min_flush_spans",
    "tracing.zipkin.flush_interval_ms",
    "tracing.zipkin.request_timeout",
];

impl Lowering<'_> {
    /// The tracing of a connection manager.
    pub(super) fn tracing(
        &mut self,
        path: &FieldPath<'_>,
        tracing: Option<&ProtoTracing>,
        start_child_span: bool,
    ) -> Option<Tracing> {
        let silent = ProtoTracing::default();
        let tracing = tracing.unwrap_or(&silent);
        let (tracer, extras) = match &tracing.provider {
            Some(provider) => self.provider(&path.field("provider.typed_config"), provider)?,
            // Without a tracer nothing is traced, unless the environment names a collector.
            None => self.environment_tracer()?,
        };
        let spawns = is_true(tracing.spawn_upstream_span.as_ref());
        let policy = TracePolicy {
            client: self.share("tracing.client_enabled", whole_percent(tracing.client_sampling.as_ref())),
            random: self.share("tracing.random_sampling", percent(tracing.random_sampling.as_ref())),
            overall: self.share("tracing.global_enabled", percent(tracing.overall_sampling.as_ref())),
            custom_tags: self.custom_tags(&path.field("custom_tags"), &tracing.custom_tags),
            operation: self.operation(&path.field("operation"), &tracing.operation),
            upstream_operation: self
                .operation(&path.field("upstream_operation"), &tracing.upstream_operation),
        };
        Some(Tracing {
            policy: Arc::new(policy),
            max_path_length: number(tracing.max_path_tag_length.as_ref(), MAX_PATH_TAG) as usize,
            spawn_upstream_span: spawns || start_child_span,
            independent_hop: spawns || splits_spans(&tracer),
            tracer,
            verbose: tracing.verbose,
            propagate: !tracing.no_context_propagation,
            conformance: self.conformance(),
            extras,
        })
    }

    /// The tracer that the file names, and what goes beyond it.
    fn provider(&mut self, path: &FieldPath<'_>, provider: &TracerProvider) -> Option<(Arc<Tracer>, Extras)> {
        let Some(TracerConfig::TypedConfig(config)) = &provider.config_type else {
            self.problems.push_with_hint(path, "no configuration of the tracer", "give its typed_config");
            return None;
        };
        let own = unpack::<TracingConfig>(config);
        let (extras, conventions) = self.extras(path, own.as_ref());
        let tracer = match &own {
            None => self.tracer(path, config, (conventions, &Export::default()), &[])?,
            Some(own) => {
                let export = own.export.clone().unwrap_or_default();
                let headers = self.call_headers(&path.field("export.headers"), &export.headers);
                let tracer = own.tracer.as_ref()?;
                self.tracer(&path.field("tracer"), tracer, (conventions, &export), &headers)?
            }
        };
        Some((tracer, extras))
    }

    /// The tracer to the collector that the environment names, which has the conventions and the propagators that it
    /// names, too.
    fn environment_tracer(&mut self) -> Option<(Arc<Tracer>, Extras)> {
        let environment = self.environment();
        let collector = environment.collector.as_ref()?;
        let path = FieldPath::ROOT.field("OTEL_EXPORTER_OTLP_ENDPOINT");
        if !self.cluster_index.contains_key(collector.cluster.name.as_str()) {
            self.cluster(&path, &collector.cluster);
        }
        let (extras, conventions) = self.extras(&path, Some(&TracingConfig::default()));
        let config = pack(&collector.tracer);
        let tracer = self.tracer(&path, &config, (conventions, &Export::default()), &collector.headers)?;
        Some((tracer, extras))
    }

    /// The switch between the W3C recommendation and what Envoy does.
    fn conformance(&mut self) -> Conformance {
        match std::env::var("SPANWAY_TRACE_CONTEXT").as_deref() {
            Err(_) | Ok("" | "w3c") => Conformance::W3c,
            Ok("envoy") => Conformance::Envoy,
            Ok(other) => {
                self.problems.push_with_hint(
                    &FieldPath::ROOT.field("SPANWAY_TRACE_CONTEXT"),
                    format!("\"{other}\" is not understood"),
                    "it is w3c, which is the default, or envoy",
                );
                Conformance::W3c
            }
        }
    }

    /// What a route makes of the tracing of its connection manager, if anything.
    pub(super) fn route_policy(
        &mut self,
        path: &FieldPath<'_>,
        route: &ProtoRoute,
        whole: &TracePolicy,
    ) -> Option<Arc<TracePolicy>> {
        let own = route.tracing.as_ref().map(|own| self.route_tracing(&path.field("tracing"), own, whole));
        let metadata = lower_metadata(route.metadata.as_ref());
        let policy = own.as_ref().unwrap_or(whole);
        match metadata.filter(|_| policy.reads_route_metadata()) {
            Some(metadata) => Some(Arc::new(policy.clone().with_route_metadata(&metadata))),
            None => own.map(Arc::new),
        }
    }

    /// What a route's own tracing makes of that of its connection manager.
    fn route_tracing(
        &mut self,
        path: &FieldPath<'_>,
        route: &ProtoRouteTracing,
        whole: &TracePolicy,
    ) -> TracePolicy {
        let mut custom_tags = self.custom_tags(&path.field("custom_tags"), &route.custom_tags);
        let of_manager =
            whole.custom_tags.iter().filter(|tag| route.custom_tags.iter().all(|own| *own.tag != *tag.key));
        custom_tags.extend(of_manager.cloned());
        let own = |share: Option<&_>| share.map_or(ALL, fractional_percent);
        let operation = self.operation(&path.field("operation"), &route.operation);
        let upstream_operation = self.operation(&path.field("upstream_operation"), &route.upstream_operation);
        TracePolicy {
            client: self.share("tracing.client_enabled", own(route.client_sampling.as_ref())),
            random: self.share("tracing.random_sampling", own(route.random_sampling.as_ref())),
            overall: self.share("tracing.global_enabled", own(route.overall_sampling.as_ref())),
            custom_tags,
            operation: operation.or_else(|| whole.operation.clone()),
            upstream_operation: upstream_operation.or_else(|| whole.upstream_operation.clone()),
        }
    }

    /// The runtime's word comes before the file's.
    fn share(&self, key: &str, configured: Fraction) -> Fraction {
        self.runtime.fraction(key).unwrap_or(configured)
    }

    fn operation(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Format> {
        if text.is_empty() { None } else { self.format(path, text) }
    }

    /// Custom tags of spans, or of entries of access logs.
    pub(super) fn custom_tags(&mut self, path: &FieldPath<'_>, tags: &[ProtoTag]) -> Vec<CustomTag> {
        let mut lowered: Vec<CustomTag> = Vec::with_capacity(tags.len());
        for (index, tag) in tags.iter().enumerate() {
            let Some(value) = self.tag_value(&path.index(index), tag) else { continue };
            // Of several with one key the first counts.
            if lowered.iter().all(|known| *known.key != *tag.tag) {
                lowered.push(CustomTag { key: tag.tag.as_str().into(), value });
            }
        }
        lowered
    }

    fn tag_value(&mut self, path: &FieldPath<'_>, tag: &ProtoTag) -> Option<TagValue> {
        Some(match tag.r#type.as_ref()? {
            TagType::Literal(literal) => TagValue::Literal(literal.value.as_str().into()),
            TagType::Environment(variable) => {
                let value = std::env::var(&variable.name).unwrap_or_else(|_| variable.default_value.clone());
                TagValue::Literal(value.into())
            }
            TagType::RequestHeader(header) => {
                let name = FormatHeader::parse(&header.name);
                if name.is_none() {
                    let path = path.field("request_header.name");
                    self.problems.push(&path, format!("\"{}\" is not a header name", header.name));
                }
                TagValue::RequestHeader(name?, header.default_value.as_str().into())
            }
            TagType::Metadata(metadata) => {
                let default: Arc<str> = metadata.default_value.as_str().into();
                let kind = metadata.kind.as_ref().and_then(|kind| kind.kind.as_ref());
                match (kind, metadata.metadata_key.as_ref().map(metadata_key)) {
                    (Some(MetadataKind::Route(_)), Some(key)) => TagValue::RouteMetadata(key, default),
                    (Some(MetadataKind::Cluster(_)), Some(key)) => TagValue::ClusterMetadata(key, default),
                    (Some(MetadataKind::Host(_)), Some(key)) => TagValue::HostMetadata(key, default),
                    // No filter sets metadata of requests, so that it is always absent.
                    _ => TagValue::Literal(default),
                }
            }
            TagType::Value(text) => TagValue::Format(self.format(&path.field("value"), text)?),
        })
    }

    /// The tracer of that configuration; listeners that say the same share one.
    fn tracer(
        &mut self,
        path: &FieldPath<'_>,
        config: &Any,
        (conventions, export): (Conventions, &Export),
        headers: &[CallHeader],
    ) -> Option<Arc<Tracer>> {
        let provider = if let Some(config) = unpack::<OpenTelemetryConfig>(config) {
            self.opentelemetry(path, &config).map(|otel| Provider::OpenTelemetry(Box::new(otel)))
        } else if let Some(config) = unpack::<ZipkinConfig>(config) {
            self.zipkin(path, &config).map(|zipkin| Provider::Zipkin(Box::new(zipkin)))
        } else if let Some(config) = unpack::<XRayConfig>(config) {
            self.xray(path, &config).map(|xray| Provider::XRay(Box::new(xray)))
        } else {
            None
        }?;
        let waiting = unpack::<OpenTelemetryConfig>(config).and_then(|config| config.max_cache_size);
        let delivery = self.delivery(path, &provider, waiting, export, headers);
        let flush = self.flush(&provider, delivery.queue.spans);
        let tracer = Tracer { id: self.tracers.len(), provider, flush, delivery, conventions };
        let same = self.tracers.iter().find(|known| Tracer { id: known.id, ..tracer.clone() } == ***known);
        if let Some(same) = same {
            return Some(Arc::clone(same));
        }
        let tracer = Arc::new(tracer);
        self.tracers.push(Arc::clone(&tracer));
        Some(tracer)
    }
}

fn splits_spans(tracer: &Tracer) -> bool {
    matches!(&tracer.provider, Provider::Zipkin(zipkin) if zipkin.split_spans)
}

/// Everything.
const ALL: Fraction = Fraction { numerator: 10_000, denominator: 10_000 };

fn metadata_key(key: &ProtoMetadataKey) -> MetadataKey {
    let segment = |segment: &ProtoPathSegment| match segment.segment.as_ref()? {
        Segment::Key(key) => Some(PathSegment::Key(key.clone())),
        Segment::Index(index) => Some(PathSegment::Index(*index as usize)),
    };
    MetadataKey { filter: key.key.clone(), path: key.path.iter().filter_map(segment).collect() }
}

fn is_true(value: Option<&BoolValue>) -> bool {
    value.is_some_and(|value| value.value)
}

/// A percentage, of which no more than 1/10,000 counts.
fn percent(percent: Option<&Percent>) -> Fraction {
    let value = percent.map_or(100.0, |percent| percent.value).clamp(0.0, 100.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10,000 by the clamp")]
    let numerator = (value * 100.0) as u32;
    Fraction { numerator, denominator: 10_000 }
}

/// A percentage of which Envoy takes the whole percents only.
fn whole_percent(share: Option<&Percent>) -> Fraction {
    let Fraction { numerator, .. } = percent(share);
    Fraction { numerator: numerator / 100, denominator: 100 }
}
