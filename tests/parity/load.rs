//! Reads the files of scenarios, and writes their short forms out.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;
use serde_yaml::{Mapping, Value};

use crate::{
    bootstrap::merge,
    scenario::{Scenario, Spec, Topic},
};

/// What describes one listener; under `listeners`, or in the scenario itself if it has one only.
const OF_A_LISTENER: [&str; 9] = [
    "hcm",
    "listener",
    "router",
    "tracing",
    "tracer",
    "tracer_name",
    "routes",
    "virtual_host",
    "route_config",
];

/// What describes an answer of an upstream, and each of a `sequence`.
const OF_AN_ANSWER: [&str; 10] =
    ["status", "headers", "body", "chunked", "trailers", "delay", "raw", "then", "reset", "early"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default, rename = "about")]
    _about: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    bootstrap: Value,
    #[serde(default)]
    defaults: Option<Value>,
    #[serde(default)]
    scenarios: Vec<Value>,
    #[serde(default)]
    notes: Vec<String>,
}

/// Read one file; what is wrong with it names its place.
pub(crate) fn load(path: &Path) -> Result<Topic, String> {
    let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let read: File = serde_yaml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut scenarios = Vec::new();
    for (index, value) in read.scenarios.into_iter().enumerate() {
        let name = value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        let line = text.lines().position(|line| is_name(line, &name)).map_or(1, |line| line + 1);
        let place = format!("{}:{line}", path.display());
        let mut raw = read.defaults.clone().unwrap_or_else(|| Value::Mapping(Mapping::new()));
        merge(&mut raw, value);
        let raw = in_full(raw);
        let spec = spec(&raw).map_err(|error| format!("{place}: {name}: {error}"))?;
        scenarios.push(Scenario { index, place, raw, spec });
    }
    Ok(Topic {
        file,
        title: read.title,
        env: read.env,
        bootstrap: read.bootstrap,
        scenarios,
        notes: read.notes,
    })
}

/// Whether this line begins the scenario of this name.
fn is_name(line: &str, name: &str) -> bool {
    let written = line.trim_start().strip_prefix("- name:").map(str::trim);
    written.is_some_and(|written| {
        written == name || serde_yaml::from_str::<String>(written).is_ok_and(|written| written == name)
    })
}

/// A scenario from its text, whose placeholders may be filled in.
pub(crate) fn spec(raw: &Value) -> Result<Spec, String> {
    serde_yaml::from_value(raw.clone()).map_err(|error| error.to_string())
}

/// Short forms written out: one listener is called `in`, one upstream `up`, one answer is a sequence.
fn in_full(mut raw: Value) -> Value {
    let Some(scenario) = raw.as_mapping_mut() else { return raw };
    if scenario.contains_key("config") {
        // The text is all there is; what a file has for all its scenarios has no place in it.
        scenario.retain(|key, _| matches!(key.as_str(), Some("name" | "config" | "differs" | "validate")));
        return raw;
    }
    let common = take(scenario, &OF_A_LISTENER);
    let listeners = scenario.entry("listeners".into()).or_insert_with(|| Value::Mapping(Mapping::new()));
    if let Some(listeners) = listeners.as_mapping_mut() {
        if listeners.is_empty() {
            listeners.insert("in".into(), Value::Mapping(Mapping::new()));
        }
        for (_, listener) in listeners.iter_mut() {
            let mut whole = Value::Mapping(common.clone());
            if !listener.is_null() {
                merge(&mut whole, listener.clone());
            }
            *listener = whole;
        }
    }
    let upstreams = scenario.entry("upstreams".into()).or_insert_with(|| Value::Mapping(Mapping::new()));
    if let Some(upstreams) = upstreams.as_mapping_mut() {
        if upstreams.is_empty() {
            upstreams.insert("up".into(), Value::Mapping(Mapping::new()));
        }
        upstreams.iter_mut().for_each(|(_, upstream)| answers_in_full(upstream, false));
    }
    if let Some(collector) = scenario.get_mut("collector") {
        answers_in_full(collector, true);
    }
    raw
}

/// A collector answers as collectors do unless something is said of its answers.
fn answers_in_full(upstream: &mut Value, is_collector: bool) {
    if upstream.is_null() {
        *upstream = Value::Mapping(Mapping::new());
    }
    let Some(upstream) = upstream.as_mapping_mut() else { return };
    let common = take(upstream, &OF_AN_ANSWER);
    let sequence = upstream.entry("sequence".into()).or_insert_with(|| Value::Sequence(Vec::new()));
    if let Some(sequence) = sequence.as_sequence_mut() {
        if sequence.is_empty() && !(is_collector && common.is_empty()) {
            sequence.push(Value::Mapping(Mapping::new()));
        }
        for answer in sequence {
            let mut whole = Value::Mapping(common.clone());
            merge(&mut whole, answer.clone());
            *answer = whole;
        }
    }
}

/// Take these keys out of a mapping.
fn take(from: &mut Mapping, keys: &[&str]) -> Mapping {
    keys.iter().filter_map(|key| from.remove_entry(*key)).collect()
}
