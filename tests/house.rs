//! The layout of docs/architecture.md: imports point one way, and protobuf stays in `config`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that fails may do so where it stands"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which rooms each room may import. What is not listed may import everything (`server` wires, `config` writes
/// snapshots, `benchmark` sets up any room by itself; `collector` and `sandbox` stand apart and import no room of the
/// proxy).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("listener", &["http_connection_manager", "snapshot", "socket", "stats", "stream_info"]),
    (
        "http_connection_manager",
        &[
            "access_log",
            "filter",
            "router",
            "cluster",
            "upstream",
            "body",
            "snapshot",
            "socket",
            "stats",
            "stream_info",
            "trace",
            "http_headers",
            "stats",
        ],
    ),
    ("access_log", &["snapshot", "stats", "stream_info", "proto_writer"]),
    // Filters never import the router.
    ("filter", &["snapshot", "stream_info", "http_headers"]),
    ("router", &["cluster", "upstream", "body", "snapshot", "stream_info", "trace", "http_headers", "stats"]),
    // These two are one layer: a cluster holds its hosts' pools, and they count against its limits.
    ("cluster", &["upstream", "snapshot", "socket", "stats"]),
    // Off the workers.
    ("export", &["access_log", "cluster", "upstream", "snapshot", "trace", "proto_writer"]),
    ("stat_sinks", &["cluster", "export", "snapshot", "stats"]),
    // It asks the journey's pure parts; nothing of the journey knows it.
    (
        "explain",
        &[
            "http_connection_manager",
            "filter",
            "router",
            "cluster",
            "snapshot",
            "stream_info",
            "trace",
            "http_headers",
        ],
    ),
    (
        "admin",
        &[
            "access_log",
            "cluster",
            "collector",
            "config",
            "explain",
            "export",
            "loggers",
            "snapshot",
            "stats",
            "stream_info",
        ],
    ),
    ("upstream", &["cluster", "body", "snapshot", "socket", "stats", "stream_info", "trace"]),
    ("body", &["snapshot", "stream_info"]),
    ("stream_info", &["snapshot", "stats", "trace"]),
    ("trace", &["snapshot", "stream_info", "http_headers", "proto_writer"]),
    ("socket", &[]),
    ("proto_writer", &[]),
    // What is counted of a thing stands in the snapshot beside it.
    ("snapshot", &["stats"]),
    ("stats", &[]),
    ("loggers", &[]),
    ("collector", &["server"]),
    ("sandbox", &["server", "collector"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The first folder or file below `src`.
fn room(file: &Path) -> String {
    let inside = file.strip_prefix(root()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rooms that a file names as `crate::room`, in one line or in the braces of a `use crate::{...}`.
fn imports(text: &str) -> Vec<String> {
    let name = |rest: &str| {
        rest.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect::<String>()
    };
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if !rest.starts_with('{') {
            rooms.push(name(rest));
            continue;
        }
        let (mut depth, mut start) = (0, true);
        for (at, letter) in rest.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start = true,
                letter if letter.is_ascii_lowercase() && depth == 1 && start => {
                    rooms.push(name(&rest[at..]));
                    start = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms
}

#[test]
fn imports_point_the_way_a_request_goes() {
    let mut backwards = Vec::new();
    for file in sources(&root()) {
        let from = room(&file);
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == from) else { continue };
        let text = fs::read_to_string(&file).unwrap();
        for to in imports(&text) {
            if to != from && !allowed.contains(&to.as_str()) {
                backwards.push(format!("{} imports {to}", file.display()));
            }
        }
    }
    assert!(backwards.is_empty(), "backward arrows:\n{}", backwards.join("\n"));
}

#[test]
fn only_the_configuration_names_protobuf_types_of_the_api() {
    let naming = sources(&root())
        .into_iter()
        .filter(|file| room(file) != "config" && fs::read_to_string(file).unwrap().contains("envoy_types"));
    assert_eq!(naming.collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn the_runtime_model_knows_no_sockets_and_no_runtime() {
    for file in sources(&root().join("snapshot")) {
        let text = fs::read_to_string(&file).unwrap();
        for foreign in ["tokio", "hyper::", "prost"] {
            assert!(!text.contains(foreign), "{} names {foreign}", file.display());
        }
    }
}

#[test]
fn braces_and_single_imports_are_both_read() {
    let text = "use crate::{a, b::{c, d}, e::f}; fn g() { crate::h::i() }";
    assert_eq!(imports(text), ["a", "b", "e", "h"]);
}
