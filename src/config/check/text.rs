//! The report for people.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use super::{Field, Finding, Outcome};
use crate::config::problem::SHOWN;

/// Write the whole report of one file.
pub(super) fn write(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(out, "{}: {}", outcome.file, verdict(outcome))?;
    for problem in outcome.problems.iter().take(SHOWN) {
        writeln!(out, "  {}", problem.text)?;
    }
    if outcome.problems.len() > SHOWN {
        writeln!(out, "  and {} more", outcome.problems.len() - SHOWN)?;
    }
    if let Some(summary) = &outcome.summary {
        summary.write(out)?;
    }
    findings(out, "warnings", &outcome.warnings)?;
    honoured(out, outcome)?;
    fields(out, "accepted without effect", &outcome.fields.without_effect)?;
    fields(out, "skipped", &outcome.fields.skipped)?;
    fields(out, "refused", &outcome.fields.refused)?;
    writeln!(out)
}

fn verdict(outcome: &Outcome) -> String {
    match outcome.problems.len() {
        0 => "good".to_owned(),
        1 => "1 problem".to_owned(),
        count => format!("{count} problems"),
    }
}

fn findings(out: &mut impl Write, title: &str, findings: &[Finding]) -> io::Result<()> {
    if !findings.is_empty() {
        writeln!(out, "\n  {title}:")?;
    }
    for finding in findings {
        writeln!(out, "    {}", finding.text)?;
    }
    Ok(())
}

/// One line for each message.
fn honoured(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let mut by_message: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for honoured in &outcome.fields.honoured {
        by_message.entry(&honoured.message).or_default().push(&honoured.field);
    }
    if !by_message.is_empty() {
        writeln!(out, "\n  honoured:")?;
    }
    for (message, fields) in by_message {
        writeln!(out, "    {message}: {}", fields.join(", "))?;
    }
    Ok(())
}

/// One line for each field, with the first place and how many more there are.
fn fields(out: &mut impl Write, title: &str, fields: &[Field]) -> io::Result<()> {
    let mut by_field: BTreeMap<(&str, &str, &str), Vec<&str>> = BTreeMap::new();
    for Field { message, field, path, reason } in fields {
        by_field.entry((message, field, reason)).or_default().push(path);
    }
    if !by_field.is_empty() {
        writeln!(out, "\n  {title}:")?;
    }
    for ((message, field, reason), places) in by_field {
        writeln!(out, "    {message}.{field}: {reason}")?;
        if let Some((first, others)) = places.split_first() {
            let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
            writeln!(out, "      at {first}{more}")?;
        }
    }
    Ok(())
}
