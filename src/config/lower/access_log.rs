//! Lowers access logs.

use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog as ProtoLog, access_log::ConfigType},
            core::v3::{SubstitutionFormatString, substitution_format_string::Format as ProtoFormat},
        },
        extensions::{
            access_loggers::{
                file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
                grpc::v3::HttpGrpcAccessLogConfig,
                open_telemetry::v3::OpenTelemetryAccessLogConfig,
                stream::v3::{StderrAccessLog, StdoutAccessLog, stderr_access_log, stdout_access_log},
            },
            filters::network::http_connection_manager::v3::HttpConnectionManager as ProtoManager,
        },
    },
    google::protobuf::{Any, Struct, Value, value::Kind},
};

use super::{Lowering, unpack};
use crate::{
    config::FieldPath,
    snapshot::{
        access_log::{AccessLog, AccessLogs, LogFormat, LogJson, LogSink, LogTarget, Wanted},
        format::{Format, Piece},
    },
};

/// What Envoy writes unless it is told otherwise.
const DEFAULT_FORMAT: &str = concat!(
    r#"[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% "#,
    "%RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    r#"%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "#,
    r#""%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%""#,
    "\n"
);

impl Lowering<'_> {
    /// The access logs of a connection manager.
    pub(super) fn access_logs(&mut self, path: &FieldPath<'_>, manager: &ProtoManager) -> AccessLogs {
        let logs_path = path.field("access_log");
        let mut logs = Vec::new();
        for (index, log) in manager.access_log.iter().enumerate() {
            logs.extend(self.access_log(&logs_path.index(index), log));
        }
        let options = manager.access_log_options.unwrap_or_default();
        let options_path = path.field("access_log_options");
        #[expect(deprecated, reason = "Envoy still reads the fields that access_log_options replaced")]
        let (on_new_request, interval) =
            (manager.flush_access_log_on_new_request, manager.access_log_flush_interval.as_ref());
        if manager.access_log_options.is_some() && (on_new_request || interval.is_some()) {
            self.problems.push(
                &options_path,
                "the fields that it replaces are set, too; give access_log_options alone",
            );
        }
        let interval = match options.access_log_flush_interval.as_ref() {
            Some(interval) => Some(self.duration(&options_path.field("access_log_flush_interval"), interval)),
            None => interval.map(|given| self.duration(&path.field("access_log_flush_interval"), given)),
        };
        AccessLogs {
            wanted: Wanted::of(&logs),
            on_new_request: on_new_request || options.flush_access_log_on_new_request,
            on_tunnel: options.flush_log_on_tunnel_successfully_established,
            interval: interval.filter(|interval| *interval > Duration::ZERO),
            logs,
        }
    }

    fn access_log(&mut self, path: &FieldPath<'_>, log: &ProtoLog) -> Option<AccessLog> {
        let filter = log.filter.as_ref().map(|filter| self.log_filter(&path.field("filter"), filter));
        let path = path.field("typed_config");
        let Some(ConfigType::TypedConfig(any)) = &log.config_type else {
            // An access log that spanway does not have was skipped, if that is allowed.
            if self.skipping {
                return None;
            }
            self.problems.push_with_hint(
                &path,
                "no configuration of the access log",
                "give its typed_config",
            );
            return None;
        };
        let sink = self.log_sink(&path, any)?;
        // A filter that could not be read was told; without it the log would not be what was meant.
        let filter = match filter {
            Some(filter) => Some(filter?),
            None => None,
        };
        Some(AccessLog { filter, sink })
    }

    fn log_sink(&mut self, path: &FieldPath<'_>, any: &Any) -> Option<LogSink> {
        if let Some(config) = unpack::<OpenTelemetryAccessLogConfig>(any) {
            return self.open_telemetry_log(path, &config);
        }
        if let Some(config) = unpack::<HttpGrpcAccessLogConfig>(any) {
            return self.http_grpc_log(path, &config);
        }
        let (target, format) = self.log_target(path, any)?;
        let file = self.log_files.iter().position(|known| *known == target).unwrap_or_else(|| {
            self.log_files.push(target);
            self.log_files.len() - 1
        });
        Some(LogSink::File(file, format))
    }

    fn log_target(&mut self, path: &FieldPath<'_>, any: &Any) -> Option<(LogTarget, LogFormat)> {
        if let Some(config) = unpack::<FileAccessLog>(any) {
            let target = LogTarget::File(config.path.clone().into());
            #[expect(deprecated, reason = "Envoy still reads the fields that log_format replaced")]
            let format = match &config.access_log_format {
                None => self.default_format(path),
                Some(AccessLogFormat::Format(text)) if text.is_empty() => self.default_format(path),
                Some(AccessLogFormat::Format(text)) => {
                    Some(LogFormat::Text(self.format(&path.field("format"), text)?, "-"))
                }
                // As in Envoy values of this one were always texts; JSON readers take numbers as well.
                Some(AccessLogFormat::JsonFormat(json)) => {
                    Some(self.log_json(&path.field("json_format"), json, false))
                }
                Some(AccessLogFormat::TypedJsonFormat(json)) => {
                    Some(self.log_json(&path.field("typed_json_format"), json, false))
                }
                Some(AccessLogFormat::LogFormat(format)) => {
                    self.log_format(&path.field("log_format"), format)
                }
            };
            return Some((target, format?));
        }
        let path = path.field("log_format");
        if let Some(config) = unpack::<StdoutAccessLog>(any) {
            let format = match &config.access_log_format {
                None => self.default_format(&path),
                Some(stdout_access_log::AccessLogFormat::LogFormat(format)) => self.log_format(&path, format),
            };
            return Some((LogTarget::Stdout, format?));
        }
        let config = unpack::<StderrAccessLog>(any)?;
        let format = match &config.access_log_format {
            None => self.default_format(&path),
            Some(stderr_access_log::AccessLogFormat::LogFormat(format)) => self.log_format(&path, format),
        };
        Some((LogTarget::Stderr, format?))
    }

    fn default_format(&mut self, path: &FieldPath<'_>) -> Option<LogFormat> {
        Some(LogFormat::Text(self.format(path, DEFAULT_FORMAT)?, "-"))
    }

    fn log_format(&mut self, path: &FieldPath<'_>, format: &SubstitutionFormatString) -> Option<LogFormat> {
        let omit = format.omit_empty_values;
        let absent = if omit { "" } else { "-" };
        #[expect(deprecated, reason = "Envoy still reads the field that text_format_source replaced")]
        Some(match format.format.as_ref()? {
            ProtoFormat::TextFormat(text) => {
                LogFormat::Text(self.format(&path.field("text_format"), text)?, absent)
            }
            ProtoFormat::TextFormatSource(source) => {
                let path = path.field("text_format_source");
                let text = self.data_source(&path, source);
                LogFormat::Text(self.format(&path, &String::from_utf8_lossy(&text))?, absent)
            }
            ProtoFormat::JsonFormat(json) => self.log_json(&path.field("json_format"), json, omit),
        })
    }

    fn log_json(&mut self, path: &FieldPath<'_>, object: &Struct, omit: bool) -> LogFormat {
        let json = self.log_object(path, object);
        if omit { LogFormat::SparseJson(json) } else { LogFormat::Json(json.into()) }
    }

    fn log_object(&mut self, path: &FieldPath<'_>, object: &Struct) -> LogJson {
        let mut fields = object.fields.iter().collect::<Vec<_>>();
        fields.sort_by_key(|(key, _)| *key);
        let member = |(key, value): (&String, &Value)| {
            let quoted = format!("{}:", serde_json::Value::from(key.as_str()));
            (quoted.into(), self.log_value(&path.key(key), value))
        };
        LogJson::Object(fields.into_iter().map(member).collect())
    }

    fn log_value(&mut self, path: &FieldPath<'_>, value: &Value) -> LogJson {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => LogJson::Literal("null".into()),
            Some(Kind::BoolValue(value)) => LogJson::Literal(value.to_string().into()),
            Some(Kind::NumberValue(value)) => LogJson::Literal(value.to_string().into()),
            Some(Kind::StringValue(text)) => match self.format(path, text) {
                Some(format) => json_text(format),
                None => LogJson::Literal("null".into()),
            },
            Some(Kind::StructValue(object)) => self.log_object(path, object),
            Some(Kind::ListValue(list)) => {
                let item = |(index, value)| self.log_value(&path.index(index), value);
                LogJson::List(list.values.iter().enumerate().map(item).collect())
            }
        }
    }
}

/// What a text of the configuration becomes in JSON.
fn json_text(format: Format) -> LogJson {
    if let Some(text) = format.as_literal() {
        return LogJson::Literal(serde_json::Value::from(text).to_string().into());
    }
    match format.pieces.as_slice() {
        [Piece::Command(..)] => LogJson::Value(format),
        _ => LogJson::Text(format),
    }
}
