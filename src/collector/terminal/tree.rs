//! One trace as a tree: who waited for whom, and how long.

use std::fmt::{self, Display, Formatter};

use super::{
    layout::{KIND, Layout},
    logs::Logs,
    style::{NARROWEST_TEXT, Plain, Style, fitted, wrapped},
};
use crate::collector::{
    span::{Span, StatusCode},
    store::Trace,
    tree::{self, Node, Row},
    ui::{Count, Elapsed, Moment, named},
    warning::{Warning, Warnings},
};

/// Branches of deeper spans begin with three dots.
const DEEPEST: usize = 12;

/// `trace`, drawn.
pub(super) struct Tree<'a> {
    pub(super) trace: &'a Trace,
    /// What the collector says of the trace as a whole.
    pub(super) warnings: &'a [String],
    pub(super) style: Style,
    /// How many columns a line may have.
    pub(super) width: Option<usize>,
}

/// A line before it is fitted into the columns.
struct Line<'a> {
    name: String,
    node: Node<'a>,
}

impl Display for Tree<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        self.heading(f)?;
        let lines = lines(&tree::rows(trace.spans.values()));
        let names = lines.iter().filter(|line| matches!(line.node, Node::Span(_)));
        let longest_name = names.map(|line| line.name.chars().count()).max().unwrap_or(0);
        let services: Vec<&str> = trace.services().into_keys().collect();
        let longest_service = services.iter().map(|service| service.chars().count()).max().unwrap_or(0);
        let layout = Layout::of(longest_name, longest_service, self.width);
        let warnings = Warnings::of(trace);
        for Line { name, node } in &lines {
            match node {
                Node::Span(span) => {
                    let place = services.iter().position(|service| **service == *span.resource.service);
                    self.span(f, span, &fitted(name, layout.name), place.unwrap_or_default(), layout)?;
                    self.notes(f, span, &warnings.of_span(span), layout)?;
                }
                Node::MissingParent(_) => writeln!(f, "{}", self.style.faint(name))?,
            }
        }
        write!(f, "{}", Logs { trace, style: self.style, width: self.width })
    }
}

impl Tree<'_> {
    fn heading(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        let id = format!("trace {}", trace.trace_id);
        let moment = match &trace.root {
            Some(_) => format!("{} UTC", Moment(trace.start_unix_nano)),
            None => "no span of it has come yet".to_owned(),
        };
        let is_one_line = self.width.is_none_or(|width| id.len() + 2 + moment.len() <= width);
        writeln!(f, "{id}{}{moment}", if is_one_line { "  " } else { "\n" })?;
        if trace.root.is_some() {
            let (spans, errors) = (Count(trace.spans.len(), "span"), Count(trace.errors, "error"));
            let errors = if trace.errors > 0 { self.style.failed(errors) } else { errors.to_string() };
            writeln!(f, "{}, {spans}, {errors}", Elapsed(trace.duration_nano()))?;
        }
        for warning in self.warnings {
            self.wrapped(f, "", &Plain(warning).to_string())?;
        }
        if trace.root.is_some() { writeln!(f) } else { Ok(()) }
    }

    fn span(
        &self,
        f: &mut Formatter<'_>,
        span: &Span,
        name: &str,
        place: usize,
        layout: Layout,
    ) -> fmt::Result {
        let failed = span.status_code == StatusCode::Error;
        let name = if failed { self.style.failed(name) } else { name.to_owned() };
        write!(f, "{name}  ")?;
        if layout.has_kind {
            write!(f, "{}  ", self.style.faint(format!("{:<KIND$}", span.kind.name())))?;
        }
        let service = fitted(&Plain(&span.resource.service).to_string(), layout.service);
        let service = self.style.of_service(place, service);
        let elapsed = Elapsed(span.duration_nano()).to_string();
        let bar = self.style.of_service(place, bar(span, self.trace, layout.bar));
        write!(f, "{service}  {elapsed:>8}  │{bar}│")
    }

    /// How often it was sent again, why it failed, and what is doubtful about it: behind its line, or, if that is too long, below it.
    fn notes(&self, f: &mut Formatter<'_>, span: &Span, warnings: &[Warning], layout: Layout) -> fmt::Result {
        let why = format!("ERROR {}", Plain(&span.status_message)).trim_end().to_owned();
        let why = (span.status_code == StatusCode::Error).then_some(why);
        // That a parent is missing says the line above.
        let doubts = warnings.iter().filter(|warning| !matches!(warning, Warning::MissingParent(_)));
        let retries = span.retries().map(|times| format!("retry {}", Plain(&times)));
        let told = retries.into_iter().chain(why);
        let notes: Vec<String> = told.chain(doubts.map(ToString::to_string)).collect();
        let together = notes.join("; ");
        if notes.is_empty() {
            writeln!(f)
        } else if self.width.is_none_or(|width| layout.width() + 2 + together.chars().count() <= width) {
            writeln!(f, "  {}", self.style.failed(together))
        } else {
            writeln!(f)?;
            notes.iter().try_for_each(|note| self.wrapped(f, "  ! ", note))
        }
    }

    fn wrapped(&self, f: &mut Formatter<'_>, start: &str, text: &str) -> fmt::Result {
        let room = self.width.unwrap_or(usize::MAX).saturating_sub(start.len()).max(NARROWEST_TEXT);
        let mut start = start.to_owned();
        for line in wrapped(text, room) {
            writeln!(f, "{start}{}", self.style.failed(line))?;
            start = " ".repeat(start.len());
        }
        Ok(())
    }
}

/// When `span` ran, within the time of `trace`: at least one column.
fn bar(span: &Span, trace: &Trace, width: usize) -> String {
    let width = width as u128;
    let total = u128::from(trace.duration_nano().max(1));
    let column = |nano: u64| {
        let offset = u128::from(nano.saturating_sub(trace.start_unix_nano)) * width;
        (offset / total, offset.div_ceil(total))
    };
    let last = width.saturating_sub(1);
    let (start, _) = column(span.start_unix_nano);
    let start = start.min(last);
    let (_, end) = column(span.end_unix_nano);
    let end = end.clamp(start + 1, width.max(start + 1));
    (0..width).map(|at| if (start..end).contains(&at) { '█' } else { ' ' }).collect()
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
            Node::Span(span) => name.push_str(&Plain(named(&span.name)).to_string()),
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
        attribute::{Attribute, Value},
        log::LogRecord,
        span::{Resource, SpanKind, tests::span},
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
        let drawn = Tree { trace: &trace, warnings: &[], style: Style::plain(), width: None }.to_string();
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

    /// The lines of a trace of two services whose clocks disagree, with a failure and logs.
    fn odd(width: usize) -> Vec<String> {
        let store = Store::new(1 << 20);
        let ms = 1_000_000_u64;
        let root = Span {
            name: "GET /a/rather/long/name".into(),
            start_unix_nano: 10 * ms,
            end_unix_nano: 50 * ms,
            ..span(1, 1, 0)
        };
        let resource =
            Arc::new(Resource { service: "a-service-with-a-long-name".into(), attributes: Box::default() });
        let early = Span {
            name: "an operation with a name that fills a line by itself".into(),
            start_unix_nano: 7 * ms,
            end_unix_nano: 40 * ms,
            status_code: StatusCode::Error,
            status_message: "connection refused by the third of three hosts".into(),
            resource: Arc::clone(&resource),
            ..span(1, 2, 1)
        };
        let circle = [span(1, 3, 4), span(1, 4, 3)];
        let backwards = Span { start_unix_nano: 30 * ms, end_unix_nano: 20 * ms, ..span(1, 5, 1) };
        let log = |span_id, time, words: &str| LogRecord {
            severity_number: 0,
            time_unix_nano: time,
            span_id,
            resource: Arc::clone(&resource),
            severity: "WARN".into(),
            body: Value::Text(words.into()),
            attributes: Box::default(),
        };
        let id = root.trace_id;
        store.insert_logs([
            (
                Some(id),
                log(Some(early.span_id), 9 * ms, "sent again, since the first of three hosts did not answer"),
            ),
            (Some(id), log(None, ms, "be\u{1b}gun")),
        ]);
        store.insert([root, early, backwards].into_iter().chain(circle));
        let trace = store.newest(1).remove(0);
        let warnings =
            ["7 spans of this trace were refused: it is larger than a quarter of the store".to_owned()];
        let tree = Tree { trace: &trace, warnings: &warnings, style: Style::plain(), width: Some(width) };
        tree.to_string().lines().map(str::to_owned).collect()
    }

    #[test]
    fn retries_and_names_that_are_empty_are_told() {
        let store = Store::new(1 << 20);
        let retry = Attribute { key: "retry.count".into(), value: Value::Text("1".into()) };
        let again = Span { attributes: [retry.clone()].into(), ..span(1, 2, 1) };
        let status = (StatusCode::Error, "reset".into());
        let failed = Span {
            attributes: [retry].into(),
            status_code: status.0,
            status_message: status.1,
            ..span(1, 3, 1)
        };
        store.insert([Span { name: " ".into(), ..span(1, 1, 0) }, again, failed]);
        let trace = store.newest(1).remove(0);
        let drawn = Tree { trace: &trace, warnings: &[], style: Style::plain(), width: None }.to_string();
        let lines: Vec<&str> = drawn.lines().skip(3).collect();
        assert!(lines[0].starts_with("(no name) "), "{drawn}");
        assert!(lines[1].ends_with("│  retry 1") && lines[2].ends_with("│  retry 1; ERROR reset"), "{drawn}");
    }

    #[test]
    fn doubts_and_logs_are_told_within_sixty_columns() {
        let expected = [
            "trace 00000000000000000000000000000001",
            "1970-01-01 00:00:00.003 UTC",
            "47.0 ms, 5 spans, 1 error",
            "7 spans of this trace were refused: it is larger than a",
            "quarter of the store",
            "",
        ];
        let lines = odd(60);
        assert_eq!(lines[..6], expected);
        let all = lines.join("\n");
        for part in [
            "  ! ERROR connection refused by the third of three hosts\n",
            "  ! clock skew: the span starts 3.00 ms before its parent\n",
            "  ! clock: the span ends 10.0 ms before it starts\n",
            "  ! circle of parents: the span is an ancestor of itself\n",
            "\nLOGS\n",
            " -2.00 ms  WARN  a-service-with-a-long-name  be\u{fffd}gun\n",
            " +6.00 ms  WARN  a-service-with-a-long-name an operation wi…\n",
            "\n           sent again, since the first of three hosts did\n           not answer",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{all}");
    }

    #[test]
    fn a_wide_terminal_has_all_in_the_line() {
        let all = odd(300).join("\n");
        assert!(
            all.contains(
                "│  ERROR connection refused by the third of three hosts; clock skew: the span starts"
            ),
            "{all}"
        );
        assert!(
            all.ends_with("by itself  sent again, since the first of three hosts did not answer"),
            "{all}"
        );
    }

    #[test]
    fn a_very_deep_trace_stays_narrow() {
        let store = Store::new(64 << 20);
        store.insert((1..3_000).map(|id| span(1, id, id - 1)));
        let trace = Arc::clone(&store.newest(1)[0]);
        let drawn = Tree { trace: &trace, warnings: &[], style: Style::plain(), width: None }.to_string();
        assert_eq!(drawn.lines().count(), 3_002);
        assert!(drawn.lines().all(|line| line.chars().count() < 120));
    }
}
