//! Health checks that come in: answered here, or passed on and marked. `envoy.filters.http.health_check`.

use http::{HeaderMap, HeaderValue};

use super::Reply;
use crate::{
    http_headers::X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER,
    snapshot::{Node, filter::HealthCheck, matcher::RequestView},
    stream_info::StreamInfo,
};

/// Mark a health check, and answer it unless the service does.
pub(super) fn decode_headers(
    filter: &HealthCheck,
    request: &RequestView<'_>,
    info: &StreamInfo,
) -> Option<Reply> {
    if !filter.headers.iter().all(|matcher| matcher.matches(request)) {
        return None;
    }
    info.health_check.set(true);
    (!filter.pass_through).then_some(Reply::Healthy)
}

/// Tell who was checked.
pub(super) fn encode_headers(headers: &mut HeaderMap, info: &StreamInfo, node: &Node) {
    if info.health_check.get()
        && let Ok(cluster) = HeaderValue::from_str(&node.cluster)
    {
        headers.insert(X_ENVOY_UPSTREAM_HEALTHCHECKED_CLUSTER, cluster);
    }
}
