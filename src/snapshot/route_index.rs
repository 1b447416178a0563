//! Which routes of a virtual host may match a path, where there are too many to try them all.

use super::{
    by_length::{ByLength, TextMap},
    route::{PathMatch, Route},
};

/// So many routes are tried faster than they are looked up.
const WORTH_AN_INDEX: usize = 16;

/// The places of a virtual host's routes by what they want of the path, each list in their order.
#[derive(Debug, Default)]
pub(crate) struct RouteIndex {
    /// `path`
    exact: TextMap<Vec<usize>>,
    /// `prefix` and `path_separated_prefix`
    prefixes: ByLength<Vec<usize>>,
    /// Those that have to be tried: regular expressions, and all that look past the case of letters.
    others: Vec<usize>,
}

impl RouteIndex {
    /// The index of these routes, if there are enough of them.
    pub(crate) fn of(routes: &[Route]) -> Option<Self> {
        if routes.len() < WORTH_AN_INDEX {
            return None;
        }
        let mut index = Self::default();
        for (place, route) in routes.iter().enumerate() {
            match &route.matcher.path {
                _ if !route.matcher.case_sensitive => index.others.push(place),
                PathMatch::Exact(path) => index.exact.entry(path.clone()).or_default().push(place),
                PathMatch::Prefix(prefix) | PathMatch::SeparatedPrefix(prefix) => {
                    if let Some(entry) = index.prefixes.entry(prefix) {
                        entry.or_default().push(place);
                    }
                }
                PathMatch::Regex(_) => index.others.push(place),
            }
        }
        Some(index)
    }

    /// The first route that `matches`, in the order of the routes, among those that may match `path`.
    pub(crate) fn first(&self, path: &str, matches: impl Fn(usize) -> bool) -> Option<usize> {
        let prefixes = self.prefixes.beginning(path).map(|(_, list)| list);
        let lists = self.exact.get(path).into_iter().chain(prefixes).chain([&self.others]);
        let mut first: Option<usize> = None;
        for list in lists {
            let earlier = list.iter().copied().take_while(|place| first.is_none_or(|first| *place < first));
            first = earlier.into_iter().find(|place| matches(*place)).or(first);
        }
        first
    }
}
