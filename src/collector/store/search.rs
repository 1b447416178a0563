//! What is looked for, and whether a trace is it.

use std::sync::Arc;

use super::trace::{Term, Trace};
use crate::collector::span::Span;

/// What traces must have to be found. Without any, all are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// One of its spans is of this service.
    pub service: Option<String>,
    /// One of its spans has this name; of that service, if one is given.
    pub operation: Option<String>,
    /// Whether one of its spans failed.
    pub failed: Option<bool>,
    /// It took at least so long.
    pub min_duration_nano: Option<u64>,
    /// It took at most so long.
    pub max_duration_nano: Option<u64>,
    /// It began then or later, nanoseconds since 1970.
    pub from_unix_nano: Option<u64>,
    /// It began then or earlier.
    pub to_unix_nano: Option<u64>,
    /// One of its spans has all these attributes, its resource's included, with these values as text.
    pub attributes: Vec<(String, String)>,
}

impl Search {
    /// Whether `trace` is looked for.
    pub(super) fn finds(&self, trace: &Trace) -> bool {
        let Some(root) = &trace.root else { return false };
        let (start, duration) = (trace.start_unix_nano, trace.duration_nano());
        // What is known of the whole trace comes first, then hashes, then its spans.
        self.failed.is_none_or(|failed| failed == (trace.errors > 0))
            && self.min_duration_nano.is_none_or(|least| duration >= least)
            && self.max_duration_nano.is_none_or(|most| duration <= most)
            && self.from_unix_nano.is_none_or(|from| start >= from)
            && self.to_unix_nano.is_none_or(|to| start <= to)
            && self.terms().all(|term| trace.may_have(term))
            && (self.is_of_whole_traces() || self.in_spans(trace, root))
    }

    fn is_of_whole_traces(&self) -> bool {
        self.service.is_none() && self.operation.is_none() && self.attributes.is_empty()
    }

    fn terms(&self) -> impl Iterator<Item = Term> {
        let service = self.service.as_deref().map(Term::service);
        let operation = match (&self.service, &self.operation) {
            (Some(service), Some(operation)) => Some(Term::operation(service, operation)),
            _ => None,
        };
        let attributes = self.attributes.iter().map(|(key, value)| Term::pair(key, value));
        service.into_iter().chain(operation).chain(attributes)
    }

    fn in_spans(&self, trace: &Trace, root: &Arc<Span>) -> bool {
        // The root is what is looked for most often.
        std::iter::once(root).chain(trace.spans.values()).any(|span| self.finds_span(span))
    }

    /// Whether `span` has what is said of spans.
    pub(crate) fn finds_span(&self, span: &Span) -> bool {
        self.service.as_deref().is_none_or(|service| *span.resource.service == *service)
            && self.operation.as_deref().is_none_or(|operation| *span.name == *operation)
            && self.attributes.iter().all(|(key, value)| {
                let all = span.attributes.iter().chain(&span.resource.attributes);
                all.filter(|attribute| *attribute.key == **key)
                    .any(|attribute| attribute.value.is_text(value))
            })
    }
}
