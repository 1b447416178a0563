//! Access logs that go to a service of the network: which one, and what its entries hold.

use std::time::Duration;

use http::HeaderName;

use super::{
    delivery::{GrpcService, OtlpExporter},
    format::Format,
    tracing::CustomTag,
};

/// A service that takes entries, one for each different configuration of one.
#[derive(Debug, PartialEq)]
pub(crate) struct LogService {
    /// What it is called: its `log_name`, or the name of its cluster.
    pub(crate) name: Box<str>,
    /// How it is spoken to.
    pub(crate) protocol: LogProtocol,
    /// A worker hands its entries over when they have so many bytes. Default 16 KiB; 0: each at once.
    /// `buffer_size_bytes`.
    pub(crate) buffer_bytes: usize,
    /// And after so long in any case. Default 1 s. `buffer_flush_interval`.
    pub(crate) interval: Duration,
    /// What stands in statistics between `open_telemetry_access_log` and the name of each. `stat_prefix`.
    pub(crate) stat_prefix: Box<str>,
}

/// How entries are sent.
#[derive(Debug, PartialEq)]
pub(crate) enum LogProtocol {
    /// As log records of OTLP. `OpenTelemetryAccessLogConfig`.
    OpenTelemetry {
        /// To whom, and over what.
        exporter: OtlpExporter,
        /// Whose they are: a `Resource` of OTLP, written already.
        resource: Box<[u8]>,
    },
    /// On a stream of `AccessLogService.StreamAccessLogs`. `HttpGrpcAccessLogConfig`.
    AccessLogService {
        /// To whom.
        service: GrpcService,
        /// What the first message of a stream says: a `StreamAccessLogsMessage.Identifier`, written already.
        identifier: Box<[u8]>,
    },
}

/// What a log record says. `OpenTelemetryAccessLogConfig`.
#[derive(Debug)]
pub(crate) struct LogRecordFormat {
    /// `body`
    pub(crate) body: Option<AnyFormat>,
    /// `attributes`, in their order.
    pub(crate) attributes: Vec<(Box<str>, AnyFormat)>,
    /// Attributes that come behind those. `custom_tags`.
    pub(crate) tags: Vec<CustomTag>,
}

/// A value of OTLP, before those of its operators are known. Like Envoy's, all that it holds are texts.
#[derive(Debug)]
pub(crate) enum AnyFormat {
    /// `string_value`
    Text(Format),
    /// `array_value`
    List(Vec<AnyFormat>),
    /// `kvlist_value`, in its order.
    Map(Vec<(Box<str>, AnyFormat)>),
}

impl AnyFormat {
    /// The formats in it.
    pub(crate) fn formats<'a>(&'a self, each: &mut dyn FnMut(&'a Format)) {
        match self {
            Self::Text(format) => each(format),
            Self::List(items) => items.iter().for_each(|item| item.formats(each)),
            Self::Map(members) => members.iter().for_each(|(_, member)| member.formats(each)),
        }
    }
}

/// What an `HTTPAccessLogEntry` holds besides what all have. `HttpGrpcAccessLogConfig`.
#[derive(Debug)]
pub(crate) struct HttpEntryFormat {
    /// `additional_request_headers_to_log`
    pub(crate) request_headers: Vec<HeaderName>,
    /// `additional_response_headers_to_log`
    pub(crate) response_headers: Vec<HeaderName>,
    /// `additional_response_trailers_to_log`
    pub(crate) response_trailers: Vec<HeaderName>,
    /// `custom_tags`
    pub(crate) tags: Vec<CustomTag>,
}
