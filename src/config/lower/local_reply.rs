//! Lowers `local_reply_config`.

use envoy_types::pb::{
    envoy::{
        config::core::v3::{SubstitutionFormatString, substitution_format_string::Format as ProtoFormat},
        extensions::filters::network::http_connection_manager::v3::LocalReplyConfig as ProtoConfig,
    },
    google::protobuf::{Struct, Value, value::Kind},
};
use http::{HeaderValue, StatusCode};

use super::Lowering;
use crate::{
    config::FieldPath,
    snapshot::{
        format::{Format, Piece},
        listener::{BodyFormat, BodyTemplate, JsonTemplate, LocalReplyConfig, LocalReplyMapper},
    },
};

impl Lowering<'_> {
    /// How the proxy's own replies are changed.
    pub(super) fn local_reply(
        &mut self,
        path: &FieldPath<'_>,
        config: Option<&ProtoConfig>,
    ) -> LocalReplyConfig {
        let Some(config) = config else { return LocalReplyConfig::default() };
        let mappers_path = path.field("mappers");
        let mut mappers = Vec::new();
        for (index, mapper) in config.mappers.iter().enumerate() {
            let path = mappers_path.index(index);
            let Some(filter) =
                mapper.filter.as_ref().and_then(|filter| self.log_filter(&path.field("filter"), filter))
            else {
                continue;
            };
            let status = mapper
                .status_code
                .as_ref()
                .map(|code| u16::try_from(code.value).ok().and_then(|code| StatusCode::from_u16(code).ok()));
            if status == Some(None) {
                self.problems.push(&path.field("status_code"), "not an HTTP status");
            }
            let body = mapper.body.as_ref().map(|body| self.data_source(&path.field("body"), body));
            mappers.push(LocalReplyMapper {
                filter,
                status: status.flatten(),
                body: body.map(|body| String::from_utf8_lossy(&body).into_owned()),
                body_format: self
                    .body_format(&path.field("body_format_override"), mapper.body_format_override.as_ref()),
                headers: self.additions(&path.field("headers_to_add"), &mapper.headers_to_add),
            });
        }
        LocalReplyConfig {
            mappers,
            body_format: self.body_format(&path.field("body_format"), config.body_format.as_ref()),
        }
    }

    fn body_format(
        &mut self,
        path: &FieldPath<'_>,
        format: Option<&SubstitutionFormatString>,
    ) -> Option<BodyFormat> {
        let format = format?;
        #[expect(deprecated, reason = "Envoy still reads the field that text_format_source replaced")]
        let (template, content_type) = match format.format.as_ref()? {
            ProtoFormat::TextFormat(text) => {
                (BodyTemplate::Text(self.body_parts(&path.field("text_format"), text)?), "text/plain")
            }
            ProtoFormat::TextFormatSource(source) => {
                let path = path.field("text_format_source");
                let text = self.data_source(&path, source);
                (BodyTemplate::Text(self.body_parts(&path, &String::from_utf8_lossy(&text))?), "text/plain")
            }
            ProtoFormat::JsonFormat(json) => {
                (BodyTemplate::Json(self.json_object(&path.field("json_format"), json)), "application/json")
            }
        };
        let content_type = match format.content_type.as_str() {
            "" => HeaderValue::from_static(content_type),
            given => self.header_value(&path.field("content_type"), given)?,
        };
        Some(BodyFormat { template, content_type })
    }

    /// The text around each `%LOCAL_REPLY_BODY%`.
    fn body_parts(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Vec<Format>> {
        text.split("%LOCAL_REPLY_BODY%").map(|part| self.format(path, part)).collect()
    }

    fn json_object(&mut self, path: &FieldPath<'_>, object: &Struct) -> JsonTemplate {
        let mut members = object
            .fields
            .iter()
            .map(|(key, value)| (key.clone(), self.json_value(&path.key(key), value)))
            .collect::<Vec<_>>();
        members.sort_by(|one, two| one.0.cmp(&two.0));
        JsonTemplate::Object(members)
    }

    fn json_value(&mut self, path: &FieldPath<'_>, value: &Value) -> JsonTemplate {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => JsonTemplate::Literal("null".into()),
            Some(Kind::BoolValue(value)) => JsonTemplate::Literal(value.to_string().into()),
            Some(Kind::NumberValue(value)) => JsonTemplate::Literal(value.to_string().into()),
            Some(Kind::StringValue(text)) => {
                let mut parts = self.body_parts(path, text).unwrap_or_default();
                match parts.pop() {
                    Some(only)
                        if parts.is_empty() && matches!(only.pieces.as_slice(), [Piece::Command(..)]) =>
                    {
                        JsonTemplate::Value(only)
                    }
                    last => {
                        parts.extend(last);
                        JsonTemplate::Text(parts)
                    }
                }
            }
            Some(Kind::StructValue(object)) => self.json_object(path, object),
            Some(Kind::ListValue(list)) => JsonTemplate::List(
                list.values
                    .iter()
                    .enumerate()
                    .map(|(index, value)| self.json_value(&path.index(index), value))
                    .collect(),
            ),
        }
    }
}
