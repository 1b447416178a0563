//! `/trace/<id>`: one trace, and what is said if it is not there.

use std::fmt::{self, Display, Formatter};

use super::{
    base::Base,
    catalogue::Palette,
    html::{Count, Elapsed, Moment, Short, Text, named},
    other_logs::OtherLogs,
    waterfall::Waterfall,
};
use crate::collector::{span::TraceId, store::Trace};

/// Letters of a name that a heading has room for.
const LETTERS: usize = 160;

/// The content of the page.
pub(super) struct TracePage<'a> {
    /// What is shown.
    pub(super) trace: &'a Trace,
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of its services.
    pub(super) palette: &'a Palette,
}

impl Display for TracePage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { trace, base, palette } = self;
        f.write_str("<section class=\"trace\" aria-labelledby=\"title\">\n")?;
        if trace.root.is_none() {
            self.heading_of_logs(f)?;
            self.late(f)?;
            return writeln!(f, "{}</section>", OtherLogs { trace, palette });
        }
        self.heading(f)?;
        self.services(f)?;
        self.tools(f)?;
        self.late(f)?;
        write!(f, "{}{}</section>\n{HELP}", Waterfall { trace, base, palette }, OtherLogs { trace, palette })
    }
}

impl TracePage<'_> {
    fn heading(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let trace = self.trace;
        let Some(root) = &trace.root else { return Ok(()) };
        let (service, name) = (&root.resource.service, named(&root.name));
        writeln!(
            f,
            "<h1 id=\"title\"><bdi class=\"service c{}\">{}</bdi> <bdi>{}</bdi> <small>{}</small></h1>",
            self.palette.colour(service),
            Short(service, LETTERS),
            Short(name, LETTERS),
            Elapsed(trace.duration_nano()),
        )?;
        write!(
            f,
            "<p class=\"facts\"><time>{} UTC</time> · {}",
            Moment(trace.start_unix_nano),
            Count(trace.spans.len(), "span")
        )?;
        if trace.errors > 0 {
            write!(f, " · <strong>{}</strong>", Count(trace.errors, "error"))?;
        }
        let (base, id) = (self.base, trace.trace_id);
        writeln!(
            f,
            " · <code class=\"id\">{id}</code> · <a href=\"{base}/trace/{id}.json\">OTLP JSON</a></p>"
        )?;
        self.missing(f)
    }

    /// What stands above log records without a span.
    fn heading_of_logs(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (base, id) = (self.base, self.trace.trace_id);
        writeln!(
            f,
            concat!(
                "<h1 id=\"title\">Logs of trace <code>{id}</code></h1>\n<p class=\"facts\">{logs} · ",
                "<a href=\"{base}/trace/{id}.json\">OTLP JSON</a></p>\n<p class=\"partial\">No span of this trace has ",
                "come yet. Exporters send spans when they end, in batches: load this page again in some seconds. If none ",
                "comes, the trace was not sampled, or its spans are sent elsewhere.</p>",
            ),
            id = id,
            base = base,
            logs = Count(self.trace.logs.len(), "log record"),
        )?;
        self.missing(f)
    }

    fn missing(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for sentence in self.trace.passed_over.sentences() {
            writeln!(f, "<p class=\"partial\">{}.</p>", Text(&sentence))?;
        }
        Ok(())
    }

    /// Where the script says that more has come.
    fn late(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (base, id, spans) = (self.base, self.trace.trace_id, self.trace.spans.len());
        writeln!(
            f,
            "<p class=\"late\" id=\"late\" role=\"status\" data-live=\"{base}/live?trace_id={id}\" data-spans=\"{spans}\"></p>"
        )
    }

    fn services(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<ul class=\"chips\" aria-label=\"Services\">\n")?;
        for (service, spans) in self.trace.services() {
            writeln!(
                f,
                "<li class=\"c{}\"><a href=\"{}\"><bdi class=\"service\">{}</bdi> <small>{spans}</small></a></li>",
                self.palette.colour(service),
                self.base.search_for(service),
                Short(service, LETTERS),
            )?;
        }
        f.write_str("</ul>\n")
    }

    fn tools(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(TOOLS)
    }
}

/// What the script does for the page, which goes without; and what the signs of the bars mean.
const TOOLS: &str = concat!(
    "<div class=\"bar-tools\">\n<div class=\"scripted\" hidden>",
    "<input id=\"find\" type=\"search\" aria-label=\"Find in the spans\" placeholder=\"Find in the spans\" autocomplete=\"off\" spellcheck=\"false\">",
    "<output id=\"found\"></output>",
    "<button type=\"button\" id=\"collapse\">Collapse all</button><button type=\"button\" id=\"expand\">Expand all</button>",
    "<button type=\"button\" id=\"help-button\" aria-label=\"Keyboard help\">?</button></div>\n",
    "<p class=\"legend\"><svg viewBox=\"0 0 24 10\" aria-hidden=\"true\"><rect y=\"2\" width=\"24\" height=\"6\"/>",
    "<path class=\"own\" d=\"M0 2H24V8H0z\"/></svg> own time ",
    "<svg viewBox=\"0 0 24 10\" aria-hidden=\"true\"><rect y=\"2\" width=\"24\" height=\"6\"/></svg> waits for a child ",
    "<svg viewBox=\"0 0 24 10\" aria-hidden=\"true\"><path class=\"critical\" d=\"M0 9H24\"/></svg> critical path ",
    "<svg viewBox=\"0 0 24 10\" aria-hidden=\"true\"><path class=\"moment\" d=\"M12 0V10\"/></svg> event or log</p>\n</div>\n",
);

/// Shown by the question mark.
const HELP: &str = concat!(
    "<dialog id=\"help\" aria-labelledby=\"help-title\">\n<h2 id=\"help-title\">Keys</h2>\n<dl>",
    "<dt><kbd>↓</kbd> <kbd>j</kbd></dt><dd>next span</dd><dt><kbd>↑</kbd> <kbd>k</kbd></dt><dd>previous span</dd>",
    "<dt><kbd>→</kbd> <kbd>l</kbd></dt><dd>expand, then the first child</dd>",
    "<dt><kbd>←</kbd> <kbd>h</kbd></dt><dd>collapse, then the parent</dd>",
    "<dt><kbd>Enter</kbd> <kbd>Space</kbd></dt><dd>open or close the details</dd>",
    "<dt><kbd>Home</kbd> <kbd>End</kbd></dt><dd>first and last span</dd>",
    "<dt><kbd>n</kbd></dt><dd>next error</dd>",
    "<dt><kbd>c</kbd> <kbd>e</kbd></dt><dd>collapse all, expand all</dd>",
    "<dt><kbd>/</kbd></dt><dd>find in the spans; Enter leads from one to the next</dd>",
    "<dt><kbd>?</kbd></dt><dd>this help</dd></dl>\n",
    "<form method=\"dialog\"><button>Close</button></form>\n</dialog>\n",
);

/// The content of the page about a trace that is not there.
pub(super) struct NoTrace<'a> {
    /// What stands in the address; no trace id, maybe.
    pub(super) wanted: &'a str,
    /// Where the pages are.
    pub(super) base: &'a Base,
}

impl Display for NoTrace<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let what_to_do = if TraceId::from_hex(self.wanted).is_some() {
            concat!(
                "It has not come yet, or it was let go to make room for newer ones. Exporters send in batches: load ",
                "this page again in some seconds. To keep more traces, start the collector with a larger ",
                "<code>--store-bytes</code>.",
            )
        } else {
            "A trace id has 32 hexadecimal digits, not all zero. Check that all of it was copied."
        };
        write!(
            f,
            concat!(
                "<section class=\"empty\">\n<h1>No trace <code><bdi>{wanted}</bdi></code></h1>\n<p>{what_to_do}</p>\n",
                "<p><a href=\"{home}\">See the newest traces</a></p>\n</section>\n",
            ),
            wanted = Short(self.wanted, LETTERS),
            what_to_do = what_to_do,
            home = self.base.home(),
        )
    }
}
