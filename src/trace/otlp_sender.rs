//! Export calls of OTLP: over gRPC, or over HTTP with protobuf.
//!
//! Reference: OpenTelemetry Protocol specification 1.x, "OTLP/gRPC" and "OTLP/HTTP".

use std::{fmt, time::Duration};

use bytes::{Buf, BufMut, Bytes};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
    uri::PathAndQuery,
};
use opentelemetry_http::HttpClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{
    Code, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, Binary, MetadataKey, MetadataMap, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt;

use super::{
    otlp::{EncodedSpans, Envelope},
    sender::with_causes,
};
use crate::snapshot::tracing::{GrpcService, HttpService, OpenTelemetry};

/// The method that takes spans.
const EXPORT: PathAndQuery =
    PathAndQuery::from_static("/opentelemetry.proto.collector.trace.v1.TraceService/Export");
const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
/// Who calls, in the form that OTLP asks exporters for; over gRPC the library adds itself.
const OWN_USER_AGENT: &str = concat!("OTel-OTLP-Exporter-spanway/", env!("CARGO_PKG_VERSION"));
/// How often a call is retried.
const RETRIES: u32 = 3;
/// The back-off before the first retry; the next ones are twice as long each. Up to as much again is added by chance,
/// so that many proxies do not come back at once.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Sends spans to one collector.
#[derive(Debug)]
pub(super) struct OtlpSender {
    envelope: Envelope,
    transport: Transport,
}

enum Transport {
    Grpc { client: Grpc<Channel>, metadata: MetadataMap },
    Http { client: Box<dyn HttpClient>, uri: Uri, headers: HeaderMap },
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grpc { .. } => "Grpc",
            Self::Http { .. } => "Http",
        })
    }
}

/// Why a call did not go well.
struct Fault {
    cause: String,
    /// The call may go well later.
    retryable: bool,
    /// The collector says when to come back.
    retry_after: Option<Duration>,
}

impl OtlpSender {
    /// Over gRPC.
    pub(super) fn grpc(tracer: &OpenTelemetry, service: &GrpcService, channel: Channel) -> Self {
        let mut metadata = MetadataMap::new();
        metadata.insert("user-agent", MetadataValue::from_static(OWN_USER_AGENT));
        for (key, value) in &service.metadata {
            if let Ok(key) = key.parse::<MetadataKey<Binary>>() {
                metadata.append_bin(key, MetadataValue::from_bytes(value.as_bytes()));
            } else if let (Ok(key), Ok(value)) = (key.parse::<MetadataKey<Ascii>>(), value.parse()) {
                metadata.append(key, value);
            }
        }
        let transport = Transport::Grpc { client: Grpc::new(channel), metadata };
        Self { envelope: Envelope::new(tracer), transport }
    }

    /// Over HTTP. It fails if the service's authority and path are no address.
    pub(super) fn http(
        tracer: &OpenTelemetry,
        service: &HttpService,
        client: Box<dyn HttpClient>,
    ) -> Result<Self, http::uri::InvalidUri> {
        let uri = Uri::try_from(format!("http://{}{}", service.authority_text(), service.path))?;
        let mut headers = HeaderMap::from_iter([
            (CONTENT_TYPE, PROTOBUF),
            (USER_AGENT, HeaderValue::from_static(OWN_USER_AGENT)),
        ]);
        for (name, value) in &service.headers {
            headers.insert(name, value.clone());
        }
        Ok(Self { envelope: Envelope::new(tracer), transport: Transport::Http { client, uri, headers } })
    }

    /// Send `spans`: how many of them the collector rejected, with its reason, or why there is no answer.
    pub(super) async fn send(&mut self, spans: &EncodedSpans) -> Result<Rejected, String> {
        let request = self.envelope.request(spans);
        let mut backoff = FIRST_BACKOFF;
        let mut retries = RETRIES;
        loop {
            let fault = match self.transport.call(request.clone()).await {
                Ok(response) => return Ok(rejected(response)),
                Err(fault) if fault.retryable && retries > 0 => fault,
                Err(fault) => return Err(fault.cause),
            };
            retries -= 1;
            let jittered = || backoff.mul_f64(1.0 + fastrand::f64());
            tokio::time::sleep(fault.retry_after.unwrap_or_else(jittered)).await;
            backoff *= 2;
        }
    }
}

/// What a collector says of spans that it did not take, though it took others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    /// How many.
    pub(super) spans: usize,
    /// Why.
    pub(super) reason: String,
}

fn rejected(response: ExportTraceServiceResponse) -> Rejected {
    let partial = response.partial_success.unwrap_or_default();
    Rejected { spans: usize::try_from(partial.rejected_spans).unwrap_or(0), reason: partial.error_message }
}

impl Transport {
    async fn call(&mut self, body: Bytes) -> Result<ExportTraceServiceResponse, Fault> {
        match self {
            Self::Grpc { client, metadata } => {
                client.ready().await.map_err(|error| Fault {
                    cause: with_causes(&error),
                    retryable: true,
                    retry_after: None,
                })?;
                let mut request = tonic::Request::new(body);
                request.metadata_mut().clone_from(metadata);
                let answer = client.unary(request, EXPORT, PreEncoded).await;
                answer.map(tonic::Response::into_inner).map_err(|status| of_status(&status))
            }
            Self::Http { client, uri, headers } => {
                let mut request = Request::new(body);
                *request.method_mut() = Method::POST;
                request.uri_mut().clone_from(uri);
                request.headers_mut().clone_from(headers);
                let response = client.send_bytes(request).await.map_err(|error| Fault {
                    cause: with_causes(&*error),
                    retryable: true,
                    retry_after: None,
                })?;
                if !response.status().is_success() {
                    return Err(of_answer(response.status(), response.headers()));
                }
                // What took the spans need not say anything that can be read.
                Ok(ExportTraceServiceResponse::decode(response.into_body()).unwrap_or_default())
            }
        }
    }
}

fn of_status(status: &Status) -> Fault {
    let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let retryable = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::ResourceExhausted => retry_after.is_some(),
        _ => false,
    };
    Fault { cause: with_causes(status), retryable, retry_after }
}

fn of_answer(status: StatusCode, headers: &HeaderMap) -> Fault {
    let seconds = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Fault {
        cause: format!("it answered {status}"),
        retryable: matches!(status.as_u16(), 429 | 502 | 503 | 504),
        retry_after: seconds.map(Duration::from_secs),
    }
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
