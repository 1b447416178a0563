//! The commands of the admin interface: one table, of which answers, `/help` and the page `/` are made.

mod missing;
mod table;

use axum::response::Response;
use form_urlencoded::Parse;

use super::Subject;

pub(super) use self::table::COMMANDS;

/// Something that can be asked or told.
#[derive(Debug)]
pub(super) struct Command {
    /// Where.
    pub(super) path: &'static str,
    /// What it does, in Envoy's words where Envoy has it.
    pub(super) help: &'static str,
    /// It changes something, and is told by POST only.
    pub(super) mutates: bool,
    /// What may be said with it.
    pub(super) parameters: &'static [Parameter],
    /// What answers.
    pub(super) run: Run,
}

/// What may be said with a command.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// Which values a parameter takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// It is there, or not.
    Flag,
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// What answers a command.
#[derive(Debug, Clone, Copy)]
pub(super) enum Run {
    /// At once, on the main thread.
    Here(fn(&Asked) -> Response),
    /// On a thread of its own, since it takes long and takes memory, which is given back with the thread.
    Apart(fn(&Asked) -> Response),
    /// Other routes.
    Elsewhere,
    /// Envoy has it, spanway has not, for this reason.
    Missing(&'static str),
}

/// A request for a command.
#[derive(Debug)]
pub(super) struct Asked {
    /// What is asked about.
    pub(super) subject: Subject,
    /// The parameters, as a form is encoded.
    pub(super) query: String,
    /// Who asks reads OpenMetrics.
    pub(super) open_metrics: bool,
}

impl Asked {
    /// All parameters.
    pub(super) fn parameters(&self) -> Parse<'_> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// The first parameter of that name, if it says something.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        let found = self.parameters().find(|(known, _)| known == name)?.1;
        Some(found.into_owned()).filter(|value| !value.is_empty())
    }

    /// Whether there is a parameter of that name; it need not say anything.
    pub(super) fn has(&self, name: &str) -> bool {
        self.parameters().any(|(known, _)| known == name)
    }
}

/// The command at `path`.
pub(super) fn find(path: &str) -> Option<&'static Command> {
    COMMANDS.iter().chain(missing::MISSING).find(|command| command.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_says_each_path_once() {
        let paths: Vec<_> = COMMANDS.iter().map(|command| command.path).collect();
        assert!(paths.is_sorted_by(|one, two| one < two), "{paths:?}");
        for command in missing::MISSING {
            assert!(!paths.contains(&command.path), "{} is said to be missing, too", command.path);
            assert!(matches!(command.run, Run::Missing(_)), "{}", command.path);
        }
    }
}
