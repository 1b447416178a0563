//! Configuration: Envoy's v3 bootstrap, read, checked and lowered, or refused with every reason.
//!
//! A document becomes a tree (`node`), the tree an API message by protobuf's JSON mapping (`read`). Each field of
//! it is looked up in the table of what is `supported` and held against the API's own rules (`validate`) in one
//! walk (`inspect`). What is left is the typed [`Bootstrap`] that lowering reads.

mod api;
pub mod check;
mod document;
pub(crate) mod dump;
mod inspect;
pub mod lower;
mod node;
pub mod path;
pub mod problem;
mod read;
pub mod report;
mod schema;
pub mod supported;
mod validate;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use prost::Message;
use prost_reflect::DynamicMessage;

use document::Documents;
use inspect::Findings;

pub use document::Sources;
pub use path::FieldPath;
use path::Steps;
pub use problem::{Position, Problem, Problems};
pub use report::Report;

/// A configuration that was read and found good, as far as it can be told without lowering it.
#[derive(Debug)]
pub struct Loaded {
    /// What the documents say, merged. The bytes of every `Any` are those of the message its type URL names.
    pub bootstrap: Bootstrap,
    /// What is out of the ordinary, but no reason to refuse: the fields that `--skip-unsupported` skips. They are
    /// still set in `bootstrap`.
    pub warnings: Problems,
    /// What became of each field.
    pub report: Report,
    documents: Documents,
}

/// Read the configuration that `sources` names, and refuse it if anything is wrong with it.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let (loaded, problems) = examine(sources)?;
    if problems.is_empty() { Ok(loaded) } else { Err(problems) }
}

/// Read the configuration that `sources` names as far as it can be read, with all that is wrong with it. An error
/// means that there is nothing to read.
pub fn examine(sources: &Sources) -> Result<(Loaded, Problems), Problems> {
    let documents = Documents::open(sources)?;
    let (merged, mut problems, findings) = api::read_by_need(|| {
        let (merged, problems) = merge(&documents);
        let findings = inspect::inspect(&merged, sources.skip_unsupported);
        (merged, problems, findings)
    });
    let Findings { refused, broken, mut warnings, report } = findings;
    problems.append(broken.without_effects_of(&problems));
    problems.append(refused);
    let bootstrap = typed(&merged, &mut problems);
    problems.locate(&documents);
    warnings.locate(&documents);
    Ok((Loaded { bootstrap, warnings, report, documents }, problems))
}

impl Loaded {
    /// Add what lowering found to what was found before, without what follows from it, in the order of the file.
    pub fn add_found(&self, found: Problems, problems: &mut Problems) {
        problems.append(found.without_effects_of(problems));
        self.locate(problems);
    }

    /// Where fields stand, by paths such as `static_resources.clusters[0]`; the nearest that the file has.
    pub fn positions<'p>(&self, paths: impl Iterator<Item = &'p str>) -> Vec<Option<Position>> {
        let of = |path| Problem { path: Steps::read(path), ..Problem::new(&FieldPath::ROOT, "") };
        let mut fields: Vec<Problem> = paths.map(of).collect();
        self.documents.locate(&mut fields);
        fields.into_iter().map(|field| field.position).collect()
    }

    /// Find out where problems that were found later stand, and put them in the order of the file.
    pub fn locate(&self, problems: &mut Problems) {
        problems.locate(&self.documents);
    }
}

/// Give back the memory that reading configurations took; the next one to be read takes it again.
pub fn release() {
    api::release();
}

/// Read all documents and merge them the way protobuf does, which its encoding makes a concatenation: items are
/// appended, scalars and map entries replaced, messages merged.
fn merge(documents: &Documents) -> (DynamicMessage, Problems) {
    let descriptor = api::bootstrap();
    let mut merged: Option<DynamicMessage> = None;
    let mut problems = Problems::new();
    for (number, document) in documents.iter() {
        let (message, found) = match document.parse() {
            Ok(tree) => read::message(&descriptor, &tree.root),
            Err(problems) => (DynamicMessage::new(descriptor.clone()), problems),
        };
        for problem in found {
            problems.add(Problem { document: Some(number), ..problem });
        }
        match &mut merged {
            None => merged = Some(message),
            Some(merged) => merged.merge(&message.encode_to_vec()[..]).unwrap_or_else(|error| {
                problems.push(&FieldPath::ROOT, format!("cannot be merged: {error}"));
            }),
        }
    }
    (merged.unwrap_or_else(|| DynamicMessage::new(descriptor)), problems)
}

fn typed(merged: &DynamicMessage, problems: &mut Problems) -> Bootstrap {
    merged.transcode_to().unwrap_or_else(|error| {
        problems.push(&FieldPath::ROOT, format!("cannot be taken for a bootstrap: {error}"));
        Bootstrap::default()
    })
}

#[cfg(test)]
mod tests;
