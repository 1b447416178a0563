//! What became of each field that a configuration sets.

use std::collections::BTreeMap;

use super::{
    path::{FieldPath, Steps},
    schema::Schema,
};

/// What became of each field that a configuration sets.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Fields that do what the API says: how often each was set, by message and field.
    pub honoured: BTreeMap<String, BTreeMap<String, usize>>,
    /// Fields that are accepted though nothing depends on them.
    pub without_effect: Vec<Mention>,
    /// Fields that were left out because `--skip-unsupported` was given.
    pub skipped: Vec<Mention>,
    /// Fields for which the configuration was refused.
    pub refused: Vec<Mention>,
}

/// One field at one place.
#[derive(Debug, Clone)]
pub struct Mention {
    /// The full name of the message it belongs to.
    pub message: String,
    /// Its name.
    pub field: String,
    /// Where it stands.
    pub path: Steps,
    /// Why it has no effect, or why it was refused.
    pub reason: String,
}

impl Mention {
    pub(super) fn new(message: &str, field: &str, path: &FieldPath<'_>, reason: String) -> Self {
        Self { message: message.to_owned(), field: field.to_owned(), path: path.to_steps(), reason }
    }
}

impl Report {
    /// Take over how often the fields of a message were met.
    pub(super) fn count_honoured(&mut self, schema: &Schema) {
        for (name, count) in schema.honoured() {
            let fields = self.honoured.entry(schema.name.clone()).or_default();
            *fields.entry(name.to_owned()).or_default() += count;
        }
    }
}
