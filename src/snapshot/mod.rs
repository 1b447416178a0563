//! The runtime model: plain immutable data that configuration is lowered into.
//!
//! Nothing here knows sockets, runtimes or protobuf. The main thread builds a [`Snapshot`] and publishes it;
//! each worker pins one for as long as a stream or connection needs it.

pub(crate) mod access_log;
pub(crate) mod application_log;
pub(crate) mod by_length;
pub(crate) mod cel;
pub(crate) mod certificate;
pub(crate) mod cluster;
pub(crate) mod delivery;
pub(crate) mod filter;
pub(crate) mod format;
pub(crate) mod kept_headers;
pub(crate) mod listener;
pub(crate) mod log_service;
pub(crate) mod matcher;
pub(crate) mod metadata;
pub(crate) mod otel_sampler;
pub(crate) mod retry;
pub(crate) mod route;
pub(crate) mod route_index;
pub(crate) mod runtime;
pub(crate) mod stats;
pub(crate) mod tls;
pub(crate) mod tracing;
pub(crate) mod xray_sampling;

use std::{collections::HashMap, fmt, net::SocketAddr, path::PathBuf, sync::Arc};

/// All that a worker needs to serve, as one immutable value.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Who this proxy is. `Bootstrap.node`.
    pub(crate) node: Node,
    /// Where traffic is accepted. `Bootstrap.static_resources.listeners`.
    pub(crate) listeners: Vec<Arc<listener::Listener>>,
    /// Where traffic goes, in the order of the file. `Bootstrap.static_resources.clusters`.
    pub(crate) clusters: Vec<Arc<cluster::Cluster>>,
    /// The place of each cluster in `clusters`, by name.
    pub(crate) cluster_index: HashMap<Arc<str>, ClusterId>,
    /// The tracers, one for each different configuration of one.
    pub(crate) tracers: Vec<Arc<tracing::Tracer>>,
    /// Where access logs go, each once.
    pub(crate) log_files: Vec<access_log::LogTarget>,
    /// The services that take access logs, each once.
    pub(crate) log_services: Vec<Arc<log_service::LogService>>,
    /// How statistics are named, and which there are. `Bootstrap.stats_config`.
    pub(crate) stats_config: Arc<stats::StatsConfig>,
    /// Where statistics are sent. `Bootstrap.stats_sinks`.
    pub(crate) stats_sinks: Vec<stats::StatsSink>,
    /// When.
    pub(crate) stats_flush: stats::StatsFlush,
    /// What is counted of that.
    pub(crate) flush_stats: crate::stats::Scope<crate::stats::FlushStats>,
    /// Where the admin interface listens; `None` for nowhere, which is the default. `Bootstrap.admin.address`.
    pub(crate) admin: Option<Address>,
    /// What a line of the program's own log looks like; `None` for as the command line says.
    pub(crate) application_log: Option<application_log::ApplicationLogFormat>,
    /// The whole of it as it was read, in protobuf's encoding, for who asks.
    pub(crate) bootstrap: Box<[u8]>,
    /// The runtime as it was given. `Bootstrap.layered_runtime`.
    pub(crate) runtime: runtime::RuntimeLayers,
}

/// The place of a cluster in [`Snapshot::clusters`], so that the path of a request compares no names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClusterId(pub(crate) usize);

/// Who this proxy is. `config.core.v3.Node`; `--service-node`, `--service-cluster`, `--service-zone`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// Name of this node. Default empty. `Node.id`.
    pub(crate) id: Arc<str>,
    /// Name of the local cluster. Default empty. `Node.cluster`.
    pub(crate) cluster: Arc<str>,
    /// Zone it runs in. Default empty. `Node.locality.zone`.
    pub(crate) zone: Arc<str>,
    /// Region it runs in. Default empty. `Node.locality.region`.
    pub(crate) region: Arc<str>,
    /// Part of the zone it runs in. Default empty. `Node.locality.sub_zone`.
    pub(crate) sub_zone: Arc<str>,
}

/// A worker's handle of something that all workers share. Its copies are counted on the worker, so that a request which
/// takes one writes no memory that others write, too.
pub(crate) type Local<T> = std::rc::Rc<std::sync::Arc<T>>;

/// Where something listens or is reached. `config.core.v3.Address`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    /// `Address.socket_address` with an IP literal.
    Socket(SocketAddr),
    /// `Address.pipe.path`.
    Pipe(PathBuf),
}

impl Address {
    /// The IP and port, if it has them.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Socket(address) => Some(*address),
            Self::Pipe(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(address) => address.fmt(f),
            Self::Pipe(path) => path.display().fmt(f),
        }
    }
}
