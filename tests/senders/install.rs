//! Sets up the SDKs that send, and runs the scripts that use them.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{process::Command, sync::OnceCell, time::timeout};

/// Python's SDK, as PyPI calls it.
const PYTHON_PACKAGES: [&str; 3] = [
    "opentelemetry-sdk==1.45.2",
    "opentelemetry-exporter-otlp-proto-grpc==1.45.2",
    "opentelemetry-exporter-otlp-proto-http==1.45.2",
];

/// Node's SDK, as npm calls it: the newest that runs with the Node of Debian 12.
const NODE_PACKAGES: [&str; 6] = [
    "@opentelemetry/api@1.9.1",
    "@opentelemetry/exporter-trace-otlp-grpc@0.223.1",
    "@opentelemetry/exporter-trace-otlp-http@0.223.1",
    "@opentelemetry/exporter-trace-otlp-proto@0.223.1",
    "@opentelemetry/resources@2.12.0",
    "@opentelemetry/sdk-trace-node@2.12.0",
];

/// How long a script may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);

const SKIP: &str = "or leave the senders out with SPANWAY_SENDERS=skip";

static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();
static NODE_MODULES: OnceCell<PathBuf> = OnceCell::const_new();

/// A Python that has the SDK, in a virtual environment under target/, which is set up once.
pub(crate) async fn python() -> &'static Path {
    PYTHON.get_or_init(set_up_python).await
}

async fn set_up_python() -> PathBuf {
    let folder = target("senders-venv");
    let python = folder.join("bin/python");
    if !is_set_up(&folder, &PYTHON_PACKAGES) {
        let set_up = async {
            succeed(Command::new("python3").args(["-m", "venv"]).arg(&folder)).await?;
            succeed(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PYTHON_PACKAGES))
                .await
        };
        if let Err(told) = set_up.await {
            panic!("no SDK of Python: install python3 with venv and pip, {SKIP}: {told}");
        }
        mark_as_set_up(&folder, &PYTHON_PACKAGES);
    }
    python
}

/// The folder that has Node's SDK, under target/, which is filled once.
pub(crate) async fn node_modules() -> &'static Path {
    NODE_MODULES.get_or_init(set_up_node).await
}

async fn set_up_node() -> PathBuf {
    let folder = target("senders-node");
    if let Err(told) = succeed(Command::new("node").arg("--version")).await {
        panic!("no Node: install it with `apt-get install -y nodejs npm`, {SKIP}: {told}");
    }
    if !is_set_up(&folder, &NODE_PACKAGES) {
        std::fs::create_dir_all(&folder).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]).arg(&folder);
        if let Err(told) = succeed(npm.args(NODE_PACKAGES)).await {
            panic!("no SDK of Node: install npm with `apt-get install -y npm`, {SKIP}: {told}");
        }
        mark_as_set_up(&folder, &NODE_PACKAGES);
    }
    folder.join("node_modules")
}

fn target(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(name)
}

/// Whether `folder` was filled to the end, with these `packages`.
fn is_set_up(folder: &Path, packages: &[&str]) -> bool {
    std::fs::read_to_string(folder.join("packages")).is_ok_and(|there| there == packages.join("\n"))
}

fn mark_as_set_up(folder: &Path, packages: &[&str]) {
    std::fs::write(folder.join("packages"), packages.join("\n")).unwrap();
}

async fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{}: {error}", command.as_std().get_program().display()))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// A script of this folder.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/senders").join(name)
}

/// Run a script. It has to be silent, too: an SDK only logs that something was not taken.
pub(crate) async fn run(script: &mut Command) {
    // No variable of the developer's changes what is sent, or where.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OTEL_")) {
        script.env_remove(name);
    }
    let output = timeout(DEADLINE, script.stdin(Stdio::null()).kill_on_drop(true).output()).await;
    let Output { status, stdout, stderr } =
        output.unwrap_or_else(|_| panic!("{script:?} took longer than {DEADLINE:?}")).unwrap();
    let told = [stdout, stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
    assert!(status.success() && told.is_empty(), "{script:?}, {status}:\n{told}");
}
