//! Where the services of the map stand: callers to the left of whom they call.

use std::collections::{BTreeMap, BTreeSet};

/// Ways that are kept free in all; with more of them a drawing only gets taller.
const WAYS: usize = 60;

/// What may stand in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop<'a> {
    /// A service.
    Service(&'a str),
    /// Room for the edge of that index, which passes the layer of that index.
    Way(usize, usize),
}

/// Layers from left to right, each from top to bottom.
pub(super) fn layers<'a>(edges: &[(&'a str, &'a str)]) -> Vec<Vec<Stop<'a>>> {
    let depths = depths(edges);
    // Circles may leave a depth without anybody.
    let used: BTreeSet<usize> = depths.values().copied().collect();
    let column = |name: &str| depths.get(name).map_or(0, |depth| used.range(..depth).count());
    let mut layers = vec![Vec::new(); used.len()];
    for name in depths.keys() {
        layers.iter_mut().skip(column(name)).take(1).for_each(|layer| layer.push(Stop::Service(name)));
    }
    let mut pieces = Vec::new();
    let mut ways = 0;
    for (index, (from, to)) in edges.iter().enumerate() {
        let mut last = Stop::Service(from);
        for passed in column(from) + 1..column(to) {
            ways += 1;
            if let Some(layer) = layers.get_mut(passed).filter(|_| ways <= WAYS) {
                let way = Stop::Way(index, passed);
                layer.push(way);
                pieces.push((last, way));
                last = way;
            }
        }
        pieces.push((last, Stop::Service(to)));
    }
    untangle(&mut layers, &pieces);
    layers
}

/// The longest way to each from one that nobody calls. Calls that would close a circle do not count.
fn depths<'a>(edges: &[(&'a str, &'a str)]) -> BTreeMap<&'a str, usize> {
    let forward = without_circles(edges);
    let mut depths: BTreeMap<&str, usize> =
        edges.iter().flat_map(|&(from, to)| [(from, 0), (to, 0)]).collect();
    // A way without circles is shorter than there are services.
    for _ in 0..depths.len() {
        let mut has_changed = false;
        for (from, to) in &forward {
            let least = depths.get(from).copied().unwrap_or_default() + 1;
            if let Some(depth) = depths.get_mut(to).filter(|depth| **depth < least) {
                *depth = least;
                has_changed = true;
            }
        }
        if !has_changed {
            break;
        }
    }
    depths
}

/// The edges but those that lead back to where a walk came from; walks begin where nobody calls.
fn without_circles<'a>(edges: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in edges {
        targets.entry(from).or_default().push(to);
    }
    let called: BTreeSet<&str> = edges.iter().map(|(_, to)| *to).collect();
    let callers = edges.iter().map(|(from, _)| *from);
    let (mut first, rest): (Vec<_>, Vec<_>) = callers.partition(|name| !called.contains(name));
    first.extend(rest);

    let mut forward = Vec::new();
    let (mut open, mut done) = (BTreeSet::new(), BTreeSet::new());
    for root in first {
        let mut ahead = vec![(root, false)];
        while let Some((name, is_left)) = ahead.pop() {
            if is_left {
                open.remove(name);
                done.insert(name);
                continue;
            }
            if done.contains(name) || !open.insert(name) {
                continue;
            }
            ahead.push((name, true));
            for target in targets.get(name).into_iter().flatten() {
                if !open.contains(target) {
                    forward.push((name, *target));
                    ahead.push((target, false));
                }
            }
        }
    }
    forward
}

/// Put each below whom most of its callers stand: two sweeps to the right.
fn untangle<'a>(layers: &mut [Vec<Stop<'a>>], pieces: &[(Stop<'a>, Stop<'a>)]) {
    for _ in 0..2 {
        let mut places: BTreeMap<Stop<'_>, usize> = BTreeMap::new();
        for layer in layers.iter_mut() {
            layer.sort_by_cached_key(|stop| {
                let callers =
                    pieces.iter().filter(|(_, to)| to == stop).filter_map(|(from, _)| places.get(from));
                let callers: Vec<usize> = callers.copied().collect();
                (callers.iter().sum::<usize>() * 1_000 / callers.len().max(1), *stop)
            });
            places.extend(layer.iter().enumerate().map(|(place, stop)| (*stop, place)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn drawn(edges: &[(&str, &str)]) -> String {
        let stop = |stop: &Stop<'_>| match stop {
            Stop::Service(name) => (*name).to_owned(),
            Stop::Way(index, _) => format!("-{index}-"),
        };
        let layer = |layer: &Vec<Stop<'_>>| layer.iter().map(stop).collect::<Vec<_>>().join(" ");
        layers(edges).iter().map(layer).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn callers_stand_to_the_left_of_whom_they_call() {
        let edges = [("front", "a"), ("front", "b"), ("a", "db"), ("b", "db")];
        assert_eq!(drawn(&edges), "front | a b | db");
        assert_eq!(drawn(&[]), "");
    }

    #[test]
    fn an_edge_that_passes_a_layer_has_its_way_there() {
        let edges = [("front", "a"), ("a", "b"), ("b", "db"), ("front", "db")];
        assert_eq!(drawn(&edges), "front | a -3- | b -3- | db");
    }

    #[test]
    fn circles_are_cut() {
        assert_eq!(drawn(&[("a", "b"), ("b", "a")]), "a | b");
        assert_eq!(drawn(&[("a", "a")]), "a");
        assert_eq!(drawn(&[("c", "b"), ("b", "c"), ("a", "c")]), "a | c | b");
    }

    proptest! {
        #[test]
        fn everybody_stands_somewhere_once(pairs in prop::collection::vec((0_usize..12, 0_usize..12), 0..40)) {
            let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
            let edges: Vec<(&str, &str)> = pairs.iter().map(|&(from, to)| (&*names[from], &*names[to])).collect();
            let mut standing: Vec<&str> = layers(&edges)
                .concat()
                .into_iter()
                .filter_map(|stop| match stop {
                    Stop::Service(name) => Some(name),
                    Stop::Way(..) => None,
                })
                .collect();
            standing.sort_unstable();
            let mut expected: Vec<&str> = edges.iter().flat_map(|&(from, to)| [from, to]).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(standing, expected);
        }
    }
}
