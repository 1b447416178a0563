//! Spans in OTLP's protobuf form, written straight from their records.
//!
//! OpenTelemetry's SDK makes owned keys and values of each span, its OTLP exporter makes others of these, and only then
//! they are written; that costs more than the rest of a span's life. Here a span's bytes are written once, where the
//! span ends. What they say is what the SDK's exporter would: a test holds them against it.
//!
//! Reference: opentelemetry-proto 1.x, `trace/v1/trace.proto` and `collector/trace/v1/trace_service.proto`.

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::HeaderValue;
use opentelemetry::{KeyValue, SpanId, TraceFlags, TraceId, trace::TraceState};
use opentelemetry_proto::{
    tonic::{common::v1::InstrumentationScope, resource::v1::Resource},
    transform::common::tonic::{Attributes, ResourceAttributesWithSchema},
};
use prost::Message;

use super::{
    FinishedSpan, SpanKind,
    attributes::{self, Emitter, Value},
};
use crate::{
    proto_writer::{field_len, put_bytes, put_fixed64, put_header, put_number, put_text, put_varint},
    snapshot::{
        Node,
        tracing::{Conventions, OpenTelemetry, Provider, Tracer},
    },
    stream_info::cause,
};

/// Spans that are written already, in the form in which an export call repeats them.
#[derive(Debug, Default)]
pub(crate) struct EncodedSpans {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl EncodedSpans {
    /// With room for as many as `others` are.
    pub(crate) fn with_room_for(others: &Self) -> Self {
        Self { bytes: Vec::with_capacity(others.bytes.len()), ends: Vec::with_capacity(others.ends.len()) }
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The memory that they take.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(self.ends.as_slice())
    }

    /// Let go of the `count` oldest ones.
    pub(crate) fn drop_oldest(&mut self, count: usize) {
        let count = count.min(self.ends.len());
        let Some(end) = self.ends.drain(..count).next_back() else { return };
        self.bytes.drain(..end);
        self.ends.iter_mut().for_each(|later| *later -= end);
    }

    /// Take the `count` oldest ones out.
    pub(crate) fn split_oldest(&mut self, count: usize) -> Self {
        let count = count.min(self.ends.len());
        let ends: Vec<usize> = self.ends.drain(..count).collect();
        let end = ends.last().copied().unwrap_or_default();
        self.ends.iter_mut().for_each(|later| *later -= end);
        Self { bytes: self.bytes.drain(..end).collect(), ends }
    }

    /// How many of the oldest ones take at least so many bytes.
    pub(crate) fn oldest_of(&self, bytes: usize) -> usize {
        let taken = |(index, end): (usize, &usize)| end + (index + 1) * size_of::<usize>();
        let enough = self.ends.iter().enumerate().position(|place| taken(place) >= bytes);
        enough.map_or(self.ends.len(), |index| index + 1)
    }

    /// Add `others`.
    pub(crate) fn append(&mut self, others: &Self) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| before + end));
    }
}

/// Writes the spans of one tracer.
#[derive(Debug, Clone)]
pub(crate) struct SpanEncoder {
    node: Node,
    conventions: Conventions,
    /// The span that is being written: its length comes before it.
    span: Vec<u8>,
}

impl SpanEncoder {
    /// For spans of this node.
    pub(crate) fn new(node: &Node, conventions: Conventions) -> Self {
        Self { node: node.clone(), conventions, span: Vec::new() }
    }

    /// What writes the spans of `tracer` when they end; `None` if they are written when they are sent.
    pub(crate) fn of(tracer: &Tracer, node: &Node) -> Option<Self> {
        match &tracer.provider {
            Provider::OpenTelemetry(_) => Some(Self::new(node, tracer.conventions)),
            Provider::Zipkin(_) | Provider::XRay(_) => None,
        }
    }

    /// Add `span` to those that are written.
    pub(crate) fn encode(&mut self, span: &FinishedSpan, to: &mut EncodedSpans) {
        self.span.clear();
        write_span(&mut self.span, span, &self.node, self.conventions);
        put_bytes(&mut to.bytes, scope_spans::SPANS, &self.span);
        to.ends.push(to.bytes.len());
    }
}

/// What all export calls of a tracer say around their spans.
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The field `resource` of `ResourceSpans`.
    resource: Vec<u8>,
    /// The field `scope` of `ScopeSpans`.
    scope: Vec<u8>,
}

impl Envelope {
    /// For the spans of a service of which nothing else is known.
    pub(crate) fn of_service(name: &str) -> Self {
        Self::of(&[("service.name".to_owned(), name.to_owned())], true)
    }

    /// For the spans of `tracer`.
    pub(crate) fn new(tracer: &OpenTelemetry) -> Self {
        Self::of(&tracer.resource, tracer.scope)
    }

    fn of(resource: &[(String, String)], with_scope: bool) -> Self {
        let named = resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
        let resource = opentelemetry_sdk::Resource::builder_empty().with_attributes(named).build();
        let Attributes(mut attributes) = ResourceAttributesWithSchema::from(&resource).attributes;
        // It comes in any order.
        attributes.sort_by(|one, other| one.key.cmp(&other.key));
        let resource = Resource { attributes, ..Resource::default() };
        let mut scope = InstrumentationScope::default();
        if with_scope {
            scope.name = "spanway".to_owned();
            scope.version = env!("CARGO_PKG_VERSION").to_owned();
        }
        let mut envelope = Self { resource: Vec::new(), scope: Vec::new() };
        put_bytes(&mut envelope.resource, resource_spans::RESOURCE, &resource.encode_to_vec());
        put_bytes(&mut envelope.scope, scope_spans::SCOPE, &scope.encode_to_vec());
        envelope
    }

    /// An `ExportTraceServiceRequest` with those spans.
    pub(crate) fn request(&self, spans: &EncodedSpans) -> Bytes {
        let of_scope = self.scope.len() + spans.bytes.len();
        let of_resource = self.resource.len() + field_len(of_scope);
        let mut out = Vec::with_capacity(field_len(of_resource));
        put_header(&mut out, export_request::RESOURCE_SPANS, of_resource);
        out.extend_from_slice(&self.resource);
        put_header(&mut out, resource_spans::SCOPE_SPANS, of_scope);
        out.extend_from_slice(&self.scope);
        out.extend_from_slice(&spans.bytes);
        out.into()
    }
}

/// Numbers of fields, as opentelemetry-proto has them.
mod export_request {
    pub(super) const RESOURCE_SPANS: u32 = 1;
}
mod resource_spans {
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
}
mod scope_spans {
    pub(super) const SCOPE: u32 = 1;
    pub(super) const SPANS: u32 = 2;
}
mod span_fields {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START_TIME: u32 = 7;
    pub(super) const END_TIME: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const EVENTS: u32 = 11;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const FLAGS: u32 = 16;
}
mod event_fields {
    pub(super) const TIME: u32 = 1;
    pub(super) const NAME: u32 = 2;
    pub(super) const ATTRIBUTES: u32 = 3;
}
mod link_fields {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const FLAGS: u32 = 6;
}
mod key_value {
    pub(super) const KEY: u32 = 1;
    pub(super) const VALUE: u32 = 2;
}
mod any {
    pub(super) const STRING: u32 = 1;
    pub(super) const INT: u32 = 3;
}
/// Key and text of an attribute that together are shorter make a message whose length takes one byte.
const SHORT: usize = 120;
/// `Status.code`, and its value for errors.
const STATUS_ERROR: [u8; 2] = [3 << 3, 2];
/// `SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `..._IS_REMOTE_MASK`.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

fn write_span(out: &mut Vec<u8>, span: &FinishedSpan, node: &Node, conventions: Conventions) {
    put_ids(out, (span_fields::TRACE_ID, span.trace_id), (span_fields::SPAN_ID, span.span_id));
    put_trace_state(out, span_fields::TRACE_STATE, &span.trace_state);
    if let Some(parent) = span.parent.filter(|parent| *parent != SpanId::INVALID) {
        put_bytes(out, span_fields::PARENT_SPAN_ID, &parent.to_bytes());
    }
    put_text(out, span_fields::NAME, &attributes::name(span));
    let kind = match span.kind {
        SpanKind::Server => 2,
        SpanKind::Client => 3,
    };
    put_number(out, span_fields::KIND, kind);
    put_time(out, span_fields::START_TIME, span.start);
    put_time(out, span_fields::END_TIME, span.end);
    let emitter = Emitter { node_id: &node.id, zone: &node.zone };
    for attribute in attributes::attributes(span, Some(emitter), conventions).iter() {
        put_attribute(out, attribute.key, &attribute.value);
    }
    for (name, time) in &span.events {
        let mut event = Vec::new();
        put_time(&mut event, event_fields::TIME, *time);
        put_text(&mut event, event_fields::NAME, name);
        put_bytes(out, span_fields::EVENTS, &event);
    }
    if let Some(cause) = span.cause.as_deref() {
        let mut event = Vec::new();
        put_time(&mut event, event_fields::TIME, cause.at);
        put_text(&mut event, event_fields::NAME, cause::EVENT);
        for (key, text) in cause.attributes() {
            let mut any = Vec::new();
            put_bytes(&mut any, any::STRING, text.as_bytes());
            let mut attribute = Vec::new();
            put_text(&mut attribute, key_value::KEY, key);
            put_bytes(&mut attribute, key_value::VALUE, &any);
            put_bytes(&mut event, event_fields::ATTRIBUTES, &attribute);
        }
        put_bytes(out, span_fields::EVENTS, &event);
    }
    if let Some(parent) = span.link.as_deref() {
        let mut link = Vec::new();
        put_ids(&mut link, (link_fields::TRACE_ID, parent.trace_id), (link_fields::SPAN_ID, parent.span_id));
        put_trace_state(&mut link, link_fields::TRACE_STATE, &parent.state);
        let sampled = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        put_flags(&mut link, link_fields::FLAGS, u32::from(sampled.to_u8()), true);
        put_bytes(out, span_fields::LINKS, &link);
    }
    let status: &[u8] = if attributes::is_error(span) { &STATUS_ERROR } else { &[] };
    put_bytes(out, span_fields::STATUS, status);
    let remote = span.parent.is_some() && span.remote_parent;
    put_flags(out, span_fields::FLAGS, u32::from(TraceFlags::SAMPLED.to_u8()), remote);
}

fn put_ids(out: &mut Vec<u8>, (trace_field, trace): (u32, TraceId), (span_field, span): (u32, SpanId)) {
    put_bytes(out, trace_field, &trace.to_bytes());
    put_bytes(out, span_field, &span.to_bytes());
}

/// What cannot be read as a `tracestate` is left out.
fn put_trace_state(out: &mut Vec<u8>, field: u32, value: &HeaderValue) {
    if value.is_empty() {
        return;
    }
    if let Some(state) = value.to_str().ok().and_then(|text| text.parse::<TraceState>().ok()) {
        put_text(out, field, &state.header());
    }
}

fn put_attribute(out: &mut Vec<u8>, key: &str, value: &Value<'_>) {
    match value {
        Value::Text(text) => put_text_attribute(out, key, text.as_bytes()),
        Value::Decimal(digits) => put_text_attribute(out, key, digits.as_bytes()),
        Value::Number(number) => {
            let mut any = vec![short_tag(any::INT, 0)];
            // Negative numbers are written as the large ones that have the same bits.
            put_varint(&mut any, number.cast_unsigned());
            put_any_attribute(out, key, &any);
        }
    }
}

fn put_text_attribute(out: &mut Vec<u8>, key: &str, text: &[u8]) {
    // Nearly all are short texts, whose lengths take one byte each.
    if let (Ok(key_len @ 1..), Ok(text_len)) = (u8::try_from(key.len()), u8::try_from(text.len()))
        && key.len() + text.len() < SHORT
    {
        out.reserve(SHORT + 8);
        out.extend_from_slice(&[short_tag(span_fields::ATTRIBUTES, 2), key_len + text_len + 6]);
        out.extend_from_slice(&[short_tag(key_value::KEY, 2), key_len]);
        out.extend_from_slice(key.as_bytes());
        let tags = (short_tag(key_value::VALUE, 2), short_tag(any::STRING, 2));
        out.extend_from_slice(&[tags.0, text_len + 2, tags.1, text_len]);
        out.extend_from_slice(text);
        return;
    }
    let mut any = Vec::with_capacity(field_len(text.len()));
    put_bytes(&mut any, any::STRING, text);
    put_any_attribute(out, key, &any);
}

/// The tag of a field below 16, which takes one byte.
const fn short_tag(field: u32, wire_type: u32) -> u8 {
    (field << 3 | wire_type) as u8
}

fn put_any_attribute(out: &mut Vec<u8>, key: &str, any: &[u8]) {
    let key_len = if key.is_empty() { 0 } else { field_len(key.len()) };
    put_header(out, span_fields::ATTRIBUTES, key_len + field_len(any.len()));
    put_text(out, key_value::KEY, key);
    put_bytes(out, key_value::VALUE, any);
}

fn put_time(out: &mut Vec<u8>, field: u32, time: SystemTime) {
    let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
    put_fixed64(out, field, nanos);
}

fn put_flags(out: &mut Vec<u8>, field: u32, trace_flags: u32, remote: bool) {
    let flags = trace_flags | HAS_IS_REMOTE | if remote { IS_REMOTE } else { 0 };
    put_varint(out, u64::from(field) << 3 | 5);
    out.extend_from_slice(&flags.to_le_bytes());
}
