//! HTTP filters: what a request passes before the router, in the order of the configuration, and its response after it
//! in the reverse order.
//!
//! A filter is a variant of [`HttpFilter`], so that passing one is a branch and no call through a pointer. Filters tell
//! causes ([`Reply`]); responses are made of them in `http_connection_manager/local_reply.rs`.

mod health_check;

use http::HeaderMap;

use crate::{
    snapshot::{Node, filter::HttpFilter, matcher::RequestView},
    stream_info::StreamInfo,
};

/// Why a filter answers a request itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It asked whether this proxy is well, and it is.
    Healthy,
    /// It asked whether this proxy is well, and an operator has said that it is not.
    Unhealthy,
}

/// The request's headers are complete: each filter sees them, until one answers.
pub(crate) fn decode_headers(
    filters: &[HttpFilter],
    request: &RequestView<'_>,
    info: &StreamInfo,
    unhealthy: bool,
) -> Option<Reply> {
    filters.iter().find_map(|filter| match filter {
        HttpFilter::HealthCheck(filter) => health_check::decode_headers(filter, request, info, unhealthy),
    })
}

/// The response's headers are complete, mutations of the route included.
pub(crate) fn encode_headers(
    filters: &[HttpFilter],
    headers: &mut HeaderMap,
    info: &StreamInfo,
    node: &Node,
    unhealthy: bool,
) {
    for filter in filters.iter().rev() {
        match filter {
            HttpFilter::HealthCheck(_) => health_check::encode_headers(headers, info, node, unhealthy),
        }
    }
}
