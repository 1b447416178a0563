//! `/logging`: the levels of the log, and changes of them.

use std::fmt::Write;

use axum::response::Response;
use http::StatusCode;

use super::{answer, command::Asked};
use crate::loggers::{Level, LevelError, Loggers, pairs};

const USAGE: &str = "usage: /logging?<name>=<level> (change single level)\n\
                     usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\n\
                     usage: /logging?level=<level> (change all levels)\n";

/// `/logging`
pub(super) fn page(asked: &Asked) -> Response {
    let loggers = &asked.subject.loggers;
    // A form sends its empty fields, too.
    let said: Vec<_> = asked.parameters().filter(|(_, value)| !value.is_empty()).collect();
    let outcome = match &*said {
        [] => Ok(()),
        [(name, value)] => change(loggers, name, value),
        _ => Err(Refusal::of("invalid number of parameters")),
    };
    let mut text = String::new();
    let status = match outcome {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            // Writing to a text does not fail.
            let _ = writeln!(text, "error: {}", error.words);
            if let Some(detail) = error.detail {
                let _ = writeln!(text, "{detail}");
            }
            let _ = write!(text, "\n{USAGE}levels: ");
            Level::names().for_each(|name| text.extend([name, " "]));
            text.push('\n');
            StatusCode::BAD_REQUEST
        }
    };
    text.push_str("active loggers:\n");
    for (name, level) in loggers.levels() {
        let _ = writeln!(text, "  {name}: {}", level.name());
    }
    text.push('\n');
    answer::refusal(status, text)
}

/// Why nothing is changed.
struct Refusal {
    /// In Envoy's words.
    words: String,
    /// What they leave out.
    detail: Option<String>,
}

impl Refusal {
    fn of(words: &str) -> Self {
        Self { words: words.to_owned(), detail: None }
    }
}

impl From<LevelError> for Refusal {
    fn from(error: LevelError) -> Self {
        Self { words: error.to_string(), detail: Some(error.detail()) }
    }
}

fn change(loggers: &Loggers, name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        "level" => match Level::named(value) {
            Some(level) => loggers.set_all(level),
            None => return Err(LevelError::Level(value.to_owned()).into()),
        },
        "paths" => loggers.set(&pairs(value))?,
        "group" => return Err(Refusal::of("group parameter requires fine-grain logging to be enabled")),
        name => loggers.set(&[(name, value)])?,
    }
    Ok(())
}
