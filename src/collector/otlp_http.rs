//! OTLP/HTTP: `POST /v1/traces`, `/v1/logs` and `/v1/metrics` with protobuf or JSON, gzip or not.

use std::{
    convert::identity,
    io::{self, Read as _},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    error_handling::HandleErrorLayer,
    extract::State,
    middleware::map_request_with_state,
    response::{IntoResponse, Response},
    routing::post,
};
use flate2::{bufread::GzDecoder, read::MultiGzDecoder};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::LengthLimitError;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
};
use prost::Message;
use serde_json::json;
use tonic::Code;
use tower::{BoxError, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, timeout::error::Elapsed};

use super::{
    intake::{self, Intake},
    invalid::Invalid,
    limits,
    otlp_json::{self, NotOtlp},
    room::{self, Full, Room},
};

/// The paths that the protocol gives to signals.
const TRACES_PATH: &str = "/v1/traces";
const LOGS_PATH: &str = "/v1/logs";
const METRICS_PATH: &str = "/v1/metrics";

/// The receiver, with its limits.
pub(super) fn router(intake: Arc<Intake>) -> Router {
    Router::new()
        .route(TRACES_PATH, post(export::<Traces>))
        .route(LOGS_PATH, post(export::<Logs>))
        .route(METRICS_PATH, post(export::<Metrics>))
        .fallback(async |headers: HeaderMap| Refusal::NotFound.in_encoding_of(&headers))
        .method_not_allowed_fallback(async |headers: HeaderMap| Refusal::Method.in_encoding_of(&headers))
        .with_state(intake)
        .layer(map_request_with_state((Room::default(), identity as fn(Full) -> Full), room::count))
        .layer(
            ServiceBuilder::new()
                .layer(HandleErrorLayer::new(turned_away))
                .load_shed()
                .layer(GlobalConcurrencyLimitLayer::new(limits::MESSAGES_AT_ONCE))
                .timeout(limits::MESSAGE_TIMEOUT),
        )
}

/// One kind of telemetry.
trait Signal {
    /// What is sent.
    type Message: Message + Default;
    /// What is answered.
    type Answer: Message;

    /// Take a message.
    fn take(message: Self::Message, intake: &Intake) -> Self::Answer;

    /// Take one that is written as JSON.
    fn take_json(body: &[u8], intake: &Intake) -> Result<Self::Answer, NotOtlp>;

    /// What its answer says of rejected items: the name of their number, the number, and why.
    fn rejected(answer: &Self::Answer) -> Option<(&'static str, i64, &str)>;
}

struct Traces;

impl Signal for Traces {
    type Message = ExportTraceServiceRequest;
    type Answer = ExportTraceServiceResponse;

    fn take(message: Self::Message, intake: &Intake) -> Self::Answer {
        intake.traces(message, Invalid::default())
    }

    fn take_json(body: &[u8], intake: &Intake) -> Result<Self::Answer, NotOtlp> {
        let (message, invalid) = otlp_json::traces(body)?;
        Ok(intake.traces(message, invalid))
    }

    fn rejected(answer: &Self::Answer) -> Option<(&'static str, i64, &str)> {
        let partial = answer.partial_success.as_ref()?;
        Some(("rejectedSpans", partial.rejected_spans, &partial.error_message))
    }
}

struct Logs;

impl Signal for Logs {
    type Message = ExportLogsServiceRequest;
    type Answer = ExportLogsServiceResponse;

    fn take(message: Self::Message, intake: &Intake) -> Self::Answer {
        intake.logs(message, Invalid::default())
    }

    fn take_json(body: &[u8], intake: &Intake) -> Result<Self::Answer, NotOtlp> {
        let (message, invalid) = otlp_json::logs(body)?;
        Ok(intake.logs(message, invalid))
    }

    fn rejected(answer: &Self::Answer) -> Option<(&'static str, i64, &str)> {
        let partial = answer.partial_success.as_ref()?;
        Some(("rejectedLogRecords", partial.rejected_log_records, &partial.error_message))
    }
}

struct Metrics;

impl Signal for Metrics {
    type Message = ExportMetricsServiceRequest;
    type Answer = ExportMetricsServiceResponse;

    fn take(message: Self::Message, intake: &Intake) -> Self::Answer {
        intake.points(intake::points_of(&message));
        Self::Answer::default()
    }

    fn take_json(body: &[u8], intake: &Intake) -> Result<Self::Answer, NotOtlp> {
        intake.points(otlp_json::points(body)?);
        Ok(Self::Answer::default())
    }

    fn rejected(_: &Self::Answer) -> Option<(&'static str, i64, &str)> {
        None
    }
}

async fn export<S: Signal>(State(intake): State<Arc<Intake>>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    match receive(&head.headers, body).await.and_then(|(encoding, body)| encoding.take::<S>(&body, &intake)) {
        Ok(response) => response,
        Err(refusal) => refusal.in_encoding_of(&head.headers),
    }
}

/// A message, whole and as it was before it was compressed.
async fn receive(headers: &HeaderMap, body: Body) -> Result<(Encoding, Bytes), Refusal> {
    let encoding = Encoding::of(headers).ok_or(Refusal::ContentType)?;
    let gzipped = is_gzipped(headers)?;
    let body = to_bytes(body, limits::MESSAGE_BYTES).await.map_err(|cause| Refusal::reading(&cause))?;
    Ok((encoding, if gzipped { gunzip(&body)? } else { body }))
}

/// The answer to a message that one of the limits turned away.
async fn turned_away(headers: HeaderMap, cause: BoxError) -> Response {
    let refusal = if cause.is::<Elapsed>() { Refusal::Slow } else { Refusal::Busy };
    refusal.in_encoding_of(&headers)
}

fn is_gzipped(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"" | b"identity") => Ok(false),
        Some(name) if name.eq_ignore_ascii_case(b"gzip") => Ok(true),
        Some(_) => Err(Refusal::ContentEncoding),
    }
}

/// Decompress, but never more than a message may hold: a few kilobytes can stand for gigabytes.
fn gunzip(compressed: &[u8]) -> Result<Bytes, Refusal> {
    let mut body = Vec::new();
    let one_too_many = limits::MESSAGE_BYTES as u64 + 1;
    MultiGzDecoder::new(compressed)
        .take(one_too_many)
        .read_to_end(&mut body)
        .map_err(|cause| not_gzip(compressed, &cause))?;
    if body.len() > limits::MESSAGE_BYTES { Err(Refusal::TooLarge) } else { Ok(body.into()) }
}

/// Why that is not gzip. What stands behind its end is read as the head of more, and would be told as a bad one.
fn not_gzip(compressed: &[u8], cause: &io::Error) -> Refusal {
    let mut first = GzDecoder::new(compressed);
    let is_whole = io::copy(&mut first, &mut io::sink()).is_ok();
    let rest = first.into_inner();
    if is_whole && !rest.is_empty() && !rest.starts_with(&[0x1f, 0x8b]) {
        let noun = if rest.len() == 1 { "byte follows" } else { "bytes follow" };
        return Refusal::Body(format!("not gzip alone: {} {noun} after its end", rest.len()));
    }
    Refusal::Body(format!("not gzip: {cause}"))
}

/// How a message is written, and its answer with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Protobuf,
    Json,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
        let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.as_str() {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn take<S: Signal>(self, body: &[u8], intake: &Intake) -> Result<Response, Refusal> {
        let answer = match self {
            Self::Protobuf => {
                S::Message::decode(body).map(|message| S::take(message, intake)).map_err(unreadable)
            }
            Self::Json => S::take_json(body, intake).map_err(unreadable),
        }?;
        Ok(self.success::<S>(&answer))
    }

    fn success<S: Signal>(self, answer: &S::Answer) -> Response {
        let body = match self {
            Self::Protobuf => answer.encode_to_vec(),
            Self::Json => match S::rejected(answer) {
                None => json!({}),
                // The JSON mapping of protobuf writes 64-bit numbers as texts.
                Some((name, count, reason)) => {
                    json!({"partialSuccess": {name: count.to_string(), "errorMessage": reason}})
                }
            }
            .to_string()
            .into(),
        };
        (StatusCode::OK, [self.content_type()], body).into_response()
    }

    fn failure(self, code: Code, message: String) -> Vec<u8> {
        match self {
            Self::Protobuf => {
                tonic_types::Status { code: code as i32, message, details: Vec::new() }.encode_to_vec()
            }
            Self::Json => json!({"code": code as i32, "message": message}).to_string().into(),
        }
    }

    fn content_type(self) -> (HeaderName, &'static str) {
        let media_type = match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        };
        (header::CONTENT_TYPE, media_type)
    }
}

fn unreadable(cause: impl std::error::Error) -> Refusal {
    Refusal::Body(cause.to_string())
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("cannot read the message: {0}")]
    Body(String),
    #[error("nothing here: POST traces to {TRACES_PATH}, logs to {LOGS_PATH}, metrics to {METRICS_PATH}")]
    NotFound,
    #[error("messages are sent with POST")]
    Method,
    #[error("the message did not arrive within {} s", limits::MESSAGE_TIMEOUT.as_secs())]
    Slow,
    #[error("the message is larger than {} bytes", limits::MESSAGE_BYTES)]
    TooLarge,
    #[error("the content type must be application/x-protobuf or application/json")]
    ContentType,
    #[error("the content encoding must be gzip, or none")]
    ContentEncoding,
    #[error("too many messages at once")]
    Busy,
}

impl Refusal {
    fn reading(error: &axum::Error) -> Self {
        let mut causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let known = causes.find_map(|cause| match cause {
            _ if cause.is::<LengthLimitError>() => Some(Self::TooLarge),
            _ if cause.is::<Full>() => Some(Self::Busy),
            _ => None,
        });
        known.unwrap_or_else(|| Self::Body(error.to_string()))
    }

    /// The answer, written as the request was; in JSON if that cannot be told.
    fn in_encoding_of(self, request: &HeaderMap) -> Response {
        let encoding = Encoding::of(request).unwrap_or(Encoding::Json);
        let (status, code) = match self {
            Self::Body(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
            Self::NotFound => (StatusCode::NOT_FOUND, Code::Unimplemented),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Code::InvalidArgument),
            Self::ContentType | Self::ContentEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::InvalidArgument)
            }
            Self::Busy => (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        };
        let body = encoding.failure(code, self.to_string());
        let mut response = (status, [encoding.content_type()], body).into_response();
        match self {
            Self::Method => {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Busy => {
                let seconds = HeaderValue::from(limits::RETRY_AFTER.as_secs());
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;

    use super::{super::store::Store, *};

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bytes_after_the_end_of_gzip_are_told_as_such() {
        let told = |body: &[u8]| gunzip(body).unwrap_err().to_string();
        let with = |more: &[u8]| [&*gzip(b"spans"), more].concat();
        assert_eq!(gunzip(&with(&gzip(b" and more"))), Ok(Bytes::from_static(b"spans and more")));
        assert!(told(&with(b"x")).contains("not gzip alone: 1 byte follows after its end"));
        assert!(told(&with(&[0; 512])).contains("not gzip alone: 512 bytes follow after its end"));
        assert!(!told(b"spans").contains("after its end"));
        assert!(!told(gzip(b"spans").get(..20).unwrap()).contains("after its end"));
    }

    #[test]
    fn gzip_is_read_and_a_bomb_is_refused() {
        assert_eq!(gunzip(&gzip(b"spans")), Ok(Bytes::from_static(b"spans")));
        assert_eq!(gunzip(&gzip(&vec![0; limits::MESSAGE_BYTES])).map(|body| body.len()), Ok(16 << 20));
        assert_eq!(gunzip(&gzip(&vec![0; limits::MESSAGE_BYTES + 1])), Err(Refusal::TooLarge));
        assert!(matches!(gunzip(b"spans"), Err(Refusal::Body(_))));
    }

    #[test]
    fn the_content_type_may_have_parameters_and_capitals() {
        let with = |value| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert_eq!(Encoding::of(&with("Application/JSON; charset=utf-8")), Some(Encoding::Json));
        assert_eq!(Encoding::of(&with("application/x-protobuf")), Some(Encoding::Protobuf));
        assert_eq!(Encoding::of(&with("text/plain")), None);
        assert_eq!(Encoding::of(&HeaderMap::new()), None);
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let intake = Intake::new(Arc::new(Store::new(1 << 20)), None);
            for encoding in [Encoding::Protobuf, Encoding::Json] {
                let _ = encoding.take::<Traces>(&body, &intake);
                let _ = encoding.take::<Logs>(&body, &intake);
                let _ = encoding.take::<Metrics>(&body, &intake);
            }
            let _ = gunzip(&body);
        }
    }
}
