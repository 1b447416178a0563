//! Entries as an `AccessLogService` takes them.
//!
//! Reference: `envoy/data/accesslog/v3/accesslog.proto` and `envoy/service/accesslog/v3/als.proto`. What nothing here
//! counts or keeps (bytes on the wire, what certificates say, notes of filters) is left out.

mod fields;

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::HeaderName;

use self::fields::{address, common, entry, key_value, request, response, tls, value};
use super::{tags, wire_text::put_sanitized};
use crate::{
    proto_writer::{put_message, put_number, put_text},
    snapshot::{
        Address,
        access_log::LogType,
        format::command::{Precision, TimePoint},
        log_service::HttpEntryFormat,
    },
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, Headers},
        observed::Observed,
        tls::TlsFacts,
    },
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");

/// Write an entry, as the field of `HTTPAccessLogEntries` that it is.
pub(super) fn write(
    format: &HttpEntryFormat,
    context: &FormatContext<'_>,
    observed: &Observed,
    out: &mut Vec<u8>,
) {
    put_message(out, entry::LOG_ENTRY, |out| {
        put_message(out, entry::COMMON_PROPERTIES, |out| write_common(format, context, observed, out));
        put_number(out, entry::PROTOCOL_VERSION, fields::protocol(context.info.protocol));
        put_message(out, entry::REQUEST, |out| write_request(format, context, observed, out));
        put_message(out, entry::RESPONSE, |out| write_response(format, context, observed, out));
    });
}

fn write_common(
    format: &HttpEntryFormat,
    context: &FormatContext<'_>,
    observed: &Observed,
    out: &mut Vec<u8>,
) {
    let info = context.info;
    if let Some(remote) = info.remote.get() {
        put_address(out, common::DOWNSTREAM_REMOTE_ADDRESS, remote);
    }
    match &info.connection.local {
        Address::Socket(local) => put_address(out, common::DOWNSTREAM_LOCAL_ADDRESS, *local),
        Address::Pipe(path) => put_message(out, common::DOWNSTREAM_LOCAL_ADDRESS, |out| {
            put_message(out, address::PIPE, |out| {
                put_text(out, address::PIPE_PATH, &path.display().to_string());
            });
        }),
    }
    if let Some(facts) = info.connection.tls.get() {
        let name = info.connection.requested_server_name.get().map_or("", |name| name);
        put_message(out, common::TLS_PROPERTIES, |out| write_tls(&facts, name, out));
    }
    put_timestamp(out, common::START_TIME, info.start_time);
    for (field, moment) in [
        (common::TIME_TO_LAST_RX_BYTE, TimePoint::RequestEnd),
        (common::TIME_TO_FIRST_UPSTREAM_TX_BYTE, TimePoint::SendStart),
        (common::TIME_TO_LAST_UPSTREAM_TX_BYTE, TimePoint::SendEnd),
        (common::TIME_TO_FIRST_UPSTREAM_RX_BYTE, TimePoint::ResponseStart),
        (common::TIME_TO_LAST_UPSTREAM_RX_BYTE, TimePoint::ResponseEnd),
        (common::TIME_TO_FIRST_DOWNSTREAM_TX_BYTE, TimePoint::ReplyStart),
        (common::TIME_TO_LAST_DOWNSTREAM_TX_BYTE, TimePoint::ReplyEnd),
    ] {
        let since = (TimePoint::RequestStart, moment);
        if let Some(nanoseconds) = observed.between(info, since, Precision::Nanoseconds) {
            put_duration(out, field, Duration::from_nanos(nanoseconds));
        }
    }
    write_upstream(info, observed, out);
    if !info.flags.get().is_empty() {
        put_message(out, common::RESPONSE_FLAGS, |out| {
            fields::flags(info.flags.get()).for_each(|field| put_number(out, field, 1));
        });
    }
    // Formats have underscores in it, and entries have spaces.
    let reason = observed.transport_failure.get().replace('_', " ");
    put_text(out, common::UPSTREAM_TRANSPORT_FAILURE_REASON, &reason);
    put_text(out, common::ROUTE_NAME, &info.route_name.borrow());
    if let Some(peer) = info.connection.peer {
        put_address(out, common::DOWNSTREAM_DIRECT_REMOTE_ADDRESS, peer);
    }
    tags::each(&format.tags, context, |key, value| put_pair(out, common::CUSTOM_TAGS, key, value));
    let is_last = observed.log_type.get() == LogType::End.name();
    if is_last {
        put_duration(out, common::DURATION, info.duration());
    }
    put_number(out, common::UPSTREAM_REQUEST_ATTEMPT_COUNT, info.attempts.get().into());
    put_sanitized(out, common::STREAM_ID, header(context.request, &X_REQUEST_ID));
    put_number(out, common::INTERMEDIATE_LOG_ENTRY, u64::from(!is_last));
    put_number(out, common::ACCESS_LOG_TYPE, fields::log_type(observed.log_type.get()));
}

fn write_upstream(info: &StreamInfo, observed: &Observed, out: &mut Vec<u8>) {
    let connection = observed.connection.borrow();
    let host = info.upstream_host.borrow();
    // Of an attempt that got no connection the host is known nevertheless.
    let remote = connection.as_ref().and_then(|connection| connection.remote);
    if let Some(remote) = remote.or_else(|| host.as_ref()?.parse().ok()) {
        put_address(out, common::UPSTREAM_REMOTE_ADDRESS, remote);
    }
    if let Some(local) = connection.as_ref().and_then(|connection| connection.local) {
        put_address(out, common::UPSTREAM_LOCAL_ADDRESS, local);
    }
    // The cluster is that of the host.
    if let (Some(_), Some(cluster)) = (&*host, &*info.cluster.borrow()) {
        put_text(out, common::UPSTREAM_CLUSTER, &cluster.name);
    }
}

fn write_tls(facts: &TlsFacts, name: &str, out: &mut Vec<u8>) {
    put_number(out, tls::VERSION, fields::tls_version(facts.version));
    put_message(out, tls::CIPHER_SUITE, |out| put_number(out, value::VALUE, facts.suite.into()));
    put_text(out, tls::SNI_HOSTNAME, name);
}

fn write_request(
    format: &HttpEntryFormat,
    context: &FormatContext<'_>,
    observed: &Observed,
    out: &mut Vec<u8>,
) {
    let (pseudo, headers) = (&context.pseudo, context.request);
    put_number(out, request::METHOD, fields::method(pseudo.method));
    put_text(out, request::SCHEME, pseudo.scheme);
    put_sanitized(out, request::AUTHORITY, pseudo.authority.as_bytes());
    put_sanitized(out, request::PATH, pseudo.path.as_bytes());
    put_sanitized(out, request::USER_AGENT, header(headers, &http::header::USER_AGENT));
    put_sanitized(out, request::REFERER, header(headers, &http::header::REFERER));
    put_sanitized(out, request::FORWARDED_FOR, header(headers, &X_FORWARDED_FOR));
    put_sanitized(out, request::REQUEST_ID, header(headers, &X_REQUEST_ID));
    put_sanitized(out, request::ORIGINAL_PATH, header(headers, &X_ENVOY_ORIGINAL_PATH));
    let bytes = observed.request.borrow().as_ref().map_or(0, |kept| kept.bytes);
    put_number(out, request::HEADERS_BYTES, bytes);
    put_number(out, request::BODY_BYTES, context.info.bytes_received.get());
    put_headers(out, request::HEADERS, headers, &format.request_headers);
}

fn write_response(
    format: &HttpEntryFormat,
    context: &FormatContext<'_>,
    observed: &Observed,
    out: &mut Vec<u8>,
) {
    let info = context.info;
    if info.status.get() > 0 {
        put_message(out, response::CODE, |out| put_number(out, value::VALUE, info.status.get().into()));
    }
    put_number(out, response::HEADERS_BYTES, observed.response_bytes.get());
    put_number(out, response::BODY_BYTES, info.bytes_sent.get());
    if let Some(headers) = context.response {
        put_headers(out, response::HEADERS, headers, &format.response_headers);
    }
    if let Some(trailers) = &*observed.trailers.borrow() {
        put_headers(out, response::TRAILERS, Headers::All(trailers), &format.response_trailers);
    }
    put_text(out, response::CODE_DETAILS, info.details.get());
}

/// The value of a header, empty if it is not there.
fn header<'a>(headers: Headers<'a>, name: &HeaderName) -> &'a [u8] {
    headers.get(name).map_or(&[], http::HeaderValue::as_bytes)
}

/// Those of these names that are there; several lines of one are joined by a comma.
fn put_headers(out: &mut Vec<u8>, field: u32, headers: Headers<'_>, names: &[HeaderName]) {
    for name in names {
        let mut lines = headers.each(name);
        match (lines.next(), lines.next()) {
            (None, _) => {}
            (Some(only), None) => put_pair(out, field, name.as_str(), only.as_bytes()),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(lines).map(http::HeaderValue::as_bytes);
                put_pair(out, field, name.as_str(), &all.collect::<Vec<_>>().join(&b","[..]));
            }
        }
    }
}

/// A pair of a map of texts.
fn put_pair(out: &mut Vec<u8>, field: u32, key: &str, value: &[u8]) {
    put_message(out, field, |out| {
        put_text(out, key_value::KEY, key);
        put_sanitized(out, key_value::VALUE, value);
    });
}

fn put_address(out: &mut Vec<u8>, field: u32, socket: SocketAddr) {
    put_message(out, field, |out| {
        put_message(out, address::SOCKET, |out| {
            put_text(out, address::SOCKET_ADDRESS, &socket.ip().to_string());
            put_number(out, address::SOCKET_PORT, socket.port().into());
        });
    });
}

fn put_timestamp(out: &mut Vec<u8>, field: u32, time: SystemTime) {
    put_duration(out, field, time.duration_since(UNIX_EPOCH).unwrap_or_default());
}

/// A `Duration`, or a `Timestamp`, which looks the same.
fn put_duration(out: &mut Vec<u8>, field: u32, duration: Duration) {
    put_message(out, field, |out| {
        put_number(out, value::SECONDS, duration.as_secs());
        put_number(out, value::NANOS, duration.subsec_nanos().into());
    });
}
