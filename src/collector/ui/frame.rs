//! What stands around the content of every page.

use std::fmt::{self, Display, Formatter};

use super::{
    base::Base,
    html::{Count, Size, Text},
};
use crate::collector::store::Totals;

/// The pages that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The search.
    Search,
    /// The summary by span name.
    Tracez,
    /// The service map.
    Map,
    /// None of them.
    Elsewhere,
}

/// A whole page around `main`.
pub(super) struct Frame<'a, M> {
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// Stands in the browser's tab; not escaped yet.
    pub(super) title: &'a str,
    /// Which of the pages this is.
    pub(super) place: Place,
    /// The file of the page's script.
    pub(super) script: Option<&'static str>,
    /// What the footer tells.
    pub(super) totals: Totals,
    /// The content.
    pub(super) main: M,
}

impl<M: Display> Display for Frame<'_, M> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let base = self.base;
        // A tab has room for some words only.
        let title: String = self.title.chars().take(80).collect();
        write!(
            f,
            concat!(
                "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
                "<meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · spanway</title>\n",
                "<link rel=\"icon\" href=\"{base}/icon.svg\">\n",
                "<link rel=\"stylesheet\" href=\"{base}/style.css\">\n",
            ),
            title = Text(&title),
            base = base,
        )?;
        if let Some(script) = self.script {
            writeln!(f, "<script src=\"{base}/{script}\" defer></script>")?;
        }
        f.write_str("</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the content</a>\n")?;
        self.header(f)?;
        write!(f, "<main id=\"main\">\n{}</main>\n", self.main)?;
        self.footer(f)?;
        f.write_str("</body>\n</html>\n")
    }
}

impl<M> Frame<'_, M> {
    fn header(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (base, home) = (self.base, self.base.home());
        write!(
            f,
            "<header class=\"top\">\n<a class=\"logo\" href=\"{home}\"><b>spanway</b> traces</a>\n<nav aria-label=\"Pages\">"
        )?;
        let tracez = format!("{base}/debug/tracez");
        let map = format!("{base}/map");
        let pages = [
            (Place::Search, home, "Search"),
            (Place::Tracez, &*tracez, "Latencies"),
            (Place::Map, &*map, "Map"),
        ];
        for (place, address, name) in pages {
            let current = if place == self.place { " aria-current=\"page\"" } else { "" };
            write!(f, "<a href=\"{address}\"{current}>{name}</a>")?;
        }
        f.write_str("</nav>\n")?;
        if self.place != Place::Search {
            write!(
                f,
                concat!(
                    "<form action=\"{home}\" role=\"search\" class=\"find-trace\">",
                    "<input name=\"trace_id\" aria-label=\"Trace id\" placeholder=\"Trace id\" size=\"34\" ",
                    "maxlength=\"40\" autocomplete=\"off\" spellcheck=\"false\"><button>Open</button></form>\n",
                ),
                home = home,
            )?;
        }
        f.write_str("</header>\n")
    }

    fn footer(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Totals { traces, log_only_traces, spans, logs, bytes, .. } = self.totals;
        let Totals { limit_bytes, evicted_traces, refused_spans, .. } = self.totals;
        let (traces, spans) = (Count(traces, "trace"), Count(spans, "span"));
        write!(f, "<footer>{traces}, {spans}")?;
        if logs > 0 {
            write!(f, ", {}", Count(logs, "log record"))?;
        }
        if log_only_traces > 0 {
            // They are in no list, and counted apart for that reason.
            write!(f, " and {} of which only logs have come,", Count(log_only_traces, "trace"))?;
        }
        write!(f, " kept in {} of {}", Size(bytes), Size(limit_bytes))?;
        let Totals { received_spans, received_logs, received_points, .. } = self.totals;
        write!(f, " · received: {}", Count(usize::try_from(received_spans).unwrap_or(usize::MAX), "span"))?;
        for (count, what) in [(received_logs, "log record"), (received_points, "data point")] {
            if count > 0 {
                write!(f, ", {}", Count(usize::try_from(count).unwrap_or(usize::MAX), what))?;
            }
        }
        if evicted_traces > 0 {
            write!(f, " · {evicted_traces} older let go")?;
        }
        if refused_spans > 0 {
            write!(f, " · {refused_spans} spans of too large traces refused")?;
        }
        f.write_str("</footer>\n")
    }
}
