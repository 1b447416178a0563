//! What samplers' expressions read when a span starts.

use std::{borrow::Cow, net::SocketAddr};

use http::{Version, header};

use super::{RequestView, SamplingAttributes};
use crate::snapshot::cel::{Environment, Headers, attribute::Attribute, value::Value};

impl<'a> Environment<'a> for SamplingAttributes<'a> {
    fn attribute(&self, attribute: Attribute) -> Option<Value<'a>> {
        let from = self;
        let text = |text: &'a str| Value::Text(Cow::Borrowed(text));
        let named = |name| from.request?.header(name).map(Value::Text);
        let address = |address: Option<SocketAddr>| Some(Value::Text(Cow::Owned(address?.to_string())));
        let port = |address: Option<SocketAddr>| Some(Value::Int(i64::from(address?.port())));
        match attribute {
            Attribute::RequestPath => Some(text(from.request?.path)),
            Attribute::RequestUrlPath => Some(text(from.request?.url_path())),
            Attribute::RequestQuery => Some(text(from.request?.query())),
            Attribute::RequestHost => Some(text(from.request?.authority)),
            Attribute::RequestMethod => Some(text(from.request?.method)),
            Attribute::RequestScheme => Some(text(from.request?.scheme)),
            Attribute::RequestReferer => named(header::REFERER.as_str()),
            Attribute::RequestUserAgent => named(header::USER_AGENT.as_str()),
            Attribute::RequestId => named("x-request-id"),
            Attribute::RequestProtocol => protocol(from.protocol).map(text),
            Attribute::RequestSize => {
                let length = from.request.and_then(|request| request.headers.get(&header::CONTENT_LENGTH));
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                Some(Value::Int(length.unwrap_or(i64::try_from(from.bytes_received).ok()?)))
            }
            Attribute::SourceAddress => address(from.source),
            Attribute::SourcePort => port(from.source),
            Attribute::DestinationAddress => address(from.destination),
            Attribute::DestinationPort => port(from.destination),
            // Counted up from zero: it stays far below.
            Attribute::ConnectionId => Some(Value::Uint(from.connection_id)),
            Attribute::NodeId => Some(text(from.node_id)),
            Attribute::NodeCluster => Some(text(from.node_cluster)),
            Attribute::ListenerDirection => Some(Value::Int(from.listener_direction)),
            Attribute::VirtualHostName => from.virtual_host_name.map(text),
            Attribute::RouteName => from.route_name.map(text),
            Attribute::ClusterName => from.cluster_name.map(text),
            // Not of this dialect.
            _ => None,
        }
    }

    fn header(&self, _: Headers, name: &str) -> Option<Cow<'a, str>> {
        self.request?.header(name)
    }

    fn header_count(&self, _: Headers) -> Option<i64> {
        i64::try_from(self.request.map_or(0, RequestView::header_count)).ok()
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
