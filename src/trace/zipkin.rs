//! Spans as Zipkin's API v2 has them, in JSON and in protobuf, with the members that Envoy sends.

use std::{borrow::Cow, net::IpAddr, sync::Arc, time::SystemTime};

use prost::Message as _;
use serde::{Serialize, Serializer};

/// How spans are written. `ZipkinConfig.collector_endpoint_version`, which has no default that Envoy accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// `HTTP_JSON`
    Json,
    /// `HTTP_PROTO`
    Proto,
}

impl Format {
    /// The `content-type` of an export call.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Proto => "application/x-protobuf",
        }
    }

    /// The body of an export call.
    pub(crate) fn encode(self, spans: &[ZipkinSpan], local: &LocalEndpoint) -> Vec<u8> {
        match self {
            Self::Json => json(spans, local),
            Self::Proto => proto(spans, local),
        }
    }
}

/// Who speaks: the same for all spans of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalEndpoint {
    /// `serviceName`: the cluster of the node (`--service-cluster`); left out if empty.
    pub(crate) service_name: Arc<str>,
    /// `ipv4` or `ipv6`: the machine's own address.
    pub(crate) ip: IpAddr,
    /// `port`: always 0 in Envoy.
    pub(crate) port: u16,
}

/// The side of a hop that a span shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Kind {
    /// Ingress, or any direction if attempts upstream have spans of their own.
    Server,
    /// Egress, and attempts upstream.
    Client,
}

impl Kind {
    /// The annotation that Envoy puts on a span at its end: server sent, client received.
    pub(crate) const fn end(self) -> &'static str {
        match self {
            Self::Server => "ss",
            Self::Client => "cr",
        }
    }

    /// Its number in zipkin.proto.
    const fn number(self) -> i32 {
        match self {
            Self::Client => 1,
            Self::Server => 2,
        }
    }
}

/// Something that happened while a span was open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Annotation {
    /// When, in microseconds since 1970.
    pub(crate) timestamp: u64,
    /// What.
    pub(crate) value: Cow<'static, str>,
}

/// A finished span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ZipkinSpan {
    /// `traceId`: 16 digits, or 32 if the upper half is not zero.
    pub(crate) trace_id: u128,
    /// `id`
    pub(crate) id: u64,
    /// `parentId`
    pub(crate) parent: Option<u64>,
    /// `kind`
    pub(crate) kind: Kind,
    /// `name`: the request's authority as it came, or the operation.
    pub(crate) name: String,
    /// `timestamp`: its start, in microseconds since 1970.
    pub(crate) timestamp: u64,
    /// `duration`, in microseconds.
    pub(crate) duration: u64,
    /// `shared`: a server span with `ZipkinConfig.shared_span_context`, also one that begins a trace.
    pub(crate) shared: bool,
    /// `annotations`, the one of [`Kind::end`] being the last.
    pub(crate) annotations: Vec<Annotation>,
    /// `tags`; see [`ZipkinSpan::tag`].
    pub(crate) tags: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl ZipkinSpan {
    /// Add a tag, or replace the one of that name. Empty names and values are left out.
    pub(crate) fn tag(&mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Cow<'static, str>>) {
        let (key, value) = (key.into(), value.into());
        if key.is_empty() || value.is_empty() {
            return;
        }
        match self.tags.iter_mut().find(|(known, _)| *known == key) {
            Some((_, old)) => *old = value,
            None => self.tags.push((key, value)),
        }
    }
}

/// Microseconds since 1970.
pub(crate) fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A header's bytes as text: as in Envoy, what is not UTF-8 becomes a blank.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    let Err(_) = str::from_utf8(bytes) else { return String::from_utf8_lossy(bytes) };
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // Bytes that are wrong in a row are one blank.
        if !chunk.invalid().is_empty() && (!chunk.valid().is_empty() || !text.ends_with(' ')) {
            text.push(' ');
        }
    }
    Cow::Owned(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonSpan<'a> {
    #[serde(serialize_with = "trace_digits")]
    trace_id: u128,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "parent_digits")]
    parent_id: Option<u64>,
    #[serde(serialize_with = "digits")]
    id: u64,
    kind: Kind,
    name: &'a str,
    timestamp: u64,
    duration: u64,
    local_endpoint: JsonEndpoint<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    annotations: &'a [Annotation],
    #[serde(skip_serializing_if = "<[_]>::is_empty", serialize_with = "members")]
    tags: &'a [(Cow<'static, str>, Cow<'static, str>)],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    shared: bool,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct JsonEndpoint<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    service_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv4: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipv6: Option<IpAddr>,
    port: u16,
}

fn trace_digits<S: Serializer>(id: &u128, to: S) -> Result<S::Ok, S::Error> {
    if *id >> 64 == 0 {
        to.collect_str(&format_args!("{id:016x}"))
    } else {
        to.collect_str(&format_args!("{id:032x}"))
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn digits<S: Serializer>(id: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{id:016x}"))
}

#[allow(clippy::ref_option, reason = "serde asks for it")]
fn parent_digits<S: Serializer>(id: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
    digits(&id.unwrap_or_default(), to)
}

fn members<S: Serializer>(tags: &[(Cow<'static, str>, Cow<'static, str>)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(tags.iter().map(|(key, value)| (key, value)))
}

/// A JSON array of spans (`HTTP_JSON`).
fn json(spans: &[ZipkinSpan], local: &LocalEndpoint) -> Vec<u8> {
    let local_endpoint = JsonEndpoint {
        service_name: &local.service_name,
        ipv4: local.ip.is_ipv4().then_some(local.ip),
        ipv6: local.ip.is_ipv6().then_some(local.ip),
        port: local.port,
    };
    let list = spans.iter().map(|span| JsonSpan {
        trace_id: span.trace_id,
        parent_id: span.parent,
        id: span.id,
        kind: span.kind,
        name: &span.name,
        timestamp: span.timestamp,
        duration: span.duration,
        local_endpoint,
        annotations: &span.annotations,
        tags: &span.tags,
        shared: span.shared,
    });
    // Text and numbers: nothing in it can fail.
    serde_json::to_vec(&list.collect::<Vec<_>>()).unwrap_or_default()
}

/// `ListOfSpans` of zipkin.proto.
#[derive(Clone, PartialEq, prost::Message)]
struct ListOfSpans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<ProtoSpan>,
}

/// `Span` of zipkin.proto; what Envoy never sets is left out.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoSpan {
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
    #[prost(message, optional, tag = "8")]
    local_endpoint: Option<ProtoEndpoint>,
    #[prost(message, repeated, tag = "10")]
    annotations: Vec<ProtoAnnotation>,
    /// A map is a list of these on the wire; as a list it keeps its order.
    #[prost(message, repeated, tag = "11")]
    tags: Vec<ProtoTag>,
    #[prost(bool, tag = "13")]
    shared: bool,
}

/// `Endpoint` of zipkin.proto.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoEndpoint {
    #[prost(string, tag = "1")]
    service_name: String,
    #[prost(bytes = "vec", tag = "2")]
    ipv4: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    ipv6: Vec<u8>,
    #[prost(int32, tag = "4")]
    port: i32,
}

/// `Annotation` of zipkin.proto.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoAnnotation {
    #[prost(fixed64, tag = "1")]
    timestamp: u64,
    #[prost(string, tag = "2")]
    value: String,
}

/// An entry of the map `tags`.
#[derive(Clone, PartialEq, prost::Message)]
struct ProtoTag {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// Ids are big-endian, as zipkin.proto has it. (Envoy turns the bytes of `id` and `parentId` around, so that no other
/// reporter's spans fit to its own.)
fn proto(spans: &[ZipkinSpan], local: &LocalEndpoint) -> Vec<u8> {
    let (ipv4, ipv6) = match local.ip {
        IpAddr::V4(ip) => (ip.octets().to_vec(), Vec::new()),
        IpAddr::V6(ip) => (Vec::new(), ip.octets().to_vec()),
    };
    let endpoint = ProtoEndpoint {
        service_name: local.service_name.to_string(),
        ipv4,
        ipv6,
        port: i32::from(local.port),
    };
    let span = |span: &ZipkinSpan| ProtoSpan {
        trace_id: match u64::try_from(span.trace_id) {
            Ok(narrow) => narrow.to_be_bytes().to_vec(),
            Err(_) => span.trace_id.to_be_bytes().to_vec(),
        },
        parent_id: span.parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
        id: span.id.to_be_bytes().to_vec(),
        kind: span.kind.number(),
        name: span.name.clone(),
        timestamp: span.timestamp,
        duration: span.duration,
        local_endpoint: Some(endpoint.clone()),
        annotations: span
            .annotations
            .iter()
            .map(|note| ProtoAnnotation { timestamp: note.timestamp, value: note.value.to_string() })
            .collect(),
        tags: span
            .tags
            .iter()
            .map(|(key, value)| ProtoTag { key: key.to_string(), value: value.to_string() })
            .collect(),
        shared: span.shared,
    };
    ListOfSpans { spans: spans.iter().map(span).collect() }.encode_to_vec()
}

#[cfg(test)]
mod tests;
