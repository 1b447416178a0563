//! What expressions can ask for, by Envoy's names.

use crate::snapshot::format::Constants;

/// Who asks: not all of it is known when a span starts.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Dialect<'a> {
    /// A sampler, when a span starts.
    Sampler,
    /// An access log, at the end of a request. What is the same for all requests is known when it is compiled.
    AccessLog(&'a Constants),
}

/// A map of headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Headers {
    /// `request.headers`
    Request,
    /// `response.headers`
    Response,
    /// `response.trailers`
    Trailers,
}

impl Headers {
    /// The one of this name, if there is one in that dialect.
    pub(super) fn named(name: &str, dialect: Dialect<'_>) -> Option<Self> {
        Some(match (name, dialect) {
            ("request.headers", _) => Self::Request,
            ("response.headers", Dialect::AccessLog(_)) => Self::Response,
            ("response.trailers", Dialect::AccessLog(_)) => Self::Trailers,
            _ => return None,
        })
    }
}

macro_rules! attributes {
    (early: {$($name:literal $attribute:ident,)*} late: {$($late:literal $later:ident,)*}) => {
        /// One attribute. An absent one is an error where it is used, and `has()` tells.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Attribute {
            $(#[doc = $name] $attribute,)*
            $(#[doc = $late] $later,)*
        }

        impl Attribute {
            /// The one of this name, if there is one in that dialect.
            pub(super) fn named(name: &str, dialect: Dialect<'_>) -> Option<Self> {
                match (name, dialect) {
                    $(($name, _) => Some(Self::$attribute),)*
                    $(($late, Dialect::AccessLog(_)) => Some(Self::$later),)*
                    _ => None,
                }
            }
        }
    };
}

attributes! {
    early: {
    "request.path" RequestPath,
    "request.url_path" RequestUrlPath,
    "request.query" RequestQuery,
    "request.host" RequestHost,
    "request.method" RequestMethod,
    "request.scheme" RequestScheme,
    "request.referer" RequestReferer,
    "request.useragent" RequestUserAgent,
    "request.id" RequestId,
    "request.protocol" RequestProtocol,
    "request.size" RequestSize,
    "source.address" SourceAddress,
    "source.port" SourcePort,
    "destination.address" DestinationAddress,
    "destination.port" DestinationPort,
    "connection.id" ConnectionId,
    "xds.node.id" NodeId,
    "xds.node.cluster" NodeCluster,
    "xds.listener_direction" ListenerDirection,
    "xds.virtual_host_name" VirtualHostName,
    "xds.route_name" RouteName,
    "xds.cluster_name" ClusterName,
    }
    late: {
    "request.total_size" RequestTotalSize,
    "request.duration" RequestDuration,
    "response.code" ResponseCode,
    "response.code_details" ResponseCodeDetails,
    "response.flags" ResponseFlags,
    "response.grpc_status" ResponseGrpcStatus,
    "response.size" ResponseSize,
    "response.total_size" ResponseTotalSize,
    "response.backend_latency" ResponseBackendLatency,
    "connection.mtls" ConnectionMtls,
    "connection.requested_server_name" ConnectionRequestedServerName,
    "connection.tls_version" ConnectionTlsVersion,
    "upstream.address" UpstreamAddress,
    "upstream.port" UpstreamPort,
    "upstream.local_address" UpstreamLocalAddress,
    "upstream.tls_version" UpstreamTlsVersion,
    "upstream.transport_failure_reason" UpstreamTransportFailureReason,
    "upstream.request_attempt_count" UpstreamRequestAttemptCount,
    "upstream.cx_pool_ready_duration" UpstreamPoolReadyDuration,
    "xds.filter_chain_name" FilterChainName,
    "xds.route_metadata.filter_metadata" RouteMetadata,
    "xds.virtual_host_metadata.filter_metadata" VirtualHostMetadata,
    "xds.cluster_metadata.filter_metadata" ClusterMetadata,
    "xds.upstream_host_metadata.filter_metadata" UpstreamHostMetadata,
    "xds.listener_metadata.filter_metadata" ListenerMetadata,
    "xds.filter_chain_metadata.filter_metadata" FilterChainMetadata,
    "metadata.filter_metadata" DynamicMetadata,
    }
}

impl Attribute {
    /// Whether it is a map, in which members are looked up.
    pub(super) fn is_map(self) -> bool {
        matches!(
            self,
            Self::RouteMetadata
                | Self::VirtualHostMetadata
                | Self::ClusterMetadata
                | Self::UpstreamHostMetadata
                | Self::ListenerMetadata
                | Self::FilterChainMetadata
                | Self::DynamicMetadata
        )
    }
}
