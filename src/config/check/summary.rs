//! What a good file sets up, in a few lines.

use std::io::{self, Write};

use envoy_types::pb::{
    envoy::{
        config::{
            bootstrap::v3::Bootstrap,
            cluster::v3::{
                Cluster as ApiCluster,
                cluster::{ClusterDiscoveryType, DiscoveryType},
            },
            core::v3::{Address, TrafficDirection, address, grpc_service::TargetSpecifier, socket_address},
            listener::v3::{Filter, Listener as ApiListener, filter},
            route::v3::RouteConfiguration,
            trace::v3::{OpenTelemetryConfig, tracing::http::ConfigType},
        },
        extensions::filters::network::http_connection_manager::v3::{
            HttpConnectionManager, http_connection_manager::RouteSpecifier,
        },
    },
    google::protobuf::Any,
};
use prost::{Message, Name};
use serde::Serialize;

/// What a good file sets up.
#[derive(Serialize)]
pub(super) struct Summary {
    listeners: Vec<Listener>,
    clusters: Vec<Cluster>,
    tracers: Vec<Tracer>,
}

#[derive(Serialize)]
struct Listener {
    name: String,
    address: String,
    direction: &'static str,
    virtual_hosts: usize,
    routes: usize,
}

#[derive(Serialize)]
struct Cluster {
    name: String,
    r#type: &'static str,
    hosts: usize,
}

#[derive(Serialize, PartialEq)]
struct Tracer {
    service_name: String,
    collector_cluster: String,
}

impl Summary {
    pub(super) fn of(bootstrap: &Bootstrap) -> Self {
        let mut summary = Self { listeners: Vec::new(), clusters: Vec::new(), tracers: Vec::new() };
        let Some(resources) = &bootstrap.static_resources else { return summary };
        for listener in &resources.listeners {
            summary.add_listener(listener);
        }
        summary.clusters.extend(resources.clusters.iter().map(Cluster::of));
        summary
    }

    fn add_listener(&mut self, listener: &ApiListener) {
        let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
        let (mut virtual_hosts, mut routes) = (0, 0);
        for manager in chains.flat_map(|chain| &chain.filters).filter_map(connection_manager) {
            if let Some(RouteSpecifier::RouteConfig(RouteConfiguration { virtual_hosts: hosts, .. })) =
                &manager.route_specifier
            {
                virtual_hosts += hosts.len();
                routes += hosts.iter().map(|host| host.routes.len()).sum::<usize>();
            }
            // Many listeners report to the same tracer.
            self.tracers.extend(Tracer::of(&manager).filter(|tracer| !self.tracers.contains(tracer)));
        }
        self.listeners.push(Listener {
            name: listener.name.clone(),
            address: listener.address.as_ref().map(address_text).unwrap_or_default(),
            direction: TrafficDirection::try_from(listener.traffic_direction)
                .unwrap_or_default()
                .as_str_name(),
            virtual_hosts,
            routes,
        });
    }

    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for Listener { name, address, direction, virtual_hosts, routes } in &self.listeners {
            let name = if name.is_empty() { String::new() } else { format!("{name} ") };
            writeln!(
                out,
                "  listener {name}{address}, {}: {}, {}",
                direction.to_lowercase(),
                counted(*virtual_hosts, "virtual host"),
                counted(*routes, "route"),
            )?;
        }
        for Cluster { name, r#type, hosts } in &self.clusters {
            writeln!(out, "  cluster {name}, {}: {}", r#type, counted(*hosts, "host"))?;
        }
        for Tracer { service_name, collector_cluster } in &self.tracers {
            writeln!(out, "  tracer {service_name}, collected by {collector_cluster}")?;
        }
        Ok(())
    }
}

fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn connection_manager(filter: &Filter) -> Option<HttpConnectionManager> {
    match &filter.config_type {
        Some(filter::ConfigType::TypedConfig(config)) => decode(config),
        _ => None,
    }
}

/// The message in `any`, if it is of type `M`.
fn decode<M: Message + Name + Default>(any: &Any) -> Option<M> {
    let named = any.type_url.rsplit('/').next() == Some(M::full_name().as_str());
    named.then(|| M::decode(&any.value[..]).ok()).flatten()
}

impl Cluster {
    fn of(cluster: &ApiCluster) -> Self {
        let r#type = match cluster.cluster_discovery_type {
            Some(ClusterDiscoveryType::Type(number)) => DiscoveryType::try_from(number).unwrap_or_default(),
            _ => DiscoveryType::default(),
        };
        let endpoints = cluster.load_assignment.iter().flat_map(|assignment| &assignment.endpoints);
        let hosts = endpoints.map(|locality| locality.lb_endpoints.len()).sum();
        Self { name: cluster.name.clone(), r#type: r#type.as_str_name(), hosts }
    }
}

impl Tracer {
    fn of(manager: &HttpConnectionManager) -> Option<Self> {
        let provider = manager.tracing.as_ref()?.provider.as_ref()?;
        let ConfigType::TypedConfig(config) = provider.config_type.as_ref()?;
        let OpenTelemetryConfig { service_name, grpc_service, .. } = decode(config)?;
        let collector_cluster = match grpc_service?.target_specifier? {
            TargetSpecifier::EnvoyGrpc(envoy) => envoy.cluster_name,
            TargetSpecifier::GoogleGrpc(google) => google.target_uri,
        };
        Some(Self { service_name, collector_cluster })
    }
}

fn address_text(address: &Address) -> String {
    match &address.address {
        Some(address::Address::SocketAddress(socket)) => {
            let host = &socket.address;
            let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            match &socket.port_specifier {
                Some(socket_address::PortSpecifier::PortValue(port)) => format!("{host}:{port}"),
                Some(socket_address::PortSpecifier::NamedPort(port)) => format!("{host}:{port}"),
                None => host,
            }
        }
        Some(address::Address::Pipe(pipe)) => format!("unix:{}", pipe.path),
        _ => String::new(),
    }
}
