//! One trace as a tree: who waited for whom, and how long.

use std::fmt::{self, Display, Formatter};

use super::style::{Plain, Style, fitted};
use crate::collector::{
    span::{Span, StatusCode},
    store::Trace,
    tree::{self, Node, Row},
    ui::{Count, Elapsed, Moment},
};

/// The columns of a bar that is as long as the trace.
const BAR: usize = 30;
/// A name with its branches has no more columns than this.
const WIDEST_NAME: usize = 48;
/// A service has no more columns than this.
const WIDEST_SERVICE: usize = 20;
/// Branches of deeper spans begin with three dots.
const DEEPEST: usize = 12;

/// `trace`, drawn.
pub(super) struct Tree<'a> {
    pub(super) trace: &'a Trace,
    /// What the collector says of the trace as a whole.
    pub(super) warnings: &'a [String],
    pub(super) style: Style,
}

/// A line before it is fitted into the columns.
struct Line<'a> {
    name: String,
    node: Node<'a>,
}

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        let (spans, errors) = (Count(trace.spans.len(), "span"), Count(trace.errors, "error"));
        writeln!(f, "trace {}  {} UTC", trace.trace_id, Moment(trace.start_unix_nano))?;
        let errors = if trace.errors > 0 { self.style.failed(errors) } else { errors.to_string() };
        writeln!(f, "{}, {spans}, {errors}", Elapsed(trace.duration_nano()))?;
        for warning in self.warnings {
            writeln!(f, "{}", self.style.failed(Plain(warning)))?;
        }
        writeln!(f)?;

        let lines = lines(&tree::rows(trace.spans.values()));
        let names = lines.iter().filter(|line| matches!(line.node, Node::Span(_)));
        let width = names.map(|line| line.name.chars().count()).max().unwrap_or(0).min(WIDEST_NAME);
        let services: Vec<&str> = trace.services().into_keys().collect();
        let longest = services.iter().map(|service| service.chars().count()).max().unwrap_or(0);
        for Line { name, node } in &lines {
            match node {
                Node::Span(span) => {
                    let place = services.iter().position(|service| **service == *span.resource.service);
                    let place = place.unwrap_or_default();
                    let name = fitted(name, width);
                    self.span(f, span, &name, place, longest.min(WIDEST_SERVICE))?;
                }
                Node::MissingParent(_) => writeln!(f, "{}", self.style.faint(name))?,
            }
        }
        Ok(())
    }
}

impl Tree<'_> {
    fn span(
        &self,
        f: &mut Formatter<'_>,
        span: &Span,
        name: &str,
        place: usize,
        width: usize,
    ) -> fmt::Result {
        let failed = span.status_code == StatusCode::Error;
        let name = if failed { self.style.failed(name) } else { name.to_owned() };
        let kind = self.style.faint(format!("{:<11}", span.kind.name()));
        let service = fitted(&Plain(&span.resource.service).to_string(), width);
        let service = self.style.of_service(place, service);
        let elapsed = Elapsed(span.duration_nano()).to_string();
        let bar = self.style.of_service(place, bar(span, self.trace));
        write!(f, "{name}  {kind}  {service}  {elapsed:>8}  │{bar}│")?;
        if failed {
            let why = format!("ERROR {}", Plain(&span.status_message));
            write!(f, "  {}", self.style.failed(why.trim_end()))?;
        }
        writeln!(f)
    }
}

/// When `span` ran, within the time of `trace`: at least one column.
fn bar(span: &Span, trace: &Trace) -> String {
    let total = u128::from(trace.duration_nano().max(1));
    let column = |nano: u64| {
        let offset = u128::from(nano.saturating_sub(trace.start_unix_nano)) * BAR as u128;
        (offset / total, offset.div_ceil(total))
    };
    let last = BAR as u128 - 1;
    let (start, _) = column(span.start_unix_nano);
    let start = start.min(last);
    let (_, end) = column(span.end_unix_nano);
    let end = end.clamp(start + 1, BAR as u128);
    (0..BAR as u128).map(|at| if (start..end).contains(&at) { '█' } else { ' ' }).collect()
}

/// The names of `rows`, with their branches.
fn lines<'a>(rows: &[Row<'a>]) -> Vec<Line<'a>> {
    // From below: on each level, whether another child of the same parent comes further down.
    let mut more: Vec<bool> = Vec::new();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows.iter().rev() {
        // What stands deeper hangs on another branch.
        more.resize(row.depth + 1, false);
        let shown = row.depth.saturating_sub(DEEPEST);
        let mut name = if shown > 0 { "…".to_owned() } else { String::new() };
        for level in shown + 1..=row.depth {
            let goes_on = more.get(level).copied().unwrap_or_default();
            name.push_str(match (level == row.depth, goes_on) {
                (true, true) => "├─ ",
                (true, false) => "└─ ",
                (false, true) => "│  ",
                (false, false) => "   ",
            });
        }
        if let Some(more) = more.get_mut(row.depth) {
            *more = true;
        }
        match row.node {
            Node::Span(span) => name.push_str(&Plain(&span.name).to_string()),
            Node::MissingParent(id) => name.push_str(&format!("(span {id} has not come)")),
        }
        lines.push(Line { name, node: row.node });
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::collector::{
        span::{SpanKind, tests::span},
        store::Store,
    };

    #[test]
    fn a_trace_is_drawn_with_branches_and_bars() {
        let store = Store::new(1 << 20);
        let millisecond = 1_000_000_u64;
        let of = |id, parent, name: &str, start: u64, end: u64| Span {
            name: name.into(),
            start_unix_nano: start * millisecond,
            end_unix_nano: end * millisecond,
            ..span(1, id, parent)
        };
        store.insert([
            of(1, 0, "GET /", 0, 30),
            of(2, 1, "first", 0, 10),
            of(3, 2, "inner", 2, 3),
            Span {
                kind: SpanKind::Client,
                status_code: StatusCode::Error,
                status_message: "re\u{1b}fused".into(),
                ..of(4, 1, "second", 10, 30)
            },
            of(5, 9, "stray", 29, 30),
        ]);
        let trace = store.newest(1).remove(0);
        let drawn = Tree { trace: &trace, warnings: &[], style: Style::plain() }.to_string();
        let expected = [
            "trace 00000000000000000000000000000001  1970-01-01 00:00:00.000 UTC",
            "30.0 ms, 5 spans, 1 error",
            "",
            "GET /        SERVER       shop   30.0 ms  │██████████████████████████████│",
            "├─ first     SERVER       shop   10.0 ms  │██████████                    │",
            "│  └─ inner  SERVER       shop   1.00 ms  │  █                           │",
            "└─ second    CLIENT       shop   20.0 ms  │          ████████████████████│  ERROR re\u{fffd}fused",
            "(span 0000000000000009 has not come)",
            "└─ stray     SERVER       shop   1.00 ms  │                             █│",
        ];
        let lines: Vec<&str> = drawn.lines().collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_very_deep_trace_stays_narrow() {
        let store = Store::new(64 << 20);
        store.insert((1..3_000).map(|id| span(1, id, id - 1)));
        let trace = Arc::clone(&store.newest(1)[0]);
        let drawn = Tree { trace: &trace, warnings: &[], style: Style::plain() }.to_string();
        assert_eq!(drawn.lines().count(), 3_002);
        assert!(drawn.lines().all(|line| line.chars().count() < 120));
    }
}
