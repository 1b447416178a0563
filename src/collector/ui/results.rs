//! The traces that a search found, as a table. The script asks for it again when something new comes.

use std::{
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    base::Base,
    catalogue::Palette,
    html::{Elapsed, Moment, Short, Text, named},
};
use crate::collector::store::Trace;

/// How many traces are listed, the newest, unless the search says how many. A page with more is not read to its end.
pub(super) const LISTED: usize = 100;

/// Letters of a service or a name that a row has room for.
const LETTERS: usize = 80;

/// Services that a row names.
const SERVICES_NAMED: usize = 6;

/// The table.
pub(super) struct Results<'a> {
    /// Newest first.
    pub(super) traces: &'a [Arc<Trace>],
    /// How many there may be.
    pub(super) limit: usize,
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of services.
    pub(super) palette: &'a Palette,
}

impl Display for Results<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let traces = self.traces;
        let count = traces.len();
        let newest = if count >= self.limit { "the newest " } else { "" };
        let noun = if count == 1 { "trace" } else { "traces" };
        writeln!(f, "<p class=\"count\" id=\"count\">{newest}{count} {noun}</p>")?;
        if traces.is_empty() {
            return f.write_str("<p class=\"none\">No trace has all of this. Leave a field empty, or wait: new ones appear here.</p>\n");
        }
        f.write_str(concat!(
            "<table class=\"results\">\n<thead><tr><th scope=\"col\">Time <small>UTC</small></th><th scope=\"col\">Trace</th>",
            "<th scope=\"col\">Services</th><th scope=\"col\">Spans</th><th scope=\"col\">Duration</th></tr></thead>\n<tbody>\n",
        ))?;
        let longest = traces.iter().map(|trace| trace.duration_nano()).max().unwrap_or_default();
        for trace in traces {
            self.row(f, trace, longest)?;
        }
        f.write_str("</tbody>\n</table>\n")
    }
}

impl Results<'_> {
    fn row(&self, f: &mut Formatter<'_>, trace: &Trace, longest: u64) -> fmt::Result {
        let Some(root) = &trace.root else { return Ok(()) };
        let (base, id) = (self.base, trace.trace_id);
        let bad = if trace.errors > 0 { " class=\"bad\"" } else { "" };
        let moment = Moment(trace.start_unix_nano).to_string();
        let (date, time) = moment.split_once(' ').unwrap_or_default();
        write!(
            f,
            concat!(
                "<tr data-trace=\"{id}\"{bad}><td class=\"time\"><time><small>{date}</small> {time}</time></td>",
                "<td class=\"root\"><a href=\"{base}/trace/{id}\"><bdi class=\"service c{colour}\">{service}</bdi> ",
                "<bdi class=\"name\">{name}</bdi></a></td><td class=\"services\">",
            ),
            id = id,
            bad = bad,
            date = date,
            time = time,
            base = base,
            colour = self.palette.colour(&root.resource.service),
            service = Short(&root.resource.service, LETTERS),
            name = Short(named(&root.name), LETTERS),
        )?;
        self.services(f, trace)?;
        write!(f, "</td><td class=\"size\">{}<span class=\"unit\"> spans</span>", trace.spans.len())?;
        if trace.errors > 0 {
            let noun = if trace.errors == 1 { "error" } else { "errors" };
            write!(f, " <strong class=\"mark\">{} {noun}</strong>", trace.errors)?;
        }
        let missing = trace.passed_over.summary();
        if !missing.is_empty() {
            let why = trace.passed_over.sentences().join("; ");
            write!(f, " <em class=\"partial\" title=\"{}\">{missing}</em>", Text(&why))?;
        }
        let duration = trace.duration_nano();
        let share = u128::from(duration) * 1_000 / u128::from(longest.max(1));
        writeln!(
            f,
            concat!(
                "</td><td class=\"took\"><span>{}</span><svg viewBox=\"0 0 1000 10\" preserveAspectRatio=\"none\" ",
                "aria-hidden=\"true\"><rect width=\"{}\" height=\"10\"/></svg></td></tr>",
            ),
            Elapsed(duration),
            share.max(4),
        )
    }

    fn services(&self, f: &mut Formatter<'_>, trace: &Trace) -> fmt::Result {
        let services = trace.services();
        for service in services.keys().take(SERVICES_NAMED) {
            write!(
                f,
                "<bdi class=\"chip c{}\">{}</bdi> ",
                self.palette.colour(service),
                Short(service, LETTERS),
            )?;
        }
        match services.len().saturating_sub(SERVICES_NAMED) {
            0 => Ok(()),
            more => write!(f, "<small>and {more} more</small>"),
        }
    }
}
