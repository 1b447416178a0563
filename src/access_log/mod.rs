//! Access logs: an entry of each request, written off the workers.
//!
//! A worker formats entries into a buffer of its own ([`buffer`]) when streams end, and hands batches over to the thread
//! of their file ([`file`]), or to what sends them to a service ([`service`]). Nobody waits for either.

pub(crate) mod buffer;
pub(crate) mod file;
pub(crate) mod filter;
mod http_entry;
mod json;
mod record;
pub(crate) mod service;
pub(crate) mod stats;
mod tags;
mod text;
mod wire_text;

use self::buffer::LogBuffer;
use crate::{
    snapshot::access_log::{AccessLogs, LogFormat, LogSink, LogType},
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, Headers, PseudoHeaders},
        observed::KeptRequest,
    },
};

/// Write the entries of a stream.
pub(crate) fn log(logs: &AccessLogs, buffer: &LogBuffer, info: &StreamInfo, log_type: LogType) {
    let Some(observed) = info.observed.as_deref() else { return };
    observed.log_type.set(log_type.name());
    let request = observed.request.borrow();
    let response = observed.response.borrow();
    let context = FormatContext {
        info,
        request: request.as_ref().map_or(Headers::Kept(&[]), KeptRequest::headers),
        pseudo: request.as_ref().map_or_else(PseudoHeaders::default, KeptRequest::pseudo),
        response: response.as_deref().map(Headers::Kept),
    };
    for log in &logs.logs {
        if log.filter.as_ref().is_some_and(|filter| !filter::passes(filter, &context)) {
            continue;
        }
        match &log.sink {
            LogSink::File(file, LogFormat::Text(format, absent)) => {
                buffer.write(*file, |out| text::write(format, &context, absent, out));
            }
            LogSink::File(file, LogFormat::Json(line)) => {
                buffer.write(*file, |out| json::write_line(line, &context, out));
            }
            LogSink::File(file, LogFormat::SparseJson(json)) => {
                buffer.write(*file, |out| json::write_sparse(json, &context, out));
            }
            LogSink::OpenTelemetry(service, format) => {
                buffer.write_to_service(*service, |out| record::write(format, &context, out));
            }
            LogSink::AccessLogService(service, format) => {
                buffer.write_to_service(*service, |out| http_entry::write(format, &context, observed, out));
            }
        }
    }
}
