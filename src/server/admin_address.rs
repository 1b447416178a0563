//! Where a proxy has its admin interface, as people write it.

use std::{
    fmt::{self, Display, Formatter},
    os::unix::fs::FileTypeExt,
    path::PathBuf,
    str::FromStr,
};

use super::pages_address::PagesAddress;

/// The port that Envoy's examples have.
const PORT: u16 = 9901;

/// The address of a proxy's admin interface, `admin.address` of its bootstrap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// At a host and port; 9901 if none is said.
    Tcp(PagesAddress),
    /// At a unix socket.
    Unix(PathBuf),
}

impl FromStr for AdminAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "PORT, HOST:PORT, http://HOST:PORT or unix:/PATH is expected";
        if let Some(path) = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")) {
            return match path {
                "" => Err(format!("the path of the unix socket is missing; {EXPECTED}")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        if std::fs::metadata(text).is_ok_and(|there| there.file_type().is_socket()) {
            return Ok(Self::Unix(text.into()));
        }
        if text.starts_with(['/', '.']) {
            return Err(format!("no unix socket is at this path; {EXPECTED}"));
        }
        PagesAddress::read(text, PORT).map(Self::Tcp).map_err(|_| EXPECTED.to_owned())
    }
}

impl Display for AdminAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_port_a_host_or_a_socket() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("admin.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let socket = socket.to_str().unwrap();
        let prefixed = format!("unix:{socket}");
        for (text, read) in [
            ("21001", "localhost:21001"),
            (":21001", "127.0.0.1:21001"),
            ("proxy", "proxy:9901"),
            ("http://proxy:1/", "proxy:1"),
            ("unix:/run/admin.sock", "unix:/run/admin.sock"),
            ("unix:///run/admin.sock", "unix:/run/admin.sock"),
            (socket, &prefixed),
        ] {
            let address = text.parse::<AdminAddress>().map(|address| address.to_string());
            assert_eq!(address, Ok(read.to_owned()), "{text}");
        }
        for wrong in ["", "unix:", "99999", "a b", "https://a:1", "/nowhere/admin.sock", "./admin.sock"] {
            let refusal = wrong.parse::<AdminAddress>().unwrap_err();
            assert!(
                refusal.contains("PORT, HOST:PORT, http://HOST:PORT or unix:/PATH"),
                "{wrong}: {refusal}"
            );
        }
    }
}
