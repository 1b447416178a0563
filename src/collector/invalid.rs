//! Items of a message that cannot be kept.

use std::fmt;

/// How many of a message's items are invalid, and why the first one is.
#[derive(Debug, Default)]
pub(crate) struct Invalid {
    count: usize,
    first: Option<String>,
}

impl Invalid {
    /// `count` more, for the reason that `reason` names.
    pub(super) fn add(&mut self, count: usize, reason: &dyn fmt::Display) {
        if count > 0 {
            self.count += count;
            self.first.get_or_insert_with(|| reason.to_string());
        }
    }

    /// How many.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.first.as_deref().unwrap_or_default();
        write!(f, "{} invalid, the first because of {first}", self.count)
    }
}
