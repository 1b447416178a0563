//! From a [`FinishedSpan`] to OpenTelemetry's `SpanData`: attributes in Envoy's order, status by its rules.

use std::{borrow::Cow, sync::Arc};

use http::HeaderValue;
use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, Value,
    trace::{SpanContext, SpanKind as OtelKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{FinishedSpan, GrpcRequest, GrpcStatus, SpanKind, SpanName};
use crate::{snapshot::Node, stream_info::protocol_name};

/// What all spans of one exporter share.
#[derive(Debug)]
pub(crate) struct Template {
    node_id: StringValue,
    zone: StringValue,
    scope: InstrumentationScope,
}

impl Template {
    /// For spans of this node.
    pub(crate) fn new(node: &Node) -> Self {
        Self {
            node_id: Arc::clone(&node.id).into(),
            zone: Arc::clone(&node.zone).into(),
            scope: InstrumentationScope::builder("spanway").with_version(env!("CARGO_PKG_VERSION")).build(),
        }
    }

    /// The span as OpenTelemetry has it.
    pub(crate) fn span_data(&self, span: FinishedSpan) -> SpanData {
        let state = span.trace_state.to_str().ok().and_then(|text| text.parse::<TraceState>().ok());
        let context = SpanContext::new(
            span.trace_id,
            span.span_id,
            TraceFlags::SAMPLED,
            false,
            state.unwrap_or_default(),
        );
        let (grpc_error, status) = outcome(&span);
        SpanData {
            span_context: context,
            parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: span.parent.is_some(),
            span_kind: match span.record.kind {
                SpanKind::Server => OtelKind::Server,
                SpanKind::Client => OtelKind::Client,
            },
            start_time: span.start,
            end_time: span.end,
            attributes: self.attributes(&span, grpc_error),
            name: name(span.record.name),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        }
    }

    /// Envoy's attributes, all text, in its order.
    fn attributes(&self, span: &FinishedSpan, grpc_error: bool) -> Vec<KeyValue> {
        let record = &span.record;
        let mut list = Vec::with_capacity(24);
        let mut put =
            |key: &'static str, value: StringValue| list.push(KeyValue::new(key, Value::String(value)));
        put("node_id", self.node_id.clone());
        put("zone", self.zone.clone());
        if let Some(id) = &record.request_id {
            put("guid:x-request-id", text(id));
        }
        put("http.url", String::from(&*record.url).into());
        put("http.method", method(&record.method).into());
        put("downstream_cluster", record.downstream_cluster.as_ref().map_or("-".into(), text));
        put("user_agent", record.user_agent.as_ref().map_or("-".into(), text));
        put("http.protocol", protocol_name(record.protocol).into());
        put("peer.address", record.peer.map_or_else(|| "-".into(), |peer| peer.to_string().into()));
        if let Some(id) = &record.client_trace_id {
            put("guid:x-client-trace-id", text(id));
        }
        if let Some(GrpcRequest { path, authority, content_type, timeout }) = record.grpc.as_deref() {
            put("grpc.path", String::from(&**path).into());
            put("grpc.authority", String::from(&**authority).into());
            put("grpc.content_type", text(content_type));
            if let Some(timeout) = timeout {
                put("grpc.timeout", text(timeout));
            }
        }
        put("request_size", span.request_bytes.to_string().into());
        put("response_size", span.response_bytes.to_string().into());
        put("component", "proxy".into());
        if let Some(cluster) = &span.cluster {
            put("upstream_cluster", Arc::clone(&cluster.name).into());
            put("upstream_cluster.name", Arc::clone(&cluster.observability_name).into());
        }
        put("http.status_code", span.status.to_string().into());
        put(
            "response_flags",
            match span.flags.text() {
                Cow::Borrowed(text) => text.into(),
                Cow::Owned(text) => text.into(),
            },
        );
        let http_error = span.status == 0 || span.status >= 500;
        if http_error {
            put("error", "true".into());
        }
        if let Some(GrpcStatus { code, message }) = &record.grpc_status {
            put("grpc.status_code", text(code));
            if let Some(message) = message {
                put("grpc.message", text(message));
            }
            if grpc_error && !http_error {
                put("error", "true".into());
            }
        }
        list
    }
}

/// Whether the gRPC status sets the `error` attribute, and the span's status.
fn outcome(span: &FinishedSpan) -> (bool, Status) {
    let client = span.record.kind == SpanKind::Client;
    let error = || Status::error("");
    let by_http = if span.status >= 500 || (client && span.status >= 400) { error() } else { Status::Unset };
    let Some(code) =
        span.record.grpc_status.as_ref().and_then(|status| status.code.to_str().ok()?.parse().ok())
    else {
        return (false, by_http);
    };
    // UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS are the server's fault.
    let server_fault = matches!(code, 2_u32 | 4 | 12..=15);
    // Envoy's `error` attribute also counts RESOURCE_EXHAUSTED.
    let error_attribute = server_fault || code == 8;
    let is_error = if client { code != 0 } else { server_fault };
    (error_attribute, if is_error { error() } else { Status::Unset })
}

/// As Envoy: methods that HTTP itself does not define have one name, so that clients cannot make up values.
fn method(method: &http::Method) -> &'static str {
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

fn name(name: SpanName) -> Cow<'static, str> {
    match name {
        SpanName::Ingress => "ingress".into(),
        SpanName::Egress(authority) => format!("egress {authority}").into(),
        SpanName::Operation(operation) => operation.to_string().into(),
        SpanName::Header(value) => String::from_utf8_lossy(value.as_bytes()).into_owned().into(),
    }
}

/// A header's text; bytes that are not UTF-8 are replaced, since OTLP carries text.
fn text(value: &HeaderValue) -> StringValue {
    String::from_utf8_lossy(value.as_bytes()).into_owned().into()
}
