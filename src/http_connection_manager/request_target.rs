//! What a request is for and how it is framed, from wherever its version of HTTP carries that.

use http::{
    HeaderMap, HeaderValue, Method, Version,
    header::{HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::{Authority, PathAndQuery},
};

use super::{edge_headers::Edge, local_reply::LocalReply};
use crate::{
    router::route_matcher::without_port,
    snapshot::{
        Address,
        listener::{ClientAddress, StripPort},
        matcher::header_text,
    },
};

/// Bring the authority to where all later steps look for it: the `host` header. The URI keeps path and query.
pub(super) fn set_authority(edge: &Edge<'_>, parts: &mut Parts) -> Result<(), LocalReply> {
    let manager = edge.manager;
    if let Some(authority) = parts.uri.authority() {
        if parts.method != Method::CONNECT {
            check_absolute_form(&manager.client_address, edge.tls, parts)?;
        }
        // Absolute form and HTTP/2: the target's authority wins (RFC 9112, 3.2.2), without its user.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        let host = HeaderValue::from_str(host).map_err(|_| LocalReply::invalid_authority())?;
        parts.headers.insert(HOST, host);
        if parts.method != Method::CONNECT {
            let path = parts.uri.path_and_query().cloned();
            parts.uri = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
        }
    }
    match parts.headers.get(HOST) {
        Some(host) if !is_host(host.as_bytes()) => return Err(LocalReply::invalid_authority()),
        Some(_) => {}
        None => {
            let default = manager.http1.default_host.clone().filter(|_| parts.version == Version::HTTP_10);
            parts.headers.insert(HOST, default.ok_or(LocalReply::missing_host())?);
        }
    }
    let repeats = parts.headers.len() > parts.headers.keys_len();
    if repeats && parts.headers.get_all(HOST).iter().nth(1).is_some() {
        // RFC 9112, 3.2: more than one is refused. (Envoy joins them.)
        return Err(LocalReply::invalid_authority());
    }
    Ok(())
}

/// Methods of HTTP and its extensions that Envoy's HTTP/1 codec knows besides those of [`Method`].
const EXTENSION_METHODS: [&str; 25] = [
    "ACL",
    "BIND",
    "CHECKOUT",
    "COPY",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// A method that no server knows is refused in HTTP/1, as in Envoy: it is more likely the rest of another request.
pub(super) fn check_method(method: &Method) -> Result<(), LocalReply> {
    let standard = matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::CONNECT
            | Method::OPTIONS
            | Method::TRACE
            | Method::PATCH
    );
    if standard || EXTENSION_METHODS.contains(&method.as_str()) {
        Ok(())
    } else {
        Err(LocalReply::codec_error())
    }
}

/// A body is sent on as it is read: unwrapped from chunks, and from nothing else (RFC 9112, 6.1).
pub(super) fn check_transfer_coding(headers: &HeaderMap) -> Result<(), LocalReply> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(only), None) if only.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(LocalReply::unknown_transfer_coding()),
    }
}

/// A target in absolute form names a scheme that is served here, and a port that exists.
fn check_absolute_form(client: &ClientAddress, tls: bool, parts: &Parts) -> Result<(), LocalReply> {
    match parts.uri.scheme_str() {
        _ if parts.uri.authority().is_some_and(|authority| port(authority) == Port::Impossible) => {
            Err(LocalReply::invalid_url())
        }
        Some("http") => Ok(()),
        Some("https") if parts.version == Version::HTTP_2 => Ok(()),
        Some("https") if tls => Ok(()),
        Some("https") if client.use_remote_address && client.trusted_hops == 0 => {
            Err(LocalReply::https_on_plaintext())
        }
        Some("https") => Ok(()),
        // HTTP/2 need not say; a host alone is no target in HTTP/1 (RFC 9112, 3.2.3).
        None if parts.version == Version::HTTP_2 => Ok(()),
        _ => Err(LocalReply::invalid_url()),
    }
}

/// What an authority says of its port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// Nothing.
    None,
    /// One that there is.
    Known,
    /// One that there cannot be.
    Impossible,
}

fn port(authority: &Authority) -> Port {
    // The colons within brackets are an IPv6 address's, and those before `@` a user's.
    let text = authority.as_str();
    match text.rsplit(['@', ']']).next().unwrap_or_default().rsplit_once(':') {
        None => Port::None,
        Some((_, port)) if port.parse::<u16>().is_ok() => Port::Known,
        Some(_) => Port::Impossible,
    }
}

/// CONNECT is for a host and its port (RFC 9110, 9.3.6).
pub(super) fn check_connect(parts: &Parts) -> Result<(), LocalReply> {
    let known = parts.uri.authority().is_some_and(|authority| port(authority) == Port::Known);
    if parts.version == Version::HTTP_2 || known { Ok(()) } else { Err(LocalReply::invalid_url()) }
}

/// Whether it can be a host with port; empty is allowed (RFC 9110, 7.2).
fn is_host(host: &[u8]) -> bool {
    host.iter().all(|byte| HOST_BYTES.get(usize::from(*byte)).is_some_and(|allowed| *allowed))
}

/// Which bytes a host may have.
const HOST_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        #[expect(clippy::indexing_slicing, reason = "256 places for 256 bytes")]
        {
            allowed[byte as usize] = byte.is_ascii_graphic()
                && !matches!(
                    byte,
                    b'/' | b'<' | b'>' | b'\\' | b'"' | b'#' | b'?' | b',' | b'{' | b'}' | b'|' | b'^' | b'`'
                );
        }
        byte += 1;
    }
    allowed
};

/// Take the port off the authority, as the connection manager is told to.
pub(super) fn strip_port(option: StripPort, local: &Address, parts: &mut Parts) {
    if option == StripPort::Keep {
        return;
    }
    let Some(host) = parts.headers.get(HOST) else { return };
    let text = header_text(host);
    let stripped = without_port(text);
    let Some(port) = text.get(stripped.len() + 1..) else { return };
    let own = local.socket().map(|address| address.port());
    if (option == StripPort::Any || port.parse().ok() == own)
        && let Ok(host) = HeaderValue::from_str(stripped)
    {
        parts.headers.insert(HOST, host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_behind_hosts_users_and_brackets() {
        for (authority, expected) in [
            ("h", Port::None),
            ("h:", Port::Impossible),
            ("h:80", Port::Known),
            ("h:99999", Port::Impossible),
            ("[::1]", Port::None),
            ("[::1]:443", Port::Known),
            ("u:123456@h", Port::None),
        ] {
            assert_eq!(port(&Authority::from_static(authority)), expected, "{authority}");
        }
    }
}
