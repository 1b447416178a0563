//! Access logs: what is written of each request, where to, and of which ones.

use std::{path::PathBuf, time::Duration};

use http::{
    HeaderName,
    header::{CONTENT_LENGTH, HOST, REFERER, USER_AGENT},
};

use super::{
    cel::{Expression, Headers, attribute::Attribute},
    format::{Command, Format, FormatHeader},
    log_service::{HttpEntryFormat, LogRecordFormat},
    matcher::{HeaderKey, HeaderMatcher},
    route::Fraction,
    tracing::{CustomTag, TagValue},
};

/// The access logs of a connection manager. `HttpConnectionManager.access_log` and `access_log_options`.
#[derive(Debug, Default)]
pub(crate) struct AccessLogs {
    /// `access_log`
    pub(crate) logs: Vec<AccessLog>,
    /// What of requests and responses is kept for them.
    pub(crate) wanted: Wanted,
    /// There is an entry when a request begins, too. `flush_access_log_on_new_request`.
    pub(crate) on_new_request: bool,
    /// And one when its connection has become a tunnel. `flush_log_on_tunnel_successfully_established`.
    pub(crate) on_tunnel: bool,
    /// And one each time so much has passed. `access_log_flush_interval`.
    pub(crate) interval: Option<Duration>,
}

/// One access log. `config.accesslog.v3.AccessLog`.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// Which streams; `None` for all. `filter`.
    pub(crate) filter: Option<LogFilter>,
    /// Where entries go, and what they hold.
    pub(crate) sink: LogSink,
}

/// Where entries go, and what they hold.
#[derive(Debug)]
pub(crate) enum LogSink {
    /// To a place in `Snapshot::log_files`; `log_format`.
    File(usize, LogFormat),
    /// As log records to a place in `Snapshot::log_services`. `OpenTelemetryAccessLogConfig`.
    OpenTelemetry(usize, LogRecordFormat),
    /// To a place in `Snapshot::log_services` that is an `AccessLogService`. `HttpGrpcAccessLogConfig`.
    AccessLogService(usize, HttpEntryFormat),
}

/// The file that entries go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogTarget {
    /// `FileAccessLog.path`
    File(PathBuf),
    /// `StdoutAccessLog`
    Stdout,
    /// `StderrAccessLog`
    Stderr,
}

/// What an entry looks like. `SubstitutionFormatString`.
#[derive(Debug)]
pub(crate) enum LogFormat {
    /// `text_format_source`, and what stands for a command without value: `-`, or nothing where values may be empty.
    Text(Format, &'static str),
    /// `json_format`, one object a line.
    Json(JsonLine),
    /// The same where members without value are left out (`omit_empty_values`).
    SparseJson(LogJson),
}

/// JSON whose members are all there: what stands between values is one text, commas and names included.
#[derive(Debug, Default)]
pub(crate) struct JsonLine {
    /// Values, each with the text before it.
    pub(crate) parts: Vec<(String, JsonValue)>,
    /// The text after the last one.
    pub(crate) end: String,
}

/// A value of a [`JsonLine`].
#[derive(Debug)]
pub(crate) enum JsonValue {
    /// One command alone, whose value keeps its type.
    One(Format),
    /// A text with values in it.
    Text(Format),
}

impl From<LogJson> for JsonLine {
    fn from(json: LogJson) -> Self {
        let mut line = Self::default();
        line.push(json);
        line
    }
}

impl JsonLine {
    fn push(&mut self, json: LogJson) {
        match json {
            LogJson::Literal(text) => self.end.push_str(&text),
            LogJson::Value(format) => {
                self.parts.push((std::mem::take(&mut self.end), JsonValue::One(format)))
            }
            LogJson::Text(format) => {
                self.parts.push((std::mem::take(&mut self.end), JsonValue::Text(format)))
            }
            LogJson::List(items) => self.push_all("[]", items.into_iter().map(|item| ("".into(), item))),
            LogJson::Object(members) => self.push_all("{}", members.into_iter()),
        }
    }

    fn push_all(&mut self, around: &str, items: impl Iterator<Item = (Box<str>, LogJson)>) {
        let (open, close) = around.split_at(1);
        self.end.push_str(open);
        for (index, (key, value)) in items.enumerate() {
            if index > 0 {
                self.end.push(',');
            }
            self.end.push_str(&key);
            self.push(value);
        }
        self.end.push_str(close);
    }
}

/// JSON before its values are known.
#[derive(Debug)]
pub(crate) enum LogJson {
    /// What stands in the output as it is.
    Literal(Box<str>),
    /// One command alone, whose value keeps its type.
    Value(Format),
    /// A text with values in it.
    Text(Format),
    /// Items in order.
    List(Vec<LogJson>),
    /// Members in the order of their names, which are quoted and have their colon.
    Object(Vec<(Box<str>, LogJson)>),
}

/// What an entry is about. `data.accesslog.v3.AccessLogType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogType {
    /// A request has come in.
    Start,
    /// A request goes on.
    Periodic,
    /// A request's connection has become a tunnel.
    TunnelEstablished,
    /// A request has ended.
    End,
}

impl LogType {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "DownstreamStart",
            Self::Periodic => "DownstreamPeriodic",
            Self::TunnelEstablished => "DownstreamTunnelSuccessfullyEstablished",
            Self::End => "DownstreamEnd",
        }
    }
}

/// Which streams are meant. `config.accesslog.v3.AccessLogFilter`.
#[derive(Debug)]
pub(crate) enum LogFilter {
    /// `status_code_filter`
    Status(Comparison, u32),
    /// `duration_filter`, in milliseconds.
    Duration(Comparison, u32),
    /// `not_health_check_filter`
    NotHealthCheck,
    /// `traceable_filter`
    Traceable,
    /// `runtime_filter`
    Runtime {
        /// How many of them.
        share: Fraction,
        /// Drawn anew, and not by the request's id.
        independent: bool,
    },
    /// `and_filter`
    All(Vec<LogFilter>),
    /// `or_filter`
    Any(Vec<LogFilter>),
    /// `header_filter`
    Header(HeaderMatcher),
    /// `response_flag_filter`; empty: any flag.
    Flags(Vec<String>),
    /// `grpc_status_filter`
    GrpcStatus {
        /// These codes,
        statuses: Vec<u32>,
        /// or all but them.
        exclude: bool,
    },
    /// `log_type_filter`
    LogType {
        /// The names of these types,
        types: Vec<&'static str>,
        /// or all but them.
        exclude: bool,
    },
    /// `extension_filter` by an expression: `ExpressionFilter`.
    Cel(Expression),
    /// What passes or not whatever the stream is: `metadata_filter`, since nothing here notes anything of a request.
    Always(bool),
}

/// `ComparisonFilter.Op`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// `EQ`
    Equal,
    /// `GE`
    AtLeast,
    /// `LE`
    AtMost,
    /// `NE`
    NotEqual,
}

/// What is kept of requests and responses until their entries are written.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Headers of requests, `host` among them.
    pub(crate) request: HeaderNames,
    /// Headers of responses.
    pub(crate) response: HeaderNames,
    /// How many bytes a request's headers have.
    pub(crate) request_bytes: bool,
    /// The same of a response's.
    pub(crate) response_bytes: bool,
    /// When what happened.
    pub(crate) moments: bool,
}

/// Names of headers.
#[derive(Debug, Default)]
pub(crate) struct HeaderNames {
    names: Vec<HeaderName>,
    /// A bit for each length that one of them has, which keeps most others out. Longer ones share the last bit.
    lengths: u64,
}

impl HeaderNames {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether `name` is one of them.
    pub(crate) fn contains(&self, name: &HeaderName) -> bool {
        self.lengths & Self::length_bit(name) != 0 && self.names.contains(name)
    }

    /// Add a name once.
    fn add(&mut self, name: &HeaderName) {
        if !self.contains(name) {
            self.lengths |= Self::length_bit(name);
            self.names.push(name.clone());
        }
    }

    fn length_bit(name: &HeaderName) -> u64 {
        1 << name.as_str().len().min(63)
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

impl Wanted {
    /// What these logs read.
    pub(crate) fn of(logs: &[AccessLog]) -> Self {
        // A request's authority is read of it.
        let mut wanted = Self::default();
        wanted.request.add(&HOST);
        for log in logs {
            if let Some(filter) = &log.filter {
                wanted.add_filter(filter);
            }
            match &log.sink {
                LogSink::File(_, LogFormat::Text(format, _)) => wanted.add_format(format),
                LogSink::File(_, LogFormat::SparseJson(json)) => wanted.add_json(json),
                LogSink::File(_, LogFormat::Json(line)) => {
                    for (_, JsonValue::One(format) | JsonValue::Text(format)) in &line.parts {
                        wanted.add_format(format);
                    }
                }
                LogSink::OpenTelemetry(_, record) => wanted.add_record(record),
                LogSink::AccessLogService(_, entry) => wanted.add_entry(entry),
            }
        }
        wanted
    }

    fn add_record(&mut self, record: &LogRecordFormat) {
        let attributes = record.attributes.iter().map(|(_, value)| value);
        for value in record.body.iter().chain(attributes) {
            value.formats(&mut |format| self.add_format(format));
        }
        self.add_tags(&record.tags);
    }

    /// What all entries of an `AccessLogService` have, and what is asked for besides.
    fn add_entry(&mut self, entry: &HttpEntryFormat) {
        let usual = [USER_AGENT, REFERER, X_FORWARDED_FOR, X_REQUEST_ID, X_ENVOY_ORIGINAL_PATH];
        usual.iter().chain(&entry.request_headers).for_each(|name| self.request.add(name));
        entry.response_headers.iter().for_each(|name| self.response.add(name));
        (self.request_bytes, self.response_bytes, self.moments) = (true, true, true);
        self.add_tags(&entry.tags);
    }

    fn add_tags(&mut self, tags: &[CustomTag]) {
        for tag in tags {
            match &tag.value {
                TagValue::RequestHeader(FormatHeader::Name(name), _) => self.request.add(name),
                TagValue::Format(format) => self.add_format(format),
                _ => {}
            }
        }
    }

    fn add_json(&mut self, json: &LogJson) {
        match json {
            LogJson::Literal(_) => {}
            LogJson::Value(format) | LogJson::Text(format) => self.add_format(format),
            LogJson::List(items) => items.iter().for_each(|item| self.add_json(item)),
            LogJson::Object(members) => members.iter().for_each(|(_, value)| self.add_json(value)),
        }
    }

    fn add_format(&mut self, format: &Format) {
        for command in format.commands() {
            match command {
                Command::RequestHeader(first, second) => {
                    for header in [Some(first), second.as_ref()].into_iter().flatten() {
                        if let FormatHeader::Name(name) = header {
                            self.request.add(name);
                        }
                    }
                }
                Command::ResponseHeader(first, second) => {
                    [Some(first), second.as_ref()].into_iter().flatten().for_each(|name| {
                        self.response.add(name);
                    });
                }
                Command::StreamId => self.request.add(&X_REQUEST_ID),
                Command::Path { .. } => self.request.add(&X_ENVOY_ORIGINAL_PATH),
                Command::GrpcStatus(_) => self.response.add(&GRPC_STATUS),
                Command::Cel(expression) => self.add_expression(expression),
                Command::RequestHeadersBytes => self.request_bytes = true,
                Command::ResponseHeadersBytes => self.response_bytes = true,
                Command::Between(..) => self.moments = true,
                _ => {}
            }
        }
    }

    fn add_expression(&mut self, expression: &Expression) {
        let mut attributes = Vec::new();
        let mut headers = Vec::new();
        expression
            .reads(&mut |of, name| headers.push((of, name.to_owned())), &mut |read| attributes.push(read));
        for (of, name) in headers {
            // Pseudo-headers are kept in any case, and so are trailers.
            let Ok(name) = name.parse::<HeaderName>() else { continue };
            match of {
                Headers::Request => self.request.add(&name),
                Headers::Response => self.response.add(&name),
                Headers::Trailers => {}
            }
        }
        for attribute in attributes {
            match attribute {
                Attribute::RequestId => self.request.add(&X_REQUEST_ID),
                Attribute::RequestReferer => self.request.add(&REFERER),
                Attribute::RequestUserAgent => self.request.add(&USER_AGENT),
                Attribute::RequestSize => self.request.add(&CONTENT_LENGTH),
                Attribute::RequestTotalSize => self.request_bytes = true,
                Attribute::ResponseTotalSize => self.response_bytes = true,
                Attribute::ResponseBackendLatency | Attribute::UpstreamPoolReadyDuration => {
                    self.moments = true
                }
                Attribute::ResponseGrpcStatus => self.response.add(&GRPC_STATUS),
                _ => {}
            }
        }
    }

    fn add_filter(&mut self, filter: &LogFilter) {
        match filter {
            LogFilter::All(filters) | LogFilter::Any(filters) => {
                filters.iter().for_each(|filter| self.add_filter(filter));
            }
            LogFilter::Header(matcher) => {
                if let HeaderKey::Name(name) = &matcher.name {
                    self.request.add(name);
                }
            }
            LogFilter::GrpcStatus { .. } => self.response.add(&GRPC_STATUS),
            LogFilter::Runtime { .. } => self.request.add(&X_REQUEST_ID),
            LogFilter::Cel(expression) => self.add_expression(expression),
            _ => {}
        }
    }
}
