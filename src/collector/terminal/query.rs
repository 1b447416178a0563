//! What is asked of the collector, as the path of a request.

use form_urlencoded::Serializer;
use serde_json::{Map, Value};

use crate::server::options::TracesOptions;

/// How many traces are listed unless the command line says how many.
pub(super) const DEFAULT_LIMIT: usize = 20;

/// An `--attribute` without a value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--attribute {0}: KEY=VALUE is expected")]
pub(super) struct NoPair(String);

/// The path that lists what `options` look for, at most `limit` traces.
pub(super) fn list(options: &TracesOptions, limit: usize) -> Result<String, NoPair> {
    let mut tags = Map::new();
    for pair in &options.attribute {
        let (key, value) = pair.split_once('=').ok_or_else(|| NoPair(pair.clone()))?;
        tags.insert(key.to_owned(), value.into());
    }
    if options.errors {
        tags.insert("otel.status_code".to_owned(), "ERROR".into());
    }
    let tags = (!tags.is_empty()).then(|| Value::Object(tags).to_string());
    let parameters = [
        ("service", &options.service),
        ("operation", &options.operation),
        ("minDuration", &options.min_duration),
        ("tags", &tags),
    ];
    let mut query = Serializer::new(String::new());
    for (name, value) in parameters {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.append_pair("limit", &limit.to_string());
    Ok(format!("/api/traces?{}", query.finish()))
}

/// `text` as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::server::options::{Command, CommandLine};

    fn options(arguments: &[&str]) -> TracesOptions {
        let all = ["spanway", "traces"].iter().chain(arguments);
        match CommandLine::try_parse_from(all).unwrap().command {
            Some(Command::Traces(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn filters_become_parameters() {
        assert_eq!(list(&options(&[]), 20), Ok("/api/traces?limit=20".to_owned()));
        let all = options(&[
            "--service=a b",
            "--operation=GET /",
            "--errors",
            "--min-duration=1ms",
            "--attribute=k=v=w",
        ]);
        assert_eq!(
            list(&all, 3).unwrap(),
            "/api/traces?service=a+b&operation=GET+%2F&minDuration=1ms\
             &tags=%7B%22k%22%3A%22v%3Dw%22%2C%22otel.status_code%22%3A%22ERROR%22%7D&limit=3"
        );
    }

    #[test]
    fn a_trace_has_no_filters() {
        let line = ["spanway", "traces", "ab", "--errors"];
        assert!(CommandLine::try_parse_from(line).is_err());
        assert_eq!(segment("a/../b"), "a%2F%2E%2E%2Fb");
    }
}
