//! The texts a configuration is read from: a file, and what `--config-yaml` adds to it.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    node::{self, Found, Tree},
    path::{FieldPath, Step},
    problem::{Position, Problem, Problems},
};

/// A configuration beyond this many bytes is refused: it is surely not one.
const MAX_BYTES: u64 = 32 << 20;

/// Where the configuration comes from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A file: YAML, or JSON where its name ends in `.json`. `--config-path`.
    pub path: Option<PathBuf>,
    /// YAML text merged over the file. `--config-yaml`.
    pub yaml: Option<String>,
    /// Warn of unsupported fields instead of refusing them. `--skip-unsupported`.
    pub skip_unsupported: bool,
}

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Yaml,
    Json,
}

/// One text.
#[derive(Debug, Clone)]
pub(super) struct Document {
    /// The file as it was named, or `--config-yaml`.
    name: String,
    text: String,
    format: Format,
}

/// All texts of one configuration, in the order in which they are merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents(Vec<Document>);

impl Documents {
    /// Read the files that `sources` names.
    pub(super) fn open(sources: &Sources) -> Result<Self, Problems> {
        let mut documents = Vec::new();
        if let Some(path) = &sources.path {
            documents.push(Document::open(path)?);
        }
        if let Some(text) = sources.yaml.as_ref().filter(|text| !text.trim().is_empty()) {
            let name = "--config-yaml".to_owned();
            documents.push(Document { name, text: text.clone(), format: Format::Yaml });
        }
        if documents.is_empty() {
            let problem = Problem::new(&FieldPath::ROOT, "no configuration was given");
            let hint = "name a file with --config-path, or give text with --config-yaml";
            return Err(problem.hint(hint).into());
        }
        Ok(Self(documents))
    }

    /// The documents with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Document)> {
        self.0.iter().enumerate()
    }

    /// Fill in the position of each problem that has none.
    pub(super) fn locate(&self, problems: &mut [Problem]) {
        let mut unlocated: Vec<_> =
            problems.iter_mut().filter(|problem| problem.position.is_none()).collect();
        if unlocated.is_empty() {
            return;
        }
        let trees: Vec<_> = self.0.iter().map(|document| document.parse().unwrap_or_default()).collect();
        let trails: Vec<_> = unlocated.iter().map(|problem| find(problem, &trees)).collect();
        for (number, document) in self.iter() {
            let here = trails.iter().filter(|(found, _)| *found == number);
            let wanted = here.flat_map(|(_, trail)| trail).copied().collect();
            let positions = node::positions(&document.text, wanted);
            for (problem, (found, trail)) in unlocated.iter_mut().zip(&trails) {
                if *found == number {
                    let line_column = trail.iter().rev().find_map(|place| positions.get(place)).copied();
                    problem.document = Some(number);
                    problem.position = Some(Position { file: document.name.clone(), line_column });
                }
            }
        }
    }
}

impl Document {
    fn open(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let at_fault = |reason: String, hint: Option<&str>| {
            Problems::from(Problem {
                position: Some(Position { file: name.clone(), line_column: None }),
                hint: hint.map(str::to_owned),
                ..Problem::new(&FieldPath::ROOT, reason)
            })
        };
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        if extension == "pb" || extension == "pb_text" {
            return Err(at_fault("protobuf files are not read".to_owned(), Some("write it as YAML or JSON")));
        }

        let file = File::open(path).map_err(|error| at_fault(format!("cannot be opened: {error}"), None))?;
        let mut bytes = Vec::new();
        // One byte more than is allowed shows an excess, whatever kind of file it is.
        file.take(MAX_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| at_fault(format!("cannot be read: {error}"), None))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(at_fault(format!("is larger than {} MB", MAX_BYTES >> 20), None));
        }
        let text = String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            at_fault(format!("is not UTF-8 text, from byte {valid} on"), None)
        })?;
        if text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#') || line == "---") {
            return Err(at_fault("is empty".to_owned(), Some("expected an Envoy v3 bootstrap")));
        }
        let format = if extension == "json" { Format::Json } else { Format::Yaml };
        Ok(Self { name, text, format })
    }

    /// Parse, or say where the text is not YAML or JSON at all.
    pub(super) fn parse(&self) -> Result<Tree, Problems> {
        node::parse(&self.text, self.format).map_err(|error| {
            Problems::from(Problem {
                position: Some(Position { file: self.name.clone(), line_column: error.line_column }),
                ..Problem::new(&FieldPath::ROOT, error.reason)
            })
        })
    }
}

/// The document a problem stands in, and the nodes and keys that lead to it.
fn find(problem: &Problem, trees: &[Tree]) -> (usize, Vec<u32>) {
    let key = problem.key.iter().map(|key| Step::Key(key.clone()));
    let mut steps: Vec<Step> = problem.path.0.iter().cloned().chain(key).collect();
    if let Some((number, tree)) = problem.document.and_then(|number| Some((number, trees.get(number)?))) {
        return (number, tree.find(&steps).trail);
    }

    // Items of a later document are appended to those of an earlier one, and its scalars replace.
    let indexed = steps.iter().any(|step| matches!(step, Step::Index(_)));
    let mut best = (0, 0, Vec::new());
    for (number, tree) in trees.iter().enumerate() {
        let Found { trail, depth, items } = tree.find(&steps);
        if let (Some(count), Some(Step::Index(index))) = (items, steps.get_mut(depth)) {
            *index = index.saturating_sub(count);
        }
        if number == 0 || depth > best.1 || (depth == best.1 && !indexed) {
            best = (number, depth, trail);
        }
    }
    (best.0, best.2)
}

/// Problems of a configuration that could not even be opened.
impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        let mut problems = Problems::new();
        problems.add(problem);
        problems
    }
}
