//! The messages that a dump is made of, in Envoy's order.

use std::{sync::Arc, time::SystemTime};

use envoy_types::pb::{
    envoy::{
        admin::v3::{
            BootstrapConfigDump, ClustersConfigDump, EndpointsConfigDump, ListenersConfigDump,
            RoutesConfigDump, ScopedRoutesConfigDump, SecretsConfigDump, clusters_config_dump::StaticCluster,
            endpoints_config_dump::StaticEndpointConfig, listeners_config_dump::StaticListener,
            routes_config_dump::StaticRouteConfig,
        },
        config::{
            bootstrap::v3::Bootstrap,
            core::v3::{
                Address as ProtoAddress, HealthStatus, Locality as ProtoLocality, Pipe, SocketAddress,
                address::Address as AddressKind, node::UserAgentVersionType, socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
            listener::v3::{Filter, Listener, filter::ConfigType},
            route::v3::RouteConfiguration,
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
    },
    google::protobuf::{Any, Timestamp, UInt32Value},
};
use prost::{Message, Name};
use regex::Regex;

use super::DumpError;
use crate::{
    config::lower::unpack,
    snapshot::{
        Address,
        cluster::{Health, Locality},
    },
};

/// The hosts of a cluster now.
#[derive(Debug)]
pub(crate) struct ClusterHosts {
    /// The cluster.
    pub(crate) cluster: Arc<str>,
    /// In their order.
    pub(crate) hosts: Vec<HostEntry>,
}

/// One of them.
#[derive(Debug)]
pub(crate) struct HostEntry {
    /// Where it is.
    pub(crate) address: Address,
    /// Its name, if it has one.
    pub(crate) hostname: Arc<str>,
    /// How it is.
    pub(crate) health: Health,
    /// Its share.
    pub(crate) weight: u32,
    /// Where that is.
    pub(crate) locality: Arc<Locality>,
}

/// A message's name and its bytes.
type Encoded = (String, Vec<u8>);

/// The messages of a dump; of resources those that `names` takes.
pub(super) fn messages(
    bootstrap: &[u8],
    loaded: SystemTime,
    names: Option<&Regex>,
    hosts: Option<&[ClusterHosts]>,
) -> Result<Vec<Encoded>, DumpError> {
    let mut bootstrap =
        Bootstrap::decode(bootstrap).map_err(|error| DumpError::Internal(error.to_string()))?;
    let node = bootstrap.node.get_or_insert_default();
    node.user_agent_name = env!("CARGO_PKG_NAME").to_owned();
    let version = env!("CARGO_PKG_VERSION").to_owned();
    node.user_agent_version_type = Some(UserAgentVersionType::UserAgentVersion(version));
    let last_updated = Some(timestamp(loaded));
    let takes = |name: &str| names.is_none_or(|names| names.is_match(name));
    let resources = bootstrap.static_resources.clone().unwrap_or_default();
    let mut clusters: Vec<_> = resources.clusters.iter().filter(|cluster| takes(&cluster.name)).collect();
    clusters.sort_by(|one, two| one.name.cmp(&two.name));
    let static_clusters = clusters
        .into_iter()
        .map(|cluster| StaticCluster { cluster: Some(pack(cluster)), last_updated })
        .collect();
    let listeners = resources.listeners.iter().filter(|listener| takes(&listener.name));
    let static_listeners =
        listeners.map(|listener| StaticListener { listener: Some(pack(listener)), last_updated }).collect();
    let routes = resources.listeners.iter().flat_map(route_configurations).filter(|route| takes(&route.name));
    let static_route_configs =
        routes.map(|route| StaticRouteConfig { route_config: Some(pack(&route)), last_updated }).collect();

    let mut all = vec![
        encoded(&BootstrapConfigDump { bootstrap: Some(bootstrap), last_updated }),
        encoded(&ClustersConfigDump { static_clusters, ..ClustersConfigDump::default() }),
    ];
    if let Some(hosts) = hosts {
        let mut hosts: Vec<_> = hosts.iter().filter(|cluster| takes(&cluster.cluster)).collect();
        hosts.sort_by(|one, two| one.cluster.cmp(&two.cluster));
        let static_endpoint_configs = hosts.into_iter().map(|cluster| StaticEndpointConfig {
            endpoint_config: Some(pack(&assignment(cluster))),
            last_updated: None,
        });
        all.push(encoded(&EndpointsConfigDump {
            static_endpoint_configs: static_endpoint_configs.collect(),
            ..EndpointsConfigDump::default()
        }));
    }
    all.extend([
        encoded(&ListenersConfigDump { static_listeners, ..ListenersConfigDump::default() }),
        encoded(&ScopedRoutesConfigDump::default()),
        encoded(&RoutesConfigDump { static_route_configs, ..RoutesConfigDump::default() }),
        encoded(&SecretsConfigDump::default()),
    ]);
    Ok(all)
}

/// The routes that the connection managers of a listener have.
fn route_configurations(listener: &Listener) -> Vec<RouteConfiguration> {
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    let routes = |filter: &Filter| {
        let Some(ConfigType::TypedConfig(any)) = &filter.config_type else { return None };
        match unpack::<HttpConnectionManager>(any)?.route_specifier? {
            RouteSpecifier::RouteConfig(routes) => Some(routes),
            _ => None,
        }
    };
    chains.flat_map(|chain| &chain.filters).filter_map(routes).collect()
}

fn assignment(cluster: &ClusterHosts) -> ClusterLoadAssignment {
    let mut endpoints: Vec<LocalityLbEndpoints> = Vec::new();
    let mut last: Option<&Arc<Locality>> = None;
    for host in &cluster.hosts {
        if last.is_none_or(|last| !Arc::ptr_eq(last, &host.locality)) {
            let Locality { region, zone, sub_zone } = &*host.locality;
            let [region, zone, sub_zone] = [region, zone, sub_zone].map(|name| name.to_string());
            endpoints.push(LocalityLbEndpoints {
                locality: Some(ProtoLocality { region, zone, sub_zone }),
                ..LocalityLbEndpoints::default()
            });
            last = Some(&host.locality);
        }
        if let Some(group) = endpoints.last_mut() {
            group.lb_endpoints.push(endpoint(host));
        }
    }
    ClusterLoadAssignment {
        cluster_name: cluster.cluster.to_string(),
        endpoints,
        ..ClusterLoadAssignment::default()
    }
}

fn endpoint(host: &HostEntry) -> LbEndpoint {
    let health = match host.health {
        Health::Healthy => HealthStatus::Healthy,
        Health::Unhealthy => HealthStatus::Unhealthy,
        Health::Draining => HealthStatus::Draining,
    };
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address(&host.address)),
            hostname: host.hostname.to_string(),
            ..Endpoint::default()
        })),
        health_status: health.into(),
        load_balancing_weight: Some(UInt32Value { value: host.weight }),
        ..LbEndpoint::default()
    }
}

fn address(address: &Address) -> ProtoAddress {
    let kind = match address {
        Address::Socket(socket) => AddressKind::SocketAddress(SocketAddress {
            address: socket.ip().to_string(),
            port_specifier: Some(PortSpecifier::PortValue(socket.port().into())),
            ..SocketAddress::default()
        }),
        Address::Pipe(path) => {
            AddressKind::Pipe(Pipe { path: path.display().to_string(), ..Pipe::default() })
        }
    };
    ProtoAddress { address: Some(kind) }
}

fn encoded<M: Message + Name>(message: &M) -> Encoded {
    (M::full_name(), message.encode_to_vec())
}

fn pack<M: Message + Name>(message: &M) -> Any {
    Any { type_url: format!("type.googleapis.com/{}", M::full_name()), value: message.encode_to_vec() }
}

/// To the millisecond, as Envoy has it.
fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(since.subsec_millis() * 1_000_000).unwrap_or_default(),
    }
}
