//! Lowers the format of the program's own log.

use envoy_types::pb::{
    envoy::config::bootstrap::v3::{
        Bootstrap,
        bootstrap::application_log_config::{LogFormat, log_format::LogFormat as Format},
    },
    google::protobuf::{Value, value::Kind},
};
use serde_json::{Map, Value as Json};

use super::Lowering;
use crate::{config::FieldPath, snapshot::application_log::ApplicationLogFormat};

impl Lowering<'_> {
    /// The format, if the configuration has one. `by_flag`: the command line has one, too.
    pub(super) fn application_log(
        &mut self,
        bootstrap: &Bootstrap,
        by_flag: bool,
    ) -> Option<ApplicationLogFormat> {
        let path = FieldPath::ROOT.field("application_log_config.log_format");
        let LogFormat { log_format } = bootstrap.application_log_config.as_ref()?.log_format.as_ref()?;
        if by_flag {
            self.problems.push_with_hint(
                &path,
                "the command line has --log-format, too",
                "give the format in one of the two places",
            );
        }
        Some(match log_format.as_ref()? {
            Format::TextFormat(text) => ApplicationLogFormat::Text(text.clone()),
            Format::JsonFormat(members) => {
                let path = path.field("json_format");
                let members = members.fields.iter();
                let members =
                    members.map(|(key, value)| (key.clone(), self.log_member(&path.key(key), value)));
                ApplicationLogFormat::Json(Json::Object(members.collect()))
            }
        })
    }

    fn log_member(&mut self, path: &FieldPath<'_>, value: &Value) -> Json {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => Json::Null,
            Some(Kind::BoolValue(value)) => (*value).into(),
            // A whole number is written without a point.
            Some(Kind::NumberValue(value)) if value.fract() == 0.0 && value.abs() < 1e15 => {
                (*value as i64).into()
            }
            Some(Kind::NumberValue(value)) => (*value).into(),
            Some(Kind::StringValue(text)) => {
                for bare in ["%v", "%_"].iter().filter(|bare| text.replace("%%", "").contains(**bare)) {
                    self.problems.push_with_hint(
                        path,
                        format!("{bare} does not fit into JSON: a message with a quote in it would break it"),
                        "write %j, which is the message as JSON has it",
                    );
                }
                text.as_str().into()
            }
            Some(Kind::StructValue(inner)) => {
                let members = inner.fields.iter();
                let members =
                    members.map(|(key, value)| (key.clone(), self.log_member(&path.key(key), value)));
                Json::Object(members.collect::<Map<String, Json>>())
            }
            Some(Kind::ListValue(list)) => {
                let items = list.values.iter().enumerate();
                items.map(|(index, value)| self.log_member(&path.index(index), value)).collect()
            }
        }
    }
}
