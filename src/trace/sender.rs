//! Sends finished spans to the collector of one tracer, in that tracer's own form.

use std::{net::IpAddr, time::Duration};

use http::uri::InvalidUri;
use opentelemetry_http::HttpClient;
use tonic::transport::Channel;

use super::{buffer::Batch, otlp_sender::OtlpSender, xray_sender::XRaySender, zipkin_sender::ZipkinSender};
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
    Otlp(Box<OtlpSender>),
    Zipkin(Box<ZipkinSender>),
    XRay(Box<XRaySender>),
}

/// Spans that did not arrive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lost {
    /// How many.
    pub(crate) spans: usize,
    /// Why.
    pub(crate) cause: String,
}

impl Sender {
    /// OTLP over gRPC.
    pub(crate) fn otlp_grpc(
        tracer: &OpenTelemetry,
        service: &GrpcService,
        cluster: &str,
        channel: Channel,
    ) -> Self {
        Self {
            destination: format!("the collector of cluster \"{cluster}\""),
            timeout: service.timeout,
            kind: Kind::Otlp(Box::new(OtlpSender::grpc(tracer, service, channel))),
        }
    }

    /// OTLP over HTTP, as protobuf. It fails if the service's authority and path are no address.
    pub(crate) fn otlp_http(
        tracer: &OpenTelemetry,
        service: &HttpService,
        cluster: &str,
        client: impl HttpClient + 'static,
    ) -> Result<Self, InvalidUri> {
        Ok(Self {
            destination: format!("the collector of cluster \"{cluster}\""),
            timeout: service.timeout,
            kind: Kind::Otlp(Box::new(OtlpSender::http(tracer, service, Box::new(client))?)),
        })
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

    /// Send the spans of `batch`, or say which did not arrive, and why.
    pub(crate) async fn send(&mut self, batch: Batch) -> Result<(), Lost> {
        let timeout = self.timeout;
        let count = batch.len();
        let sending = async {
            match &mut self.kind {
                Kind::Otlp(sender) => {
                    let rejected = sender.send(&batch.encoded).await?;
                    Ok((rejected.spans.min(count), rejected.reason))
                }
                Kind::Zipkin(sender) => sender.send(&batch.records).await.map(|()| (0, String::new())),
                Kind::XRay(sender) => sender.send(&batch.records).await.map(|()| (0, String::new())),
            }
        };
        let outcome = match tokio::time::timeout(timeout, sending).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {timeout:?}")),
        };
        match outcome {
            Ok((0, _)) => Ok(()),
            Ok((spans, cause)) => Err(Lost { spans, cause: format!("it rejected them: {cause}") }),
            Err(cause) => Err(Lost { spans: count, cause }),
        }
    }
}

/// An error and what is behind it, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
