//! Where traffic is accepted, and how its HTTP connections are managed.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    Address,
    access_log::{AccessLogs, LogFilter},
    cluster::Http2Options,
    filter::HttpFilter,
    format::Format,
    route::{HeaderAddition, RouteConfiguration},
    tls::DownstreamTls,
    tracing::Tracing,
};
use crate::stats::{HttpListenerStats, HttpStats, ListenerStats, Scope};

/// One listener. `config.listener.v3.Listener`.
#[derive(Debug)]
pub(crate) struct Listener {
    /// The field of the configuration that it comes from, for who asks.
    pub(crate) path: Box<str>,
    /// For messages. Default: its address. `Listener.name`.
    pub(crate) name: Arc<str>,
    /// `Listener.address`
    pub(crate) address: Address,
    /// On whose behalf it listens. `Listener.traffic_direction`.
    pub(crate) direction: TrafficDirection,
    /// Whether it really listens. Default true. `Listener.bind_to_port`.
    pub(crate) bind_to_port: bool,
    /// Connections that wait to be accepted. Default: the system's. `Listener.tcp_backlog_size`.
    pub(crate) backlog: u32,
    /// Bytes buffered per connection before back-pressure. Default 1 MiB.
    /// `Listener.per_connection_buffer_limit_bytes`.
    pub(crate) buffer_limit_bytes: u32,
    /// TLS of its connections; `None` where they are plain. `FilterChain.transport_socket`.
    pub(crate) tls: Option<DownstreamTls>,
    /// What its connections run through. `Listener.filter_chains`.
    pub(crate) manager: Arc<HttpConnectionManager>,
    /// `Listener.stat_prefix`, or its address, as statistics have it.
    pub(crate) stat_prefix: Box<str>,
    /// What is counted of it.
    pub(crate) stats: Scope<ListenerStats>,
    /// What is counted of its requests.
    pub(crate) http_stats: Scope<HttpListenerStats>,
}

/// On whose behalf a listener accepts. `config.core.v3.TrafficDirection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrafficDirection {
    /// Not said; spans are those of INBOUND.
    Unspecified,
    /// To the service beside the proxy.
    Inbound,
    /// From the service beside the proxy.
    Outbound,
}

/// Which listeners are drained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DrainedListeners {
    /// None.
    #[default]
    None,
    /// Those that say INBOUND of themselves.
    Inbound,
    /// All.
    All,
}

impl DrainedListeners {
    /// Whether a listener of that direction is one of them.
    pub(crate) fn has(self, direction: TrafficDirection) -> bool {
        match self {
            Self::None => false,
            Self::Inbound => direction == TrafficDirection::Inbound,
            Self::All => true,
        }
    }
}

/// How HTTP connections are handled.
/// `extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`.
#[derive(Debug)]
pub(crate) struct HttpConnectionManager {
    /// The field of the configuration that it comes from, for who asks.
    pub(crate) path: Box<str>,
    /// Its name in statistics. `stat_prefix`.
    pub(crate) stat_prefix: Box<str>,
    /// What is counted of its connections and requests.
    pub(crate) stats: Scope<HttpStats>,
    /// `codec_type`
    pub(crate) codec: CodecType,
    /// `route_config`
    pub(crate) routes: RouteConfiguration,
    /// `http_protocol_options`
    pub(crate) http1: Http1Options,
    /// `http2_protocol_options`
    pub(crate) http2: Http2Options,
    /// Value of the `server` header. Default `envoy`. `server_name`.
    pub(crate) server_name: HeaderValue,
    /// What becomes of an upstream's own `server` header. `server_header_transformation`.
    pub(crate) server_header: ServerHeaderTransformation,
    /// Appended to `via` of requests and responses. `via`.
    pub(crate) via: Option<HeaderValue>,
    /// `add_user_agent`: tell services the local cluster, and give a user agent where there is none.
    pub(crate) add_user_agent: bool,
    /// Timeouts and limits.
    pub(crate) limits: Limits,
    /// Who the client is.
    pub(crate) client_address: ClientAddress,
    /// Paths before routing.
    pub(crate) normalization: Normalization,
    /// `x-request-id`.
    pub(crate) request_id: RequestIdOptions,
    /// `local_reply_config`
    pub(crate) local_reply: LocalReplyConfig,
    /// Upgrades that are allowed, by name in lower case. `upgrade_configs`.
    pub(crate) upgrades: Vec<(Box<str>, bool)>,
    /// `tracing`
    pub(crate) tracing: Option<Tracing>,
    /// What requests pass before the router. `http_filters`.
    pub(crate) filters: Vec<HttpFilter>,
    /// What `:scheme` and `x-forwarded-proto` are, whatever the client says. Default: what it says.
    /// `scheme_header_transformation.scheme_to_overwrite`.
    pub(crate) scheme_is_https: Option<bool>,
    /// Do not make `x-envoy-*` headers. `Router.suppress_envoy_headers`.
    pub(crate) suppress_envoy_headers: bool,
    /// `access_log`
    pub(crate) access_log: AccessLogs,
    /// Its formats or access logs read what streams record only where that is asked for.
    pub(crate) observes: bool,
    /// Some of these read what is noted of the route and the virtual host, or the latter's name. Others keep none of it:
    /// all workers would count in the same memory who has it.
    pub(crate) observes_route: bool,
    /// And among that when what happened.
    pub(crate) observes_moments: bool,
    /// Internal clients are told why there is an error of the proxy's own. Default false. Runtime key
    /// `spanway.cause_header`.
    pub(crate) cause_header: bool,
}

/// Which HTTP a listener speaks. `HttpConnectionManager.CodecType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodecType {
    /// HTTP/2 if the connection opens with its preface, else HTTP/1.
    Auto,
    /// HTTP/1 only.
    Http1,
    /// HTTP/2 only.
    Http2,
}

/// HTTP/1 settings of a listener. `config.core.v3.Http1ProtocolOptions`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Http1Options {
    /// Serve HTTP/1.0. Default false: 426. `accept_http_10`.
    pub(crate) accept_http_10: bool,
    /// Host of HTTP/1.0 requests that have none. `default_host_for_http_10`.
    pub(crate) default_host: Option<HeaderValue>,
    /// Pass trailers on. Default false. `enable_trailers`.
    pub(crate) enable_trailers: bool,
}

/// What becomes of an upstream's `server` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerHeaderTransformation {
    /// It is replaced. `OVERWRITE`.
    Overwrite,
    /// Ours is set where there is none. `APPEND_IF_ABSENT`.
    AppendIfAbsent,
    /// Nothing is set. `PASS_THROUGH`.
    PassThrough,
}

/// Timeouts and limits of an HTTP connection manager; `None` is no limit.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// No stream open for this long closes the connection. Default 1 h.
    /// `common_http_protocol_options.idle_timeout`.
    pub(crate) connection_idle: Option<Duration>,
    /// Age at which a connection is closed. Default none. `common_http_protocol_options.max_connection_duration`.
    pub(crate) connection_duration: Option<Duration>,
    /// How long a connection that is old enough waits for a request to tell it to. Default 5 s. `drain_timeout`.
    pub(crate) drain: Duration,
    /// How long a closing connection still reads what the client has under way, so that the client gets to read the last
    /// response before its own data is refused. Default 1 s. `delayed_close_timeout`.
    pub(crate) delayed_close: Duration,
    /// Requests per connection. Default none. `common_http_protocol_options.max_requests_per_connection`.
    pub(crate) requests_per_connection: Option<u32>,
    /// Number of request headers. Default 100. `common_http_protocol_options.max_headers_count`.
    pub(crate) headers_count: usize,
    /// Bytes of request headers. Default 60 KiB. `max_request_headers_kb`.
    pub(crate) headers_bytes: usize,
    /// From the first byte of a request to the end of its headers. Default none. `request_headers_timeout`.
    pub(crate) request_headers: Option<Duration>,
    /// From the start of a request to the end of its body. Default none. `request_timeout`.
    pub(crate) request: Option<Duration>,
    /// No byte of a stream moving for this long ends it. Default 5 min. `stream_idle_timeout`.
    pub(crate) stream_idle: Option<Duration>,
}

/// Who the client is, and whether it is trusted.
#[derive(Debug, Clone)]
pub(crate) struct ClientAddress {
    /// The connection's peer is the client. Default false. `use_remote_address`.
    pub(crate) use_remote_address: bool,
    /// Proxies in front that are trusted. Default 0. `xff_num_trusted_hops`.
    pub(crate) trusted_hops: u32,
    /// Do not append the peer to `x-forwarded-for`. Default false. `skip_xff_append`.
    pub(crate) skip_xff_append: bool,
    /// Ways to find the client's address, instead of all that. `original_ip_detection_extensions`.
    pub(crate) detection: Vec<IpDetection>,
    /// Which addresses are internal. Default none. `internal_address_config`.
    pub(crate) internal: InternalAddresses,
}

/// A way to find the client's address. `original_ip_detection_extensions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IpDetection {
    /// The entry of `x-forwarded-for` behind so many trusted proxies. `xff.v3.XffConfig.xff_num_trusted_hops`.
    ForwardedFor {
        /// So many from the right. Default 0.
        trusted_hops: u32,
        /// Append the peer. Default false. Not `skip_xff_append`.
        append: bool,
    },
    /// The last entry of `x-forwarded-for` that is no trusted proxy. `xff.v3.XffConfig.xff_trusted_cidrs`.
    TrustedRanges {
        /// The proxies.
        ranges: Vec<Cidr>,
        /// Append the peer. Default false. Not `skip_xff_append`.
        append: bool,
    },
    /// The address in a header. `custom_header.v3.CustomHeaderConfig`.
    Header {
        /// `header_name`
        name: HeaderName,
        /// Such an address may be internal. Default false. `allow_extension_to_set_address_as_trusted`.
        trusted: bool,
        /// Refuse requests without such an address; by default the next way is tried. `reject_with_status`.
        reject: Option<StatusCode>,
    },
}

/// Which addresses are internal. `InternalAddressConfig`.
#[derive(Debug, Clone, Default)]
pub(crate) struct InternalAddresses {
    /// `cidr_ranges`
    pub(crate) ranges: Vec<Cidr>,
    /// Unix sockets are internal. `unix_sockets`.
    pub(crate) unix_sockets: bool,
}

/// A range of addresses. `config.core.v3.CidrRange`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    /// `address_prefix`
    pub(crate) prefix: IpAddr,
    /// `prefix_len`
    pub(crate) bits: u8,
}

impl Cidr {
    /// Whether `address` lies within; IPv4-mapped IPv6 addresses count as IPv4.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (self.prefix, address.to_canonical()) {
            (IpAddr::V4(prefix), IpAddr::V4(address)) => {
                let shift = 32 - u32::from(self.bits.min(32));
                u32::from(prefix).checked_shr(shift) == u32::from(address).checked_shr(shift)
            }
            (IpAddr::V6(prefix), IpAddr::V6(address)) => {
                let shift = 128 - u32::from(self.bits.min(128));
                u128::from(prefix).checked_shr(shift) == u128::from(address).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// What is done to a path before routing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Normalization {
    /// Resolve dot segments, decode unreserved characters (RFC 3986, 6). Default false. `normalize_path`.
    pub(crate) normalize_path: bool,
    /// `//` becomes `/`. Default false. `merge_slashes`.
    pub(crate) merge_slashes: bool,
    /// What becomes of `%2F` and `%5C`. `path_with_escaped_slashes_action`.
    pub(crate) escaped_slashes: EscapedSlashes,
    /// Take the port off the authority.
    pub(crate) strip_port: StripPort,
}

/// What becomes of `%2F` and `%5C` in a path. `PathWithEscapedSlashesAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EscapedSlashes {
    /// They stay. `KEEP_UNCHANGED`, and the default.
    Keep,
    /// 400. `REJECT_REQUEST`.
    Reject,
    /// Unescaped, and the client redirected there. `UNESCAPE_AND_REDIRECT`.
    UnescapeAndRedirect,
    /// Unescaped. `UNESCAPE_AND_FORWARD`.
    UnescapeAndForward,
}

/// Which port is taken off the authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StripPort {
    /// None.
    Keep,
    /// The listener's own. `strip_matching_host_port`.
    Matching,
    /// Any. `strip_any_host_port`.
    Any,
}

/// `x-request-id`. `extensions.request_id.uuid.v3.UuidRequestIdConfig` and fields of the connection manager.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestIdOptions {
    /// Make one where there is none. Default true. `generate_request_id`.
    pub(crate) generate: bool,
    /// Keep the one of an external client. Default false. `preserve_external_request_id`.
    pub(crate) preserve_external: bool,
    /// Return it. Default false. `always_set_request_id_in_response`.
    pub(crate) always_set_in_response: bool,
    /// Keep the trace decision in its fourteenth digit. Default true. `pack_trace_reason`.
    pub(crate) pack_trace_reason: bool,
    /// Let it decide the sampling. Default true. `use_request_id_for_trace_sampling`.
    pub(crate) use_for_sampling: bool,
}

/// How answers made by the proxy itself are changed. `LocalReplyConfig`.
#[derive(Debug, Default)]
pub(crate) struct LocalReplyConfig {
    /// The first whose filter passes applies. `mappers`.
    pub(crate) mappers: Vec<LocalReplyMapper>,
    /// How bodies are made. `body_format`.
    pub(crate) body_format: Option<BodyFormat>,
}

impl LocalReplyConfig {
    /// Whether it changes anything.
    pub(crate) fn is_set(&self) -> bool {
        !self.mappers.is_empty() || self.body_format.is_some()
    }
}

/// One change of local replies. `ResponseMapper`.
#[derive(Debug)]
pub(crate) struct LocalReplyMapper {
    /// Which replies.
    pub(crate) filter: LogFilter,
    /// `status_code`
    pub(crate) status: Option<StatusCode>,
    /// `body`
    pub(crate) body: Option<String>,
    /// `body_format_override`
    pub(crate) body_format: Option<BodyFormat>,
    /// `headers_to_add`
    pub(crate) headers: Vec<HeaderAddition>,
}

/// How the body of a local reply is made. `SubstitutionFormatString`.
#[derive(Debug)]
pub(crate) struct BodyFormat {
    /// `text_format` or `json_format`
    pub(crate) template: BodyTemplate,
    /// `content_type`, by default that of text, or of JSON.
    pub(crate) content_type: HeaderValue,
}

/// The body before its values are known. Texts are split at each `%LOCAL_REPLY_BODY%`, of which there is hence
/// one fewer than parts.
#[derive(Debug)]
pub(crate) enum BodyTemplate {
    /// `text_format`
    Text(Vec<Format>),
    /// `json_format`
    Json(JsonTemplate),
}

/// JSON before its values are known.
#[derive(Debug)]
pub(crate) enum JsonTemplate {
    /// Members in the order of their names.
    Object(Vec<(String, JsonTemplate)>),
    /// Items in order.
    List(Vec<JsonTemplate>),
    /// What stands in the output as it is.
    Literal(Box<str>),
    /// A text with values in it, as in [`BodyTemplate::Text`].
    Text(Vec<Format>),
    /// One command alone, whose value keeps its type.
    Value(Format),
}
