//! Field masks: paths of names that are left of a message.

use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};

use super::content_of;

/// The paths of a mask.
pub(super) fn paths(mask: &str) -> Vec<String> {
    mask.split(',').map(|path| path.trim().to_owned()).filter(|path| !path.is_empty()).collect()
}

/// Leave only what `paths` name of `message`; nothing is done, and false, if one of them names nothing.
pub(super) fn trim(message: &mut DynamicMessage, paths: &[String]) -> bool {
    let descriptor = message.descriptor();
    let valid = paths.iter().all(|path| is_valid(&descriptor, path));
    if valid {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        cut(message, &paths);
    }
    valid
}

/// The same for an item of the dump, in which paths lead on into the message that it holds.
pub(super) fn trim_resource(pool: &DescriptorPool, item: &mut DynamicMessage, paths: &[String]) -> bool {
    let (mut outer, mut held) = (Vec::new(), Vec::new());
    let mut holder = None;
    for path in paths {
        let (first, rest) = path.split_once('.').unwrap_or((path, ""));
        let field = item.descriptor().get_field_by_name(first);
        let holds =
            |kind: Kind| matches!(kind, Kind::Message(kind) if kind.full_name() == "google.protobuf.Any");
        match field.filter(|field| !field.is_list() && holds(field.kind())) {
            Some(field) => {
                holder = Some(field);
                outer.push(first.to_owned());
                held.extend((!rest.is_empty()).then(|| rest.to_owned()));
            }
            None => outer.push(path.clone()),
        }
    }
    if let Some(field) = holder.filter(|_| !held.is_empty())
        && let Value::Message(any) = item.get_field_mut(&field)
        && let Some(mut content) = content_of(pool, any)
    {
        if !trim(&mut content, &held) {
            return false;
        }
        let bytes = prost::Message::encode_to_vec(&content);
        any.set_field_by_name("value", Value::Bytes(bytes.into()));
    }
    trim(item, &outer)
}

/// Whether a path names a field; only the last one may be repeated.
fn is_valid(descriptor: &MessageDescriptor, path: &str) -> bool {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    let Some(field) = descriptor.get_field_by_name(first) else { return false };
    match (rest, field.kind()) {
        ("", _) => true,
        (rest, Kind::Message(inner)) if !field.is_list() && !field.is_map() => is_valid(&inner, rest),
        _ => false,
    }
}

fn cut(message: &mut DynamicMessage, paths: &[&str]) {
    let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in fields {
        let below = paths.iter().filter_map(|path| {
            let (first, rest) = path.split_once('.').unwrap_or((path, ""));
            (first == field.name()).then_some(rest)
        });
        let below: Vec<&str> = below.collect();
        if below.is_empty() {
            message.clear_field(&field);
        } else if below.iter().all(|rest| !rest.is_empty())
            && let Value::Message(inner) = message.get_field_mut(&field)
        {
            cut(inner, &below);
        }
    }
}
