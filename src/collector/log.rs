//! Log records of OTLP that belong to a trace.

use std::{mem::size_of, sync::Arc};

use super::{
    attribute::{Attribute, Value, attributes_heap_bytes},
    span::{Resource, SpanId},
};

/// One record. `opentelemetry.proto.logs.v1.LogRecord`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// When: nanoseconds since 1970, UTC; when it was seen, if that is not said.
    pub time_unix_nano: u64,
    /// The span in which it was written, if that is said.
    pub span_id: Option<SpanId>,
    /// Who wrote it.
    pub resource: Arc<Resource>,
    /// How grave it is, in the words of who wrote it.
    pub severity: Box<str>,
    /// The same as a number; 0 if that is not said.
    pub severity_number: i32,
    /// What it says.
    pub body: Value,
    /// The details, in the order in which they were sent.
    pub attributes: Box<[Attribute]>,
}

impl LogRecord {
    /// Estimate of the memory that it holds, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.severity.len()
            + self.body.heap_bytes()
            + attributes_heap_bytes(&self.attributes)
            + self.resource.service.len()
            + attributes_heap_bytes(&self.resource.attributes)
    }
}
