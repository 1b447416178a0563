//! Takes secrets out of messages before they are shown: what the API calls sensitive and, beyond Envoy, headers and
//! parameters whose names say that they hold a credential.

use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, Kind, ReflectMessage, Value};

use super::content_of;
use crate::http_headers::credential::{self, REDACTED};

/// The option of fields that hold secrets.
const SENSITIVE: &str = "udpa.annotations.sensitive";

/// Messages that hold a value under a name, and the field that holds the name.
const NAMED: [(&str, &str); 3] = [
    ("envoy.config.core.v3.HeaderValue", "key"),
    ("envoy.config.route.v3.HeaderMatcher", "name"),
    ("envoy.config.route.v3.QueryParameterMatcher", "name"),
];

/// Fields that hold addresses with their parameters.
const ADDRESSES: [&str; 3] = ["uri", "path_redirect", "collector_endpoint"];

/// Take out all secrets of `message`.
pub(super) fn redact(pool: &DescriptorPool, message: &mut DynamicMessage) {
    let sensitive = pool.get_extension_by_name(SENSITIVE);
    Redactor { pool, sensitive }.message(message, false);
}

struct Redactor<'a> {
    pool: &'a DescriptorPool,
    sensitive: Option<ExtensionDescriptor>,
}

impl Redactor<'_> {
    /// Everything in it, if it is a `secret` itself.
    fn message(&self, message: &mut DynamicMessage, secret: bool) {
        let name = message.descriptor().full_name().to_owned();
        if name == "google.protobuf.Any" {
            return self.any(message, secret);
        }
        let key = NAMED.iter().find(|(known, _)| *known == name).map(|(_, key)| *key);
        let credential = key.is_some_and(|key| has_credential(message, key));
        let fields: Vec<_> = message.fields().map(|(field, _)| field).collect();
        for field in fields {
            let secret = secret
                || self.sensitive.as_ref().is_some_and(|sensitive| {
                    field.options().get_extension(sensitive).as_bool() == Some(true)
                })
                || (credential && key != Some(field.name()));
            if secret && !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Message(_)) {
                message.clear_field(&field);
                continue;
            }
            let value = message.get_field_mut(&field);
            self.value(value, secret);
            if let Value::String(address) = value
                && ADDRESSES.contains(&field.name())
            {
                *address = credential::without_credentials(address).into_owned();
            }
        }
    }

    fn value(&self, value: &mut Value, secret: bool) {
        match value {
            Value::Message(message) => self.message(message, secret),
            Value::List(items) => items.iter_mut().for_each(|item| self.value(item, secret)),
            Value::Map(entries) => entries.values_mut().for_each(|value| self.value(value, secret)),
            Value::String(text) if secret => REDACTED.clone_into(text),
            Value::Bytes(bytes) if secret => *bytes = REDACTED.into(),
            _ => {}
        }
    }

    /// What it holds; where that is not known and a secret, nothing is left of it.
    fn any(&self, any: &mut DynamicMessage, secret: bool) {
        match content_of(self.pool, any) {
            Some(mut content) => {
                self.message(&mut content, secret);
                let bytes = prost::Message::encode_to_vec(&content);
                any.set_field_by_name("value", Value::Bytes(bytes.into()));
            }
            None if secret => any.clear_field_by_name("value"),
            None => {}
        }
    }
}

fn has_credential(message: &DynamicMessage, key: &str) -> bool {
    let key = message.get_field_by_name(key);
    credential::is_named_so(key.as_ref().and_then(|key| key.as_str()).unwrap_or_default())
}
