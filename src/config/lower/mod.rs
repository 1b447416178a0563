//! From the typed bootstrap to the `Snapshot`: everything is resolved, compiled and bounded here, once.
//!
//! Lowering adds what it finds wrong to a list and goes on with a stand-in, so that one run tells everything.
//! It reads only fields that [`super::supported`] lists; the others were refused before.

mod access_log;
mod access_log_filter;
mod address;
mod application_log;
mod cel;
mod certificate;
mod client_address;
mod cluster;
mod collector_address;
mod collector_service;
mod delivery;
mod environment;
mod extras;
mod filter;
mod headers;
mod http_connection_manager;
mod listener;
mod local_reply;
mod log_service;
mod matcher;
mod metadata;
mod resource;
mod retry;
mod route;
mod route_action;
mod runtime;
mod runtime_layers;
mod stats;
mod stats_sinks;
mod tls;
mod tracers;
mod tracing;

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use envoy_types::pb::{
    envoy::config::{
        bootstrap::v3::LayeredRuntime,
        core::v3::{DataSource, Node as ProtoNode, data_source::Specifier},
    },
    google::protobuf::{Any, Duration as ProtoDuration, UInt32Value},
};

pub use self::address::{AddressMap, AddressMapError};
use self::environment::OtelEnvironment;
use self::metadata::lower_metadata;
use self::runtime::Runtime;
use super::{FieldPath, Loaded, Problems};
use crate::snapshot::{
    ClusterId, Node, Snapshot, access_log::LogTarget, cluster::Cluster, format::Constants,
    log_service::LogService, tracing::Tracer,
};

/// What the command line says over the file.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--service-node`, over `node.id`.
    pub node: Option<String>,
    /// `--service-cluster`, over `node.cluster`.
    pub cluster: Option<String>,
    /// `--service-zone`, over `node.locality.zone`.
    pub zone: Option<String>,
    /// `--map-address`.
    pub addresses: AddressMap,
    /// Variables that count instead of the environment's.
    pub variables: Vec<(String, String)>,
    /// `--log-format` was given.
    pub log_format: bool,
}

/// Lower what was loaded. Problems are added to `problems`, without places; with any, the snapshot is of no use.
pub(crate) fn lower(loaded: &Loaded, overrides: &Overrides, problems: &mut Problems) -> Snapshot {
    let bootstrap = &loaded.bootstrap;
    let proto_node = node_of(bootstrap.node.as_ref(), overrides);
    let node = node(&proto_node);
    let mut lowering = Lowering {
        problems,
        addresses: &overrides.addresses,
        variables: &overrides.variables,
        clusters: Vec::new(),
        cluster_index: HashMap::new(),
        tracers: Vec::new(),
        log_files: Vec::new(),
        log_services: Vec::new(),
        node: node.clone(),
        proto_node,
        runtime: Runtime::of(bootstrap.layered_runtime.as_ref()),
        constants: Constants::default(),
        observes: false,
        observes_route: false,
        skipping: !loaded.report.skipped.is_empty(),
        environment: None,
    };
    let resources = bootstrap.static_resources.clone().unwrap_or_default();
    let path = FieldPath::ROOT.field("static_resources");
    let clusters = path.field("clusters");
    for (index, cluster) in resources.clusters.iter().enumerate() {
        lowering.cluster(&clusters.index(index), cluster);
    }
    let listeners = path.field("listeners");
    let mut lowered = Vec::new();
    for (index, listener) in resources.listeners.iter().enumerate() {
        let path = listeners.index(index);
        for listener in lowering.listener(&path, listener) {
            // Port 0 is another port each time.
            let taken =
                lowered.iter().any(|(_, other): &(usize, Arc<crate::snapshot::listener::Listener>)| {
                    other.address == listener.address
                        && listener.address.socket().is_none_or(|address| address.port() != 0)
                });
            if taken {
                lowering.problems.push(
                    &path.field("address"),
                    format!("another listener has the address {} already", listener.address),
                );
            }
            lowered.push((index, Arc::new(listener)));
        }
    }
    lowering.refuse_unread_runtime(bootstrap.layered_runtime.as_ref());
    let admin = bootstrap.admin.as_ref().and_then(|admin| {
        let address = admin.address.as_ref()?;
        lowering.address(&FieldPath::ROOT.field("admin.address"), Some(address))
    });
    let application_log = lowering.application_log(bootstrap, overrides.log_format);
    let stats_config =
        lowering.stats_config(&FieldPath::ROOT.field("stats_config"), bootstrap.stats_config.as_ref());
    let stats_sinks = lowering.stats_sinks(bootstrap);
    let stats_flush = lowering.stats_flush(bootstrap);
    Snapshot {
        node,
        listeners: lowered.into_iter().map(|(_, listener)| listener).collect(),
        clusters: lowering.clusters,
        cluster_index: lowering.cluster_index,
        tracers: lowering.tracers,
        log_files: lowering.log_files,
        log_services: lowering.log_services,
        stats_config,
        stats_sinks,
        stats_flush,
        flush_stats: Default::default(),
        admin,
        application_log,
        bootstrap: prost::Message::encode_to_vec(bootstrap).into(),
        runtime: runtime_layers::of(bootstrap.layered_runtime.as_ref()),
    }
}

/// Who this proxy is, by the file and the command line.
fn node_of(node: Option<&ProtoNode>, overrides: &Overrides) -> ProtoNode {
    let mut node = node.cloned().unwrap_or_default();
    if let Some(id) = &overrides.node {
        node.id.clone_from(id);
    }
    if let Some(cluster) = &overrides.cluster {
        node.cluster.clone_from(cluster);
    }
    if let Some(zone) = &overrides.zone {
        node.locality.get_or_insert_default().zone.clone_from(zone);
    }
    node
}

fn node(node: &ProtoNode) -> Node {
    let locality = node.locality.clone().unwrap_or_default();
    Node {
        id: node.id.as_str().into(),
        cluster: node.cluster.as_str().into(),
        zone: locality.zone.into(),
        region: locality.region.into(),
        sub_zone: locality.sub_zone.into(),
    }
}

/// What lowering has so far.
struct Lowering<'a> {
    problems: &'a mut Problems,
    addresses: &'a AddressMap,
    variables: &'a [(String, String)],
    clusters: Vec<Arc<Cluster>>,
    cluster_index: HashMap<Arc<str>, ClusterId>,
    tracers: Vec<Arc<Tracer>>,
    log_files: Vec<LogTarget>,
    log_services: Vec<Arc<LogService>>,
    /// Who this proxy is.
    node: Node,
    /// The same in full.
    proto_node: ProtoNode,
    runtime: Runtime,
    /// What formats of the listener at hand have as literals.
    constants: Constants,
    /// Formats of the connection manager at hand read what streams record only where that is asked for.
    observes: bool,
    /// Some of them read what is noted of routes and virtual hosts.
    observes_route: bool,
    /// Fields that spanway does not have were left out.
    skipping: bool,
    /// Read when it is first asked for.
    environment: Option<Arc<OtelEnvironment>>,
}

impl Lowering<'_> {
    /// Runtime keys that nothing here reads would be ignored.
    fn refuse_unread_runtime(&mut self, runtime: Option<&LayeredRuntime>) {
        if runtime.is_none() {
            return;
        }
        let path = FieldPath::ROOT.field("layered_runtime");
        let known =
            |key: &&str| tracing::RUNTIME_KEYS.contains(key) || *key == http_connection_manager::CAUSE_HEADER;
        for key in self.runtime.unread().filter(|key| !known(key)) {
            self.problems.push_with_hint(
                &path,
                format!("spanway has no runtime key \"{key}\""),
                "leave it out; docs/tracing.md lists the keys that are read",
            );
        }
    }

    /// The cluster of that name, or a problem of `path`.
    fn cluster_id(&mut self, path: &FieldPath<'_>, name: &str) -> Option<ClusterId> {
        let found = self.cluster_index.get(name).copied();
        if found.is_none() {
            let near = nearest(name, self.cluster_index.keys().map(|known| &**known));
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "the clusters are those of static_resources.clusters".to_owned(),
            };
            self.problems.push_with_hint(path, format!("unknown cluster \"{name}\""), hint);
        }
        found
    }

    /// The text that a data source names, or a problem of `path`.
    fn data_source(&mut self, path: &FieldPath<'_>, source: &DataSource) -> Vec<u8> {
        match &source.specifier {
            None => Vec::new(),
            Some(Specifier::InlineString(text)) => text.clone().into_bytes(),
            Some(Specifier::InlineBytes(bytes)) => bytes.clone(),
            // Not quoted, since it may be a key.
            Some(Specifier::Filename(name) | Specifier::EnvironmentVariable(name))
                if name.contains("-----BEGIN ") =>
            {
                self.problems.push_with_hint(path, "a text in PEM, and no name", "put it in inline_string");
                Vec::new()
            }
            Some(Specifier::Filename(name)) => std::fs::read(Path::new(name)).unwrap_or_else(|error| {
                self.problems.push(&path.field("filename"), format!("cannot read \"{name}\": {error}"));
                Vec::new()
            }),
            Some(Specifier::EnvironmentVariable(name)) => {
                std::env::var(name).map(String::into_bytes).unwrap_or_else(|_| {
                    self.problems.push(
                        &path.field("environment_variable"),
                        format!("the environment has no variable \"{name}\""),
                    );
                    Vec::new()
                })
            }
        }
    }

    /// A duration, or a problem of `path` if it is negative.
    fn duration(&mut self, path: &FieldPath<'_>, duration: &ProtoDuration) -> Duration {
        let seconds = u64::try_from(duration.seconds);
        let nanos = u32::try_from(duration.nanos);
        if let (Ok(seconds), Ok(nanos)) = (seconds, nanos) {
            return Duration::new(seconds, nanos);
        }
        self.problems.push(path, "a duration cannot be negative");
        Duration::ZERO
    }

    /// A timeout: `default` where it is not set, none where it is zero.
    fn timeout(
        &mut self,
        path: &FieldPath<'_>,
        duration: Option<&ProtoDuration>,
        default: Option<Duration>,
    ) -> Option<Duration> {
        match duration {
            None => default,
            Some(duration) => Some(self.duration(path, duration)).filter(|duration| !duration.is_zero()),
        }
    }
}

/// The message in `any`. Its bytes are those of the message its type URL names, as the reader has seen to; another
/// type than `M` gives `None`.
pub(super) fn unpack<M: prost::Message + prost::Name + Default>(any: &Any) -> Option<M> {
    let name = any.type_url.rsplit('/').next().unwrap_or_default();
    if name != M::full_name() {
        return None;
    }
    M::decode(&*any.value).ok()
}

/// A wrapper's number, or the default where it is not set.
fn number(value: Option<&UInt32Value>, default: u32) -> u32 {
    value.map_or(default, |value| value.value)
}

/// The name most like `name`, if one is like it at all.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, candidate)| candidate)
}
