//! What is wrong with a configuration, and where.

use std::fmt;

use super::{
    document::Documents,
    path::{FieldPath, Steps},
};

/// How many problems are shown to a person; of more it is said how many.
pub(super) const SHOWN: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The field at fault; empty for the document itself.
    pub path: Steps,
    /// What is wrong with it.
    pub reason: String,
    /// What was expected, or what to do instead.
    pub hint: Option<String>,
    /// Where it stands; filled in once all problems are known.
    pub position: Option<Position>,
    /// A key of the message at `path` that stands for no field, hence is not part of the path.
    pub(super) key: Option<String>,
    /// Which document it was found in, where that is known without searching.
    pub(super) document: Option<usize>,
}

/// A place in a file. Lines and columns count from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The file as it was named on the command line, or `--config-yaml`.
    pub file: String,
    /// Line and column, where they are known.
    pub line_column: Option<(usize, usize)>,
}

/// All that is wrong with a configuration, in the order of the file once located.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.render())]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problem {
    /// A problem of the field at `path`.
    pub fn new(path: &FieldPath<'_>, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_steps(),
            reason: reason.into(),
            hint: None,
            position: None,
            key: None,
            document: None,
        }
    }

    /// The same problem, with what was expected or what to do instead.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same problem, standing at `key` of the message it is about.
    #[must_use]
    pub(super) fn at_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }
}

impl Problems {
    /// Nothing is wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a problem of the field at `path`.
    pub fn push(&mut self, path: &FieldPath<'_>, reason: impl Into<String>) {
        self.add(Problem::new(path, reason));
    }

    /// Add a problem, with what was expected or what to do instead.
    pub fn push_with_hint(
        &mut self,
        path: &FieldPath<'_>,
        reason: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Problem::new(path, reason).hint(hint));
    }

    /// Add a problem that is already made.
    pub fn add(&mut self, problem: Problem) {
        self.list.push(problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many things are wrong.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The problems, in the order they were found or, once located, of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Take over the problems of `others`.
    pub fn append(&mut self, others: Problems) {
        self.list.extend(others.list);
    }

    /// Leave out those of a message or field inside which one of `causes` stands already: what could not be read
    /// is missing too, and that need not be said twice.
    pub(super) fn without_effects_of(mut self, causes: &Problems) -> Self {
        let caused =
            |problem: &Problem| causes.list.iter().any(|cause| cause.path.0.starts_with(&problem.path.0));
        self.list.retain(|problem| !caused(problem));
        self
    }

    /// Find out where each problem stands, and sort by it.
    pub(super) fn locate(&mut self, documents: &Documents) {
        documents.locate(&mut self.list);
        for problem in self.list.iter_mut().filter(|problem| problem.path.is_variable()) {
            problem.position = Some(Position { file: "environment".to_owned(), line_column: None });
        }
        self.list.sort_by(|a, b| {
            let place = |problem: &Problem| {
                let line_column = problem.position.as_ref().and_then(|position| position.line_column);
                (problem.document, line_column.is_none(), line_column)
            };
            place(a).cmp(&place(b))
        });
    }

    /// One line for each problem.
    fn render(&self) -> String {
        let mut lines: Vec<_> = self.list.iter().take(SHOWN).map(Problem::to_string).collect();
        if let Some(more) = self.list.len().checked_sub(SHOWN).filter(|more| *more > 0) {
            lines.push(format!("and {more} more"));
        }
        lines.join("\n")
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = &self.position {
            write!(f, "{position}: ")?;
        }
        if !self.path.0.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.line_column {
            Some((line, column)) => write!(f, ":{line}:{column}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_place_path_reason_hint() {
        let path = FieldPath::ROOT.field("static_resources.clusters");
        let mut problem = Problem::new(&path.index(0), "no field 'x'").hint("did you mean 'y'?");
        assert_eq!(problem.to_string(), "static_resources.clusters[0]: no field 'x'; did you mean 'y'?");
        problem.position = Some(Position { file: "front.yaml".to_owned(), line_column: Some((31, 5)) });
        assert!(problem.to_string().starts_with("front.yaml:31:5: static_resources"), "{problem}");
    }
}
