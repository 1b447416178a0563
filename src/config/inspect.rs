//! The walk over a message that was read: is every field supported, and does it keep the API's rules?

use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use super::{
    api,
    path::FieldPath,
    problem::{Problem, Problems},
    report::{Mention, Report},
    schema::{self, Schema, Schemas},
    supported::{self, Support},
    validate,
};

/// What the walk found.
#[derive(Default)]
pub(super) struct Findings {
    /// Fields that are not supported.
    pub(super) refused: Problems,
    /// Fields that break a rule of the API.
    pub(super) broken: Problems,
    /// Fields that are not supported, and skipped.
    pub(super) warnings: Problems,
    pub(super) report: Report,
}

/// Look at every field of `message`.
pub(super) fn inspect(message: &DynamicMessage, skip_unsupported: bool) -> Findings {
    let findings = Findings::default();
    let mut inspector = Inspector { schemas: Schemas::new(), findings, skip_unsupported };
    let schema = inspector.schemas.of(&message.descriptor());
    inspector.message(message, &schema, &FieldPath::ROOT);

    let Inspector { schemas, mut findings, .. } = inspector;
    for schema in schemas.into_known() {
        findings.report.count_honoured(&schema);
    }
    findings
}

struct Inspector {
    schemas: Schemas,
    findings: Findings,
    skip_unsupported: bool,
}

impl Inspector {
    fn message(&mut self, message: &DynamicMessage, schema: &Schema, path: &FieldPath<'_>) {
        for oneof in &schema.required {
            if !oneof.fields().any(|field| message.has_field(&field)) {
                let names: Vec<_> = oneof.fields().map(|field| field.name().to_owned()).collect();
                let reason = format!("one of {} must be set", names.join(", "));
                self.findings.broken.push(path, reason);
            }
        }
        for (field, rules) in &schema.rules {
            let path = path.field(field.name());
            for (index, reason) in validate::broken(message, field, rules) {
                match index {
                    Some(index) => self.findings.broken.push(&path.index(index), reason),
                    None => self.findings.broken.push(&path, reason),
                }
            }
        }
        for (field, value) in message.fields() {
            self.field(&field, value, schema, &path.field(field.name()));
        }
    }

    fn field(&mut self, field: &FieldDescriptor, value: &Value, schema: &Schema, path: &FieldPath<'_>) {
        let Some(known) = schema.fields.get(&field.number()) else { return };
        match known.support {
            Some(Support::Honoured) => {
                known.honoured.set(known.honoured.get() + 1);
                self.children(field, value, schema, path);
            }
            Some(Support::Only { values }) => match text_of(field, value) {
                Some(text) if !values.contains(&text.as_str()) => {
                    let hint = format!("supported: {}", values.join(", "));
                    let reason = format!("spanway does not implement {text}");
                    self.refuse(schema, field, path, reason, &hint, false);
                }
                _ => known.honoured.set(known.honoured.get() + 1),
            },
            Some(Support::Holds { messages, guarded }) => {
                known.honoured.set(known.honoured.get() + 1);
                self.held(field, value, schema, path, messages, guarded);
            }
            Some(Support::NoEffect { reason }) => {
                let mention = Mention::new(&schema.name, field.name(), path, reason.to_owned());
                self.findings.report.without_effect.push(mention);
            }
            // What is switched off explicitly is not missed.
            Some(Support::Refused { .. }) | None if is_false(value) => {
                known.honoured.set(known.honoured.get() + 1);
            }
            Some(Support::Refused { hint, guarded }) => {
                self.refuse(schema, field, path, not_implemented(), hint, guarded);
            }
            None if schema.listed && supported::is_whole(&schema.name) => {}
            None => self.refuse(schema, field, path, not_implemented(), "", false),
        }
    }

    /// Look at the messages in a field.
    fn children(&mut self, field: &FieldDescriptor, value: &Value, schema: &Schema, path: &FieldPath<'_>) {
        let Some(message) = schema::message_in(field) else { return };
        if supported::is_whole(message.full_name()) {
            return;
        }
        let child = self.schemas.of_child(schema, field, &message);
        each(value, path, &mut |value, path| {
            if let Value::Message(message) = value {
                self.message(message, &child, path);
            }
        });
    }

    /// Look at what an extension point holds.
    fn held(
        &mut self,
        field: &FieldDescriptor,
        value: &Value,
        schema: &Schema,
        path: &FieldPath<'_>,
        supported: &[&str],
        guarded: bool,
    ) {
        each(value, path, &mut |value, path| {
            let Some(type_url) = value.as_message().and_then(|any| any.get_field_by_name("type_url")) else {
                return;
            };
            let name = api::type_name(type_url.as_str().unwrap_or_default());
            if name.is_empty() {
                return self.findings.broken.push(path, "expected an '@type', which names the message");
            }
            if !supported.contains(&name) {
                let reason = format!("spanway does not implement {name}");
                let hint = format!("supported: {}", supported.join(", "));
                return self.refuse(schema, field, path, reason, &hint, guarded);
            }
            if let Some(content) = content_of(value) {
                let schema = self.schemas.of(&content.descriptor());
                self.message(&content, &schema, path);
            }
        });
    }

    fn refuse(
        &mut self,
        schema: &Schema,
        field: &FieldDescriptor,
        path: &FieldPath<'_>,
        reason: String,
        hint: &str,
        guarded: bool,
    ) {
        let problem = Problem::new(path, reason.clone());
        let problem = if hint.is_empty() { problem } else { problem.hint(hint) };
        let mention = Mention::new(&schema.name, field.name(), path, reason);
        if self.skip_unsupported && !guarded {
            self.findings.report.skipped.push(mention);
            self.findings.warnings.add(problem);
        } else {
            self.findings.report.refused.push(mention);
            self.findings.refused.add(problem);
        }
    }
}

fn not_implemented() -> String {
    "spanway does not implement it".to_owned()
}

/// Call `visit` for a single value, for each item of a list, or for each entry of a map.
fn each(value: &Value, path: &FieldPath<'_>, visit: &mut dyn FnMut(&Value, &FieldPath<'_>)) {
    match value {
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                visit(item, &path.index(index));
            }
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (validate::key_text(key), value)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            for (key, value) in entries {
                visit(value, &path.key(&key));
            }
        }
        _ => visit(value, path),
    }
}

/// The message in an Any.
fn content_of(any: &Value) -> Option<DynamicMessage> {
    let any = any.as_message()?;
    let type_url = any.get_field_by_name("type_url")?;
    let bytes = any.get_field_by_name("value")?;
    let descriptor = api::message_of(type_url.as_str()?)?;
    DynamicMessage::decode(descriptor, bytes.as_bytes()?.clone()).ok()
}

/// An enum value's name, or `true` or `false`, as the table writes them.
fn text_of(field: &FieldDescriptor, value: &Value) -> Option<String> {
    match value {
        Value::EnumNumber(number) => {
            let kind = field.kind();
            kind.as_enum()?.get_value(*number).map(|value| value.name().to_owned())
        }
        Value::Bool(value) => Some(value.to_string()),
        Value::Message(wrapper) => {
            wrapper.get_field_by_name("value")?.as_bool().map(|value| value.to_string())
        }
        _ => None,
    }
}

/// Whether the value is an explicit `false`.
fn is_false(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Message(message) => {
            message.descriptor().full_name() == "google.protobuf.BoolValue"
                && message.get_field_by_name("value").is_some_and(|value| value.as_bool() == Some(false))
        }
        _ => false,
    }
}
