//! Every configuration that is delivered is one that spanway accepts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::path::{Path, PathBuf};

use harness::run;

/// The YAML files of a folder and of its folders.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn every_delivered_configuration_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["configs", "sandboxes"] {
        let files = files(&root.join(folder));
        assert!(!files.is_empty(), "{folder} is empty");
        for file in files.iter().filter(|file| file.file_name().unwrap() != "compose.yaml") {
            let check = run(["check".as_ref(), file.as_os_str()]).await;
            assert_eq!(check.code, Some(0), "{}:\n{}", file.display(), check.stdout);
            let serve = run(["--mode".as_ref(), "validate".as_ref(), "-c".as_ref(), file.as_os_str()]).await;
            assert_eq!(serve.code, Some(0), "{}:\n{}", file.display(), serve.stderr);
        }
    }
}
