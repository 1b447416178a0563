//! Lowers clusters.

use std::{sync::Arc, time::Duration};

use envoy_types::pb::envoy::{
    config::{
        cluster::v3::{
            Cluster as ProtoCluster,
            circuit_breakers::Thresholds as ProtoThresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily as ProtoFamily, LbPolicy},
        },
        core::v3::{
            HealthStatus, Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonOptions,
            RoutingPriority, TcpKeepalive as ProtoKeepalive,
        },
        endpoint::v3::lb_endpoint::HostIdentifier,
    },
    extensions::upstreams::http::v3::{
        HttpProtocolOptions,
        http_protocol_options::{UpstreamProtocolOptions, explicit_http_config::ProtocolConfig},
    },
};

use super::{Lowering, lower_metadata, number, unpack};
use crate::{
    config::FieldPath,
    snapshot::{
        ClusterId,
        cluster::{
            Cluster, Discovery, DnsLookupFamily, DnsName, DnsOptions, Endpoint, Health, Http2Options,
            LoadBalancingPolicy, Locality, TcpKeepalive, Thresholds, UpstreamProtocol,
        },
    },
    stats::Scope,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const DNS_REFRESH: Duration = Duration::from_secs(5);
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const BUFFER_BYTES: u32 = 1 << 20;

impl Lowering<'_> {
    /// Lower a cluster and add it.
    pub(super) fn cluster(&mut self, path: &FieldPath<'_>, cluster: &ProtoCluster) {
        let name: Arc<str> = cluster.name.as_str().into();
        if self.cluster_index.contains_key(&name) {
            self.problems.push(&path.field("name"), format!("another cluster is named \"{name}\" already"));
            return;
        }
        let protocol = self.protocol_options(path, cluster);
        let lowered = Cluster {
            stats: Scope::default(),
            observability_name: match cluster.alt_stat_name.as_str() {
                "" => Arc::clone(&name),
                other => other.into(),
            },
            metadata: lower_metadata(cluster.metadata.as_ref()),
            discovery: self.discovery(path, cluster),
            policy: match cluster.lb_policy() {
                LbPolicy::Random => LoadBalancingPolicy::Random,
                LbPolicy::RingHash => LoadBalancingPolicy::RingHash,
                _ => LoadBalancingPolicy::RoundRobin,
            },
            connect_timeout: self
                .timeout(
                    &path.field("connect_timeout"),
                    cluster.connect_timeout.as_ref(),
                    Some(CONNECT_TIMEOUT),
                )
                .unwrap_or(CONNECT_TIMEOUT),
            thresholds: thresholds(cluster),
            protocol: protocol.protocol,
            max_requests_per_connection: protocol.max_requests,
            idle_timeout: protocol.idle_timeout,
            tls: cluster
                .transport_socket
                .as_ref()
                .and_then(|socket| self.upstream_tls(&path.field("transport_socket"), socket)),
            tcp_keepalive: cluster
                .upstream_connection_options
                .as_ref()
                .and_then(|options| options.tcp_keepalive.as_ref())
                .map(tcp_keepalive),
            buffer_limit_bytes: number(cluster.per_connection_buffer_limit_bytes.as_ref(), BUFFER_BYTES),
            name: Arc::clone(&name),
        };
        self.cluster_index.insert(name, ClusterId(self.clusters.len()));
        self.clusters.push(Arc::new(lowered));
    }

    fn discovery(&mut self, path: &FieldPath<'_>, cluster: &ProtoCluster) -> Discovery {
        let kind = match cluster.cluster_discovery_type {
            Some(ClusterDiscoveryType::Type(kind)) => {
                DiscoveryType::try_from(kind).unwrap_or(DiscoveryType::Static)
            }
            _ => DiscoveryType::Static,
        };
        match kind {
            DiscoveryType::StrictDns => {
                let options = self.dns_options(path, cluster);
                Discovery::StrictDns(self.named_endpoints(path, cluster), options)
            }
            DiscoveryType::LogicalDns => {
                let options = self.dns_options(path, cluster);
                let mut endpoints = self.named_endpoints(path, cluster).into_iter();
                match (endpoints.next(), endpoints.next()) {
                    (Some(only), None) => Discovery::LogicalDns(only, options),
                    _ => {
                        self.problems.push_with_hint(
                            &path.field("load_assignment"),
                            "a LOGICAL_DNS cluster has exactly one endpoint",
                            "STRICT_DNS takes several",
                        );
                        Discovery::Static(Vec::new())
                    }
                }
            }
            _ => Discovery::Static(self.endpoints(path, cluster, Self::address)),
        }
    }

    fn named_endpoints(&mut self, path: &FieldPath<'_>, cluster: &ProtoCluster) -> Vec<Endpoint<DnsName>> {
        let mut endpoints = self.endpoints(path, cluster, Self::dns_name);
        for endpoint in &mut endpoints {
            if endpoint.hostname.is_empty() {
                endpoint.hostname = Arc::clone(&endpoint.address.host);
            }
        }
        endpoints
    }

    fn endpoints<A>(
        &mut self,
        path: &FieldPath<'_>,
        cluster: &ProtoCluster,
        mut address: impl FnMut(
            &mut Self,
            &FieldPath<'_>,
            Option<&envoy_types::pb::envoy::config::core::v3::Address>,
        ) -> Option<A>,
    ) -> Vec<Endpoint<A>> {
        let mut endpoints = Vec::new();
        let Some(assignment) = &cluster.load_assignment else { return endpoints };
        let path = path.field("load_assignment");
        let path = path.field("endpoints");
        for (group, locality) in assignment.endpoints.iter().enumerate() {
            let path = path.index(group);
            let path = path.field("lb_endpoints");
            let place = locality.locality.clone().unwrap_or_default();
            let place = Arc::new(Locality {
                region: place.region.into(),
                zone: place.zone.into(),
                sub_zone: place.sub_zone.into(),
            });
            for (index, host) in locality.lb_endpoints.iter().enumerate() {
                let Some(HostIdentifier::Endpoint(endpoint)) = &host.host_identifier else { continue };
                let path = path.index(index);
                let path = path.field("endpoint.address");
                if let Some(address) = address(self, &path, endpoint.address.as_ref()) {
                    endpoints.push(Endpoint {
                        address,
                        hostname: endpoint.hostname.as_str().into(),
                        weight: number(host.load_balancing_weight.as_ref(), 1),
                        health: match host.health_status() {
                            HealthStatus::Unhealthy | HealthStatus::Timeout => Health::Unhealthy,
                            HealthStatus::Draining => Health::Draining,
                            _ => Health::Healthy,
                        },
                        metadata: lower_metadata(host.metadata.as_ref()),
                        locality: Arc::clone(&place),
                    });
                }
            }
        }
        endpoints
    }

    #[expect(deprecated, reason = "Envoy still reads the fields that its DNS cluster extension replaced")]
    fn dns_options(&mut self, path: &FieldPath<'_>, cluster: &ProtoCluster) -> DnsOptions {
        let rate = self.timeout(
            &path.field("dns_refresh_rate"),
            cluster.dns_refresh_rate.as_ref(),
            Some(DNS_REFRESH),
        );
        DnsOptions {
            refresh_rate: rate.unwrap_or(DNS_REFRESH),
            respect_ttl: cluster.respect_dns_ttl,
            family: match cluster.dns_lookup_family() {
                ProtoFamily::Auto => DnsLookupFamily::Auto,
                ProtoFamily::V4Only => DnsLookupFamily::V4Only,
                ProtoFamily::V6Only => DnsLookupFamily::V6Only,
                ProtoFamily::V4Preferred => DnsLookupFamily::V4Preferred,
                ProtoFamily::All => DnsLookupFamily::All,
            },
        }
    }

    #[expect(deprecated, reason = "Envoy still reads the fields that HttpProtocolOptions replaced")]
    fn protocol_options(&mut self, path: &FieldPath<'_>, cluster: &ProtoCluster) -> ProtocolOptions {
        let key = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let typed = cluster.typed_extension_protocol_options.get(key).and_then(unpack::<HttpProtocolOptions>);
        let Some(typed) = typed else {
            let protocol = match (&cluster.http2_protocol_options, &cluster.http_protocol_options) {
                (Some(http2), _) => UpstreamProtocol::Http2(http2_options(Some(http2))),
                (None, http1) => UpstreamProtocol::Http1 { enable_trailers: trailers(http1.as_ref()) },
            };
            let path = path.field("common_http_protocol_options");
            let mut options =
                self.common_options(&path, protocol, cluster.common_http_protocol_options.as_ref());
            if let Some(most) = &cluster.max_requests_per_connection {
                options.max_requests = Some(most.value).filter(|most| *most > 0);
            }
            return options;
        };
        let protocol = match &typed.upstream_protocol_options {
            Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) => match &explicit.protocol_config {
                Some(ProtocolConfig::Http2ProtocolOptions(http2)) => {
                    UpstreamProtocol::Http2(http2_options(Some(http2)))
                }
                Some(ProtocolConfig::HttpProtocolOptions(http1)) => {
                    UpstreamProtocol::Http1 { enable_trailers: trailers(Some(http1)) }
                }
                _ => UpstreamProtocol::Http1 { enable_trailers: false },
            },
            Some(UpstreamProtocolOptions::UseDownstreamProtocolConfig(options)) => {
                UpstreamProtocol::Downstream {
                    enable_trailers: trailers(options.http_protocol_options.as_ref()),
                    http2: http2_options(options.http2_protocol_options.as_ref()),
                }
            }
            _ => UpstreamProtocol::Http1 { enable_trailers: false },
        };
        let path = path.field("typed_extension_protocol_options");
        let path = path.key(key);
        let path = path.field("common_http_protocol_options");
        self.common_options(&path, protocol, typed.common_http_protocol_options.as_ref())
    }

    fn common_options(
        &mut self,
        path: &FieldPath<'_>,
        protocol: UpstreamProtocol,
        common: Option<&CommonOptions>,
    ) -> ProtocolOptions {
        let idle = common.and_then(|common| common.idle_timeout.as_ref());
        ProtocolOptions {
            protocol,
            max_requests: common
                .and_then(|common| common.max_requests_per_connection.as_ref())
                .map(|most| most.value)
                .filter(|most| *most > 0),
            idle_timeout: self.timeout(&path.field("idle_timeout"), idle, Some(IDLE_TIMEOUT)),
        }
    }
}

/// How a cluster's hosts are spoken to.
struct ProtocolOptions {
    protocol: UpstreamProtocol,
    max_requests: Option<u32>,
    idle_timeout: Option<Duration>,
}

/// The limits of the default priority, which is the one that all routes use.
fn thresholds(cluster: &ProtoCluster) -> Thresholds {
    let default = Thresholds::default();
    let find = |thresholds: &&ProtoThresholds| thresholds.priority() == RoutingPriority::Default;
    let Some(thresholds) = cluster.circuit_breakers.as_ref().and_then(|all| all.thresholds.iter().find(find))
    else {
        return default;
    };
    Thresholds {
        max_connections: number(thresholds.max_connections.as_ref(), default.max_connections),
        max_pending_requests: number(thresholds.max_pending_requests.as_ref(), default.max_pending_requests),
        max_requests: number(thresholds.max_requests.as_ref(), default.max_requests),
        max_retries: number(thresholds.max_retries.as_ref(), default.max_retries),
        track_remaining: thresholds.track_remaining,
    }
}

fn tcp_keepalive(options: &ProtoKeepalive) -> TcpKeepalive {
    let seconds = |value: u32| Duration::from_secs(value.into());
    TcpKeepalive {
        probes: options.keepalive_probes.as_ref().map(|value| value.value),
        time: options.keepalive_time.as_ref().map(|value| seconds(value.value)),
        interval: options.keepalive_interval.as_ref().map(|value| seconds(value.value)),
    }
}

fn trailers(options: Option<&Http1ProtocolOptions>) -> bool {
    options.is_some_and(|options| options.enable_trailers)
}

/// HTTP/2 settings, of either side.
pub(super) fn http2_options(options: Option<&Http2ProtocolOptions>) -> Http2Options {
    let default = Http2Options::default();
    let Some(options) = options else { return default };
    Http2Options {
        max_concurrent_streams: number(
            options.max_concurrent_streams.as_ref(),
            default.max_concurrent_streams,
        ),
        initial_stream_window_bytes: number(
            options.initial_stream_window_size.as_ref(),
            default.initial_stream_window_bytes,
        ),
        initial_connection_window_bytes: number(
            options.initial_connection_window_size.as_ref(),
            default.initial_connection_window_bytes,
        ),
    }
}
