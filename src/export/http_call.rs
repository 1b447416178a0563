//! Calls over HTTP: a body posted to an address.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT},
};
use opentelemetry_http::HttpClient;

use super::{call_headers::CallHeaders, failure::Failure};
use crate::snapshot::delivery::HttpService;

/// Posts to one address.
#[derive(Debug)]
pub(super) struct HttpCall {
    client: Box<dyn HttpClient>,
    uri: Uri,
    usual: HeaderMap,
    gzip: bool,
}

impl HttpCall {
    /// To the service, with bodies of that type, compressed or not. It fails if the service's authority and path are no address.
    pub(super) fn new(
        service: &HttpService,
        gzip: bool,
        (content_type, user_agent): (&'static str, Option<&'static str>),
        client: Box<dyn HttpClient>,
    ) -> Result<Self, String> {
        let uri = Uri::try_from(format!("http://{}{}", service.authority_text(), service.path));
        let mut usual = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
        if let Some(user_agent) = user_agent {
            usual.insert(USER_AGENT, HeaderValue::from_static(user_agent));
        }
        if gzip {
            usual.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(Self { client, uri: uri.map_err(|error| error.to_string())?, usual, gzip })
    }

    /// Post `body`: what an answer of success says, or why there is none.
    pub(super) async fn post(&self, body: Bytes, headers: &CallHeaders) -> Result<Bytes, Failure> {
        let body = if self.gzip { compressed(&body) } else { body };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        request.uri_mut().clone_from(&self.uri);
        request.headers_mut().clone_from(&self.usual);
        headers.apply(request.headers_mut());
        let answer = self.client.send_bytes(request).await.map_err(|error| Failure::of_error(&*error))?;
        if answer.status().is_success() {
            return match answer.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes) {
                // A page for people, of a login or of another server: nobody has taken spans there.
                Some(kind) if kind.starts_with(b"text/html") => Err(Failure::of_page(answer.status())),
                _ => Ok(answer.into_body()),
            };
        }
        Err(Failure::of_answer(answer.status(), answer.headers(), answer.body()))
    }
}

/// In gzip's form, quickly rather than small: attributes repeat so much that this is a tenth anyway.
fn compressed(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    // Writing to memory does not fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default().into()
}
