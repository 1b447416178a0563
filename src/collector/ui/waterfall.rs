//! One trace as a waterfall: a line for each span, under its parent, with a bar that shows when it ran.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter},
    sync::Arc,
};

use super::{
    TRACEZ_PATH,
    details::Details,
    html::{Count, Elapsed, Excerpt, Moment, Text},
    tracez::services,
};
use crate::collector::{
    span::{Span, SpanId, StatusCode},
    store::Trace,
    tree::{self, Node},
};

/// How many colours the style has for services.
const COLOURS: usize = 8;

/// The deepest indentation that the style has; what hangs deeper is not moved further.
const DEEPEST_INDENT: usize = 16;

/// The width of a bar's scale. Any number does: the style stretches it to the column.
const BAR_SCALE: u64 = 1_000;

/// Which colour each service has on this page.
pub(super) struct Palette<'a>(BTreeMap<&'a str, usize>);

impl<'a> Palette<'a> {
    /// Colours for all services of `traces`, the same whichever of their traces is newest.
    pub(super) fn of(traces: &'a [Arc<Trace>]) -> Self {
        let mut palette: BTreeMap<_, _> =
            traces.iter().flat_map(|trace| services(trace)).map(|name| (name, 0)).collect();
        for (index, colour) in palette.values_mut().enumerate() {
            *colour = index % COLOURS;
        }
        Self(palette)
    }

    fn colour(&self, service: &str) -> usize {
        self.0.get(service).copied().unwrap_or_default()
    }
}

/// One trace, drawn.
pub(super) struct Waterfall<'a> {
    pub(super) trace: &'a Trace,
    pub(super) palette: &'a Palette<'a>,
    /// How many lines may be drawn.
    pub(super) lines: usize,
}

impl Display for Waterfall<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let rows = tree::rows(self.trace.spans.values());
        let window = Window::of(self.trace);
        let first = rows.iter().find_map(|row| match row.node {
            Node::Span(span) => Some(span),
            Node::MissingParent(_) => None,
        });
        f.write_str("<section class=\"trace\">\n")?;
        self.heading(f, first, &window)?;
        f.write_str("<ol>\n")?;
        for row in rows.iter().take(self.lines) {
            let depth = row.depth.min(DEEPEST_INDENT);
            match row.node {
                Node::Span(span) => {
                    let colour = self.palette.colour(&span.resource.service);
                    write!(f, "{}", Line { span, depth, colour, window: &window })?;
                }
                Node::MissingParent(id) => missing_parent(f, id)?,
            }
        }
        f.write_str("</ol>\n")?;
        if let more @ 1.. = rows.len().saturating_sub(self.lines) {
            let id = self.trace.trace_id;
            writeln!(
                f,
                "<p class=\"more\">{}: <a href=\"/api/traces?trace_id={id}\">all as JSON</a></p>",
                Count(more, "more line"),
            )?;
        }
        f.write_str("</section>\n")
    }
}

impl Waterfall<'_> {
    fn heading(&self, f: &mut Formatter<'_>, first: Option<&Span>, window: &Window) -> fmt::Result {
        let id = self.trace.trace_id;
        let name = first.map_or("", |span| &*span.name);
        let spans = Count(self.trace.spans.len(), "span");
        let services = Count(services(self.trace).len(), "service");
        let errors = self.trace.spans.values().filter(|span| span.status_code == StatusCode::Error).count();
        writeln!(f, "<h2><bdi>{}</bdi> <small>{}</small></h2>", Excerpt(name), Elapsed(window.length))?;
        write!(f, "<p class=\"facts\">{spans}, {services}")?;
        if errors > 0 {
            write!(f, " · <strong>{}</strong>", Count(errors, "error"))?;
        }
        write!(
            f,
            concat!(
                " · <time>{}</time> · <a href=\"{}?trace_id={id}\"><code>{id}</code></a>",
                " · <a href=\"/api/traces?trace_id={id}\">JSON</a></p>\n",
            ),
            Moment(window.start),
            TRACEZ_PATH,
            id = id,
        )
    }
}

/// The time that a trace covers.
struct Window {
    /// Nanoseconds since 1970.
    start: u64,
    /// Nanoseconds.
    length: u64,
}

impl Window {
    fn of(trace: &Trace) -> Self {
        let start = trace.spans.values().map(|span| span.start_unix_nano).min().unwrap_or_default();
        let end = trace.spans.values().map(|span| span.end_unix_nano).max().unwrap_or_default();
        Self { start, length: end.saturating_sub(start) }
    }

    /// Where on a bar's scale something `nanoseconds` after the start is.
    fn scaled(&self, nanoseconds: u64) -> u64 {
        let place = u128::from(nanoseconds) * u128::from(BAR_SCALE) / u128::from(self.length.max(1));
        u64::try_from(place).unwrap_or(BAR_SCALE).min(BAR_SCALE)
    }
}

/// One span: what it is and when it ran; opened, all that it says.
struct Line<'a> {
    span: &'a Span,
    depth: usize,
    colour: usize,
    window: &'a Window,
}

impl Display for Line<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { span, depth, colour, window } = self;
        let offset = span.start_unix_nano.saturating_sub(window.start);
        let (from, to) = (window.scaled(offset), window.scaled(offset.saturating_add(span.duration_nano())));
        // However short a span is, its bar can be seen.
        let width = (to - from).max(3);
        let from = from.min(BAR_SCALE - width);
        write!(
            f,
            concat!(
                "<li class=\"d{depth} c{colour}\"><details><summary>",
                "<span class=\"what\"><bdi class=\"service\">{service}</bdi> <bdi class=\"name\">{name}</bdi> ",
                "<span class=\"marks\">{marks}</span></span> <span class=\"kind\">{kind}</span> ",
                "<span class=\"bar\"><svg viewBox=\"0 0 {scale} 1\" preserveAspectRatio=\"none\" aria-hidden=\"true\">",
                "<rect x=\"{from}\" width=\"{width}\" height=\"1\"/></svg></span> ",
                "<span class=\"offset\">+{offset}</span> <span class=\"duration\">{duration}</span>",
                "</summary>\n{details}</details></li>\n",
            ),
            depth = depth,
            colour = colour,
            service = Excerpt(&span.resource.service),
            name = Excerpt(&span.name),
            marks = Marks(span),
            kind = span.kind.name(),
            scale = BAR_SCALE,
            from = from,
            width = width,
            offset = Elapsed(offset),
            duration = Elapsed(span.duration_nano()),
            details = Details(span),
        )
    }
}

/// What should catch the eye: failure, and the proxy's word for it.
struct Marks<'a>(&'a Span);

impl Display for Marks<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let span = self.0;
        match span.status_code {
            StatusCode::Error => f.write_str("<strong>ERROR</strong>")?,
            StatusCode::Ok => f.write_str("<b>OK</b>")?,
            StatusCode::Unset => {}
        }
        if let Some(flags) = span.text_attribute("response_flags").filter(|flags| *flags != "-") {
            write!(f, "<strong title=\"response_flags\">{}</strong>", Text(flags))?;
        }
        if span.end_unix_nano < span.start_unix_nano {
            f.write_str("<em title=\"The clock says that it ended before it began\">clock</em>")?;
        }
        Ok(())
    }
}

fn missing_parent(f: &mut Formatter<'_>, id: SpanId) -> fmt::Result {
    writeln!(f, "<li class=\"d0 missing\">parent <code>{id}</code> is missing: not received, or not yet</li>")
}
