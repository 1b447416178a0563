//! How a connection manager traces: whom it asks, what it decides, where spans go.

use std::{net::SocketAddr, sync::Arc};

use super::{
    delivery::{Delivery, Flush, HttpService, OtlpExporter},
    format::{Format, FormatHeader},
    matcher::StringMatcher,
    metadata::MetadataKey,
    otel_sampler::ConfiguredSampler,
    route::Fraction,
    xray_sampling::SamplingStrategy,
};

/// Tracing of a connection manager. `HttpConnectionManager.Tracing`.
#[derive(Debug, Clone)]
pub(crate) struct Tracing {
    /// Where spans go.
    pub(crate) tracer: Arc<Tracer>,
    /// What holds for requests whose route has no `tracing` of its own.
    pub(crate) policy: Arc<TracePolicy>,
    /// Bytes of the path in `http.url`. Default 256. `max_path_tag_length`.
    pub(crate) max_path_length: usize,
    /// Each request to a host has a span of its own. Default false. `spawn_upstream_span`, and
    /// `Router.start_child_span`.
    pub(crate) spawn_upstream_span: bool,
    /// The spans of this listener are those of a hop of its own: that of a request is SERVER whatever its direction.
    /// Default false. `spawn_upstream_span`.
    pub(crate) independent_hop: bool,
    /// Spans tell when bytes moved. Default false. `verbose`.
    pub(crate) verbose: bool,
    /// Hosts are told of the trace. Default true. Not `no_context_propagation`.
    pub(crate) propagate: bool,
    /// How W3C trace context is read and written.
    pub(crate) conformance: Conformance,
    /// What goes beyond Envoy.
    pub(crate) extras: Extras,
}

/// What is traced and what its spans say, for a route or a whole connection manager: `Route.tracing` is merged over
/// `HttpConnectionManager.tracing` while configuration is lowered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TracePolicy {
    /// Share of requests with `x-client-trace-id` that are traced. Default all. `client_sampling`.
    pub(crate) client: Fraction,
    /// Share of the others. Default all. `random_sampling`.
    pub(crate) random: Fraction,
    /// Upper limit of both. Default all. `overall_sampling`.
    pub(crate) overall: Fraction,
    /// Attributes that the configuration adds. `custom_tags`.
    pub(crate) custom_tags: Vec<CustomTag>,
    /// Name of the span. `operation`.
    pub(crate) operation: Option<Format>,
    /// Name of the span of each request to a host. `upstream_operation`.
    pub(crate) upstream_operation: Option<Format>,
}

impl TracePolicy {
    /// Whether it reads notes of the route it is applied to.
    pub(crate) fn reads_route_metadata(&self) -> bool {
        self.custom_tags.iter().any(|tag| matches!(tag.value, TagValue::RouteMetadata(..)))
    }

    /// The same, with the notes of a route in place.
    pub(crate) fn with_route_metadata(mut self, metadata: &serde_json::Value) -> Self {
        for tag in &mut self.custom_tags {
            if let TagValue::RouteMetadata(key, default) = &tag.value {
                tag.value = match key.text(metadata) {
                    Some(text) => TagValue::Noted(text.into()),
                    None => TagValue::Literal(Arc::clone(default)),
                };
            }
        }
        self
    }

    /// Whether the end of a span needs the headers once more.
    pub(crate) fn reads_headers(&self) -> bool {
        !self.custom_tags.is_empty() || self.operation.is_some() || self.upstream_operation.is_some()
    }
}

/// An attribute that the configuration adds to spans. `type.tracing.v3.CustomTag`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CustomTag {
    /// Its key. `tag`.
    pub(crate) key: Arc<str>,
    /// Its value; an empty one is left out.
    pub(crate) value: TagValue,
}

/// Where the value of a [`CustomTag`] comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TagValue {
    /// `literal`, and `environment`, which does not change.
    Literal(Arc<str>),
    /// `metadata` of the route that was found.
    Noted(Arc<str>),
    /// `request_header`: its first line, or the default.
    RequestHeader(FormatHeader, Arc<str>),
    /// `metadata` of the cluster, or the default.
    ClusterMetadata(MetadataKey, Arc<str>),
    /// `metadata` of the host, or the default.
    HostMetadata(MetadataKey, Arc<str>),
    /// `metadata` of the route, or the default: resolved for each route while configuration is lowered.
    RouteMetadata(MetadataKey, Arc<str>),
    /// `value`: a format string, whose unknowns are empty.
    Format(Format),
}

/// Where spans go, and as whose.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracer {
    /// Its place in the snapshot's list.
    pub(crate) id: usize,
    /// Which tracing system it is of.
    pub(crate) provider: Provider,
    /// When workers hand spans over.
    pub(crate) flush: Flush,
    /// How they are sent.
    pub(crate) delivery: Delivery,
    /// Which attributes they have.
    pub(crate) conventions: Conventions,
}

/// A tracing system.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Provider {
    /// `config.trace.v3.OpenTelemetryConfig`
    OpenTelemetry(Box<OpenTelemetry>),
    /// `config.trace.v3.ZipkinConfig`
    Zipkin(Box<Zipkin>),
    /// `config.trace.v3.XRayConfig`
    XRay(Box<XRay>),
}

impl Tracer {
    /// Whether a sampler decides which spans are exported.
    pub(crate) fn has_sampler(&self) -> bool {
        matches!(&self.provider, Provider::OpenTelemetry(otel) if otel.sampler.is_some())
    }

    /// What it is called where somebody reads about it.
    pub(crate) fn name(&self) -> &str {
        match &self.provider {
            Provider::OpenTelemetry(otel) => &otel.service_name,
            Provider::Zipkin(_) => "zipkin",
            Provider::XRay(xray) => &xray.segment_name,
        }
    }
}

/// `config.trace.v3.OpenTelemetryConfig`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenTelemetry {
    /// `service_name`; default `unknown_service:envoy`.
    pub(crate) service_name: Arc<str>,
    /// What the spans are of, in order: who they are, and what detectors found.
    pub(crate) resource: Vec<(String, String)>,
    /// Which spans are exported; `None` leaves it to the hop before, or else to Envoy's decision. `sampler`.
    pub(crate) sampler: Option<Arc<ConfiguredSampler>>,
    /// Spans name the instrumentation. Default true. `set_instrumentation_scope`.
    pub(crate) scope: bool,
    /// How they are sent.
    pub(crate) exporter: OtlpExporter,
}

/// `config.trace.v3.ZipkinConfig`
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Zipkin {
    /// `collector_service`, or `collector_cluster` and its like.
    pub(crate) service: HttpService,
    /// Spans are sent as protobuf, else as JSON. `collector_endpoint_version`.
    pub(crate) protobuf: bool,
    /// How new traces are numbered. `trace_id_128bit`, `timestamp_trace_ids`.
    pub(crate) new_trace: NewTrace,
    /// Both sides of a hop have one span. Default true. `shared_span_context`.
    pub(crate) shared_span_context: bool,
    /// `traceparent` is read and written, too. `trace_context_option: USE_B3_WITH_W3C_PROPAGATION`.
    pub(crate) trace_context: bool,
    /// The proxy is a hop of its own. Default false. `split_spans_for_request`.
    pub(crate) split_spans: bool,
}

/// How a new trace is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NewTrace {
    /// 128 bits instead of 64; off by default. `ZipkinConfig.trace_id_128bit`
    pub(crate) wide: bool,
    /// The upper 32 bits are seconds since 1970; off by default. `ZipkinConfig.timestamp_trace_ids`
    pub(crate) timestamp: bool,
}

/// `config.trace.v3.XRayConfig`
#[derive(Debug, Clone)]
pub(crate) struct XRay {
    /// The daemon that takes datagrams. `daemon_endpoint`.
    pub(crate) daemon: SocketAddr,
    /// What all segments are called. `segment_name`.
    pub(crate) segment_name: Box<str>,
    /// `segment_fields.origin`
    pub(crate) origin: Box<str>,
    /// `segment_fields.aws`
    pub(crate) aws: serde_json::Map<String, serde_json::Value>,
    /// The text of `sampling_rule_manifest`.
    pub(crate) manifest: String,
    /// What it says, and what its fixed targets still allow: the one thing here that moves.
    pub(crate) sampling: Arc<SamplingStrategy>,
}

impl PartialEq for XRay {
    fn eq(&self, other: &Self) -> bool {
        (self.daemon, &self.segment_name, &self.origin, &self.aws, &self.manifest)
            == (other.daemon, &other.segment_name, &other.origin, &other.aws, &other.manifest)
    }
}

/// To whose letter `traceparent` and `tracestate` are read and written. Environment variable
/// `SPANWAY_TRACE_CONTEXT`: `w3c` or `envoy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Conformance {
    /// The W3C recommendation's. The default.
    #[default]
    W3c,
    /// Envoy 1.40's.
    Envoy,
}

/// What goes beyond Envoy, all off unless `spanway.config.trace.v1.TracingConfig` says otherwise.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extras {
    /// Spans are named by method and route. `name_by_route`.
    pub(crate) name_by_route: bool,
    /// What is read and written instead of what the tracer does; `None` where the tracer decides. `propagators`.
    pub(crate) propagators: Option<Vec<Propagator>>,
    /// Parameters of the query that spans do not show. `redacted_query_parameters`.
    pub(crate) redacted: Vec<Box<str>>,
    /// Clients are told of the trace. `server_timing`.
    pub(crate) server_timing: bool,
    /// External clients begin a trace of their own. `link_untrusted_parent`.
    pub(crate) link_untrusted_parent: bool,
    /// Paths that are not traced. `exclude.paths`.
    pub(crate) excluded_paths: Vec<StringMatcher>,
    /// User agents that are not traced. `exclude.user_agents`.
    pub(crate) excluded_user_agents: Vec<StringMatcher>,
}

/// Which attributes spans of requests have. `TracingConfig.SemanticConventions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Conventions {
    /// Envoy's.
    #[default]
    Envoy,
    /// OpenTelemetry's, and of Envoy's those without a counterpart.
    Stable,
    /// All of them.
    Both,
}

/// A way to tell the next hop of the trace. `TracingConfig.Propagator`, without baggage, which passes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagator {
    /// `traceparent` and `tracestate`
    TraceContext,
    /// `b3`
    B3,
    /// `x-b3-*`
    B3Multi,
    /// `x-amzn-trace-id`
    XRay,
}
