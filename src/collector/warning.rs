//! What is doubtful about a span: its parents do not fit together, or a clock was wrong.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use super::{
    span::{Dropped, Span, SpanId, SpanKind},
    store::Trace,
    tree,
    ui::Elapsed,
};

/// Nanoseconds by which a span may outlast its parent without a word: the last bytes of an answer are on their way for
/// as long, too.
const OVERRUN_NANO: u64 = 1_000_000;

/// One doubt. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Warning {
    /// It ends so long before it starts.
    EndsBeforeStart(u64),
    /// That parent did not come, or not yet.
    MissingParent(SpanId),
    /// It is an ancestor of itself.
    Circle,
    /// It starts so long before its parent, which is of another service.
    StartsBeforeParent(u64),
    /// It answers its parent, of another service, and starts so long after that had the answer.
    StartsAfterAnswer(u64),
    /// It answers its parent, of another service, and ends so long after that had the answer.
    EndsAfterParent(u64),
    /// It ends so long after its parent, which is of another service and may not have waited for it.
    Outlasts(u64),
    /// Its sender left that out.
    LeftOut(Dropped),
}

impl Warning {
    /// Two words for where there is no room for a sentence.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::EndsBeforeStart(_) => "clock",
            Self::MissingParent(_) => "no parent",
            Self::Circle => "circle",
            Self::LeftOut(_) => "cut",
            Self::Outlasts(_) => "outlasts parent",
            Self::StartsBeforeParent(_) | Self::StartsAfterAnswer(_) | Self::EndsAfterParent(_) => {
                "clock skew"
            }
        }
    }
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EndsBeforeStart(nano) => {
                write!(f, "clock: the span ends {} before it starts", Elapsed(nano))
            }
            Self::MissingParent(id) => write!(f, "missing parent: span {id} has not come"),
            Self::Circle => f.write_str("circle of parents: the span is an ancestor of itself"),
            Self::StartsBeforeParent(nano) => {
                write!(f, "clock skew: the span starts {} before its parent", Elapsed(nano))
            }
            Self::StartsAfterAnswer(nano) => {
                write!(f, "clock skew: the span starts {} after its caller had the answer", Elapsed(nano))
            }
            Self::EndsAfterParent(nano) => {
                write!(f, "clock skew: the span ends {} after its parent", Elapsed(nano))
            }
            Self::Outlasts(nano) => {
                write!(f, "asynchronous, or clock skew: the span ends {} after its parent", Elapsed(nano))
            }
            Self::LeftOut(Dropped { attributes, events, links }) => {
                f.write_str("left out by its sender:")?;
                let counts = [(attributes, "attributes"), (events, "events"), (links, "links")];
                for (place, (count, what)) in counts.iter().filter(|(count, _)| *count > 0).enumerate() {
                    write!(f, "{} {what}: {count}", if place > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// The warnings of the spans of a trace.
#[derive(Debug)]
pub(super) struct Warnings<'a> {
    trace: &'a Trace,
    circles: BTreeSet<SpanId>,
}

impl<'a> Warnings<'a> {
    /// Those of `trace`.
    pub(super) fn of(trace: &'a Trace) -> Self {
        Self { trace, circles: tree::circles(trace.spans.values().map(AsRef::as_ref)) }
    }

    /// What is doubtful about `span`.
    pub(super) fn of_span(&self, span: &Span) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let backwards @ 1.. = span.start_unix_nano.saturating_sub(span.end_unix_nano) {
            warnings.push(Warning::EndsBeforeStart(backwards));
        }
        if span.dropped != Dropped::default() {
            warnings.push(Warning::LeftOut(span.dropped));
        }
        let Some(id) = span.parent_span_id else { return warnings };
        if self.circles.contains(&span.span_id) {
            warnings.push(Warning::Circle);
        }
        match self.trace.spans.get(&id) {
            None => warnings.push(Warning::MissingParent(id)),
            Some(parent) => warnings.extend(skew(span, parent)),
        }
        warnings
    }
}

/// Clocks of two services that cannot both be right.
fn skew(span: &Span, parent: &Span) -> Option<Warning> {
    // Within one service there is one clock; what begins late there, begins late.
    if span.resource.service == parent.resource.service {
        return None;
    }
    let early = parent.start_unix_nano.saturating_sub(span.start_unix_nano);
    let late = span.start_unix_nano.saturating_sub(parent.end_unix_nano);
    let longer = span.end_unix_nano.saturating_sub(parent.end_unix_nano);
    let is_answer = span.kind == SpanKind::Server && parent.kind == SpanKind::Client;
    // Who takes a message from a broker does so after the sender is done.
    let is_message = span.kind == SpanKind::Consumer;
    if early > 0 {
        Some(Warning::StartsBeforeParent(early))
    } else if is_answer && late > 0 {
        Some(Warning::StartsAfterAnswer(late))
    } else if longer > OVERRUN_NANO && is_answer {
        Some(Warning::EndsAfterParent(longer))
    } else if longer > OVERRUN_NANO && !is_message {
        Some(Warning::Outlasts(longer))
    } else {
        None
    }
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
        let warnings = Warnings::of(&trace).of_span(&trace.spans[&span(1, 2, 0).span_id]);
        warnings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_span_has_none() {
        let parent = Span { end_unix_nano: 9_000_000, ..span(1, 1, 0) };
        assert_eq!(warnings([parent.clone(), elsewhere(span(1, 2, 1))]), [""; 0]);
        let before = Span { start_unix_nano: 5, ..span(1, 2, 1) };
        assert_eq!(warnings([parent.clone(), before]), [""; 0], "one service has one clock");
        let a_little = elsewhere(Span { end_unix_nano: 10_000_000, ..span(1, 2, 1) });
        assert_eq!(warnings([parent.clone(), a_little]), [""; 0]);
        let consumer = Span { kind: SpanKind::Consumer, end_unix_nano: 90_000_000, ..span(1, 2, 1) };
        assert_eq!(warnings([parent, elsewhere(consumer)]), [""; 0]);
    }

    #[test]
    fn parents_that_do_not_fit_are_told() {
        assert_eq!(warnings([span(1, 2, 9)]), ["missing parent: span 0000000000000009 has not come"]);
        let circle = ["circle of parents: the span is an ancestor of itself"];
        assert_eq!(warnings([span(1, 2, 3), span(1, 3, 2)]), circle);
        assert_eq!(warnings([span(1, 2, 2)]), circle);
        assert_eq!(
            warnings([span(1, 2, 3), span(1, 3, 4), span(1, 4, 3)]),
            [""; 0],
            "it hangs below a circle"
        );
    }

    #[test]
    fn what_a_sender_left_out_is_told() {
        let dropped = Dropped { attributes: 2, events: 0, links: 1 };
        let told = warnings([Span { dropped, ..span(1, 2, 0) }]);
        assert_eq!(told, ["left out by its sender: attributes: 2, links: 1"]);
    }

    #[test]
    fn who_outlasts_a_parent_that_need_not_wait_has_no_wrong_clock() {
        let both = ["asynchronous, or clock skew: the span ends 3.00 ms after its parent"];
        for (parent, child) in [
            (SpanKind::Server, SpanKind::Internal),
            (SpanKind::Client, SpanKind::Internal),
            (SpanKind::Server, SpanKind::Server),
            (SpanKind::Internal, SpanKind::Client),
        ] {
            let parent = Span { kind: parent, ..span(1, 1, 0) };
            let late = Span { kind: child, end_unix_nano: 4_500_000, ..span(1, 2, 1) };
            assert_eq!(warnings([parent, elsewhere(late)]), both);
        }
    }

    #[test]
    fn clocks_that_contradict_each_other_are_told() {
        let early = elsewhere(Span { start_unix_nano: 999_000, ..span(1, 2, 1) });
        assert_eq!(
            warnings([span(1, 1, 0), early]),
            ["clock skew: the span starts 1.00 µs before its parent"]
        );
        let client = Span { kind: SpanKind::Client, ..span(1, 1, 0) };
        assert_eq!(
            warnings([client, elsewhere(span(1, 2, 1))]),
            ["clock skew: the span starts 500 µs after its caller had the answer"]
        );
        let late = elsewhere(Span { end_unix_nano: 4_500_000, ..span(1, 2, 1) });
        let client = Span {
            kind: SpanKind::Client,
            start_unix_nano: 1_000_000,
            end_unix_nano: 1_500_000,
            ..span(1, 1, 0)
        };
        let answer = Span { start_unix_nano: 1_200_000, ..late };
        assert_eq!(warnings([client, answer]), ["clock skew: the span ends 3.00 ms after its parent"]);
        let backwards = Span { end_unix_nano: 1_999_000, ..span(1, 2, 0) };
        assert_eq!(warnings([backwards]), ["clock: the span ends 1.00 µs before it starts"]);
    }
}
