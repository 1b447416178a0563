//! Where the labels of the service map stand: on their arrows, beside each other and beside the boxes.

/// Right and down, in pixels.
pub(super) type Point = (usize, usize);

/// A piece of an arrow: a cubic curve from the first point to the last, which the two others pull at.
pub(super) type Curve = [Point; 4];

/// The room that a label takes.
const SIZE: Point = (120, 60);
/// How much of it is above the point at which the label stands.
const ABOVE: usize = 17;

/// The tenths of a piece at which a label may stand, the best first: near its end, where arrows of one caller have parted.
const TENTHS: [usize; 7] = [7, 6, 5, 4, 3, 8, 2];

/// A rectangle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    /// Its upper left corner.
    pub(super) corner: Point,
    /// How wide and high it is.
    pub(super) size: Point,
}

impl Area {
    /// What a label at `place` covers.
    fn of_label(place: Point) -> Self {
        Self { corner: (place.0.saturating_sub(SIZE.0 / 2), place.1.saturating_sub(ABOVE)), size: SIZE }
    }

    fn meets(&self, other: &Self) -> bool {
        let apart = |from: usize, size: usize, other: usize, other_size: usize| {
            from + size <= other || other + other_size <= from
        };
        !apart(self.corner.0, self.size.0, other.corner.0, other.size.0)
            && !apart(self.corner.1, self.size.1, other.corner.1, other.size.1)
    }
}

/// The place of the label of each of `arrows`, if there is one where nothing else is. `taken` is what must not be covered.
pub(super) fn places(arrows: &[Vec<Curve>], mut taken: Vec<Area>) -> Vec<Option<Point>> {
    let mut place = |pieces: &Vec<Curve>| {
        // Rather in the last gap.
        let all = pieces.iter().rev().flat_map(|piece| TENTHS.map(|tenths| on_curve(piece, tenths)));
        let area = |place: Point| Area::of_label(place);
        let found = all.into_iter().find(|place| !taken.iter().any(|other| other.meets(&area(*place))))?;
        taken.push(area(found));
        Some(found)
    };
    arrows.iter().map(&mut place).collect()
}

/// The point so many tenths along a curve.
fn on_curve(curve: &Curve, tenths: usize) -> Point {
    let (along, left) = (tenths, 10 - tenths);
    // Bernstein's polynomials, in thousandths.
    let weights = [left.pow(3), 3 * along * left * left, 3 * along * along * left, along.pow(3)];
    let weighed = |part: fn(&Point) -> usize| {
        curve.iter().zip(weights).map(|(point, weight)| part(point) * weight).sum::<usize>() / 1_000
    };
    (weighed(|point| point.0), weighed(|point| point.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_begins_and_ends_where_it_should() {
        let curve = [(10, 100), (70, 100), (70, 40), (130, 40)];
        assert_eq!((on_curve(&curve, 0), on_curve(&curve, 10)), ((10, 100), (130, 40)));
        assert_eq!(on_curve(&curve, 5), (70, 70));
    }

    #[test]
    fn labels_lie_neither_on_each_other_nor_on_boxes() {
        let level = vec![[(0, 100), (75, 100), (75, 100), (150, 100)]];
        let steep = vec![[(0, 100), (75, 100), (75, 400), (150, 400)]];
        let found = places(&[level.clone(), level.clone(), steep], Vec::new());
        assert!(found[0].is_some() && found[1].is_none() && found[2].is_some(), "{found:?}");
        let areas = [found[0], found[2]].map(|place| Area::of_label(place.unwrap()));
        assert!(!areas[0].meets(&areas[1]));
        let everything = Area { corner: (0, 0), size: (1_000, 1_000) };
        assert_eq!(places(&[level], vec![everything]), [None]);
    }
}
