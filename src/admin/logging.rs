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
        _ => Err("invalid number of parameters".to_owned()),
    };
    let mut text = String::new();
    let status = match outcome {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            // Writing to a text does not fail.
            let _ = write!(text, "error: {error}\n\n{USAGE}levels: ");
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

fn change(loggers: &Loggers, name: &str, value: &str) -> Result<(), String> {
    match name {
        "level" => match Level::named(value) {
            Some(level) => loggers.set_all(level),
            None => return Err(LevelError::Level.to_string()),
        },
        "paths" => loggers.set(&pairs(value)).map_err(|error| error.to_string())?,
        "group" => return Err("group parameter requires fine-grain logging to be enabled".to_owned()),
        name => loggers.set(&[(name, value)]).map_err(|error| error.to_string())?,
    }
    Ok(())
}
