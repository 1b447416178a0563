//! Routing: virtual hosts, routes, actions, header mutations. `config.route.v3`.

use std::{borrow::Cow, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode};
use regex::Regex;

use super::{
    ClusterId,
    by_length::{ByLength, TextMap},
    format::Format,
    matcher::{HeaderMatcher, QueryParameterMatcher, RequestView},
    metadata::Metadata,
    retry::RetryPolicy,
    route_index::RouteIndex,
    tracing::TracePolicy,
};
use crate::stats::{RequestGroup, RouteStats, Scope};

/// All routes of an HTTP connection manager. `RouteConfiguration`.
#[derive(Debug, Default)]
pub(crate) struct RouteConfiguration {
    /// In the order of the file.
    pub(crate) virtual_hosts: Vec<VirtualHost>,
    /// Which virtual host an authority belongs to.
    pub(crate) domains: Domains,
    /// A port in the authority is not compared. `ignore_port_in_host_matching`.
    pub(crate) ignore_port: bool,
    /// Mutations that all routes share.
    pub(crate) headers: HeaderMutations,
    /// Route configuration first, route last, so that the route wins. Default false.
    /// `most_specific_header_mutations_wins`.
    pub(crate) most_specific_wins: bool,
    /// Request headers that clients from outside may not set. `internal_only_headers`.
    pub(crate) internal_only_headers: Vec<HeaderName>,
    /// How long requests took: first those without a route, then those of each route by its `id`.
    pub(crate) stats: Vec<Scope<RouteStats>>,
}

impl RouteConfiguration {
    /// The route of that number, with its virtual host. They are counted through, since only who explains an error asks.
    pub(crate) fn route(&self, id: u32) -> Option<(&VirtualHost, &Route)> {
        let of_host = |host: &'_ VirtualHost| host.routes.last().is_some_and(|last| id <= last.id);
        let host = self.virtual_hosts.iter().find(|host| of_host(host))?;
        Some((host, host.routes.iter().find(|route| route.id == id)?))
    }

    /// Number the routes of `self`, and make what counts their requests.
    pub(crate) fn number_routes(&mut self) {
        let routes = self.virtual_hosts.iter_mut().flat_map(|host| &mut host.routes);
        let mut routes_with_none = 1;
        for (id, route) in (1..).zip(routes) {
            route.id = id;
            routes_with_none += 1;
        }
        self.stats = (0..routes_with_none).map(|_| Scope::default()).collect();
    }
}

/// The index from authority to virtual host, in the order that Envoy looks: exact, longest suffix, longest
/// prefix, `*`. All keys are in lower case.
#[derive(Debug, Default)]
pub(crate) struct Domains {
    /// `www.example.com`
    pub(crate) exact: TextMap<usize>,
    /// `*.example.com`, without the star.
    pub(crate) suffixes: ByLength<usize>,
    /// `www.*`, without the star.
    pub(crate) prefixes: ByLength<usize>,
    /// `*`
    pub(crate) any: Option<usize>,
}

/// Routes of some domains. `VirtualHost`.
#[derive(Debug)]
pub(crate) struct VirtualHost {
    /// `VirtualHost.name`
    pub(crate) name: Arc<str>,
    /// Tried in this order; the first that matches is taken.
    pub(crate) routes: Vec<Route>,
    /// Where to look in `routes`; `None` where there are few.
    pub(crate) index: Option<RouteIndex>,
    /// Plain requests are redirected to https. `require_tls`.
    pub(crate) require_tls: bool,
    /// Mutations that its routes share.
    pub(crate) headers: HeaderMutations,
    /// Tell the host which attempt this is. `include_request_attempt_count`.
    pub(crate) include_request_attempt_count: bool,
    /// Tell the client how many attempts there were. `include_attempt_count_in_response`.
    pub(crate) include_attempt_count_in_response: bool,
    /// What statistics tell apart. `virtual_clusters`.
    pub(crate) virtual_clusters: Option<VirtualClusters>,
    /// What is noted of it. `VirtualHost.metadata`.
    pub(crate) metadata: Metadata,
}

/// The virtual clusters of a virtual host, of which the first that a request matches is its own. `VirtualCluster`.
#[derive(Debug)]
pub(crate) struct VirtualClusters {
    /// What a request must match, and where it is counted then.
    pub(crate) named: Vec<(Vec<HeaderMatcher>, Arc<RequestGroup>)>,
    /// Where all others are counted.
    pub(crate) other: Arc<RequestGroup>,
}

impl VirtualClusters {
    /// Where `request` is counted.
    pub(crate) fn of(&self, request: &RequestView<'_>) -> &Arc<RequestGroup> {
        let matches = |matchers: &[HeaderMatcher]| matchers.iter().all(|matcher| matcher.matches(request));
        let named = self.named.iter().find(|(matchers, _)| matches(matchers));
        named.map_or(&self.other, |(_, group)| group)
    }
}

/// One route. `Route`.
#[derive(Debug)]
pub(crate) struct Route {
    /// Its number among all routes of the configuration, counted from 1.
    pub(crate) id: u32,
    /// Default empty. `Route.name`.
    pub(crate) name: Arc<str>,
    /// Which requests it takes.
    pub(crate) matcher: RouteMatch,
    /// What happens to them.
    pub(crate) action: Action,
    /// Mutations of this route alone.
    pub(crate) headers: HeaderMutations,
    /// Names the operation in spans. `Route.decorator`.
    pub(crate) decorator: Option<Decorator>,
    /// Its own tracing, merged over that of the connection manager. `Route.tracing`.
    pub(crate) tracing: Option<Arc<TracePolicy>>,
    /// Where its requests are counted besides. `Route.stat_prefix`.
    pub(crate) stats: Option<Arc<RequestGroup>>,
    /// What is noted of it. `Route.metadata`.
    pub(crate) metadata: Metadata,
}

impl Route {
    /// Its name or, where it has none, the path that it takes: `/api/*`, `/login`, a regex.
    pub(crate) fn label(&self) -> Cow<'_, str> {
        match &self.matcher.path {
            _ if !self.name.is_empty() => Cow::Borrowed(&self.name),
            PathMatch::Prefix(prefix) => format!("{prefix}*").into(),
            PathMatch::SeparatedPrefix(prefix) => format!("{prefix}/*").into(),
            PathMatch::Exact(path) => Cow::Borrowed(path),
            PathMatch::Regex(regex) => Cow::Borrowed(regex.as_str()),
        }
    }
}

/// Names the operation in spans. `Decorator`.
#[derive(Debug, Clone)]
pub(crate) struct Decorator {
    /// `Decorator.operation`
    pub(crate) operation: Arc<str>,
    /// The same, as it goes into `x-envoy-decorator-operation`.
    pub(crate) header: HeaderValue,
    /// Tell the next hop. Default true. `Decorator.propagate`.
    pub(crate) propagate: bool,
}

/// Which requests a route takes: all conditions hold. `RouteMatch`.
#[derive(Debug)]
pub(crate) struct RouteMatch {
    /// The condition on the path.
    pub(crate) path: PathMatch,
    /// Letters of the path compare with their case. Default true. `case_sensitive`.
    pub(crate) case_sensitive: bool,
    /// Conditions on headers.
    pub(crate) headers: Vec<HeaderMatcher>,
    /// Conditions on query parameters.
    pub(crate) query_parameters: Vec<QueryParameterMatcher>,
    /// Only gRPC requests. `grpc`.
    pub(crate) grpc: bool,
    /// Only this share of requests. `runtime_fraction.default_value`.
    pub(crate) fraction: Option<Fraction>,
}

/// A condition on the path, without query.
#[derive(Debug)]
pub(crate) enum PathMatch {
    /// Its beginning. `prefix`.
    Prefix(Box<str>),
    /// All of it. `path`.
    Exact(Box<str>),
    /// All of it, by a regex. `safe_regex`.
    Regex(Regex),
    /// Its beginning, up to a `/` or the end. `path_separated_prefix`.
    SeparatedPrefix(Box<str>),
}

/// A share of requests. `type.v3.FractionalPercent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fraction {
    /// How many
    pub(crate) numerator: u32,
    /// of how many: 100, 10,000 or 1,000,000.
    pub(crate) denominator: u32,
}

/// What happens to a request.
#[derive(Debug)]
pub(crate) enum Action {
    /// It is forwarded. `Route.route`.
    Forward(Box<RouteAction>),
    /// It is answered with a redirect. `Route.redirect`.
    Redirect(Box<Redirect>),
    /// It is answered here. `Route.direct_response`.
    Direct(DirectResponse),
}

/// How a request is forwarded. `RouteAction`.
#[derive(Debug)]
pub(crate) struct RouteAction {
    /// Where to.
    pub(crate) cluster: ClusterChoice,
    /// Status when the cluster does not exist. Default 503. `cluster_not_found_response_code`.
    pub(crate) cluster_not_found: StatusCode,
    /// Changes of the path.
    pub(crate) path_rewrite: Option<PathRewrite>,
    /// Changes of the authority.
    pub(crate) host_rewrite: Option<HostRewrite>,
    /// Keep the authority before its rewrite in `x-forwarded-host`. `append_x_forwarded_host`.
    pub(crate) append_x_forwarded_host: bool,
    /// From the end of the request to the end of the response; `None` for no limit. Default 15 s. `timeout`.
    pub(crate) timeout: Option<Duration>,
    /// The same for the host, or the time of one attempt where that is shorter, in `x-envoy-expected-rq-timeout-ms`.
    pub(crate) expected_timeout_ms: Option<HeaderValue>,
    /// Replaces the connection manager's stream idle timeout. `idle_timeout`.
    pub(crate) idle_timeout: Option<IdleTimeout>,
    /// What RING_HASH hashes. `hash_policy`.
    pub(crate) hash_policy: Vec<HashPolicy>,
    /// Replaces the connection manager's list, by name in lower case. `upgrade_configs`.
    pub(crate) upgrades: Vec<(Box<str>, bool)>,
    /// When it is sent again: `retry_policy`, or where there is none that of the virtual host.
    pub(crate) retry: Option<Arc<RetryPolicy>>,
    /// Where copies of it go: `request_mirror_policies`, or where there are none those of the virtual host, or of the
    /// route configuration.
    pub(crate) mirrors: Arc<[RequestMirror]>,
}

/// Where a copy of a request goes, whose response nobody sees. `RouteAction.RequestMirrorPolicy`.
#[derive(Debug)]
pub(crate) struct RequestMirror {
    /// `cluster`
    pub(crate) cluster: ClusterId,
    /// Only of this share of requests; `None` for all. `runtime_fraction.default_value`.
    pub(crate) fraction: Option<Fraction>,
    /// Whether the copy is traced; `None` for as the request is, which is the default. `trace_sampled`.
    pub(crate) trace_sampled: Option<bool>,
    /// How its authority differs from the request's.
    pub(crate) host: MirrorHost,
}

/// The authority of a mirrored request.
#[derive(Debug)]
pub(crate) enum MirrorHost {
    /// With `-shadow` before the port, so that logs tell copies apart.
    Suffixed,
    /// The request's own. `disable_shadow_host_suffix_append`.
    Same,
    /// This one. `host_rewrite_literal`.
    Literal(HeaderValue),
}

/// A stream idle timeout that a route sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleTimeout {
    /// Zero: none.
    Disabled,
    /// This long.
    After(Duration),
}

/// How the cluster is named. `RouteAction.cluster_specifier`.
#[derive(Debug)]
pub(crate) enum ClusterChoice {
    /// This one. `cluster`; `Err` holds the name of one that does not exist (`validate_clusters: false`).
    One(Result<ClusterId, Arc<str>>),
    /// One of these by chance. `weighted_clusters`.
    Weighted {
        /// The clusters.
        clusters: Vec<WeightedCluster>,
        /// The sum of their weights.
        total: u64,
    },
    /// The one that this request header names. `cluster_header`.
    Header(HeaderName),
}

/// One of several clusters. `WeightedCluster.ClusterWeight`.
#[derive(Debug)]
pub(crate) struct WeightedCluster {
    /// Which; `None` for one that does not exist (`validate_clusters: false`).
    pub(crate) cluster: Option<ClusterId>,
    /// Its share of the total.
    pub(crate) weight: u32,
    /// Mutations when it is chosen.
    pub(crate) headers: HeaderMutations,
}

/// Changes of the path before forwarding.
#[derive(Debug)]
pub(crate) enum PathRewrite {
    /// Replace what the route matched. `prefix_rewrite`.
    Prefix(Box<str>),
    /// Replace what the regex finds, `\1` standing for a group. `regex_rewrite`.
    Regex(Regex, Box<str>),
}

/// Changes of the authority before forwarding.
#[derive(Debug)]
pub(crate) enum HostRewrite {
    /// `host_rewrite_literal`
    Literal(HeaderValue),
    /// The value of this request header, if it is there. `host_rewrite_header`.
    Header(HeaderName),
    /// What the regex makes of the path. `host_rewrite_path_regex`.
    PathRegex(Regex, Box<str>),
    /// The name of the chosen host. `auto_host_rewrite`.
    Auto,
}

/// One ingredient of the hash. `RouteAction.HashPolicy`.
#[derive(Debug)]
pub(crate) struct HashPolicy {
    /// What is hashed.
    pub(crate) source: HashSource,
    /// Stop here if it gave something. `terminal`.
    pub(crate) terminal: bool,
}

/// What a [`HashPolicy`] reads.
#[derive(Debug)]
pub(crate) enum HashSource {
    /// `header`
    Header(HeaderName),
    /// `connection_properties.source_ip`
    SourceIp,
    /// `query_parameter`
    QueryParameter(Box<str>),
}

/// A redirect. `RedirectAction`.
#[derive(Debug)]
pub(crate) struct Redirect {
    /// `https_redirect` or `scheme_redirect`
    pub(crate) scheme: Option<Box<str>>,
    /// `host_redirect`
    pub(crate) host: Option<Box<str>>,
    /// `port_redirect`
    pub(crate) port: Option<u16>,
    /// `path_redirect`, `prefix_rewrite`, `regex_rewrite`
    pub(crate) path: Option<RedirectPath>,
    /// Default 301. `response_code`.
    pub(crate) status: StatusCode,
    /// `strip_query`
    pub(crate) strip_query: bool,
}

/// The path of a redirect.
#[derive(Debug)]
pub(crate) enum RedirectPath {
    /// `path_redirect`
    Whole(Box<str>),
    /// `prefix_rewrite` and `regex_rewrite`
    Rewrite(PathRewrite),
}

/// An answer made here. `DirectResponseAction`.
#[derive(Debug)]
pub(crate) struct DirectResponse {
    /// `status`
    pub(crate) status: StatusCode,
    /// Default empty. `body`.
    pub(crate) body: bytes::Bytes,
}

/// Headers that are added and removed, in both directions.
#[derive(Debug, Default)]
pub(crate) struct HeaderMutations {
    /// `request_headers_to_add`
    pub(crate) request_add: Vec<HeaderAddition>,
    /// `request_headers_to_remove`
    pub(crate) request_remove: Vec<HeaderName>,
    /// `response_headers_to_add`
    pub(crate) response_add: Vec<HeaderAddition>,
    /// `response_headers_to_remove`
    pub(crate) response_remove: Vec<HeaderName>,
}

/// One header that is added. `config.core.v3.HeaderValueOption`.
#[derive(Debug, Clone)]
pub(crate) struct HeaderAddition {
    /// `header.key`
    pub(crate) name: HeaderName,
    /// `header.value`
    pub(crate) value: AddedValue,
    /// `append_action`
    pub(crate) action: AppendAction,
    /// Add it although its value is empty. `keep_empty_value`.
    pub(crate) keep_empty: bool,
}

/// The value of an added header.
#[derive(Debug, Clone)]
pub(crate) enum AddedValue {
    /// The same for all requests.
    Literal(HeaderValue),
    /// Made for each.
    Format(Format),
}

/// What happens if the header is there already. `HeaderValueOption.HeaderAppendAction`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppendAction {
    /// `APPEND_IF_EXISTS_OR_ADD`
    AppendOrAdd,
    /// `ADD_IF_ABSENT`
    AddIfAbsent,
    /// `OVERWRITE_IF_EXISTS_OR_ADD`
    OverwriteOrAdd,
    /// `OVERWRITE_IF_EXISTS`
    OverwriteIfExists,
}

impl AppendAction {
    /// Whether the value takes the place of all others, if it is set at all.
    pub(crate) fn overwrites(self) -> bool {
        matches!(self, Self::OverwriteOrAdd | Self::OverwriteIfExists)
    }
}
