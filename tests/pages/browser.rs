//! Finds the browser, sets up what drives it, and runs the scripts.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, sync::OnceCell, time::timeout};

/// Where Debian has the browser.
const CHROMIUM: &str = "/usr/bin/chromium";

/// What drives it, as PyPI calls it. The browser that it would bring itself is not used.
const PACKAGE: &str = "playwright==1.65.2";

/// How long a script may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(150);

static PYTHON: OnceCell<PathBuf> = OnceCell::const_new();

/// A Python that can drive the browser, in a virtual environment under target/, which is set up once.
pub(crate) async fn python() -> &'static Path {
    assert!(
        Path::new(CHROMIUM).exists(),
        "no {CHROMIUM}: install it with `apt-get install -y chromium`, or leave the pages out with SPANWAY_PAGES=skip"
    );
    PYTHON.get_or_init(set_up).await
}

async fn set_up() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages-venv");
    let python = folder.join("bin/python");
    let version = PACKAGE.split("==").nth(1).unwrap();
    let ask = format!("import importlib.metadata as m; assert m.version('playwright') == '{version}'");
    if python.exists() && command(&python, &["-c", &ask]).await.is_ok() {
        return python;
    }
    let set_up = async {
        command(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()]).await?;
        command(&python, &["-m", "pip", "install", "--quiet", PACKAGE]).await
    };
    if let Err(told) = set_up.await {
        panic!(
            "cannot set up {PACKAGE} in {}, which needs python3 with venv and pip: {told}",
            folder.display()
        );
    }
    python
}

async fn command(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Run a script of this folder; what it printed is shown if it fails.
pub(crate) async fn run(python: &Path, script: &str, arguments: &[&str]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pages");
    let mut command = Command::new(python);
    // No compiled files beside the sources.
    command.arg("-B").arg(folder.join(script)).args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await;
    let output = output.unwrap_or_else(|_| panic!("{script} took longer than {DEADLINE:?}")).unwrap();
    let told =
        [output.stdout, output.stderr].map(|told| String::from_utf8_lossy(&told).into_owned()).concat();
    println!("{told}");
    assert!(output.status.success(), "{script}:\n{told}");
}
