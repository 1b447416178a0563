//! Lowers routes: virtual hosts, matches, actions.

use std::{collections::hash_map::Entry, sync::Arc};

use envoy_types::pb::envoy::{
    config::{
        core::v3::RuntimeFractionalPercent,
        route::v3::{
            Route as ProtoRoute, RouteConfiguration as ProtoRouteConfiguration,
            RouteMatch as ProtoRouteMatch, VirtualCluster, VirtualHost as ProtoVirtualHost,
            route::Action as ProtoAction, route_match::PathSpecifier, virtual_host::TlsRequirementType,
        },
    },
    r#type::v3::{FractionalPercent, fractional_percent::DenominatorType},
};

use super::{Lowering, headers::mutation_fields, lower_metadata, number};
use crate::{
    config::FieldPath,
    snapshot::{
        by_length::ByLength,
        retry::RetryPolicy,
        route::{
            Action, Decorator, Domains, Fraction, PathMatch, RequestMirror, Route, RouteConfiguration,
            RouteMatch, VirtualClusters, VirtualHost,
        },
        route_index::RouteIndex,
        tracing::TracePolicy,
    },
    stats::RequestGroup,
};

const MAX_DIRECT_RESPONSE_BYTES: u32 = 4096;

impl Lowering<'_> {
    /// All routes of a connection manager.
    pub(super) fn route_configuration(
        &mut self,
        path: &FieldPath<'_>,
        config: &ProtoRouteConfiguration,
        tracing: Option<&TracePolicy>,
    ) -> RouteConfiguration {
        let context = RouteContext {
            tracing,
            validate_clusters: config.validate_clusters.as_ref().is_none_or(|validate| validate.value),
            max_direct_bytes: number(
                config.max_direct_response_body_size_bytes.as_ref(),
                MAX_DIRECT_RESPONSE_BYTES,
            ) as usize,
            retry: None,
            mirrors: Arc::new([]),
        };
        let mirrors = self.mirrors(path, &config.request_mirror_policies, &context);
        let context = RouteContext { mirrors, ..context };
        let mut domains = Domains::default();
        let hosts = path.field("virtual_hosts");
        let virtual_hosts = config.virtual_hosts.iter().enumerate().map(|(index, host)| {
            let path = hosts.index(index);
            self.domains(&path.field("domains"), &mut domains, index, &host.domains);
            self.virtual_host(&path, host, &context)
        });
        let virtual_hosts = virtual_hosts.collect();
        let internal_only = path.field("internal_only_headers");
        let mut routes = RouteConfiguration {
            virtual_hosts,
            domains,
            ignore_port: config.ignore_port_in_host_matching,
            headers: self.mutations(path, &mutation_fields!(config)),
            most_specific_wins: config.most_specific_header_mutations_wins,
            internal_only_headers: config
                .internal_only_headers
                .iter()
                .enumerate()
                .filter_map(|(index, name)| self.header_name(&internal_only.index(index), name))
                .collect(),
            stats: Vec::new(),
        };
        routes.number_routes();
        routes
    }

    fn domains(&mut self, path: &FieldPath<'_>, domains: &mut Domains, host: usize, list: &[String]) {
        for (index, domain) in list.iter().enumerate() {
            let path = path.index(index);
            let domain = domain.to_ascii_lowercase();
            let add = |list: &mut ByLength<usize>, part: &str| match list.entry(part) {
                Some(Entry::Vacant(place)) => {
                    place.insert(host);
                    true
                }
                Some(Entry::Occupied(_)) | None => false,
            };
            let new = if domain == "*" {
                domains.any.replace(host).is_none()
            } else if let Some(suffix) = domain.strip_prefix('*') {
                add(&mut domains.suffixes, suffix)
            } else if let Some(prefix) = domain.strip_suffix('*') {
                add(&mut domains.prefixes, prefix)
            } else {
                match domains.exact.entry(domain.as_str().into()) {
                    Entry::Occupied(_) => false,
                    Entry::Vacant(place) => {
                        place.insert(host);
                        true
                    }
                }
            };
            if !new {
                self.problems.push_with_hint(
                    &path,
                    format!("the domain \"{domain}\" is taken already"),
                    "a domain belongs to one virtual host of a route configuration",
                );
            }
        }
    }

    fn virtual_host(
        &mut self,
        path: &FieldPath<'_>,
        host: &ProtoVirtualHost,
        context: &RouteContext<'_>,
    ) -> VirtualHost {
        let routes = path.field("routes");
        let policy = host.retry_policy.as_ref();
        let context = &RouteContext {
            retry: policy.map(|policy| self.retry_policy(&path.field("retry_policy"), policy)),
            mirrors: self.mirrors(path, &host.request_mirror_policies, context),
            ..*context
        };
        let routes: Vec<Route> = host
            .routes
            .iter()
            .enumerate()
            .filter_map(|(index, route)| self.route(&routes.index(index), route, context))
            .collect();
        VirtualHost {
            name: host.name.as_str().into(),
            index: RouteIndex::of(&routes),
            routes,
            require_tls: host.require_tls() != TlsRequirementType::None,
            headers: self.mutations(path, &mutation_fields!(host)),
            include_request_attempt_count: host.include_request_attempt_count,
            include_attempt_count_in_response: host.include_attempt_count_in_response,
            virtual_clusters: self.virtual_clusters(&path.field("virtual_clusters"), &host.virtual_clusters),
            metadata: lower_metadata(host.metadata.as_ref()),
        }
    }

    fn virtual_clusters(
        &mut self,
        path: &FieldPath<'_>,
        clusters: &[VirtualCluster],
    ) -> Option<VirtualClusters> {
        let group = |name: &str| Arc::new(RequestGroup::new("vcluster", name));
        let mut named = Vec::new();
        for (index, cluster) in clusters.iter().enumerate() {
            let path = path.index(index);
            if cluster.headers.is_empty() {
                self.problems.push_with_hint(&path, "nothing says which requests it takes", "give headers");
            }
            let matchers = self.header_matchers(&path.field("headers"), &cluster.headers);
            named.push((matchers, group(&cluster.name)));
        }
        (!named.is_empty()).then(|| VirtualClusters { named, other: group("other") })
    }

    fn route(
        &mut self,
        path: &FieldPath<'_>,
        route: &ProtoRoute,
        context: &RouteContext<'_>,
    ) -> Option<Route> {
        let matcher = self.route_match(&path.field("match"), route.r#match.as_ref()?);
        let action = match route.action.as_ref()? {
            ProtoAction::Route(action) => {
                Some(Action::Forward(Box::new(self.route_action(&path.field("route"), action, context))))
            }
            ProtoAction::Redirect(action) => {
                Some(Action::Redirect(Box::new(self.redirect(&path.field("redirect"), action))))
            }
            ProtoAction::DirectResponse(action) => {
                self.direct_response(&path.field("direct_response"), action, context).map(Action::Direct)
            }
            // Refused before.
            ProtoAction::FilterAction(_) | ProtoAction::NonForwardingAction(_) => None,
        };
        let decorator = route.decorator.as_ref().and_then(|decorator| {
            let operation_path = path.field("decorator");
            Some(Decorator {
                operation: decorator.operation.as_str().into(),
                header: self.header_value(&operation_path.field("operation"), &decorator.operation)?,
                propagate: decorator.propagate.as_ref().is_none_or(|propagate| propagate.value),
            })
        });
        let whole = context.tracing;
        let tracing = whole.and_then(|whole| self.route_policy(path, route, whole));
        Some(Route {
            // Given once all of them are there.
            id: 0,
            stats: match route.stat_prefix.as_str() {
                "" => None,
                prefix => Some(Arc::new(RequestGroup::new("route", prefix))),
            },
            name: route.name.as_str().into(),
            metadata: lower_metadata(route.metadata.as_ref()),
            matcher: matcher?,
            action: action?,
            headers: self.mutations(path, &mutation_fields!(route)),
            decorator,
            tracing,
        })
    }

    fn route_match(&mut self, path: &FieldPath<'_>, matcher: &ProtoRouteMatch) -> Option<RouteMatch> {
        let path_match = match matcher.path_specifier.as_ref()? {
            PathSpecifier::Prefix(prefix) => PathMatch::Prefix(prefix.as_str().into()),
            PathSpecifier::Path(path) => PathMatch::Exact(path.as_str().into()),
            PathSpecifier::SafeRegex(regex) => {
                PathMatch::Regex(self.full_regex(&path.field("safe_regex"), regex)?)
            }
            PathSpecifier::PathSeparatedPrefix(prefix) => PathMatch::SeparatedPrefix(prefix.as_str().into()),
            // Refused before.
            PathSpecifier::ConnectMatcher(_) | PathSpecifier::PathMatchPolicy(_) => return None,
        };
        let (headers, queries) = (path.field("headers"), path.field("query_parameters"));
        Some(RouteMatch {
            path: path_match,
            case_sensitive: matcher.case_sensitive.as_ref().is_none_or(|sensitive| sensitive.value),
            headers: matcher
                .headers
                .iter()
                .enumerate()
                .filter_map(|(index, header)| self.header_matcher(&headers.index(index), header))
                .collect(),
            query_parameters: matcher
                .query_parameters
                .iter()
                .enumerate()
                .filter_map(|(index, query)| self.query_matcher(&queries.index(index), query))
                .collect(),
            grpc: matcher.grpc.is_some(),
            fraction: matcher.runtime_fraction.as_ref().and_then(|share| self.fraction(share)),
        })
    }
}

impl Lowering<'_> {
    /// A share of requests, as the runtime or else the file says.
    pub(super) fn fraction(&self, share: &RuntimeFractionalPercent) -> Option<Fraction> {
        let by_runtime = self.runtime.fraction(&share.runtime_key);
        by_runtime.or_else(|| share.default_value.as_ref().map(fractional_percent))
    }
}

/// What a route configuration says to all its routes.
pub(super) struct RouteContext<'a> {
    /// The tracing of the connection manager, if it traces.
    pub(super) tracing: Option<&'a TracePolicy>,
    pub(super) validate_clusters: bool,
    pub(super) max_direct_bytes: usize,
    /// The virtual host's.
    pub(super) retry: Option<Arc<RetryPolicy>>,
    /// The virtual host's or, where it has none, the route configuration's.
    pub(super) mirrors: Arc<[RequestMirror]>,
}

/// A share of requests.
pub(super) fn fractional_percent(percent: &FractionalPercent) -> Fraction {
    Fraction { numerator: percent.numerator, denominator: denominator(percent.denominator()) }
}

/// Of how many a share is.
pub(super) fn denominator(denominator: DenominatorType) -> u32 {
    match denominator {
        DenominatorType::Hundred => 100,
        DenominatorType::TenThousand => 10_000,
        DenominatorType::Million => 1_000_000,
    }
}
