//! The messages that protobuf's JSON mapping writes in a form of their own.

use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};
use prost_types::{Duration, Timestamp};

use super::{Reader, found};
use crate::config::{
    api,
    node::{Entry, Node, NodeKind},
    path::FieldPath,
    problem::Problem,
};

/// Whether `null` is a value of the kind, rather than the absence of one.
pub(super) fn takes_null(kind: &Kind) -> bool {
    kind.as_message().is_some_and(|message| message.full_name() == "google.protobuf.Value")
}

impl Reader {
    /// Read a message that has a form of its own; nothing if `descriptor` is of an ordinary one.
    pub(super) fn well_known(
        &mut self,
        descriptor: &MessageDescriptor,
        node: &Node,
        path: &FieldPath<'_>,
    ) -> Option<DynamicMessage> {
        let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
        let mut message = DynamicMessage::new(descriptor.clone());
        match name {
            "Any" => self.any(&mut message, node, path),
            "Duration" => self.text_form(&mut message, node, path, "a duration such as \"0.25s\"", duration),
            "Timestamp" => {
                self.text_form(&mut message, node, path, "a time such as \"2026-01-31T12:00:00Z\"", timestamp)
            }
            "FieldMask" => {
                if let NodeKind::Text(text) = &node.kind {
                    let paths = text.split(',').filter(|path| !path.is_empty());
                    let paths = paths.map(|path| Value::String(path.to_owned())).collect();
                    message.set_field_by_name("paths", Value::List(paths));
                } else {
                    self.mistyped(path, "field names separated by commas", node);
                }
            }
            "Struct" => self.structure(&mut message, node, path),
            "ListValue" => self.list_value(&mut message, node, path),
            "Value" => self.any_value(&mut message, node, path),
            _ if name.ends_with("Value") => {
                // A wrapper: the value alone stands for it.
                let field = descriptor.get_field_by_name("value")?;
                if let Some(value) = self.single(&field.kind(), node, path) {
                    message.set_field(&field, value);
                }
            }
            _ => return None,
        }
        Some(message)
    }

    /// An Any: the fields of the message that `@type` names, beside it and in any order.
    fn any(&mut self, any: &mut DynamicMessage, node: &Node, path: &FieldPath<'_>) {
        let NodeKind::Map(entries) = &node.kind else {
            return self.mistyped(path, "a message with an '@type'", node);
        };
        if entries.is_empty() {
            return;
        }
        let mut types = entries.iter().filter(|entry| entry.key == "@type");
        let (Some(entry), None) = (types.next(), types.next()) else {
            return self.problems.push(path, "expected exactly one '@type', which names the message");
        };
        let NodeKind::Text(type_url) = &entry.value.kind else {
            let reason = format!("expected the name of a message, found {}", found(&entry.value));
            return self.problems.add(Problem::new(path, reason).at_key("@type"));
        };
        if !type_url.contains('/') {
            let problem =
                Problem::new(path, format!("'{type_url}' is the name of a message, and no type URL"));
            let hint = format!("write type.googleapis.com/{type_url}");
            return self.problems.add(problem.at_key("@type").hint(hint));
        }
        let Some(descriptor) = api::message_of(type_url) else {
            return self.problems.add(unknown_type(type_url, path));
        };
        let content = self.content(&descriptor, entries, path);
        any.set_field_by_name("type_url", Value::String(type_url.clone()));
        any.set_field_by_name("value", Value::Bytes(content.encode_to_vec().into()));
    }

    fn content(
        &mut self,
        descriptor: &MessageDescriptor,
        entries: &[Entry],
        path: &FieldPath<'_>,
    ) -> DynamicMessage {
        if !descriptor.full_name().starts_with("google.protobuf.") || descriptor.fields().len() == 0 {
            return self.fields(descriptor, entries, path);
        }
        // A message with a form of its own stands below `value`.
        match entries.iter().find(|entry| entry.key == "value") {
            Some(entry) => self.message(descriptor, &entry.value, path),
            None => {
                self.problems.push(path, format!("expected the {} below 'value'", descriptor.name()));
                DynamicMessage::new(descriptor.clone())
            }
        }
    }

    fn text_form<M: Message>(
        &mut self,
        message: &mut DynamicMessage,
        node: &Node,
        path: &FieldPath<'_>,
        expected: &str,
        parse: impl Fn(&str) -> Option<M>,
    ) {
        let parsed = match &node.kind {
            NodeKind::Text(text) => parse(text),
            _ => None,
        };
        match parsed {
            // Cannot fail: the descriptor describes the very message.
            Some(parsed) => drop(message.transcode_from(&parsed)),
            None => self.mistyped(path, expected, node),
        }
    }

    fn structure(&mut self, message: &mut DynamicMessage, node: &Node, path: &FieldPath<'_>) {
        let field = message.descriptor().get_field_by_name("fields");
        let Some(field) = field else { return };
        if let Some(map) = self.map(&field.kind(), node, path) {
            message.set_field(&field, map);
        }
    }

    fn list_value(&mut self, message: &mut DynamicMessage, node: &Node, path: &FieldPath<'_>) {
        let field = message.descriptor().get_field_by_name("values");
        let (Some(field), NodeKind::List(items)) = (field, &node.kind) else {
            return self.mistyped(path, "a list", node);
        };
        let items = items.iter().enumerate();
        let values = items.filter_map(|(index, item)| self.single(&field.kind(), item, &path.index(index)));
        let values = values.collect();
        message.set_field(&field, Value::List(values));
    }

    /// A `google.protobuf.Value`, which may be anything.
    fn any_value(&mut self, message: &mut DynamicMessage, node: &Node, path: &FieldPath<'_>) {
        let (name, value) = match &node.kind {
            NodeKind::Null => ("null_value", Some(Value::EnumNumber(0))),
            NodeKind::Bool(value) => ("bool_value", Some(Value::Bool(*value))),
            NodeKind::Signed(value) => ("number_value", Some(Value::F64(*value as f64))),
            NodeKind::Unsigned(value) => ("number_value", Some(Value::F64(*value as f64))),
            NodeKind::Float(value) => ("number_value", Some(Value::F64(*value))),
            NodeKind::Text(text) => ("string_value", Some(Value::String(text.clone()))),
            NodeKind::List(_) => ("list_value", None),
            NodeKind::Map(_) => ("struct_value", None),
        };
        let Some(field) = message.descriptor().get_field_by_name(name) else { return };
        if let Some(value) = value.or_else(|| self.single(&field.kind(), node, path)) {
            message.set_field(&field, value);
        }
    }
}

/// Decimal seconds with at most nanoseconds, ending in `s`.
fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, number),
    };
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let decimal = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !decimal(seconds) || !decimal(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    let seconds: i64 = seconds.parse().ok().filter(|seconds| *seconds <= 315_576_000_000)?;
    Some(Duration { seconds: seconds * i64::from(sign), nanos: nanos * sign })
}

fn timestamp(text: &str) -> Option<Timestamp> {
    // The parser of prost-types also takes a date without a time; the JSON mapping does not.
    text.contains('T').then(|| text.parse().ok()).flatten()
}

fn unknown_type(type_url: &str, path: &FieldPath<'_>) -> Problem {
    let name = api::type_name(type_url);
    let problem = Problem::new(path, format!("no message '{name}' in the Envoy API")).at_key("@type");
    let message = name.rsplit('.').next().unwrap_or(name);
    let known: Vec<_> = api::all().all_messages().map(|message| message.full_name().to_owned()).collect();
    let alike = known.iter().map(String::as_str).filter(|known| known.rsplit('.').next() == Some(message));
    let near = api::nearest(name, alike).or_else(|| api::nearest(name, known.iter().map(String::as_str)));
    match near {
        Some(near) => problem.hint(format!("did you mean '{near}'?")),
        None => problem,
    }
}
