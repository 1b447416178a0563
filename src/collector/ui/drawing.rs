//! The drawing of the service map, as SVG: boxes, arrows, and what is written at them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use super::{
    base::Base,
    catalogue::Palette,
    html::{Count, Elapsed, Percent, Short},
    labels::{self, Area, Curve, Point},
    layers::{Stop, layers},
    map::Rate,
};
use crate::collector::service_map::Edge;

/// The size of a box, and the space between boxes.
const BOX: Point = (140, 44);
const GAP: Point = (150, 60);
/// What is added to the space between rows, one after the other, until every arrow has room for its label.
const MORE_GAP: [usize; 4] = [0, 40, 100, 200];
/// The height of the way of an arrow past boxes.
const WAY: usize = 30;
/// The space around all.
const MARGIN: usize = 12;
/// The percentiles of durations that an arrow tells.
pub(super) const PERCENTILES: [usize; 3] = [50, 95, 99];
/// Letters that a box has room for, and that a tip shows.
const BOX_LETTERS: usize = 16;
const LETTERS: usize = 80;

/// The drawing.
pub(super) struct Drawing<'a> {
    /// Who calls whom.
    pub(super) edges: &'a [&'a Edge],
    /// What came to services from where no spans come.
    pub(super) entries: &'a [Edge],
    /// The time in which the calls were made.
    pub(super) span_nano: u64,
    /// Where the pages are.
    pub(super) base: &'a Base,
    /// The colours of services.
    pub(super) palette: &'a Palette,
}

/// Where everything stands.
struct Plan<'a> {
    /// The upper left corners.
    places: BTreeMap<Stop<'a>, Point>,
    size: Point,
}

impl<'a> Plan<'a> {
    /// `gap` is the space between boxes that stand on each other.
    fn of(layers: &[Vec<Stop<'a>>], gap: usize) -> Self {
        let high = |stop: &Stop<'_>| match stop {
            Stop::Service(_) => BOX.1 + gap,
            Stop::Way(..) => WAY,
        };
        let heights: Vec<usize> = layers.iter().map(|layer| layer.iter().map(high).sum()).collect();
        let height = heights.iter().copied().max().unwrap_or_default();
        let mut places = BTreeMap::new();
        for (column, (layer, own)) in layers.iter().zip(heights).enumerate() {
            let mut top = MARGIN + (height - own) / 2;
            for stop in layer {
                places.insert(*stop, (MARGIN + column * (BOX.0 + GAP.0), top));
                top += high(stop);
            }
        }
        let width = (layers.len() * (BOX.0 + GAP.0)).saturating_sub(GAP.0);
        Self { places, size: (width + 2 * MARGIN, height + 2 * MARGIN) }
    }

    /// The places that no label may cover.
    fn boxes(&self) -> Vec<Area> {
        let services = self.places.iter().filter(|(stop, _)| matches!(stop, Stop::Service(_)));
        services.map(|(_, place)| Area { corner: *place, size: BOX }).collect()
    }

    /// How the arrow of an edge is bent: a piece for each gap that it crosses.
    fn pieces(&self, index: usize, edge: &Edge) -> Vec<Curve> {
        let place = |name| self.places.get(&Stop::Service(name)).copied().unwrap_or_default();
        let (from, to) = (place(&edge.parent), place(&edge.child));
        let mut start = (from.0 + BOX.0, from.1 + BOX.1 / 2);
        let mut pieces = Vec::new();
        for (_, way) in self.places.range(Stop::Way(index, 0)..Stop::Way(index + 1, 0)) {
            let middle = way.1 + WAY / 2;
            pieces.push(curve(start, (way.0, middle)));
            start = (way.0 + BOX.0, middle);
        }
        pieces.push(curve(start, (to.0, to.1 + BOX.1 / 2)));
        pieces
    }
}

/// From the right side of a box to the left side of another.
fn curve(start: Point, end: Point) -> Curve {
    if end.0 > start.0 {
        let middle = (start.0 + end.0) / 2;
        return [start, (middle, start.1), (middle, end.1), end];
    }
    // Back, around the boxes from below.
    let below = start.1.max(end.1) + BOX.1 + GAP.1 / 2;
    [start, (start.0 + GAP.0 / 2, below), (end.0.saturating_sub(GAP.0 / 2), below), end]
}

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (plan, arrows, places) = self.plan();
        writeln!(
            f,
            concat!(
                "<svg class=\"map\" width=\"{0}\" height=\"{1}\" viewBox=\"0 0 {0} {1}\" role=\"group\" ",
                "aria-label=\"Who calls whom; the table below says the same\">\n<defs><marker id=\"tip\" ",
                "viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" ",
                "markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>",
            ),
            plan.size.0, plan.size.1,
        )?;
        for (edge, pieces) in self.edges.iter().zip(&arrows) {
            self.arrow(f, edge, pieces)?;
        }
        for (edge, place) in self.edges.iter().zip(places) {
            // An arrow that found no free place tells the same as a tip.
            if let Some(place) = place {
                self.label(f, edge, place)?;
            }
        }
        let silent = self.silent();
        for (stop, place) in &plan.places {
            if let Stop::Service(name) = stop {
                self.service(f, name, *place, silent.contains(name))?;
            }
        }
        f.write_str("</svg>\n")
    }
}

impl Drawing<'_> {
    /// The tightest plan in which every arrow has its label; else the widest.
    fn plan(&self) -> (Plan<'_>, Vec<Vec<Curve>>, Vec<Option<Point>>) {
        let pairs: Vec<(&str, &str)> = self.edges.iter().map(|edge| (&*edge.parent, &*edge.child)).collect();
        let layers = layers(&pairs);
        let planned = |more: usize| {
            let plan = Plan::of(&layers, GAP.1 + more);
            let arrows: Vec<Vec<Curve>> =
                self.edges.iter().enumerate().map(|(index, edge)| plan.pieces(index, edge)).collect();
            let places = labels::places(&arrows, plan.boxes());
            (plan, arrows, places)
        };
        let mut all = MORE_GAP.into_iter().skip(1);
        let mut best = planned(0);
        while best.2.contains(&None)
            && let Some(more) = all.next()
        {
            best = planned(more);
        }
        best
    }

    /// Those that send no spans.
    fn silent(&self) -> BTreeSet<&str> {
        let speaks = |name: &str| {
            self.edges.iter().any(|edge| *edge.parent == *name || (!edge.external && *edge.child == *name))
        };
        self.edges.iter().map(|edge| &*edge.child).filter(|name| !speaks(name)).collect()
    }

    fn arrow(&self, f: &mut Formatter<'_>, edge: &Edge, pieces: &[Curve]) -> fmt::Result {
        let bad = if edge.errors > 0 { " bad" } else { "" };
        // The line gets thicker with each power of ten.
        let thickness = 1 + edge.calls.max(1).ilog10();
        write!(f, "<path class=\"arrow{bad}\" stroke-width=\"{thickness}\" marker-end=\"url(#tip)\" d=\"")?;
        for (index, [start, out, back, end]) in pieces.iter().enumerate() {
            let go = if index == 0 { 'M' } else { 'L' };
            write!(
                f,
                "{go}{} {}C{} {} {} {} {} {}",
                start.0, start.1, out.0, out.1, back.0, back.1, end.0, end.1
            )?;
        }
        write!(f, "\"><title>{} calls {}: ", Short(&edge.parent, LETTERS), Short(&edge.child, LETTERS))?;
        write!(
            f,
            "{}, {} failed",
            Rate { calls: edge.calls, nanoseconds: self.span_nano },
            Percent(edge.errors, edge.calls),
        )?;
        for percent in PERCENTILES {
            write!(f, ", p{percent} {}", Elapsed(edge.percentile_nano(percent)))?;
        }
        f.write_str("</title></path>\n")
    }

    /// The rates of calls and of failures above the line, the durations below it.
    fn label(&self, f: &mut Formatter<'_>, edge: &Edge, (x, y): Point) -> fmt::Result {
        let bad = if edge.errors > 0 { " class=\"bad\"" } else { "" };
        write!(
            f,
            "<text class=\"rate\" y=\"{}\"><tspan x=\"{x}\">{} · <tspan{bad}>{} err</tspan></tspan>",
            y.saturating_sub(5),
            Rate { calls: edge.calls, nanoseconds: self.span_nano }.short(),
            Percent(edge.errors, edge.calls),
        )?;
        for (line, percent) in PERCENTILES.into_iter().enumerate() {
            let below = if line == 0 { 18 } else { 13 };
            let elapsed = Elapsed(edge.percentile_nano(percent));
            write!(f, "<tspan x=\"{x}\" dy=\"{below}\">p{percent} {elapsed}</tspan>")?;
        }
        f.write_str("</text>\n")
    }

    fn service(&self, f: &mut Formatter<'_>, name: &str, (x, y): Point, is_silent: bool) -> fmt::Result {
        // What nobody called has no arrow that would show its failures.
        let failing = self.entries.iter().find(|entry| *entry.child == *name && entry.errors > 0);
        let (middle, up) = (x + BOX.0 / 2, if failing.is_some() { 3 } else { 0 });
        let mut text = format!(
            concat!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\"/>",
                "<text x=\"{}\" y=\"{}\">{}</text>",
            ),
            x,
            y,
            BOX.0,
            BOX.1,
            middle,
            y + BOX.1 / 2 + 5 - 2 * up,
            Short(name, BOX_LETTERS),
        );
        let name_in_tip = Short(name, LETTERS);
        text += &match failing {
            None => format!("<title>{name_in_tip}</title>"),
            Some(Edge { calls, errors, .. }) => {
                let failed = Percent(*errors, *calls);
                let calls = Count(usize::try_from(*calls).unwrap_or(usize::MAX), "call");
                format!(
                    concat!(
                        "<text class=\"failed\" x=\"{}\" y=\"{}\">{} err</text>",
                        "<title>{}: of {} from where no spans come, {} failed</title>",
                    ),
                    middle,
                    y + BOX.1 - 8,
                    failed,
                    name_in_tip,
                    calls,
                    failed,
                )
            }
        };
        if is_silent {
            return writeln!(f, "<g class=\"external\">{text}</g>");
        }
        let (colour, address) = (self.palette.colour(name), self.base.search_for(name));
        writeln!(f, "<a class=\"c{colour}\" href=\"{address}\">{text}</a>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrow_goes_around_the_boxes_that_it_passes() {
        let layers =
            [vec![Stop::Service("a")], vec![Stop::Service("b"), Stop::Way(2, 1)], vec![Stop::Service("c")]];
        let edge = Edge {
            parent: "a".into(),
            child: "c".into(),
            external: false,
            calls: 1,
            errors: 0,
            durations_nano: vec![1],
        };
        let pieces = Plan::of(&layers, GAP.1).pieces(2, &edge);
        assert_eq!(pieces.len(), 2);
        let box_of_b = Plan::of(&layers, GAP.1).places[&Stop::Service("b")];
        assert!(pieces[0][3].1 > box_of_b.1 + BOX.1, "below the box");
    }
}
