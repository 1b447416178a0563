//! Where in a document something stands, by field names and indices.

use std::fmt;

/// A field path that grows on the stack while code descends into messages: `path.field("clusters").index(3)`.
///
/// It borrows its parent, so a step that is used more than once gets its own `let`. A name may hold several
/// fields at once: `path.field("route_config.virtual_hosts")`.
#[derive(Debug, Clone, Copy)]
pub struct FieldPath<'a> {
    parent: Option<&'a FieldPath<'a>>,
    step: BorrowedStep<'a>,
}

#[derive(Debug, Clone, Copy)]
enum BorrowedStep<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl FieldPath<'static> {
    /// The document itself.
    pub const ROOT: FieldPath<'static> = FieldPath { parent: None, step: BorrowedStep::Root };
}

impl<'a> FieldPath<'a> {
    /// The field `name` of this message, as the API spells it (snake_case).
    pub fn field<'b>(&'b self, name: &'b str) -> FieldPath<'b> {
        FieldPath { parent: Some(self), step: BorrowedStep::Field(name) }
    }

    /// Item `index` of this repeated field.
    pub fn index<'b>(&'b self, index: usize) -> FieldPath<'b> {
        FieldPath { parent: Some(self), step: BorrowedStep::Index(index) }
    }

    /// The entry `key` of this map.
    pub fn key<'b>(&'b self, key: &'b str) -> FieldPath<'b> {
        FieldPath { parent: Some(self), step: BorrowedStep::Key(key) }
    }

    /// The same path, owned.
    pub fn to_steps(&self) -> Steps {
        let mut steps = self.parent.map(FieldPath::to_steps).unwrap_or_default();
        match self.step {
            BorrowedStep::Root => {}
            BorrowedStep::Field(names) => {
                steps.0.extend(names.split('.').map(|name| Step::Field(name.to_owned())));
            }
            BorrowedStep::Index(index) => steps.0.push(Step::Index(index)),
            BorrowedStep::Key(key) => steps.0.push(Step::Key(key.to_owned())),
        }
        steps
    }
}

impl fmt::Display for FieldPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_steps().fmt(f)
    }
}

/// A field path that outlives the descent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Steps(pub Vec<Step>);

impl Steps {
    /// The path that is written like that: names of fields divided by dots, each with its indices.
    pub(super) fn read(text: &str) -> Self {
        let mut steps = Vec::new();
        for part in text.split('.') {
            let mut pieces = part.split('[');
            steps.extend(pieces.next().map(|name| Step::Field(name.to_owned())));
            steps.extend(pieces.filter_map(|index| index.strip_suffix(']')?.parse().ok().map(Step::Index)));
        }
        Self(steps)
    }

    /// Whether it names a variable of the environment, which no field's name can be.
    pub(super) fn is_variable(&self) -> bool {
        matches!(self.0.first(), Some(Step::Field(name)) if name.starts_with(|first: char| first.is_ascii_uppercase()))
    }
}

/// One step of a field path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Into a field of a message.
    Field(String),
    /// Into an item of a repeated field.
    Index(usize),
    /// Into an entry of a map.
    Key(String),
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_the_api() {
        let clusters = FieldPath::ROOT.field("static_resources.clusters");
        assert_eq!(clusters.index(3).field("name").to_string(), "static_resources.clusters[3].name");
        assert_eq!(clusters.key("a.b").field("x").to_string(), "static_resources.clusters[\"a.b\"].x");
        assert_eq!(clusters.to_steps().0.len(), 2);
        let route = clusters.index(3).field("a.b").index(0).index(12).to_steps();
        assert_eq!(Steps::read(&route.to_string()), route);
        assert_eq!(FieldPath::ROOT.to_string(), "");
    }
}
