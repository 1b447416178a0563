//! Zipkin's spans in protobuf, as the JSON they would be.

use prost::Message;
use serde_json::{Map, Value, json};

#[derive(Clone, PartialEq, Message)]
struct List {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    parent_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    id: Vec<u8>,
    #[prost(int32, tag = "4")]
    kind: i32,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(fixed64, tag = "6")]
    timestamp: u64,
    #[prost(uint64, tag = "7")]
    duration: u64,
    #[prost(message, tag = "8")]
    local_endpoint: Option<Endpoint>,
    #[prost(message, tag = "9")]
    remote_endpoint: Option<Endpoint>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<Annotation>,
    #[prost(btree_map = "string, string", tag = "11")]
    tags: std::collections::BTreeMap<String, String>,
    #[prost(bool, tag = "12")]
    debug: bool,
    #[prost(bool, tag = "13")]
    shared: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Annotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

/// The list of spans as JSON.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, String> {
    let list = List::decode(bytes).map_err(|error| error.to_string())?;
    Ok(Value::Array(list.spans.iter().map(span).collect()))
}

fn span(span: &Span) -> Value {
    let mut members = Map::new();
    let mut member = |name: &str, value: Value, is_there: bool| {
        if is_there {
            members.insert(name.to_owned(), value);
        }
    };
    member("traceId", hex(&span.trace_id).into(), true);
    member("parentId", hex(&span.parent_id).into(), !span.parent_id.is_empty());
    member("id", hex(&span.id).into(), true);
    let kinds = ["SPAN_KIND_UNSPECIFIED", "CLIENT", "SERVER", "PRODUCER", "CONSUMER"];
    let kind = usize::try_from(span.kind).ok().and_then(|kind| kinds.get(kind));
    member("kind", (*kind.unwrap_or(&"unknown")).into(), span.kind != 0);
    member("name", span.name.clone().into(), !span.name.is_empty());
    member("timestamp", span.timestamp.into(), span.timestamp != 0);
    member("duration", span.duration.into(), span.duration != 0);
    for (name, there) in [("localEndpoint", &span.local_endpoint), ("remoteEndpoint", &span.remote_endpoint)]
    {
        if let Some(there) = there {
            member(name, endpoint(there), true);
        }
    }
    let annotation = |there: &Annotation| json!({"timestamp": there.timestamp, "value": there.value});
    let annotations: Vec<Value> = span.annotations.iter().map(annotation).collect();
    member("annotations", annotations.into(), !span.annotations.is_empty());
    member("tags", json!(span.tags), !span.tags.is_empty());
    member("debug", true.into(), span.debug);
    member("shared", true.into(), span.shared);
    Value::Object(members)
}

fn endpoint(there: &Endpoint) -> Value {
    let dotted: Vec<String> = there.ipv4.iter().map(u8::to_string).collect();
    json!({
        "serviceName": there.service_name,
        "ipv4": dotted.join("."),
        "ipv6": hex(&there.ipv6),
        "port": there.port,
    })
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
