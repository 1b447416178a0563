//! `/config_dump`: the configuration that is served.

use axum::response::Response;
use http::StatusCode;

use super::{Subject, answer, command::Asked};
use crate::config::dump::{self, ClusterHosts, DumpError, HostEntry, Wanted};

/// `/config_dump`
pub(super) fn page(asked: &Asked) -> Response {
    let subject = &asked.subject;
    let wanted = Wanted {
        resource: asked.value("resource"),
        mask: asked.value("mask"),
        name_regex: asked.value("name_regex"),
        hosts: asked.has("include_eds").then(|| hosts(subject)),
    };
    match dump::render(&subject.snapshot.bootstrap, subject.loaded, &wanted) {
        Ok(body) => answer::json_text(body),
        Err(error) => {
            let status = match error {
                DumpError::NotFound(_) => StatusCode::NOT_FOUND,
                DumpError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            answer::typed(status, "text/plain", error.to_string())
        }
    }
}

fn hosts(subject: &Subject) -> Vec<ClusterHosts> {
    let clusters = subject.clusters.iter().map(|cluster| ClusterHosts {
        cluster: cluster.config.name.clone(),
        hosts: cluster
            .hosts
            .load()
            .all
            .iter()
            .map(|(host, health)| HostEntry {
                address: host.address.clone(),
                hostname: host.hostname.clone(),
                health: *health,
                weight: host.weight,
                locality: host.locality.clone(),
            })
            .collect(),
    });
    clusters.collect()
}
