//! The YAML of a sandbox's proxies: the files of its folder, or those in the binary.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::topology::{Role, Topology};

/// Where the YAML comes from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The files of a folder.
    Folder(PathBuf),
    /// The files as they were when this binary was built.
    BuiltIn,
}

/// A folder that lacks a file.
#[derive(Debug, Error)]
#[error("{} is not a file; --dir must name a folder with {}", .missing.display(), .needed.join(", "))]
pub(super) struct FolderError {
    missing: PathBuf,
    needed: Vec<&'static str>,
}

impl Source {
    /// The folder that the user names, else `sandboxes/NAME` if it is here, else the binary.
    pub(super) fn of(topology: &Topology, named: Option<&Path>) -> Result<Self, FolderError> {
        let usual = Path::new("sandboxes").join(topology.name);
        let folder = match named {
            Some(folder) => folder.to_owned(),
            None if usual.is_dir() => usual,
            None => return Ok(Self::BuiltIn),
        };
        let files = topology.members.iter().filter_map(|member| match member.role {
            Role::Proxy { file, .. } => Some(file),
            _ => None,
        });
        let needed: Vec<&str> = files.collect();
        match needed.iter().map(|file| folder.join(file)).find(|path| !path.is_file()) {
            None => Ok(Self::Folder(folder)),
            Some(missing) => Err(FolderError { missing, needed }),
        }
    }

    /// The flags by which a proxy gets its configuration. Text is handed over as such, so that no
    /// temporary file is left behind, however the sandbox ends.
    pub(super) fn flags(&self, file: &str, built_in: &str) -> [OsString; 2] {
        match self {
            Self::Folder(folder) => ["--config-path".into(), folder.join(file).into()],
            Self::BuiltIn => ["--config-yaml".into(), built_in.into()],
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}/*.yaml", folder.display()),
            Self::BuiltIn => f.write_str("Envoy's own files, built in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_lacks_a_file_is_refused_with_the_list_of_files() {
        let topology = Topology::named("opentelemetry").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("envoy-front-proxy.yaml"), "").unwrap();
        let message = Source::of(topology, Some(folder.path())).unwrap_err().to_string();
        assert!(message.contains("/envoy-1.yaml is not a file"), "{message}");
        assert!(message.ends_with("envoy-front-proxy.yaml, envoy-1.yaml, envoy-2.yaml"), "{message}");
    }
}
