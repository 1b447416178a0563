//! All that a span says, below its line.

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    base::Base,
    curl::Curl,
    html::{Elapsed, Excerpt, Precise, Text, named},
};
use crate::collector::{
    attribute::{Attribute, Value},
    log::LogRecord,
    span::{Event, Link, Span},
    warning::Warning,
};

/// The opened part of a span's line.
pub(super) struct Details<'a> {
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The span.
    pub(super) span: &'a Span,
    /// Nanoseconds in which none of its children ran.
    pub(super) own_nano: u64,
    /// What is doubtful about it.
    pub(super) warnings: &'a [Warning],
    /// What was logged in it.
    pub(super) logs: &'a [&'a Arc<LogRecord>],
}

impl Display for Details<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let span = self.span;
        f.write_str("<div class=\"more\">\n")?;
        self.tools(f)?;
        for warning in self.warnings {
            writeln!(f, "<p class=\"partial\">{warning}{}.</p>", explained(*warning))?;
        }
        self.attributes(f, "Attributes", &span.attributes)?;
        self.happenings(f)?;
        for link in &span.links {
            self.link(f, link)?;
        }
        self.span_table(f)?;
        self.attributes(f, "Resource", &span.resource.attributes)?;
        f.write_str("</div>\n")
    }
}

impl Details<'_> {
    fn tools(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "<p class=\"tools\"><a href=\"#span-{0}\">Link to this span</a>", self.span.span_id)?;
        if let Some(curl) = Curl::of(self.span).map(|curl| curl.to_string()) {
            let curl = Text(&curl);
            write!(
                f,
                " <button type=\"button\" class=\"copy\">Copy as curl</button> <code class=\"curl\"><bdi>{curl}</bdi></code>"
            )?;
        }
        f.write_str("</p>\n")
    }

    /// Events and log records, as they came one after the other.
    fn happenings(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let events = self.span.events.iter().map(Happening::Event);
        let mut all: Vec<_> = events.chain(self.logs.iter().map(|log| Happening::Log(log))).collect();
        all.sort_by_key(Happening::time);
        for happening in all {
            let after = Offset { time: happening.time(), start: self.span.start_unix_nano };
            match happening {
                Happening::Event(event) => {
                    writeln!(
                        f,
                        "<h3>Event <bdi>{}</bdi> <small>{after}</small></h3>",
                        Excerpt(named(&event.name))
                    )?;
                    self.attributes(f, "", &event.attributes)?;
                }
                Happening::Log(log) => {
                    write!(f, "<h3 class=\"log\">Log {} <small>{after}</small></h3>\n<p>", Severity(log))?;
                    self.value(f, &log.body)?;
                    f.write_str("</p>\n")?;
                    self.attributes(f, "", &log.attributes)?;
                }
            }
        }
        Ok(())
    }

    fn link(&self, f: &mut Formatter<'_>, link: &Link) -> fmt::Result {
        let (base, trace, span) = (self.base, link.trace_id, link.span_id);
        writeln!(
            f,
            "<h3>Link to <a href=\"{base}/trace/{trace}#span-{span}\">span {span} of trace {trace}</a></h3>"
        )?;
        self.attributes(f, "", &link.attributes)
    }

    fn span_table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let span = self.span;
        f.write_str("<h3>Span</h3>\n<table>\n")?;
        f.write_str("<tr><th scope=\"row\">name</th><td>")?;
        self.text(f, named(&span.name))?;
        f.write_str("</td></tr>\n")?;
        row(f, "span id", span.span_id)?;
        match span.parent_span_id {
            Some(parent) => row(f, "parent", format_args!("<a href=\"#span-{parent}\">{parent}</a>"))?,
            None => row(f, "parent", "none")?,
        }
        row(f, "kind", span.kind.name())?;
        row(f, "start", format_args!("{} UTC", Precise(span.start_unix_nano)))?;
        row(f, "end", format_args!("{} UTC", Precise(span.end_unix_nano)))?;
        row(f, "duration", Elapsed(span.duration_nano()))?;
        row(f, "without its children", Elapsed(self.own_nano))?;
        row(f, "status", format_args!("{} {}", span.status_code.name(), Excerpt(&span.status_message)))?;
        row(f, "scope", format_args!("{} {}", Excerpt(&span.scope.name), Excerpt(&span.scope.version)))?;
        row(f, "trace flags", format_args!("{:02x}", span.flags & 0xff))?;
        if !span.trace_state.is_empty() {
            row(f, "tracestate", Excerpt(&span.trace_state))?;
        }
        f.write_str("</table>\n")
    }

    /// Attributes in their order below `title`. Nothing at all if there are none.
    fn attributes(&self, f: &mut Formatter<'_>, title: &str, attributes: &[Attribute]) -> fmt::Result {
        if attributes.is_empty() {
            return Ok(());
        }
        if !title.is_empty() {
            writeln!(f, "<h3>{title}</h3>")?;
        }
        f.write_str("<table>\n")?;
        for Attribute { key, value } in attributes {
            write!(f, "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>", Excerpt(key))?;
            self.value(f, value)?;
            f.write_str("</td></tr>\n")?;
        }
        f.write_str("</table>\n")
    }

    fn value(&self, f: &mut Formatter<'_>, value: &Value) -> fmt::Result {
        self.text(f, &value.to_text())
    }

    /// A text; if it is too long for a page, with a link to where it is whole.
    fn text(&self, f: &mut Formatter<'_>, text: &str) -> fmt::Result {
        let excerpt = Excerpt(text);
        write!(f, "<bdi>{excerpt}</bdi>")?;
        if excerpt.is_cut() {
            write!(
                f,
                " <a href=\"{}/trace/{}.json\">all of it in the JSON</a>",
                self.base, self.span.trace_id
            )?;
        }
        Ok(())
    }
}

/// What happened while a span ran.
enum Happening<'a> {
    Event(&'a Event),
    Log(&'a LogRecord),
}

impl Happening<'_> {
    fn time(&self) -> u64 {
        match self {
            Self::Event(event) => event.time_unix_nano,
            Self::Log(log) => log.time_unix_nano,
        }
    }
}

/// When something was, seen from the start of its span.
pub(super) struct Offset {
    /// When it was, nanoseconds since 1970.
    pub(super) time: u64,
    /// When the span began.
    pub(super) start: u64,
}

impl Display for Offset {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.time.checked_sub(self.start) {
            Some(after) => write!(f, "after {}", Elapsed(after)),
            None => write!(f, "{} before the start", Elapsed(self.start - self.time)),
        }
    }
}

/// How grave a log record is, in a colour if it is grave.
pub(super) struct Severity<'a>(pub(super) &'a LogRecord);

impl Display for Severity<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let severity = &*self.0.severity;
        let start = severity.get(..3).unwrap_or_default().to_ascii_uppercase();
        let tag = if ["ERR", "FAT", "CRI", "WAR"].contains(&&*start) { "strong" } else { "span" };
        write!(f, "<{tag}><bdi>{}</bdi></{tag}>", Excerpt(severity))
    }
}

/// What follows from a doubt, for who has not seen it before.
fn explained(warning: Warning) -> &'static str {
    match warning {
        Warning::EndsBeforeStart(_) => {
            ": its clock was set back while it ran, or its service sends wrong times; it is drawn without a duration"
        }
        Warning::MissingParent(_) => {
            ": its service does not send spans here, it was not sampled there, or it is still under way"
        }
        Warning::Circle => {
            ": somebody made up or reused a span id; the circle is drawn from its earliest span on"
        }
        Warning::StartsBeforeParent(_) | Warning::StartsAfterAnswer(_) | Warning::EndsAfterParent(_) => {
            ": the clocks of the two services differ by that much or more"
        }
        Warning::Outlasts(_) => {
            ": its parent did not wait for it, or the clocks of the two services differ. Only a SERVER below its CLIENT tells"
        }
        Warning::LeftOut(_) => {
            ": its SDK has a limit of its own (OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT and the like)"
        }
    }
}

/// `key` and `value` are HTML already.
fn row(f: &mut Formatter<'_>, key: &str, value: impl Display) -> fmt::Result {
    writeln!(f, "<tr><th scope=\"row\">{key}</th><td><bdi>{value}</bdi></td></tr>")
}
