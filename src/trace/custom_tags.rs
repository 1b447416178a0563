//! What the configuration adds to spans: custom tags and operations, evaluated when a span ends.

use std::{borrow::Cow, sync::Arc};

use http::{HeaderMap, Method, header::HOST};

use crate::{
    snapshot::{
        format::Format,
        matcher::header_text,
        metadata::{Metadata, MetadataKey},
        tracing::{CustomTag, TagValue, TracePolicy},
    },
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, Headers, PseudoHeaders, request_header},
    },
};

/// What formats read at the end of a span: the request as it was sent on, and its response. Kept only for sampled
/// requests whose policy reads it.
#[derive(Debug)]
pub(crate) struct LateRequest {
    policy: Arc<TracePolicy>,
    method: Method,
    path: Box<str>,
    scheme: Box<str>,
    request: HeaderMap,
    response: Option<HeaderMap>,
    host: Metadata,
}

impl LateRequest {
    /// Of a request as it is now.
    pub(super) fn new(
        policy: &Arc<TracePolicy>,
        method: &Method,
        path: &str,
        scheme: &str,
        headers: &HeaderMap,
    ) -> Self {
        Self {
            policy: Arc::clone(policy),
            method: method.clone(),
            path: path.into(),
            scheme: scheme.into(),
            request: headers.clone(),
            response: None,
            host: None,
        }
    }

    /// The route has changed the request.
    pub(super) fn update_request(&mut self, path: &str, headers: &HeaderMap) {
        self.path = path.into();
        self.request.clone_from(headers);
    }

    /// It goes to a host of which this is noted.
    pub(super) fn set_host(&mut self, metadata: &Metadata) {
        self.host.clone_from(metadata);
    }

    /// The response is this.
    pub(super) fn set_response(&mut self, headers: &HeaderMap) {
        self.response = Some(headers.clone());
    }

    fn context<'a>(&'a self, info: &'a StreamInfo) -> FormatContext<'a> {
        FormatContext {
            info,
            request: Headers::All(&self.request),
            pseudo: PseudoHeaders {
                method: self.method.as_str(),
                path: &self.path,
                authority: self.request.get(HOST).map_or("", header_text),
                scheme: &self.scheme,
            },
            response: self.response.as_ref().map(Headers::All),
        }
    }

    /// The name that `operation` gives, if it gives one.
    pub(super) fn operation(&self, info: &StreamInfo) -> Option<Box<str>> {
        self.formatted(self.policy.operation.as_ref()?, info)
    }

    /// The name that `upstream_operation` gives, if it gives one.
    pub(super) fn upstream_operation(&self, info: &StreamInfo) -> Option<Box<str>> {
        self.formatted(self.policy.upstream_operation.as_ref()?, info)
    }

    fn formatted(&self, format: &Format, info: &StreamInfo) -> Option<Box<str>> {
        let mut text = String::new();
        format.write(&self.context(info), "", &mut text);
        Some(text.into_boxed_str()).filter(|text| !text.is_empty())
    }

    /// The custom tags that have a value.
    pub(super) fn tags(&self, info: &StreamInfo) -> Vec<(Arc<str>, Box<str>)> {
        let tag = |tag: &CustomTag| Some((Arc::clone(&tag.key), self.value(&tag.value, info)?));
        self.policy.custom_tags.iter().filter_map(tag).collect()
    }

    /// A value; one that is empty is left out, unless somebody noted just that.
    fn value(&self, value: &TagValue, info: &StreamInfo) -> Option<Box<str>> {
        let noted = |metadata: Option<&Arc<serde_json::Value>>, key: &MetadataKey| key.text(metadata?);
        let (found, default) = match value {
            TagValue::Literal(text) => (None, text),
            TagValue::Noted(text) => return Some((&**text).into()),
            TagValue::RequestHeader(name, default) => {
                (request_header(&self.context(info), name).map(Cow::into_owned), default)
            }
            TagValue::ClusterMetadata(key, default) => {
                let cluster = info.cluster.borrow();
                let metadata = cluster.as_ref().and_then(|cluster| cluster.metadata.as_ref());
                match noted(metadata, key) {
                    Some(text) => return Some(text.into()),
                    None => (None, default),
                }
            }
            TagValue::HostMetadata(key, default) => match noted(self.host.as_ref(), key) {
                Some(text) => return Some(text.into()),
                None => (None, default),
            },
            // Of a request without a route, or whose route has no notes.
            TagValue::RouteMetadata(_, default) => (None, default),
            TagValue::Format(format) => return self.formatted(format, info),
        };
        let text: Box<str> = found.map_or_else(|| (&**default).into(), String::into_boxed_str);
        Some(text).filter(|text| !text.is_empty())
    }
}
