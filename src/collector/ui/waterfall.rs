//! One trace as a waterfall: a line for each span, under its parent, with a bar that shows when it ran.

use std::{
    collections::HashMap,
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    bar::{Axis, Bar, Grid, Window},
    base::Base,
    catalogue::Palette,
    details::Details,
    html::{Count, Elapsed, Short, named},
    shape::{self, Line},
};
use crate::collector::{
    log::LogRecord,
    span::{Span, SpanId, StatusCode},
    store::Trace,
    tree::Node,
    warning::Warning,
};

/// Lines that a page draws; what is beyond is counted and left to the JSON.
pub(super) const LINES_DRAWN: usize = 5_000;

/// The deepest indentation that the style has; what hangs deeper is not moved further.
const DEEPEST_INDENT: usize = 16;

/// Letters of a service or a name that a line has room for; the whole stands in the details.
const LETTERS: usize = 120;

/// The lines of a trace below their axis.
pub(super) struct Waterfall<'a> {
    /// What is drawn.
    pub(super) trace: &'a Trace,
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of its services.
    pub(super) palette: &'a Palette,
}

impl Display for Waterfall<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let window = Window::of(self.trace);
        let lines = shape::lines(self.trace);
        let logs = self.logs();
        write!(f, "{}", Grid(window))?;
        writeln!(
            f,
            "<div class=\"head\"><span>Service and operation</span><span class=\"kind\">Kind</span>{}<span class=\"duration\">Duration</span></div>",
            Axis(window),
        )?;
        f.write_str("<ol class=\"spans\" id=\"spans\" aria-label=\"Spans of the trace\">\n")?;
        for line in lines.iter().take(LINES_DRAWN) {
            match line.row.node {
                Node::Span(span) => {
                    let logs = logs.get(&span.span_id).map_or(&[][..], Vec::as_slice);
                    self.span(f, line, span, logs, window)?;
                }
                Node::MissingParent(id) => missing_parent(f, line, id)?,
            }
        }
        f.write_str("</ol>\n")?;
        if let more @ 1.. = lines.len().saturating_sub(LINES_DRAWN) {
            let (base, id) = (self.base, self.trace.trace_id);
            let more = Count(more, "more line");
            writeln!(f, "<p class=\"note\">{more}: <a href=\"{base}/trace/{id}.json\">all as JSON</a></p>")?;
        }
        Ok(())
    }
}

impl Waterfall<'_> {
    /// The log records of each span.
    fn logs(&self) -> HashMap<SpanId, Vec<&Arc<LogRecord>>> {
        let mut logs: HashMap<SpanId, Vec<&Arc<LogRecord>>> = HashMap::new();
        for log in &self.trace.logs {
            if let Some(id) = log.span_id {
                logs.entry(id).or_default().push(log);
            }
        }
        logs
    }

    fn span(
        &self,
        f: &mut Formatter<'_>,
        line: &Line<'_>,
        span: &Span,
        logs: &[&Arc<LogRecord>],
        window: Window,
    ) -> fmt::Result {
        let mut moments: Vec<u64> = span.events.iter().map(|event| event.time_unix_nano).collect();
        moments.extend(logs.iter().map(|log| log.time_unix_nano));
        let failed = if span.status_code == StatusCode::Error { " bad" } else { "" };
        write!(
            f,
            concat!(
                "<li id=\"span-{id}\" class=\"d{depth} c{colour}{failed}\" data-depth=\"{level}\" data-below=\"{below}\">",
                "<details><summary><span class=\"what\"><bdi class=\"service\">{service}</bdi> ",
                "<bdi class=\"name\">{name}</bdi> <span class=\"marks\">{marks}</span></span> ",
                "<span class=\"kind\">{kind}</span> {bar} <span class=\"duration\">{duration}</span></summary>\n",
                "{details}</details></li>\n",
            ),
            id = span.span_id,
            depth = line.row.depth.min(DEEPEST_INDENT),
            colour = self.palette.colour(&span.resource.service),
            failed = failed,
            level = line.row.depth,
            below = line.below,
            service = Short(&span.resource.service, LETTERS),
            name = Short(named(&span.name), LETTERS),
            marks = Marks { span, line, logs },
            kind = span.kind.name(),
            bar = Bar {
                window,
                time: (span.start_unix_nano, span.end_unix_nano),
                waiting: &line.waiting,
                critical: &line.critical,
                moments: &moments,
            },
            duration = Elapsed(span.duration_nano()),
            details = Details {
                base: self.base,
                span,
                own_nano: shape::own_nano(span, &line.waiting),
                warnings: &line.warnings,
                logs,
            },
        )
    }
}

/// What should catch the eye: failure, repetition, and the proxy's word for it.
struct Marks<'a> {
    span: &'a Span,
    line: &'a Line<'a>,
    logs: &'a [&'a Arc<LogRecord>],
}

impl Display for Marks<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { span, line, logs } = self;
        let code =
            ["http.status_code", "http.response.status_code"].into_iter().find_map(|key| span.attribute(key));
        let code = code.filter(|code| code.starts_with(['4', '5']));
        match (span.status_code, code) {
            (StatusCode::Error, Some(code)) => write!(f, "<strong>ERROR {}</strong>", Short(&code, 12))?,
            (StatusCode::Error, None) => f.write_str("<strong>ERROR</strong>")?,
            (_, Some(code)) => write!(f, "<strong title=\"HTTP status\">{}</strong>", Short(&code, 12))?,
            (StatusCode::Ok, None) => f.write_str("<b>OK</b>")?,
            (StatusCode::Unset, None) => {}
        }
        if let Some(flags) =
            span.text_attribute("response_flags").filter(|flags| *flags != "-" && !flags.is_empty())
        {
            write!(f, "<strong title=\"response_flags\">{}</strong>", Short(flags, 24))?;
        }
        if let Some(times) = span.retries() {
            write!(f, "<i title=\"How often the request was sent again\">retry {}</i>", Short(&times, 12))?;
        }
        // That a parent is missing says the line above.
        let doubts = line.warnings.iter().filter(|warning| !matches!(warning, Warning::MissingParent(_)));
        for warning in doubts {
            write!(f, "<em class=\"skew\" title=\"{warning}\">{}</em>", warning.mark())?;
        }
        if !logs.is_empty() {
            write!(f, "<em>{}</em>", Count(logs.len(), "log"))?;
        }
        if line.errors_below > 0 {
            write!(f, "<u class=\"hidden-errors\">{} below</u>", Count(line.errors_below, "error"))?;
        }
        Ok(())
    }
}

fn missing_parent(f: &mut Formatter<'_>, line: &Line<'_>, id: SpanId) -> fmt::Result {
    writeln!(
        f,
        concat!(
            "<li id=\"span-{id}\" class=\"d0 missing\" data-depth=\"0\" data-below=\"{below}\">",
            "parent <code>{id}</code> is missing: not received, or not yet</li>",
        ),
        id = id,
        below = line.below,
    )
}
