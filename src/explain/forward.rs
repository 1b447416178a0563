//! What a host gets, and which hosts there are.

use std::sync::Arc;

use http::header::HOST;

use super::{
    Subject, changes,
    report::{ClusterReport, HostReport, Place, UpstreamRequest},
    walk::{Forwarded, Walk},
    words::shown,
};
use crate::{
    cluster::{ClusterState, load_balancer::LoadBalancer},
    router::path_and_query,
    snapshot::{
        cluster::{Cluster, Discovery, Health, LoadBalancingPolicy},
        matcher::header_text,
        route::HostRewrite,
    },
};

impl Subject<'_> {
    /// Whether the hosts of a cluster are known.
    pub(super) fn knows_hosts(&self, cluster: &Cluster) -> bool {
        self.live.is_some() || matches!(cluster.discovery, Discovery::Static(_))
    }

    /// The place of the host that gets a request, where nothing is left to chance or turn.
    fn sole_host(&self, state: &ClusterState, hash: Option<u64>) -> Option<usize> {
        let hosts = state.hosts.load();
        match state.config.policy {
            _ if hosts.hosts.len() == 1 => Some(0),
            LoadBalancingPolicy::RingHash if hash.is_some() => {
                LoadBalancer::new(state.config.policy, &hosts).pick(hash, 0)
            }
            _ => None,
        }
    }

    /// The name of the host that gets a request, if it is certain.
    pub(super) fn sole_hostname(&self, state: &ClusterState, hash: Option<u64>) -> Option<Arc<str>> {
        let hosts = state.hosts.load();
        let sole = self.sole_host(state, hash).and_then(|place| hosts.hosts.get(place));
        let first = hosts.hosts.first()?;
        let all_same = hosts.hosts.iter().all(|host| host.hostname == first.hostname);
        sole.or_else(|| all_same.then_some(first)).map(|host| Arc::clone(&host.hostname))
    }
}

/// What a host gets. `twin` went the same way a moment later.
pub(super) fn request(
    walk: &Walk<'_>,
    forwarded: &Forwarded<'_>,
    twin: Option<&Forwarded<'_>>,
) -> UpstreamRequest {
    let sent = &forwarded.sent;
    let authority = sent.uri.authority().map(|authority| authority.as_str().to_owned());
    let host = || sent.headers.get(HOST).map_or("", header_text).to_owned();
    let names =
        sent.headers.iter().map(|(name, value)| (name.to_string(), shown(name.as_str(), header_text(value))));
    UpstreamRequest {
        method: sent.method.to_string(),
        path: path_and_query(&sent.uri).to_owned(),
        authority: authority.unwrap_or_else(host),
        protocol: if forwarded.http2 { "HTTP/2" } else { "HTTP/1.1" },
        changes: changes::between(&walk.arrived.headers, &sent.headers, twin.map(|twin| &twin.sent.headers)),
        headers: names.filter(|(name, _)| name != HOST.as_str()).collect(),
    }
}

/// The cluster of a request.
pub(super) fn cluster(forwarded: &Forwarded<'_>, subject: &Subject<'_>) -> Option<ClusterReport> {
    let place = forwarded.cluster.0;
    let state = subject.clusters.get(place)?;
    let config = &state.config;
    let hosts = state.hosts.load();
    let mut notes = Vec::new();
    if !subject.knows_hosts(config) {
        notes.push(format!("names are not resolved here: {}", names(&config.discovery)));
    }
    if hosts.panic && hosts.all.len() > hosts.healthy && !hosts.all.is_empty() {
        notes.push("fewer than half of the hosts are well: health does not count (panic)".to_owned());
    }
    if matches!(forwarded.action.host_rewrite, Some(HostRewrite::Auto))
        && subject.sole_hostname(state, forwarded.hash).is_none()
    {
        notes.push("auto_host_rewrite: the authority becomes the name of the host that is chosen".to_owned());
    }
    let sole = subject.sole_host(state, forwarded.hash).and_then(|place| hosts.hosts.get(place));
    Some(ClusterReport {
        name: config.name.to_string(),
        place: Place::of(format!("static_resources.clusters[{place}]")),
        discovery: match &config.discovery {
            Discovery::Static(_) => "STATIC",
            Discovery::StrictDns(..) => "STRICT_DNS",
            Discovery::LogicalDns(..) => "LOGICAL_DNS",
        },
        lb_policy: match config.policy {
            LoadBalancingPolicy::RoundRobin => "ROUND_ROBIN",
            LoadBalancingPolicy::Random => "RANDOM",
            LoadBalancingPolicy::RingHash => "RING_HASH",
        },
        protocol: if forwarded.http2 { "HTTP/2" } else { "HTTP/1.1" },
        tls: config.tls.is_some(),
        hosts: hosts
            .all
            .iter()
            .map(|(host, health)| HostReport {
                address: host.address_text.to_string(),
                hostname: host.hostname.to_string(),
                weight: host.weight,
                health: match health {
                    Health::Healthy => "healthy",
                    Health::Unhealthy => "unhealthy",
                    Health::Draining => "draining",
                },
            })
            .collect(),
        healthy: hosts.healthy,
        total: hosts.all.len(),
        chosen: sole.map(|host| host.address_text.to_string()),
        notes,
    })
}

/// The names that stand for hosts.
fn names(discovery: &Discovery) -> String {
    let name = |name: &crate::snapshot::cluster::DnsName| format!("{}:{}", name.host, name.port);
    match discovery {
        Discovery::Static(_) => String::new(),
        Discovery::StrictDns(endpoints, _) => {
            endpoints.iter().map(|endpoint| name(&endpoint.address)).collect::<Vec<_>>().join(", ")
        }
        Discovery::LogicalDns(endpoint, _) => name(&endpoint.address),
    }
}
