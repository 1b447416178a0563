//! `/runtime`: what the layers of the runtime say.

use std::collections::BTreeMap;

use axum::response::Response;
use serde::Serialize;

use super::{answer, command::Asked};

/// As Envoy's `/runtime`.
#[derive(Debug, Serialize)]
struct RuntimeDump<'a> {
    entries: BTreeMap<&'a str, Entry<'a>>,
    layers: &'a [Box<str>],
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    final_value: &'a str,
    layer_values: &'a [Box<str>],
}

/// `/runtime`
pub(super) fn page(asked: &Asked) -> Response {
    let runtime = &asked.subject.snapshot.runtime;
    let entries = runtime.entries.iter().map(|(key, values)| {
        let last = values.iter().rfind(|value| !value.is_empty());
        let final_value = last.map(|value| &**value).unwrap_or_default();
        (&**key, Entry { final_value, layer_values: values })
    });
    answer::json(&RuntimeDump { entries: entries.collect(), layers: &runtime.names })
}
