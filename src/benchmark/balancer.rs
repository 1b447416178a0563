//! The choice of a host.

use std::hint::black_box;

use super::{Operation, Variation, snapshot};
use crate::{
    cluster::{ClusterManager, ClusterState},
    snapshot::ClusterId,
};

/// A cluster of ten hosts.
pub(super) struct Balancer {
    clusters: ClusterManager,
    hash: Option<u64>,
}

impl Balancer {
    pub(super) fn new(policy: &str, hash: Option<u64>) -> Self {
        let hosts = (1..=10)
            .map(|port| format!(r#"{{"socket_address": {{"address": "127.0.0.1", "port_value": {port}}}}}"#));
        let snapshot = snapshot(&Variation {
            cluster: &format!(r#""lb_policy": "{policy}","#),
            hosts: &hosts.collect::<Vec<_>>(),
            ..Variation::default()
        });
        Self { clusters: ClusterManager::new(&ClusterState::all(&snapshot)), hash }
    }
}

impl Operation for Balancer {
    fn prepare(&mut self, _: usize) {}

    fn run(&mut self, times: usize) {
        for _ in 0..times {
            let cluster = self.clusters.cluster(black_box(ClusterId(0))).expect("the cluster");
            assert!(black_box(cluster.choose_host(self.hash)).is_some());
        }
    }
}
