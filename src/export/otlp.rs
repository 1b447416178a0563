//! Export calls of OTLP: over gRPC, or over HTTP with protobuf.
//!
//! Reference: OpenTelemetry Protocol specification 1.x, "OTLP/gRPC" and "OTLP/HTTP".

use std::fmt;

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderValue, header::USER_AGENT, uri::PathAndQuery};
use opentelemetry_http::HttpClient;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{
    Status,
    client::Grpc,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    transport::Channel,
};

use super::{call_headers::CallHeaders, failure::Failure, http_call::HttpCall, sender::Accepted};
use crate::{
    snapshot::{
        delivery::{Delivery, HttpService},
        tracing::OpenTelemetry,
    },
    trace::otlp::{EncodedSpans, Envelope},
};

/// The method that takes spans.
const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
pub(super) const PROTOBUF: &str = "application/x-protobuf";
/// Who calls, in the form that OTLP asks exporters for; over gRPC the library adds itself.
pub(super) const OWN_USER_AGENT: &str = concat!("OTel-OTLP-Exporter-spanway/", env!("CARGO_PKG_VERSION"));
/// A collector has no more to say.
pub(super) const LONGEST_ANSWER: usize = 64 * 1024;

/// Sends spans to one collector.
#[derive(Debug)]
pub(super) struct OtlpSender {
    envelope: Envelope,
    transport: Transport,
}

enum Transport {
    Grpc(Grpc<Channel>),
    Http(HttpCall),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc(_) => "Grpc",
            Self::Http(_) => "Http",
        })
    }
}

impl OtlpSender {
    /// Over gRPC.
    pub(super) fn grpc(tracer: &OpenTelemetry, delivery: &Delivery, channel: Channel) -> Self {
        let mut client = Grpc::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        if delivery.gzip {
            client = client.send_compressed(CompressionEncoding::Gzip);
        }
        Self { envelope: Envelope::new(tracer), transport: Transport::Grpc(client) }
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
            Transport::Grpc(client) => call(client.clone(), request, headers).await?,
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

async fn call(
    mut client: Grpc<Channel>,
    body: Bytes,
    headers: &CallHeaders,
) -> Result<ExportTraceServiceResponse, Failure> {
    client.ready().await.map_err(|error| Failure::of_error(&error))?;
    let mut metadata = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(OWN_USER_AGENT))]);
    headers.apply(&mut metadata);
    let mut request = tonic::Request::new(body);
    *request.metadata_mut() = MetadataMap::from_headers(metadata);
    let answer = client.unary(request, EXPORT, PreEncoded).await;
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_status(&status))
}

/// gRPC messages: requests are there as bytes, answers are read.
#[derive(Debug, Clone, Copy)]
struct PreEncoded;

impl Codec for PreEncoded {
    type Encode = Bytes;
    type Decode = ExportTraceServiceResponse;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for PreEncoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.reserve(message.len());
        to.put(message);
        Ok(())
    }
}

impl Decoder for PreEncoded {
    type Item = ExportTraceServiceResponse;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Self::Item>, Status> {
        let message = from.copy_to_bytes(from.remaining());
        ExportTraceServiceResponse::decode(message)
            .map(Some)
            .map_err(|error| Status::internal(format!("its answer cannot be read: {error}")))
    }
}
