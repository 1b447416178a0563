//! Hosts and the sets they come in.

use std::sync::Arc;

use crate::snapshot::{
    Address,
    cluster::{Cluster, Discovery, Endpoint},
    metadata::Metadata,
};

/// One host of a cluster.
#[derive(Debug)]
pub(crate) struct Host {
    /// Where it is.
    pub(crate) address: Address,
    /// The same as text, for logs and formats.
    pub(crate) address_text: Arc<str>,
    /// Its name, for `auto_host_rewrite`; empty if it has none.
    pub(crate) hostname: Arc<str>,
    /// Its share, relative to the others; at least 1.
    pub(crate) weight: u32,
    /// What is noted of it.
    pub(crate) metadata: Metadata,
}

impl Host {
    /// A host at `address`.
    pub(crate) fn new(address: Address, hostname: Arc<str>, weight: u32, metadata: Metadata) -> Self {
        Self { address_text: address.to_string().into(), address, hostname, weight: weight.max(1), metadata }
    }
}

/// The hosts of a cluster at one moment. Never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct HostSet {
    /// In the order of the configuration, names resolved.
    pub(crate) hosts: Vec<Arc<Host>>,
}

impl HostSet {
    /// The hosts that are known before anything is resolved.
    pub(crate) fn initial(cluster: &Cluster) -> Self {
        let hosts = match &cluster.discovery {
            Discovery::Static(endpoints) => endpoints
                .iter()
                .map(|Endpoint { address, hostname, weight, metadata }| {
                    Arc::new(Host::new(address.clone(), Arc::clone(hostname), *weight, metadata.clone()))
                })
                .collect(),
            Discovery::StrictDns(..) | Discovery::LogicalDns(..) => Vec::new(),
        };
        Self { hosts }
    }

    /// Whether both hold the same hosts, so that balancers and pools may stay as they are.
    pub(crate) fn same_hosts(&self, other: &Self) -> bool {
        self.hosts.len() == other.hosts.len()
            && self.hosts.iter().zip(&other.hosts).all(|(one, two)| {
                one.address == two.address && one.weight == two.weight && one.hostname == two.hostname
            })
    }
}
