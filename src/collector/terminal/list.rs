//! A list of traces, one on each line, from what `/api/traces` answers.

use std::{
    collections::{HashMap, HashSet},
    fmt,
};

use serde::Deserialize;
use serde_json::Value;

use super::style::{Plain, Style, cut};
use crate::collector::ui::{Elapsed, Moment, named};

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

    /// The line of this trace, `width` columns wide at most.
    pub(super) fn line(&self, style: Style, width: Option<usize>) -> String {
        let (start, duration) = self.times();
        let moment = Moment(start.saturating_mul(1_000)).to_string();
        let elapsed = Elapsed(duration.saturating_mul(1_000)).to_string();
        let errors = format!("{:>6}", self.errors());
        let errors = if self.errors() > 0 { style.failed(errors) } else { style.faint(errors) };
        let (service, operation) = self.root().map_or(("", ""), |root| {
            let service = self.processes.get(&root.process).map_or("", |process| &process.service);
            (service, named(&root.operation))
        });
        let (service, operation) = (Plain(service).to_string(), Plain(operation).to_string());
        let incomplete: String = self.incomplete().map(|what| format!("  ({what})")).collect();
        let columns = Columns(width);
        let (service, operation) = columns.names(service, operation, incomplete.chars().count());
        let (service, incomplete) = (style.of_service(0, service), style.failed_if_any(incomplete));
        let (time, spans) = (columns.time(&moment), columns.spans(&self.spans.len().to_string()));
        format!(
            "{time}  {elapsed:>8}{spans}  {errors}  {}  {service}  {operation}{incomplete}",
            Plain(&self.id)
        )
    }

    /// What of the trace is not here. The reasons stand with the trace itself.
    fn incomplete(&self) -> impl Iterator<Item = Plain<'_>> {
        let warnings = self.warnings.iter().flatten();
        warnings.map(|warning| Plain(warning.split_once(':').map_or(&**warning, |(what, _)| what)))
    }
}

/// Terminals with fewer columns get neither the date nor the number of spans.
const NARROW: usize = 110;
/// What stands before the names: time, duration, spans, errors, trace id.
const BEFORE_NAMES: usize = 23 + 10 + 7 + 8 + 34 + 2;
/// What a narrow terminal goes without.
const NOT_IN_NARROW: usize = 11 + 7;
/// Names are not cut shorter.
const SHORTEST_NAMES: usize = 24;

/// What has room in a line of so many columns.
#[derive(Debug, Clone, Copy)]
struct Columns(Option<usize>);

impl Columns {
    fn is_narrow(self) -> bool {
        self.0.is_some_and(|width| width < NARROW)
    }

    /// The time, and its date where there is room.
    fn time(self, moment: &str) -> &str {
        moment.split_once(' ').map_or(moment, |(_, time)| if self.is_narrow() { time } else { moment })
    }

    /// The column of the number of spans.
    fn spans(self, text: &str) -> String {
        if self.is_narrow() { String::new() } else { format!("  {text:>5}") }
    }

    /// A service and an operation that share what is left of a line before `more` columns.
    fn names(self, service: String, operation: String, more: usize) -> (String, String) {
        let Some(width) = self.0 else { return (service, operation) };
        let before = if self.is_narrow() { BEFORE_NAMES - NOT_IN_NARROW } else { BEFORE_NAMES };
        let room = width.saturating_sub(before + 2 + more).max(SHORTEST_NAMES - 2);
        let length = |text: &str| text.chars().count();
        let of_service = length(&service).min(room.saturating_sub(length(&operation)).max(room / 2));
        (cut(&service, of_service), cut(&operation, room - of_service))
    }
}

/// What stands above the columns.
pub(super) struct Heading {
    /// Colours or not.
    pub(super) style: Style,
    /// How many columns a line may have.
    pub(super) width: Option<usize>,
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = Columns(self.width);
        let (time, spans) = (
            if columns.is_narrow() { "TIME (UTC)  " } else { "TIME (UTC)             " },
            columns.spans("SPANS"),
        );
        let text = format!(
            "{time}  {:>8}{spans}  {:>6}  {:<32}  SERVICE AND OPERATION",
            "DURATION", "ERRORS", "TRACE"
        );
        f.write_str(&self.style.faint(text))
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

    /// Whether `trace` was there before.
    pub(super) fn knows(&self, trace: &Trace) -> bool {
        self.printed.contains(&trace.id) || self.growing.contains_key(&trace.id)
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
            trace("ab", 2).line(Style::plain(), None),
            "2026-11-20 06:10:28.096   1.50 ms      2       1  ab  sh\u{fffd}op  step 1"
        );
    }

    #[test]
    fn a_name_that_is_empty_is_told() {
        let mut trace = trace("ab", 1);
        trace.spans[0].operation = String::new();
        assert!(trace.line(Style::plain(), None).ends_with("  (no name)"));
    }

    #[test]
    fn names_are_cut_to_the_terminal() {
        let mut long = trace("0123456789abcdef0123456789abcdef", 1);
        long.spans[0].operation = "an operation with a rather long name".repeat(4);
        long.processes.get_mut("p1").unwrap().service = "a-service-with-a-rather-long-name".repeat(4);
        for width in [90, 100, 120, 200] {
            let lines = [
                long.line(Style::plain(), Some(width)),
                trace(&long.id, 1).line(Style::plain(), Some(width)),
            ];
            assert_eq!(lines[0].chars().count(), width, "{}", lines[0]);
            assert!(lines[0].ends_with('…') && lines[0].contains("a-service") && lines[0].contains(&long.id));
            assert!(lines[1].ends_with("step 0"), "{}", lines[1]);
            let heading = Heading { style: Style::plain(), width: Some(width) }.to_string();
            let at = |line: &str, part: &str| line.split_once(part).unwrap().0.chars().count();
            assert_eq!(at(&heading, "TRACE"), at(&lines[0], &long.id));
        }
    }

    #[test]
    fn a_trace_that_is_not_whole_says_so() {
        let mut large = trace("ab", 1);
        large.warnings = Some(vec!["5 spans were refused: too large".into()]);
        assert!(large.line(Style::plain(), None).ends_with("step 0  (5 spans were refused)"));
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
