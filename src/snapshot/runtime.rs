//! The layers of the runtime as they were given, for who asks; what serves was resolved from them.

use std::collections::BTreeMap;

/// `Bootstrap.layered_runtime`
#[derive(Debug, Default)]
pub(crate) struct RuntimeLayers {
    /// The names of the layers, in their order.
    pub(crate) names: Vec<Box<str>>,
    /// What each layer says of a key; empty where it says nothing.
    pub(crate) entries: BTreeMap<Box<str>, Box<[Box<str>]>>,
}
