//! Entries of access logs that a collector was sent, as lines.

use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, stream_access_logs_message::LogEntries,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;

use crate::{message::Message, spans, zipkin::hex};

/// What an entry says, in order.
pub(crate) type Entry = Vec<(String, String)>;

/// Whether a call brings entries, and no spans.
pub(crate) fn are_in(call: &Message) -> bool {
    [".LogsService/", ".AccessLogService/", "/v1/logs"].iter().any(|part| call.path().contains(part))
}

/// The entries that a call brought, with the resource or the identifier that they came with.
pub(crate) fn of(call: &Message) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    if !call.path().contains(".AccessLogService/") {
        let body = if call.path().contains("/v1/logs") { Ok(&*call.body) } else { one_message(&call.body) };
        let request = ExportLogsServiceRequest::decode(body?).map_err(|error| error.to_string())?;
        for of_resource in request.resource_logs {
            let resource = of_resource.resource.unwrap_or_default().attributes;
            for record in of_resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                let mut entry = spans::attributes("resource", &resource);
                entry.push(("has_time".to_owned(), (record.time_unix_nano > 0).to_string()));
                entry.push(("observed_time".to_owned(), record.observed_time_unix_nano.to_string()));
                entry.push(("severity".to_owned(), record.severity_number.to_string()));
                entry.push(("body".to_owned(), spans::any(record.body.as_ref())));
                entry.extend(spans::attributes("attributes", &record.attributes));
                entry.push(("trace".to_owned(), hex(&record.trace_id)));
                entry.push(("span".to_owned(), hex(&record.span_id)));
                entries.push(entry);
            }
        }
        return Ok(entries);
    }
    let mut rest = &*call.body;
    while let [_, length @ ..] = rest
        && let Some((length, after)) = length.split_first_chunk::<4>()
        && let Some((message, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize)
    {
        rest = after;
        let mut message = StreamAccessLogsMessage::decode(message).map_err(|error| error.to_string())?;
        let mut identifier = Entry::new();
        if let Some(said) = &mut message.identifier
            && let Some(node) = &mut said.node
        {
            // Who each of them is, and what it was built with.
            (node.extensions, node.user_agent_version_type) = (Vec::new(), None);
            node.user_agent_name.clear();
            flatten(&format!("{said:#?}"), &mut identifier);
        }
        let Some(LogEntries::HttpLogs(logs)) = message.log_entries else {
            return Err("a message without entries of HTTP".to_owned());
        };
        for log in logs.log_entry {
            let mut entry = std::mem::take(&mut identifier);
            flatten(&format!("{log:#?}"), &mut entry);
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn one_message(body: &[u8]) -> Result<&[u8], String> {
    body.get(5..).ok_or_else(|| "no gRPC message".to_owned())
}

/// What a message says, by the names of its fields: those that have their defaults are left out, and of times only that
/// they are there.
fn flatten(shown: &str, entry: &mut Entry) {
    let mut path: Vec<String> = Vec::new();
    for line in shown.lines().map(str::trim) {
        let is_end = line.starts_with(['}', ')', ']']);
        if is_end {
            path.pop();
            continue;
        }
        let (name, value) = line.split_once(": ").unwrap_or(("", line));
        if value.ends_with(['{', '(', '[']) {
            path.push(name.trim_matches('"').to_owned());
            continue;
        }
        let value = value.trim_end_matches(',');
        let is_default = matches!(value, "0" | "0.0" | "\"\"" | "None" | "false" | "[]" | "{}");
        let place = path.iter().map(String::as_str).chain([name.trim_matches('"')]);
        let place = place.filter(|name| !name.is_empty()).collect::<Vec<_>>().join(".");
        if place.ends_with(".seconds") {
            entry.push((place.trim_end_matches(".seconds").to_owned(), "is there".to_owned()));
        } else if !is_default
            && !place.ends_with(".nanos")
            && !IGNORED.iter().any(|name| place.ends_with(name))
        {
            entry.push((place, value.trim_matches('"').to_owned()));
        }
    }
}

/// What spanway does not count, as docs/access-logs.md says.
const IGNORED: [&str; 8] = [
    "downstream_wire_bytes_sent",
    "downstream_wire_bytes_received",
    "upstream_wire_bytes_sent",
    "upstream_wire_bytes_received",
    "upstream_header_bytes_sent",
    "upstream_header_bytes_received",
    "downstream_header_bytes_sent",
    "downstream_header_bytes_received",
];
