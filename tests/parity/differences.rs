//! docs/differences.md, from the differences that scenarios demand.

use crate::scenario::Topic;

const PREFACE: &str = "\
# Where spanway does other than Envoy 1.40

Each entry is shown by scenarios in tests/parity, which send the same bytes through both and demand exactly this
difference; those without are of a kind that the suite cannot show. Written by `cargo test --test parity -- --bless`; a reason is changed where its scenario says it.
";

const WIDTH: usize = 120;
/// Scenarios that are named for a reason; some show in dozens.
const MOST_NAMES: usize = 3;

/// The text of the page.
pub(crate) fn page(topics: &[std::sync::Arc<Topic>]) -> String {
    let mut page = PREFACE.to_owned();
    for topic in topics {
        // In the order of the scenarios.
        let mut entries: Vec<(&str, Vec<&str>)> = Vec::new();
        for spec in topic.scenarios.iter().map(|scenario| &scenario.spec) {
            for differs in &spec.differs {
                let reason = differs.reason.trim();
                match entries.iter_mut().find(|(found, _)| *found == reason) {
                    Some((_, names)) if names.last() == Some(&&*spec.name) => {}
                    Some((_, names)) => names.push(&spec.name),
                    None => entries.push((reason, vec![&spec.name])),
                }
            }
        }
        if entries.is_empty() && topic.notes.is_empty() {
            continue;
        }
        page += &format!("\n## {}\n\n", topic.title);
        for (reason, names) in entries {
            let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join("; ");
            let more = match names.len().saturating_sub(MOST_NAMES) {
                0 => String::new(),
                more => format!("; and {more} more"),
            };
            page += &wrapped(&format!("{reason} *Shown by: {shown}{more}.*"));
        }
        for note in &topic.notes {
            page += &wrapped(note.trim());
        }
    }
    page
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
