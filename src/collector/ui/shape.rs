//! What the times of a trace's spans tell: who waited for whom, what made it take so long.

use std::collections::HashMap;

use crate::collector::{
    span::{Span, SpanId},
    store::Trace,
    tree::{self, Node, Row},
    warning::{Warning, Warnings},
};

/// A time from one moment to another, nanoseconds since 1970.
pub(super) type Interval = (u64, u64);

/// A line of the waterfall with what is known of it beyond its span.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// What stands in it.
    pub(super) row: Row<'a>,
    /// How many of the next lines hang below it.
    pub(super) below: usize,
    /// How many of those failed.
    pub(super) errors_below: usize,
    /// When it waited for a child: in order, apart from each other.
    pub(super) waiting: Vec<Interval>,
    /// When nothing but it made the trace take longer.
    pub(super) critical: Vec<Interval>,
    /// What is doubtful about it.
    pub(super) warnings: Vec<Warning>,
}

/// The lines of `trace`, in their order.
pub(super) fn lines(trace: &Trace) -> Vec<Line<'_>> {
    let rows = tree::rows(trace.spans.values());
    let kin = Kin::of(&rows);
    let warnings = Warnings::of(trace);
    let mut critical = match &trace.root {
        Some(root) => critical_path(root, &kin),
        None => HashMap::new(),
    };
    let mut below = vec![(0, 0); rows.len()];
    // From the last line up: what hangs below a line has been counted before the line itself.
    for (index, row) in rows.iter().enumerate().rev() {
        let failed = matches!(row.node, Node::Span(span) if span.status_code == crate::collector::span::StatusCode::Error);
        let own = below.get(index).copied().unwrap_or_default();
        let parent = kin.parents.get(index).copied().flatten();
        if let Some((lines, errors)) = parent.and_then(|parent| below.get_mut(parent)) {
            *lines += own.0 + 1;
            *errors += own.1 + usize::from(failed);
        }
    }
    rows.iter()
        .zip(below)
        .map(|(&row, (below, errors_below))| {
            let mut line = Line {
                row,
                below,
                errors_below,
                waiting: Vec::new(),
                critical: Vec::new(),
                warnings: Vec::new(),
            };
            if let Node::Span(span) = row.node {
                line.waiting = waiting(span, kin.children_of(span));
                line.critical = critical.remove(&span.span_id).unwrap_or_default();
                line.warnings = warnings.of_span(span);
            }
            line
        })
        .collect()
}

/// Who hangs below whom in the lines, which have no circles whatever the spans say.
struct Kin<'a> {
    /// Of each line: the line of its parent.
    parents: Vec<Option<usize>>,
    children: HashMap<SpanId, Vec<&'a Span>>,
}

impl<'a> Kin<'a> {
    fn of(rows: &[Row<'a>]) -> Self {
        let mut kin = Self { parents: Vec::with_capacity(rows.len()), children: HashMap::new() };
        // The line and the node of each depth down to the present one.
        let mut open: Vec<(usize, Node<'a>)> = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            open.truncate(row.depth);
            let parent = open.last().copied();
            kin.parents.push(parent.map(|(line, _)| line));
            if let (Some((_, Node::Span(parent))), Node::Span(span)) = (parent, row.node) {
                kin.children.entry(parent.span_id).or_default().push(span);
            }
            open.push((index, row.node));
        }
        kin
    }

    fn children_of(&self, span: &Span) -> &[&'a Span] {
        self.children.get(&span.span_id).map_or(&[], Vec::as_slice)
    }
}

/// When a child of `span` runs, within its own time.
fn waiting(span: &Span, children: &[&Span]) -> Vec<Interval> {
    let (start, end) = (span.start_unix_nano, span.end_unix_nano);
    let mut times: Vec<Interval> = children
        .iter()
        .map(|child| (child.start_unix_nano.max(start), child.end_unix_nano.min(end)))
        .filter(|(from, to)| from < to)
        .collect();
    times.sort_unstable();
    let mut merged: Vec<Interval> = Vec::new();
    for (from, to) in times {
        match merged.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// Nanoseconds in which no child of `span` runs.
pub(super) fn own_nano(span: &Span, waiting: &[Interval]) -> u64 {
    let waited: u64 = waiting.iter().map(|(from, to)| to - from).sum();
    span.duration_nano().saturating_sub(waited)
}

/// The critical path: read back from the end of `root`, at each moment the span that the end had to wait for. That is
/// the child that ended last; before its start, the one that ended last before that; the span itself in between.
fn critical_path(root: &Span, kin: &Kin<'_>) -> HashMap<SpanId, Vec<Interval>> {
    let mut path: HashMap<SpanId, Vec<Interval>> = HashMap::new();
    let mut ahead = vec![(root, (root.start_unix_nano, root.end_unix_nano))];
    while let Some((span, (start, end))) = ahead.pop() {
        let clamped = |child: &&Span| (child.start_unix_nano.max(start), child.end_unix_nano.min(end));
        let mut children = kin.children_of(span).to_vec();
        children.sort_by_key(|child| std::cmp::Reverse(clamped(child).1));
        let own = path.entry(span.span_id).or_default();
        let mut until = end;
        for child in children {
            let (from, to) = clamped(&child);
            if from < to && to <= until {
                if to < until {
                    own.push((to, until));
                }
                ahead.push((child, (from, to)));
                until = from;
            }
        }
        if start < until {
            own.push((start, until));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::{span::tests::span, store::Store};

    fn at(id: u64, parent: u64, from: u64, to: u64) -> Span {
        Span { start_unix_nano: from, end_unix_nano: to, ..span(1, id, parent) }
    }

    fn trace(spans: impl IntoIterator<Item = Span>) -> Arc<Trace> {
        let store = Store::new(64 << 20);
        store.insert(spans);
        Arc::clone(store.newest(1).first().unwrap())
    }

    fn told<T>(trace: &Trace, tell: impl Fn(&Line<'_>) -> T) -> Vec<T> {
        lines(trace).iter().map(tell).collect()
    }

    #[test]
    fn a_span_waits_while_any_child_runs() {
        let trace = trace([at(1, 0, 0, 100), at(2, 1, 10, 40), at(3, 1, 30, 50), at(4, 1, 90, 120)]);
        let waiting = told(&trace, |line| line.waiting.clone());
        assert_eq!(waiting[0], [(10, 50), (90, 100)]);
        assert_eq!(own_nano(&at(1, 0, 0, 100), &waiting[0]), 50);
        assert!(waiting[1].is_empty());
    }

    #[test]
    fn the_critical_path_is_what_the_end_waited_for() {
        // 2 and 3 run together and 3 ends last; 4 comes after them.
        let spans =
            [at(1, 0, 0, 100), at(2, 1, 10, 40), at(3, 1, 20, 50), at(4, 1, 60, 90), at(5, 4, 60, 90)];
        let path = told(&trace(spans), |line| line.critical.clone());
        assert_eq!(path[0], [(90, 100), (50, 60), (0, 20)]);
        assert_eq!(path[1..], [vec![], vec![(20, 50)], vec![], vec![(60, 90)]]);
    }

    #[test]
    fn the_critical_path_covers_the_root_once() {
        let spans = (1..200_u64).map(|id| at(id, id / 3, id * 7 % 50, 50 + id * 13 % 90));
        let path = told(&trace(spans), |line| line.critical.clone());
        let covered: u64 = path.iter().flatten().map(|(from, to)| to - from).sum();
        assert_eq!(covered, (50 + 13) - 7);
    }

    #[test]
    fn what_hangs_below_a_line_is_counted() {
        let failed = Span { status_code: crate::collector::span::StatusCode::Error, ..at(4, 3, 3, 4) };
        let trace = trace([at(1, 0, 0, 9), at(2, 1, 1, 2), at(3, 1, 2, 5), failed, at(6, 99, 7, 8)]);
        let below = told(&trace, |line| (line.below, line.errors_below));
        assert_eq!(below, [(3, 1), (0, 0), (1, 1), (0, 0), (1, 0), (0, 0)]);
    }

    #[test]
    fn spans_that_are_their_own_ancestors_end() {
        let trace = trace([at(1, 2, 0, 9), at(2, 1, 1, 5)]);
        assert_eq!(told(&trace, |line| line.below), [1, 0]);
    }
}
