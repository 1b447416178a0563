//! `/server_info` and `/hot_restart_version`: what this process is.

use axum::response::Response;
use serde::Serialize;

use super::{answer, command::Asked};

/// What Envoy says without hot restart, which spanway does not have.
const HOT_RESTART_VERSION: &str = "disabled";

/// `envoy.admin.v3.ServerInfo`
#[derive(Debug, Serialize)]
struct ServerInfo<'a> {
    version: &'static str,
    state: &'static str,
    uptime_current_epoch: String,
    uptime_all_epochs: String,
    hot_restart_version: &'static str,
    command_line_options: &'a CommandLineOptions,
    node: Node<'a>,
    hot_restart_initializing: bool,
}

/// `envoy.admin.v3.CommandLineOptions`, with Envoy's names and the values that hold here; what spanway has no flag for
/// and no word to say of is left out.
#[derive(Debug, Serialize)]
pub(crate) struct CommandLineOptions {
    /// `--base-id`
    pub(crate) base_id: String,
    /// `--concurrency`, or how many workers there are without it.
    pub(crate) concurrency: usize,
    /// `--config-path`
    pub(crate) config_path: String,
    /// `--config-yaml`. Its text may have keys in it, so that only its being there is told.
    pub(crate) config_yaml: &'static str,
    /// `--skip-unsupported`, which comes nearest.
    pub(crate) allow_unknown_static_fields: bool,
    /// `--admin-address-path`
    pub(crate) admin_address_path: String,
    /// `--log-level`
    pub(crate) log_level: &'static str,
    /// `--component-log-level`
    pub(crate) component_log_level: String,
    /// `--log-format`
    pub(crate) log_format: String,
    /// `--log-path`
    pub(crate) log_path: String,
    /// `--service-cluster`
    pub(crate) service_cluster: String,
    /// `--service-node`
    pub(crate) service_node: String,
    /// `--service-zone`
    pub(crate) service_zone: String,
    /// `--drain-time-s`
    pub(crate) drain_time: String,
    /// `--mode`
    pub(crate) mode: &'static str,
    /// There is none, whatever the flag says.
    pub(crate) disable_hot_restart: bool,
    /// As `disable_hot_restart`.
    pub(crate) restart_epoch: u32,
}

/// `envoy.config.core.v3.Node`
#[derive(Debug, Serialize)]
struct Node<'a> {
    id: &'a str,
    cluster: &'a str,
    locality: Locality<'a>,
    user_agent_name: &'static str,
    user_agent_version: &'static str,
}

/// `envoy.config.core.v3.Locality`
#[derive(Debug, Serialize)]
struct Locality<'a> {
    region: &'a str,
    zone: &'a str,
    sub_zone: &'a str,
}

/// `/server_info`
pub(super) fn page(asked: &Asked) -> Response {
    let subject = &asked.subject;
    let uptime = format!("{}s", subject.started.elapsed().as_secs());
    let node = &subject.snapshot.node;
    answer::json(&ServerInfo {
        version: concat!("spanway/", env!("CARGO_PKG_VERSION")),
        state: subject.state().name(),
        uptime_current_epoch: uptime.clone(),
        uptime_all_epochs: uptime,
        hot_restart_version: HOT_RESTART_VERSION,
        command_line_options: &subject.options,
        node: Node {
            id: &node.id,
            cluster: &node.cluster,
            locality: Locality { region: &node.region, zone: &node.zone, sub_zone: &node.sub_zone },
            user_agent_name: env!("CARGO_PKG_NAME"),
            user_agent_version: env!("CARGO_PKG_VERSION"),
        },
        hot_restart_initializing: false,
    })
}

/// `/hot_restart_version`
pub(super) fn hot_restart_version(_: &Asked) -> Response {
    answer::text(HOT_RESTART_VERSION)
}
