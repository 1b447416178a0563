//! The command line.

use std::{path::PathBuf, time::Duration};

use crate::{measure::Effort, modes::MODES, tools::repository};

/// What the run is asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) modes: Vec<&'static str>,
    pub(crate) effort: Effort,
    /// The run ends after this, finished or not.
    pub(crate) limit: Duration,
    pub(crate) json: Option<PathBuf>,
    pub(crate) svg: Option<PathBuf>,
    pub(crate) markdown: bool,
    /// Nothing is measured; spanway serves what a profile-guided build is to learn from.
    pub(crate) train: bool,
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    let mut text = "cargo bench --bench peers -- [MODE]... [--rounds N] [--seconds N] [--limit SECONDS]
                             [--json FILE] [--markdown] [--svg FILE]
cargo bench --bench peers -- --train    (no measurement: what benches/pgo.sh learns from)

Paths are relative to the repository. Without a mode, all of them:
"
    .to_owned();
    for (name, what) in MODES {
        text += &format!("  {name:10}{what}\n");
    }
    text
}

/// Where a file is to be written; told before the run if it cannot.
fn file(path: &str) -> Result<PathBuf, String> {
    let file = repository().join(path);
    let folder = file.parent().is_some_and(|folder| folder.is_dir());
    if folder { Ok(file) } else { Err(format!("'{path}' is in no folder that there is")) }
}

/// Reads the command line; None when it asks for help.
pub(crate) fn read(given: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    // What cargo tells every bench, wherever it puts it.
    let mut given = given.filter(|argument| argument != "--bench");
    let mut arguments = Arguments {
        modes: Vec::new(),
        effort: Effort { seconds: 1, rounds: 3 },
        limit: Duration::ZERO,
        json: None,
        svg: None,
        markdown: false,
        train: false,
    };
    let mut limit = 3600;
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| match text.parse::<u64>() {
            Ok(number) if (1..=100_000).contains(&number) => Ok(number),
            _ => Err(format!("'{text}' is no number from 1 to 100000")),
        };
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--rounds" => arguments.effort.rounds = usize::try_from(number(value()?)?).unwrap_or(1),
            "--seconds" => arguments.effort.seconds = number(value()?)?,
            "--limit" => limit = number(value()?)?,
            "--json" => arguments.json = Some(file(&value()?)?),
            "--svg" => arguments.svg = Some(file(&value()?)?),
            "--markdown" => arguments.markdown = true,
            "--train" => arguments.train = true,
            mode => match MODES.iter().find(|(name, _)| *name == mode) {
                Some((name, _)) => arguments.modes.push(name),
                None => return Err(format!("'{mode}' is no mode and no flag\n\n{}", help())),
            },
        }
    }
    if arguments.modes.is_empty() && !arguments.train {
        arguments.modes = MODES.iter().map(|(name, _)| *name).collect();
    }
    arguments.limit = Duration::from_secs(limit);
    Ok(Some(arguments))
}
