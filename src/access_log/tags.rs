//! Custom tags of entries.

use crate::{
    snapshot::{
        metadata::MetadataKey,
        tracing::{CustomTag, TagValue},
    },
    stream_info::formatter::{FormatContext, request_bytes},
};

/// Those that have a value which is not empty, in their order.
pub(super) fn each(tags: &[CustomTag], context: &FormatContext<'_>, mut take: impl FnMut(&str, &[u8])) {
    for tag in tags {
        match &tag.value {
            TagValue::RequestHeader(name, default) => {
                let value = request_bytes(context, name).unwrap_or(default.as_bytes());
                if !value.is_empty() {
                    take(&tag.key, value);
                }
            }
            other => {
                let text = text(other, context);
                if !text.is_empty() {
                    take(&tag.key, text.as_bytes());
                }
            }
        }
    }
}

fn text(value: &TagValue, context: &FormatContext<'_>) -> String {
    let noted = |metadata: Option<&serde_json::Value>, key: &MetadataKey, default: &str| {
        metadata.and_then(|metadata| key.text(metadata)).unwrap_or_else(|| default.to_owned())
    };
    let observed = context.info.observed.as_deref();
    match value {
        TagValue::Literal(text) | TagValue::Noted(text) | TagValue::RequestHeader(_, text) => {
            text.to_string()
        }
        TagValue::ClusterMetadata(key, default) => {
            let cluster = context.info.cluster.borrow();
            noted(cluster.as_ref().and_then(|cluster| cluster.metadata.as_deref()), key, default)
        }
        TagValue::HostMetadata(key, default) => {
            let host = observed.map(|observed| observed.host_metadata.borrow());
            noted(host.as_ref().and_then(|host| host.as_deref()), key, default)
        }
        TagValue::RouteMetadata(key, default) => {
            let route = observed.map(|observed| observed.route_metadata.borrow());
            noted(route.as_ref().and_then(|route| route.as_deref()), key, default)
        }
        TagValue::Format(format) => {
            let mut text = String::new();
            format.write(context, "", &mut text);
            text
        }
    }
}
