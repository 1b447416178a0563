//! What a collector answers to an export call, well or not.

use std::{
    convert::Infallible,
    future::ready,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode, Version,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};

use crate::wire;

/// How late a late answer is; far beyond what proxies wait for.
const LATE: Duration = Duration::from_secs(30);
/// The reason in an oversized answer; more than the 4 MB that gRPC takes unless told.
const OVERSIZED: usize = 5 << 20;
/// The bytes before a gRPC message: not compressed, and its length.
const GRPC_PREFIX: usize = 5;
/// A google.rpc.Status in base64: RESOURCE_EXHAUSTED, and a RetryInfo of 200 ms.
const RETRY_INFO: &str = "CAgaMwoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIHCgUQgISvXw";

/// One way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// All spans are taken, and counted.
    Thanks,
    /// The same, far too late; the spans are not counted.
    Late,
    /// All spans but one are taken.
    Partial,
    /// All were, but it says so in 5 MB.
    Oversized,
    /// A gRPC status and no message.
    Grpc(&'static str),
    /// RESOURCE_EXHAUSTED, which says when to come back.
    GrpcComeBack,
    /// A status of HTTP and no body.
    Http(StatusCode),
    /// 429, which says to come back in a second.
    HttpComeBack,
}

/// An answer that hyper can send.
type Answered = Response<BoxBody<Bytes, Infallible>>;

/// Reads an export call to its end, counts what it brings where that is taken, and answers.
pub(crate) async fn answer(
    request: Request<Incoming>,
    answer: Answer,
    spans: Arc<AtomicU64>,
) -> Result<Answered, Infallible> {
    let grpc = request.version() == Version::HTTP_2;
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let message = body.get(if grpc { GRPC_PREFIX } else { 0 }..).unwrap_or_default();
    let taken_spans = match answer {
        Answer::Thanks | Answer::Oversized => wire::spans(message),
        Answer::Partial => wire::spans(message).saturating_sub(1),
        _ => 0,
    };
    spans.fetch_add(taken_spans as u64, Ordering::Relaxed);
    Ok(match answer {
        Answer::Thanks => thanks(grpc),
        Answer::Late => {
            tokio::time::sleep(LATE).await;
            thanks(grpc)
        }
        Answer::Partial => taken(framed(&wire::partial_success(1, b"one is enough"))),
        Answer::Oversized => taken(oversized()),
        Answer::Grpc(status) => refusal(StatusCode::OK, &[("grpc-status", status)]),
        Answer::GrpcComeBack => {
            refusal(StatusCode::OK, &[("grpc-status", "8"), ("grpc-status-details-bin", RETRY_INFO)])
        }
        Answer::Http(status) => refusal(status, &[]),
        Answer::HttpComeBack => refusal(StatusCode::TOO_MANY_REQUESTS, &[(RETRY_AFTER.as_str(), "1")]),
    })
}

/// A message with its prefix: it is not compressed, and its length.
fn framed(message: &[u8]) -> Bytes {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message].concat().into()
}

/// An answer that gives a reason of 5 MB. It is written once, since the load shares its core with the collector.
fn oversized() -> Bytes {
    static WRITTEN: OnceLock<Bytes> = OnceLock::new();
    WRITTEN.get_or_init(|| framed(&wire::partial_success(0, &vec![b'x'; OVERSIZED]))).clone()
}

/// An ExportTraceServiceResponse over gRPC that arrives well.
fn taken(framed: Bytes) -> Answered {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    typed("application/grpc", Full::new(framed).with_trailers(ready(Some(Ok(trailers)))).boxed())
}

/// The empty message: all was taken.
fn thanks(grpc: bool) -> Answered {
    if grpc { taken(framed(&[])) } else { typed("application/x-protobuf", Full::new(Bytes::new()).boxed()) }
}

/// An answer without a body, which ends with its headers.
fn refusal(status: StatusCode, headers: &[(&'static str, &'static str)]) -> Answered {
    let mut response = typed("application/grpc", Full::new(Bytes::new()).boxed());
    *response.status_mut() = status;
    for (name, value) in headers {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}

/// A response with a content type.
fn typed(content_type: &'static str, body: BoxBody<Bytes, Infallible>) -> Answered {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
