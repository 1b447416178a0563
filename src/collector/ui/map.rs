//! `/map`: which service calls which, drawn and as a table.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use super::{
    base::Base,
    catalogue::Palette,
    html::{Elapsed, Percent, Short},
    layers::layers,
};
use crate::collector::service_map::Edge;

/// Calls that the page shows: those made most often.
const EDGES: usize = 300;

/// Letters of a service that a box has room for, and that the table has room for.
const BOX_LETTERS: usize = 17;
const LETTERS: usize = 80;

/// The size of a box and the space between boxes.
const BOX: (usize, usize) = (148, 44);
const GAP: (usize, usize) = (104, 36);
const MARGIN: usize = 12;

/// The content of the page.
pub(super) struct MapPage<'a> {
    /// Who calls whom.
    pub(super) edges: &'a [Edge],
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
        self.drawing(f, &shown)?;
        self.others(f)?;
        self.table(f, &shown)?;
        f.write_str("</section>\n")
    }
}

impl MapPage<'_> {
    fn drawing(&self, f: &mut Formatter<'_>, edges: &[&Edge]) -> fmt::Result {
        let pairs: Vec<(&str, &str)> = edges.iter().map(|edge| (&*edge.parent, &*edge.child)).collect();
        let layers = layers(&pairs);
        let rows = layers.iter().map(Vec::len).max().unwrap_or_default();
        let width = layers.len() * (BOX.0 + GAP.0) - GAP.0 + 2 * MARGIN;
        let height = rows * (BOX.1 + GAP.1) - GAP.1 + 2 * MARGIN;
        let mut places = BTreeMap::new();
        for (column, layer) in layers.iter().enumerate() {
            let top = (rows - layer.len()) * (BOX.1 + GAP.1) / 2 + MARGIN;
            for (row, name) in layer.iter().enumerate() {
                places.insert(*name, (MARGIN + column * (BOX.0 + GAP.0), top + row * (BOX.1 + GAP.1)));
            }
        }
        writeln!(
            f,
            concat!(
                "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"map\">\n",
                "<svg class=\"map\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" ",
                "aria-label=\"Who calls whom; the table below says the same\">\n<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" ",
                "refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">",
                "<path d=\"M0 0L8 4L0 8z\"/></marker></defs>",
            ),
            width = width,
            height = height,
        )?;
        for edge in edges {
            if let (Some(from), Some(to)) = (places.get(&*edge.parent), places.get(&*edge.child)) {
                self.arrow(f, edge, *from, *to)?;
            }
        }
        let external: BTreeSet<&str> =
            edges.iter().filter(|edge| edge.external).map(|edge| &*edge.child).collect();
        let own: BTreeSet<&str> =
            edges.iter().filter(|edge| !edge.external).map(|edge| &*edge.child).collect();
        let callers: BTreeSet<&str> = edges.iter().map(|edge| &*edge.parent).collect();
        for (name, place) in &places {
            let is_external = external.contains(name) && !own.contains(name) && !callers.contains(name);
            self.service(f, name, *place, is_external)?;
        }
        f.write_str("</svg>\n</div>\n")
    }

    fn arrow(
        &self,
        f: &mut Formatter<'_>,
        edge: &Edge,
        from: (usize, usize),
        to: (usize, usize),
    ) -> fmt::Result {
        let bad = if edge.errors > 0 { " bad" } else { "" };
        let (start, end) = ((from.0 + BOX.0, from.1 + BOX.1 / 2), (to.0, to.1 + BOX.1 / 2));
        // The line gets thicker with each power of ten.
        let thickness = 1 + edge.calls.max(1).ilog10();
        write!(
            f,
            "<path class=\"arrow{bad}\" stroke-width=\"{thickness}\" marker-end=\"url(#tip)\" d=\"M{} {}",
            start.0, start.1
        )?;
        let label = if end.0 > start.0 {
            let bend = (end.0 - start.0) / 2;
            write!(f, "C{} {} {} {} {} {}\"/>", start.0 + bend, start.1, end.0 - bend, end.1, end.0, end.1)?;
            // In the gap before the called one, where the line is its own.
            (end.0 - GAP.0 / 2, (start.1 + end.1 * 3) / 4)
        } else {
            // Back, around the boxes from below.
            let below = from.1.max(to.1) + BOX.1 + GAP.1 / 2;
            write!(
                f,
                "C{} {below} {} {below} {} {}\"/>",
                start.0 + GAP.0 / 2,
                end.0.saturating_sub(GAP.0 / 2),
                end.0,
                end.1
            )?;
            ((start.0 + end.0) / 2, below)
        };
        self.label(f, edge, label)
    }

    /// The rate above the line; below it the 95th percentile, or how many failed, which says more.
    fn label(&self, f: &mut Formatter<'_>, edge: &Edge, (x, y): (usize, usize)) -> fmt::Result {
        let rate = Rate { calls: edge.calls, nanoseconds: self.span_nano };
        writeln!(f, "<text class=\"rate\" x=\"{x}\" y=\"{}\">{rate}</text>", y.saturating_sub(6))?;
        let bad = if edge.errors > 0 { " bad" } else { "" };
        write!(f, "<text class=\"rate{bad}\" x=\"{x}\" y=\"{}\">", y + 15)?;
        match edge.errors {
            0 => write!(f, "p95 {}", Elapsed(edge.percentile_nano(95)))?,
            errors => write!(f, "{} failed", Percent(errors, edge.calls))?,
        }
        f.write_str("</text>\n")
    }

    fn service(
        &self,
        f: &mut Formatter<'_>,
        name: &str,
        place: (usize, usize),
        external: bool,
    ) -> fmt::Result {
        let (x, y) = place;
        let text = format!(
            concat!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\"/><text x=\"{}\" y=\"{}\">{}</text>",
                "<title>{}</title>",
            ),
            x,
            y,
            BOX.0,
            BOX.1,
            x + BOX.0 / 2,
            y + BOX.1 / 2 + 5,
            Short(name, BOX_LETTERS),
            Short(name, LETTERS),
        );
        if external {
            writeln!(f, "<g class=\"external\">{text}</g>")
        } else {
            writeln!(
                f,
                "<a class=\"c{}\" href=\"{}\">{text}</a>",
                self.palette.colour(name),
                self.base.search_for(name)
            )
        }
    }

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

    fn table(&self, f: &mut Formatter<'_>, edges: &[&Edge]) -> fmt::Result {
        f.write_str("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Calls\">\n<table class=\"calls\">\n<thead><tr>")?;
        for title in ["Caller", "Called", "Calls", "Rate", "Errors", "p50", "p95", "p99"] {
            write!(f, "<th scope=\"col\">{title}</th>")?;
        }
        f.write_str("</tr></thead>\n<tbody>\n")?;
        for edge in edges {
            let external = if edge.external { " <small>external</small>" } else { "" };
            let colour = format!(" class=\"c{}\"", self.palette.colour(&edge.child));
            let colour = if edge.external { "" } else { &colour };
            let bad = if edge.errors > 0 { " class=\"errors\"" } else { "" };
            write!(
                f,
                concat!(
                    "<tr><td class=\"c{}\"><bdi class=\"service\">{}</bdi></td>",
                    "<td{}><bdi class=\"service\">{}</bdi>{external}</td><td>{}</td><td>{}</td><td{bad}>{}</td>",
                ),
                self.palette.colour(&edge.parent),
                Short(&edge.parent, LETTERS),
                colour,
                Short(&edge.child, LETTERS),
                edge.calls,
                Rate { calls: edge.calls, nanoseconds: self.span_nano },
                Percent(edge.errors, edge.calls),
                external = external,
                bad = bad,
            )?;
            for percent in [50, 95, 99] {
                write!(f, "<td>{}</td>", Elapsed(edge.percentile_nano(percent)))?;
            }
            f.write_str("</tr>\n")?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n")
    }
}

/// Calls in a time, by the second or, if they are few, by the minute.
struct Rate {
    calls: u64,
    nanoseconds: u64,
}

impl Display for Rate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // In less than a second nothing can be said of the next one.
        let seconds = std::time::Duration::from_nanos(self.nanoseconds).as_secs_f64().max(1.0);
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

    fn page(edges: &[Edge]) -> String {
        let (base, palette, alone) =
            (Base::new("/t"), Palette::default(), BTreeSet::from(["idle".to_owned()]));
        MapPage { edges, alone: &alone, span_nano: 6_000_000_000, base: &base, palette: &palette }.to_string()
    }

    #[test]
    fn each_call_is_drawn_and_stands_in_the_table() {
        let page = page(&[edge("front", "shop", 1), edge("shop", "db", 0), edge("shop", "front", 0)]);
        assert_eq!(page.matches("marker-end").count(), 3);
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
