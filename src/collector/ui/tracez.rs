//! `/debug/tracez`: the spans by name and latency, as OpenTelemetry's zPages have it, and samples of them.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    base::{Base, encoded},
    catalogue::Palette,
    html::{Count, Elapsed, Moment, Short, named},
    query::Query,
};
use crate::collector::{
    span::{Span, StatusCode},
    store::Trace,
};

/// The lower bounds of the latency buckets, in nanoseconds, and their names.
const BUCKETS: [(u64, &str); 9] = [
    (0, ">0us"),
    (10_000, ">10us"),
    (100_000, ">100us"),
    (1_000_000, ">1ms"),
    (10_000_000, ">10ms"),
    (100_000_000, ">100ms"),
    (1_000_000_000, ">1s"),
    (10_000_000_000, ">10s"),
    (100_000_000_000, ">100s"),
];

/// Rows that the summary has; a service that puts ids in its names would have one for each request.
const ROWS: usize = 1_000;

/// How many samples are listed, the newest.
const SAMPLES: usize = 200;

/// Letters of a service or a name that a row has room for.
const LETTERS: usize = 100;

/// Which spans of a name are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    All,
    Errors,
    /// The number of a latency bucket; spans that failed are in none.
    Bucket(usize),
}

impl Cell {
    fn of(span: &Span) -> Self {
        if span.status_code == StatusCode::Error {
            return Self::Errors;
        }
        let above = BUCKETS.iter().rposition(|(bound, _)| span.duration_nano() >= *bound);
        Self::Bucket(above.unwrap_or_default())
    }

    fn parse(text: Option<&str>) -> Self {
        match text {
            Some("errors") => Self::Errors,
            Some(number) => match number.parse() {
                Ok(number) if number < BUCKETS.len() => Self::Bucket(number),
                _ => Self::All,
            },
            None => Self::All,
        }
    }

    fn has(self, span: &Span) -> bool {
        self == Self::All || self == Self::of(span)
    }

    fn title(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Errors => "errors",
            Self::Bucket(number) => BUCKETS.get(number).map_or("", |(_, name)| name),
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => Ok(()),
            Self::Errors => f.write_str("&amp;bucket=errors"),
            Self::Bucket(number) => write!(f, "&amp;bucket={number}"),
        }
    }
}

/// The content of the page: the summary, with samples above it if a cell was chosen.
pub(super) struct TracezPage<'a> {
    /// All that are kept.
    pub(super) traces: &'a [Arc<Trace>],
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of services.
    pub(super) palette: &'a Palette,
    /// Which cell was chosen.
    pub(super) query: &'a Query,
}

/// How many spans of a name are in each cell.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    errors: usize,
    buckets: [usize; BUCKETS.len()],
}

impl Display for TracezPage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // Spans without a name are led to as well: then only the service is said.
        let nameless = || self.query.get("service").map(|_| "");
        if let Some(name) = self.query.get("name").or_else(nameless) {
            self.samples(f, name)?;
        }
        self.summary(f)
    }
}

impl TracezPage<'_> {
    fn spans(&self) -> impl Iterator<Item = &Arc<Span>> {
        self.traces.iter().flat_map(|trace| trace.spans.values())
    }

    fn summary(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut names: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
        for span in self.spans() {
            let counts = names.entry((&span.resource.service, &span.name)).or_default();
            counts.all += 1;
            match Cell::of(span) {
                Cell::Errors => counts.errors += 1,
                Cell::Bucket(number) => {
                    counts.buckets.iter_mut().skip(number).take(1).for_each(|count| *count += 1)
                }
                Cell::All => {}
            }
        }
        f.write_str(concat!(
            "<section aria-labelledby=\"summary\">\n<h1 id=\"summary\">Spans by name and latency</h1>\n",
            "<p class=\"facts\">Of the spans that are kept. Those that failed count as errors, in no latency. ",
            "Each number leads to its spans.</p>\n",
        ))?;
        if names.is_empty() {
            return writeln!(
                f,
                "<p class=\"none\">No span yet: <a href=\"{}\">how to send some</a>.</p>\n</section>",
                self.base.home()
            );
        }
        f.write_str("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"summary\">\n<table class=\"tracez\">\n<thead><tr>")?;
        for title in
            ["Service", "Span", "Count"].into_iter().chain(BUCKETS.map(|(_, name)| name)).chain(["Errors"])
        {
            write!(f, "<th scope=\"col\">{}</th>", Short(title, LETTERS))?;
        }
        f.write_str("</tr></thead>\n<tbody>\n")?;
        for ((service, name), counts) in names.iter().take(ROWS) {
            self.row(f, service, name, counts)?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n")?;
        if let more @ 1.. = names.len().saturating_sub(ROWS) {
            writeln!(f, "<p class=\"note\">{} not shown</p>", Count(more, "more name"))?;
        }
        f.write_str("</section>\n")
    }

    fn row(&self, f: &mut Formatter<'_>, service: &str, name: &str, counts: &Counts) -> fmt::Result {
        write!(
            f,
            "<tr><td class=\"c{}\"><bdi class=\"service\">{}</bdi></td><th scope=\"row\"><bdi>{}</bdi></th>",
            self.palette.colour(service),
            Short(service, LETTERS),
            Short(named(name), LETTERS),
        )?;
        self.cell(f, service, name, Cell::All, counts.all)?;
        for (number, count) in counts.buckets.iter().enumerate() {
            self.cell(f, service, name, Cell::Bucket(number), *count)?;
        }
        self.cell(f, service, name, Cell::Errors, counts.errors)?;
        f.write_str("</tr>\n")
    }

    fn cell(
        &self,
        f: &mut Formatter<'_>,
        service: &str,
        name: &str,
        cell: Cell,
        count: usize,
    ) -> fmt::Result {
        let class = if cell == Cell::Errors && count > 0 { " class=\"errors\"" } else { "" };
        if count == 0 {
            return f.write_str("<td><span class=\"zero\">0</span></td>");
        }
        write!(
            f,
            "<td{class}><a href=\"{}/debug/tracez?name={}&amp;service={}{cell}\" title=\"{}\">{count}</a></td>",
            self.base,
            encoded(name),
            encoded(service),
            Short(cell.title(), LETTERS),
        )
    }

    /// The newest spans of a cell, which the address names.
    fn samples(&self, f: &mut Formatter<'_>, name: &str) -> fmt::Result {
        let cell = Cell::parse(self.query.get("bucket"));
        let service = self.query.get("service");
        let is_meant = |span: &&Arc<Span>| {
            *span.name == *name
                && service.is_none_or(|service| *span.resource.service == *service)
                && cell.has(span)
        };
        let mut samples: Vec<_> = self.spans().filter(is_meant).collect();
        samples.sort_by_key(|span| std::cmp::Reverse(span.start_unix_nano));
        let newest = if samples.len() > SAMPLES { ", the newest of them" } else { "" };
        write!(
            f,
            concat!(
                "<section aria-labelledby=\"samples\">\n<h1 id=\"samples\"><bdi class=\"service c{}\">{}</bdi> ",
                "<bdi>{}</bdi> <small>{}</small></h1>\n<p class=\"facts\">{}{newest} · ",
                "<a href=\"{}/debug/tracez\">Close</a></p>\n",
            ),
            self.palette.colour(service.unwrap_or_default()),
            Short(service.unwrap_or_default(), LETTERS),
            Short(named(name), LETTERS),
            Short(cell.title(), LETTERS),
            Count(samples.len(), "span"),
            self.base,
            newest = newest,
        )?;
        if samples.is_empty() {
            return f.write_str("<p class=\"none\">No span is here any more.</p>\n</section>\n");
        }
        f.write_str(concat!(
            "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"samples\">\n<table class=\"samples\">\n<thead><tr><th scope=\"col\">Start <small>UTC</small></th>",
            "<th scope=\"col\">Duration</th><th scope=\"col\">Status</th><th scope=\"col\">Trace</th></tr></thead>\n<tbody>\n",
        ))?;
        for span in samples.into_iter().take(SAMPLES) {
            let bad = if span.status_code == StatusCode::Error { " class=\"bad\"" } else { "" };
            writeln!(
                f,
                concat!(
                    "<tr{bad}><td>{}</td><td>{}</td><td>{} <bdi>{}</bdi></td>",
                    "<td><a href=\"{}/trace/{trace}#span-{}\"><code>{trace}</code></a></td></tr>",
                ),
                Moment(span.start_unix_nano),
                Elapsed(span.duration_nano()),
                span.status_code.name(),
                Short(&span.status_message, LETTERS),
                self.base,
                span.span_id,
                bad = bad,
                trace = span.trace_id,
            )?;
        }
        f.write_str("</tbody>\n</table>\n</div>\n</section>\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{span::tests::span, store::Store};

    fn page(traces: &[Arc<Trace>], query: &str) -> String {
        let (base, palette, query) = (Base::new("/t"), Palette::default(), Query::parse(Some(query)));
        TracezPage { traces, base: &base, palette: &palette, query: &query }.to_string()
    }

    fn lasting(id: u64, nanoseconds: u64) -> Span {
        let span = span(id.into(), id, 0);
        Span { end_unix_nano: span.start_unix_nano + nanoseconds, ..span }
    }

    #[test]
    fn spans_are_counted_in_the_bucket_of_their_duration_and_errors_apart() {
        let store = Store::new(1 << 20);
        let failed = Span { status_code: StatusCode::Error, ..lasting(5, 2_000_000) };
        let spans =
            [lasting(1, 0), lasting(2, 999_999), lasting(3, 1_000_000), lasting(4, u64::MAX / 2), failed];
        store.insert(spans);
        let page = page(&store.newest(10), "");
        let cell = |bucket: &str, count: usize| {
            let link = format!("href=\"/t/debug/tracez?name=buy&amp;service=shop{bucket}\"");
            assert!(
                page.contains(&link) && page.split(&link).nth(1).unwrap().contains(&format!(">{count}</a>"))
            );
        };
        cell("", 5);
        for bucket in [0, 2, 3, 8] {
            cell(&format!("&amp;bucket={bucket}"), 1);
        }
        cell("&amp;bucket=errors", 1);
        assert_eq!(page.matches("class=\"zero\"").count(), 5);
    }

    #[test]
    fn a_cell_opens_its_spans_with_links_to_their_traces() {
        let store = Store::new(1 << 20);
        store.insert([lasting(1, 5), lasting(2, 2_000_000), lasting(3, 2_500_000)]);
        let page = page(&store.newest(10), "name=buy&service=shop&bucket=3");
        let link = |id: u64| format!("href=\"/t/trace/{id:032x}#span-{id:016x}\"");
        assert!(page.contains(&link(2)) && page.contains(&link(3)) && !page.contains(&link(1)));
        assert!(page.find(&link(3)) < page.find(&link(2)), "the newest is first");
    }

    #[test]
    fn a_bucket_that_is_none_means_all() {
        for (text, cell) in
            [("9", Cell::All), ("-1", Cell::All), ("8", Cell::Bucket(8)), ("errors", Cell::Errors)]
        {
            assert_eq!(Cell::parse(Some(text)), cell);
        }
    }
}
