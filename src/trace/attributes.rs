//! What a span says: Envoy's tags in Envoy's order, for whatever tracing system they go to.

use std::{borrow::Cow, sync::Arc};

use http::HeaderValue;
use opentelemetry::{Key, KeyValue, StringValue, Value};

use super::{
    FinishedSpan, GrpcRequest, GrpcStatus, RequestFacts, SpanKind, SpanName, Subject, attempt::AttemptFacts,
    context::Carrier, semantic_conventions,
};
use crate::{snapshot::tracing::Conventions, stream_info::protocol_name};

/// The tags of a span, each key once; one that is set again keeps its place.
#[derive(Debug)]
pub(super) struct Attributes {
    list: Vec<KeyValue>,
    /// Of a key that is set twice the first value stays. X-Ray's.
    first_counts: bool,
}

impl Attributes {
    pub(super) fn put(&mut self, key: &'static str, value: impl Into<StringValue>) {
        self.list.push(KeyValue::new(key, Value::String(value.into())));
    }

    /// A whole number; Envoy's tags are all texts.
    pub(super) fn put_number(&mut self, key: &'static str, number: i64) {
        self.list.push(KeyValue::new(key, Value::I64(number)));
    }

    /// As [`Self::put`], for a key that may be there.
    pub(super) fn set(&mut self, key: impl Into<Key>, value: impl Into<StringValue>) {
        let (key, value) = (key.into(), Value::String(value.into()));
        match self.list.iter_mut().find(|known| known.key == key) {
            Some(_) if self.first_counts => {}
            Some(known) => known.value = value,
            None => self.list.push(KeyValue::new(key, value)),
        }
    }

    /// In their order.
    pub(super) fn into_vec(self) -> Vec<KeyValue> {
        self.list
    }

    /// In their order and as texts, for tracing systems that have nothing else.
    pub(super) fn into_texts(self) -> impl Iterator<Item = (Cow<'static, str>, Cow<'static, str>)> {
        self.list.into_iter().map(|KeyValue { key, value, .. }| {
            let text = |text: &str| Cow::Owned(text.to_owned());
            (text(key.as_str()), text(&value.as_str()))
        })
    }
}

/// Who emits a span, where the tracing system wants it on each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Emitter<'a> {
    /// `node_id`
    pub(super) node_id: &'a Arc<str>,
    /// `zone`
    pub(super) zone: &'a Arc<str>,
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
            list.list.retain(|attribute| !semantic_conventions::REPLACED.contains(&attribute.key.as_str()));
        }
        semantic_conventions::put(&mut list, span);
    }
    list
}

fn put_envoy(list: &mut Attributes, span: &FinishedSpan, emitter: Option<Emitter<'_>>) {
    match &span.subject {
        Subject::Stream { record, request_bytes, response_bytes } => {
            if let Some(Emitter { node_id, zone }) = emitter {
                list.put("node_id", Arc::clone(node_id));
                list.put("zone", Arc::clone(zone));
            }
            put_request(list, &record.request);
            list.put("request_size", request_bytes.to_string());
            list.put("response_size", response_bytes.to_string());
        }
        Subject::Attempt(facts) => put_attempt(list, facts, span.grpc_status.as_ref()),
    }
    put_outcome(list, span);
    for (key, value) in &span.custom_tags {
        list.set(Arc::clone(key), value.to_string());
    }
    if let (Subject::Stream { .. }, Some(status)) = (&span.subject, &span.grpc_status) {
        put_grpc_status(list, status);
    }
}

fn put_request(list: &mut Attributes, request: &RequestFacts) {
    let or_dash = |value: Option<&HeaderValue>| value.map_or(StringValue::from("-"), text);
    if let Some(id) = &request.request_id {
        list.put("guid:x-request-id", text(id));
    }
    list.put("http.url", String::from(&*request.url));
    list.put("http.method", method(&request.method));
    list.put("downstream_cluster", or_dash(request.downstream_cluster.as_ref()));
    list.put("user_agent", or_dash(request.user_agent.as_ref()));
    list.put("http.protocol", protocol_name(request.protocol));
    list.put("peer.address", request.peer.map_or(StringValue::from("-"), |peer| peer.to_string().into()));
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
        list.set("error", "true");
        list.put("error.reason", reason);
    }
    list.put("http.protocol", facts.protocol.map_or("-", protocol_name));
    if let Some(host) = &facts.host {
        list.put("upstream_address", Arc::clone(host));
        list.put("peer.address", Arc::clone(host));
    }
}

fn put_outcome(list: &mut Attributes, span: &FinishedSpan) {
    list.put("component", "proxy");
    if let Some(cluster) = &span.cluster {
        list.put("upstream_cluster", Arc::clone(&cluster.name));
        list.put("upstream_cluster.name", Arc::clone(&cluster.observability_name));
    }
    list.put("http.status_code", span.status.to_string());
    list.put("response_flags", shared(span.flags.text()));
    if span.status == 0 || span.status >= 500 {
        list.set("error", "true");
    }
}

fn put_grpc_status(list: &mut Attributes, status: &GrpcStatus) {
    list.put("grpc.status_code", text(&status.code));
    if let Some(message) = &status.message {
        list.put("grpc.message", text(message));
    }
    // UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS
    if matches!(code(status), Some(2 | 4 | 8 | 12..=15)) {
        list.set("error", "true");
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
pub(super) fn name(span: &FinishedSpan) -> Cow<'static, str> {
    match &span.name {
        SpanName::Ingress => "ingress".into(),
        SpanName::Authority(authority) => authority.to_string().into(),
        SpanName::Egress(authority) => format!("egress {authority}").into(),
        SpanName::Operation(operation) => operation.to_string().into(),
        SpanName::Header(value) => String::from_utf8_lossy(value.as_bytes()).into_owned().into(),
        SpanName::Route => match &span.subject {
            Subject::Stream { record, .. } if span.route.is_empty() => method(&record.request.method).into(),
            Subject::Stream { record, .. } => {
                format!("{} {}", method(&record.request.method), span.route).into()
            }
            Subject::Attempt(_) => span.route.to_string().into(),
        },
        SpanName::Formatted(text) => text.to_string().into(),
        SpanName::Router => router_name(span),
        SpanName::Mirror => "mirror".into(),
    }
}

/// What the span of an attempt is called by itself.
pub(super) fn router_name(span: &FinishedSpan) -> Cow<'static, str> {
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
pub(super) fn text(value: &HeaderValue) -> StringValue {
    String::from_utf8_lossy(value.as_bytes()).into_owned().into()
}

fn shared(text: Cow<'static, str>) -> StringValue {
    match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    }
}
