//! Lowers listeners.

use std::sync::Arc;

use envoy_types::pb::envoy::{
    config::{
        core::v3::TrafficDirection as ProtoDirection,
        listener::v3::{Filter, Listener as ProtoListener, filter::ConfigType},
    },
    extensions::filters::network::http_connection_manager::v3::HttpConnectionManager as ProtoManager,
};

use super::{Lowering, lower_metadata, number, unpack};
use crate::{
    config::FieldPath,
    snapshot::{
        Address,
        format::Constants,
        listener::{HttpConnectionManager, Listener, TrafficDirection},
        tls::DownstreamTls,
    },
    stats::Scope,
};

const BUFFER_BYTES: u32 = 1 << 20;
/// Enough for the system's own limit to count.
const BACKLOG: u32 = 65_535;

/// The name of a listener in statistics, without the colons that would divide it.
fn stat_prefix(listener: &ProtoListener, address: &Address) -> Box<str> {
    match listener.stat_prefix.as_str() {
        "" => address.to_string().replace(':', "_").into(),
        prefix => prefix.replace(':', "_").into(),
    }
}

impl Lowering<'_> {
    /// One listener for each address of the message.
    pub(super) fn listener(&mut self, path: &FieldPath<'_>, listener: &ProtoListener) -> Vec<Listener> {
        let Some((tls, manager)) = self.filter_chain(path, listener) else { return Vec::new() };
        let manager = Arc::new(manager);
        let mut addresses = Vec::new();
        addresses.extend(self.address(&path.field("address"), listener.address.as_ref()));
        let additional = path.field("additional_addresses");
        for (index, address) in listener.additional_addresses.iter().enumerate() {
            let path = additional.index(index);
            addresses.extend(self.address(&path.field("address"), address.address.as_ref()));
        }
        let lowered = addresses.into_iter().map(|address| Listener {
            path: path.to_string().into(),
            name: match listener.name.as_str() {
                "" => address.to_string().into(),
                name => name.into(),
            },
            stat_prefix: stat_prefix(listener, &address),
            stats: Scope::default(),
            http_stats: Scope::default(),
            address,
            direction: match listener.traffic_direction() {
                ProtoDirection::Unspecified => TrafficDirection::Unspecified,
                ProtoDirection::Inbound => TrafficDirection::Inbound,
                ProtoDirection::Outbound => TrafficDirection::Outbound,
            },
            bind_to_port: listener.bind_to_port.as_ref().is_none_or(|bind| bind.value),
            backlog: number(listener.tcp_backlog_size.as_ref(), BACKLOG),
            buffer_limit_bytes: number(listener.per_connection_buffer_limit_bytes.as_ref(), BUFFER_BYTES),
            tls: tls.clone(),
            manager: Arc::clone(&manager),
        });
        lowered.collect()
    }

    /// The TLS and the HTTP connection manager of the listener's only filter chain.
    fn filter_chain(
        &mut self,
        path: &FieldPath<'_>,
        listener: &ProtoListener,
    ) -> Option<(Option<DownstreamTls>, HttpConnectionManager)> {
        let chains = path.field("filter_chains");
        let first = chains.index(0);
        let default = path.field("default_filter_chain");
        let (path, chain) = match (listener.filter_chains.as_slice(), &listener.default_filter_chain) {
            ([], None) => {
                self.problems.push_with_hint(path, "no filter chain", "give one in filter_chains");
                return None;
            }
            ([], Some(chain)) => (default, chain),
            ([chain], _) => (first, chain),
            _ => {
                self.problems.push_with_hint(
                    &chains.index(1),
                    "a second filter chain, and nothing to choose by",
                    "spanway takes one chain, which takes every connection",
                );
                return None;
            }
        };
        self.constants = Constants {
            listener: listener.name.as_str().into(),
            filter_chain: chain.name.as_str().into(),
            node_id: (&*self.node.id).into(),
            node_cluster: (&*self.node.cluster).into(),
            direction: listener.traffic_direction.into(),
            listener_metadata: lower_metadata(listener.metadata.as_ref()),
            filter_chain_metadata: lower_metadata(chain.metadata.as_ref()),
        };
        let tls = self.downstream_tls(&path, chain);
        let manager = self.network_filter(&path.field("filters"), &chain.filters)?;
        Some((tls, manager))
    }

    /// The HTTP connection manager, which is the only network filter there is.
    fn network_filter(&mut self, path: &FieldPath<'_>, filters: &[Filter]) -> Option<HttpConnectionManager> {
        match filters {
            [filter] => {
                let path = path.index(0);
                let path = path.field("typed_config");
                let manager = match &filter.config_type {
                    Some(ConfigType::TypedConfig(any)) => unpack::<ProtoManager>(any),
                    _ => None,
                };
                let Some(manager) = manager else {
                    self.problems.push_with_hint(
                        &path,
                        "no configuration of the filter",
                        "give its typed_config",
                    );
                    return None;
                };
                self.http_connection_manager(&path, &manager)
            }
            [] => {
                self.problems.push_with_hint(
                    path,
                    "no network filter",
                    "give an envoy.filters.network.http_connection_manager",
                );
                None
            }
            _ => {
                self.problems.push(&path.index(1), "nothing can follow the HTTP connection manager");
                None
            }
        }
    }
}
