//! `spanway check`: what of a file is honoured, what is not, and what is wrong with it.

mod summary;
mod text;

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
};

use serde::Serialize;

use super::{
    Loaded, Problem, Problems, Sources, examine,
    report::{Mention, Report},
};
use crate::server::options::CheckOptions;
use summary::Summary;

/// Check each file of `options`, write what was found to `out`, and say whether all are good. `lower` is the step
/// after reading: it adds problems such as references to clusters that do not exist.
pub fn check(
    options: &CheckOptions,
    out: &mut impl Write,
    lower: impl Fn(&Loaded, &mut Problems),
) -> io::Result<ExitCode> {
    let mut all_good = true;
    for file in &options.files {
        let outcome = check_file(file, options.skip_unsupported, &lower);
        all_good &= outcome.ok;
        if options.json {
            serde_json::to_writer(&mut *out, &outcome)?;
            writeln!(out)?;
        } else {
            text::write(out, &outcome)?;
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is known of one file; in this form it is written as JSON.
#[derive(Serialize)]
struct Outcome {
    file: String,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<Summary>,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    fields: Fields,
}

/// A problem or a warning.
#[derive(Serialize)]
struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    path: String,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// All of it in one line.
    text: String,
}

/// What became of the fields.
#[derive(Serialize, Default)]
struct Fields {
    honoured: Vec<Honoured>,
    without_effect: Vec<Field>,
    skipped: Vec<Field>,
    refused: Vec<Field>,
}

/// A field that was honoured, wherever it is set.
#[derive(Serialize)]
struct Honoured {
    message: String,
    field: String,
    count: usize,
}

/// A field at one place.
#[derive(Serialize)]
struct Field {
    message: String,
    field: String,
    path: String,
    reason: String,
}

fn check_file(file: &Path, skip_unsupported: bool, lower: &impl Fn(&Loaded, &mut Problems)) -> Outcome {
    let sources = Sources { path: Some(file.to_owned()), yaml: None, skip_unsupported };
    let name = file.display().to_string();
    let (loaded, mut problems) = match examine(&sources) {
        Ok(examined) => examined,
        Err(problems) => return Outcome::refused(name, problems),
    };
    let mut found = Problems::new();
    lower(&loaded, &mut found);
    loaded.add_found(found, &mut problems);
    let ok = problems.is_empty();
    Outcome {
        file: name,
        ok,
        summary: ok.then(|| Summary::of(&loaded.bootstrap)),
        problems: problems.iter().map(Finding::from).collect(),
        warnings: loaded.warnings.iter().map(Finding::from).collect(),
        fields: Fields::from(loaded.report),
    }
}

impl Outcome {
    /// Of a file that could not even be read.
    fn refused(file: String, problems: Problems) -> Self {
        let problems = problems.iter().map(Finding::from).collect();
        Self { file, ok: false, summary: None, problems, warnings: Vec::new(), fields: Fields::default() }
    }
}

impl From<&Problem> for Finding {
    fn from(problem: &Problem) -> Self {
        let line_column = problem.position.as_ref().and_then(|position| position.line_column);
        Self {
            line: line_column.map(|(line, _)| line),
            column: line_column.map(|(_, column)| column),
            path: problem.path.to_string(),
            reason: problem.reason.clone(),
            hint: problem.hint.clone(),
            text: problem.to_string(),
        }
    }
}

impl From<Report> for Fields {
    fn from(report: Report) -> Self {
        let honoured = report.honoured.into_iter().flat_map(|(message, fields)| {
            let of_message = move |(field, count)| Honoured { message: message.clone(), field, count };
            fields.into_iter().map(of_message)
        });
        let fields = |mentions: Vec<Mention>| mentions.into_iter().map(Field::from).collect();
        Self {
            honoured: honoured.collect(),
            without_effect: fields(report.without_effect),
            skipped: fields(report.skipped),
            refused: fields(report.refused),
        }
    }
}

impl From<Mention> for Field {
    fn from(mention: Mention) -> Self {
        let Mention { message, field, path, reason } = mention;
        Self { message, field, path: path.to_string(), reason }
    }
}

#[cfg(test)]
mod tests;
