//! Where the services of the map stand: callers to the left of whom they call.

use std::collections::{BTreeMap, BTreeSet};

/// Layers from left to right, each from top to bottom.
pub(super) fn layers<'a>(edges: &[(&'a str, &'a str)]) -> Vec<Vec<&'a str>> {
    let depths = depths(edges);
    let mut layers: Vec<Vec<&str>> = Vec::new();
    for (name, depth) in &depths {
        if layers.len() <= *depth {
            layers.resize(*depth + 1, Vec::new());
        }
        if let Some(layer) = layers.get_mut(*depth) {
            layer.push(name);
        }
    }
    // Circles may leave a layer empty.
    layers.retain(|layer| !layer.is_empty());
    untangle(&mut layers, edges);
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
fn untangle(layers: &mut [Vec<&str>], edges: &[(&str, &str)]) {
    for _ in 0..2 {
        let mut places: BTreeMap<&str, usize> = BTreeMap::new();
        for layer in layers.iter_mut() {
            layer.sort_by_cached_key(|name| {
                let callers =
                    edges.iter().filter(|(_, to)| to == name).filter_map(|(from, _)| places.get(from));
                let callers: Vec<usize> = callers.copied().collect();
                (callers.iter().sum::<usize>() * 1_000 / callers.len().max(1), *name)
            });
            places.extend(layer.iter().enumerate().map(|(place, name)| (*name, place)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn callers_stand_to_the_left_of_whom_they_call() {
        let edges = [("front", "a"), ("front", "b"), ("a", "db"), ("b", "db"), ("front", "db")];
        assert_eq!(layers(&edges), [vec!["front"], vec!["a", "b"], vec!["db"]]);
        assert_eq!(layers(&[]), Vec::<Vec<&str>>::new());
    }

    #[test]
    fn circles_are_cut() {
        assert_eq!(layers(&[("a", "b"), ("b", "a")]), [["a"], ["b"]]);
        assert_eq!(layers(&[("a", "a")]), [["a"]]);
        assert_eq!(layers(&[("c", "b"), ("b", "c"), ("a", "c")]), [["a"], ["c"], ["b"]]);
    }

    proptest! {
        #[test]
        fn everybody_stands_somewhere_once(pairs in prop::collection::vec((0_usize..12, 0_usize..12), 0..40)) {
            let names: Vec<String> = (0..12).map(|number| number.to_string()).collect();
            let edges: Vec<(&str, &str)> = pairs.iter().map(|&(from, to)| (&*names[from], &*names[to])).collect();
            let mut standing: Vec<&str> = layers(&edges).concat();
            standing.sort_unstable();
            let mut expected: Vec<&str> = edges.iter().flat_map(|&(from, to)| [from, to]).collect();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(standing, expected);
        }
    }
}
