//! The request that is asked about, as people write it.

use std::net::{IpAddr, SocketAddr};

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, Scheme},
};

use crate::{
    http_headers::{KEEP_ALIVE, PROXY_CONNECTION},
    snapshot::matcher::header_text,
};

/// Bytes of a question: a request line and its headers together.
const MAX_BYTES: usize = 64 << 10;

/// What is asked, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Words {
    /// `GET http://host/path`
    pub(crate) request: String,
    /// `name: value`, each.
    pub(crate) headers: Vec<String>,
    /// Where the request comes from, as an IP address. Default: loopback.
    pub(crate) source: Option<String>,
    /// The name, or the address, of the listener that gets it. Default: by the URL's port.
    pub(crate) listener: Option<String>,
    /// The random number of the stream, which decides what is left to chance. Default: what most requests get.
    pub(crate) random: Option<String>,
    /// `1.0`, `1.1` or `2`. Default 1.1.
    pub(crate) http: Option<String>,
}

/// What is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum QuestionError {
    /// Too long.
    #[error("the question is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The request line.
    #[error("request {0:?}: {1}; it looks like 'GET http://shop.example.com/cart?item=1'")]
    Request(String, String),
    /// A header.
    #[error("header {0:?}: {1}; it looks like 'name: value'")]
    Header(String, String),
    /// The source.
    #[error("source {0:?}: it is no IP address, such as 192.0.2.7")]
    Source(String),
    /// The random number.
    #[error("random {0:?}: it is no number of 0 or more")]
    Random(String),
    /// The version.
    #[error("http {0:?}: it is none of 1.0, 1.1 and 2")]
    Version(String),
    /// The listener.
    #[error("{0}")]
    Listener(String),
}

/// A request that somebody asks about.
#[derive(Debug)]
pub(crate) struct Question {
    /// As a codec would hand it over.
    pub(crate) parts: Parts,
    /// As it was asked.
    pub(crate) line: String,
    /// The URL says https.
    pub(crate) https: bool,
    /// The port that the URL means; `None` where there is no URL.
    pub(crate) port: Option<u16>,
    /// As in [`Words::listener`].
    pub(crate) listener: Option<String>,
    /// The other end of its connection.
    pub(crate) source: SocketAddr,
    /// Somebody has said which that is.
    pub(crate) source_known: bool,
    /// As in [`Words::random`].
    pub(crate) random: Option<u64>,
}

impl Question {
    /// Read what is asked.
    pub(crate) fn read(words: &Words) -> Result<Self, QuestionError> {
        let headers = words.headers.iter().map(String::len).sum::<usize>();
        if words.request.len() + headers > MAX_BYTES {
            return Err(QuestionError::TooLong);
        }
        let wrong = |why: &str| QuestionError::Request(words.request.clone(), why.to_owned());
        let mut pieces = words.request.split_ascii_whitespace();
        let (Some(method), Some(target), None) = (pieces.next(), pieces.next(), pieces.next()) else {
            return Err(wrong("a method and a URL are expected"));
        };
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| wrong("the method is none"))?;
        if target.contains('#') {
            return Err(wrong("what stands behind '#' never leaves a browser; leave it out"));
        }
        let uri = target.parse::<Uri>().map_err(|error| wrong(&error.to_string()))?;
        let https = match uri.scheme_str() {
            None | Some("http") => false,
            Some("https") => true,
            Some(_) => return Err(wrong("the scheme is neither http nor https")),
        };
        if uri.scheme().is_none() && uri.authority().is_some() && method != Method::CONNECT {
            return Err(wrong("the URL begins with neither http:// nor https:// nor /"));
        }
        // One that the target of CONNECT has is the proxy's to judge.
        if let Some(authority) = uri.authority().filter(|_| method != Method::CONNECT)
            && let Some(port) = impossible_port(authority)
        {
            return Err(wrong(&format!("there is no port {port:?}, but 1 to 65535")));
        }
        let version = match words.http.as_deref() {
            None | Some("" | "1.1") => Version::HTTP_11,
            Some("1.0") => Version::HTTP_10,
            Some("2") => Version::HTTP_2,
            Some(other) => return Err(QuestionError::Version(other.to_owned())),
        };
        let mut parts = Request::new(()).into_parts().0;
        parts.method = method;
        parts.version = version;
        let port = uri.authority().map(|authority| port(authority, https));
        let authority = uri.authority().cloned();
        parts.uri = uri;
        headers_of(&words.headers, &mut parts.headers)?;
        refuse_framing(&parts)?;
        address(&mut parts, authority, https);
        let source = words.source.as_deref().filter(|source| !source.is_empty());
        let random = words.random.as_deref().filter(|random| !random.is_empty());
        Ok(Self {
            parts,
            line: words.request.split_ascii_whitespace().collect::<Vec<_>>().join(" "),
            https,
            port,
            listener: words.listener.clone().filter(|listener| !listener.is_empty()),
            source: match source {
                None => SocketAddr::from(([127, 0, 0, 1], 0)),
                Some(text) => {
                    let ip = text.parse::<IpAddr>();
                    (ip.map_err(|_| QuestionError::Source(text.to_owned()))?, 0).into()
                }
            },
            source_known: source.is_some(),
            random: match random {
                None => None,
                Some(text) => Some(text.parse().map_err(|_| QuestionError::Random(text.to_owned()))?),
            },
        })
    }
}

/// The port that a client of this URL connects to.
fn port(authority: &Authority, https: bool) -> u16 {
    authority.port_u16().unwrap_or(if https { 443 } else { 80 })
}

/// What stands where the port would, if that can be none.
fn impossible_port(authority: &Authority) -> Option<&str> {
    // The colons within brackets are an IPv6 address's, and those before `@` a user's.
    let (_, port) = authority.as_str().rsplit(['@', ']']).next()?.rsplit_once(':')?;
    // Without a number the colon says nothing (RFC 3986, 3.2.3).
    let is_none = !port.is_empty() && !port.parse::<u16>().is_ok_and(|port| port > 0);
    is_none.then_some(port)
}

fn headers_of(lines: &[String], headers: &mut HeaderMap) -> Result<(), QuestionError> {
    for line in lines {
        let wrong = |why: &str| QuestionError::Header(line.clone(), why.to_owned());
        let (name, value) = line.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
        // A space before the colon is none of HTTP's (RFC 9112, 5.1), so that nothing is taken off there.
        let name = name.parse::<HeaderName>().map_err(|_| wrong("the name is none"))?;
        let value = HeaderValue::from_str(value.trim()).map_err(|_| wrong("the value is none"))?;
        headers.append(name, value);
    }
    Ok(())
}

/// Refuse what a codec refuses before anything that could be explained sees it: a request whose end cannot be told
/// (RFC 9112, 6.3), and in HTTP/2 what speaks of an HTTP/1 connection (RFC 9113, 8.2.2).
fn refuse_framing(parts: &Parts) -> Result<(), QuestionError> {
    let refused = |name: &HeaderName, why: &str| {
        let value = parts.headers.get(name).map_or("", header_text);
        Err(QuestionError::Header(
            format!("{name}: {value}"),
            format!("the codec closes the connection, since {why}"),
        ))
    };
    if parts.version == Version::HTTP_2 {
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE, KEEP_ALIVE, PROXY_CONNECTION] {
            if parts.headers.contains_key(&name) {
                return refused(&name, "HTTP/2 has no such header");
            }
        }
        if parts.headers.get_all(TE).iter().any(|te| te != "trailers") {
            return refused(&TE, "HTTP/2 knows only trailers");
        }
    }
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let chunked = codings.next().map(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if chunked == Some(false) || codings.next().is_some() {
        return refused(&TRANSFER_ENCODING, "nobody can tell where the body ends");
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter().map(header_text);
    let length = lengths.next();
    let number = length.is_none_or(|length| length.parse::<u64>().is_ok());
    if !number || lengths.next().is_some() || length.is_some() && chunked.is_some() {
        return refused(&CONTENT_LENGTH, "nobody can tell where the body ends");
    }
    Ok(())
}

/// Put the authority where clients of that version have it: HTTP/2 in the target, HTTP/1 in `host`, unless the question
/// has one of its own.
fn address(parts: &mut Parts, authority: Option<Authority>, https: bool) {
    let Some(authority) = authority.filter(|_| parts.method != Method::CONNECT) else { return };
    let path = parts.uri.path_and_query().cloned();
    let mut uri = http::uri::Parts::default();
    uri.path_and_query = path;
    if parts.version == Version::HTTP_2 {
        let named = parts.headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        uri.authority = Some(named.unwrap_or(authority));
        uri.scheme = Some(if https { Scheme::HTTPS } else { Scheme::HTTP });
    } else if !parts.headers.contains_key(HOST) {
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if let Ok(host) = HeaderValue::from_str(host) {
            parts.headers.insert(HOST, host);
        }
    }
    if let Ok(uri) = Uri::from_parts(uri) {
        parts.uri = uri;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(request: &str, headers: &[&str]) -> Result<Question, QuestionError> {
        let headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Question::read(&Words { request: request.to_owned(), headers, ..Words::default() })
    }

    #[test]
    fn a_url_becomes_a_target_a_host_and_a_port() {
        for (request, target, host, port) in [
            ("GET http://h/a?b", "/a?b", Some("h"), Some(80)),
            ("GET https://h:8443", "/", Some("h:8443"), Some(8443)),
            ("  PUT   https://u@h/%2e ", "/%2e", Some("h"), Some(443)),
            ("GET /a", "/a", None, None),
            ("OPTIONS *", "*", None, None),
            ("GET http://[::1]/", "/", Some("[::1]"), Some(80)),
            ("CONNECT h:443", "h:443", None, Some(443)),
        ] {
            let question = read(request, &[]).expect("a question");
            assert_eq!(question.parts.uri.to_string(), target, "{request}");
            let named = question.parts.headers.get(HOST).map(|host| host.to_str().expect("text"));
            assert_eq!((named, question.port), (host, port), "{request}");
        }
        let named = read("GET http://h/", &["Host: other"]).expect("a question");
        assert_eq!(named.parts.headers.get(HOST).expect("a host"), "other");
    }

    proptest! {
        #[test]
        fn no_words_make_it_panic(request in "\\PC{0,40}", header in "\\PC{0,20}", source in "\\PC{0,8}", http in "[0-3.]{0,3}") {
            let words =
                Words { request, headers: vec![header], source: Some(source), http: Some(http), ..Words::default() };
            let _ = Question::read(&words);
        }

        #[test]
        fn no_target_makes_it_panic(target in "(https?://)?[a-z@:/?#%\\[\\]*.0-9-]{0,20}", http in "1.1|2") {
            let words = Words { request: format!("GET {target}"), http: Some(http), ..Words::default() };
            let _ = Question::read(&words);
        }
    }

    #[test]
    fn what_is_no_request_is_refused_with_what_was_expected() {
        for (request, headers, why) in [
            ("", &[][..], "a method and a URL"),
            ("GET", &[], "a method and a URL"),
            ("http://h/", &[], "a method and a URL"),
            ("GET http://h/ HTTP/1.1", &[], "a method and a URL"),
            ("G@T http://h/", &[], "the method is none"),
            ("GET ftp://h/", &[], "neither http nor https"),
            ("GET h/a", &[], "request"),
            ("GET h", &[], "neither http:// nor"),
            ("GET http://h:99999/ok", &[], "there is no port \"99999\", but 1 to 65535"),
            ("GET https://u@[::1]:0/", &[], "there is no port \"0\""),
            ("GET http://h/#x", &[], "behind '#'"),
            ("GET http://h/", &["x"], "no colon"),
            ("GET http://h/", &[": x"], "the name is none"),
            ("GET http://h/", &["a: \u{1}"], "the value is none"),
            ("GET http://h/", &["transfer-encoding: gzip"], "where the body ends"),
            ("GET http://h/", &["transfer-encoding: chunked", "content-length: 1"], "where the body ends"),
            ("GET http://h/", &["content-length: 1, 1"], "where the body ends"),
        ] {
            let error = read(request, headers).expect_err(request).to_string();
            assert!(error.contains(why), "{request}: {error}");
        }
        assert_eq!(
            read(&format!("GET http://h/{}", "a".repeat(MAX_BYTES)), &[]).err(),
            Some(QuestionError::TooLong)
        );
    }
}
