//! The drawing of the service map, as SVG: boxes, arrows, and what is written at them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Display, Formatter},
};

use super::{
    base::Base,
    catalogue::Palette,
    html::{Elapsed, Percent, Short},
    layers::{Stop, layers},
    map::Rate,
};
use crate::collector::service_map::Edge;

/// The size of a box, and the space between boxes.
const BOX: Point = (140, 44);
const GAP: Point = (120, 36);
/// The height of the way of an arrow past boxes.
const WAY: usize = 30;
/// The space around all.
const MARGIN: usize = 12;
/// The room that a label takes.
const LABEL: Point = (78, 30);
/// Letters that a box has room for, and that a tip shows.
const BOX_LETTERS: usize = 16;
const LETTERS: usize = 80;

/// Right and down, in pixels.
type Point = (usize, usize);

/// The drawing.
pub(super) struct Drawing<'a> {
    /// Who calls whom.
    pub(super) edges: &'a [&'a Edge],
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
    fn of(layers: &[Vec<Stop<'a>>]) -> Self {
        let high = |stop: &Stop<'_>| match stop {
            Stop::Service(_) => BOX.1 + GAP.1,
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

    /// From where to where the arrow of an edge is bent: a piece for each gap that it crosses.
    fn pieces(&self, index: usize, edge: &Edge) -> Vec<(Point, Point)> {
        let place = |name| self.places.get(&Stop::Service(name)).copied().unwrap_or_default();
        let (from, to) = (place(&edge.parent), place(&edge.child));
        let mut start = (from.0 + BOX.0, from.1 + BOX.1 / 2);
        let mut pieces = Vec::new();
        for (_, way) in self.places.range(Stop::Way(index, 0)..Stop::Way(index + 1, 0)) {
            let middle = way.1 + WAY / 2;
            pieces.push((start, (way.0, middle)));
            start = (way.0 + BOX.0, middle);
        }
        pieces.push((start, (to.0, to.1 + BOX.1 / 2)));
        pieces
    }
}

impl Display for Drawing<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let pairs: Vec<(&str, &str)> = self.edges.iter().map(|edge| (&*edge.parent, &*edge.child)).collect();
        let plan = Plan::of(&layers(&pairs));
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
        let arrows: Vec<_> =
            self.edges.iter().enumerate().map(|(index, edge)| (edge, plan.pieces(index, edge))).collect();
        for (edge, pieces) in &arrows {
            self.arrow(f, edge, pieces)?;
        }
        let mut labels = Vec::new();
        for (edge, pieces) in &arrows {
            // An arrow that finds no free place tells the same as a tip.
            if let Some(place) = free_place(pieces, &labels) {
                labels.push(place);
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
    /// Those that send no spans.
    fn silent(&self) -> BTreeSet<&str> {
        let speaks = |name: &str| {
            self.edges.iter().any(|edge| *edge.parent == *name || (!edge.external && *edge.child == *name))
        };
        self.edges.iter().map(|edge| &*edge.child).filter(|name| !speaks(name)).collect()
    }

    fn arrow(&self, f: &mut Formatter<'_>, edge: &Edge, pieces: &[(Point, Point)]) -> fmt::Result {
        let bad = if edge.errors > 0 { " bad" } else { "" };
        // The line gets thicker with each power of ten.
        let thickness = 1 + edge.calls.max(1).ilog10();
        write!(f, "<path class=\"arrow{bad}\" stroke-width=\"{thickness}\" marker-end=\"url(#tip)\" d=\"")?;
        for (index, &(start, end)) in pieces.iter().enumerate() {
            let go = if index == 0 { 'M' } else { 'L' };
            let (out, back) = if end.0 > start.0 {
                let middle = (start.0 + end.0) / 2;
                ((middle, start.1), (middle, end.1))
            } else {
                // Back, around the boxes from below.
                let below = start.1.max(end.1) + BOX.1;
                ((start.0 + GAP.0 / 2, below), (end.0.saturating_sub(GAP.0 / 2), below))
            };
            write!(
                f,
                "{go}{} {}C{} {} {} {} {} {}",
                start.0, start.1, out.0, out.1, back.0, back.1, end.0, end.1
            )?;
        }
        writeln!(
            f,
            "\"><title>{} calls {}: {}, p95 {}, {} failed</title></path>",
            Short(&edge.parent, LETTERS),
            Short(&edge.child, LETTERS),
            Rate { calls: edge.calls, nanoseconds: self.span_nano },
            Elapsed(edge.percentile_nano(95)),
            Percent(edge.errors, edge.calls),
        )
    }

    /// The rate above the line; below it the 95th percentile, or how many failed, which says more.
    fn label(&self, f: &mut Formatter<'_>, edge: &Edge, (x, y): Point) -> fmt::Result {
        let rate = Rate { calls: edge.calls, nanoseconds: self.span_nano };
        writeln!(f, "<text class=\"rate\" x=\"{x}\" y=\"{}\">{rate}</text>", y.saturating_sub(5))?;
        let bad = if edge.errors > 0 { " bad" } else { "" };
        write!(f, "<text class=\"rate{bad}\" x=\"{x}\" y=\"{}\">", y + 13)?;
        match edge.errors {
            0 => write!(f, "p95 {}", Elapsed(edge.percentile_nano(95)))?,
            errors => write!(f, "{} failed", Percent(errors, edge.calls))?,
        }
        f.write_str("</text>\n")
    }

    fn service(&self, f: &mut Formatter<'_>, name: &str, (x, y): Point, is_silent: bool) -> fmt::Result {
        let text = format!(
            concat!(
                "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"7\"/>",
                "<text x=\"{}\" y=\"{}\">{}</text><title>{}</title>",
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
        if is_silent {
            return writeln!(f, "<g class=\"external\">{text}</g>");
        }
        let (colour, address) = (self.palette.colour(name), self.base.search_for(name));
        writeln!(f, "<a class=\"c{colour}\" href=\"{address}\">{text}</a>")
    }
}

/// A place on the pieces of an arrow where no label is yet: rather in the last gap, and rather near its end.
fn free_place(pieces: &[(Point, Point)], labels: &[Point]) -> Option<Point> {
    let on_pieces = pieces.iter().rev().filter(|(start, end)| end.0 > start.0);
    let all = on_pieces.flat_map(|&(start, end)| [7, 5, 3, 6, 4].map(|tenths| on_curve(start, end, tenths)));
    let is_free = |place: &Point| {
        labels
            .iter()
            .all(|other| other.0.abs_diff(place.0) >= LABEL.0 || other.1.abs_diff(place.1) >= LABEL.1)
    };
    all.into_iter().find(is_free)
}

/// The point of the curve that an arrow makes through a gap, so many tenths along.
fn on_curve(start: Point, end: Point, tenths: usize) -> Point {
    let (along, left) = (tenths, 10 - tenths);
    // Bernstein's polynomials, in thousandths: the inner two points are in the middle of the gap.
    let inner = 3 * along * left * left + 3 * along * along * left;
    let x = start.0 + (end.0 - start.0) * (inner / 2 + along.pow(3)) / 1_000;
    let weight = 3 * along * along * left + along.pow(3);
    let y = (start.1 * (1_000 - weight) + end.1 * weight) / 1_000;
    (x, y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_and_ends_where_it_should() {
        let (start, end) = ((10, 100), (130, 40));
        assert_eq!((on_curve(start, end, 0), on_curve(start, end, 10)), (start, end));
        assert_eq!(on_curve(start, end, 5), (70, 70));
    }

    #[test]
    fn labels_do_not_lie_on_each_other() {
        let pieces = [((0, 100), (GAP.0, 100))];
        let first = free_place(&pieces, &[]).unwrap();
        assert_eq!(free_place(&pieces, &[first]), None);
        let steep = [((0, 0), (GAP.0, 200))];
        let first = free_place(&steep, &[]).unwrap();
        let second = free_place(&steep, &[first]).unwrap();
        assert!(first.1.abs_diff(second.1) >= LABEL.1);
    }

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
        let pieces = Plan::of(&layers).pieces(2, &edge);
        assert_eq!(pieces.len(), 2);
        let box_of_b = Plan::of(&layers).places[&Stop::Service("b")];
        assert!(pieces[0].1.1 > box_of_b.1 + BOX.1, "below the box");
    }
}
