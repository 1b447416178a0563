//! Request headers at the edge: who the client is, what it may say, `x-request-id`.
//!
//! Names follow Envoy: an *internal* request comes from an address that the configuration calls internal; an
//! *edge* request is one that is not, on a listener that faces clients (`use_remote_address`).

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, EXPECT, REFERER, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT, VIA},
};
use uuid::Uuid;

use super::client_address::{self, Client};
use crate::{
    http_headers::{
        HTTP2_SETTINGS, KEEP_ALIVE, PROXY_CONNECTION, Present, X_CLIENT_TRACE_ID,
        X_ENVOY_DECORATOR_OPERATION, X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, X_ENVOY_DOWNSTREAM_SERVICE_NODE,
        X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, X_ENVOY_EXTERNAL_ADDRESS, X_ENVOY_FORCE_TRACE,
        X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT, X_ENVOY_INTERNAL, X_ENVOY_IP_TAGS, X_ENVOY_MAX_RETRIES,
        X_ENVOY_ORIGINAL_PATH, X_ENVOY_ORIGINAL_URL, X_ENVOY_RETRIABLE_HEADER_NAMES,
        X_ENVOY_RETRIABLE_STATUS_CODES, X_ENVOY_RETRY_GRPC_ON, X_ENVOY_RETRY_ON,
        X_ENVOY_UPSTREAM_ALT_STAT_NAME, X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
        X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE, X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
        X_ENVOY_UPSTREAM_STREAM_DURATION_MS, X_FORWARDED_CLIENT_CERT, X_FORWARDED_FOR, X_FORWARDED_PROTO,
        X_REQUEST_ID,
    },
    snapshot::{Node, listener::HttpConnectionManager, matcher::header_text},
    stream_info::{ConnectionInfo, IpText},
    trace::sampler::{TraceReason, pack_reason},
};

/// Headers that only internal clients may send.
const INTERNAL_ONLY: [HeaderName; 15] = [
    X_ENVOY_UPSTREAM_STREAM_DURATION_MS,
    X_ENVOY_RETRIABLE_STATUS_CODES,
    X_ENVOY_RETRIABLE_HEADER_NAMES,
    X_ENVOY_RETRY_ON,
    X_ENVOY_RETRY_GRPC_ON,
    X_ENVOY_MAX_RETRIES,
    X_ENVOY_UPSTREAM_ALT_STAT_NAME,
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_MS,
    X_ENVOY_UPSTREAM_RQ_PER_TRY_TIMEOUT_MS,
    X_ENVOY_UPSTREAM_RQ_TIMEOUT_ALT_RESPONSE,
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
    X_ENVOY_FORCE_TRACE,
    X_ENVOY_IP_TAGS,
    X_ENVOY_ORIGINAL_URL,
    X_ENVOY_HEDGE_ON_PER_TRY_TIMEOUT,
];

/// Headers that edge clients may not send besides those.
const EDGE_ONLY: [HeaderName; 4] = [
    X_ENVOY_DECORATOR_OPERATION,
    X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER,
    X_ENVOY_DOWNSTREAM_SERVICE_NODE,
    X_ENVOY_ORIGINAL_PATH,
];

/// The connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Edge<'a> {
    /// Who is at its other end.
    pub(crate) connection: &'a ConnectionInfo,
    /// This machine's address towards others, which stands for a loopback peer in `x-forwarded-for`.
    pub(crate) own_ip: &'a IpText,
    /// Its listener's manager.
    pub(crate) manager: &'a HttpConnectionManager,
    /// Who this proxy is.
    pub(crate) node: &'a Node,
    /// It is encrypted.
    pub(crate) tls: bool,
}

impl Edge<'_> {
    /// Change the headers of a request, which came with those `present`, as Envoy's connection manager does before
    /// routing. `Err` is the status that refuses a client whose address cannot be told.
    pub(crate) fn mutate_request(
        &self,
        headers: &mut HeaderMap,
        present: Present,
    ) -> Result<Client, StatusCode> {
        let manager = self.manager;
        join_lists(headers);
        // A fragment is no part of a referer (RFC 9110, 10.1.3).
        if present.any(Present::REFERER)
            && headers.get(REFERER).is_some_and(|referer| referer.as_bytes().contains(&b'#'))
        {
            headers.remove(REFERER);
        }
        let client =
            client_address::identify(&manager.client_address, headers, present, self.connection.peer)?;
        if present.any(Present::X_ENVOY) {
            headers.remove(X_ENVOY_INTERNAL);
            if !client.internal {
                INTERNAL_ONLY.iter().for_each(|name| drop(headers.remove(name)));
            }
            if client.edge {
                EDGE_ONLY.iter().for_each(|name| drop(headers.remove(name)));
            }
        }
        if !client.internal {
            manager.routes.internal_only_headers.iter().for_each(|name| drop(headers.remove(name)));
        }
        // What others say of the client's certificate is not to be trusted. `forward_client_cert_details: SANITIZE`.
        if present.any(Present::X_FORWARDED_CLIENT_CERT) {
            headers.remove(X_FORWARDED_CLIENT_CERT);
        }
        if client.append_peer {
            self.append_forwarded_for(headers, present);
        }
        self.set_forwarded_proto(headers);
        if manager.add_user_agent {
            self.add_user_agent(headers);
        }
        if let Some(address) = client.address.filter(|_| client.edge) {
            let peer = self.connection.peer_ip().filter(|peer| peer.ip == address.ip()).cloned();
            let address = peer.unwrap_or_else(|| address.ip().into());
            headers.insert(X_ENVOY_EXTERNAL_ADDRESS, address.text);
        }
        if client.internal {
            headers.insert(X_ENVOY_INTERNAL, HeaderValue::from_static("true"));
        }
        self.set_request_id(headers, client.edge);
        if let Some(via) = &manager.via {
            append_via(headers, via);
        }
        Ok(client)
    }

    fn append_forwarded_for(&self, headers: &mut HeaderMap, present: Present) {
        let Some(peer) = self.connection.peer_ip() else { return };
        // As in Envoy only the one address that has the name localhost: the others may be told apart on purpose.
        let local = peer.ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || peer.ip == IpAddr::V6(Ipv6Addr::LOCALHOST);
        let IpText { text, .. } = if local { self.own_ip } else { peer };
        let before =
            if present.any(Present::X_FORWARDED_FOR) { joined(headers, &X_FORWARDED_FOR) } else { None };
        let list = match before.filter(|list| !list.is_empty()) {
            None => Ok(text.clone()),
            Some(list) => HeaderValue::try_from(format!("{list},{}", header_text(text))),
        };
        if let Ok(list) = list {
            headers.insert(X_FORWARDED_FOR, list);
        }
    }

    fn set_forwarded_proto(&self, headers: &mut HeaderMap) {
        let options = &self.manager.client_address;
        if let Some(https) = self.manager.scheme_is_https {
            let scheme = if https { "https" } else { "http" };
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
            return;
        }
        let overwrite = options.use_remote_address && options.trusted_hops == 0;
        if overwrite || !headers.contains_key(X_FORWARDED_PROTO) {
            let scheme = if self.tls { "https" } else { "http" };
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme));
        }
    }

    fn add_user_agent(&self, headers: &mut HeaderMap) {
        set_text(headers, X_ENVOY_DOWNSTREAM_SERVICE_CLUSTER, &self.node.cluster);
        if headers.get(USER_AGENT).is_none_or(HeaderValue::is_empty) {
            set_text(headers, USER_AGENT, &self.node.cluster);
        }
        if !self.node.id.is_empty() {
            set_text(headers, X_ENVOY_DOWNSTREAM_SERVICE_NODE, &self.node.id);
        }
    }

    fn set_request_id(&self, headers: &mut HeaderMap, edge: bool) {
        let options = &self.manager.request_id;
        if !options.generate {
            return;
        }
        let present = headers.get(X_REQUEST_ID).is_some_and(|id| !id.is_empty());
        match (present, edge, options.preserve_external) {
            (true, false, _) => {}
            (true, true, true) => {
                // The id may stay, but not what it says about tracing.
                if options.pack_trace_reason {
                    pack_reason(headers, TraceReason::NotTraceable);
                }
            }
            (false, _, _) | (true, true, false) => {
                headers.insert(X_REQUEST_ID, new_request_id());
            }
        }
    }
}

/// A random UUID in lower case (RFC 9562, 5.4).
pub(crate) fn new_request_id() -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    Uuid::new_v4().as_hyphenated().encode_lower(&mut text);
    // Hex digits and dashes are always a header value.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Make one line of the headers that decide about trust and identity, so that every later step, and the host, reads
/// the same value.
fn join_lists(headers: &mut HeaderMap) {
    if headers.len() == headers.keys_len() {
        return;
    }
    for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_REQUEST_ID, X_CLIENT_TRACE_ID, REFERER] {
        if headers.get_all(&name).iter().nth(1).is_some()
            && let Some(list) = joined(headers, &name)
            && let Ok(list) = HeaderValue::from_str(&list)
        {
            headers.insert(name, list);
        }
    }
}

/// All lines of a header as one list; `None` if there is none.
pub(super) fn joined<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Cow<'a, str>> {
    let mut values = headers.get_all(name).iter().map(header_text);
    let mut list = Cow::Borrowed(values.next()?);
    for value in values {
        let list = list.to_mut();
        list.push(',');
        list.push_str(value);
    }
    Some(list)
}

fn set_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}

/// Append to `via`, or begin it.
pub(crate) fn append_via(headers: &mut HeaderMap, via: &HeaderValue) {
    let value = match joined(headers, &VIA) {
        None => via.clone(),
        Some(list) => match HeaderValue::from_str(&format!("{list}, {}", header_text(via))) {
            Ok(value) => value,
            Err(_) => return,
        },
    };
    headers.insert(VIA, value);
}

/// The protocol that a request asks to switch to, in lower case. `h2c` does not count: Envoy takes it off.
pub(crate) fn requested_upgrade(method: &Method, headers: &HeaderMap, present: Present) -> Option<String> {
    if !present.any(Present::UPGRADE) {
        return None;
    }
    let upgrade = headers.get(UPGRADE)?;
    let wanted = method != Method::CONNECT
        && connection_tokens(headers).any(|token| token.eq_ignore_ascii_case("upgrade"));
    let name = header_text(upgrade).trim().to_ascii_lowercase();
    (wanted && !name.is_empty() && name != "h2c").then_some(name)
}

/// Whether the client wants the connection to end with the response. hyper sees to `connection: close` itself.
pub(crate) fn asks_to_close(version: Version, headers: &HeaderMap, present: Present) -> bool {
    // What clients of proxies sent before HTTP/1.1 had a word for it.
    let by_proxy_connection =
        || present.any(Present::PROXY_CONNECTION) && has_token(headers, PROXY_CONNECTION, "close");
    match version {
        Version::HTTP_10 => !has_token(headers, CONNECTION, "keep-alive") || by_proxy_connection(),
        Version::HTTP_11 => by_proxy_connection(),
        _ => false,
    }
}

/// Whether the client said that this is its last request (RFC 9112, 9.6).
pub(crate) fn is_last_request(headers: &HeaderMap, present: Present) -> bool {
    present.any(Present::CONNECTION) && has_token(headers, CONNECTION, "close")
}

/// Take off what speaks of the client's connection only (RFC 9110, 7.6.1); an upgrade that will be passed on
/// keeps its two headers.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap, present: Present, upgrade: bool) {
    if !present.any(Present::HOP_BY_HOP) {
        return;
    }
    if headers.contains_key(CONNECTION) {
        let nominated = connection_tokens(headers)
            .filter(|token| !token.eq_ignore_ascii_case("te") && !token.eq_ignore_ascii_case("upgrade"))
            .filter_map(|token| token.parse::<HeaderName>().ok())
            .filter(|name| !is_protected(name))
            .collect::<Vec<_>>();
        for name in &nominated {
            headers.remove(name);
        }
        if !upgrade {
            headers.remove(CONNECTION);
        } else if let Some(list) = joined(headers, &CONNECTION)
            && let Ok(list) = HeaderValue::from_str(&list)
        {
            headers.insert(CONNECTION, list);
        }
    }
    match headers.remove(UPGRADE) {
        // One line: it was checked, and others would be the host's to choose from.
        Some(name) if upgrade => drop(headers.insert(UPGRADE, name)),
        _ => {}
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, TRANSFER_ENCODING, HTTP2_SETTINGS] {
        headers.remove(name);
    }
    if let Some(te) = headers.get(TE) {
        let trailers =
            header_text(te).split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers"));
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        } else {
            headers.remove(TE);
        }
    }
    if headers.get(EXPECT).is_some_and(|expect| expect.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        // hyper answers it when the body is first read.
        headers.remove(EXPECT);
    }
}

/// Headers that a client cannot have removed by naming them in `connection`.
fn is_protected(name: &HeaderName) -> bool {
    *name == http::header::HOST
        || *name == http::header::CONTENT_LENGTH
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().starts_with("x-envoy-")
        || *name == X_REQUEST_ID
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    tokens(headers, CONNECTION)
}

fn tokens(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().flat_map(|value| header_text(value).split(',')).map(str::trim)
}

fn has_token(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    tokens(headers, name).any(|token| token.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_with_it() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "x-foo, TE, host"),
            ("x-foo", "1"),
            ("te", "gzip, trailers"),
            ("host", "h"),
            ("keep-alive", "5"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("x-bar", "2"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let present = Present::of(&headers);
        assert_eq!(requested_upgrade(&Method::GET, &headers, present), None);
        remove_hop_by_hop(&mut headers, present, false);
        let left =
            headers.iter().map(|(name, value)| format!("{name}: {}", header_text(value))).collect::<Vec<_>>();
        let mut left = left;
        left.sort();
        assert_eq!(left, ["host: h", "te: trailers", "x-bar: 2"]);
    }

    #[test]
    fn request_ids_are_uuids_in_lower_case() {
        let id = new_request_id();
        let text = id.to_str().expect("text");
        assert_eq!(text.len(), 36);
        assert_eq!(text.as_bytes()[14], b'4');
        assert!(
            text.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        );
        assert_ne!(id, new_request_id());
    }
}
