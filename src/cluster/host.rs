//! Hosts and the sets they come in.

use std::sync::Arc;

use crate::{
    snapshot::{
        Address,
        cluster::{Cluster, Discovery, Endpoint, Health, Locality},
        metadata::Metadata,
    },
    stats::{HostStats, Scope},
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
    /// Where it is.
    pub(crate) locality: Arc<Locality>,
    /// What is counted of it. A host that is found anew goes on counting.
    pub(crate) stats: Arc<Scope<HostStats>>,
}

impl Host {
    /// A host at `address`.
    pub(crate) fn new(address: Address, hostname: Arc<str>, weight: u32, metadata: Metadata) -> Self {
        Self {
            address_text: address.to_string().into(),
            address,
            hostname,
            weight: weight.max(1),
            metadata,
            locality: Arc::default(),
            stats: Arc::default(),
        }
    }

    /// The host of `endpoint` at `address`. It goes on counting where the one among `known` stopped.
    pub(crate) fn of<A>(endpoint: &Endpoint<A>, address: Address, known: &HostSet) -> Self {
        let hostname = Arc::clone(&endpoint.hostname);
        let same = known.all.iter().find(|(host, _)| host.address == address && host.hostname == hostname);
        Self {
            locality: Arc::clone(&endpoint.locality),
            stats: same.map(|(host, _)| Arc::clone(&host.stats)).unwrap_or_default(),
            ..Self::new(address, hostname, endpoint.weight, endpoint.metadata.clone())
        }
    }
}

/// The hosts of a cluster that get requests at one moment. Never changed, only replaced.
#[derive(Debug, Default)]
pub(crate) struct HostSet {
    /// In the order of the configuration, names resolved.
    pub(crate) hosts: Vec<Arc<Host>>,
    /// Those and the ones that get no requests, for who asks.
    pub(crate) all: Vec<(Arc<Host>, Health)>,
    /// How many of them are well.
    pub(crate) healthy: usize,
    /// So few are well that health does not count.
    pub(crate) panic: bool,
}

impl HostSet {
    /// Of all hosts of a cluster those that are well; or all, if fewer than half are, since these few could not carry
    /// the load (Envoy's panic, at its default threshold). Hosts that drain do not count.
    pub(crate) fn new(all: Vec<(Arc<Host>, Health)>) -> Self {
        let count = |wanted| all.iter().filter(|(_, health)| *health == wanted).count();
        let healthy = count(Health::Healthy);
        let panic = healthy == 0 || healthy < count(Health::Unhealthy);
        let used = all.iter().filter(|(_, health)| panic || *health == Health::Healthy);
        Self { hosts: used.map(|(host, _)| Arc::clone(host)).collect(), all, healthy, panic }
    }

    /// The hosts that are known before anything is resolved.
    pub(crate) fn initial(cluster: &Cluster) -> Self {
        match &cluster.discovery {
            Discovery::Static(endpoints) => Self::new(
                endpoints
                    .iter()
                    .map(|endpoint| {
                        let host = Host::of(endpoint, endpoint.address.clone(), &Self::default());
                        (Arc::new(host), endpoint.health)
                    })
                    .collect(),
            ),
            Discovery::StrictDns(..) | Discovery::LogicalDns(..) => Self::default(),
        }
    }

    /// Whether both hold the same hosts, so that balancers and pools may stay as they are.
    pub(crate) fn same_hosts(&self, other: &Self) -> bool {
        self.hosts.len() == other.hosts.len()
            && self.hosts.iter().zip(&other.hosts).all(|(one, two)| {
                one.address == two.address && one.weight == two.weight && one.hostname == two.hostname
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_are_not_well_get_requests_only_when_fewer_than_half_are() {
        use Health::{Draining, Healthy, Unhealthy};

        let used = |health: &[Health]| {
            let all = (1..).zip(health).map(|(port, health)| {
                let address = Address::Socket(([127, 0, 0, 1], port).into());
                (Arc::new(Host::new(address, "".into(), 1, None)), *health)
            });
            HostSet::new(all.collect()).hosts.len()
        };
        for (health, hosts) in [
            (&[][..], 0),
            (&[Healthy, Healthy], 2),
            (&[Healthy, Unhealthy], 1),
            (&[Healthy, Unhealthy, Unhealthy], 3),
            (&[Unhealthy], 1),
            (&[Healthy, Draining, Draining], 1),
            (&[Healthy, Unhealthy, Unhealthy, Draining], 4),
            (&[Draining], 1),
        ] {
            assert_eq!(used(health), hosts, "{health:?}");
        }
    }
}
