//! A received span: what OTLP says of it, in the form in which it is kept and shown.

use std::{borrow::Cow, fmt, mem::size_of, sync::Arc};

use super::attribute::{Attribute, attributes_heap_bytes};

/// The attributes that count repetitions: of Envoy, and of the semantic conventions.
const RETRY_ATTRIBUTES: [&str; 2] = ["retry.count", "http.request.resend_count"];

/// The 16 bytes that all spans of a trace share. Never all zero. `Span.trace_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

/// The 8 bytes that name a span within its trace. Never all zero. `Span.span_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// The id in `bytes`; `None` unless they are 16 and not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        nonzero(bytes).map(Self)
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The id that 32 hexadecimal digits write.
    pub fn from_hex(digits: &str) -> Option<Self> {
        let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
        Self::from_bytes(&number.to_be_bytes())
    }
}

impl TraceId {
    /// The same of fewer digits, before which zeros are left out, as 64-bit ids are written.
    pub fn from_short_hex(digits: &str) -> Option<Self> {
        if digits.is_empty() || digits.len() > 32 {
            return None;
        }
        Self::from_hex(&format!("{digits:0>32}"))
    }
}

impl SpanId {
    /// The id in `bytes`; `None` unless they are 8 and not all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        nonzero(bytes).map(Self)
    }

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

fn nonzero<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok().filter(|id| *id != [0; N])
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Which side of which exchange a span tells of. `Span.SpanKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Not said; to be read as internal.
    Unspecified,
    /// An operation inside one service.
    Internal,
    /// A request answered.
    Server,
    /// A request sent.
    Client,
    /// A message handed to a broker.
    Producer,
    /// A message taken from a broker.
    Consumer,
}

impl SpanKind {
    /// The name without OTLP's `SPAN_KIND_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "UNSPECIFIED",
            Self::Internal => "INTERNAL",
            Self::Server => "SERVER",
            Self::Client => "CLIENT",
            Self::Producer => "PRODUCER",
            Self::Consumer => "CONSUMER",
        }
    }
}

/// How the operation ended. `Status.StatusCode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCode {
    /// Not said, which is how most good spans end.
    Unset,
    /// Said to be good by the application.
    Ok,
    /// It failed.
    Error,
}

impl StatusCode {
    /// The name without OTLP's `STATUS_CODE_`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unset => "UNSET",
            Self::Ok => "OK",
            Self::Error => "ERROR",
        }
    }
}

/// Who sent a span. `ResourceSpans.resource`.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// `service.name`; `unknown_service` when the resource has none, as the semantic conventions want it.
    pub service: Box<str>,
    /// All attributes as sent, `service.name` among them.
    pub attributes: Box<[Attribute]>,
}

/// Which library made a span. `ScopeSpans.scope`.
#[derive(Debug, Clone, PartialEq)]
pub struct Scope {
    /// Empty when not said.
    pub name: Box<str>,
    /// Empty when not said.
    pub version: Box<str>,
    /// In the order in which they were sent.
    pub attributes: Box<[Attribute]>,
}

/// Something that happened while a span ran. `Span.Event`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When: nanoseconds since 1970, UTC.
    pub time_unix_nano: u64,
    /// What.
    pub name: Box<str>,
    /// The details, in the order in which they were sent.
    pub attributes: Box<[Attribute]>,
    /// How many of them the sender left out.
    pub dropped_attributes: u32,
}

/// A span that is related to another. `Span.Link`.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// The trace that it is of.
    pub trace_id: TraceId,
    /// Which one it is.
    pub span_id: SpanId,
    /// The W3C tracestate header; empty when there was none.
    pub trace_state: Box<str>,
    /// The details, in the order in which they were sent.
    pub attributes: Box<[Attribute]>,
    /// As those of a span.
    pub flags: u32,
}

/// How many things of a span its sender left out, by its own limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// `Span.dropped_attributes_count`
    pub attributes: u32,
    /// `Span.dropped_events_count`
    pub events: u32,
    /// `Span.dropped_links_count`
    pub links: u32,
}

/// One operation of one service. `opentelemetry.proto.trace.v1.Span`.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it; `None` for the first one of a trace.
    pub parent_span_id: Option<SpanId>,
    /// Who sent it; shared by the spans of one export.
    pub resource: Arc<Resource>,
    /// Which library made it; shared by the spans of one export.
    pub scope: Arc<Scope>,
    /// What was done.
    pub name: Box<str>,
    /// Which side of the exchange this is.
    pub kind: SpanKind,
    /// When it began: nanoseconds since 1970, UTC.
    pub start_unix_nano: u64,
    /// When it ended: nanoseconds since 1970, UTC. Not before the start, unless a clock is wrong.
    pub end_unix_nano: u64,
    /// In the order in which they were sent.
    pub attributes: Box<[Attribute]>,
    /// In the order in which they were sent.
    pub events: Box<[Event]>,
    /// Spans of this or other traces that are related to it, in the order in which they were sent.
    pub links: Box<[Link]>,
    /// What the sender left out, since it was too much.
    pub dropped: Dropped,
    /// How it ended.
    pub status_code: StatusCode,
    /// Why it failed, if it did and said so.
    pub status_message: Box<str>,
    /// Bits 0-7: the W3C trace flags; 8-9: whether the parent is known to be remote.
    pub flags: u32,
    /// The W3C tracestate header; empty when there was none.
    pub trace_state: Box<str>,
}

impl Span {
    /// Nanoseconds from start to end; zero if the clock says that it ended before it began.
    pub fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }

    /// The attribute `key`, if the span has one and it is a text.
    pub fn text_attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| &*attribute.key == key)?.value.as_text()
    }

    /// The attribute `key` as a text, whatever it is.
    pub fn attribute(&self, key: &str) -> Option<Cow<'_, str>> {
        Some(self.attributes.iter().find(|attribute| &*attribute.key == key)?.value.to_text())
    }

    /// How often what it sends was sent again, as it was written; `None` if it was not.
    pub fn retries(&self) -> Option<Cow<'_, str>> {
        RETRY_ATTRIBUTES.iter().find_map(|key| self.attribute(key)).filter(|times| times != "0")
    }

    /// Estimate of the memory that this span alone holds, in bytes: without its resource and scope.
    pub(super) fn own_bytes(&self) -> usize {
        let events: usize = self
            .events
            .iter()
            .map(|event| size_of::<Event>() + event.name.len() + attributes_heap_bytes(&event.attributes))
            .sum();
        let links: usize = self
            .links
            .iter()
            .map(|link| size_of::<Link>() + link.trace_state.len() + attributes_heap_bytes(&link.attributes))
            .sum();
        size_of::<Self>()
            + self.name.len()
            + self.status_message.len()
            + self.trace_state.len()
            + attributes_heap_bytes(&self.attributes)
            + events
            + links
    }

    /// Estimate of the memory that its resource and scope hold, in bytes.
    pub(super) fn shared_bytes(&self) -> usize {
        size_of::<Resource>()
            + self.resource.service.len()
            + attributes_heap_bytes(&self.resource.attributes)
            + size_of::<Scope>()
            + self.scope.name.len()
            + self.scope.version.len()
            + attributes_heap_bytes(&self.scope.attributes)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A span with the ids `trace` and `span`, a child of `parent` unless that is zero.
    pub(crate) fn span(trace: u128, span: u64, parent: u64) -> Span {
        Span {
            trace_id: TraceId::from_bytes(&trace.to_be_bytes()).unwrap(),
            span_id: SpanId::from_bytes(&span.to_be_bytes()).unwrap(),
            parent_span_id: SpanId::from_bytes(&parent.to_be_bytes()),
            resource: Arc::new(Resource { service: "shop".into(), attributes: Box::default() }),
            scope: Arc::new(Scope { name: "test".into(), version: "1".into(), attributes: Box::default() }),
            name: "buy".into(),
            kind: SpanKind::Server,
            start_unix_nano: 1_000_000 * span,
            end_unix_nano: 1_000_000 * span + 500_000,
            attributes: Box::default(),
            events: Box::default(),
            links: Box::default(),
            dropped: Dropped::default(),
            status_code: StatusCode::Unset,
            status_message: "".into(),
            flags: 1,
            trace_state: "".into(),
        }
    }

    #[test]
    fn a_trace_id_reads_back_what_it_writes() {
        let written = "00f1fca5106c27ef49b54d1eba13323f";
        assert_eq!(TraceId::from_hex(written).unwrap().to_string(), written);
    }

    #[test]
    fn a_trace_id_is_32_hexadecimal_digits_and_not_zero() {
        for wrong in ["", "12", "+0f1fca5106c27ef49b54d1eba13323f", "é", &"0".repeat(32), &"g".repeat(32)] {
            assert_eq!(TraceId::from_hex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_span_that_ends_before_it_begins_took_no_time() {
        let backwards = Span { end_unix_nano: 1, ..span(1, 1, 0) };
        assert_eq!(backwards.duration_nano(), 0);
    }
}
