//! The log records of a trace that belong to none of its spans.

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    catalogue::Palette,
    details::{Offset, Severity},
    html::{Excerpt, Precise, Short},
    waterfall::LINES_DRAWN,
};
use crate::collector::{log::LogRecord, store::Trace};

/// Letters of a service that a line has room for.
const LETTERS: usize = 120;

/// What was logged in the trace, but in no span that is here; nothing if there is nothing.
pub(super) struct OtherLogs<'a> {
    /// What is shown.
    pub(super) trace: &'a Trace,
    /// The colours of its services.
    pub(super) palette: &'a Palette,
}

impl Display for OtherLogs<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_elsewhere =
            |log: &&Arc<LogRecord>| log.span_id.is_none_or(|id| !self.trace.spans.contains_key(&id));
        let mut logs: Vec<_> = self.trace.logs.iter().filter(is_elsewhere).collect();
        if logs.is_empty() {
            return Ok(());
        }
        logs.sort_by_key(|log| log.time_unix_nano);
        let title = if self.trace.root.is_some() { "Logs outside of these spans" } else { "Logs" };
        writeln!(f, "<h2>{title}</h2>\n<ul class=\"logs\">")?;
        for log in logs.into_iter().take(LINES_DRAWN) {
            write!(f, "<li class=\"c{}\"><small>", self.palette.colour(&log.resource.service))?;
            match self.trace.root {
                Some(_) => {
                    write!(f, "{}", Offset { time: log.time_unix_nano, start: self.trace.start_unix_nano })?
                }
                None => write!(f, "{} UTC", Precise(log.time_unix_nano))?,
            }
            writeln!(
                f,
                "</small> <bdi class=\"service\">{}</bdi> {} <bdi>{}</bdi></li>",
                Short(&log.resource.service, LETTERS),
                Severity(log),
                Excerpt(&log.body.to_text()),
            )?;
        }
        f.write_str("</ul>\n")
    }
}
