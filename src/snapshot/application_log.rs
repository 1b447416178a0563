//! What a line of the program's own log looks like, where the configuration says so.

/// The format of a line. `Bootstrap.application_log_config.log_format`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ApplicationLogFormat {
    /// A pattern. `text_format`.
    Text(String),
    /// JSON in whose names and texts patterns stand. `json_format`.
    Json(serde_json::Value),
}
