//! The status of gRPC calls.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};

use super::formatter::Headers;

/// The codes of gRPC, from 0 on: as words in camel case, and as the specification has them.
const CODES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// What an HTTP status means in gRPC. The mapping is gRPC's own ("HTTP to gRPC Status Code Mapping").
pub(crate) fn of_http(status: u16) -> u16 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

/// What a call came to: as its trailers say, or its headers, or its status. `None` for what is no number.
pub(crate) fn of_response(
    trailers: Option<&HeaderMap>,
    headers: Option<Headers<'_>>,
    status: u16,
) -> Option<u32> {
    const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
    let said = trailers.and_then(|trailers| trailers.get(GRPC_STATUS));
    match said.or_else(|| headers?.get(&GRPC_STATUS)) {
        Some(said) => said.to_str().ok()?.parse().ok(),
        // Of a call that broke off nothing is known.
        None => (status != 0).then(|| of_http(status).into()),
    }
}

fn code(status: u32) -> Option<&'static (&'static str, &'static str)> {
    CODES.get(usize::try_from(status).ok()?)
}

/// `NotFound` and so on; the number where it has no name.
pub(crate) fn camel(status: u32) -> Cow<'static, str> {
    code(status).map_or_else(|| status.to_string().into(), |(camel, _)| (*camel).into())
}

/// `NOT_FOUND` and so on.
pub(crate) fn snake(status: u32) -> Cow<'static, str> {
    code(status).map_or_else(|| status.to_string().into(), |(_, snake)| (*snake).into())
}
