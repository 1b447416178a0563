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
pub(super) fn put<'a>(list: &mut Attributes<'a>, span: &'a FinishedSpan) {
    match &span.subject {
        Subject::Stream { record, request_bytes, response_bytes } => {
            put_request(list, &record.request);
            if !span.route.is_empty() {
                list.put_text("http.route", &span.route);
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

fn put_request<'a>(list: &mut Attributes<'a>, request: &'a RequestFacts) {
    put_method(list, &request.method);
    if let Some((scheme, rest)) = request.url.split_once("://") {
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        list.put_text("url.scheme", scheme);
        list.put_text("url.path", path);
        if let Some(query) = query {
            list.put_text("url.query", query);
        }
        put_server(list, authority, scheme);
    }
    list.put("network.protocol.version", version(request.protocol));
    if let Some(peer) = &request.peer {
        list.put("network.peer.address", text(&peer.text));
    }
    if let Some(agent) = &request.user_agent {
        list.put("user_agent.original", text(agent));
    }
}

fn put_method<'a>(list: &mut Attributes<'a>, name: &'a http::Method) {
    let known = method(name);
    list.put("http.request.method", known);
    if known == "_OTHER" {
        list.put_text("http.request.method_original", name.as_str());
    }
}

/// Host and port of an authority; the port only if it is not the scheme's own.
fn put_server<'a>(list: &mut Attributes<'a>, authority: &'a str, scheme: &str) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse::<u16>().ok()),
        _ => (authority, None),
    };
    list.put_text("server.address", host.trim_matches(['[', ']']));
    let usual = if scheme == "https" { 443 } else { 80 };
    if let Some(port) = port.filter(|port| *port != usual) {
        list.put_number("server.port", port.into());
    }
}

fn put_attempt<'a>(list: &mut Attributes<'a>, facts: &'a AttemptFacts) {
    if let Some((method, url)) = facts.request.as_deref() {
        put_method(list, method);
        list.put_text("url.full", url);
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
        list.put_text("network.peer.address", address.trim_matches(['[', ']']));
        if let Ok(port) = port.parse::<u16>() {
            list.put_number("network.peer.port", port.into());
        }
    }
    if facts.retries > 0 {
        list.put_number("http.request.resend_count", facts.retries.into());
    }
}

fn put_grpc(list: &mut Attributes<'_>, status: &GrpcStatus) {
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
