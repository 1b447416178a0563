//! `/help`: the commands as text, in Envoy's form.

use std::fmt::Write;

use axum::response::Response;

use super::{
    answer,
    command::{Asked, COMMANDS, Kind, Run},
};

/// `/help`
pub(super) fn page(asked: &Asked) -> Response {
    answer::text(list(asked.subject.keeps_traces))
}

/// All commands with their parameters.
pub(super) fn list(keeps_traces: bool) -> String {
    let mut text = "admin commands are:\n".to_owned();
    for command in COMMANDS.iter().filter(|command| keeps_traces || !matches!(command.run, Run::Elsewhere)) {
        let post = if command.mutates { " (POST)" } else { "" };
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {}{post}: {}", command.path, command.help);
        for parameter in command.parameters {
            let _ = write!(text, "      {}: {}", parameter.name, parameter.help);
            if let Kind::OneOf(values) = parameter.kind {
                let _ = write!(text, "; One of ({})", values.join(", "));
            }
            text.push('\n');
        }
    }
    text
}
