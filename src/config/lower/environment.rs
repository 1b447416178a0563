//! OpenTelemetry's environment variables, which count where the file is silent.
//!
//! Reference: OpenTelemetry specification 1.x, "Environment Variable Specification" and "OTLP Exporter".

use std::{sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::Cluster as ProtoCluster,
            core::v3::{
                DataSource, TransportSocket, data_source::Specifier,
                transport_socket::ConfigType as TlsConfig,
            },
            trace::v3::OpenTelemetryConfig,
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, TlsCertificate, UpstreamTlsContext,
            common_tls_context::ValidationContextType,
        },
    },
    google::protobuf::Any,
};
use http::{HeaderName, HeaderValue};

use super::{Lowering, collector_address::Target, collector_service::OWN_HEADERS};
use crate::{
    config::FieldPath,
    snapshot::{
        delivery::{CallHeader, HeaderSource},
        otel_sampler::{ConfiguredSampler, Sampler, TraceIdRatio},
    },
};

/// What the environment says of traces. Where a variable is not set or empty there is nothing.
#[derive(Debug, Default)]
pub(super) struct OtelEnvironment {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: the collector of listeners for which the file names no tracer.
    pub(super) collector: Option<Collector>,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`: how long a call may take.
    pub(super) timeout: Option<Duration>,
    /// `OTEL_EXPORTER_OTLP_COMPRESSION`: whether calls are compressed.
    pub(super) gzip: Option<bool>,
    /// `OTEL_SERVICE_NAME`
    pub(super) service_name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`
    pub(super) resource: Vec<(String, String)>,
    /// `OTEL_TRACES_SAMPLER`
    pub(super) sampler: Option<Arc<ConfiguredSampler>>,
    /// `OTEL_BSP_SCHEDULE_DELAY`: how long spans are gathered.
    pub(super) schedule_delay: Option<Duration>,
    /// `OTEL_BSP_MAX_QUEUE_SIZE`: spans that may wait.
    pub(super) queue_spans: Option<usize>,
    /// `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`: spans of a call.
    pub(super) call_spans: Option<usize>,
    /// `OTEL_BSP_EXPORT_TIMEOUT`: how long the same spans are sent again.
    pub(super) retry_for: Option<Duration>,
}

/// A collector that the environment names, as a file would.
#[derive(Debug)]
pub(super) struct Collector {
    /// The cluster of which it is the only host.
    pub(super) cluster: ProtoCluster,
    /// The tracer that sends to it.
    pub(super) tracer: OpenTelemetryConfig,
    /// `OTEL_EXPORTER_OTLP_HEADERS`
    pub(super) headers: Vec<CallHeader>,
}

impl Lowering<'_> {
    /// What the environment says. What is wrong with it is a problem, told once.
    pub(super) fn environment(&mut self) -> Arc<OtelEnvironment> {
        if let Some(known) = &self.environment {
            return Arc::clone(known);
        }
        let disabled =
            self.variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let timeout = self.call_timeout();
        let read = Arc::new(OtelEnvironment {
            collector: if disabled { None } else { self.collector(timeout) },
            timeout,
            gzip: self.compression(),
            service_name: self.variable("OTEL_SERVICE_NAME"),
            resource: self.resource_attributes(),
            sampler: self.environment_sampler(),
            schedule_delay: self.milliseconds("OTEL_BSP_SCHEDULE_DELAY"),
            queue_spans: self.count("OTEL_BSP_MAX_QUEUE_SIZE"),
            call_spans: self.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"),
            retry_for: self.milliseconds("OTEL_BSP_EXPORT_TIMEOUT"),
        });
        self.environment = Some(Arc::clone(&read));
        read
    }

    fn collector(&mut self, timeout: Option<Duration>) -> Option<Collector> {
        let exporters = self.variable("OTEL_TRACES_EXPORTER").unwrap_or_else(|| "otlp".to_owned());
        let mut names = exporters.split(',').map(str::trim);
        if !names.clone().any(|name| name == "otlp") {
            if !names.all(|name| name == "none") {
                tracing::warn!(
                    "environment: OTEL_TRACES_EXPORTER: \"{exporters}\" has no otlp, which is what spanway has: listeners \
                     for which the file names no tracer are not traced"
                );
            }
            return None;
        }
        let name = self.otlp("ENDPOINT");
        let text = self.variable(&name)?;
        let grpc = match self.variable(&self.otlp("PROTOCOL")).as_deref() {
            None | Some("http/protobuf") => false,
            Some("grpc") => true,
            Some(other) => {
                self.bad(
                    &self.otlp("PROTOCOL"),
                    other,
                    "spanway has grpc and http/protobuf, which is the default",
                );
                return None;
            }
        };
        let Some(endpoint) = Target::parse(&text) else {
            // A name and a password in it are secrets.
            let text = if text.contains('@') { "an address with a name or password" } else { &text };
            let hint =
                "an address looks like http://collector:4318 or https://collector:4317; keys go into headers";
            self.bad(&name, text, hint);
            return None;
        };
        let path = match (endpoint.path.as_str(), name.contains("TRACES")) {
            // The general address is a base, the one of traces is used as it is.
            (path, false) => format!("{}/v1/traces", path.trim_end_matches('/')),
            ("", true) => "/".to_owned(),
            (path, true) => path.to_owned(),
        };
        let tracer = if grpc {
            OpenTelemetryConfig { grpc_service: Some(endpoint.grpc_service()), ..Default::default() }
        } else {
            let timeout = timeout.unwrap_or(super::collector_service::EXPORT_TIMEOUT);
            let service = endpoint.http_service(&path, timeout);
            OpenTelemetryConfig { http_service: Some(service), ..Default::default() }
        };
        let tls = endpoint.tls.then(|| self.tls(&endpoint.host));
        Some(Collector { cluster: endpoint.cluster(grpc, tls), tracer, headers: self.environment_headers() })
    }

    /// `OTEL_EXPORTER_OTLP_HEADERS`
    fn environment_headers(&mut self) -> Vec<CallHeader> {
        let variable = self.otlp("HEADERS");
        let mut headers = Vec::new();
        for (name, value) in self.pairs(&variable) {
            let value = HeaderValue::from_str(&value);
            match (HeaderName::from_bytes(name.as_bytes()), value) {
                (Ok(name), Ok(value)) if !OWN_HEADERS.contains(&name.as_str()) => {
                    headers.push(CallHeader { name, value: HeaderSource::Fixed(value) });
                }
                // Neither is quoted: where one is misplaced, it may be the secret.
                _ => self.problems.push_with_hint(
                    &FieldPath::ROOT.field(&variable),
                    "it has a name or value that is none of a header",
                    "it looks like NAME=VALUE,NAME=VALUE, with % codes for what is special",
                ),
            }
        }
        headers
    }

    /// TLS to that host, which is verified by `OTEL_EXPORTER_OTLP_CERTIFICATE` or else the system's authorities.
    fn tls(&mut self, host: &str) -> TransportSocket {
        let file = |name| DataSource { specifier: Some(Specifier::Filename(name)), ..Default::default() };
        let named = self.variable(&self.otlp("CERTIFICATE")).or_else(|| self.variable("SSL_CERT_FILE"));
        let of_system = || Some(openssl_probe::probe().cert_file?.to_string_lossy().into_owned());
        let authorities = named.or_else(of_system);
        if authorities.is_none() {
            self.problems.push_with_hint(
                &FieldPath::ROOT.field(&self.otlp("CERTIFICATE")),
                "this system has no file of certificate authorities to verify the collector by",
                "name one here or in SSL_CERT_FILE",
            );
        }
        let (chain_name, key_name) = (self.otlp("CLIENT_CERTIFICATE"), self.otlp("CLIENT_KEY"));
        let (chain, key) = (self.variable(&chain_name), self.variable(&key_name));
        if chain.is_some() != key.is_some() {
            let (here, missing) =
                if chain.is_some() { (&chain_name, &key_name) } else { (&key_name, &chain_name) };
            self.problems.push(&FieldPath::ROOT.field(here), format!("it is of no use without {missing}"));
        }
        let identity = chain.zip(key);
        let context = UpstreamTlsContext {
            sni: host.to_owned(),
            common_tls_context: Some(CommonTlsContext {
                tls_certificates: Vec::from_iter(identity.map(|(chain, key)| TlsCertificate {
                    certificate_chain: Some(file(chain)),
                    private_key: Some(file(key)),
                    ..Default::default()
                })),
                validation_context_type: authorities.map(|authorities| {
                    ValidationContextType::ValidationContext(CertificateValidationContext {
                        trusted_ca: Some(file(authorities)),
                        ..Default::default()
                    })
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        TransportSocket {
            name: "envoy.transport_sockets.tls".to_owned(),
            config_type: Some(TlsConfig::TypedConfig(pack(&context))),
        }
    }

    fn compression(&mut self) -> Option<bool> {
        let name = self.otlp("COMPRESSION");
        match self.variable(&name)?.as_str() {
            "gzip" => Some(true),
            "none" => Some(false),
            other => {
                pass_over(&name, other, "it is gzip, or none, which is the default");
                None
            }
        }
    }

    /// `OTEL_TRACES_SAMPLER` and its argument.
    fn environment_sampler(&mut self) -> Option<Arc<ConfiguredSampler>> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        let never = || Sampler::TraceIdRatioBased(TraceIdRatio { numerator: 0, denominator: 1_000_000 });
        let name = self.variable(NAME)?;
        let (base, by_parent) = match name.strip_prefix("parentbased_") {
            Some(base) => (base, true),
            None => (name.as_str(), false),
        };
        let sampler = match base {
            "always_on" => Sampler::AlwaysOn,
            "always_off" => never(),
            "traceidratio" => Sampler::TraceIdRatioBased(self.ratio()),
            _ => {
                pass_over(
                    NAME,
                    &name,
                    "spanway has always_on, always_off, traceidratio, and each of them after parentbased_",
                );
                return None;
            }
        };
        let sampler = if by_parent { Sampler::ParentBased(Box::new(sampler)) } else { sampler };
        // There is one of it in a process, so that its name tells it from those of a file.
        Some(Arc::new(ConfiguredSampler { config: NAME.into(), sampler }))
    }

    fn ratio(&mut self) -> TraceIdRatio {
        const NAME: &str = "OTEL_TRACES_SAMPLER_ARG";
        let text = self.variable(NAME).unwrap_or_else(|| "1".to_owned());
        let ratio = text.trim().parse::<f64>().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        if ratio.is_none() {
            pass_over(NAME, &text, "it is a number from 0 to 1");
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1,000,000")]
        let numerator = (ratio.unwrap_or(1.0) * 1_000_000.0).round() as u32;
        TraceIdRatio { numerator, denominator: 1_000_000 }
    }

    fn call_timeout(&mut self) -> Option<Duration> {
        let name = self.otlp("TIMEOUT");
        self.milliseconds(&name)
    }

    fn milliseconds(&mut self, name: &str) -> Option<Duration> {
        self.number_of(name).map(Duration::from_millis)
    }

    fn count(&mut self, name: &str) -> Option<usize> {
        self.number_of(name).map(|count| usize::try_from(count).unwrap_or(usize::MAX).max(1))
    }

    fn number_of(&mut self, name: &str) -> Option<u64> {
        let text = self.variable(name)?;
        let number = text.trim().parse().ok();
        if number.is_none() {
            pass_over(name, &text, "it is a whole number");
        }
        number
    }

    /// `OTEL_RESOURCE_ATTRIBUTES`. It may be meant for others, too: what is no pair is left out.
    fn resource_attributes(&self) -> Vec<(String, String)> {
        let text = self.variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
        text.split(',').filter_map(pair).collect()
    }

    /// Pairs between commas, with % codes, as W3C's baggage has them.
    fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let text = self.variable(name).unwrap_or_default();
        let mut pairs = Vec::new();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            match pair(item) {
                Some(pair) => pairs.push(pair),
                // Not quoted, since it may be a secret.
                None => self.problems.push_with_hint(
                    &FieldPath::ROOT.field(name),
                    "it has an item without a name and a value",
                    "it looks like NAME=VALUE,NAME=VALUE",
                ),
            }
        }
        pairs
    }

    /// The variable of traces, if it is set, else that of all signals.
    fn otlp(&self, what: &str) -> String {
        let of_traces = format!("OTEL_EXPORTER_OTLP_TRACES_{what}");
        if self.variable(&of_traces).is_some() { of_traces } else { format!("OTEL_EXPORTER_OTLP_{what}") }
    }

    /// Its value, unless that is empty.
    fn variable(&self, name: &str) -> Option<String> {
        let given = self.variables.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
        given.or_else(|| std::env::var(name).ok()).filter(|value| !value.trim().is_empty())
    }

    fn bad(&mut self, name: &str, value: &str, hint: &str) {
        self.problems.push_with_hint(
            &FieldPath::ROOT.field(name),
            format!("\"{value}\" is not understood"),
            hint,
        );
    }
}

/// Such a variable may be meant for other programs, too; OpenTelemetry has it that what is not understood is told and
/// passed over. (Not so where it says where spans go.)
fn pass_over(name: &str, value: &str, hint: &str) {
    tracing::warn!("environment: {name}: \"{value}\" is passed over; {hint}");
}

/// `name=value` with % codes, and white space that does not count.
fn pair(text: &str) -> Option<(String, String)> {
    let decode =
        |part: &str| percent_encoding::percent_decode_str(part.trim()).decode_utf8_lossy().into_owned();
    let (name, value) = text.split_once('=')?;
    (!name.trim().is_empty()).then(|| (decode(name), decode(value)))
}

/// `message` as a configuration of an extension.
pub(super) fn pack<M: prost::Message + prost::Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}
