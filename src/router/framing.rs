//! How a request is addressed and framed in the HTTP of its host.

use http::{
    HeaderMap, HeaderValue, Method, Uri, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::{snapshot::cluster::UpstreamProtocol, stream_info::StreamInfo};

/// Whether a host is spoken to in HTTP/2, and whether it may send and get trailers. `downstream` is what the client speaks.
pub(crate) fn protocol(upstream: &UpstreamProtocol, downstream: Version) -> (bool, bool) {
    match upstream {
        UpstreamProtocol::Http1 { enable_trailers } => (false, *enable_trailers),
        UpstreamProtocol::Http2(_) => (true, true),
        UpstreamProtocol::Downstream { enable_trailers, .. } => {
            let http2 = downstream == Version::HTTP_2;
            (http2, http2 || *enable_trailers)
        }
    }
}

/// Make the request one of that protocol. `empty`: it has no body.
pub(crate) fn frame(parts: &mut Parts, http2: bool, empty: bool, scheme: &str, info: &StreamInfo) {
    if info.protocol == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    if http2 {
        address_http2(parts, scheme);
        return;
    }
    frame_http1(&parts.method, &mut parts.headers, empty);
}

/// HTTP/2 carries scheme and authority with the path instead of `host` (RFC 9113, 8.3.1).
fn address_http2(parts: &mut Parts, scheme: &str) {
    let Some(host) = parts.headers.remove(HOST) else { return };
    // No authority: there is none to name (RFC 9113, 8.3.1).
    if host.is_empty() {
        return;
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Authority::try_from(host.as_bytes()).ok();
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    match Uri::from_parts(uri) {
        Ok(uri) => parts.uri = uri,
        // Not an authority: it was good enough for `host`, and hyper will refuse what is left.
        Err(_) => drop(parts.headers.insert(HOST, host)),
    }
}

/// Say where the request ends, whatever its method: hyper would send no body with a GET that does not say so, and
/// some hosts refuse a POST without a length (RFC 9112, 6.3).
fn frame_http1(method: &Method, headers: &mut HeaderMap, empty: bool) {
    let bodiless =
        matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT);
    if empty && bodiless || headers.contains_key(CONTENT_LENGTH) {
        return;
    }
    if !empty {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// A client that splits its cookies over several lines (RFC 9113, 8.2.3) means one, and so do hosts read it.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}
