//! From a document's tree to an API message, by protobuf's JSON mapping.
//!
//! Two leniencies are Envoy's: a single value where a repeated field is expected, and enum names in any case.
//! Reading goes on after a mistake, so that all of them are found.

mod scalar;
mod well_known;

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use super::{
    api,
    node::{Entry, Node, NodeKind},
    path::FieldPath,
    problem::{Problem, Problems},
};

/// Read `node` as a message of type `descriptor`.
pub(super) fn message(descriptor: &MessageDescriptor, node: &Node) -> (DynamicMessage, Problems) {
    let mut reader = Reader { problems: Problems::new() };
    let message = reader.message(descriptor, node, &FieldPath::ROOT);
    (message, reader.problems)
}

struct Reader {
    problems: Problems,
}

impl Reader {
    fn message(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node,
        path: &FieldPath<'_>,
    ) -> DynamicMessage {
        if let Some(message) = self.well_known(descriptor, node, path) {
            return message;
        }
        let NodeKind::Map(entries) = &node.kind else {
            self.mistyped(path, &format!("a message {}", descriptor.full_name()), node);
            return DynamicMessage::new(descriptor.clone());
        };
        self.fields(descriptor, entries, path)
    }

    /// Read the fields of a message from the entries of a map, other than an `@type`.
    fn fields(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: &[Entry],
        path: &FieldPath<'_>,
    ) -> DynamicMessage {
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen = Vec::with_capacity(entries.len());
        for Entry { key, value, .. } in entries {
            if key == "@type" {
                continue;
            }
            let by_name = descriptor.get_field_by_name(key);
            let Some(field) = by_name.or_else(|| descriptor.get_field_by_json_name(key)) else {
                self.problems.add(unknown_field(descriptor, key, path));
                continue;
            };
            let path = path.field(field.name());
            if seen.contains(&field.number()) {
                self.problems.push(&path, "is set twice");
                continue;
            }
            seen.push(field.number());
            let Some(value) = self.field(&field, value, &path) else { continue };
            if let Some(other) = other_of_oneof(&message, &field) {
                self.problems.push(&path, format!("excludes '{other}', which is set too"));
            }
            message.set_field(&field, value);
        }
        message
    }

    /// The value of a field; nothing where it is left unset.
    fn field(&mut self, field: &FieldDescriptor, node: &Node, path: &FieldPath<'_>) -> Option<Value> {
        let kind = field.kind();
        if matches!(node.kind, NodeKind::Null) && !well_known::takes_null(&kind) {
            return None;
        }
        if field.is_map() {
            return self.map(&kind, node, path);
        }
        if !field.is_list() {
            return self.single(&kind, node, path);
        }
        match &node.kind {
            NodeKind::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    list.extend(self.single(&kind, item, &path.index(index)));
                }
                Some(Value::List(list))
            }
            _ => Some(Value::List(self.single(&kind, node, path).into_iter().collect())),
        }
    }

    fn map(&mut self, kind: &Kind, node: &Node, path: &FieldPath<'_>) -> Option<Value> {
        let NodeKind::Map(entries) = &node.kind else {
            self.mistyped(path, "a map", node);
            return None;
        };
        let entry = kind.as_message()?;
        let (key_kind, value_kind) =
            (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        let mut map: HashMap<MapKey, Value> = HashMap::with_capacity(entries.len());
        for Entry { key, value, .. } in entries {
            let path = path.key(key);
            let Some(map_key) = scalar::map_key(&key_kind, key) else {
                self.problems.push(&path, format!("the key is not {}", scalar::expectation(&key_kind)));
                continue;
            };
            let Some(value) = self.single(&value_kind, value, &path) else { continue };
            if map.insert(map_key, value).is_some() {
                self.problems.push(&path, "is set twice");
            }
        }
        Some(Value::Map(map))
    }

    fn single(&mut self, kind: &Kind, node: &Node, path: &FieldPath<'_>) -> Option<Value> {
        match kind {
            Kind::Message(descriptor) => Some(Value::Message(self.message(descriptor, node, path))),
            Kind::Enum(descriptor) => match scalar::enum_number(descriptor, node) {
                Some(number) => Some(Value::EnumNumber(number)),
                None => {
                    self.problems.add(unknown_enum_value(descriptor, node, path));
                    None
                }
            },
            _ => {
                let value = scalar::value(kind, node);
                if value.is_none() {
                    self.mistyped(path, scalar::expectation(kind), node);
                }
                value
            }
        }
    }

    fn mistyped(&mut self, path: &FieldPath<'_>, expected: &str, node: &Node) {
        // Bytes may be a key, with a slip in it.
        let found = match &node.kind {
            _ if expected == "base64 text" => "something else".to_owned(),
            // So may be a text in the place of a message that holds one.
            NodeKind::Text(text) if expected.starts_with("a m") && !text.contains("-----BEGIN ") => {
                "a text".to_owned()
            }
            _ => found(node),
        };
        let problem = Problem::new(path, format!("expected {expected}, found {found}"));
        let unquoted = expected == "text" && !matches!(node.kind, NodeKind::List(_) | NodeKind::Map(_));
        self.problems.add(if unquoted { problem.hint("put it in quotes") } else { problem });
    }
}

/// The set field that shares a oneof with `field`.
fn other_of_oneof(message: &DynamicMessage, field: &FieldDescriptor) -> Option<String> {
    let oneof = field.containing_oneof()?;
    oneof.fields().find(|other| message.has_field(other)).map(|other| other.name().to_owned())
}

fn unknown_field(descriptor: &MessageDescriptor, key: &str, path: &FieldPath<'_>) -> Problem {
    let problem = Problem::new(path, format!("no field '{key}' in {}", descriptor.full_name())).at_key(key);
    let names: Vec<_> = descriptor.fields().map(|field| field.name().to_owned()).collect();
    match api::nearest(key, names.iter().map(String::as_str)) {
        Some(name) => problem.hint(format!("did you mean '{name}'?")),
        None if key == "<<" => problem.hint("YAML merge keys are not part of Envoy's configuration"),
        None => problem,
    }
}

fn unknown_enum_value(
    descriptor: &prost_reflect::EnumDescriptor,
    node: &Node,
    path: &FieldPath<'_>,
) -> Problem {
    let names: Vec<_> = descriptor.values().map(|value| value.name().to_owned()).collect();
    let near = match &node.kind {
        NodeKind::Text(text) => api::nearest(text, names.iter().map(String::as_str)),
        _ => None,
    };
    let hint = match near {
        Some(name) => format!("did you mean '{name}'?"),
        None => format!("expected one of {}", names.join(", ")),
    };
    Problem::new(path, format!("{} is no value of {}", found(node), descriptor.full_name())).hint(hint)
}

/// What stands in the document, for a message.
fn found(node: &Node) -> String {
    match &node.kind {
        NodeKind::Null => "nothing".to_owned(),
        NodeKind::Bool(value) => value.to_string(),
        NodeKind::Signed(value) => value.to_string(),
        NodeKind::Unsigned(value) => value.to_string(),
        NodeKind::Float(value) => value.to_string(),
        // It may be a key.
        NodeKind::Text(text) if text.contains("-----BEGIN ") => "a text in PEM".to_owned(),
        NodeKind::Text(text) if text.chars().count() > 60 => {
            format!("{:?}…", text.chars().take(60).collect::<String>())
        }
        NodeKind::Text(text) => format!("{text:?}"),
        NodeKind::List(_) => "a list".to_owned(),
        NodeKind::Map(_) => "a map".to_owned(),
    }
}

#[cfg(test)]
mod tests;
