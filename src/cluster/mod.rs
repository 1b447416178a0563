//! Clusters at work: hosts, the choice among them, limits, and each worker's pools.
//!
//! What all workers share of a cluster is [`ClusterState`]: its host set, replaced whole, and its limits, which
//! are atomics. Balancers and pools belong to a worker ([`WorkerCluster`]) and are touched by it alone.

pub(crate) mod async_client;
pub(crate) mod circuit_breaker;
pub(crate) mod discovery;
pub(crate) mod host;
pub(crate) mod load_balancer;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use arc_swap::{ArcSwap, Guard};

use self::{
    circuit_breaker::CircuitBreakers,
    host::{Host, HostSet},
    load_balancer::LoadBalancer,
};
use crate::{
    snapshot::{ClusterId, Local, Snapshot, cluster::Cluster},
    upstream::conn_pool::HostPool,
};

/// What all workers share of a cluster.
#[derive(Debug)]
pub(crate) struct ClusterState {
    /// What it is.
    pub(crate) config: Arc<Cluster>,
    /// Its hosts now.
    pub(crate) hosts: ArcSwap<HostSet>,
    /// What is under way.
    pub(crate) limits: CircuitBreakers,
}

impl ClusterState {
    /// The state of each cluster of `snapshot`, in its order.
    pub(crate) fn all(snapshot: &Snapshot) -> Vec<Arc<Self>> {
        snapshot.clusters.iter().map(|config| Arc::new(Self::new(config))).collect()
    }

    /// How many of its hosts are well, in words.
    pub(crate) fn healthy_of_total(&self) -> String {
        let hosts = self.hosts.load();
        format!("{} of {} hosts healthy", hosts.healthy, hosts.all.len())
    }

    /// With nothing under way.
    pub(crate) fn new(config: &Arc<Cluster>) -> Self {
        let hosts = HostSet::initial(config);
        if !hosts.all.is_empty() {
            config.stats.mine().membership_change.inc();
        }
        Self {
            hosts: ArcSwap::from_pointee(hosts),
            limits: CircuitBreakers::new(&config.thresholds),
            config: Arc::clone(config),
        }
    }
}

/// All clusters as one worker sees them.
#[derive(Debug)]
pub(crate) struct ClusterManager {
    clusters: Vec<WorkerCluster>,
}

impl ClusterManager {
    /// For one worker.
    pub(crate) fn new(states: &[Arc<ClusterState>]) -> Self {
        Self { clusters: states.iter().map(|state| WorkerCluster::new(Arc::clone(state))).collect() }
    }

    /// The worker ends: pools open nothing any more.
    pub(crate) fn close(&self) {
        for cluster in &self.clusters {
            cluster.view.borrow().pools.iter().for_each(|pool| pool.close());
        }
    }

    /// The cluster of that id.
    pub(crate) fn cluster(&self, id: ClusterId) -> Option<&WorkerCluster> {
        self.clusters.get(id.0)
    }
}

/// A cluster as one worker sees it.
#[derive(Debug)]
pub(crate) struct WorkerCluster {
    /// What it shares with the others.
    pub(crate) state: Local<ClusterState>,
    /// What it is.
    pub(crate) config: Local<Cluster>,
    view: RefCell<HostView>,
}

/// A host set with this worker's balancer and pools for it.
#[derive(Debug)]
struct HostView {
    set: Arc<HostSet>,
    balancer: LoadBalancer,
    /// One per host, in the order of the set.
    pools: Vec<Rc<HostPool>>,
}

impl WorkerCluster {
    fn new(state: Arc<ClusterState>) -> Self {
        let view =
            HostView { set: Arc::new(HostSet::default()), balancer: LoadBalancer::Empty, pools: Vec::new() };
        let config = Rc::new(Arc::clone(&state.config));
        Self { state: Rc::new(state), config, view: RefCell::new(view) }
    }

    /// Choose a host for a request; `None` if there is none. `hash` is what RING_HASH goes by.
    pub(crate) fn choose_host(&self, hash: Option<u64>) -> Option<Rc<HostPool>> {
        self.choose_nth_host(hash, 0)
    }

    /// Choose a host that is `fresh`. After one more than `draws` the last one is taken whatever it is.
    pub(crate) fn choose_other_host(
        &self,
        hash: Option<u64>,
        draws: u32,
        fresh: impl Fn(&Rc<HostPool>) -> bool,
    ) -> Option<Rc<HostPool>> {
        let mut chosen = None;
        for draw in 0..=draws {
            // Of a ring that is entered at the same place each time the next one is taken.
            chosen = self.choose_nth_host(hash, draw as usize);
            if chosen.as_ref().is_none_or(&fresh) {
                break;
            }
        }
        chosen
    }

    fn choose_nth_host(&self, hash: Option<u64>, nth: usize) -> Option<Rc<HostPool>> {
        let mut view = self.view.borrow_mut();
        let current = self.state.hosts.load();
        if !Arc::ptr_eq(&current, &view.set) {
            view.replace(Guard::into_inner(current), &self.state);
        }
        if nth == 0 && (view.set.panic || view.set.hosts.is_empty()) {
            self.config.stats.mine().lb_healthy_panic.inc();
        }
        let index = view.balancer.pick(hash, nth)?;
        view.pools.get(index).cloned()
    }
}

impl HostView {
    /// Take a new host set; pools of hosts that stay are kept, with their connections.
    fn replace(&mut self, set: Arc<HostSet>, state: &Local<ClusterState>) {
        let mut old = std::mem::take(&mut self.pools);
        let mut pool = |host: &Arc<Host>| {
            let known = old
                .iter()
                .position(|pool| pool.host.address == host.address && pool.host.hostname == host.hostname);
            known.map_or_else(
                || Rc::new(HostPool::new(Arc::clone(host), Rc::clone(state))),
                |known| old.swap_remove(known),
            )
        };
        self.pools = set.hosts.iter().map(&mut pool).collect();
        self.balancer = LoadBalancer::new(state.config.policy, &set);
        self.set = set;
    }
}
