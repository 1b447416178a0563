//! The hash that RING_HASH goes by.

use std::hash::{DefaultHasher, Hash, Hasher};

use http::request::Parts;

use crate::{
    snapshot::{
        matcher::query_parameter,
        route::{HashSource, RouteAction},
    },
    stream_info::StreamInfo,
};

/// Of all that the policies name, in order.
pub(crate) fn hash_request(action: &RouteAction, parts: &Parts, info: &StreamInfo) -> Option<u64> {
    if action.hash_policy.is_empty() {
        return None;
    }
    let mut found = false;
    let mut hasher = DefaultHasher::new();
    for policy in &action.hash_policy {
        let here = match &policy.source {
            HashSource::Header(name) => {
                parts.headers.get_all(name).iter().inspect(|value| value.as_bytes().hash(&mut hasher)).count()
                    > 0
            }
            HashSource::SourceIp => {
                info.remote.get().inspect(|address| address.ip().hash(&mut hasher)).is_some()
            }
            HashSource::QueryParameter(name) => query_parameter(parts.uri.query().unwrap_or_default(), name)
                .inspect(|value| value.hash(&mut hasher))
                .is_some(),
        };
        found |= here;
        if found && policy.terminal {
            break;
        }
    }
    found.then(|| hasher.finish())
}
