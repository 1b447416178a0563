//! Where a collector has its pages, as people write it.

use std::{
    fmt::{self, Display, Formatter},
    net::Ipv6Addr,
    str::FromStr,
};

/// The port of the pages unless something else is said.
const PORT: u16 = 55_679;

/// The address of a collector's pages: where to connect, and the path below which they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesAddress {
    /// HOST:PORT.
    pub authority: String,
    /// What all paths begin with; empty, or a slash and more, without a slash at its end.
    pub base: String,
}

impl FromStr for PagesAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::read(text, PORT)
    }
}

impl PagesAddress {
    /// Read HOST, HOST:PORT, :PORT, PORT, or such with a path, or all of it as http://. `port` is that of who says none.
    pub(super) fn read(text: &str, port: u16) -> Result<Self, String> {
        let wrong = || "HOST:PORT, PORT or http://HOST:PORT/PATH is expected".to_owned();
        let rest = text.strip_prefix("http://");
        if rest.is_none() && text.contains("://") {
            return Err(format!("pages are served over http; {}", wrong()));
        }
        let default_port = if rest.is_some() { 80 } else { port };
        let rest = rest.unwrap_or(text);
        // What stands behind the path is of one page.
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, base) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let (host, port) = match authority.rsplit_once(':') {
            _ if authority.parse::<Ipv6Addr>().is_ok() => (format!("[{authority}]"), default_port),
            Some((host, port)) if !host.ends_with(':') && !authority.ends_with(']') => {
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                (host.to_owned(), port.parse().map_err(|_| wrong())?)
            }
            // Nobody names a host so, though resolvers take it for the address 0.0.x.y.
            _ if text.starts_with(authority) && is_number(authority) => {
                ("localhost".to_owned(), authority.parse().map_err(|_| wrong())?)
            }
            _ => (authority.to_owned(), default_port),
        };
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._[]:%".contains(letter);
        if host.is_empty() || port == 0 || !host.chars().all(is_host) || base.contains(char::is_whitespace) {
            return Err(wrong());
        }
        Ok(Self { authority: format!("{host}:{port}"), base: base.trim_end_matches('/').to_owned() })
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Display for PagesAddress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.authority, self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_as_people_write_it() {
        for (text, read) in [
            ("127.0.0.1:55679", "127.0.0.1:55679"),
            ("localhost:1", "localhost:1"),
            ("collector", "collector:55679"),
            (":8080", "127.0.0.1:8080"),
            ("8080", "localhost:8080"),
            ("8080/traces", "localhost:8080/traces"),
            ("[::1]:5", "[::1]:5"),
            ("::1", "[::1]:55679"),
            ("[::1]", "[::1]:55679"),
            ("http://localhost:9901/traces/", "localhost:9901/traces"),
            ("http://traces.example/", "traces.example:80"),
            ("http://:7/?service=shop", "127.0.0.1:7"),
            ("localhost:9901/traces", "localhost:9901/traces"),
        ] {
            assert_eq!(
                text.parse::<PagesAddress>().map(|address| address.to_string()),
                Ok(read.to_owned()),
                "{text}"
            );
        }
        for wrong in [
            "",
            ":",
            "a:b",
            "a:70000",
            "70000",
            "0",
            "a:0",
            "https://a:1",
            "ftp://a",
            "a b:1",
            "u@a:1",
            "http://",
            "/traces",
            "a:1/b c",
        ] {
            assert!(wrong.parse::<PagesAddress>().is_err_and(|told| told.contains("HOST:PORT")), "{wrong}");
        }
    }
}
