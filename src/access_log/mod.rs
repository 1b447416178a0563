//! Access logs: an entry of each request, written off the workers.
//!
//! A worker formats entries into a buffer of its own ([`buffer`]) when streams end, and hands batches over to the thread
//! of their file ([`file`]), which nobody waits for.

pub(crate) mod buffer;
pub(crate) mod file;
pub(crate) mod filter;
mod json;
pub(crate) mod stats;
mod text;

use http::HeaderMap;

use self::buffer::LogBuffer;
use crate::{
    snapshot::access_log::{AccessLogs, LogFormat, LogType},
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, PseudoHeaders},
        observed::KeptRequest,
    },
};

/// Write the entries of a stream.
pub(crate) fn log(logs: &AccessLogs, buffer: &LogBuffer, info: &StreamInfo, log_type: LogType) {
    let Some(observed) = info.observed.as_deref() else { return };
    observed.log_type.set(log_type.name());
    let request = observed.request.borrow();
    let response = observed.response.borrow();
    let no_headers = HeaderMap::new();
    let context = FormatContext {
        info,
        request: request.as_ref().map_or(&no_headers, |request| &request.headers),
        pseudo: request.as_ref().map_or_else(PseudoHeaders::default, KeptRequest::pseudo),
        response: response.as_ref(),
    };
    for log in &logs.logs {
        if log.filter.as_ref().is_some_and(|filter| !filter::passes(filter, &context)) {
            continue;
        }
        buffer.write(log.file, |out| match &log.format {
            LogFormat::Text(format, absent) => text::write(format, &context, absent, out),
            LogFormat::Json(json, omit) => {
                json::write(json, &context, *omit, out);
                out.push(b'\n');
            }
        });
    }
}
