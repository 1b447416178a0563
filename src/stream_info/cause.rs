//! Why a request got an error of the proxy's own, for people.

use std::{fmt, time::SystemTime};

use crate::snapshot::Local;

/// The name of its event on a span. No operator, header or event of Envoy's begins like that.
pub(crate) const EVENT: &str = "spanway.local_reply";
/// The attribute of that event with the cause.
const CAUSE: &str = "spanway.cause";
/// The attribute with what to do.
const HINT: &str = "spanway.hint";

/// Why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cause {
    /// When it was known.
    pub(crate) at: SystemTime,
    /// What happened and where: listener, route, cluster, hosts. One line, without control characters.
    pub(crate) sentence: String,
    /// What to look at or to change; empty where nothing is to be done.
    pub(crate) hint: &'static str,
}

impl Cause {
    /// Its event in one text, for what knows no attributes of events.
    pub(crate) fn annotation(&self) -> String {
        format!("{EVENT}: {self}")
    }

    /// What its event on a span says.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let hint = Some((HINT, self.hint)).filter(|(_, hint)| !hint.is_empty());
        std::iter::once((CAUSE, &*self.sentence)).chain(hint)
    }
}

/// Both in one line.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        if self.hint.is_empty() { Ok(()) } else { write!(f, "; {}", self.hint) }
    }
}

/// An attempt that did not go well.
#[derive(Debug, Clone)]
pub(crate) struct FailedAttempt {
    /// The host.
    pub(crate) host: Local<str>,
    /// What came of it.
    pub(crate) outcome: AttemptOutcome,
}

/// What came of an attempt that did not go well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttemptOutcome {
    /// There was no response, for this reason.
    Failed(&'static str),
    /// A response that was not good enough, and was not passed on.
    Status(u16),
}

impl fmt::Display for AttemptOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Status(status) => write!(f, "it answered {status}"),
        }
    }
}
