//! What is doubtful about a span: its parent did not come, or a clock was wrong.

use crate::collector::{
    span::{Span, SpanKind},
    store::Trace,
};

/// The warnings of `span`, which is of `trace`.
pub(super) fn of(span: &Span, trace: &Trace) -> Vec<String> {
    let mut warnings = Vec::new();
    if span.end_unix_nano < span.start_unix_nano {
        let backwards = microseconds(span.start_unix_nano - span.end_unix_nano);
        warnings.push(format!("clock: the span ends {backwards} before it begins"));
    }
    let Some(id) = span.parent_span_id else { return warnings };
    match trace.spans.get(&id) {
        None => warnings.push(format!("missing parent: span {id} has not come")),
        Some(parent) => warnings.extend(skew(span, parent)),
    }
    warnings
}

/// Clocks of two services that cannot both be right.
fn skew(span: &Span, parent: &Span) -> Option<String> {
    // Within one service there is one clock; what begins late there, begins late.
    if span.resource.service == parent.resource.service {
        return None;
    }
    if span.start_unix_nano < parent.start_unix_nano {
        let early = microseconds(parent.start_unix_nano - span.start_unix_nano);
        return Some(format!("clock skew: the span begins {early} before its parent"));
    }
    let is_answer = span.kind == SpanKind::Server && parent.kind == SpanKind::Client;
    if is_answer && span.start_unix_nano > parent.end_unix_nano {
        let late = microseconds(span.start_unix_nano - parent.end_unix_nano);
        return Some(format!("clock skew: the span begins {late} after its caller had the answer"));
    }
    None
}

fn microseconds(nanoseconds: u64) -> String {
    format!("{} µs", nanoseconds.div_ceil(1_000))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::{
        span::{Resource, tests::span},
        store::Store,
    };

    fn elsewhere(span: Span) -> Span {
        Span { resource: Arc::new(Resource { service: "stock".into(), attributes: Box::default() }), ..span }
    }

    /// The warnings of the span 2 in a trace of these.
    fn warnings(spans: impl IntoIterator<Item = Span>) -> Vec<String> {
        let store = Store::new(1 << 20);
        store.insert(spans);
        let trace = store.newest(1).remove(0);
        of(&trace.spans[&span(1, 2, 0).span_id], &trace)
    }

    #[test]
    fn a_good_span_has_none() {
        let parent = Span { end_unix_nano: 9_000_000, ..span(1, 1, 0) };
        assert_eq!(warnings([parent.clone(), elsewhere(span(1, 2, 1))]), [""; 0]);
        let before = Span { start_unix_nano: 5, ..span(1, 2, 1) };
        assert_eq!(warnings([parent, before]), [""; 0], "one service has one clock");
    }

    #[test]
    fn a_missing_parent_is_named() {
        assert_eq!(warnings([span(1, 2, 9)]), ["missing parent: span 0000000000000009 has not come"]);
    }

    #[test]
    fn clocks_that_contradict_each_other_are_told() {
        let early = elsewhere(Span { start_unix_nano: 999_000, ..span(1, 2, 1) });
        assert_eq!(warnings([span(1, 1, 0), early]), ["clock skew: the span begins 1 µs before its parent"]);
        let client = Span { kind: SpanKind::Client, ..span(1, 1, 0) };
        assert_eq!(
            warnings([client, elsewhere(span(1, 2, 1))]),
            ["clock skew: the span begins 500 µs after its caller had the answer"]
        );
        let backwards = Span { end_unix_nano: 1_999_000, ..span(1, 2, 0) };
        assert_eq!(warnings([backwards]), ["clock: the span ends 1 µs before it begins"]);
    }
}
