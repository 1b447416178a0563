//! The command operators of format strings.

use std::sync::Arc;

use http::HeaderName;
use serde_json::Value;

use super::{Piece, time_format::TimeFormat};
use crate::snapshot::{cel::Expression, metadata::PathSegment};

/// A command operator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// `%REQ(X?Y)%`: a request header, or the other one where the first is absent.
    RequestHeader(FormatHeader, Option<FormatHeader>),
    /// `%RESP(X?Y)%`: a response header.
    ResponseHeader(HeaderName, Option<HeaderName>),
    /// `%TRAILER(X?Y)%`: a trailer of the response.
    ResponseTrailer(HeaderName, Option<HeaderName>),
    /// `%PROTOCOL%`: `HTTP/1.1` and so on.
    Protocol,
    /// `%START_TIME%`: when the request came in; ISO 8601 with milliseconds unless a pattern is given.
    StartTime(Option<TimeFormat>),
    /// `%EMIT_TIME%`: now.
    EmitTime(Option<TimeFormat>),
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`: the trusted client's address.
    DownstreamRemoteAddress(AddressPart),
    /// `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%`: the peer of the connection.
    DownstreamDirectRemoteAddress(AddressPart),
    /// `%DOWNSTREAM_LOCAL_ADDRESS%`
    DownstreamLocalAddress(AddressPart),
    /// `%UPSTREAM_HOST%`: address and port of the host that was chosen.
    UpstreamHost,
    /// `%UPSTREAM_HOST_NAME%`: its name, or its address.
    UpstreamHostName {
        /// Without the port behind it.
        without_port: bool,
    },
    /// `%UPSTREAM_HOSTS_ATTEMPTED%`: all hosts that a connection was used of.
    UpstreamHostsAttempted {
        /// Their names instead of their addresses.
        names: bool,
        /// Without ports.
        without_port: bool,
    },
    /// `%UPSTREAM_REMOTE_ADDRESS%`: the other end of the connection that was used.
    UpstreamRemoteAddress(AddressPart),
    /// `%UPSTREAM_LOCAL_ADDRESS%`: its own end.
    UpstreamLocalAddress(AddressPart),
    /// `%UPSTREAM_CONNECTION_ID%`
    UpstreamConnectionId,
    /// `%UPSTREAM_PROTOCOL%`
    UpstreamProtocol,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`: why there was no connection.
    UpstreamTransportFailureReason,
    /// `%DOWNSTREAM_TLS_VERSION%`
    DownstreamTlsVersion,
    /// `%DOWNSTREAM_TLS_CIPHER%`
    DownstreamTlsCipher,
    /// `%UPSTREAM_TLS_VERSION%`
    UpstreamTlsVersion,
    /// `%UPSTREAM_TLS_CIPHER%`
    UpstreamTlsCipher,
    /// `%UPSTREAM_CLUSTER%`: its cluster's name in statistics.
    UpstreamCluster,
    /// `%UPSTREAM_CLUSTER_RAW%`: its cluster's name.
    UpstreamClusterRaw,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`: how often the request was sent.
    UpstreamRequestAttemptCount,
    /// `%RESPONSE_CODE%`
    ResponseCode,
    /// `%RESPONSE_FLAGS%`
    ResponseFlags,
    /// `%RESPONSE_FLAGS_LONG%`
    ResponseFlagsLong,
    /// `%RESPONSE_CODE_DETAILS%`
    ResponseCodeDetails,
    /// `%ROUTE_NAME%`
    RouteName,
    /// `%TRACE_ID%`
    TraceId,
    /// `%SPAN_ID%`
    SpanId,
    /// `%STREAM_ID%`: the request id.
    StreamId,
    /// `%UNIQUE_ID%`: another one each time.
    UniqueId,
    /// `%BYTES_RECEIVED%`: of the request's body.
    BytesReceived,
    /// `%BYTES_SENT%`: of the response's body.
    BytesSent,
    /// `%REQUEST_HEADERS_BYTES%`
    RequestHeadersBytes,
    /// `%RESPONSE_HEADERS_BYTES%`
    ResponseHeadersBytes,
    /// `%RESPONSE_TRAILERS_BYTES%`
    ResponseTrailersBytes,
    /// `%SPANWAY_CAUSE%`: why there is an error of the proxy's own, and what to do. spanway's.
    Cause,
    /// `%DURATION%`: milliseconds since the request came in.
    Duration,
    /// `%COMMON_DURATION(START:END:PRECISION)%` and its shorthands.
    Between(TimePoint, TimePoint, Precision),
    /// `%CONNECTION_ID%`
    ConnectionId,
    /// `%PATH(WQ:ORIG_OR_PATH)%`
    Path {
        /// With the query.
        query: bool,
        /// Which path.
        source: PathSource,
    },
    /// `%QUERY_PARAM(X)%`: its first value, decoded.
    QueryParam(Box<str>),
    /// `%QUERY_PARAMS%`: the query.
    QueryParams {
        /// With percent signs decoded.
        decoded: bool,
    },
    /// `%GRPC_STATUS(STYLE)%`
    GrpcStatus(GrpcStatusStyle),
    /// `%ACCESS_LOG_TYPE%`
    AccessLogType,
    /// `%METADATA(KIND:FILTER:KEY...)%`
    Metadata(MetadataKind, Box<str>, Vec<PathSegment>),
    /// `%METADATA(LISTENER:FILTER:KEY...)%`, which is the same on all streams.
    Noted(Arc<Value>),
    /// `%VIRTUAL_CLUSTER_NAME%`
    VirtualClusterName,
    /// `%UPSTREAM_CONNECTION_IDS_ATTEMPTED%`
    UpstreamConnectionIdsAttempted,
    /// `%REQUESTED_SERVER_NAME%`
    RequestedServerName(RequestedName),
    /// `%COALESCE(...)%`: the first of these that has a value.
    Coalesce(Vec<Piece>),
    /// `%CEL(X)%`: the value of an expression.
    Cel(Arc<Expression>),
    /// What has no value on any stream, since nothing here gives it one.
    Nothing,
}

/// Which part of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressPart {
    /// Address and port.
    Whole,
    /// `_WITHOUT_PORT`
    WithoutPort,
    /// `_PORT`
    Port,
}

/// A moment of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimePoint {
    /// `DS_RX_BEG`: the request's headers are complete.
    RequestStart,
    /// `DS_RX_END`: the request is complete.
    RequestEnd,
    /// `US_CX_BEG`: the connection to the host begins to open.
    ConnectStart,
    /// `US_CX_END`: it is open.
    ConnectEnd,
    /// `US_HS_END`: its TLS is.
    HandshakeEnd,
    /// An attempt asks for a connection.
    AttemptStart,
    /// It has one, or knows that it gets none.
    PoolReady,
    /// `US_TX_BEG`: the request begins to leave.
    SendStart,
    /// `US_TX_END`: it has left.
    SendEnd,
    /// `US_RX_BEG`: the response's headers are there.
    ResponseStart,
    /// `US_RX_END`: the response is there.
    ResponseEnd,
    /// `DS_TX_BEG`: the response begins to leave.
    ReplyStart,
    /// `DS_TX_END`: it has left.
    ReplyEnd,
}

/// What a duration is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precision {
    /// `ms`
    Milliseconds,
    /// `us`
    Microseconds,
    /// `ns`
    Nanoseconds,
}

/// Which path `%PATH%` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathSource {
    /// `ORIG`: that of `x-envoy-original-path`.
    Original,
    /// `PATH`: `:path`.
    Path,
    /// `ORIG_OR_PATH`: the first that is there.
    OriginalOrPath,
}

/// How a gRPC status is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GrpcStatusStyle {
    /// `CAMEL_STRING`
    Camel,
    /// `SNAKE_STRING`
    Snake,
    /// `NUMBER`
    Number,
}

/// Which name was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestedName {
    /// `SNI_ONLY`
    Sni,
    /// `SNI_FIRST`: by SNI, or else the request's host.
    SniFirst,
    /// `HOST_FIRST`
    HostFirst,
}

/// Whose metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataKind {
    /// `CLUSTER`
    Cluster,
    /// `UPSTREAM_HOST`
    UpstreamHost,
    /// `ROUTE`
    Route,
    /// `VIRTUAL_HOST`
    VirtualHost,
}

impl Command {
    /// Whether its value may be cut.
    pub(crate) fn takes_length(&self) -> bool {
        matches!(
            self,
            Self::RequestHeader(..)
                | Self::ResponseHeader(..)
                | Self::ResponseTrailer(..)
                | Self::Path { .. }
                | Self::QueryParam(_)
                | Self::QueryParams { .. }
                | Self::Metadata(..)
                | Self::Noted(_)
                | Self::RequestedServerName(_)
                | Self::Coalesce(_)
                | Self::Cel(_)
                | Self::Nothing
        )
    }

    /// Whether it reads what is noted of the route or the virtual host, or their names.
    pub(crate) fn reads_route(&self) -> bool {
        match self {
            Self::Metadata(kind, ..) => matches!(kind, MetadataKind::Route | MetadataKind::VirtualHost),
            Self::VirtualClusterName => true,
            Self::Cel(expression) => expression.reads_route(),
            _ => false,
        }
    }

    /// Whether it reads what streams record only where that is asked for (`stream_info::observed`).
    pub(crate) fn reads_observed(&self) -> bool {
        matches!(
            self,
            Self::ResponseTrailer(..)
                | Self::UpstreamHostName { .. }
                | Self::UpstreamHostsAttempted { .. }
                | Self::UpstreamRemoteAddress(_)
                | Self::UpstreamLocalAddress(_)
                | Self::UpstreamConnectionId
                | Self::UpstreamTlsVersion
                | Self::UpstreamTlsCipher
                | Self::UpstreamProtocol
                | Self::UpstreamTransportFailureReason
                | Self::RequestHeadersBytes
                | Self::ResponseHeadersBytes
                | Self::ResponseTrailersBytes
                | Self::Between(..)
                | Self::Cause
                | Self::GrpcStatus(_)
                | Self::Metadata(..)
                | Self::VirtualClusterName
                | Self::Cel(_)
                | Self::UpstreamConnectionIdsAttempted
        )
    }
}

/// A request header as a format string names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FormatHeader {
    /// `:path`
    Path,
    /// `:method`
    Method,
    /// `:authority`
    Authority,
    /// `:scheme`
    Scheme,
    /// Any other.
    Name(HeaderName),
}

impl FormatHeader {
    /// Read a name; the four pseudo-headers have one, too.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            ":path" => Self::Path,
            ":method" => Self::Method,
            ":authority" | "host" => Self::Authority,
            ":scheme" => Self::Scheme,
            name => Self::Name(name.parse().ok()?),
        })
    }
}
