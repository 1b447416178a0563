//! How a request is addressed and framed in the HTTP of its host.

use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

/// HTTP/2 carries scheme and authority with the path instead of `host` (RFC 9113, 8.3.1).
pub(super) fn address_http2(parts: &mut Parts, scheme: &str) {
    let Some(host) = parts.headers.remove(HOST) else { return };
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
pub(super) fn frame_http1(method: &Method, headers: &mut HeaderMap, empty: bool) {
    if headers.contains_key(CONTENT_LENGTH) {
        return;
    }
    let bodiless =
        matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT);
    if !empty {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else if !bodiless {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// HTTP/2 may split cookies over several lines; HTTP/1 may not (RFC 9113, 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}
