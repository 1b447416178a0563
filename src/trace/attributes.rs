//! What a span says: Envoy's tags in Envoy's order, for whatever tracing system they go to.

use std::borrow::Cow;

use http::HeaderValue;

use super::{
    FinishedSpan, GrpcRequest, GrpcStatus, RequestFacts, SpanKind, SpanName, Subject, attempt::AttemptFacts,
    context::Carrier, semantic_conventions,
};
use crate::{snapshot::tracing::Conventions, stream_info::protocol_name};

/// Text that is either ours or a request's.
pub(super) type Text = Cow<'static, str>;

/// A tag's value. Envoy's are all texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TagValue {
    /// A text.
    Text(Text),
    /// A whole number.
    Integer(i64),
}

impl<T: Into<Text>> From<T> for TagValue {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl TagValue {
    /// The value as text, for tracing systems that have nothing else.
    pub(super) fn into_text(self) -> Text {
        match self {
            Self::Text(text) => text,
            Self::Integer(number) => number.to_string().into(),
        }
    }
}

/// The tags of a span, each key once; one that is set again keeps its place.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    list: Vec<(Cow<'static, str>, TagValue)>,
    /// Of a key that is set twice the first value stays. X-Ray's.
    first_counts: bool,
}

impl Attributes {
    pub(super) fn put(&mut self, key: &'static str, value: impl Into<TagValue>) {
        self.list.push((key.into(), value.into()));
    }

    /// As [`Self::put`], for a key that may be there.
    pub(super) fn set(&mut self, key: Cow<'static, str>, value: TagValue) {
        match self.list.iter_mut().find(|(known, _)| *known == key) {
            Some(_) if self.first_counts => {}
            Some((_, known)) => *known = value,
            None => self.list.push((key, value)),
        }
    }
}

impl IntoIterator for Attributes {
    type Item = (Cow<'static, str>, TagValue);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

/// Who emits a span, where the tracing system wants it on each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitter<'a> {
    /// `node_id`
    pub(super) node_id: &'a str,
    /// `zone`
    pub(super) zone: &'a str,
}

/// The tags of `span`.
pub(super) fn attributes(
    span: &FinishedSpan,
    emitter: Option<Emitter<'_>>,
    conventions: Conventions,
) -> Attributes {
    let first_counts = matches!(span.carrier, Carrier::XRay(_));
    let mut list = Attributes { list: Vec::with_capacity(24), first_counts };
    put_envoy(&mut list, span, emitter);
    if conventions != Conventions::Envoy {
        if conventions == Conventions::Stable {
            list.list.retain(|(key, _)| !semantic_conventions::REPLACED.contains(&&**key));
        }
        semantic_conventions::put(&mut list, span);
    }
    list
}

fn put_envoy(list: &mut Attributes, span: &FinishedSpan, emitter: Option<Emitter<'_>>) {
    match &span.subject {
        Subject::Stream { request, request_bytes, response_bytes } => {
            if let Some(Emitter { node_id, zone }) = emitter {
                list.put("node_id", node_id.to_owned());
                list.put("zone", zone.to_owned());
            }
            put_request(list, request);
            list.put("request_size", request_bytes.to_string());
            list.put("response_size", response_bytes.to_string());
        }
        Subject::Attempt(facts) => put_attempt(list, facts, span.grpc_status.as_ref()),
    }
    put_outcome(list, span);
    for (key, value) in &span.custom_tags {
        list.set(key.to_string().into(), value.to_string().into());
    }
    if let (Subject::Stream { .. }, Some(status)) = (&span.subject, &span.grpc_status) {
        put_grpc_status(list, status);
    }
}

fn put_request(list: &mut Attributes, request: &RequestFacts) {
    let or_dash = |value: Option<&HeaderValue>| value.map_or(Text::Borrowed("-"), text);
    if let Some(id) = &request.request_id {
        list.put("guid:x-request-id", text(id));
    }
    list.put("http.url", String::from(&*request.url));
    list.put("http.method", method(&request.method));
    list.put("downstream_cluster", or_dash(request.downstream_cluster.as_ref()));
    list.put("user_agent", or_dash(request.user_agent.as_ref()));
    list.put("http.protocol", protocol_name(request.protocol));
    list.put("peer.address", request.peer.map_or(Text::Borrowed("-"), |peer| peer.to_string().into()));
    if let Some(id) = &request.client_trace_id {
        list.put("guid:x-client-trace-id", text(id));
    }
    if let Some(GrpcRequest { path, authority, content_type, timeout }) = request.grpc.as_deref() {
        list.put("grpc.path", String::from(&**path));
        list.put("grpc.authority", String::from(&**authority));
        list.put("grpc.content_type", text(content_type));
        if let Some(timeout) = timeout {
            list.put("grpc.timeout", text(timeout));
        }
    }
}

fn put_attempt(list: &mut Attributes, facts: &AttemptFacts, status: Option<&GrpcStatus>) {
    if facts.retries > 0 {
        list.put("retry.count", facts.retries.to_string());
    }
    if let Some(status) = status {
        put_grpc_status(list, status);
    }
    if facts.canceled {
        list.put("canceled", "true");
    }
    if let Some(reason) = facts.failure {
        list.set("error".into(), "true".into());
        list.put("error.reason", reason);
    }
    list.put("http.protocol", facts.protocol.map_or("-", protocol_name));
    if let Some(host) = &facts.host {
        list.put("upstream_address", host.to_string());
        list.put("peer.address", host.to_string());
    }
}

fn put_outcome(list: &mut Attributes, span: &FinishedSpan) {
    list.put("component", "proxy");
    if let Some(cluster) = &span.cluster {
        list.put("upstream_cluster", cluster.name.to_string());
        list.put("upstream_cluster.name", cluster.observability_name.to_string());
    }
    list.put("http.status_code", span.status.to_string());
    list.put("response_flags", span.flags.text());
    if span.status == 0 || span.status >= 500 {
        list.set("error".into(), "true".into());
    }
}

fn put_grpc_status(list: &mut Attributes, status: &GrpcStatus) {
    list.put("grpc.status_code", text(&status.code));
    if let Some(message) = &status.message {
        list.put("grpc.message", text(message));
    }
    // UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    if matches!(code(status), Some(2 | 4 | 8 | 12..=15)) {
        list.set("error".into(), "true".into());
    }
}

/// The number that `grpc-status` is.
pub(super) fn code(status: &GrpcStatus) -> Option<u32> {
    status.code.to_str().ok()?.parse().ok()
}

/// Whether the span is one of an error, by Envoy's rules for OpenTelemetry.
pub(super) fn is_error(span: &FinishedSpan) -> bool {
    let client = span.kind == SpanKind::Client;
    match span.grpc_status.as_ref().and_then(code) {
        None => span.status >= 500 || (client && span.status >= 400),
        Some(code) if client => code != 0,
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS are the server's fault.
        Some(code) => matches!(code, 2 | 4 | 12..=15),
    }
}

/// What the span is called.
pub(super) fn name(span: &FinishedSpan) -> Text {
    match &span.name {
        SpanName::Ingress => "ingress".into(),
        SpanName::Authority(authority) => authority.to_string().into(),
        SpanName::Egress(authority) => format!("egress {authority}").into(),
        SpanName::Operation(operation) => operation.to_string().into(),
        SpanName::Header(value) => text(value),
        SpanName::Route => match &span.subject {
            Subject::Stream { request, .. } if span.route.is_empty() => method(&request.method).into(),
            Subject::Stream { request, .. } => format!("{} {}", method(&request.method), span.route).into(),
            Subject::Attempt(_) => span.route.to_string().into(),
        },
        SpanName::Formatted(text) => text.to_string().into(),
        SpanName::Router => router_name(span),
        SpanName::Mirror => "mirror".into(),
    }
}

/// What the span of an attempt is called by itself.
pub(super) fn router_name(span: &FinishedSpan) -> Text {
    let mut name = String::from("router ");
    if let Some(cluster) = &span.cluster {
        name.push_str(&cluster.observability_name);
    }
    name.push_str(" egress");
    name.into()
}

/// As Envoy: methods that HTTP itself does not define have one name, so that clients cannot make up values.
pub(super) fn method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "CONNECT" => "CONNECT",
        "OPTIONS" => "OPTIONS",
        "TRACE" => "TRACE",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}

/// A header's text; bytes that are not UTF-8 are replaced, since tracing systems carry text.
pub(super) fn text(value: &HeaderValue) -> Text {
    String::from_utf8_lossy(value.as_bytes()).into_owned().into()
}
