//! OpenTelemetry's stable conventions for HTTP spans, with typed values.
//!
//! Reference: OpenTelemetry semantic conventions, "HTTP spans", version 1.23 and later.

use http::Version;

use super::{
    FinishedSpan, GrpcStatus, RequestFacts, Subject,
    attempt::AttemptFacts,
    attributes::{Attributes, code, method, text},
};

/// Envoy's tags that have a counterpart here.
pub(super) const REPLACED: &[&str] = &[
    "http.url",
    "http.method",
    "user_agent",
    "http.protocol",
    "peer.address",
    "upstream_address",
    "http.status_code",
    "request_size",
    "response_size",
    "retry.count",
    "grpc.status_code",
    "error",
    "error.reason",
];

/// Add the attributes of `span`.
pub(super) fn put(list: &mut Attributes, span: &FinishedSpan) {
    match &span.subject {
        Subject::Stream { record, request_bytes, response_bytes } => {
            put_request(list, &record.request);
            if !span.route.is_empty() {
                list.put("http.route", std::sync::Arc::clone(&span.route));
            }
            list.put_number("http.request.body.size", number(*request_bytes));
            list.put_number("http.response.body.size", number(*response_bytes));
        }
        Subject::Attempt(facts) => put_attempt(list, facts),
    }
    if span.status > 0 {
        list.put_number("http.response.status_code", span.status.into());
    }
    if let Some(status) = span.grpc_status.as_ref() {
        put_grpc(list, status);
    }
    if let Some(error) = error_type(span) {
        list.put("error.type", error);
    }
}

fn put_request(list: &mut Attributes, request: &RequestFacts) {
    put_method(list, &request.method);
    if let Some((scheme, rest)) = request.url.split_once("://") {
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        list.put("url.scheme", scheme.to_owned());
        list.put("url.path", path.to_owned());
        if let Some(query) = query {
            list.put("url.query", query.to_owned());
        }
        put_server(list, authority, scheme);
    }
    list.put("network.protocol.version", version(request.protocol));
    if let Some(peer) = request.peer {
        list.put("network.peer.address", peer.to_string());
    }
    if let Some(agent) = &request.user_agent {
        list.put("user_agent.original", text(agent));
    }
}

fn put_method(list: &mut Attributes, name: &http::Method) {
    let known = method(name);
    list.put("http.request.method", known);
    if known == "_OTHER" {
        list.put("http.request.method_original", name.to_string());
    }
}

/// Host and port of an authority; the port only if it is not the scheme's own.
fn put_server(list: &mut Attributes, authority: &str, scheme: &str) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
        _ => (authority, None),
    };
    list.put("server.address", host.trim_matches(['[', ']']).to_owned());
    let usual = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != usual) {
        list.put_number("server.port", port.into());
    }
}

fn put_attempt(list: &mut Attributes, facts: &AttemptFacts) {
    if let Some((method, url)) = facts.request.as_deref() {
        put_method(list, method);
        list.put("url.full", url.to_string());
        if let Some((scheme, rest)) = url.split_once("://") {
            let at = rest.find(['/', '?']).unwrap_or(rest.len());
            put_server(list, rest.get(..at).unwrap_or_default(), scheme);
        }
    }
    if let Some(protocol) = facts.protocol {
        list.put("network.protocol.version", version(protocol));
    }
    if let Some(host) = &facts.host {
        let (address, port) = host.rsplit_once(':').unwrap_or((host, ""));
        list.put("network.peer.address", address.trim_matches(['[', ']']).to_owned());
        if let Ok(port) = port.parse::<u16>() {
            list.put_number("network.peer.port", port.into());
        }
    }
    if facts.retries > 0 {
        list.put_number("http.request.resend_count", facts.retries.into());
    }
}

fn put_grpc(list: &mut Attributes, status: &GrpcStatus) {
    if let Some(code) = code(status) {
        list.put("rpc.system", "grpc");
        list.put_number("rpc.grpc.status_code", code.into());
    }
}

/// What kind of error it is: the status, or why there is none.
fn error_type(span: &FinishedSpan) -> Option<String> {
    let failed = match &span.subject {
        Subject::Attempt(facts) => facts.failure,
        Subject::Stream { .. } => None,
    };
    match span.status {
        _ if failed.is_some() => failed.map(|reason| reason.replace(' ', "_")),
        0 => Some(span.flags.text().into_owned()),
        status if super::attributes::is_error(span) || status >= 500 => Some(status.to_string()),
        _ => None,
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    }
}
