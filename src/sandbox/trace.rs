//! A trace as the collector tells it, and as a reader likes to see it.

use std::{fmt, time::Duration};

use serde::Deserialize;
use serde_json::{Map, Value};

/// What `/debug/tracez?format=json` of the collector answers.
#[derive(Debug, Deserialize)]
pub(super) struct TracePage {
    /// All traces that it has.
    pub(super) traces: Vec<Trace>,
}

/// The spans that share a trace id. Displayed as a tree with durations.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    /// 32 hexadecimal digits.
    pub(super) trace_id: String,
    /// Its spans, in no particular order.
    pub(super) spans: Vec<Span>,
}

/// One span.
#[derive(Debug, Deserialize)]
pub(super) struct Span {
    /// 16 hexadecimal digits.
    pub(super) span_id: String,
    /// That of its parent; none or empty for a root.
    #[serde(default)]
    parent_span_id: Option<String>,
    /// `service.name` of its resource.
    pub(super) service: String,
    /// Its name.
    pub(super) name: String,
    /// `SERVER`, `CLIENT`, ...
    pub(super) kind: String,
    start_unix_nano: u64,
    end_unix_nano: u64,
    #[serde(default)]
    attributes: Map<String, Value>,
}

impl Trace {
    /// Those of `traces` that came of a request for `path`.
    pub(super) fn of_path<'a>(traces: &'a [Trace], path: &str) -> Vec<&'a Trace> {
        traces.iter().filter(|trace| trace.spans.iter().any(|span| span.is_of_path(path))).collect()
    }

    /// The span with that id.
    pub(super) fn span(&self, span_id: &str) -> Option<&Span> {
        self.spans.iter().find(|span| span.span_id == span_id)
    }

    /// Spans without a parent in this trace: the root, and those whose parent is missing.
    fn tops(&self) -> Vec<&Span> {
        let is_here = |span: &Span| span.parent().is_some_and(|parent| self.span(parent).is_some());
        in_time(self.spans.iter().filter(|span| !is_here(span)))
    }

    fn children(&self, parent: &Span) -> Vec<&Span> {
        in_time(self.spans.iter().filter(|span| span.parent() == Some(&parent.span_id)))
    }

    fn write_branch(
        &self,
        f: &mut fmt::Formatter<'_>,
        span: &Span,
        branch: &str,
        indent: &str,
    ) -> fmt::Result {
        let name = format!("{branch}{}", span.name);
        writeln!(f, "  {name:<32} {:<8} {:<14} {:>8.2} ms", span.kind, span.service, span.duration_ms())?;
        let children = self.children(span);
        for (index, child) in children.iter().enumerate() {
            let is_last = index + 1 == children.len();
            let (fork, deeper) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            self.write_branch(f, child, &format!("{indent}{fork}"), &format!("{indent}{deeper}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  trace {}", self.trace_id)?;
        for span in self.tops() {
            self.write_branch(f, span, "", "")?;
        }
        Ok(())
    }
}

impl Span {
    /// The id of its parent; none for a root.
    pub(super) fn parent(&self) -> Option<&str> {
        self.parent_span_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The attribute `name`, if it is there and a string.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }

    fn is_of_path(&self, path: &str) -> bool {
        self.attribute("http.url").is_some_and(|url| url.ends_with(path))
    }

    fn duration_ms(&self) -> f64 {
        Duration::from_nanos(self.end_unix_nano.saturating_sub(self.start_unix_nano)).as_secs_f64() * 1e3
    }
}

fn in_time<'a>(spans: impl Iterator<Item = &'a Span>) -> Vec<&'a Span> {
    let mut spans: Vec<&Span> = spans.collect();
    spans.sort_by_key(|span| span.start_unix_nano);
    spans
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn span(id: &str, parent: Option<&str>, start: u64) -> Value {
        json!({"span_id": id, "parent_span_id": parent, "service": "s", "name": id, "kind": "SERVER",
               "start_unix_nano": start, "end_unix_nano": start + 1_500_000})
    }

    #[test]
    fn a_tree_shows_children_below_parents_in_order_of_time() {
        let spans = [
            span("late", Some("root"), 9),
            span("leaf", Some("early"), 5),
            span("early", Some("root"), 3),
            span("root", Some(""), 1),
            span("stray", Some("elsewhere"), 2),
        ];
        let trace: Trace = serde_json::from_value(json!({"trace_id": "t", "spans": spans})).unwrap();
        let tree = trace.to_string();
        let names = tree.lines().map(|line| line.split("SERVER").next().unwrap_or(line).trim());
        let names: Vec<&str> = names.collect();
        assert_eq!(names, ["trace t", "root", "├─ early", "│  └─ leaf", "└─ late", "stray"]);
        assert!(tree.contains("1.50 ms"), "{tree}");
    }
}
