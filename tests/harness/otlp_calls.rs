//! Export calls of OTLP as a collector sees them: what is in a request, and the forms that an answer takes.

use std::{convert::Infallible, io::Read as _};

use bytes::{BufMut as _, Bytes, BytesMut};
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::any_value::Value,
    trace::v1::Span,
};
use prost::Message as _;
use tonic::Status;

pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// A call as it arrived.
pub(super) struct OtlpCall {
    /// It came over gRPC, and else over HTTP.
    pub(super) grpc: bool,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    /// As many bytes as the body had on its way.
    pub(super) bytes: usize,
    pub(super) compressed: bool,
    pub(super) spans: Vec<Span>,
}

impl OtlpCall {
    /// Read a call to its end; none if it breaks off.
    pub(super) async fn read(request: Request<Incoming>) -> Option<Self> {
        let (head, body) = request.into_parts();
        let headers = head.headers;
        let body = body.collect().await.ok()?.to_bytes();
        let grpc =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let (compressed, message) = if grpc {
            assert_eq!(head.uri.path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
            let length = u32::from_be_bytes(body[1..5].try_into().unwrap());
            assert_eq!(body.len(), 5 + length as usize, "one message in a call");
            assert_eq!(body[0] == 1, headers.contains_key("grpc-encoding"), "{headers:?}");
            (body[0] == 1, body.slice(5..))
        } else {
            assert_eq!(headers[CONTENT_TYPE], "application/x-protobuf");
            (headers.get("content-encoding").is_some_and(|coding| coding == "gzip"), body.clone())
        };
        let message = if compressed { inflate(&message) } else { message };
        let request = ExportTraceServiceRequest::decode(message).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let spans = scopes.flat_map(|scope| scope.spans).collect();
        let path = head.uri.path().to_owned();
        Some(Self { grpc, path, headers, bytes: body.len(), compressed, spans })
    }
}

fn inflate(bytes: &[u8]) -> Bytes {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    plain.into()
}

/// The attribute `http.url` of a span.
pub(super) fn url(span: &Span) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == "http.url").unwrap();
    match found.value.clone().unwrap().value.unwrap() {
        Value::StringValue(url) => url,
        other => panic!("{other:?}"),
    }
}

/// It took the spans, but for so many of them.
pub(super) fn taken(grpc: bool, rejected_spans: i64, message: &str) -> Answer {
    let mut answer = ExportTraceServiceResponse::default();
    if rejected_spans != 0 || !message.is_empty() {
        answer.partial_success =
            Some(ExportTracePartialSuccess { rejected_spans, error_message: message.to_owned() });
    }
    let message = answer.encode_to_vec();
    if !grpc {
        let mut answer = plain(StatusCode::OK, message);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        return answer;
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(&message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
    let body = Full::new(frame.freeze()).with_trailers(async { Some(Ok(trailers)) });
    let mut answer = Response::new(body.boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    answer
}

/// An answer of HTTP, which is none of gRPC.
pub(super) fn plain(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer
}

/// An error of gRPC.
pub(super) fn status(status: &Status) -> Answer {
    status.clone().into_http::<Full<Bytes>>().map(|body| body.boxed_unsync())
}
