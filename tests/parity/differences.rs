//! docs/differences.md, from the differences that scenarios demand.

use std::collections::HashSet;

use crate::scenario::{Spec, Topic};

const PREFACE: &str = "\
# Where spanway does other than Envoy 1.40

Each entry is shown by scenarios in tests/parity, which send the same bytes through both and demand exactly this
difference; those without are of a kind that the suite cannot show. Written by `cargo test --test parity -- --bless`; a
reason is changed where its scenario says it.
";

const WIDTH: usize = 120;
/// Scenarios that are named for a reason; some show in dozens.
const MOST_NAMES: usize = 3;

/// The text of the page.
pub(crate) fn page(topics: &[std::sync::Arc<Topic>]) -> String {
    let mut page = PREFACE.to_owned();
    // What shows in several topics stands under the first.
    let mut told: HashSet<&str> = HashSet::new();
    for topic in topics {
        let mut entries = String::new();
        for reason in reasons(topic) {
            if !told.insert(reason) {
                continue;
            }
            let names: Vec<&str> = topics.iter().flat_map(|topic| shown_by(topic, reason)).collect();
            let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join("; ");
            let more = match names.len().saturating_sub(MOST_NAMES) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            entries += &wrapped(&format!("{reason} *Shown by: {shown}{more}.*"));
        }
        for note in &topic.notes {
            entries += &wrapped(note.trim());
        }
        if !entries.is_empty() {
            page += &format!("\n## {}\n\n{entries}", topic.title);
        }
    }
    page
}

/// The reasons that a topic's scenarios give, in their order.
fn reasons(topic: &Topic) -> impl Iterator<Item = &str> {
    let differs = topic.scenarios.iter().flat_map(|scenario| &scenario.spec.differs);
    differs.map(|differs| differs.reason.trim())
}

/// The scenarios of a topic that differ for this reason.
fn shown_by<'a>(topic: &'a Topic, reason: &str) -> impl Iterator<Item = &'a str> {
    let differs = move |spec: &&Spec| spec.differs.iter().any(|differs| differs.reason.trim() == reason);
    topic.scenarios.iter().map(|scenario| &scenario.spec).filter(differs).map(|spec| &*spec.name)
}

/// As an item of a list.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut line = "-".to_owned();
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines += &line;
            lines.push('\n');
            line = " ".to_owned();
        }
        line.push(' ');
        line += word;
    }
    lines + &line + "\n"
}
