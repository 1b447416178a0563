//! Requests over HTTP/1 that were answered before they became streams: what did not parse, was too large, or did not come in
//! time. They are counted and leave an entry in access logs as others do, as far as anything is known of them.

use std::rc::Rc;

use http::{Method, Version};

use super::Connection;
use crate::{
    access_log,
    snapshot::access_log::LogType,
    stream_info::{ResponseFlag, StreamInfo, cause::Cause},
};

/// What was wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenRequest {
    /// It does not parse.
    Malformed,
    /// Its target or its headers take more than is allowed.
    TooLarge,
    /// Its headers did not come in time.
    TooSlow,
}

impl BrokenRequest {
    /// What an error of hyper's server means that it answers itself.
    pub(super) fn of(error: &hyper::Error) -> Option<Self> {
        if error.is_parse_too_large() {
            return Some(Self::TooLarge);
        }
        error.is_parse().then_some(Self::Malformed)
    }

    fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::TooLarge => 431,
            Self::TooSlow => 408,
        }
    }

    /// In Envoy's words.
    fn details(self) -> &'static str {
        match self {
            Self::Malformed => "http1.codec_error",
            Self::TooLarge => "http1.headers_too_large",
            Self::TooSlow => "request_header_timeout",
        }
    }

    /// What happened, and what to do.
    fn cause(self) -> (&'static str, &'static str) {
        match self {
            Self::Malformed => {
                ("it is not what HTTP/1 allows", "the client, or who stands between, sends something else")
            }
            Self::TooLarge => (
                "its target or its headers are too large",
                "see max_request_headers_kb and max_headers_count",
            ),
            Self::TooSlow => ("its headers did not come in time", "see request_headers_timeout"),
        }
    }
}

impl Connection {
    /// Such a request was answered.
    pub(super) fn note_broken_request(self: &Rc<Self>, broken: BrokenRequest) {
        self.count_broken_request(broken.status(), broken != BrokenRequest::TooSlow);
        let manager = &*self.listener.manager;
        let info = StreamInfo::new(Rc::clone(&self.info), Version::HTTP_11);
        let info = if manager.observes { info.observed(manager.observes_moments) } else { info };
        info.status.set(broken.status());
        info.details.set(broken.details());
        info.response_complete.set(true);
        info.method.set((&Method::from_bytes(b"UNKNOWN").unwrap_or_default()).into());
        if broken != BrokenRequest::TooSlow {
            info.flag(ResponseFlag::DownstreamProtocolError);
        }
        let (what, hint) = broken.cause();
        let sentence = format!("listener \"{}\" refused a request: {what}", self.listener.name);
        info.cause.replace(Some(Box::new(Cause { at: info.start_time, sentence, hint })));
        self.record_duration(&info);
        if !manager.access_log.logs.is_empty() {
            access_log::log(&manager.access_log, &self.services.logs, &info, LogType::End);
        }
    }
}
