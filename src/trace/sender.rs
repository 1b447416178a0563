//! Sends finished spans to the collector of one tracer, in that tracer's own form.

use std::{net::IpAddr, sync::Arc, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_http::HttpClient;
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig,
    WithTonicConfig,
};
use opentelemetry_sdk::{Resource, trace::SpanExporter};
use tonic::{
    metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue},
    transport::Channel,
};

use super::{FinishedSpan, span_data::Template, xray_sender::XRaySender, zipkin_sender::ZipkinSender};
use crate::snapshot::{
    Node,
    tracing::{Conventions, GrpcService, HttpService, OpenTelemetry, XRay, Zipkin},
};

/// What takes a tracer's spans to its collector.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Where they go, for messages.
    destination: String,
    timeout: Duration,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Otlp { exporter: Box<OtlpExporter>, template: Template },
    Zipkin(Box<ZipkinSender>),
    XRay(Box<XRaySender>),
}

impl Sender {
    /// OTLP over gRPC.
    pub(crate) fn otlp_grpc(
        node: &Node,
        (tracer, conventions): (&OpenTelemetry, Conventions),
        service: &GrpcService,
        cluster: &str,
        channel: Channel,
    ) -> Result<Self, ExporterBuildError> {
        let mut metadata = MetadataMap::new();
        for (key, value) in &service.metadata {
            if let Ok(key) = key.parse::<MetadataKey<Binary>>() {
                metadata.append_bin(key, MetadataValue::from_bytes(value.as_bytes()));
            } else if let (Ok(key), Ok(value)) = (key.parse::<MetadataKey<Ascii>>(), value.parse()) {
                metadata.append(key, value);
            }
        }
        let exporter = OtlpExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(service.timeout)
            .with_metadata(metadata)
            .build()?;
        Ok(Self::otlp(node, (tracer, conventions), exporter, cluster, service.timeout))
    }

    /// OTLP over HTTP, as protobuf.
    pub(crate) fn otlp_http(
        node: &Node,
        (tracer, conventions): (&OpenTelemetry, Conventions),
        service: &HttpService,
        cluster: &str,
        client: impl HttpClient + 'static,
    ) -> Result<Self, ExporterBuildError> {
        let authority = service.authority_text();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = service.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(client)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("http://{authority}{}", service.path))
            .with_timeout(service.timeout)
            .with_headers(headers.collect())
            .build()?;
        Ok(Self::otlp(node, (tracer, conventions), exporter, cluster, service.timeout))
    }

    fn otlp(
        node: &Node,
        (tracer, conventions): (&OpenTelemetry, Conventions),
        mut exporter: OtlpExporter,
        cluster: &str,
        timeout: Duration,
    ) -> Self {
        exporter.set_resource(&resource(tracer));
        Self {
            destination: format!("the collector of cluster \"{cluster}\""),
            timeout,
            kind: Kind::Otlp {
                exporter: Box::new(exporter),
                template: Template::new(node, tracer, conventions),
            },
        }
    }

    /// Zipkin over HTTP.
    pub(crate) fn zipkin(
        node: &Node,
        (tracer, conventions): (&Zipkin, Conventions),
        own_ip: IpAddr,
        cluster: &str,
        client: impl HttpClient + 'static,
    ) -> Self {
        let sender = ZipkinSender::new(node, (tracer, conventions), own_ip, Box::new(client));
        Self {
            destination: format!("the collector of cluster \"{cluster}\""),
            timeout: tracer.service.timeout,
            kind: Kind::Zipkin(Box::new(sender)),
        }
    }

    /// X-Ray by datagrams.
    pub(crate) fn xray(node: &Node, (tracer, conventions): (&XRay, Conventions)) -> std::io::Result<Self> {
        Ok(Self {
            destination: format!("the daemon at {}", tracer.daemon),
            timeout: Duration::from_secs(1),
            kind: Kind::XRay(Box::new(XRaySender::new(node, (tracer, conventions))?)),
        })
    }

    /// Where spans go, in words.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// Send `spans`, or say why not.
    pub(crate) async fn send(&mut self, spans: Vec<FinishedSpan>) -> Result<(), String> {
        let timeout = self.timeout;
        let sending = async {
            match &mut self.kind {
                Kind::Otlp { exporter, template } => {
                    let data = spans.iter().map(|span| template.span_data(span)).collect();
                    exporter.export(data).await.map_err(|error| error.to_string())
                }
                Kind::Zipkin(sender) => sender.send(&spans).await,
                Kind::XRay(sender) => sender.send(&spans).await,
            }
        };
        match tokio::time::timeout(timeout, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {timeout:?}")),
        }
    }
}

fn resource(tracer: &OpenTelemetry) -> Resource {
    let attributes =
        tracer.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), Arc::<str>::from(&**value)));
    Resource::builder_empty().with_attributes(attributes).build()
}
