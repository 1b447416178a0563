//! Operation names between neighbours: `x-envoy-decorator-operation` in requests and responses.

use http::{HeaderMap, HeaderValue};

use super::{Span, SpanName};
use crate::{
    http_headers::{Present, X_ENVOY_DECORATOR_OPERATION},
    snapshot::{listener::TrafficDirection, route::Decorator, tracing::TracePolicy},
};

/// What a decorator does to a request's headers and to the response that will come.
#[derive(Debug, Default)]
pub(crate) struct Decoration {
    /// Value of the response header, on an ingress listener whose client named no operation.
    pub(crate) response: Option<HeaderValue>,
    /// There is none: spans are named by a format.
    none: bool,
}

/// Exchange operation names with the neighbours: an egress listener tells the next hop its route's operation,
/// an ingress listener takes the name from the previous hop, or offers its own in the response. The request came with
/// those `present`.
pub(crate) fn decorate_request(
    headers: &mut HeaderMap,
    present: Present,
    direction: TrafficDirection,
    decorator: Option<&Decorator>,
    policy: &TracePolicy,
    span: Option<&mut Span>,
) -> Decoration {
    // A format that names spans makes Envoy leave the headers alone, whoever sent them.
    if policy.operation.is_some() {
        return Decoration { none: true, ..Decoration::default() };
    }
    let offered = decorator
        .filter(|decorator| decorator.propagate && !decorator.operation.is_empty())
        .map(|decorator| decorator.header.clone());
    if direction == TrafficDirection::Outbound {
        if let Some(operation) = offered {
            headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
        }
        return Decoration::default();
    }
    let named =
        if present.any(Present::X_ENVOY) { headers.remove(X_ENVOY_DECORATOR_OPERATION) } else { None };
    match named.filter(|name| !name.is_empty()) {
        Some(name) => {
            rename(span, name);
            Decoration::default()
        }
        None => Decoration { response: offered, none: false },
    }
}

/// A neighbour names the span, unless it has a name that nobody else chooses.
fn rename(span: Option<&mut Span>, name: HeaderValue) {
    if let Some(record) = span.and_then(|span| span.record.as_mut())
        && record.name != SpanName::Route
    {
        record.name = SpanName::Header(name);
    }
}

/// The other half of [`decorate_request`], on the way back.
pub(crate) fn decorate_response(
    headers: &mut HeaderMap,
    direction: TrafficDirection,
    decoration: Decoration,
    span: Option<&mut Span>,
) {
    if decoration.none {
        return;
    }
    if direction == TrafficDirection::Outbound {
        let name = headers.remove(X_ENVOY_DECORATOR_OPERATION).filter(|name| !name.is_empty());
        if let Some(name) = name {
            rename(span, name);
        }
    } else if let Some(operation) = decoration.response {
        headers.insert(X_ENVOY_DECORATOR_OPERATION, operation);
    }
}
