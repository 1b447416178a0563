//! The flags that this process was started with, as the admin interface shows them.

use std::path::Path;

use super::{
    log::DEFAULT_PATTERN,
    options::{Mode, Options},
};
use crate::admin::CommandLineOptions;

/// `options`, with the number of workers that they came to.
pub(super) fn command_line_options(options: &Options, workers: usize) -> CommandLineOptions {
    let path = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    CommandLineOptions {
        base_id: options.base_id.unwrap_or_default().to_string(),
        concurrency: workers,
        config_path: path(options.config_path.as_deref()),
        config_yaml: if options.config_yaml.is_some() { "[redacted]" } else { "" },
        allow_unknown_static_fields: options.skip_unsupported,
        admin_address_path: path(options.admin_address_path.as_deref()),
        log_level: options.log_level.name(),
        component_log_level: text(&options.component_log_level),
        log_format: options.log_format.clone().unwrap_or_else(|| DEFAULT_PATTERN.to_owned()),
        log_path: path(options.log_path.as_deref()),
        service_cluster: text(&options.service_cluster),
        service_node: text(&options.service_node),
        service_zone: text(&options.service_zone),
        drain_time: format!("{}s", options.drain_time_s),
        mode: match options.mode {
            Mode::Serve => "Serve",
            Mode::Validate => "Validate",
        },
        disable_hot_restart: true,
        restart_epoch: 0,
    }
}
