//! What expressions can ask for. Names and values are those of Envoy's attributes.

use std::{borrow::Cow, net::SocketAddr};

use http::{HeaderValue, Version, header};

use super::super::{RequestView, SamplingAttributes, value::Value};

/// One attribute. An absent one is an error where it is used, and `has()` tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    RequestPath,
    RequestUrlPath,
    RequestQuery,
    RequestHost,
    RequestMethod,
    RequestScheme,
    RequestReferer,
    RequestUserAgent,
    RequestId,
    RequestProtocol,
    RequestSize,
    SourceAddress,
    SourcePort,
    DestinationAddress,
    DestinationPort,
    ConnectionId,
    NodeId,
    NodeCluster,
    ListenerDirection,
    VirtualHostName,
    RouteName,
    ClusterName,
}

impl Attribute {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "request.path" => Self::RequestPath,
            "request.url_path" => Self::RequestUrlPath,
            "request.query" => Self::RequestQuery,
            "request.host" => Self::RequestHost,
            "request.method" => Self::RequestMethod,
            "request.scheme" => Self::RequestScheme,
            "request.referer" => Self::RequestReferer,
            "request.useragent" => Self::RequestUserAgent,
            "request.id" => Self::RequestId,
            "request.protocol" => Self::RequestProtocol,
            "request.size" => Self::RequestSize,
            "source.address" => Self::SourceAddress,
            "source.port" => Self::SourcePort,
            "destination.address" => Self::DestinationAddress,
            "destination.port" => Self::DestinationPort,
            "connection.id" => Self::ConnectionId,
            "xds.node.id" => Self::NodeId,
            "xds.node.cluster" => Self::NodeCluster,
            "xds.listener_direction" => Self::ListenerDirection,
            "xds.virtual_host_name" => Self::VirtualHostName,
            "xds.route_name" => Self::RouteName,
            "xds.cluster_name" => Self::ClusterName,
            _ => return None,
        })
    }

    /// Its value, if it has one.
    pub(super) fn value<'a>(self, from: &SamplingAttributes<'a>) -> Option<Value<'a>> {
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        let named = |name| header(from.request?, name).map(Value::Text);
        let address = |address: Option<SocketAddr>| Some(Value::Text(Cow::Owned(address?.to_string())));
        let port = |address: Option<SocketAddr>| Some(Value::Int(i64::from(address?.port())));
        match self {
            Self::RequestPath => Some(text(from.request?.path)),
            Self::RequestUrlPath => {
                let path = from.request?.path;
                Some(text(path.split_once('?').map_or(path, |(path, _)| path)))
            }
            Self::RequestQuery => {
                Some(text(from.request?.path.split_once('?').map_or("", |(_, query)| query)))
            }
            Self::RequestHost => Some(text(from.request?.authority)),
            Self::RequestMethod => Some(text(from.request?.method)),
            Self::RequestScheme => Some(text(from.request?.scheme)),
            Self::RequestReferer => named(header::REFERER.as_str()),
            Self::RequestUserAgent => named(header::USER_AGENT.as_str()),
            Self::RequestId => named("x-request-id"),
            Self::RequestProtocol => protocol(from.protocol).map(text),
            Self::RequestSize => {
                let length = from.request.and_then(|request| request.headers.get(header::CONTENT_LENGTH));
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                Some(Value::Int(length.unwrap_or(i64::try_from(from.bytes_received).ok()?)))
            }
            Self::SourceAddress => address(from.source),
            Self::SourcePort => port(from.source),
            Self::DestinationAddress => address(from.destination),
            Self::DestinationPort => port(from.destination),
            // Counted up from zero: it stays far below.
            Self::ConnectionId => Some(Value::Uint(from.connection_id)),
            Self::NodeId => Some(text(from.node_id)),
            Self::NodeCluster => Some(text(from.node_cluster)),
            Self::ListenerDirection => Some(Value::Int(from.listener_direction)),
            Self::VirtualHostName => from.virtual_host_name.map(text),
            Self::RouteName => from.route_name.map(text),
            Self::ClusterName => from.cluster_name.map(text),
        }
    }
}

fn protocol(version: Version) -> Option<&'static str> {
    Some(match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => return None,
    })
}

/// A header by its name in any case, pseudo-headers included; its lines joined by `,`.
pub(super) fn header<'a>(request: RequestView<'a>, name: &str) -> Option<Cow<'a, str>> {
    for (known, value) in [
        (":path", request.path),
        (":method", request.method),
        (":scheme", request.scheme),
        (":authority", request.authority),
        ("host", request.authority),
    ] {
        if name.eq_ignore_ascii_case(known) {
            return Some(Cow::Borrowed(value));
        }
    }
    let mut lines = request.headers.get_all(name).iter().map(line);
    let first = lines.next()?;
    Some(lines.fold(first, |all, line| Cow::Owned(all.into_owned() + "," + &line)))
}

fn line(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

/// How many headers there are, with the four pseudo-headers.
pub(super) fn header_count(request: Option<RequestView<'_>>) -> Option<i64> {
    let plain = |request: RequestView<'_>| {
        request.headers.len() - usize::from(request.headers.contains_key(header::HOST))
    };
    i64::try_from(request.map_or(0, |request| plain(request) + 4)).ok()
}
