//! Responses that the proxy makes itself: from a cause to status, body, flag and details, in one place.

use std::io;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header::LOCATION, response::Parts};

use crate::{
    filter,
    http_headers::X_ENVOY_OVERLOADED,
    router::{RouterFailure, timeouts::Timeouts},
    snapshot::matcher::RequestView,
    stream_info::{ResponseFlag, StreamInfo, deadline::Expired},
    upstream::Failure,
};

/// A response of the proxy's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalReply {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its body; text unless `headers` say otherwise.
    pub(crate) body: Bytes,
    /// `RESPONSE_CODE_DETAILS`, in Envoy's words.
    pub(crate) details: &'static str,
    /// `RESPONSE_FLAGS`
    pub(crate) flag: Option<ResponseFlag>,
    /// The connection ends with it.
    pub(crate) close: bool,
    /// Headers that this kind of reply has besides the usual ones.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The text of a failed upstream request with this reason: of the first attempt, and of a later one.
macro_rules! upstream_error {
    ($reason:literal) => {
        [
            concat!("upstream connect error or disconnect/reset before headers. reset reason: ", $reason),
            concat!(
                "upstream connect error or disconnect/reset before headers. ",
                "retried and the latest reset reason: ",
                $reason
            ),
        ]
    };
}

/// What the system says of a connection that could not be opened.
macro_rules! connect_details {
    ($reason:literal) => {
        concat!(
            "upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_",
            $reason,
            "}"
        )
    };
}

impl LocalReply {
    const fn new(status: StatusCode, body: &'static str, details: &'static str) -> Self {
        Self {
            status,
            body: Bytes::from_static(body.as_bytes()),
            details,
            flag: None,
            close: false,
            headers: Vec::new(),
        }
    }

    const fn flagged(mut self, flag: ResponseFlag) -> Self {
        self.flag = Some(flag);
        self
    }

    const fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// No virtual host or no route.
    pub(crate) const fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "route_not_found").flagged(ResponseFlag::NoRouteFound)
    }

    /// A CONNECT request, which no route takes.
    pub(crate) const fn no_connect_route() -> Self {
        Self::no_route().closing()
    }

    /// HTTP/1.0 where it is not accepted.
    pub(crate) const fn low_version() -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, "Upgrade Required", "low_version")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// No host where one is needed.
    pub(crate) const fn missing_host() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "", "missing_host_header").closing()
    }

    /// A host that cannot be one.
    pub(crate) const fn invalid_authority() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", "http.invalid_authority")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// A request target that no client may send.
    pub(crate) const fn invalid_url() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", "http1.invalid_url")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// What is no HTTP/1, such as a method that it does not have.
    pub(crate) const fn codec_error() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", "http1.codec_error")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// A QUERY that does not say in which language it is.
    pub(crate) const fn query_without_type() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "", "query_missing_content_type").closing()
    }

    /// A body in a coding other than chunked.
    pub(crate) const fn unknown_transfer_coding() -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, "Not Implemented", "http1.invalid_transfer_encoding")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// A request for https over a connection without TLS.
    pub(crate) const fn https_on_plaintext() -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", "http1.https_url_on_plaintext_connection")
            .flagged(ResponseFlag::DownstreamProtocolError)
            .closing()
    }

    /// A request target that is no path, such as `*`.
    pub(crate) const fn not_a_path() -> Self {
        Self::new(StatusCode::NOT_FOUND, "", "absolute_path_rejected")
    }

    /// A path that normalization refuses.
    pub(crate) const fn bad_path() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "", "path_normalization_failed").closing()
    }

    /// More headers than allowed.
    pub(crate) const fn too_many_headers() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "Request Header Fields Too Large",
            "http1.too_many_headers",
        )
        .flagged(ResponseFlag::DownstreamProtocolError)
        .closing()
    }

    /// A client whose address cannot be told, where that is not to be.
    pub(crate) fn unknown_client(status: StatusCode) -> Self {
        Self::new(status, "", "rejecting_because_detection_failed")
    }

    /// The normalized path, for the client to ask again.
    pub(crate) fn normalized_redirect(path: &str) -> Self {
        Self::redirect(StatusCode::TEMPORARY_REDIRECT, path, "path_normalization_failed")
    }

    /// A redirect to `location`.
    pub(crate) fn redirect(status: StatusCode, location: &str, details: &'static str) -> Self {
        let mut reply = Self::new(status, "", details);
        if let Ok(location) = HeaderValue::from_str(location) {
            reply.headers.push((LOCATION, location));
        }
        reply
    }

    /// The answer of a route to `request`.
    pub(crate) fn direct(status: StatusCode, body: &Bytes, request: &RequestView<'_>) -> Self {
        let mut reply = if status == StatusCode::CREATED || status.is_redirection() {
            // Both say where something is (RFC 9110, 10.2.2): for want of another place, here.
            let location = format!("{}://{}{}", request.scheme, request.authority, request.path_and_query);
            Self::redirect(status, &location, "direct_response")
        } else {
            Self::new(status, "", "direct_response")
        };
        reply.body = body.clone();
        reply
    }

    /// An upgrade that is not allowed.
    pub(crate) const fn upgrade_refused() -> Self {
        Self::new(StatusCode::FORBIDDEN, "", "upgrade_failed").closing()
    }

    /// A request whose body broke off: badly framed, or the client is gone and will not read this.
    pub(crate) fn broken_request(info: &StreamInfo) -> Self {
        if info.flags.get().contains(ResponseFlag::DownstreamProtocolError) {
            return Self::codec_error();
        }
        Self::new(StatusCode::BAD_REQUEST, "", "downstream_remote_disconnect")
            .flagged(ResponseFlag::DownstreamConnectionTermination)
            .closing()
    }

    /// A host that answers a request to switch protocols as if it were another one: what the client sends next would be
    /// read as a request by one and as a tunnel's bytes by the other.
    pub(crate) fn upgrade_misunderstood(response: &Parts) -> Self {
        let mut reply = Self::new(response.status, "", "websocket_handshake_unsuccessful").closing();
        reply.headers.extend(response.headers.iter().map(|(name, value)| (name.clone(), value.clone())));
        reply
    }

    /// A deadline that passed before there was a response.
    pub(crate) fn expired(expired: Expired, info: &StreamInfo) -> Self {
        match expired {
            Expired::Request => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "request timeout", "request_overall_timeout").closing()
            }
            Expired::Route => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout", "response_timeout")
                    .flagged(ResponseFlag::UpstreamRequestTimeout)
            }
            Expired::Idle if info.request_end.get().is_none() => {
                Self::new(StatusCode::REQUEST_TIMEOUT, "stream timeout", "stream_idle_timeout")
                    .flagged(ResponseFlag::StreamIdleTimeout)
                    .closing()
            }
            Expired::Idle => Self::new(StatusCode::GATEWAY_TIMEOUT, "stream timeout", "stream_idle_timeout")
                .flagged(ResponseFlag::StreamIdleTimeout),
        }
    }
}

impl From<filter::Reply> for LocalReply {
    fn from(reply: filter::Reply) -> Self {
        match reply {
            filter::Reply::Healthy => Self::new(StatusCode::OK, "", "health_check_ok"),
            filter::Reply::Unhealthy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "", "health_check_failed")
                .flagged(ResponseFlag::FailedLocalHealthCheck),
        }
    }
}

impl From<RouterFailure> for LocalReply {
    fn from(failure: RouterFailure) -> Self {
        match failure {
            RouterFailure::NoCluster(status) => {
                Self::new(status, "", "cluster_not_found").flagged(ResponseFlag::NoClusterFound)
            }
            RouterFailure::NoHost => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no healthy upstream", "no_healthy_upstream")
                    .flagged(ResponseFlag::NoHealthyUpstream)
            }
            RouterFailure::PerTryTimeout => Self::per_try_timeout(),
            RouterFailure::Upstream(failure) => Self::of_failure(failure, false),
        }
    }
}

impl LocalReply {
    /// An attempt that took too long.
    pub(crate) const fn per_try_timeout() -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "upstream request timeout", "upstream_per_try_timeout")
            .flagged(ResponseFlag::UpstreamRequestTimeout)
    }

    /// The same without saying so, for a client that wants that (`x-envoy-upstream-rq-timeout-alt-response`).
    pub(crate) fn or_no_content(mut self, timeouts: Timeouts) -> Self {
        if timeouts.alternative_response {
            self.status = StatusCode::NO_CONTENT;
            self.body = Bytes::new();
        }
        self
    }

    /// A host that gave no response, at first or when it was tried again.
    pub(crate) fn of_failure(failure: Failure, retried: bool) -> Self {
        let (text, details) = match failure {
            Failure::Connect(kind) => (
                upstream_error!("remote connection failure"),
                match kind {
                    io::ErrorKind::ConnectionRefused => connect_details!("Connection_refused"),
                    io::ErrorKind::HostUnreachable => connect_details!("No_route_to_host"),
                    io::ErrorKind::NetworkUnreachable => connect_details!("Network_is_unreachable"),
                    io::ErrorKind::ConnectionReset => connect_details!("Connection_reset_by_peer"),
                    _ => "upstream_reset_before_response_started{remote_connection_failure}",
                },
            ),
            Failure::Tls(failure) => (upstream_error!("remote connection failure"), failure.names().1),
            Failure::ConnectTimeout => (
                upstream_error!("connection timeout"),
                "upstream_reset_before_response_started{connection_timeout}",
            ),
            Failure::Terminated => (
                upstream_error!("connection termination"),
                "upstream_reset_before_response_started{connection_termination}",
            ),
            Failure::Reset => {
                (upstream_error!("remote reset"), "upstream_reset_before_response_started{remote_reset}")
            }
            Failure::Refused => (
                upstream_error!("remote refused stream reset"),
                "upstream_reset_before_response_started{remote_refused_stream_reset}",
            ),
            // The request is at fault; see `broken_request` for what the client is told.
            Failure::RequestBroken => {
                return Self::new(StatusCode::BAD_REQUEST, "", "downstream_remote_disconnect");
            }
            Failure::Protocol => {
                (upstream_error!("protocol error"), "upstream_reset_before_response_started{protocol_error}")
            }
            Failure::Overflow => {
                (upstream_error!("overflow"), "upstream_reset_before_response_started{overflow}")
            }
        };
        let [first, later] = text;
        let status = match failure {
            Failure::Protocol => StatusCode::BAD_GATEWAY,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        let mut reply = Self::new(status, if retried { later } else { first }, details);
        reply.flag = failure.flag();
        if failure == Failure::Overflow {
            reply.headers.push((X_ENVOY_OVERLOADED, HeaderValue::from_static("true")));
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_hosts_read_as_envoy_words_them() {
        for (failure, status, length, flag) in [
            (Failure::Connect(std::io::ErrorKind::ConnectionRefused), 503, 98, "UF"),
            (Failure::ConnectTimeout, 503, 91, "UF"),
            (Failure::Terminated, 503, 95, "UC"),
            (Failure::Protocol, 502, 87, "UPE"),
            (Failure::Overflow, 503, 81, "UO"),
        ] {
            let reply = LocalReply::from(RouterFailure::Upstream(failure));
            assert_eq!(reply.status.as_u16(), status);
            assert_eq!(reply.body.len(), length, "{failure:?}");
            let flags = crate::stream_info::flags::ResponseFlags::default().with(reply.flag.expect("a flag"));
            assert_eq!(flags.text(), flag);
        }
    }
}
