//! Lowers what routes do: forward, redirect, answer.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use envoy_types::pb::envoy::{
    config::route::v3::{
        DirectResponseAction, RedirectAction, RouteAction as ProtoRouteAction,
        WeightedCluster as ProtoWeightedCluster,
        redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
        route_action::{
            ClusterNotFoundResponseCode, ClusterSpecifier, HostRewriteSpecifier, RequestMirrorPolicy,
            hash_policy::PolicySpecifier,
        },
    },
    r#type::matcher::v3::RegexMatchAndSubstitute,
};
use http::StatusCode;

use super::{
    Lowering,
    headers::{lasting, mutation_fields},
    number,
    route::RouteContext,
};
use crate::{
    config::FieldPath,
    snapshot::route::{
        ClusterChoice, DirectResponse, HashPolicy, HashSource, HostRewrite, IdleTimeout, MirrorHost,
        PathRewrite, Redirect, RedirectPath, RequestMirror, RouteAction, WeightedCluster,
    },
};

const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

impl Lowering<'_> {
    pub(super) fn route_action(
        &mut self,
        path: &FieldPath<'_>,
        action: &ProtoRouteAction,
        context: &RouteContext<'_>,
    ) -> RouteAction {
        let upgrades = action.upgrade_configs.iter();
        let upgrades = upgrades.map(|upgrade| (&upgrade.upgrade_type, upgrade.enabled.as_ref()));
        let upgrades = self.upgrades(&path.field("upgrade_configs"), upgrades);
        let timeout = self.timeout(&path.field("timeout"), action.timeout.as_ref(), Some(ROUTE_TIMEOUT));
        let retry = match &action.retry_policy {
            Some(policy) => Some(self.retry_policy(&path.field("retry_policy"), policy)),
            None => context.retry.clone(),
        };
        let per_try = retry.as_ref().and_then(|retry| retry.per_try_timeout);
        RouteAction {
            cluster: self.cluster_choice(path, action, context),
            cluster_not_found: match action.cluster_not_found_response_code() {
                ClusterNotFoundResponseCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
                ClusterNotFoundResponseCode::NotFound => StatusCode::NOT_FOUND,
                ClusterNotFoundResponseCode::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
            },
            path_rewrite: self.path_rewrite(path, &action.prefix_rewrite, action.regex_rewrite.as_ref()),
            host_rewrite: self.host_rewrite(path, action),
            append_x_forwarded_host: action.append_x_forwarded_host,
            expected_timeout_ms: per_try
                .into_iter()
                .chain(timeout)
                .min()
                .map(|timeout| lasting(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX))),
            timeout,
            idle_timeout: action.idle_timeout.as_ref().map(|idle| {
                match self.timeout(&path.field("idle_timeout"), Some(idle), None) {
                    None => IdleTimeout::Disabled,
                    Some(idle) => IdleTimeout::After(idle),
                }
            }),
            hash_policy: self.hash_policy(path, action),
            upgrades,
            retry,
            mirrors: self.mirrors(path, &action.request_mirror_policies, context),
        }
    }

    /// Where copies go: as `policies` of a message say, or else as the one around it does.
    pub(super) fn mirrors(
        &mut self,
        path: &FieldPath<'_>,
        policies: &[RequestMirrorPolicy],
        context: &RouteContext<'_>,
    ) -> Arc<[RequestMirror]> {
        if policies.is_empty() {
            return Arc::clone(&context.mirrors);
        }
        let list = path.field("request_mirror_policies");
        let mirrors = policies.iter().enumerate().filter_map(|(index, policy)| {
            let path = list.index(index);
            let known = self.cluster_index.get(policy.cluster.as_str()).copied();
            Some(RequestMirror {
                cluster: match known {
                    None if context.validate_clusters => {
                        self.cluster_id(&path.field("cluster"), &policy.cluster)?
                    }
                    known => known?,
                },
                fraction: policy.runtime_fraction.as_ref().and_then(|share| self.fraction(share)),
                trace_sampled: policy.trace_sampled.map(|sampled| sampled.value),
                host: match policy.host_rewrite_literal.as_str() {
                    "" if policy.disable_shadow_host_suffix_append => MirrorHost::Same,
                    "" => MirrorHost::Suffixed,
                    host => {
                        MirrorHost::Literal(self.header_value(&path.field("host_rewrite_literal"), host)?)
                    }
                },
            })
        });
        mirrors.collect()
    }

    fn cluster_choice(
        &mut self,
        path: &FieldPath<'_>,
        action: &ProtoRouteAction,
        context: &RouteContext<'_>,
    ) -> ClusterChoice {
        let nothing = || ClusterChoice::One(Err("".into()));
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) if !context.validate_clusters => ClusterChoice::One(
                self.cluster_index.get(name.as_str()).copied().ok_or_else(|| name.as_str().into()),
            ),
            Some(ClusterSpecifier::Cluster(name)) => {
                ClusterChoice::One(self.cluster_id(&path.field("cluster"), name).ok_or_else(|| Arc::from("")))
            }
            Some(ClusterSpecifier::ClusterHeader(name)) => self
                .header_name(&path.field("cluster_header"), name)
                .map_or_else(nothing, ClusterChoice::Header),
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                self.weighted_clusters(&path.field("weighted_clusters"), weighted, context)
            }
            _ => nothing(),
        }
    }

    fn weighted_clusters(
        &mut self,
        path: &FieldPath<'_>,
        weighted: &ProtoWeightedCluster,
        context: &RouteContext<'_>,
    ) -> ClusterChoice {
        let list = path.field("clusters");
        let mut clusters = Vec::new();
        for (index, cluster) in weighted.clusters.iter().enumerate() {
            let path = list.index(index);
            let headers = self.mutations(&path, &mutation_fields!(cluster));
            let weight = number(cluster.weight.as_ref(), 0);
            let known = self.cluster_index.get(cluster.name.as_str()).copied();
            let cluster = match known {
                None if context.validate_clusters => self.cluster_id(&path.field("name"), &cluster.name),
                known => known,
            };
            clusters.push(WeightedCluster { cluster, weight, headers });
        }
        let total: u64 = clusters.iter().map(|cluster| u64::from(cluster.weight)).sum();
        if total == 0 {
            self.problems.push(path, "the weights of all clusters together are zero");
        }
        if total > u64::from(u32::MAX) {
            self.problems
                .push(path, format!("the weights of all clusters together are {total}, over {}", u32::MAX));
        }
        #[expect(deprecated, reason = "Envoy still checks it where it is given")]
        if let Some(given) = &weighted.total_weight
            && u64::from(given.value) != total
        {
            self.problems.push(
                &path.field("total_weight"),
                format!("{} is not the sum of the weights, which is {total}", given.value),
            );
        }
        ClusterChoice::Weighted { clusters, total }
    }

    fn path_rewrite(
        &mut self,
        path: &FieldPath<'_>,
        prefix: &str,
        regex: Option<&RegexMatchAndSubstitute>,
    ) -> Option<PathRewrite> {
        let rewrite = regex.and_then(|regex| {
            let (regex, substitution) = self.substitution(&path.field("regex_rewrite"), regex)?;
            Some(PathRewrite::Regex(regex, substitution))
        });
        if regex.is_some() && !prefix.is_empty() {
            self.problems.push(&path.field("prefix_rewrite"), "regex_rewrite is set too; give one of them");
        }
        if prefix.is_empty() { rewrite } else { Some(PathRewrite::Prefix(prefix.into())) }
    }

    fn substitution(
        &mut self,
        path: &FieldPath<'_>,
        rewrite: &RegexMatchAndSubstitute,
    ) -> Option<(regex::Regex, Box<str>)> {
        let regex = self.find_regex(&path.field("pattern"), rewrite.pattern.as_ref()?)?;
        Some((regex, rewrite.substitution.as_str().into()))
    }

    fn host_rewrite(&mut self, path: &FieldPath<'_>, action: &ProtoRouteAction) -> Option<HostRewrite> {
        match action.host_rewrite_specifier.as_ref()? {
            HostRewriteSpecifier::HostRewriteLiteral(host) => {
                self.header_value(&path.field("host_rewrite_literal"), host).map(HostRewrite::Literal)
            }
            HostRewriteSpecifier::AutoHostRewrite(auto) => auto.value.then_some(HostRewrite::Auto),
            HostRewriteSpecifier::HostRewriteHeader(name) => {
                self.header_name(&path.field("host_rewrite_header"), name).map(HostRewrite::Header)
            }
            HostRewriteSpecifier::HostRewritePathRegex(rewrite) => {
                let (regex, substitution) =
                    self.substitution(&path.field("host_rewrite_path_regex"), rewrite)?;
                Some(HostRewrite::PathRegex(regex, substitution))
            }
            // Refused before.
            _ => None,
        }
    }

    fn hash_policy(&mut self, path: &FieldPath<'_>, action: &ProtoRouteAction) -> Vec<HashPolicy> {
        let list = path.field("hash_policy");
        let mut policies = Vec::new();
        for (index, policy) in action.hash_policy.iter().enumerate() {
            let path = list.index(index);
            let source = match &policy.policy_specifier {
                Some(PolicySpecifier::Header(header)) => self
                    .header_name(&path.field("header.header_name"), &header.header_name)
                    .map(HashSource::Header),
                Some(PolicySpecifier::ConnectionProperties(properties)) => {
                    properties.source_ip.then_some(HashSource::SourceIp)
                }
                Some(PolicySpecifier::QueryParameter(query)) => {
                    Some(HashSource::QueryParameter(query.name.as_str().into()))
                }
                _ => None,
            };
            policies.extend(source.map(|source| HashPolicy { source, terminal: policy.terminal }));
        }
        policies
    }

    pub(super) fn redirect(&mut self, path: &FieldPath<'_>, action: &RedirectAction) -> Redirect {
        let path_rewrite = match &action.path_rewrite_specifier {
            None => None,
            Some(PathRewriteSpecifier::PathRedirect(path)) => Some(RedirectPath::Whole(path.as_str().into())),
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) => {
                Some(RedirectPath::Rewrite(PathRewrite::Prefix(prefix.as_str().into())))
            }
            Some(PathRewriteSpecifier::RegexRewrite(rewrite)) => {
                let rewrite = self.substitution(&path.field("regex_rewrite"), rewrite);
                rewrite.map(|(regex, text)| RedirectPath::Rewrite(PathRewrite::Regex(regex, text)))
            }
            // Refused before.
            Some(PathRewriteSpecifier::PathRewrite(_)) => None,
        };
        let port = u16::try_from(action.port_redirect);
        if port.is_err() {
            self.problems.push(&path.field("port_redirect"), "ports end at 65535");
        }
        let text = |text: &str| (!text.is_empty()).then(|| text.into());
        Redirect {
            scheme: match &action.scheme_rewrite_specifier {
                Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => Some("https".into()),
                Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) => text(scheme),
                _ => None,
            },
            host: text(&action.host_redirect),
            port: port.ok().filter(|port| *port != 0),
            path: path_rewrite,
            status: match action.response_code() {
                RedirectResponseCode::MovedPermanently => StatusCode::MOVED_PERMANENTLY,
                RedirectResponseCode::Found => StatusCode::FOUND,
                RedirectResponseCode::SeeOther => StatusCode::SEE_OTHER,
                RedirectResponseCode::TemporaryRedirect => StatusCode::TEMPORARY_REDIRECT,
                RedirectResponseCode::PermanentRedirect => StatusCode::PERMANENT_REDIRECT,
            },
            strip_query: action.strip_query,
        }
    }

    pub(super) fn direct_response(
        &mut self,
        path: &FieldPath<'_>,
        action: &DirectResponseAction,
        context: &RouteContext<'_>,
    ) -> Option<DirectResponse> {
        let body_path = path.field("body");
        let body = action.body.as_ref().map(|body| self.data_source(&body_path, body)).unwrap_or_default();
        if body.len() > context.max_direct_bytes {
            self.problems.push_with_hint(
                &body_path,
                format!(
                    "{} bytes are more than the {} that are allowed",
                    body.len(),
                    context.max_direct_bytes
                ),
                "raise max_direct_response_body_size_bytes of the route configuration",
            );
        }
        let status = u16::try_from(action.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        if status.is_none() {
            self.problems.push(&path.field("status"), format!("{} is not an HTTP status", action.status));
        }
        Some(DirectResponse { status: status?, body: Bytes::from(body) })
    }
}
