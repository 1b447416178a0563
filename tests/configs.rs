//! Every configuration that is delivered is one that spanway accepts.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::path::{Path, PathBuf};

use harness::{DEADLINE, spanway};
use rcgen::{CertificateParams, KeyPair};

/// Where delivered configurations look for certificates and tokens.
const SECRETS: &str = "/etc/spanway/";
/// Where many systems have their authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

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

/// Write what configurations find below [`SECRETS`].
fn write_secrets(folder: &Path) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["client.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (name, text) in [
        ("grafana/authorization", "Basic dGVzdDp0ZXN0".to_owned()),
        ("collector/authorization", "Bearer test".to_owned()),
        ("collector/ca.pem", certificate.pem()),
        ("collector/client.pem", certificate.pem()),
        ("collector/client.key", key.serialize_pem()),
    ] {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// What the program says of `file`, with a key where it looks for one.
async fn told(arguments: &[&str], file: &Path) -> std::process::Output {
    let mut command = spanway(arguments);
    let told = command.arg(file).env("SIGNOZ_INGESTION_KEY", "test").output();
    tokio::time::timeout(DEADLINE, told).await.unwrap().unwrap()
}

#[tokio::test]
async fn every_delivered_configuration_is_good() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    write_secrets(folder.path());
    let secrets = format!("{}/", folder.path().display());
    for delivered in ["configs", "sandboxes"] {
        let files = files(&root.join(delivered));
        assert!(!files.is_empty(), "{delivered} is empty");
        for file in files.iter().filter(|file| file.file_name().unwrap() != "compose.yaml") {
            let text = std::fs::read_to_string(file).unwrap();
            let text = text.replace(SECRETS, &secrets);
            let text = text.replace(AUTHORITIES, &format!("{secrets}collector/ca.pem"));
            let copy = folder.path().join("copy.yaml");
            std::fs::write(&copy, text).unwrap();
            for arguments in [&["check"][..], &["--mode", "validate", "-c"]] {
                let told = told(arguments, &copy).await;
                assert_eq!(told.status.code(), Some(0), "{} {arguments:?}:\n{told:?}", file.display());
            }
        }
    }
}
