//! The values of command operators on a stream.

use std::{
    borrow::Cow,
    fmt::Write,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use arrayvec::ArrayString;
use http::HeaderName;
use percent_encoding::percent_decode_str;

use super::{
    StreamInfo,
    calendar::iso_8601,
    formatter::{FormatContext, Headers, request_bytes, response_bytes},
    grpc_status,
    observed::AttemptedHost,
    protocol_name,
};
use crate::snapshot::{
    Address,
    format::{
        Piece,
        command::{
            AddressPart, Command, FormatHeader, GrpcStatusStyle, MetadataKind, PathSource, RequestedName,
        },
        truncate,
    },
    metadata::{MetadataKey, PathSegment},
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// Room for an address, a time, an id, and most names.
const SHORT_BYTES: usize = 64;

/// The value of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A short text that was made for this.
    Short(ArrayString<SHORT_BYTES>),
    /// What somebody else sent; not always a text.
    Bytes(Cow<'a, [u8]>),
    /// A number, which JSON writes without quotes.
    Number(u64),
    /// A note of metadata, which JSON writes as it is.
    Note(serde_json::Value),
}

impl<'a> Value<'a> {
    /// As text.
    pub(crate) fn into_text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) => text,
            Self::Short(text) => text.as_str().to_owned().into(),
            Self::Bytes(Cow::Borrowed(bytes)) => String::from_utf8_lossy(bytes),
            Self::Bytes(Cow::Owned(bytes)) => String::from_utf8_lossy(&bytes).into_owned().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Note(serde_json::Value::String(text)) => text.into(),
            Self::Note(note) => note.to_string().into(),
        }
    }

    /// As the bytes of its text.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Text(text) => text.as_bytes().into(),
            Self::Short(text) => text.as_bytes().into(),
            Self::Bytes(bytes) => (&**bytes).into(),
            Self::Number(number) => number.to_string().into_bytes().into(),
            Self::Note(serde_json::Value::String(text)) => text.as_bytes().into(),
            Self::Note(note) => note.to_string().into_bytes().into(),
        }
    }

    /// A copy of a text that cannot be lent.
    fn copied(text: &str) -> Self {
        ArrayString::from(text).map_or_else(|_| text.to_owned().into(), Self::Short)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl Command {
    /// Its value on this stream; `None` if it has none there.
    pub(crate) fn value<'a>(&'a self, context: &FormatContext<'a>) -> Option<Value<'a>> {
        let info = context.info;
        let bytes = |bytes: &'a [u8]| Value::Bytes(bytes.into());
        Some(match self {
            Self::RequestHeader(first, second) => bytes(
                request_bytes(context, first)
                    .or_else(|| request_bytes(context, second.as_ref()?))
                    .filter(|value| !is_absent(first, value))?,
            ),
            Self::ResponseHeader(first, second) => {
                bytes(response_bytes(context, first).or_else(|| response_bytes(context, second.as_ref()?))?)
            }
            Self::ResponseTrailer(first, second) => {
                let trailers = info.observed.as_ref()?.trailers.borrow();
                let value =
                    trailers.as_ref()?.get(first).or_else(|| trailers.as_ref()?.get(second.as_ref()?))?;
                Value::Bytes(value.as_bytes().to_owned().into())
            }
            Self::Protocol => protocol_name(info.protocol).into(),
            Self::StartTime(pattern) => time(info.start_time, pattern.as_ref()),
            Self::EmitTime(pattern) => time(SystemTime::now(), pattern.as_ref()),
            Self::DownstreamRemoteAddress(part) => address(info.remote.get()?, *part),
            Self::DownstreamDirectRemoteAddress(part) => address(info.connection.peer?, *part),
            Self::DownstreamLocalAddress(part) => match &info.connection.local {
                Address::Socket(local) => address(*local, *part),
                Address::Pipe(_) if *part == AddressPart::Port => return None,
                Address::Pipe(path) => path.display().to_string().into(),
            },
            Self::UpstreamHost => Value::copied(info.upstream_host.borrow().as_ref()?),
            Self::DownstreamTlsVersion => info.connection.tls.get()?.version.into(),
            Self::DownstreamTlsCipher => info.connection.tls.get()?.cipher.into(),
            Self::UpstreamCluster => Value::copied(&info.cluster.borrow().as_ref()?.observability_name),
            Self::UpstreamClusterRaw => Value::copied(&info.cluster.borrow().as_ref()?.name),
            Self::UpstreamRequestAttemptCount => Value::Number(info.attempts.get().into()),
            Self::ResponseCode => Value::Number(info.status.get().into()),
            Self::ResponseFlags => Value::Text(info.flags.get().text()),
            Self::ResponseFlagsLong => Value::Text(info.flags.get().long_text()),
            Self::ResponseCodeDetails => Some(info.details.get()).filter(|text| !text.is_empty())?.into(),
            Self::RouteName => {
                Value::copied(Some(&**info.route_name.borrow()).filter(|name| !name.is_empty())?)
            }
            Self::TraceId => info.span.borrow().as_ref()?.trace_id.to_string().into(),
            Self::SpanId => info.span.borrow().as_ref()?.span_id.to_string().into(),
            Self::StreamId => bytes(context.request.get(&X_REQUEST_ID)?.as_bytes()),
            Self::UniqueId => uuid::Uuid::new_v4().to_string().into(),
            Self::BytesReceived => Value::Number(info.bytes_received.get()),
            Self::BytesSent => Value::Number(info.bytes_sent.get()),
            Self::Duration => Value::Number(milliseconds(info.duration())),
            Self::ConnectionId => Value::Number(info.connection.id),
            Self::Path { query, source } => path(context, *query, *source)?,
            Self::QueryParam(name) => {
                let (_, query) = context.pseudo.path.split_once('?')?;
                let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
                let is_named = |key: &str| percent_decode_str(key).eq(name.bytes());
                let (_, value) = pairs.into_iter().find(|(key, _)| is_named(key))?;
                Value::Bytes(percent_decode_str(value).into())
            }
            Self::QueryParams { decoded } => {
                let (_, query) = context.pseudo.path.split_once('?')?;
                if *decoded { Value::Text(visible(query)) } else { query.into() }
            }
            Self::Cause => info.cause.borrow().as_ref()?.to_string().into(),
            Self::RequestedServerName(which) => {
                let sni = info.connection.requested_server_name.get().map(|name| &**name);
                let host = Some(context.pseudo.authority).filter(|host| !host.is_empty());
                match which {
                    RequestedName::Sni => sni,
                    RequestedName::SniFirst => sni.or(host),
                    RequestedName::HostFirst => host.or(sni),
                }?
                .into()
            }
            Self::Noted(note) => Value::Note((**note).clone()),
            Self::Coalesce(alternatives) => return first(alternatives, context),
            Self::Cel(expression) => expression.evaluate(context)?.into_text().into(),
            Self::Nothing => return None,
            _ => return self.observed(info, context.response),
        })
    }

    /// The value of those that read what is recorded for them only.
    fn observed<'a>(&self, info: &'a StreamInfo, response: Option<Headers<'_>>) -> Option<Value<'a>> {
        let observed = info.observed.as_deref()?;
        let connection = observed.connection.borrow();
        Some(match self {
            Self::UpstreamHostName { without_port } => {
                Value::copied(host_text(observed.host.borrow().as_ref()?.name(), *without_port))
            }
            Self::UpstreamHostsAttempted { names, without_port } => {
                let text = |host: &AttemptedHost| {
                    let text = if *names { host.name() } else { &host.address };
                    host_text(text, *without_port).to_owned()
                };
                let attempted = observed.attempted.borrow();
                let texts = attempted.iter().map(text).collect::<Vec<_>>().join(",");
                Some(texts).filter(|texts| !texts.is_empty())?.into()
            }
            Self::UpstreamRemoteAddress(part) => address(connection.as_ref()?.remote?, *part),
            Self::UpstreamLocalAddress(part) => address(connection.as_ref()?.local?, *part),
            Self::UpstreamTlsVersion => connection.as_ref()?.tls?.version.into(),
            Self::UpstreamTlsCipher => connection.as_ref()?.tls?.cipher.into(),
            Self::UpstreamConnectionId => {
                Value::Number(connection.as_ref().map_or(0, |connection| connection.id))
            }
            Self::UpstreamProtocol => protocol_name(observed.protocol.get()?).into(),
            Self::UpstreamTransportFailureReason => {
                Some(observed.transport_failure.get()).filter(|reason| !reason.is_empty())?.into()
            }
            Self::RequestHeadersBytes => {
                Value::Number(observed.request.borrow().as_ref().map_or(0, |request| request.bytes))
            }
            Self::ResponseHeadersBytes => Value::Number(observed.response_bytes.get()),
            Self::ResponseTrailersBytes => Value::Number(observed.trailers_bytes()),
            Self::Between(from, to, precision) => {
                Value::Number(observed.between(info, (*from, *to), *precision)?)
            }
            Self::GrpcStatus(style) => {
                if !observed.grpc.get() {
                    return None;
                }
                let status = grpc_status::of_response(
                    observed.trailers.borrow().as_ref(),
                    response,
                    info.status.get(),
                )?;
                match style {
                    GrpcStatusStyle::Number => Value::Number(status.into()),
                    GrpcStatusStyle::Camel => Value::Text(grpc_status::camel(status)),
                    GrpcStatusStyle::Snake => Value::Text(grpc_status::snake(status)),
                }
            }
            Self::VirtualClusterName => {
                let group = observed.virtual_cluster.borrow();
                let name = &group.as_ref()?.name;
                name.strip_prefix("vcluster.").unwrap_or(name).to_owned().into()
            }
            Self::UpstreamConnectionIdsAttempted => {
                let ids = observed.connection_ids.borrow();
                let texts = ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
                Some(texts).filter(|texts| !texts.is_empty())?.into()
            }
            Self::AccessLogType => match observed.log_type.get() {
                "" => "NotSet".into(),
                log_type => log_type.into(),
            },
            Self::Metadata(kind, filter, path) => {
                let cluster = info.cluster.borrow();
                let host = observed.host_metadata.borrow();
                let (route, virtual_host) =
                    (observed.route_metadata.borrow(), observed.virtual_host_metadata.borrow());
                let metadata = match kind {
                    MetadataKind::Cluster => cluster.as_ref()?.metadata.as_ref(),
                    MetadataKind::UpstreamHost => host.as_ref(),
                    MetadataKind::Route => route.as_ref(),
                    MetadataKind::VirtualHost => virtual_host.as_ref(),
                };
                Value::Note(note(metadata?, filter, path)?)
            }
            _ => return None,
        })
    }
}

/// The first value that is there, be it empty.
fn first<'a>(alternatives: &'a [Piece], context: &FormatContext<'a>) -> Option<Value<'a>> {
    alternatives.iter().find_map(|piece| {
        let (command, limit) = match piece {
            Piece::Literal(text) => return Some(Value::Text((&**text).into())),
            Piece::Command(command, limit) => (command, limit),
        };
        let value = command.value(context)?;
        Some(match limit {
            Some(limit) => Value::Text(truncate(&value.into_text(), *limit).to_owned().into()),
            None => value,
        })
    })
}

/// Whether a pseudo-header is there at all: a request that is no path has none.
fn is_absent(header: &FormatHeader, value: &[u8]) -> bool {
    value.is_empty() && !matches!(header, FormatHeader::Name(_))
}

fn time(
    time: SystemTime,
    pattern: Option<&crate::snapshot::format::time_format::TimeFormat>,
) -> Value<'static> {
    match pattern {
        Some(pattern) => pattern.text(time).into(),
        None => Value::copied(&iso_8601(time)),
    }
}

fn address(address: SocketAddr, part: AddressPart) -> Value<'static> {
    match part {
        AddressPart::Whole => Value::Short(address_text(address)),
        AddressPart::WithoutPort => address.ip().to_string().into(),
        AddressPart::Port => Value::Number(address.port().into()),
    }
}

/// The same text as its own. Most are of IPv4, and most entries of access logs have one.
fn address_text(address: SocketAddr) -> ArrayString<SHORT_BYTES> {
    let SocketAddr::V4(address) = address else {
        let mut text = ArrayString::new();
        // There is room for the longest.
        let _ = write!(text, "{address}");
        return text;
    };
    let mut bytes = [0; 21];
    let mut length = 0;
    let mut push = |number: u16, end: Option<u8>| {
        let mut rest = number;
        for place in [10_000, 1000, 100, 10, 1] {
            if number >= place || place == 1 {
                if let Some(byte) = bytes.get_mut(length) {
                    *byte = b'0' + (rest / place) as u8;
                }
                length += 1;
                rest %= place;
            }
        }
        if let (Some(end), Some(byte)) = (end, bytes.get_mut(length)) {
            *byte = end;
            length += 1;
        }
    };
    let [first, second, third, fourth] = address.ip().octets();
    push(first.into(), Some(b'.'));
    push(second.into(), Some(b'.'));
    push(third.into(), Some(b'.'));
    push(fourth.into(), Some(b':'));
    push(address.port(), None);
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default());
    ArrayString::from(text.unwrap_or_default()).unwrap_or_default()
}

/// A query whose escapes are resolved where that gives a visible character; others stay, as in Envoy, and so end no line.
fn visible(query: &str) -> Cow<'_, str> {
    let mut parts = query.split('%');
    let Some(first) = parts.next().filter(|first| first.len() < query.len()) else { return query.into() };
    let mut out = String::with_capacity(query.len());
    out.push_str(first);
    for part in parts {
        let escaped =
            part.split_at_checked(2).filter(|(digits, _)| digits.bytes().all(|c| c.is_ascii_hexdigit()));
        let byte = escaped.and_then(|(digits, _)| u8::from_str_radix(digits, 16).ok());
        match (byte.filter(u8::is_ascii_graphic), escaped) {
            (Some(byte), Some((_, rest))) => {
                out.push(byte.into());
                out.push_str(rest);
            }
            _ => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out.into()
}

/// A host as `HOST:PORT`, or as `HOST`.
fn host_text(text: &str, without_port: bool) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if without_port && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            host.trim_start_matches('[').trim_end_matches(']')
        }
        _ => text,
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn path<'a>(context: &FormatContext<'a>, query: bool, source: PathSource) -> Option<Value<'a>> {
    let original = context.request.get(&X_ENVOY_ORIGINAL_PATH).map(http::HeaderValue::as_bytes);
    let path = Some(context.pseudo.path.as_bytes()).filter(|path| !path.is_empty());
    let whole = match source {
        PathSource::Original => original,
        PathSource::Path => path,
        PathSource::OriginalOrPath => original.or(path),
    }?;
    let end = if query { None } else { whole.iter().position(|byte| *byte == b'?') };
    Some(Value::Bytes(whole.get(..end.unwrap_or(whole.len()))?.into()))
}

fn note(metadata: &serde_json::Value, filter: &str, path: &[PathSegment]) -> Option<serde_json::Value> {
    let key = MetadataKey { filter: filter.to_owned(), path: path.to_vec() };
    key.find(metadata).filter(|note| !note.is_null()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_usual() {
        for text in [
            "127.0.0.1:80",
            "255.10.0.100:65535",
            "255.255.255.255:65535",
            "1.2.3.4:0",
            "[::1]:443",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
        ] {
            let address: SocketAddr = text.parse().expect("an address");
            assert_eq!(&*address_text(address), text);
        }
    }

    #[test]
    fn escapes_of_what_cannot_be_seen_stay() {
        // As Envoy 1.40 told of the same queries, but for what is no escape, which stays whole here.
        assert_eq!(visible("a=%20b%21%7e%7E%7f%41%c3%a9%0a%3d%26%25%2b+"), "a=%20b!~~%7fA%c3%a9%0a=&%++");
        assert_eq!(visible("%1f%20%21%2525"), "%1f%20!%25");
        assert_eq!(visible("%zz%4%"), "%zz%4%");
        assert_eq!(visible("plain"), "plain");
    }

    #[test]
    fn ports_are_taken_off_hosts() {
        assert_eq!(host_text("host.example:80", true), "host.example");
        assert_eq!(host_text("[::1]:80", true), "::1");
        assert_eq!(host_text("host.example", true), "host.example");
        assert_eq!(host_text("127.0.0.1:80", false), "127.0.0.1:80");
    }
}
