//! Health checks that come in: answered here, or passed on and marked. `envoy.filters.http.health_check`.

use http::{HeaderMap, HeaderValue};

use super::Reply;
use crate::{
    http_headers::{X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER},
    snapshot::{Node, filter::HealthCheck, matcher::RequestView},
    stream_info::StreamInfo,
};

/// Mark a health check, and answer it unless the service does.
pub(super) fn decode_headers(
    filter: &HealthCheck,
    request: &RequestView<'_>,
    info: &StreamInfo,
    unhealthy: bool,
) -> Option<Reply> {
    if !filter.headers.iter().all(|matcher| matcher.matches(request)) {
        return None;
    }
    info.health_check.set(true);
    match (unhealthy, filter.pass_through) {
        (true, _) => Some(Reply::Unhealthy),
        (false, true) => None,
        (false, false) => Some(Reply::Healthy),
    }
}

/// Tell who was checked and, with each response, that this proxy is not to be asked any more.
pub(super) fn encode_headers(headers: &mut HeaderMap, info: &StreamInfo, node: &Node, unhealthy: bool) {
    if unhealthy {
        headers.insert(X_ENVOY_IMMEDIATE_HEALTH_CHECK_FAIL, HeaderValue::from_static("true"));
    }
    if info.health_check.get()
        && let Ok(cluster) = HeaderValue::from_str(&node.cluster)
    {
        headers.insert(X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, cluster);
    }
}
