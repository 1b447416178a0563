//! The address of a collector, as a file would name it: a cluster of one host, and a service behind it.

use std::time::Duration;

use envoy_types::pb::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster as ProtoCluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, DnsLookupFamily},
            },
            core::v3::{
                Address, GrpcService, Http2ProtocolOptions, HttpService, HttpUri, SocketAddress,
                TransportSocket,
                address::Address as AddressKind,
                grpc_service::{EnvoyGrpc, TargetSpecifier},
                http_uri::HttpUpstreamType,
                socket_address::PortSpecifier,
            },
            endpoint::v3::{
                ClusterLoadAssignment, Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
            },
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
            },
        },
    },
    google::protobuf::Duration as ProtoDuration,
};
use http::Uri;

use super::environment::pack;

/// The address of a collector.
pub(super) struct Target {
    /// It is an https address.
    pub(super) tls: bool,
    /// A name or an IP address, without brackets.
    pub(super) host: String,
    port: u16,
    /// Without a slash at its end; empty for the root.
    pub(super) path: String,
}

impl Target {
    /// Read an http or https address; `None` if it is none that can be used.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let uri = text.trim().parse::<Uri>().ok()?;
        let tls = match uri.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        // Who the proxy is, headers say.
        if uri.authority()?.as_str().contains('@') {
            return None;
        }
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        let names_port = !uri.authority()?.as_str().ends_with(uri.host()?);
        let port = match uri.port_u16() {
            None | Some(0) if names_port => return None,
            port => port.unwrap_or(if tls { 443 } else { 80 }),
        };
        Some(Self { tls, host, port, path: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Also the name of its cluster.
    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{host}:{}", self.port)
    }

    /// It as a gRPC service.
    pub(super) fn grpc_service(&self) -> GrpcService {
        let target = EnvoyGrpc { cluster_name: self.authority(), ..Default::default() };
        GrpcService { target_specifier: Some(TargetSpecifier::EnvoyGrpc(target)), ..Default::default() }
    }

    /// It as an HTTP service.
    pub(super) fn http_service(&self, path: &str, timeout: Duration) -> HttpService {
        let scheme = if self.tls { "https" } else { "http" };
        let timeout = ProtoDuration {
            seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(timeout.subsec_nanos()).unwrap_or(0),
        };
        let uri = HttpUri {
            uri: format!("{scheme}://{}{path}", self.authority()),
            timeout: Some(timeout),
            http_upstream_type: Some(HttpUpstreamType::Cluster(self.authority())),
        };
        HttpService { http_uri: Some(uri), ..Default::default() }
    }

    /// It as a cluster.
    pub(super) fn cluster(&self, http2: bool, transport_socket: Option<TransportSocket>) -> ProtoCluster {
        let address = SocketAddress {
            address: self.host.clone(),
            port_specifier: Some(PortSpecifier::PortValue(self.port.into())),
            ..Default::default()
        };
        let address = Address { address: Some(AddressKind::SocketAddress(address)) };
        let endpoint = Endpoint { address: Some(address), ..Default::default() };
        let host =
            LbEndpoint { host_identifier: Some(HostIdentifier::Endpoint(endpoint)), ..Default::default() };
        let locality = LocalityLbEndpoints { lb_endpoints: vec![host], ..Default::default() };
        let mut cluster = ProtoCluster {
            name: self.authority(),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::StrictDns.into())),
            // "localhost" may be served at one of its addresses only.
            dns_lookup_family: DnsLookupFamily::All.into(),
            load_assignment: Some(ClusterLoadAssignment {
                cluster_name: self.authority(),
                endpoints: vec![locality],
                ..Default::default()
            }),
            transport_socket,
            ..Default::default()
        };
        if http2 {
            let explicit = ExplicitHttpConfig {
                protocol_config: Some(ProtocolConfig::Http2ProtocolOptions(Http2ProtocolOptions::default())),
            };
            let options = HttpProtocolOptions {
                upstream_protocol_options: Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)),
                ..Default::default()
            };
            let name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions".to_owned();
            cluster.typed_extension_protocol_options.insert(name, pack(&options));
        }
        cluster
    }
}
