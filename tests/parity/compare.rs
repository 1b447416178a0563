//! Tells whether two observations are equal, but for what is meant to differ.

use similar::{ChangeTag, TextDiff};

use crate::{observation::Line, scenario::Differs};

/// What came out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Equal,
    /// Equal but for the differences that are intended, all of which are there.
    OnPurpose,
    Failed(String),
}

/// Compare Envoy's lines with the others.
pub(crate) fn compare(envoy: &[Line], other: &[Line], differs: &[Differs]) -> Verdict {
    for difference in differs {
        let at = difference.at.paths();
        for path in at {
            if under(envoy, std::slice::from_ref(path)).is_empty()
                && under(other, std::slice::from_ref(path)).is_empty()
            {
                return Verdict::Failed(format!("differs: nothing is at {path} on either side\n"));
            }
        }
        if under(envoy, at) == under(other, at) {
            let at = at.join(", ");
            return Verdict::Failed(format!("difference is gone: remove differs at {at}\n"));
        }
    }
    let at: Vec<String> = differs.iter().flat_map(|differs| differs.at.paths().to_vec()).collect();
    let rest = |lines: &[Line]| -> Vec<String> {
        lines.iter().filter(|line| !is_under(line, &at)).map(Line::to_string).collect()
    };
    let (envoy, other) = (rest(envoy), rest(other));
    if envoy != other {
        return Verdict::Failed(diff(&envoy, &other));
    }
    if differs.is_empty() { Verdict::Equal } else { Verdict::OnPurpose }
}

fn under(lines: &[Line], at: &[String]) -> Vec<Line> {
    lines.iter().filter(|line| is_under(line, at)).cloned().collect()
}

fn is_under(line: &Line, at: &[String]) -> bool {
    at.iter().any(|at| matches(&line.path, at))
}

/// Whether a path begins with these segments, where `*` is any one.
fn matches(path: &str, at: &str) -> bool {
    let mut segments = path.split('.');
    at.split('.').all(|wanted| segments.next().is_some_and(|segment| wanted == "*" || wanted == segment))
}

/// Changed lines with a few around them.
fn diff(envoy: &[String], other: &[String]) -> String {
    let envoy: Vec<&str> = envoy.iter().map(String::as_str).collect();
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    let diff = TextDiff::from_slices(&envoy, &other);
    let mut text = String::new();
    for (index, group) in diff.grouped_ops(2).iter().enumerate() {
        if index > 0 {
            text += "    ...\n";
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            text += &format!("  {sign} {}\n", change.value());
        }
    }
    text
}
