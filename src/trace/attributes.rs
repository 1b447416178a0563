//! What a span says: Envoy's tags in Envoy's order, for whatever tracing system they go to.

use std::borrow::Cow;

use http::HeaderValue;
use smallvec::SmallVec;

use super::{
    FinishedSpan, GrpcRequest, GrpcStatus, RequestFacts, SpanKind, SpanName, Subject, attempt::AttemptFacts,
    context::Carrier, semantic_conventions,
};
use crate::{snapshot::tracing::Conventions, stream_info::protocol_name};

/// Tags of a span that take no allocation.
const USUAL: usize = 24;

/// The tags of a span, each key once; one that is set again keeps its place. Borrowed from the span as far as that has
/// them.
#[derive(Debug)]
pub(crate) struct Attributes<'a> {
    list: SmallVec<[Attribute<'a>; USUAL]>,
    /// Of a key that is set twice the first value stays. X-Ray's.
    first_counts: bool,
}

/// A tag of a span.
#[derive(Debug)]
pub(crate) struct Attribute<'a> {
    /// Its key.
    pub(crate) key: &'a str,
    /// Its value.
    pub(crate) value: Value<'a>,
}

/// The value of a tag.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number that is told as a text.
    Decimal(Decimal),
    /// A number.
    Number(i64),
}

impl From<&'static str> for Value<'_> {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Value<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// The digits of a number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    /// At the end; zeros before them.
    digits: [u8; Self::MOST],
    length: u8,
}

impl Decimal {
    /// Digits of the largest number.
    const MOST: usize = 20;

    fn new(mut number: u64) -> Self {
        let mut decimal = Self { digits: [b'0'; Self::MOST], length: 0 };
        for place in decimal.digits.iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
            decimal.length += 1;
            if number == 0 {
                break;
            }
        }
        decimal
    }

    /// The digits, without zeros before them.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.digits.get(Self::MOST - usize::from(self.length)..).unwrap_or_default()
    }
}

impl<'a> Attributes<'a> {
    pub(crate) fn put(&mut self, key: &'a str, value: impl Into<Value<'a>>) {
        self.list.push(Attribute { key, value: value.into() });
    }

    /// What the span has as a text.
    pub(crate) fn put_text(&mut self, key: &'a str, value: &'a str) {
        self.put(key, Cow::Borrowed(value));
    }

    /// A whole number; Envoy's tags are all texts.
    pub(crate) fn put_number(&mut self, key: &'a str, number: i64) {
        self.list.push(Attribute { key, value: Value::Number(number) });
    }

    /// A whole number as Envoy tells it.
    fn put_decimal(&mut self, key: &'a str, number: u64) {
        self.list.push(Attribute { key, value: Value::Decimal(Decimal::new(number)) });
    }

    /// As [`Self::put`], for a key that may be there.
    pub(crate) fn set(&mut self, key: &'a str, value: impl Into<Value<'a>>) {
        match self.list.iter_mut().find(|known| known.key == key) {
            Some(_) if self.first_counts => {}
            Some(known) => known.value = value.into(),
            None => self.put(key, value),
        }
    }

    /// In their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Attribute<'a>> {
        self.list.iter()
    }

    /// In their order and as texts, for tracing systems that have nothing else.
    pub(crate) fn into_texts(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        self.list.into_iter().map(|Attribute { key, value }| {
            let value = match value {
                Value::Text(text) => text,
                Value::Decimal(digits) => String::from_utf8_lossy(digits.as_bytes()).into_owned().into(),
                Value::Number(number) => number.to_string().into(),
            };
            (key, value)
        })
    }
}

/// Who emits a span, where the tracing system wants it on each.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Emitter<'a> {
    /// `node_id`
    pub(crate) node_id: &'a str,
    /// `zone`
    pub(crate) zone: &'a str,
}

/// The tags of `span`.
pub(crate) fn attributes<'a>(
    span: &'a FinishedSpan,
    emitter: Option<Emitter<'a>>,
    conventions: Conventions,
) -> Attributes<'a> {
    let first_counts = matches!(span.carrier, Carrier::XRay(_));
    let mut list = Attributes { list: SmallVec::new(), first_counts };
    put_envoy(&mut list, span, emitter);
    if conventions != Conventions::Envoy {
        if conventions == Conventions::Stable {
            list.list.retain(|attribute| !semantic_conventions::REPLACED.contains(&attribute.key));
        }
        semantic_conventions::put(&mut list, span);
    }
    list
}

fn put_envoy<'a>(list: &mut Attributes<'a>, span: &'a FinishedSpan, emitter: Option<Emitter<'a>>) {
    match &span.subject {
        Subject::Stream { record, request_bytes, response_bytes } => {
            if let Some(Emitter { node_id, zone }) = emitter {
                list.put_text("node_id", node_id);
                list.put_text("zone", zone);
            }
            put_request(list, &record.request);
            list.put_decimal("request_size", *request_bytes);
            list.put_decimal("response_size", *response_bytes);
        }
        Subject::Attempt(facts) => put_attempt(list, facts, span.grpc_status.as_ref()),
    }
    put_outcome(list, span);
    for (key, value) in &span.custom_tags {
        list.set(key, Cow::Borrowed(&**value));
    }
    if let (Subject::Stream { .. }, Some(status)) = (&span.subject, &span.grpc_status) {
        put_grpc_status(list, status);
    }
}

fn put_request<'a>(list: &mut Attributes<'a>, request: &'a RequestFacts) {
    let or_dash = |value: Option<&'a HeaderValue>| value.map_or(Cow::Borrowed("-"), text);
    if let Some(id) = &request.request_id {
        list.put("guid:x-request-id", text(id));
    }
    list.put_text("http.url", &request.url);
    list.put("http.method", method(&request.method));
    list.put("downstream_cluster", or_dash(request.downstream_cluster.as_ref()));
    list.put("user_agent", or_dash(request.user_agent.as_ref()));
    list.put("http.protocol", protocol_name(request.protocol));
    list.put("peer.address", or_dash(request.peer.as_ref().map(|peer| &peer.text)));
    if let Some(id) = &request.client_trace_id {
        list.put("guid:x-client-trace-id", text(id));
    }
    if let Some(GrpcRequest { path, authority, content_type, timeout }) = request.grpc.as_deref() {
        list.put_text("grpc.path", path);
        list.put_text("grpc.authority", authority);
        list.put("grpc.content_type", text(content_type));
        if let Some(timeout) = timeout {
            list.put("grpc.timeout", text(timeout));
        }
    }
}

fn put_attempt<'a>(list: &mut Attributes<'a>, facts: &'a AttemptFacts, status: Option<&'a GrpcStatus>) {
    if facts.retries > 0 {
        list.put_decimal("retry.count", facts.retries.into());
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
        list.put_text("upstream_address", host);
        list.put_text("peer.address", host);
    }
}

fn put_outcome<'a>(list: &mut Attributes<'a>, span: &'a FinishedSpan) {
    list.put("component", "proxy");
    if let Some(cluster) = &span.cluster {
        list.put_text("upstream_cluster", &cluster.name);
        list.put_text("upstream_cluster.name", &cluster.observability_name);
    }
    list.put_decimal("http.status_code", span.status.into());
    list.put("response_flags", span.flags.text());
    if span.status == 0 || span.status >= 500 {
        list.set("error", "true");
    }
}

fn put_grpc_status<'a>(list: &mut Attributes<'a>, status: &'a GrpcStatus) {
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
pub(crate) fn code(status: &GrpcStatus) -> Option<u32> {
    status.code.to_str().ok()?.parse().ok()
}

/// Whether the span is one of an error, by Envoy's rules for OpenTelemetry.
pub(crate) fn is_error(span: &FinishedSpan) -> bool {
    let client = span.kind == SpanKind::Client;
    match span.grpc_status.as_ref().and_then(code) {
        None => span.status >= 500 || (client && span.status >= 400),
        Some(code) if client => code != 0,
        // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS are the server's fault.
        Some(code) => matches!(code, 2 | 4 | 12..=15),
    }
}

/// What the span is called.
pub(crate) fn name(span: &FinishedSpan) -> Cow<'_, str> {
    match &span.name {
        SpanName::Ingress => "ingress".into(),
        SpanName::Authority(authority) => (&**authority).into(),
        SpanName::Egress(authority) => format!("egress {authority}").into(),
        SpanName::Operation(operation) => (&**operation).into(),
        SpanName::Header(value) => text(value),
        SpanName::Route => match &span.subject {
            Subject::Stream { record, .. } if span.route.is_empty() => method(&record.request.method).into(),
            Subject::Stream { record, .. } => {
                format!("{} {}", method(&record.request.method), span.route).into()
            }
            Subject::Attempt(_) => (&*span.route).into(),
        },
        SpanName::Formatted(text) => (&**text).into(),
        SpanName::Router => router_name(span),
        SpanName::Mirror => "mirror".into(),
    }
}

/// What the span of an attempt is called by itself.
pub(crate) fn router_name(span: &FinishedSpan) -> Cow<'static, str> {
    let mut name = String::from("router ");
    if let Some(cluster) = &span.cluster {
        name.push_str(&cluster.observability_name);
    }
    name.push_str(" egress");
    name.into()
}

/// As Envoy: methods that HTTP itself does not define have one name, so that clients cannot make up values.
pub(crate) fn method(method: &http::Method) -> &'static str {
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
pub(crate) fn text(value: &HeaderValue) -> Cow<'_, str> {
    // Nearly all are ASCII, which this tells at once.
    std::str::from_utf8(value.as_bytes())
        .map_or_else(|_| String::from_utf8_lossy(value.as_bytes()), Cow::Borrowed)
}
