//! Starts what sends entries of access logs to services of the network.

use std::sync::Arc;

use tokio::{sync::watch, task::JoinHandle};

use super::worker;
use crate::{
    access_log::service::{self, ServiceQueue},
    cluster::ClusterState,
    export::{
        logs::{LogExporter, LogStats},
        sender::Surroundings,
    },
    snapshot::Snapshot,
};

/// The exporters of access logs, one per service.
#[derive(Default)]
pub(super) struct LogExporting {
    /// What workers put entries into.
    pub(super) queues: Vec<ServiceQueue>,
    /// What to wait for at the end.
    pub(super) exporters: Vec<JoinHandle<()>>,
    /// What becomes of the entries.
    pub(super) stats: Vec<Arc<LogStats>>,
}

/// Start the exporter of each service; an error has the service's name. Needs a runtime.
pub(super) fn start(
    snapshot: &Snapshot,
    clusters: &[Arc<ClusterState>],
    patience: &watch::Receiver<bool>,
) -> Result<LogExporting, (Arc<str>, String)> {
    let mut all = LogExporting::default();
    let around = Surroundings { node: &snapshot.node, clusters, own_ip: worker::own_ip(), observer: None };
    for service in &snapshot.log_services {
        let (queue, incoming, on_the_way) = service::queue(service);
        let stats = LogStats::new(service, &on_the_way);
        let exporter =
            LogExporter::new(&stats, &around, incoming).map_err(|error| ((&*service.name).into(), error))?;
        let (name, protocol) = (&service.name, exporter.protocol());
        tracing::info!("access log \"{name}\" sends entries by {protocol} to {}", exporter.destination());
        all.queues.push(queue);
        all.stats.push(stats);
        all.exporters.push(tokio::spawn(exporter.run(patience.clone())));
    }
    Ok(all)
}
