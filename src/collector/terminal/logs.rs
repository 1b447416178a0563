//! The log records of a trace, one on each line.

use std::fmt::{self, Display, Formatter};

use super::style::{NARROWEST_TEXT, Plain, Style, cut, wrapped};
use crate::collector::{
    log::LogRecord,
    store::Trace,
    ui::{Elapsed, named},
};

/// The columns before a text that stands below its line.
const INDENT: usize = 11;

/// What was logged in a trace, earliest first; nothing if there is nothing.
pub(super) struct Logs<'a> {
    pub(super) trace: &'a Trace,
    pub(super) style: Style,
    /// How many columns a line may have.
    pub(super) width: Option<usize>,
}

impl Display for Logs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut logs: Vec<&LogRecord> = self.trace.logs.iter().map(AsRef::as_ref).collect();
        if logs.is_empty() {
            return Ok(());
        }
        logs.sort_by_key(|log| log.time_unix_nano);
        writeln!(f, "\n{}", self.style.faint("LOGS"))?;
        // Without a span there is no start that all could be seen from.
        let first = logs.first().map_or(0, |log| log.time_unix_nano);
        let start = if self.trace.root.is_some() { self.trace.start_unix_nano } else { first };
        for log in logs {
            self.record(f, log, start)?;
        }
        Ok(())
    }
}

impl Logs<'_> {
    /// A line, or, if that is too long, what was said below the rest.
    fn record(&self, f: &mut Formatter<'_>, log: &LogRecord, start: u64) -> fmt::Result {
        let after = match log.time_unix_nano.checked_sub(start) {
            Some(after) => format!("+{}", Elapsed(after)),
            None => format!("-{}", Elapsed(start - log.time_unix_nano)),
        };
        let span = log.span_id.and_then(|id| self.trace.spans.get(&id));
        let span = span.map_or_else(String::new, |span| format!(" {}", Plain(named(&span.name))));
        let head = format!("{after:>9}  {}  {}{span}", Plain(&log.severity), Plain(&log.resource.service));
        let body = Plain(&log.body.to_text()).to_string();
        match self.width {
            Some(width) if head.chars().count() + 2 + body.chars().count() > width => {
                writeln!(f, "{}", cut(&head, width))?;
                let lines = wrapped(&body, width.saturating_sub(INDENT).max(NARROWEST_TEXT));
                lines.iter().try_for_each(|line| writeln!(f, "{:INDENT$}{line}", ""))
            }
            _ => writeln!(f, "{head}  {body}"),
        }
    }
}
