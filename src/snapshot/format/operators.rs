//! The names of command operators, with what stands in their parentheses.

use http::HeaderName;

use super::{
    command::{
        AddressPart, Command, FormatHeader, GrpcStatusStyle, MetadataKind, PathSource, Precision,
        RequestedName, TimePoint,
    },
    time_format::TimeFormat,
};
use crate::snapshot::{
    cel::CelError,
    format::Constants,
    metadata::{MetadataKey, PathSegment},
};

/// Why an operator cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// There is none of that name.
    Unknown,
    /// Envoy has it.
    Refused(&'static str),
    /// It is written wrongly.
    Malformed(&'static str),
    /// Its expression cannot be used.
    Cel(CelError),
}

const WIRE: &str = "bytes on the wire are not counted";
const CERTIFICATES: &str = "what certificates say is not kept";
const TLS: &str = "of TLS the version, the cipher and the server's name are kept";

/// Operators of Envoy that are refused, by the beginning of their names.
const REFUSED: &[(&str, &str)] = &[
    ("TYPED_CEL", "use %CEL(X)%, whose values are texts"),
    ("FILTER_STATE", "there is no filter state"),
    ("UPSTREAM_FILTER_STATE", "there is no filter state"),
    ("UPSTREAM_WIRE_BYTES_", WIRE),
    ("UPSTREAM_HEADER_BYTES_", WIRE),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_", WIRE),
    ("DOWNSTREAM_WIRE_BYTES_", WIRE),
    ("DOWNSTREAM_HEADER_BYTES_", WIRE),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_", WIRE),
    ("BYTES_RETRANSMITTED", "there is no HTTP/3"),
    ("PACKETS_RETRANSMITTED", "there is no HTTP/3"),
    ("DOWNSTREAM_CX_RTT", "the system's round-trip times are not read"),
    ("DOWNSTREAM_PEER_", CERTIFICATES),
    ("UPSTREAM_PEER_", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_SUBJECT", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_URI_SAN", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_DNS_SAN", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_IP_SAN", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", CERTIFICATES),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", CERTIFICATES),
    ("UPSTREAM_LOCAL_URI_SAN", CERTIFICATES),
    ("UPSTREAM_LOCAL_DNS_SAN", CERTIFICATES),
    ("UPSTREAM_LOCAL_IP_SAN", CERTIFICATES),
    ("DOWNSTREAM_TLS_", TLS),
    ("UPSTREAM_TLS_", TLS),
    ("UPSTREAM_SERVER_NAME", TLS),
    ("TLS_JA", TLS),
    ("DOWNSTREAM_HANDSHAKE_DURATION", TLS),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", "why a connection closed is not kept"),
    ("UPSTREAM_LOCAL_CLOSE_REASON", "why a connection closed is not kept"),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", "why a connection closed is not kept"),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", "why a connection closed is not kept"),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", "there are no internal addresses"),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", "there are no internal addresses"),
    ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", "there are no internal addresses"),
    ("XFCC_VALUE", "the header is not taken apart"),
];

/// The operator of that name.
pub(super) fn read(name: &str, arguments: Option<&str>) -> Result<Command, Wrong> {
    if let Some(command) = plain(name) {
        return match arguments {
            None => Ok(command),
            // What stands there makes no difference, as in Envoy.
            Some(_) if command == Command::ResponseCodeDetails => Ok(command),
            Some(_) => Err(Wrong::Malformed("it takes nothing in parentheses")),
        };
    }
    let needed = || arguments.ok_or(Wrong::Malformed("what it is of, in parentheses, is missing"));
    Ok(match name {
        "REQ" | "REQUEST_HEADER" => {
            let (first, second) = alternatives(needed()?, |text| {
                FormatHeader::parse(text).ok_or(Wrong::Malformed("not a header name"))
            })?;
            Command::RequestHeader(first, second)
        }
        "RESP" | "RESPONSE_HEADER" => {
            let (first, second) = alternatives(needed()?, header_name)?;
            Command::ResponseHeader(first, second)
        }
        "TRAILER" | "RESPONSE_TRAILER" => {
            let (first, second) = alternatives(needed()?, header_name)?;
            Command::ResponseTrailer(first, second)
        }
        "START_TIME" => Command::StartTime(time_format(arguments)?),
        "EMIT_TIME" => Command::EmitTime(time_format(arguments)?),
        "START_TIME_LOCAL" => Command::StartTime(Some(local_time_format(arguments)?)),
        "EMIT_TIME_LOCAL" => Command::EmitTime(Some(local_time_format(arguments)?)),
        "CEL" => return Err(Wrong::Malformed("the expression, in parentheses, is missing")),
        "COALESCE" => return Err(Wrong::Malformed("what it chooses from, in parentheses, is missing")),
        "REQUESTED_SERVER_NAME" => Command::RequestedServerName(match arguments {
            None | Some("SNI_ONLY") => RequestedName::Sni,
            Some("SNI_FIRST") => RequestedName::SniFirst,
            Some("HOST_FIRST") => RequestedName::HostFirst,
            Some(other) if other.contains(':') => {
                return Err(Wrong::Refused("the host is that of the request"));
            }
            Some(_) => return Err(Wrong::Malformed("it is SNI_ONLY, SNI_FIRST or HOST_FIRST")),
        }),
        "COMMON_DURATION" => common_duration(needed()?)?,
        "PATH" => path(arguments.unwrap_or("WQ"))?,
        "QUERY_PARAM" => Command::QueryParam(needed()?.into()),
        "QUERY_PARAMS" => match arguments {
            None | Some("ORIG") => Command::QueryParams { decoded: false },
            Some("DECODED") => Command::QueryParams { decoded: true },
            Some(_) => return Err(Wrong::Malformed("it is of ORIG or DECODED")),
        },
        "GRPC_STATUS" => Command::GrpcStatus(match arguments {
            None | Some("CAMEL_STRING") => GrpcStatusStyle::Camel,
            Some("SNAKE_STRING") => GrpcStatusStyle::Snake,
            Some("NUMBER") => GrpcStatusStyle::Number,
            Some(_) => return Err(Wrong::Malformed("it is a CAMEL_STRING, a SNAKE_STRING or a NUMBER")),
        }),
        "METADATA" => {
            let (kind, key) = needed()?.split_once(':').unwrap_or((needed()?, ""));
            metadata(kind, key)?
        }
        "DYNAMIC_METADATA" => metadata("DYNAMIC", needed()?)?,
        "CLUSTER_METADATA" => metadata("CLUSTER", needed()?)?,
        "UPSTREAM_METADATA" => metadata("UPSTREAM_HOST", needed()?)?,
        _ => {
            let refused = |(known, _): &&(&str, &str)| {
                name == *known
                    || known.ends_with('_') && name.starts_with(known)
                    || *known == "TLS_JA" && name.starts_with(known)
            };
            return Err(REFUSED.iter().find(refused).map_or(Wrong::Unknown, |(_, why)| Wrong::Refused(why)));
        }
    })
}

/// Those that take nothing in parentheses.
fn plain(name: &str) -> Option<Command> {
    use AddressPart::{Port, Whole, WithoutPort};
    let milliseconds = |from, to| Command::Between(from, to, Precision::Milliseconds);
    Some(match name {
        "PROTOCOL" => Command::Protocol,
        "SPANWAY_CAUSE" => Command::Cause,
        "DOWNSTREAM_REMOTE_ADDRESS" => Command::DownstreamRemoteAddress(Whole),
        "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Command::DownstreamRemoteAddress(WithoutPort),
        "DOWNSTREAM_REMOTE_PORT" => Command::DownstreamRemoteAddress(Port),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS" => Command::DownstreamDirectRemoteAddress(Whole),
        "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT" => {
            Command::DownstreamDirectRemoteAddress(WithoutPort)
        }
        "DOWNSTREAM_DIRECT_REMOTE_PORT" => Command::DownstreamDirectRemoteAddress(Port),
        "DOWNSTREAM_LOCAL_ADDRESS" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS" => {
            Command::DownstreamLocalAddress(Whole)
        }
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT" => {
            Command::DownstreamLocalAddress(WithoutPort)
        }
        "DOWNSTREAM_LOCAL_PORT" | "DOWNSTREAM_DIRECT_LOCAL_PORT" => Command::DownstreamLocalAddress(Port),
        "UPSTREAM_HOST" => Command::UpstreamHost,
        "UPSTREAM_HOST_NAME" => Command::UpstreamHostName { without_port: false },
        "UPSTREAM_HOST_NAME_WITHOUT_PORT" => Command::UpstreamHostName { without_port: true },
        "UPSTREAM_HOSTS_ATTEMPTED" => Command::UpstreamHostsAttempted { names: false, without_port: false },
        "UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT" => {
            Command::UpstreamHostsAttempted { names: false, without_port: true }
        }
        "UPSTREAM_HOST_NAMES_ATTEMPTED" => {
            Command::UpstreamHostsAttempted { names: true, without_port: false }
        }
        "UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT" => {
            Command::UpstreamHostsAttempted { names: true, without_port: true }
        }
        "UPSTREAM_REMOTE_ADDRESS" => Command::UpstreamRemoteAddress(Whole),
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT" => Command::UpstreamRemoteAddress(WithoutPort),
        "UPSTREAM_REMOTE_PORT" => Command::UpstreamRemoteAddress(Port),
        "UPSTREAM_LOCAL_ADDRESS" => Command::UpstreamLocalAddress(Whole),
        "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT" => Command::UpstreamLocalAddress(WithoutPort),
        "UPSTREAM_LOCAL_PORT" => Command::UpstreamLocalAddress(Port),
        "UPSTREAM_CONNECTION_IDS_ATTEMPTED" => Command::UpstreamConnectionIdsAttempted,
        "VIRTUAL_CLUSTER_NAME" => Command::VirtualClusterName,
        "UPSTREAM_CONNECTION_ID" => Command::UpstreamConnectionId,
        "UPSTREAM_PROTOCOL" => Command::UpstreamProtocol,
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => Command::UpstreamTransportFailureReason,
        "DOWNSTREAM_TLS_VERSION" => Command::DownstreamTlsVersion,
        "DOWNSTREAM_TLS_CIPHER" => Command::DownstreamTlsCipher,
        "UPSTREAM_TLS_VERSION" => Command::UpstreamTlsVersion,
        "UPSTREAM_TLS_CIPHER" => Command::UpstreamTlsCipher,
        "UPSTREAM_CLUSTER" => Command::UpstreamCluster,
        "UPSTREAM_CLUSTER_RAW" => Command::UpstreamClusterRaw,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => Command::UpstreamRequestAttemptCount,
        "RESPONSE_CODE" => Command::ResponseCode,
        "RESPONSE_FLAGS" => Command::ResponseFlags,
        "RESPONSE_FLAGS_LONG" => Command::ResponseFlagsLong,
        "RESPONSE_CODE_DETAILS" => Command::ResponseCodeDetails,
        "ROUTE_NAME" => Command::RouteName,
        "TRACE_ID" => Command::TraceId,
        "SPAN_ID" => Command::SpanId,
        "STREAM_ID" => Command::StreamId,
        "UNIQUE_ID" => Command::UniqueId,
        "BYTES_RECEIVED" => Command::BytesReceived,
        "BYTES_SENT" => Command::BytesSent,
        "REQUEST_HEADERS_BYTES" => Command::RequestHeadersBytes,
        "RESPONSE_HEADERS_BYTES" => Command::ResponseHeadersBytes,
        "RESPONSE_TRAILERS_BYTES" => Command::ResponseTrailersBytes,
        "DURATION" => Command::Duration,
        "REQUEST_DURATION" => milliseconds(TimePoint::RequestStart, TimePoint::RequestEnd),
        "REQUEST_TX_DURATION" => milliseconds(TimePoint::RequestStart, TimePoint::SendEnd),
        "RESPONSE_DURATION" => milliseconds(TimePoint::RequestStart, TimePoint::ResponseStart),
        "RESPONSE_TX_DURATION" => milliseconds(TimePoint::ResponseStart, TimePoint::ReplyEnd),
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => {
            milliseconds(TimePoint::AttemptStart, TimePoint::PoolReady)
        }
        "CONNECTION_ID" => Command::ConnectionId,
        "GRPC_STATUS_NUMBER" => Command::GrpcStatus(GrpcStatusStyle::Number),
        "ACCESS_LOG_TYPE" => Command::AccessLogType,
        // Of HTTP/3, of filters that are not there, or of connections whose streams never begin.
        "ROUNDTRIP_DURATION"
        | "CONNECTION_TERMINATION_DETAILS"
        | "DOWNSTREAM_TRANSPORT_FAILURE_REASON"
        | "FILTER_CHAIN_NAME" => Command::Nothing,
        _ => return None,
    })
}

fn header_name(text: &str) -> Result<HeaderName, Wrong> {
    text.parse().map_err(|_| Wrong::Malformed("not a header name"))
}

/// `X?Y` as both.
fn alternatives<T>(
    arguments: &str,
    read: impl Fn(&str) -> Result<T, Wrong>,
) -> Result<(T, Option<T>), Wrong> {
    match arguments.split_once('?') {
        Some((_, second)) if second.contains('?') => Err(Wrong::Malformed("it takes one alternative")),
        Some((first, second)) => Ok((read(first)?, Some(read(second)?))),
        None => Ok((read(arguments)?, None)),
    }
}

fn time_format(arguments: Option<&str>) -> Result<Option<TimeFormat>, Wrong> {
    arguments.map(TimeFormat::parse).transpose().map_err(Wrong::Malformed)
}

/// With the offset of the place, unless a pattern says otherwise.
fn local_time_format(arguments: Option<&str>) -> Result<TimeFormat, Wrong> {
    let pattern = arguments.unwrap_or("%Y-%m-%dT%H:%M:%S.%3f%z");
    TimeFormat::parse(pattern).map(TimeFormat::local).map_err(Wrong::Malformed)
}

fn common_duration(arguments: &str) -> Result<Command, Wrong> {
    let point = |name| {
        Ok(match name {
            "DS_RX_BEG" => TimePoint::RequestStart,
            "DS_RX_END" => TimePoint::RequestEnd,
            "US_CX_BEG" => TimePoint::ConnectStart,
            "US_CX_END" => TimePoint::ConnectEnd,
            "US_HS_END" => TimePoint::HandshakeEnd,
            "US_TX_BEG" => TimePoint::SendStart,
            "US_TX_END" => TimePoint::SendEnd,
            "US_RX_BEG" => TimePoint::ResponseStart,
            "US_RX_END" => TimePoint::ResponseEnd,
            "DS_TX_BEG" => TimePoint::ReplyStart,
            "DS_TX_END" => TimePoint::ReplyEnd,
            _ => return Err(Wrong::Malformed("spanway knows no such moment of a stream")),
        })
    };
    let mut parts = arguments.split(':');
    let (Some(from), Some(to)) = (parts.next(), parts.next()) else {
        return Err(Wrong::Malformed("it takes START:END:PRECISION"));
    };
    let precision = match (parts.next(), parts.next()) {
        (None | Some("ms"), None) => Precision::Milliseconds,
        (Some("us"), None) => Precision::Microseconds,
        (Some("ns"), None) => Precision::Nanoseconds,
        _ => return Err(Wrong::Malformed("the precision is ms, us or ns")),
    };
    Ok(Command::Between(point(from)?, point(to)?, precision))
}

fn path(arguments: &str) -> Result<Command, Wrong> {
    let (query, source) = match arguments.split_once(':') {
        Some((query, source)) => (query, Some(source)),
        None => (arguments, None),
    };
    let query = match query {
        "WQ" => true,
        "NQ" => false,
        _ => return Err(Wrong::Malformed("it is WQ (with the query) or NQ (without)")),
    };
    let source = match source {
        None | Some("ORIG_OR_PATH") => PathSource::OriginalOrPath,
        Some("ORIG") => PathSource::Original,
        Some("PATH") => PathSource::Path,
        Some(_) => return Err(Wrong::Malformed("it is of ORIG, PATH or ORIG_OR_PATH")),
    };
    Ok(Command::Path { query, source })
}

/// Metadata of `kind`, at `FILTER:KEY:KEY...`.
fn metadata(kind: &str, key: &str) -> Result<Command, Wrong> {
    let kind = match kind {
        "CLUSTER" => MetadataKind::Cluster,
        "UPSTREAM_HOST" => MetadataKind::UpstreamHost,
        // No filter here notes anything of a request.
        "DYNAMIC" => return Ok(Command::Nothing),
        "ROUTE" => MetadataKind::Route,
        "VIRTUAL_HOST" => MetadataKind::VirtualHost,
        _ => return Err(Wrong::Malformed("there is no such kind of metadata")),
    };
    let MetadataKey { filter, path } = metadata_key(key);
    Ok(Command::Metadata(kind, filter.into(), path))
}

/// Metadata that is the same on all streams: of `LISTENER` or `LISTENER_FILTER_CHAIN`.
pub(super) fn constant_metadata(arguments: &str, constants: &Constants) -> Result<Command, Wrong> {
    let (kind, key) = arguments.split_once(':').unwrap_or((arguments, ""));
    let metadata = match kind {
        "LISTENER" => &constants.listener_metadata,
        "LISTENER_FILTER_CHAIN" => &constants.filter_chain_metadata,
        _ => return Err(Wrong::Malformed("there is no such kind of metadata")),
    };
    let note = metadata.as_ref().and_then(|metadata| metadata_key(key).find(metadata).cloned());
    let note = note.filter(|note| !note.is_null());
    Ok(note.map_or(Command::Nothing, |note| Command::Noted(note.into())))
}

/// `FILTER:KEY:KEY...`
fn metadata_key(key: &str) -> MetadataKey {
    let mut keys = key.split(':');
    let filter = keys.next().unwrap_or_default().to_owned();
    MetadataKey { filter, path: keys.map(|key| PathSegment::Key(key.to_owned())).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::format::{Constants, Format, FormatError};

    #[test]
    fn operators_of_envoy_that_are_not_there_say_why() {
        assert_eq!(read("DOWNSTREAM_PEER_SUBJECT", None), Err(Wrong::Refused(CERTIFICATES)));
        assert_eq!(read("DOWNSTREAM_PEERS", None), Err(Wrong::Unknown));
        assert!(matches!(read("FILTER_STATE", Some("a")), Err(Wrong::Refused(_))));
        assert!(matches!(read("METADATA", Some("X:a")), Err(Wrong::Malformed(_))));
    }

    /// The operators that stand between backquotes.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2).filter(|code| code.starts_with('%') && code.len() > 3)
    }

    #[test]
    fn the_page_of_operators_is_right() {
        let page = include_str!("../../../docs/access-logs.md");
        let (_, page) = page.split_once("### There are\n").expect("a section");
        let (there, page) = page.split_once("### There are not\n").expect("a section");
        let (not_there, _) = page.split_once("\n## ").expect("a section");
        let parse = |operator: &str| Format::parse(operator, &Constants::default());
        let fields = ["%1f", "%9f", "%f"];
        for operator in named(there).filter(|operator| !fields.contains(operator)) {
            let operator = operator.replace(":N%", ":3%");
            assert!(parse(&operator).is_ok(), "{operator}: {:?}", parse(&operator));
        }
        for operator in named(not_there) {
            assert!(matches!(parse(operator), Err(FormatError::Refused(..))), "{operator}");
        }
        for (name, _) in REFUSED {
            assert!(page.contains(name), "{name} is missing");
        }
    }

    #[test]
    fn moments_of_a_stream_are_paired_with_a_precision() {
        assert_eq!(
            read("COMMON_DURATION", Some("US_TX_BEG:US_RX_BEG:us")),
            Ok(Command::Between(TimePoint::SendStart, TimePoint::ResponseStart, Precision::Microseconds))
        );
        for wrong in ["US_TX_BEG", "US_TX_BEG:US_RX_BEG:s", "X:US_RX_BEG:ms", "US_TX_BEG:US_RX_BEG:ms:ms"] {
            assert!(matches!(read("COMMON_DURATION", Some(wrong)), Err(Wrong::Malformed(_))), "{wrong}");
        }
    }
}
