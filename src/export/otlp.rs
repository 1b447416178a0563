//! Export calls of OTLP: over gRPC, or over HTTP with protobuf.
//!
//! Reference: OpenTelemetry Protocol specification 1.x, "OTLP/gRPC" and "OTLP/HTTP".

use opentelemetry_http::HttpClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::transport::Channel;

use super::{
    call_headers::CallHeaders, failure::Failure, grpc_call::GrpcCall, http_call::HttpCall, sender::Accepted,
};
use crate::{
    snapshot::{
        delivery::{Delivery, HttpService},
        tracing::OpenTelemetry,
    },
    trace::otlp::{EncodedSpans, Envelope},
};

/// The method that takes spans.
const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The type of messages over HTTP.
pub(super) const PROTOBUF: &str = "application/x-protobuf";
/// Who calls, in the form that OTLP asks exporters for.
pub(super) const OWN_USER_AGENT: &str = concat!("OTel-OTLP-Exporter-spanway/", env!("CARGO_PKG_VERSION"));

/// Sends spans to one collector.
#[derive(Debug)]
pub(super) struct OtlpSender {
    envelope: Envelope,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Grpc(GrpcCall),
    Http(HttpCall),
}

impl OtlpSender {
    /// Over gRPC.
    pub(super) fn grpc(tracer: &OpenTelemetry, delivery: &Delivery, channel: Channel) -> Self {
        let call = GrpcCall::new(channel, EXPORT, Some(OWN_USER_AGENT), delivery.gzip);
        Self { envelope: Envelope::new(tracer), transport: Transport::Grpc(call) }
    }

    /// Over HTTP. It fails if the service's authority and path are no address.
    pub(super) fn http(
        tracer: &OpenTelemetry,
        service: &HttpService,
        delivery: &Delivery,
        client: Box<dyn HttpClient>,
    ) -> Result<Self, String> {
        let call = HttpCall::new(service, delivery.gzip, (PROTOBUF, Some(OWN_USER_AGENT)), client)?;
        Ok(Self { envelope: Envelope::new(tracer), transport: Transport::Http(call) })
    }

    /// Send `spans`: what the collector says of them, or why it does not.
    pub(super) async fn send(
        &self,
        spans: &EncodedSpans,
        headers: &CallHeaders,
    ) -> Result<Accepted, Failure> {
        let request = self.envelope.request(spans);
        let bytes = request.len();
        let answer = match &self.transport {
            Transport::Grpc(call) => call.call(request, headers).await?,
            Transport::Http(call) => {
                let answer = call.post(request, headers).await?;
                // By its status it has taken the spans, whatever else it says.
                ExportTraceServiceResponse::decode(answer).unwrap_or_else(|_| {
                    let error_message = "something that is not the answer of an OTLP collector".to_owned();
                    let partial = ExportTracePartialSuccess { rejected_spans: 0, error_message };
                    ExportTraceServiceResponse { partial_success: Some(partial) }
                })
            }
        };
        let partial = answer.partial_success.unwrap_or_default();
        let rejected = usize::try_from(partial.rejected_spans).unwrap_or(0);
        Ok(Accepted { rejected, message: partial.error_message, bytes })
    }
}
