//! A list of traces, one on each line, from what `/api/traces` answers.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Deserialize;
use serde_json::Value;

use super::style::{Plain, Style};
use crate::collector::ui::{Elapsed, Moment};

/// As many traces are remembered as printed; of more only those that the collector still answers.
const REMEMBERED: usize = 10_000;

/// What a line tells of a trace.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    /// 32 hexadecimal digits.
    #[serde(rename = "traceID")]
    pub(super) id: String,
    /// Earliest first.
    spans: Vec<Span>,
    processes: HashMap<String, Process>,
    /// Why something of the trace is not here.
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Span {
    #[serde(rename = "operationName")]
    operation: String,
    references: Vec<Reference>,
    #[serde(rename = "startTime")]
    start: u64,
    duration: u64,
    tags: Vec<Tag>,
    #[serde(rename = "processID")]
    process: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    #[serde(rename = "refType")]
    kind: String,
}

#[derive(Debug, Deserialize)]
struct Tag {
    key: String,
    value: Value,
}

#[derive(Debug, Deserialize)]
struct Process {
    #[serde(rename = "serviceName")]
    service: String,
}

impl Trace {
    fn errors(&self) -> usize {
        let failed = |tag: &Tag| tag.key == "otel.status_code" && tag.value == "ERROR";
        self.spans.iter().filter(|span| span.tags.iter().any(failed)).count()
    }

    /// The first span without a parent; else the first.
    fn root(&self) -> Option<&Span> {
        let has_parent = |span: &&Span| span.references.iter().any(|reference| reference.kind == "CHILD_OF");
        self.spans.iter().find(|span| !has_parent(span)).or(self.spans.first())
    }

    /// Start and duration in microseconds.
    fn times(&self) -> (u64, u64) {
        let start = self.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let ends = self.spans.iter().map(|span| span.start.saturating_add(span.duration));
        (start, ends.max().unwrap_or_default().saturating_sub(start))
    }

    /// The line of this trace.
    pub(super) fn line(&self, style: Style) -> String {
        let (start, duration) = self.times();
        let moment = Moment(start.saturating_mul(1_000)).to_string();
        let elapsed = Elapsed(duration.saturating_mul(1_000)).to_string();
        let errors = format!("{:>6}", self.errors());
        let errors = if self.errors() > 0 { style.failed(errors) } else { style.faint(errors) };
        let (service, operation) = self.root().map_or(("", ""), |root| {
            let service = self.processes.get(&root.process).map_or("", |process| &process.service);
            (service, &root.operation)
        });
        let service = style.of_service(0, Plain(service));
        let spans = self.spans.len();
        let id = Plain(&self.id);
        let incomplete: Vec<String> =
            self.incomplete().map(|what| style.failed(format!("  ({what})"))).collect();
        let incomplete = incomplete.concat();
        format!(
            "{moment}  {elapsed:>8}  {spans:>5}  {errors}  {id}  {service}  {}{incomplete}",
            Plain(operation)
        )
    }

    /// What of the trace is not here. The reasons stand with the trace itself.
    fn incomplete(&self) -> impl Iterator<Item = Plain<'_>> {
        let warnings = self.warnings.iter().flatten();
        warnings.map(|warning| Plain(warning.split_once(':').map_or(&**warning, |(what, _)| what)))
    }
}

/// What stands above the columns.
pub(super) struct Heading(pub(super) Style);

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!(
            "{:<23}  {:>8}  {:>5}  {:>6}  {:<32}  SERVICE AND OPERATION",
            "TIME (UTC)", "DURATION", "SPANS", "ERRORS", "TRACE"
        );
        f.write_str(&self.0.faint(text))
    }
}

/// Which traces were printed, and which are still growing.
#[derive(Debug, Default)]
pub(super) struct Seen {
    printed: HashSet<String>,
    growing: HashMap<String, usize>,
}

impl Seen {
    /// `trace` is printed, or not wanted.
    pub(super) fn mark(&mut self, trace: &Trace) {
        self.printed.insert(trace.id.clone());
    }

    /// Which of `traces` are to be printed now: those that were here last time, with as many spans. What is still
    /// growing would be printed half.
    pub(super) fn ready(&mut self, traces: &[Trace]) -> Vec<bool> {
        let mut growing = HashMap::new();
        let mut ready = Vec::with_capacity(traces.len());
        for trace in traces {
            let is_new = !self.printed.contains(&trace.id);
            let is_whole = self.growing.get(&trace.id) == Some(&trace.spans.len());
            if is_new && !is_whole {
                growing.insert(trace.id.clone(), trace.spans.len());
            }
            if is_new && is_whole {
                self.mark(trace);
            }
            ready.push(is_new && is_whole);
        }
        self.growing = growing;
        if self.printed.len() > REMEMBERED {
            let here: HashSet<&str> = traces.iter().map(|trace| trace.id.as_str()).collect();
            self.printed.retain(|id| here.contains(id.as_str()));
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trace(id: &str, spans: usize) -> Trace {
        let span = |index: usize| {
            let parent = json!({"refType": "CHILD_OF", "traceID": id, "spanID": "1"});
            json!({
                "operationName": format!("step {index}"), "startTime": 1_795_155_028_096_607_u64 + index as u64,
                "references": if index == 1 { json!([]) } else { json!([parent]) }, "duration": 1_500,
                "tags": if index == 0 { json!([{"key": "otel.status_code", "value": "ERROR"}]) } else { json!([]) },
                "processID": "p1",
            })
        };
        let spans: Vec<Value> = (0..spans).map(span).collect();
        let processes = json!({"p1": {"serviceName": "sh\u{1b}op"}});
        serde_json::from_value(json!({"traceID": id, "spans": spans, "processes": processes})).unwrap()
    }

    #[test]
    fn a_line_tells_when_how_long_and_what() {
        assert_eq!(
            trace("ab", 2).line(Style::plain()),
            "2026-11-20 06:10:28.096   1.50 ms      2       1  ab  sh\u{fffd}op  step 1"
        );
    }

    #[test]
    fn a_trace_that_is_not_whole_says_so() {
        let mut large = trace("ab", 1);
        large.warnings = Some(vec!["5 spans were refused: too large".into()]);
        assert!(large.line(Style::plain()).ends_with("step 0  (5 spans were refused)"));
    }

    #[test]
    fn a_trace_is_printed_once_when_it_has_stopped_growing() {
        let mut seen = Seen::default();
        assert_eq!(seen.ready(&[trace("a", 1)]), [false]);
        assert_eq!(seen.ready(&[trace("b", 1), trace("a", 2)]), [false, false]);
        assert_eq!(seen.ready(&[trace("b", 1), trace("a", 2)]), [true, true]);
        assert_eq!(seen.ready(&[trace("b", 2), trace("a", 2)]), [false, false]);
    }
}
