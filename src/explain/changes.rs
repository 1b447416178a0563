//! How headers differ from what they were.

use http::{HeaderMap, HeaderName, header::HOST};

use super::{
    report::Change,
    words::{lines, shown},
};

/// What became of `before`, by name. What is not the same in `twin`, the outcome of another try, is another each time.
pub(super) fn between(before: &HeaderMap, after: &HeaderMap, twin: Option<&HeaderMap>) -> Vec<Change> {
    let mut names: Vec<&HeaderName> = before.keys().chain(after.keys()).collect();
    names.sort_by(|one, two| one.as_str().cmp(two.as_str()));
    names.dedup();
    let text = |headers: &HeaderMap, name: &HeaderName| lines(headers.get_all(name).iter());
    let change = |name: &HeaderName| {
        let (before, after) = (text(before, name), text(after, name));
        let varies = twin.is_some_and(|twin| text(twin, name) != after);
        (before != after || varies).then(|| {
            let show = |value: Option<String>| value.map(|value| shown(name.as_str(), &value));
            Change { name: name.to_string(), before: show(before), after: show(after), varies }
        })
    };
    // The authority is told apart from headers: HTTP/2 has it elsewhere.
    names.into_iter().filter(|name| *name != HOST).filter_map(change).collect()
}

/// A change in a line.
pub(super) fn line(change: &Change) -> String {
    let name = &change.name;
    let varies = if change.varies { "  (another one each time)" } else { "" };
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("+ {name}: {after}{varies}"),
        (Some(before), None) => format!("- {name}: {before}"),
        (before, after) => {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            format!("~ {name}: {} -> {}{varies}", text(before), text(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_changed_and_varies_is_told_and_nothing_else() {
        let map = |list: &[(&'static str, &'static str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in list {
                map.append(*name, http::HeaderValue::from_static(value));
            }
            map
        };
        let before = map(&[("host", "a"), ("gone", "1"), ("same", "2"), ("list", "3")]);
        let after =
            map(&[("host", "b"), ("same", "2"), ("list", "3"), ("list", "4"), ("new", "5"), ("id", "6")]);
        let twin =
            map(&[("host", "b"), ("same", "2"), ("list", "3"), ("list", "4"), ("new", "5"), ("id", "7")]);
        let lines = between(&before, &after, Some(&twin)).iter().map(line).collect::<Vec<_>>();
        assert_eq!(lines, ["- gone: 1", "+ id: 6  (another one each time)", "~ list: 3 -> 3, 4", "+ new: 5"]);
    }
}
