//! `/map`: which service calls which, drawn and as a table.

use std::{
    collections::BTreeSet,
    fmt::{self, Display, Formatter},
};

use super::{
    base::Base,
    catalogue::Palette,
    drawing::{Drawing, PERCENTILES},
    html::{Count, Elapsed, Percent, Short},
};
use crate::collector::service_map::Edge;

/// Calls that the page shows: those made most often.
const EDGES: usize = 300;

/// Letters of a service that the table has room for.
const LETTERS: usize = 80;

/// The content of the page.
pub(super) struct MapPage<'a> {
    /// Who calls whom.
    pub(super) edges: &'a [Edge],
    /// What came to services from where no spans come.
    pub(super) entries: &'a [Edge],
    /// Services that neither call nor are called.
    pub(super) alone: &'a BTreeSet<String>,
    /// The time from the first span to the last, nanoseconds, by which calls become rates.
    pub(super) span_nano: u64,
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of services.
    pub(super) palette: &'a Palette,
}

impl Display for MapPage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("<section aria-labelledby=\"map\">\n<h1 id=\"map\">Service map</h1>\n")?;
        if self.edges.is_empty() {
            f.write_str("<p class=\"none\">No service has called another in the spans that are kept.</p>\n")?;
            self.others(f)?;
            if !self.entries.is_empty() {
                self.table(f, &[])?;
            }
            return f.write_str("</section>\n");
        }
        let mut shown: Vec<&Edge> = self.edges.iter().collect();
        shown.sort_by_key(|edge| std::cmp::Reverse(edge.calls));
        shown.truncate(EDGES);
        writeln!(
            f,
            "<p class=\"facts\">From the spans that are kept, which began within {}. Dashed: sends no spans itself.</p>",
            Elapsed(self.span_nano),
        )?;
        let (base, palette, span_nano, entries) = (self.base, self.palette, self.span_nano, self.entries);
        write!(
            f,
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"map\">\n{}</div>\n",
            Drawing { edges: &shown, entries, span_nano, base, palette },
        )?;
        self.others(f)?;
        self.table(f, &shown)?;
        f.write_str("</section>\n")
    }
}

impl MapPage<'_> {
    fn others(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.alone.is_empty() {
            return Ok(());
        }
        f.write_str("<p class=\"facts\">Without calls to or from others: ")?;
        for service in self.alone.iter().take(EDGES) {
            write!(
                f,
                "<a class=\"c{}\" href=\"{}\"><bdi class=\"service\">{}</bdi></a> ",
                self.palette.colour(service),
                self.base.search_for(service),
                Short(service, LETTERS),
            )?;
        }
        f.write_str("</p>\n")
    }

    /// The cell of who calls.
    fn caller(&self, edge: &Edge) -> String {
        if edge.parent.is_empty() {
            return "<td><small>none that sends spans</small></td>".to_owned();
        }
        let (colour, name) = (self.palette.colour(&edge.parent), Short(&edge.parent, LETTERS));
        format!("<td class=\"c{colour}\"><bdi class=\"service\">{name}</bdi></td>")
    }

    fn table(&self, f: &mut Formatter<'_>, edges: &[&Edge]) -> fmt::Result {
        f.write_str("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Calls\">\n<table class=\"calls\">\n<thead><tr>")?;
        for title in ["Caller", "Called", "Calls", "Rate", "Errors", "p50", "p95", "p99"] {
            write!(f, "<th scope=\"col\">{title}</th>")?;
        }
        f.write_str("</tr></thead>\n<tbody>\n")?;
        for edge in edges.iter().copied().chain(self.entries.iter().take(EDGES)) {
            let external = if edge.external { " <small>external</small>" } else { "" };
            let colour = format!(" class=\"c{}\"", self.palette.colour(&edge.child));
            let colour = if edge.external { "" } else { &colour };
            let bad = if edge.errors > 0 { " class=\"errors\"" } else { "" };
            write!(
                f,
                concat!(
                    "<tr>{}<td{}><bdi class=\"service\">{}</bdi>{external}</td><td>{}</td><td>{}</td><td{bad}>{}</td>",
                ),
                self.caller(edge),
                colour,
                Short(&edge.child, LETTERS),
                edge.calls,
                Rate { calls: edge.calls, nanoseconds: self.span_nano },
                Percent(edge.errors, edge.calls),
                external = external,
                bad = bad,
            )?;
            for percent in PERCENTILES {
                write!(f, "<td>{}</td>", Elapsed(edge.percentile_nano(percent)))?;
            }
            f.write_str("</tr>\n")?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n")
    }
}

/// Calls in a time, by the second or, if they are few, by the minute. In less than a second nothing can be said of the
/// next one: then they are counted.
pub(super) struct Rate {
    /// How many.
    pub(super) calls: u64,
    /// In which time.
    pub(super) nanoseconds: u64,
}

impl Rate {
    /// Whether the time is long enough for one.
    fn is_rate(&self) -> bool {
        self.nanoseconds >= 1_000_000_000
    }

    /// The same for where there is no room for the time, which stands above the map.
    pub(super) fn short(&self) -> Self {
        Self { calls: self.calls, nanoseconds: if self.is_rate() { self.nanoseconds } else { 0 } }
    }
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.is_rate() {
            let calls = Count(usize::try_from(self.calls).unwrap_or(usize::MAX), "call");
            let is_moment = self.nanoseconds == 0;
            return if is_moment {
                write!(f, "{calls}")
            } else {
                write!(f, "{calls} in {}", Elapsed(self.nanoseconds))
            };
        }
        let seconds = std::time::Duration::from_nanos(self.nanoseconds).as_secs_f64();
        #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
        let rate = self.calls as f64 / seconds;
        let (rate, unit) = if rate < 1.0 { (rate * 60.0, "min") } else { (rate, "s") };
        let decimals = usize::from(rate < 100.0);
        write!(f, "{rate:.decimals$}/{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(parent: &str, child: &str, errors: u64) -> Edge {
        Edge {
            parent: parent.into(),
            child: child.into(),
            external: child == "db",
            calls: 3,
            errors,
            durations_nano: vec![1_000_000, 2_000_000, 9_000_000],
        }
    }

    fn page_of(edges: &[Edge], span_nano: u64) -> String {
        let (base, palette, alone) =
            (Base::new("/t"), Palette::default(), BTreeSet::from(["idle".to_owned()]));
        let entries = [Edge { parent: "".into(), ..edge("", "front", 1) }];
        MapPage { edges, entries: &entries, alone: &alone, span_nano, base: &base, palette: &palette }
            .to_string()
    }

    fn page(edges: &[Edge]) -> String {
        page_of(edges, 6_000_000_000)
    }

    #[test]
    fn calls_within_a_moment_are_counted() {
        let calls = [edge("front", "shop", 1)];
        let page = page_of(&calls, 60_000_000);
        assert!(page.contains("<tspan x=") && page.contains(">3 calls · <tspan"), "{page}");
        assert!(page.contains("<td>3 calls in 60.0 ms</td>") && !page.contains("/min"), "{page}");
        assert!(page_of(&calls, 0).contains("<td>3 calls</td>"));
    }

    #[test]
    fn failures_of_a_service_that_nobody_calls_are_shown() {
        let page = page(&[edge("front", "shop", 0)]);
        assert!(page.contains("<text class=\"failed\""), "{page}");
        assert!(
            page.contains(
                ">33 % err</text><title>front: of 3 calls from where no spans come, 33 % failed</title>"
            ),
            "{page}"
        );
        assert!(page.contains("<td><small>none that sends spans</small></td>"), "{page}");
        let alone = self::page(&[]);
        assert!(alone.contains("<td class=\"errors\">33 %</td>"), "{alone}");
    }

    #[test]
    fn each_call_is_drawn_and_stands_in_the_table() {
        let page = page(&[edge("front", "shop", 1), edge("shop", "db", 0), edge("shop", "front", 0)]);
        assert_eq!(page.matches("marker-end").count(), 3);
        assert_eq!(page.matches("<text class=\"rate\"").count(), 3, "each arrow has its label: {page}");
        let failing = "30.0/min · <tspan class=\"bad\">33 % err</tspan>";
        assert!(page.contains(failing), "{page}");
        for line in ["p50 2.00 ms</tspan>", "p95 9.00 ms</tspan>", "p99 9.00 ms</tspan>"] {
            assert_eq!(page.matches(line).count(), 3, "{line}: {page}");
        }
        assert!(
            page.contains("<td class=\"errors\">33 %</td><td>2.00 ms</td><td>9.00 ms</td><td>9.00 ms</td>"),
            "{page}"
        );
        assert!(
            page.contains("30.0/min")
                && page.contains("<g class=\"external\">")
                && page.contains("/t?service=idle")
        );
    }

    #[test]
    fn names_of_services_are_harmless() {
        let page = page(&[edge("<script>", "\"><script>", 0)]);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
    }

    #[test]
    fn without_calls_it_says_so() {
        assert!(page(&[]).contains("No service has called another"));
    }
}
