//! The rules that the API states about its own fields, as `validate.rules` options.

mod scalar;

use envoy_types::pb::validate::{FieldRules, MapRules, RepeatedRules, field_rules::Type};
use prost_reflect::{DynamicMessage, FieldDescriptor, MapKey, Value};

/// The rules that `field` of `message` breaks, each as a reason, with the index of the item at fault if the field
/// is repeated.
pub(super) fn broken(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    rules: &FieldRules,
) -> Vec<(Option<usize>, String)> {
    let set = message.has_field(field);
    if !set && is_required(rules) && field.containing_oneof().is_none() {
        return vec![(None, "must be set".to_owned())];
    }
    // An alternative or a message that is not chosen keeps every rule; a plain scalar has its default instead.
    if !set && field.supports_presence() {
        return Vec::new();
    }
    let value = message.get_field(field);
    match (&rules.r#type, &*value) {
        (Some(Type::Repeated(rules)), Value::List(items)) => list(items, rules),
        (Some(Type::Map(rules)), Value::Map(entries)) => {
            let reasons = map(entries, rules);
            reasons.into_iter().map(|reason| (None, reason)).collect()
        }
        (_, value) => single(value, rules, &|number| enum_has(field, number))
            .map(|reason| (None, reason))
            .into_iter()
            .collect(),
    }
}

fn is_required(rules: &FieldRules) -> bool {
    let required = match &rules.r#type {
        Some(Type::Any(rules)) => rules.required,
        Some(Type::Duration(rules)) => rules.required,
        Some(Type::Timestamp(rules)) => rules.required,
        _ => None,
    };
    required.or_else(|| rules.message.as_ref()?.required).unwrap_or(false)
}

fn enum_has(field: &FieldDescriptor, number: i32) -> bool {
    field.kind().as_enum().is_none_or(|values| values.get_value(number).is_some())
}

fn list(items: &[Value], rules: &RepeatedRules) -> Vec<(Option<usize>, String)> {
    if items.is_empty() && rules.ignore_empty() {
        return Vec::new();
    }
    let count = items.len() as u64;
    if let Some(min) = rules.min_items.filter(|min| count < *min) {
        return vec![(None, format!("must have at least {min} {}", plural(min, "item")))];
    }
    if let Some(max) = rules.max_items.filter(|max| count > *max) {
        return vec![(None, format!("must have at most {max} {}, and has {count}", plural(max, "item")))];
    }
    let mut reasons = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let before = items.get(..index).unwrap_or_default();
        if rules.unique() && before.contains(item) {
            reasons.push((Some(index), "is there already".to_owned()));
        }
        let reason = rules.items.as_ref().and_then(|rules| single(item, rules, &|_| true));
        reasons.extend(reason.map(|reason| (Some(index), reason)));
    }
    reasons
}

fn map(entries: &std::collections::HashMap<MapKey, Value>, rules: &MapRules) -> Vec<String> {
    if entries.is_empty() && rules.ignore_empty() {
        return Vec::new();
    }
    let count = entries.len() as u64;
    let mut reasons = Vec::new();
    if let Some(min) = rules.min_pairs.filter(|min| count < *min) {
        reasons.push(format!("must have at least {min} {}", if min == 1 { "entry" } else { "entries" }));
    }
    if let Some(max) = rules.max_pairs.filter(|max| count > *max) {
        reasons.push(format!("must have at most {max} entries, and has {count}"));
    }
    for (key, value) in entries {
        let text = key_text(key);
        let key = Value::from(key.clone());
        let broken_key = rules.keys.as_ref().and_then(|rules| single(&key, rules, &|_| true));
        reasons.extend(broken_key.map(|reason| format!("the key {text:?} {reason}")));
        let broken_value = rules.values.as_ref().and_then(|rules| single(value, rules, &|_| true));
        reasons.extend(broken_value.map(|reason| format!("the value of {text:?} {reason}")));
    }
    reasons.sort();
    reasons
}

/// The rule that a single value breaks, if any.
fn single(value: &Value, rules: &FieldRules, enum_has: &dyn Fn(i32) -> bool) -> Option<String> {
    let rule = rules.r#type.as_ref()?;
    match value {
        // A wrapper keeps the rules of what it wraps.
        Value::Message(message) => scalar::message(message, rule),
        value => scalar::value(value, rule, enum_has),
    }
}

fn plural(count: u64, noun: &str) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// A map's key as it stands in the document.
pub(super) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
