//! A trace as the store keeps it: its spans, its logs, and what searches go by.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher},
    mem::size_of,
    sync::Arc,
};

use foldhash::fast::FixedState;

use super::passed_over::PassedOver;
use crate::collector::{
    attribute::{Attribute, Value},
    log::LogRecord,
    span::{Resource, Span, SpanId, StatusCode, TraceId},
};

/// What a span costs beyond its own bytes: its share of the index's nodes, at worst half full, the reference counts,
/// and the marks by which it is found. Bytes.
const SPAN_OVERHEAD_BYTES: usize = 2 * size_of::<(SpanId, Arc<Span>)>() + 6 * ALLOCATION_OVERHEAD_BYTES;
/// What a trace costs beyond its spans: its places in the tables, at worst half full, and the first node of its index.
/// Bytes.
pub(super) const TRACE_OVERHEAD_BYTES: usize =
    2 * (size_of::<(TraceId, Trace)>() + 2 * size_of::<TraceId>()) + 11 * size_of::<(SpanId, Arc<Span>)>();
/// What the allocator adds to a block of memory, in bytes. Estimate.
const ALLOCATION_OVERHEAD_BYTES: usize = 16;

/// Everything known of one trace at one moment.
#[derive(Debug, Clone)]
pub struct Trace {
    /// The id that its spans share.
    pub trace_id: TraceId,
    /// Its place among all traces, by the arrival of their first spans.
    pub arrival: u64,
    /// When something of it came last: the state of the store that this made.
    pub version: u64,
    /// Its spans, by id. Empty if only logs have come.
    pub spans: BTreeMap<SpanId, Arc<Span>>,
    /// What was logged within it, in the order of arrival.
    pub logs: Vec<Arc<LogRecord>>,
    /// Start of the earliest span, nanoseconds since 1970; `u64::MAX` without one.
    pub start_unix_nano: u64,
    /// End of the last span, nanoseconds since 1970.
    pub end_unix_nano: u64,
    /// Spans that failed.
    pub errors: usize,
    /// The span without a parent that began first; else that which began first.
    pub root: Option<Arc<Span>>,
    /// What came for it and was not filed.
    pub passed_over: PassedOver,
    /// Estimate of the memory that it takes.
    pub(super) bytes: usize,
    /// A hash of each thing that it can be found by.
    terms: Vec<u32>,
    /// The span filed last: what the next one shares with it is not counted again.
    last: Option<Arc<Span>>,
}

impl Trace {
    pub(super) fn new(trace_id: TraceId, arrival: u64) -> Self {
        Self {
            trace_id,
            arrival,
            version: 0,
            spans: BTreeMap::new(),
            logs: Vec::new(),
            start_unix_nano: u64::MAX,
            end_unix_nano: 0,
            errors: 0,
            root: None,
            passed_over: PassedOver::default(),
            bytes: TRACE_OVERHEAD_BYTES,
            terms: Vec::new(),
            last: None,
        }
    }

    /// Nanoseconds from the start of the first span to the end of the last.
    pub fn duration_nano(&self) -> u64 {
        self.end_unix_nano.saturating_sub(self.start_unix_nano)
    }

    /// The services of its spans, each with its spans, by name.
    pub fn services(&self) -> BTreeMap<&str, usize> {
        let mut services = BTreeMap::new();
        for span in self.spans.values() {
            *services.entry(&*span.resource.service).or_default() += 1;
        }
        services
    }

    /// Its spans, earliest first.
    pub fn by_start(&self) -> Vec<&Arc<Span>> {
        let mut spans: Vec<_> = self.spans.values().collect();
        spans.sort_by_key(|span| (span.start_unix_nano, span.span_id));
        spans
    }

    /// What filing `span` costs, in bytes. Resource and scope are counted once for each run of spans that share them,
    /// and again in every trace: rather too much than too little.
    pub(super) fn cost_of(&self, span: &Span) -> usize {
        let last = self.last.as_deref();
        let shares = |last: &Span| {
            Arc::ptr_eq(&last.resource, &span.resource) && Arc::ptr_eq(&last.scope, &span.scope)
        };
        let shared = if last.is_some_and(shares) { 0 } else { span.shared_bytes() };
        let terms = (2 + span.attributes.len() + span.resource.attributes.len()) * size_of::<u32>();
        span.own_bytes() + SPAN_OVERHEAD_BYTES + shared + terms
    }

    /// File `span`, which costs `cost`.
    pub(super) fn add(&mut self, span: Arc<Span>, cost: usize) {
        let same_resource =
            self.last.as_ref().is_some_and(|last| Arc::ptr_eq(&last.resource, &span.resource));
        if !same_resource {
            self.terms.extend(terms_of_resource(&span.resource));
        }
        self.terms.push(Term::operation(&span.resource.service, &span.name).0);
        self.terms.extend(span.attributes.iter().map(|attribute| Term::attribute(attribute).0));
        self.start_unix_nano = self.start_unix_nano.min(span.start_unix_nano);
        self.end_unix_nano = self.end_unix_nano.max(span.end_unix_nano);
        self.errors += usize::from(span.status_code == StatusCode::Error);
        let place = |span: &Span| (span.parent_span_id.is_some(), span.start_unix_nano, span.span_id);
        if self.root.as_ref().is_none_or(|root| place(&span) < place(root)) {
            self.root = Some(Arc::clone(&span));
        }
        self.bytes += cost;
        self.last = Some(Arc::clone(&span));
        self.spans.insert(span.span_id, span);
    }

    /// File `log`.
    pub(super) fn add_log(&mut self, log: Arc<LogRecord>) {
        self.bytes += log.bytes();
        self.logs.push(log);
    }

    /// Whether something of it may be what `term` stands for. A no is certain.
    pub(super) fn may_have(&self, term: Term) -> bool {
        self.terms.contains(&term.0)
    }
}

fn terms_of_resource(resource: &Resource) -> impl Iterator<Item = u32> {
    let attributes = resource.attributes.iter().map(|attribute| Term::attribute(attribute).0);
    attributes.chain([Term::service(&resource.service).0])
}

/// A hash of something that traces are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term(u32);

impl Term {
    fn of(kind: u8, parts: [&[u8]; 2]) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write_u8(kind);
        for part in parts {
            hasher.write(part);
            hasher.write_u8(0xff);
        }
        let [one, two, three, four, ..] = hasher.finish().to_le_bytes();
        Self(u32::from_le_bytes([one, two, three, four]))
    }

    /// A service.
    pub(super) fn service(name: &str) -> Self {
        Self::of(0, [name.as_bytes(), b""])
    }

    /// A span's name, with its service.
    pub(super) fn operation(service: &str, name: &str) -> Self {
        Self::of(1, [service.as_bytes(), name.as_bytes()])
    }

    /// A key with its value as text.
    pub(super) fn pair(key: &str, value: &str) -> Self {
        Self::of(2, [key.as_bytes(), value.as_bytes()])
    }

    fn attribute(attribute: &Attribute) -> Self {
        match &attribute.value {
            Value::Text(text) => Self::pair(&attribute.key, text),
            other => Self::pair(&attribute.key, &other.to_text()),
        }
    }
}
