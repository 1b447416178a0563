//! Clusters for programs: `envoy.admin.v3.Clusters`. As in Envoy what has its default is left out.

use axum::response::Response;
use serde::Serialize;

use super::{HostFigure, figures, high_priority};
use crate::{
    admin::{address::AddressJson, answer},
    cluster::{ClusterState, host::Host},
    snapshot::cluster::{Health, Locality, Thresholds},
};

#[derive(Debug, Serialize)]
struct Clusters<'a> {
    cluster_statuses: Vec<ClusterStatus<'a>>,
}

#[derive(Debug, Serialize)]
struct ClusterStatus<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    host_statuses: Vec<HostStatus<'a>>,
    circuit_breakers: CircuitBreakers,
    observability_name: &'a str,
}

#[derive(Debug, Serialize)]
struct CircuitBreakers {
    thresholds: [Limits; 2],
}

#[derive(Debug, Serialize)]
struct Limits {
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<&'static str>,
    max_connections: u32,
    max_pending_requests: u32,
    max_requests: u32,
    max_retries: u32,
}

impl Limits {
    fn new(priority: Option<&'static str>, limits: &Thresholds) -> Self {
        Self {
            priority,
            max_connections: limits.max_connections,
            max_pending_requests: limits.max_pending_requests,
            max_requests: limits.max_requests,
            max_retries: limits.max_retries,
        }
    }
}

#[derive(Debug, Serialize)]
struct HostStatus<'a> {
    address: AddressJson<'a>,
    stats: Vec<SimpleMetric>,
    health_status: HealthStatus,
    weight: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    hostname: &'a str,
    locality: LocalityJson<'a>,
}

#[derive(Debug, Serialize)]
struct SimpleMetric {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    name: String,
}

impl From<HostFigure> for SimpleMetric {
    fn from(HostFigure { name, value, is_gauge }: HostFigure) -> Self {
        let value = (value > 0).then(|| value.to_string());
        Self { kind: is_gauge.then_some("GAUGE"), value, name }
    }
}

#[derive(Debug, Serialize)]
struct HealthStatus {
    eds_health_status: &'static str,
}

#[derive(Debug, Serialize)]
struct LocalityJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    region: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    zone: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sub_zone: &'a str,
}

impl<'a> From<&'a Locality> for LocalityJson<'a> {
    fn from(locality: &'a Locality) -> Self {
        Self { region: &locality.region, zone: &locality.zone, sub_zone: &locality.sub_zone }
    }
}

/// The clusters as JSON.
pub(super) fn answer<'a>(clusters: impl Iterator<Item = &'a ClusterState>) -> Response {
    let clusters: Vec<_> = clusters.map(|cluster| (&*cluster.config, cluster.hosts.load_full())).collect();
    let cluster_statuses = clusters.iter().map(|(cluster, hosts)| ClusterStatus {
        name: &cluster.name,
        host_statuses: hosts.all.iter().map(|(host, health)| status(host, *health)).collect(),
        circuit_breakers: CircuitBreakers {
            thresholds: [Limits::new(None, &cluster.thresholds), Limits::new(Some("HIGH"), &high_priority())],
        },
        observability_name: &cluster.observability_name,
    });
    answer::json(&Clusters { cluster_statuses: cluster_statuses.collect() })
}

fn status(host: &Host, health: Health) -> HostStatus<'_> {
    HostStatus {
        address: AddressJson::from(&host.address),
        stats: figures(host).into_iter().map(SimpleMetric::from).collect(),
        health_status: HealthStatus {
            eds_health_status: match health {
                Health::Healthy => "HEALTHY",
                Health::Unhealthy => "UNHEALTHY",
                Health::Draining => "DRAINING",
            },
        },
        weight: host.weight,
        hostname: &host.hostname,
        locality: LocalityJson::from(&*host.locality),
    }
}
