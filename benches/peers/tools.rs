//! The programs of a run, and where they are.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{peer::GUIDED, process, report::Row};

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    pub(crate) nginx: Option<PathBuf>,
    pub(crate) haproxy: Option<PathBuf>,
    pub(crate) envoy: Option<PathBuf>,
    pub(crate) spanway: Option<PathBuf>,
    /// What `benches/pgo.sh` built.
    pub(crate) guided: Option<PathBuf>,
    pub(crate) wrk: Option<PathBuf>,
    pub(crate) h2load: Option<PathBuf>,
}

/// The folder of the repository.
pub(crate) fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

impl Tools {
    /// Looks for all of them, and says in a line each which is missing.
    pub(crate) fn find() -> Self {
        let tools = Self {
            nginx: in_path("nginx"),
            haproxy: in_path("haproxy"),
            envoy: envoy(),
            spanway: spanway().map_err(|error| eprintln!("peers: {error}")).ok(),
            guided: Some(repository().join("target/pgo/spanway")).filter(|file| file.is_file()),
            wrk: in_path("wrk"),
            h2load: in_path("h2load"),
        };
        for (tool, found, without) in [
            ("nginx", &tools.nginx, "it is left out, and ratios to it"),
            ("haproxy", &tools.haproxy, "it is left out"),
            ("profile-guided build", &tools.guided, "benches/pgo.sh makes one; it is left out"),
            ("Envoy", &tools.envoy, "set ENVOY_BIN, or run the parity suite once, which installs it"),
            ("wrk", &tools.wrk, "what sends HTTP/1.1 at full load is left out"),
            ("h2load", &tools.h2load, "what sends HTTP/2 is left out"),
        ] {
            if found.is_none() {
                eprintln!("peers: no {tool}: {without}");
            }
        }
        tools
    }

    /// Name and version of each, as it says itself.
    pub(crate) fn versions(&self) -> Vec<(&'static str, String)> {
        let asked = [
            ("nginx", &self.nginx, "-v"),
            ("haproxy", &self.haproxy, "-v"),
            ("envoy", &self.envoy, "--version"),
            ("spanway", &self.spanway, "--version"),
            ("wrk", &self.wrk, "-v"),
            ("h2load", &self.h2load, "--version"),
        ];
        let found = asked.into_iter().filter_map(|(name, path, flag)| Some((name, path.as_ref()?, flag)));
        found.map(|(name, path, flag)| (name, version(path, flag))).collect()
    }

    /// The size of each proxy's binary, in MB.
    pub(crate) fn sizes(&self) -> Vec<Row> {
        let proxies = [("nginx", &self.nginx), ("haproxy", &self.haproxy), ("envoy", &self.envoy)];
        let proxies = proxies.into_iter().chain([("spanway", &self.spanway), (GUIDED, &self.guided)]);
        proxies
            .filter_map(|(name, path)| Some((name, path.as_ref()?.metadata().ok()?.len())))
            .map(|(name, bytes)| {
                let mut row = Row::new("start-up", "binary", name);
                row.set("binary_mb", bytes as f64 / 1e6);
                row
            })
            .collect()
    }
}

/// The first number with a dot in what a program says of itself: "nginx/1.22.1", "debian/4.1.0-3+b2".
fn version(path: &Path, flag: &str) -> String {
    let output = Command::new(path).arg(flag).output();
    let text = output
        .map(|output| {
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
        })
        .unwrap_or_default();
    let words = text.split(|letter: char| letter.is_whitespace() || "/()".contains(letter));
    let number = words.map(|word| word.trim_start_matches('v')).find(|word| {
        word.starts_with(|letter: char| letter.is_ascii_digit())
            && word.contains('.')
            && word.split('.').all(|part| part.starts_with(|letter: char| letter.is_ascii_digit()))
    });
    // Without what the distribution adds.
    number.and_then(|number| number.split('-').next()).unwrap_or("?").to_owned()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // nginx and haproxy are where only root's PATH leads.
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(more).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// $ENVOY_BIN, or the one that the parity suite installed.
fn envoy() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ENVOY_BIN") {
        return Some(PathBuf::from(path)).filter(|path| path.is_file());
    }
    let mut folders = vec![repository().join("target/parity-venv/lib")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.ends_with("_bin/envoy") {
                return Some(path);
            }
        }
    }
    None
}

/// $SPANWAY_BIN, or the release binary of the repository, built first so that it is never an old one.
fn spanway() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("SPANWAY_BIN") {
        let path = PathBuf::from(path);
        return if path.is_file() { Ok(path) } else { Err("SPANWAY_BIN names no file".to_owned()) };
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| repository().join("target"), PathBuf::from);
    eprintln!("peers: cargo build --release (SPANWAY_BIN names a binary that is there)");
    let every_core: Vec<usize> =
        std::thread::available_parallelism().map_or(vec![0], |count| (0..count.get()).collect());
    let mut build = Command::new(cargo);
    build.args(["build", "--release", "--quiet", "--package", "spanway", "--bin", "spanway"]);
    build.current_dir(repository());
    // What cargo told this bench of its own package; build scripts that look at it would run again, here and when
    // cargo is called from a shell the next time, and most of the tree with them.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_"].iter().any(|own| text.starts_with(own)) {
            build.env_remove(&name);
        }
    }
    process::run(&mut build, &every_core, Duration::from_secs(1800))?;
    let binary = repository().join(target).join("release/spanway");
    if binary.is_file() { Ok(binary) } else { Err("cargo built no target/release/spanway".to_owned()) }
}
