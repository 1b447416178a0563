//! Lowers HTTP filters.

use envoy_types::pb::envoy::extensions::filters::{
    http::{health_check::v3::HealthCheck as ProtoHealthCheck, router::v3::Router},
    network::http_connection_manager::v3::{
        HttpConnectionManager as ProtoManager, http_filter::ConfigType as FilterConfig,
    },
};

use super::{Lowering, unpack};
use crate::{
    config::FieldPath,
    snapshot::filter::{HealthCheck, HttpFilter},
};

impl Lowering<'_> {
    /// The filters of a connection manager, and the router, which must be the last of them.
    pub(super) fn http_filters(
        &mut self,
        path: &FieldPath<'_>,
        manager: &ProtoManager,
    ) -> (Vec<HttpFilter>, Router) {
        if manager.http_filters.is_empty() {
            self.problems.push_with_hint(
                path,
                "no HTTP filter, so that no request would be answered",
                "give an envoy.filters.http.router",
            );
        }
        let list = path.field("http_filters");
        let mut filters = Vec::new();
        let mut router = Router::default();
        for (index, filter) in manager.http_filters.iter().enumerate() {
            let path = list.index(index);
            let last = index + 1 == manager.http_filters.len();
            let Some(FilterConfig::TypedConfig(config)) = &filter.config_type else {
                self.problems.push_with_hint(
                    &path,
                    "no configuration of the filter",
                    "give its typed_config",
                );
                continue;
            };
            if let Some(found) = unpack::<Router>(config) {
                router = found;
                if !last {
                    self.problems
                        .push(&path, format!("the router \"{}\" must be the last HTTP filter", filter.name));
                }
                continue;
            }
            if last {
                self.problems.push_with_hint(
                    &path,
                    format!("the last HTTP filter is \"{}\"", filter.name),
                    "it must be an envoy.filters.http.router",
                );
            }
            // Others were refused before.
            if let Some(config) = unpack::<ProtoHealthCheck>(config) {
                let path = path.field("typed_config");
                filters.push(HttpFilter::HealthCheck(HealthCheck {
                    pass_through: config.pass_through_mode.is_some_and(|pass| pass.value),
                    headers: self.header_matchers(&path.field("headers"), &config.headers),
                }));
            }
        }
        (filters, router)
    }
}
