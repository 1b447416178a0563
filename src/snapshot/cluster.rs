//! What a cluster is. `config.cluster.v3.Cluster`.

use std::{sync::Arc, time::Duration};

use super::{Address, metadata::Metadata, tls::UpstreamTls};
use crate::stats::{ClusterStats, Scope};

/// A named set of hosts and how they are reached.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Unique name. `Cluster.name`.
    pub(crate) name: Arc<str>,
    /// Name in stats and spans. Default: the name. `Cluster.alt_stat_name`.
    pub(crate) observability_name: Arc<str>,
    /// What is noted of it. `Cluster.metadata`.
    pub(crate) metadata: Metadata,
    /// Where hosts come from. `Cluster.type`, `Cluster.load_assignment`.
    pub(crate) discovery: Discovery,
    /// How a host is chosen. `Cluster.lb_policy`.
    pub(crate) policy: LoadBalancingPolicy,
    /// How long a connection may take to open, TLS included. Default 5 s. `Cluster.connect_timeout`.
    pub(crate) connect_timeout: Duration,
    /// The limits of the default priority. `Cluster.circuit_breakers`.
    pub(crate) thresholds: Thresholds,
    /// How hosts are spoken to. `extensions.upstreams.http.v3.HttpProtocolOptions`.
    pub(crate) protocol: UpstreamProtocol,
    /// Requests that a connection serves before it is closed; `None` for no limit.
    /// `HttpProtocolOptions.common_http_protocol_options.max_requests_per_connection`.
    pub(crate) max_requests_per_connection: Option<u32>,
    /// How long a pooled connection may idle; `None` for ever. Default 1 h.
    /// `HttpProtocolOptions.common_http_protocol_options.idle_timeout`.
    pub(crate) idle_timeout: Option<Duration>,
    /// TLS to its hosts; `None` where they are spoken to in plain text. `Cluster.transport_socket`.
    pub(crate) tls: Option<UpstreamTls>,
    /// TCP keep-alive probes; `None` for none. `Cluster.upstream_connection_options.tcp_keepalive`.
    pub(crate) tcp_keepalive: Option<TcpKeepalive>,
    /// Bytes buffered per connection before back-pressure. Default 1 MiB.
    /// `Cluster.per_connection_buffer_limit_bytes`.
    pub(crate) buffer_limit_bytes: u32,
    /// What is counted of it.
    pub(crate) stats: Scope<ClusterStats>,
}

/// Where a cluster's hosts come from. `Cluster.type`.
#[derive(Debug)]
pub(crate) enum Discovery {
    /// The hosts are in the file, as addresses. `STATIC`.
    Static(Vec<Endpoint<Address>>),
    /// Each name stands for all addresses it resolves to. `STRICT_DNS`.
    StrictDns(Vec<Endpoint<DnsName>>, DnsOptions),
    /// The name stands for one host, at the first address it resolves to. `LOGICAL_DNS`.
    LogicalDns(Endpoint<DnsName>, DnsOptions),
}

/// One configured endpoint. `config.endpoint.v3.LbEndpoint`.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint<A> {
    /// Where it is. `Endpoint.address`.
    pub(crate) address: A,
    /// Name of the host, for `auto_host_rewrite`. `Endpoint.hostname`, or the DNS name.
    pub(crate) hostname: Arc<str>,
    /// Share of the traffic, relative to the other endpoints. Default 1. `LbEndpoint.load_balancing_weight`.
    pub(crate) weight: u32,
    /// How it is. Default healthy. `LbEndpoint.health_status`.
    pub(crate) health: Health,
    /// What is noted of it. `LbEndpoint.metadata`.
    pub(crate) metadata: Metadata,
    /// Where it is, for who asks. `LocalityLbEndpoints.locality`.
    pub(crate) locality: Arc<Locality>,
}

/// Where hosts are. `config.core.v3.Locality`.
#[derive(Debug, Default)]
pub(crate) struct Locality {
    /// `region`
    pub(crate) region: Box<str>,
    /// `zone`
    pub(crate) zone: Box<str>,
    /// `sub_zone`
    pub(crate) sub_zone: Box<str>,
}

/// How a host is. `HealthStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Health {
    /// It gets requests. `UNKNOWN`, `HEALTHY`.
    Healthy,
    /// It gets none while enough others are well. `UNHEALTHY`, `TIMEOUT`.
    Unhealthy,
    /// It gets none, and is not missed. `DRAINING`.
    Draining,
}

/// A host name and port to resolve.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct DnsName {
    /// The name, or an IP literal. `SocketAddress.address`.
    pub(crate) host: Arc<str>,
    /// `SocketAddress.port_value`.
    pub(crate) port: u16,
}

/// How names are resolved.
#[derive(Debug, Clone)]
pub(crate) struct DnsOptions {
    /// Time between two resolutions. Default 5 s. `Cluster.dns_refresh_rate`.
    pub(crate) refresh_rate: Duration,
    /// Use the answer's TTL instead, where it is longer than zero. Default false. `Cluster.respect_dns_ttl`.
    pub(crate) respect_ttl: bool,
    /// Which addresses count. Default AUTO. `Cluster.dns_lookup_family`.
    pub(crate) family: DnsLookupFamily,
}

/// Which addresses of a name count. `Cluster.DnsLookupFamily`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DnsLookupFamily {
    /// IPv6 if there is any, else IPv4. `AUTO`.
    Auto,
    /// `V4_ONLY`.
    V4Only,
    /// `V6_ONLY`.
    V6Only,
    /// IPv4 if there is any, else IPv6. `V4_PREFERRED`.
    V4Preferred,
    /// Both. `ALL`.
    All,
}

/// How a host is chosen. `Cluster.LbPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadBalancingPolicy {
    /// In turn, by weight.
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// By the hash of `RouteAction.hash_policy`, so that a key stays with its host.
    RingHash,
}

/// The limits of a cluster, over all workers. `CircuitBreakers.Thresholds`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thresholds {
    /// Connections to all hosts together. Default 1024.
    pub(crate) max_connections: u32,
    /// Requests that wait for a connection. Default 1024.
    pub(crate) max_pending_requests: u32,
    /// Requests under way. Default 1024.
    pub(crate) max_requests: u32,
    /// Attempts after the first that are under way, pauses before them included. Default 3.
    pub(crate) max_retries: u32,
    /// Statistics tell what is left. Default false. `track_remaining`.
    pub(crate) track_remaining: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_pending_requests: 1024,
            max_requests: 1024,
            max_retries: 3,
            track_remaining: false,
        }
    }
}

/// How hosts are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UpstreamProtocol {
    /// HTTP/1.1, one request at a time on a connection.
    Http1 {
        /// Pass trailers on. Default false. `Http1ProtocolOptions.enable_trailers`.
        enable_trailers: bool,
    },
    /// HTTP/2 by prior knowledge.
    Http2(Http2Options),
    /// What the downstream request came with. `use_downstream_protocol_config`.
    Downstream {
        /// As in [`UpstreamProtocol::Http1`].
        enable_trailers: bool,
        /// As in [`UpstreamProtocol::Http2`].
        http2: Http2Options,
    },
}

/// HTTP/2 settings of one side. `config.core.v3.Http2ProtocolOptions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Http2Options {
    /// Streams at a time on a connection. Default 1024. `max_concurrent_streams`.
    pub(crate) max_concurrent_streams: u32,
    /// Bytes that a stream may have in flight. Default 16 MiB. `initial_stream_window_size`.
    pub(crate) initial_stream_window_bytes: u32,
    /// Bytes that a connection may have in flight. Default 24 MiB. `initial_connection_window_size`.
    pub(crate) initial_connection_window_bytes: u32,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 1024,
            initial_stream_window_bytes: 16 << 20,
            initial_connection_window_bytes: 24 << 20,
        }
    }
}

/// TCP keep-alive probes. `config.core.v3.TcpKeepalive`; what is unset is the system's default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TcpKeepalive {
    /// Unanswered probes before the connection is dead. `keepalive_probes`.
    pub(crate) probes: Option<u32>,
    /// Idle time before the first probe. `keepalive_time`.
    pub(crate) time: Option<Duration>,
    /// Time between probes. `keepalive_interval`.
    pub(crate) interval: Option<Duration>,
}
