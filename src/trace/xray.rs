//! AWS X-Ray: `x-amzn-trace-id` between hops, and spans as the segments that a daemon takes in datagrams, as Envoy has
//! them.

use std::{borrow::Cow, collections::HashSet, fmt, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// `x-amzn-trace-id`
pub(crate) const X_AMZN_TRACE_ID: HeaderName = HeaderName::from_static("x-amzn-trace-id");

/// The first line of each datagram.
const PREAMBLE: &[u8] = b"{\"format\":\"json\",\"version\":1}\n";

/// The most that a datagram carries over IPv4; a segment that is longer is lost.
pub(crate) const MAX_DATAGRAM: usize = 65_507;

/// What the previous hop said. Its words are read in either case and kept in lower case, as Envoy does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// `Root`: its trace. `None` if it is missing or empty.
    pub(crate) root: Option<TraceId>,
    /// `Parent`: its span. `None` if it is missing or empty.
    pub(crate) parent: Option<ParentId>,
    /// `Sampled`: `1` or `0`; anything else leaves it to the sampling rules of this hop.
    pub(crate) sampled: Option<bool>,
}

/// The id of a trace: `1-<8 hex digits: seconds since 1970>-<24 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TraceId {
    /// The 32 digits.
    Number(u128),
    /// What a hop before said that does not look so; it goes on as it is.
    Text(Box<[u8]>),
}

impl TraceId {
    /// A new one; `seconds` since 1970.
    pub(crate) fn new(seconds: u32) -> Self {
        Self::Number(u128::from(seconds) << 96 | fastrand::u128(1..1 << 96))
    }

    fn read(text: &[u8]) -> Option<Self> {
        let number = || {
            let (time, rest) = text.strip_prefix(b"1-")?.split_at_checked(8)?;
            let unique = rest.strip_prefix(b"-").filter(|unique| unique.len() == 24)?;
            Some(hex(time)? << 96 | hex(unique)?)
        };
        kept(text, number().map(Self::Number), Self::Text)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(to, "1-{:08x}-{:024x}", id >> 96, id & ((1 << 96) - 1)),
            Self::Text(bytes) => to.write_str(&super::zipkin::text(bytes)),
        }
    }
}

/// The id of the span above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ParentId {
    /// 16 hex digits.
    Number(u64),
    /// What a hop before said that does not look so.
    Text(Box<[u8]>),
}

impl ParentId {
    fn read(text: &[u8]) -> Option<Self> {
        let number = (text.len() == 16).then(|| hex(text)).flatten().and_then(|id| u64::try_from(id).ok());
        kept(text, number.map(Self::Number), Self::Text)
    }
}

impl fmt::Display for ParentId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(to, "{id:016x}"),
            Self::Text(bytes) => to.write_str(&super::zipkin::text(bytes)),
        }
    }
}

/// `number`, or else the text in lower case; `None` if it is empty.
fn kept<T>(text: &[u8], number: Option<T>, other: impl FnOnce(Box<[u8]>) -> T) -> Option<T> {
    if text.is_empty() {
        None
    } else {
        Some(number.unwrap_or_else(|| other(text.to_ascii_lowercase().into())))
    }
}

/// The number that up to 32 hex digits stand for.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, digit| Some(sum << 4 | u128::from(char::from(*digit).to_digit(16)?)))
}

/// Read `x-amzn-trace-id`; `None` if it did not come. No value is invalid: words between `;` that are not known are
/// skipped, the last of the same counts, and of repeated lines the first. Blanks belong to the words.
pub(crate) fn extract(headers: &HeaderMap) -> Option<Incoming> {
    headers.get(X_AMZN_TRACE_ID).map(|value| parse(value.as_bytes()))
}

fn parse(value: &[u8]) -> Incoming {
    let mut incoming = Incoming { root: None, parent: None, sampled: None };
    for word in value.split(|byte| *byte == b';') {
        let Some(equals) = word.iter().position(|byte| *byte == b'=') else { continue };
        let (name, [_, value @ ..]) = word.split_at(equals) else { continue };
        if name.eq_ignore_ascii_case(b"root") {
            incoming.root = TraceId::read(value);
        } else if name.eq_ignore_ascii_case(b"parent") {
            incoming.parent = ParentId::read(value);
        } else if name.eq_ignore_ascii_case(b"sampled") {
            incoming.sampled = match value {
                b"1" => Some(true),
                b"0" => Some(false),
                _ => None,
            };
        }
    }
    incoming
}

/// Tell the next hop, replacing what came.
pub(crate) fn inject(headers: &mut HeaderMap, trace: &TraceId, span_id: u64, sampled: bool) {
    let sampled = u8::from(sampled);
    let text = match trace {
        TraceId::Number(_) => format!("Root={trace};Parent={span_id:016x};Sampled={sampled}").into_bytes(),
        TraceId::Text(bytes) => {
            [b"Root=", &**bytes, format!(";Parent={span_id:016x};Sampled={sampled}").as_bytes()].concat()
        }
    };
    // Digits, or what was a header's value before.
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
        headers.insert(X_AMZN_TRACE_ID, value);
    }
}

/// A finished span.
#[derive(Debug)]
pub(crate) struct Segment<'a> {
    /// `name`: `XRayConfig.segment_name`. Spans of attempts upstream have `router <cluster> egress`. Neither a decorator
    /// nor an operation renames either.
    pub(crate) name: &'a str,
    /// `id`
    pub(crate) id: u64,
    /// `trace_id`
    pub(crate) trace_id: &'a TraceId,
    /// `parent_id`
    pub(crate) parent: Option<&'a ParentId>,
    /// `start_time`, since 1970; written in seconds.
    pub(crate) start: Duration,
    /// `end_time`, since 1970; written in seconds.
    pub(crate) end: Duration,
    /// `type`: it belongs to an attempt upstream.
    pub(crate) subsegment: bool,
    /// The annotation `direction`: `egress` for an OUTBOUND listener, else `ingress`, for subsegments too.
    pub(crate) egress: bool,
    /// The request's `x-forwarded-for` as it went on, lines joined by `,`; `None` for a subsegment. It replaces
    /// `peer.address` as `http.request.client_ip`.
    pub(crate) forwarded_for: Option<&'a [u8]>,
    /// `origin`: `XRayConfig.segment_fields.origin`, left out if empty; empty for a subsegment.
    pub(crate) origin: &'a str,
    /// `aws`: `XRayConfig.segment_fields.aws`; empty for a subsegment.
    pub(crate) aws: &'a Map<String, Value>,
    /// What other tracers call tags, in the order in which they are set: the first of the same name counts. Empty ones
    /// are left out.
    pub(crate) tags: &'a [(Cow<'a, str>, Cow<'a, str>)],
}

impl Segment<'_> {
    /// The datagram that tells the daemon.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut datagram = PREAMBLE.to_vec();
        // Text and finite numbers: nothing in it can fail.
        let _ = serde_json::to_writer(&mut datagram, &self.document());
        datagram
    }

    fn document(&self) -> Document<'_> {
        let mut document = Document {
            name: self.name,
            id: format!("{:016x}", self.id),
            trace_id: self.trace_id.to_string(),
            start_time: self.start.as_secs_f64(),
            end_time: self.end.as_secs_f64(),
            parent_id: self.parent.map(ParentId::to_string).unwrap_or_default(),
            http: Http::default(),
            annotations: Annotations::default(),
            origin: self.origin,
            aws: self.aws,
            error: false,
            fault: false,
            throttle: false,
            kind: if self.subsegment { "subsegment" } else { "" },
        };
        if let Some(addresses) = self.forwarded_for {
            document.http.request.client_ip = Some(super::zipkin::text(addresses));
            document.http.request.x_forwarded_for = Some(true);
        }
        for (key, value) in self.tags {
            document.tag(key, value);
        }
        document.annotations.add("direction", if self.egress { "egress" } else { "ingress" });
        document
    }
}

/// A segment document, its members in Envoy's order.
#[derive(Serialize)]
struct Document<'a> {
    name: &'a str,
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_id: String,
    start_time: f64,
    end_time: f64,
    #[serde(skip_serializing_if = "String::is_empty")]
    parent_id: String,
    http: Http<'a>,
    annotations: Annotations<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    origin: &'a str,
    aws: &'a Map<String, Value>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    error: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    fault: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    throttle: bool,
    #[serde(rename = "type", skip_serializing_if = "str::is_empty")]
    kind: &'static str,
}

#[derive(Default, Serialize)]
struct Http<'a> {
    request: Request<'a>,
    response: Response,
}

#[derive(Default, Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_ip: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x_forwarded_for: Option<bool>,
}

#[derive(Default, Serialize)]
struct Response {
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_length: Option<u64>,
}

impl<'a> Document<'a> {
    /// Put a tag where X-Ray has a place for it; the others are annotations.
    fn tag(&mut self, key: &'a str, value: &'a str) {
        if key.is_empty() || value.is_empty() {
            return;
        }
        let request = &mut self.http.request;
        match key {
            "http.url" => _ = request.url.get_or_insert(value),
            "http.method" => _ = request.method.get_or_insert(value),
            "user_agent" => _ = request.user_agent.get_or_insert(value),
            "peer.address" => {
                request.client_ip.get_or_insert(Cow::Borrowed(value));
                request.x_forwarded_for.get_or_insert(false);
            }
            "http.status_code" if self.http.response.status.is_none() => {
                let Ok(status) = value.parse() else { return };
                self.http.response.status = Some(status);
                self.error = (400..500).contains(&status);
                self.throttle = status == 429;
                self.fault |= status >= 500;
            }
            "http.status_code" => {}
            "response_size" => {
                if let Ok(length) = value.parse() {
                    self.http.response.content_length.get_or_insert(length);
                }
            }
            "error" if value == "true" => self.fault = true,
            _ => self.annotations.add(key, value),
        }
    }
}

/// Names with values, in order; the first of the same name counts.
#[derive(Default)]
struct Annotations<'a> {
    list: Vec<(&'a str, &'a str)>,
    known: HashSet<&'a str>,
}

impl<'a> Annotations<'a> {
    fn add(&mut self, key: &'a str, value: &'a str) {
        if self.known.insert(key) {
            self.list.push((key, value));
        }
    }
}

impl Serialize for Annotations<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.list.iter().copied())
    }
}

#[cfg(test)]
mod tests;
