//! Configuration: Envoy's v3 bootstrap, read, checked and lowered, or refused with every reason.
//!
//! A document becomes a tree ([`node`]), the tree an API message by protobuf's JSON mapping ([`read`]), and that
//! message the typed [`Bootstrap`] that lowering reads.

mod api;
mod document;
mod node;
pub mod path;
pub mod problem;
mod read;

use envoy_types::pb::envoy::config::bootstrap::v3::Bootstrap;
use prost::Message;
use prost_reflect::DynamicMessage;

pub use document::Sources;
pub use path::FieldPath;
pub use problem::{Problem, Problems};

/// A configuration that was read and found good, as far as it can be told without lowering it.
#[derive(Debug)]
pub struct Loaded {
    /// What the documents say, merged. The bytes of every `Any` are those of the message its type URL names.
    pub bootstrap: Bootstrap,
    /// What is out of the ordinary, but no reason to refuse.
    pub warnings: Problems,
    documents: document::Documents,
}

/// Read the configuration that `sources` names.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let documents = document::Documents::open(sources)?;
    let (merged, mut problems) = merge(&documents);
    let bootstrap = typed(&merged, &mut problems);
    if problems.is_empty() {
        return Ok(Loaded { bootstrap, warnings: Problems::new(), documents });
    }
    problems.locate(&documents);
    Err(problems)
}

impl Loaded {
    /// Find out where problems that were found later stand, and put them in the order of the file.
    pub fn locate(&self, problems: &mut Problems) {
        problems.locate(&self.documents);
    }
}

/// Read all documents and merge them the way protobuf does, which its encoding makes a concatenation: items are
/// appended, scalars and map entries replaced, messages merged.
fn merge(documents: &document::Documents) -> (Vec<u8>, Problems) {
    let mut merged = Vec::new();
    let mut problems = Problems::new();
    let Some(descriptor) = api::pool().get_message_by_name(api::BOOTSTRAP) else {
        return (merged, Problem::new(&FieldPath::ROOT, "the API's descriptors cannot be read").into());
    };
    for (number, document) in documents.iter() {
        let (message, found) = match document.parse() {
            Ok(tree) => read::message(&descriptor, &tree.root),
            Err(problems) => (DynamicMessage::new(descriptor.clone()), problems),
        };
        merged.extend(message.encode_to_vec());
        for problem in found {
            problems.add(Problem { document: Some(number), ..problem });
        }
    }
    (merged, problems)
}

fn typed(merged: &[u8], problems: &mut Problems) -> Bootstrap {
    Bootstrap::decode(merged).unwrap_or_else(|error| {
        problems.push(&FieldPath::ROOT, format!("cannot be taken for a bootstrap: {error}"));
        Bootstrap::default()
    })
}

#[cfg(test)]
mod tests;
