//! Lowers HTTP connection managers.

use std::time::Duration;

use envoy_types::pb::envoy::extensions::{
    filters::network::http_connection_manager::v3::{
        HttpConnectionManager as ProtoManager,
        http_connection_manager::{
            CodecType as ProtoCodec, PathWithEscapedSlashesAction, RouteSpecifier,
            ServerHeaderTransformation as ProtoServerHeader, StripPortMode,
        },
    },
    request_id::uuid::v3::UuidRequestIdConfig,
};
use envoy_types::pb::{
    envoy::config::core::v3::scheme_header_transformation::Transformation, google::protobuf::BoolValue,
};
use http::HeaderValue;

use super::{Lowering, cluster::http2_options, number, unpack};
use crate::{
    config::FieldPath,
    snapshot::listener::{
        CodecType, EscapedSlashes, Http1Options, HttpConnectionManager, Limits, Normalization,
        RequestIdOptions, ServerHeaderTransformation, StripPort,
    },
    stats::Scope,
};

const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const STREAM_IDLE_TIMEOUT: Duration = Duration::from_secs(300);
const DELAYED_CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_HEADERS: u32 = 100;
/// The runtime key that tells internal clients why there is an error.
pub(super) const CAUSE_HEADER: &str = "spanway.cause_header";
const MAX_HEADERS_KB: u32 = 60;

impl Lowering<'_> {
    /// One connection manager; `None` if it has no routes to lower.
    pub(super) fn http_connection_manager(
        &mut self,
        path: &FieldPath<'_>,
        manager: &ProtoManager,
    ) -> Option<HttpConnectionManager> {
        let Some(RouteSpecifier::RouteConfig(routes)) = &manager.route_specifier else {
            self.problems.push_with_hint(path, "no routes", "give them in route_config");
            return None;
        };
        self.observes = false;
        self.observes_route = false;
        let access_log = self.access_logs(path, manager);
        let (filters, router) = self.http_filters(path, manager);
        #[expect(deprecated, reason = "Envoy still reads the field that spawn_upstream_span replaced")]
        let child_spans = router.start_child_span;
        let tracing = self.tracing(&path.field("tracing"), manager.tracing.as_ref(), child_spans);
        let policy = tracing.as_ref().map(|tracing| &*tracing.policy);
        let upgrades = manager.upgrade_configs.iter();
        let upgrades = upgrades.map(|upgrade| (&upgrade.upgrade_type, upgrade.enabled.as_ref()));
        let upgrades = self.upgrades(&path.field("upgrade_configs"), upgrades);
        let text = |lowering: &mut Self, field: &str, text: &str| {
            if text.is_empty() { None } else { lowering.header_value(&path.field(field), text) }
        };
        if manager.strip_matching_host_port
            && matches!(manager.strip_port_mode, Some(StripPortMode::StripAnyHostPort(true)))
        {
            self.problems.push(
                &path.field("strip_matching_host_port"),
                "strip_any_host_port is set too; give one of them",
            );
        }
        Some(HttpConnectionManager {
            path: path.to_string().into(),
            stat_prefix: manager.stat_prefix.as_str().into(),
            stats: Scope::default(),
            codec: match manager.codec_type() {
                ProtoCodec::Http1 => CodecType::Http1,
                ProtoCodec::Http2 => CodecType::Http2,
                ProtoCodec::Auto | ProtoCodec::Http3 => CodecType::Auto,
            },
            routes: self.route_configuration(&path.field("route_config"), routes, policy),
            http1: self.http1(path, manager),
            http2: http2_options(manager.http2_protocol_options.as_ref()),
            server_name: text(self, "server_name", &manager.server_name)
                .unwrap_or_else(|| HeaderValue::from_static("envoy")),
            server_header: match manager.server_header_transformation() {
                ProtoServerHeader::Overwrite => ServerHeaderTransformation::Overwrite,
                ProtoServerHeader::AppendIfAbsent => ServerHeaderTransformation::AppendIfAbsent,
                ProtoServerHeader::PassThrough => ServerHeaderTransformation::PassThrough,
            },
            via: text(self, "via", &manager.via),
            add_user_agent: manager.add_user_agent.as_ref().is_some_and(|add| add.value),
            limits: self.limits(path, manager),
            client_address: self.client_address(path, manager),
            normalization: normalization(manager),
            request_id: self.request_id(path, manager),
            local_reply: self
                .local_reply(&path.field("local_reply_config"), manager.local_reply_config.as_ref()),
            upgrades,
            tracing,
            filters,
            scheme_is_https: manager.scheme_header_transformation.as_ref().and_then(|scheme| {
                let Some(Transformation::SchemeToOverwrite(scheme)) = &scheme.transformation else {
                    return None;
                };
                Some(scheme == "https")
            }),
            suppress_envoy_headers: router.suppress_envoy_headers,
            observes: self.observes || !access_log.logs.is_empty(),
            cause_header: self.runtime.boolean(CAUSE_HEADER).unwrap_or_default(),
            observes_moments: self.observes || access_log.wanted.moments,
            observes_route: self.observes_route,
            access_log,
        })
    }

    /// Which upgrades are allowed, by name in lower case.
    pub(super) fn upgrades<'u>(
        &mut self,
        path: &FieldPath<'_>,
        upgrades: impl Iterator<Item = (&'u String, Option<&'u BoolValue>)>,
    ) -> Vec<(Box<str>, bool)> {
        let mut list = Vec::new();
        for (index, (name, enabled)) in upgrades.enumerate() {
            let enabled = enabled.is_none_or(|enabled| enabled.value);
            if name.eq_ignore_ascii_case("connect") && enabled {
                self.problems.push(&path.index(index).field("upgrade_type"), "CONNECT is not there yet");
            }
            let lower: Box<str> = name.to_ascii_lowercase().into();
            if list.iter().any(|(known, _)| *known == lower) {
                self.problems.push(
                    &path.index(index).field("upgrade_type"),
                    format!("\"{name}\" has been configured already"),
                );
            }
            list.push((lower, enabled));
        }
        list
    }

    fn http1(&mut self, path: &FieldPath<'_>, manager: &ProtoManager) -> Http1Options {
        let Some(options) = &manager.http_protocol_options else { return Http1Options::default() };
        let path = path.field("http_protocol_options");
        Http1Options {
            accept_http_10: options.accept_http_10,
            default_host: match options.default_host_for_http_10.as_str() {
                "" => None,
                host => self.header_value(&path.field("default_host_for_http_10"), host),
            },
            enable_trailers: options.enable_trailers,
        }
    }

    fn limits(&mut self, path: &FieldPath<'_>, manager: &ProtoManager) -> Limits {
        let common = manager.common_http_protocol_options.unwrap_or_default();
        let common_path = path.field("common_http_protocol_options");
        let stream_idle = manager.stream_idle_timeout.as_ref();
        Limits {
            connection_idle: self.timeout(
                &common_path.field("idle_timeout"),
                common.idle_timeout.as_ref(),
                Some(IDLE_TIMEOUT),
            ),
            connection_duration: self.timeout(
                &common_path.field("max_connection_duration"),
                common.max_connection_duration.as_ref(),
                None,
            ),
            drain: self
                .timeout(&path.field("drain_timeout"), manager.drain_timeout.as_ref(), Some(DRAIN_TIMEOUT))
                .unwrap_or_default(),
            delayed_close: self
                .timeout(
                    &path.field("delayed_close_timeout"),
                    manager.delayed_close_timeout.as_ref(),
                    Some(DELAYED_CLOSE_TIMEOUT),
                )
                .unwrap_or_default(),
            requests_per_connection: common
                .max_requests_per_connection
                .map(|most| most.value)
                .filter(|most| *most > 0),
            headers_count: number(common.max_headers_count.as_ref(), MAX_HEADERS) as usize,
            headers_bytes: number(manager.max_request_headers_kb.as_ref(), MAX_HEADERS_KB) as usize * 1024,
            request_headers: self.timeout(
                &path.field("request_headers_timeout"),
                manager.request_headers_timeout.as_ref(),
                None,
            ),
            request: self.timeout(&path.field("request_timeout"), manager.request_timeout.as_ref(), None),
            stream_idle: self.timeout(
                &path.field("stream_idle_timeout"),
                stream_idle,
                Some(STREAM_IDLE_TIMEOUT),
            ),
        }
    }

    fn request_id(&mut self, path: &FieldPath<'_>, manager: &ProtoManager) -> RequestIdOptions {
        let extension =
            manager.request_id_extension.as_ref().and_then(|extension| extension.typed_config.as_ref());
        let config = match extension {
            None => UuidRequestIdConfig::default(),
            Some(any) => unpack::<UuidRequestIdConfig>(any).unwrap_or_else(|| {
                self.problems
                    .push(&path.field("request_id_extension"), "spanway makes request ids as UUIDs only");
                UuidRequestIdConfig::default()
            }),
        };
        RequestIdOptions {
            generate: manager.generate_request_id.as_ref().is_none_or(|generate| generate.value),
            preserve_external: manager.preserve_external_request_id,
            always_set_in_response: manager.always_set_request_id_in_response,
            pack_trace_reason: config.pack_trace_reason.as_ref().is_none_or(|pack| pack.value),
            use_for_sampling: config.use_request_id_for_trace_sampling.as_ref().is_none_or(|used| used.value),
        }
    }
}

fn normalization(manager: &ProtoManager) -> Normalization {
    Normalization {
        normalize_path: manager.normalize_path.as_ref().is_some_and(|normalize| normalize.value),
        merge_slashes: manager.merge_slashes,
        escaped_slashes: match manager.path_with_escaped_slashes_action() {
            PathWithEscapedSlashesAction::ImplementationSpecificDefault
            | PathWithEscapedSlashesAction::KeepUnchanged => EscapedSlashes::Keep,
            PathWithEscapedSlashesAction::RejectRequest => EscapedSlashes::Reject,
            PathWithEscapedSlashesAction::UnescapeAndRedirect => EscapedSlashes::UnescapeAndRedirect,
            PathWithEscapedSlashesAction::UnescapeAndForward => EscapedSlashes::UnescapeAndForward,
        },
        strip_port: match (&manager.strip_port_mode, manager.strip_matching_host_port) {
            (Some(StripPortMode::StripAnyHostPort(true)), _) => StripPort::Any,
            (_, true) => StripPort::Matching,
            _ => StripPort::Keep,
        },
    }
}
