//! Why a call did not bring its spans to the collector, whether it may go well later, and what to do about it.

use std::{error::Error, io, time::Duration};

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{cluster::async_client::ConnectFailure, upstream::connect::ConnectError};

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Of what kind.
    pub(crate) kind: FailureKind,
    /// What happened, in words that follow the collector's name.
    pub(crate) cause: String,
    /// Whether the same call may go well later.
    pub(crate) retry: Retry,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No host is known.
    NoHost,
    /// There is no connection.
    Connect(io::ErrorKind),
    /// The host is silent while connecting.
    ConnectTimeout,
    /// No TLS, or not with who was expected.
    Tls,
    /// It answers in another protocol.
    OtherProtocol,
    /// It closed the connection.
    Closed,
    /// It did not answer in time.
    NoAnswer,
    /// A status of HTTP.
    Http(StatusCode),
    /// A status of gRPC.
    Grpc(Code),
}

/// Whether to call again. OTLP specification, "Failures".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// It would fail again.
    No,
    /// After a pause of ours.
    Soon,
    /// After the pause that the collector asks for.
    After(Duration),
}

/// In which way spans are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP over gRPC.
    OtlpGrpc,
    /// OTLP over HTTP, as protobuf.
    OtlpHttp,
    /// Zipkin over HTTP.
    Zipkin,
    /// X-Ray by datagrams.
    XRay,
}

impl Protocol {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OtlpGrpc => "OTLP over gRPC",
            Self::OtlpHttp => "OTLP over HTTP",
            Self::Zipkin => "Zipkin over HTTP",
            Self::XRay => "X-Ray over UDP",
        }
    }
}

impl Failure {
    /// No answer came within `timeout`.
    pub(super) fn no_answer(timeout: Duration) -> Self {
        Self {
            kind: FailureKind::NoAnswer,
            cause: format!("did not answer within {timeout:?}"),
            retry: Retry::Soon,
        }
    }

    /// An answer of gRPC that is no success, or the reason why there is none.
    pub(super) fn of_status(status: &Status) -> Self {
        // What has a source was made here, of an error of the connection.
        if let Some(source) = status.source() {
            return Self::of_error(source);
        }
        let code = status.code();
        if let Some((_, answer)) = status.message().split_once("invalid compression flag") {
            // The library has taken the body of an answer that is no gRPC for one of its messages.
            let status = answer.rsplit_once("status: ").map_or("no status", |(_, status)| status);
            return Self {
                kind: FailureKind::OtherProtocol,
                cause: format!("answered {status} over HTTP/2, and not in gRPC"),
                retry: Retry::No,
            };
        }
        let delay = status.get_details_retry_info().and_then(|info| info.retry_delay);
        let retryable = match code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => true,
            Code::ResourceExhausted => delay.is_some(),
            _ => false,
        };
        if status.message().starts_with("Error, decoded message length too large") {
            // The library's own, about an answer to spans that were taken or not.
            let cause = "answered with a message that is longer than any answer to spans".to_owned();
            return Self { kind: FailureKind::OtherProtocol, cause, retry: Retry::No };
        }
        let said = match status.message() {
            "" => String::new(),
            message => format!(": {message}"),
        };
        Self {
            kind: FailureKind::Grpc(code),
            cause: format!("answered {}{said}", code_name(code)),
            retry: match delay {
                _ if !retryable => Retry::No,
                Some(delay) => Retry::After(delay),
                None => Retry::Soon,
            },
        }
    }

    /// An answer of HTTP that is no success.
    pub(super) fn of_answer(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let retryable = matches!(status.as_u16(), 429 | 502 | 503 | 504);
        let after = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?));
        let said = match readable(body) {
            Some(text) => format!(": {text}"),
            None => String::new(),
        };
        Self {
            kind: FailureKind::Http(status),
            cause: format!("answered {status}{said}"),
            retry: match after {
                _ if !retryable => Retry::No,
                Some(after) => Retry::After(after),
                None => Retry::Soon,
            },
        }
    }

    /// A success of HTTP whose body is a page for people.
    pub(super) fn of_page(status: StatusCode) -> Self {
        Self {
            kind: FailureKind::Http(StatusCode::NOT_FOUND),
            cause: format!("answered {status} with a web page (text/html), which no collector does"),
            retry: Retry::No,
        }
    }

    /// An error of the connection.
    pub(super) fn of_error(error: &(dyn Error + 'static)) -> Self {
        let (kind, cause) = explain(error);
        // A collector that is replaced by something else for a moment may come back; sending again does no harm.
        Self { kind, cause, retry: Retry::Soon }
    }

    /// The cause, and the pause that the collector asks for.
    pub(crate) fn told(&self) -> String {
        match self.retry {
            Retry::After(pause) => format!("{}, and asks for {}s of pause", self.cause, pause.as_secs()),
            Retry::No | Retry::Soon => self.cause.clone(),
        }
    }

    /// What whoever operates the proxy can do about it.
    pub(crate) fn hint(&self, over: Protocol) -> Option<&'static str> {
        super::hint::hint(self.kind, over)
    }
}

/// What kind of error it is, by what lies at its bottom, and its story.
fn explain(error: &(dyn Error + 'static)) -> (FailureKind, String) {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(failure) = current.downcast_ref::<ConnectFailure>() {
            return connecting(failure);
        }
        if let Some(error) = current.downcast_ref::<h2::Error>() {
            // What HTTP/1 or TLS send is read as a frame that is far too long, or as none at all.
            let other = error.reason().is_some_and(|reason| {
                matches!(reason, h2::Reason::FRAME_SIZE_ERROR | h2::Reason::PROTOCOL_ERROR)
            });
            if other && !error.is_remote() {
                return (FailureKind::OtherProtocol, "answers in something else than HTTP/2".to_owned());
            }
            return (FailureKind::Closed, format!("broke off: {error}"));
        }
        if let Some(error) = current.downcast_ref::<hyper::Error>() {
            if error.is_parse() {
                return (
                    FailureKind::OtherProtocol,
                    format!("answers in something else than HTTP/1.1 ({error})"),
                );
            }
            if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
                return (FailureKind::Closed, "closed the connection before it answered".to_owned());
            }
        }
        if let Some(error) = current.downcast_ref::<io::Error>() {
            if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                return (FailureKind::Tls, format!("ended TLS: {tls}"));
            }
            if error.kind() == io::ErrorKind::UnexpectedEof {
                return (FailureKind::Closed, "closed the connection before it answered".to_owned());
            }
            return (FailureKind::Closed, format!("broke off: {error}"));
        }
        next = current.source();
    }
    (FailureKind::Closed, format!("gave no answer: {}", with_causes(error)))
}

fn connecting(failure: &ConnectFailure) -> (FailureKind, String) {
    match failure {
        ConnectFailure::NoHost(_) => (FailureKind::NoHost, format!("cannot be reached: {failure}")),
        ConnectFailure::Host(address, ConnectError::Tls(error)) => {
            (FailureKind::Tls, format!("cannot be reached: TLS with {address} failed: {error}"))
        }
        ConnectFailure::Host(_, ConnectError::Io(error)) => {
            (FailureKind::Connect(error.kind()), format!("cannot be reached: {failure}"))
        }
        ConnectFailure::Host(_, ConnectError::Timeout(_)) => {
            (FailureKind::ConnectTimeout, format!("cannot be reached: {failure}"))
        }
    }
}

/// Seconds, or the time until a date (RFC 9110, 10.2.3).
fn retry_after(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(std::time::SystemTime::now()).unwrap_or_default())
}

/// The beginning of an answer's body, if it is a text: many collectors say there what they do not like.
fn readable(body: &[u8]) -> Option<String> {
    // An error of OTLP over HTTP is a google.rpc.Status.
    let status = <tonic_types::Status as prost::Message>::decode(body).ok();
    let said = match status.filter(|status| !status.message.is_empty()) {
        Some(status) => status.message,
        None => std::str::from_utf8(body).ok()?.to_owned(),
    };
    (!said.trim().is_empty()).then_some(said)
}

/// A text that somebody else wrote, as a short line for people.
pub(super) fn short(text: &str) -> String {
    const LONGEST: usize = 300;
    let words = text.split(|letter: char| letter.is_whitespace() || letter.is_control());
    let line = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(LONGEST).collect()
}

/// The name that gRPC's documentation uses.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// An error and what is behind it, in one line.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tonic_types::ErrorDetails;

    use super::*;

    fn answer(status: u16, retry_after: &'static str) -> Retry {
        let mut headers = HeaderMap::new();
        if !retry_after.is_empty() {
            headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
        }
        Failure::of_answer(StatusCode::from_u16(status).unwrap(), &headers, b"").retry
    }

    #[test]
    fn over_http_the_status_says_whether_to_come_back_and_a_header_when() {
        for status in [429, 502, 503, 504] {
            assert_eq!(answer(status, ""), Retry::Soon, "{status}");
            assert_eq!(answer(status, "7"), Retry::After(Duration::from_secs(7)), "{status}");
            assert_eq!(answer(status, "soon"), Retry::Soon, "{status}");
        }
        for status in [301, 400, 401, 403, 404, 413, 500, 501] {
            assert_eq!(answer(status, "7"), Retry::No, "{status}");
        }
        assert_eq!(answer(503, "Sun, 06 Nov 1994 08:49:37 GMT"), Retry::After(Duration::ZERO));
    }

    #[test]
    fn over_grpc_the_code_says_whether_to_come_back_and_retry_info_when() {
        for code in (0..17).map(Code::from_i32).filter(|code| *code != Code::Ok) {
            let plain = Failure::of_status(&Status::new(code, "m")).retry;
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(3)));
            let with_info = Failure::of_status(&Status::with_error_details(code, "m", details)).retry;
            let expected = match code {
                Code::Cancelled
                | Code::DeadlineExceeded
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unavailable
                | Code::DataLoss => (Retry::Soon, Retry::After(Duration::from_secs(3))),
                Code::ResourceExhausted => (Retry::No, Retry::After(Duration::from_secs(3))),
                _ => (Retry::No, Retry::No),
            };
            assert_eq!((plain, with_info), expected, "{code:?}");
        }
    }

    #[test]
    fn what_a_collector_says_is_told_in_one_short_line() {
        let said =
            |body: &[u8]| short(&Failure::of_answer(StatusCode::BAD_REQUEST, &HeaderMap::new(), body).cause);
        assert_eq!(said(b"no\n  \x1b[31msuch key"), "answered 400 Bad Request: no [31msuch key");
        assert_eq!(said(&[0xff, 0xfe]), "answered 400 Bad Request");
        assert!(said(&[b'x'; 100_000]).len() <= 300);
        let status = tonic_types::Status { code: 3, message: "bad span".to_owned(), details: Vec::new() };
        assert_eq!(said(&prost::Message::encode_to_vec(&status)), "answered 400 Bad Request: bad span");
    }
}
