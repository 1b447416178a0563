//! Numbers of fields and of values, as `accesslog.proto` and what it imports have them.

use http::Version;

use crate::stream_info::flags::{ResponseFlag, ResponseFlags};

pub(super) mod entry {
    pub(in super::super) const LOG_ENTRY: u32 = 1;
    pub(in super::super) const COMMON_PROPERTIES: u32 = 1;
    pub(in super::super) const PROTOCOL_VERSION: u32 = 2;
    pub(in super::super) const REQUEST: u32 = 3;
    pub(in super::super) const RESPONSE: u32 = 4;
}

pub(super) mod common {
    pub(in super::super) const DOWNSTREAM_REMOTE_ADDRESS: u32 = 2;
    pub(in super::super) const DOWNSTREAM_LOCAL_ADDRESS: u32 = 3;
    pub(in super::super) const TLS_PROPERTIES: u32 = 4;
    pub(in super::super) const START_TIME: u32 = 5;
    pub(in super::super) const TIME_TO_LAST_RX_BYTE: u32 = 6;
    pub(in super::super) const TIME_TO_FIRST_UPSTREAM_TX_BYTE: u32 = 7;
    pub(in super::super) const TIME_TO_LAST_UPSTREAM_TX_BYTE: u32 = 8;
    pub(in super::super) const TIME_TO_FIRST_UPSTREAM_RX_BYTE: u32 = 9;
    pub(in super::super) const TIME_TO_LAST_UPSTREAM_RX_BYTE: u32 = 10;
    pub(in super::super) const TIME_TO_FIRST_DOWNSTREAM_TX_BYTE: u32 = 11;
    pub(in super::super) const TIME_TO_LAST_DOWNSTREAM_TX_BYTE: u32 = 12;
    pub(in super::super) const UPSTREAM_REMOTE_ADDRESS: u32 = 13;
    pub(in super::super) const UPSTREAM_LOCAL_ADDRESS: u32 = 14;
    pub(in super::super) const UPSTREAM_CLUSTER: u32 = 15;
    pub(in super::super) const RESPONSE_FLAGS: u32 = 16;
    pub(in super::super) const UPSTREAM_TRANSPORT_FAILURE_REASON: u32 = 18;
    pub(in super::super) const ROUTE_NAME: u32 = 19;
    pub(in super::super) const DOWNSTREAM_DIRECT_REMOTE_ADDRESS: u32 = 20;
    pub(in super::super) const CUSTOM_TAGS: u32 = 22;
    pub(in super::super) const DURATION: u32 = 23;
    pub(in super::super) const UPSTREAM_REQUEST_ATTEMPT_COUNT: u32 = 24;
    pub(in super::super) const STREAM_ID: u32 = 26;
    pub(in super::super) const INTERMEDIATE_LOG_ENTRY: u32 = 27;
    pub(in super::super) const ACCESS_LOG_TYPE: u32 = 33;
}

pub(super) mod request {
    pub(in super::super) const METHOD: u32 = 1;
    pub(in super::super) const SCHEME: u32 = 2;
    pub(in super::super) const AUTHORITY: u32 = 3;
    pub(in super::super) const PATH: u32 = 5;
    pub(in super::super) const USER_AGENT: u32 = 6;
    pub(in super::super) const REFERER: u32 = 7;
    pub(in super::super) const FORWARDED_FOR: u32 = 8;
    pub(in super::super) const REQUEST_ID: u32 = 9;
    pub(in super::super) const ORIGINAL_PATH: u32 = 10;
    pub(in super::super) const HEADERS_BYTES: u32 = 11;
    pub(in super::super) const BODY_BYTES: u32 = 12;
    pub(in super::super) const HEADERS: u32 = 13;
}

pub(super) mod response {
    pub(in super::super) const CODE: u32 = 1;
    pub(in super::super) const HEADERS_BYTES: u32 = 2;
    pub(in super::super) const BODY_BYTES: u32 = 3;
    pub(in super::super) const HEADERS: u32 = 4;
    pub(in super::super) const TRAILERS: u32 = 5;
    pub(in super::super) const CODE_DETAILS: u32 = 6;
}

pub(super) mod tls {
    pub(in super::super) const VERSION: u32 = 1;
    pub(in super::super) const CIPHER_SUITE: u32 = 2;
    pub(in super::super) const SNI_HOSTNAME: u32 = 3;
}

/// `config.core.v3.Address`
pub(super) mod address {
    pub(in super::super) const SOCKET: u32 = 1;
    pub(in super::super) const SOCKET_ADDRESS: u32 = 2;
    pub(in super::super) const SOCKET_PORT: u32 = 3;
    pub(in super::super) const PIPE: u32 = 2;
    pub(in super::super) const PIPE_PATH: u32 = 1;
}

pub(super) mod key_value {
    pub(in super::super) const KEY: u32 = 1;
    pub(in super::super) const VALUE: u32 = 2;
}

/// Of `UInt32Value`, `Duration` and `Timestamp`.
pub(super) mod value {
    pub(in super::super) const VALUE: u32 = 1;
    pub(in super::super) const SECONDS: u32 = 1;
    pub(in super::super) const NANOS: u32 = 2;
}

/// `HTTPAccessLogEntry.HTTPVersion`
pub(super) fn protocol(version: Version) -> u64 {
    match version {
        Version::HTTP_10 => 1,
        Version::HTTP_11 => 2,
        Version::HTTP_2 => 3,
        Version::HTTP_3 => 4,
        _ => 0,
    }
}

/// `config.core.v3.RequestMethod`
pub(super) fn method(method: &str) -> u64 {
    const METHODS: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    METHODS.iter().zip(1..).find_map(|(known, number)| (*known == method).then_some(number)).unwrap_or(0)
}

/// `TLSProperties.TLSVersion`
pub(super) fn tls_version(version: &str) -> u64 {
    match version {
        "TLSv1.2" => 3,
        "TLSv1.3" => 4,
        _ => 0,
    }
}

/// `AccessLogType`
pub(super) fn log_type(name: &str) -> u64 {
    match name {
        "DownstreamStart" => 4,
        "DownstreamPeriodic" => 5,
        "DownstreamEnd" => 6,
        "DownstreamTunnelSuccessfullyEstablished" => 10,
        _ => 0,
    }
}

/// The fields of `ResponseFlags` that are true.
pub(super) fn flags(flags: ResponseFlags) -> impl Iterator<Item = u32> {
    const FIELDS: [(ResponseFlag, u32); 15] = [
        (ResponseFlag::FailedLocalHealthCheck, 1),
        (ResponseFlag::NoHealthyUpstream, 2),
        (ResponseFlag::UpstreamRequestTimeout, 3),
        (ResponseFlag::LocalReset, 4),
        (ResponseFlag::UpstreamRemoteReset, 5),
        (ResponseFlag::UpstreamConnectionFailure, 6),
        (ResponseFlag::UpstreamConnectionTermination, 7),
        (ResponseFlag::UpstreamOverflow, 8),
        (ResponseFlag::NoRouteFound, 9),
        (ResponseFlag::DownstreamConnectionTermination, 15),
        (ResponseFlag::UpstreamRetryLimitExceeded, 16),
        (ResponseFlag::StreamIdleTimeout, 17),
        (ResponseFlag::DownstreamProtocolError, 19),
        (ResponseFlag::UpstreamProtocolError, 24),
        (ResponseFlag::NoClusterFound, 25),
    ];
    FIELDS.into_iter().filter(move |(flag, _)| flags.contains(*flag)).map(|(_, field)| field)
}
