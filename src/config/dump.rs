//! The configuration that is served as the API's JSON, for `/config_dump`.
//!
//! What is kept of it is the bootstrap in protobuf's encoding. Descriptors, messages and JSON are made when somebody asks, on
//! a thread of its own, and are gone with it.

mod content;
mod json;
mod mask;
mod redact;

use std::time::SystemTime;

use prost_reflect::{
    DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, SerializeOptions, Value,
};
use regex::Regex;
use serde_json::Serializer;

pub(crate) use self::content::{ClusterHosts, HostEntry};
use super::api;

/// What is asked for.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Only the items of this repeated field.
    pub(crate) resource: Option<String>,
    /// Only these fields.
    pub(crate) mask: Option<String>,
    /// Only resources with such a name.
    pub(crate) name_regex: Option<String>,
    /// The hosts of clusters, if these are wanted, too.
    pub(crate) hosts: Option<Vec<ClusterHosts>>,
}

/// Why there is no answer. The words are Envoy's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DumpError {
    /// No message has such a field.
    #[error("{0} not found in config dump")]
    NotFound(String),
    /// The field has no items.
    #[error("{0} is not a repeated field. Use ?mask={0} to get only this field")]
    NotRepeated(String),
    /// No message has such fields.
    #[error("FieldMask {0} could not be successfully applied to any configs.")]
    Mask(String),
    /// The items do not have such fields.
    #[error("FieldMask {0} could not be successfully used.")]
    ItemMask(String),
    /// It is no regular expression.
    #[error("INVALID_ARGUMENT: Error while parsing name_regex from {0}")]
    NameRegex(String),
    /// The descriptors do not fit the messages, which is a bug.
    #[error("the configuration cannot be shown: {0}")]
    Internal(String),
}

/// `envoy.admin.v3.ConfigDump` of `bootstrap`, which was read at `loaded`.
pub(crate) fn render(bootstrap: &[u8], loaded: SystemTime, wanted: &Wanted) -> Result<String, DumpError> {
    let pool = api::all();
    let outcome = configs(&pool, bootstrap, loaded, wanted).and_then(|configs| text(&pool, configs));
    drop(pool);
    api::release();
    outcome
}

/// The messages of the dump that are wanted.
fn configs(
    pool: &DescriptorPool,
    bootstrap: &[u8],
    loaded: SystemTime,
    wanted: &Wanted,
) -> Result<Vec<DynamicMessage>, DumpError> {
    let regex = |text: &String| {
        let whole = format!("^(?:{text})$");
        Regex::new(&whole).map_err(|_| DumpError::NameRegex(text.clone()))
    };
    let names = wanted.name_regex.as_ref().map(regex).transpose()?;
    let mask = wanted.mask.as_deref().filter(|mask| !mask.is_empty());
    let paths = mask.map(mask::paths);
    let mut all = Vec::new();
    for (name, bytes) in content::messages(bootstrap, loaded, names.as_ref(), wanted.hosts.as_deref())? {
        let mut message = DynamicMessage::decode(descriptor(pool, &name)?, &*bytes)
            .map_err(|error| DumpError::Internal(error.to_string()))?;
        redact::redact(pool, &mut message);
        all.push(message);
    }
    match (wanted.resource.as_deref().filter(|resource| !resource.is_empty()), paths) {
        (Some(resource), paths) => resources(pool, all, resource, paths.as_deref(), mask.unwrap_or_default()),
        (None, None) => Ok(all),
        (None, Some(paths)) => {
            all.retain_mut(|message| mask::trim(message, &paths));
            if all.is_empty() { Err(DumpError::Mask(mask.unwrap_or_default().to_owned())) } else { Ok(all) }
        }
    }
}

/// The items of the repeated field `resource`, each cut down to what `paths` names.
fn resources(
    pool: &DescriptorPool,
    all: Vec<DynamicMessage>,
    resource: &str,
    paths: Option<&[String]>,
    mask: &str,
) -> Result<Vec<DynamicMessage>, DumpError> {
    for mut message in all {
        let Some(field) = message.descriptor().get_field_by_name(resource) else { continue };
        if !field.is_list() {
            return Err(DumpError::NotRepeated(resource.to_owned()));
        }
        let Value::List(items) = std::mem::replace(message.get_field_mut(&field), Value::List(Vec::new()))
        else {
            continue;
        };
        let mut found = Vec::new();
        for item in items {
            let Value::Message(mut item) = item else { continue };
            if paths.is_some_and(|paths| !mask::trim_resource(pool, &mut item, paths)) {
                return Err(DumpError::ItemMask(mask.to_owned()));
            }
            found.push(item);
        }
        return Ok(found);
    }
    Err(DumpError::NotFound(resource.to_owned()))
}

/// All of them in one, indented as Envoy does it.
fn text(pool: &DescriptorPool, configs: Vec<DynamicMessage>) -> Result<String, DumpError> {
    let internal = |error: &dyn std::fmt::Display| DumpError::Internal(error.to_string());
    let mut dump = DynamicMessage::new(descriptor(pool, "envoy.admin.v3.ConfigDump")?);
    let items = configs.iter().map(|config| any(pool, config).map(Value::Message));
    dump.set_field_by_name("configs", Value::List(items.collect::<Result<_, _>>()?));
    let mut body = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut body, json::EnvoyJson::new());
    let options = SerializeOptions::new().use_proto_field_name(true);
    dump.serialize_with_options(&mut serializer, &options).map_err(|error| internal(&error))?;
    body.push(b'\n');
    String::from_utf8(body).map_err(|error| internal(&error))
}

/// `message` in an `Any`.
fn any(pool: &DescriptorPool, message: &DynamicMessage) -> Result<DynamicMessage, DumpError> {
    let mut any = DynamicMessage::new(descriptor(pool, "google.protobuf.Any")?);
    let type_url = format!("type.googleapis.com/{}", message.descriptor().full_name());
    any.set_field_by_name("type_url", Value::String(type_url));
    any.set_field_by_name("value", Value::Bytes(prost::Message::encode_to_vec(message).into()));
    Ok(any)
}

/// The message in an `Any`, if its type is known.
fn content_of(pool: &DescriptorPool, any: &DynamicMessage) -> Option<DynamicMessage> {
    let type_url = any.get_field_by_name("type_url")?;
    let bytes = any.get_field_by_name("value")?;
    let descriptor = pool.get_message_by_name(api::type_name(type_url.as_str()?))?;
    DynamicMessage::decode(descriptor, bytes.as_bytes()?.clone()).ok()
}

fn descriptor(pool: &DescriptorPool, name: &str) -> Result<MessageDescriptor, DumpError> {
    pool.get_message_by_name(name).ok_or_else(|| DumpError::Internal(format!("no message {name}")))
}

#[cfg(test)]
mod tests;
