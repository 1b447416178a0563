//! Values of flags that are more than clap knows: sizes with units, addresses with names.

use std::net::{SocketAddr, ToSocketAddrs};

use super::duration;
use crate::{
    collector::span::TraceId,
    loggers::{self, Level, Loggers},
};

/// The units of sizes, decimal and binary, as they are written; case does not matter.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// Bytes, such as `67108864`, `64MiB` or `64 MB`; more than none.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let expected =
        "write bytes, such as 67108864, or with a unit, such as 64MB or 64MiB (kB, MB, GB, KiB, MiB, GiB)";
    let (number, unit) =
        text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| factor);
    let (Some(factor), false) = (factor, number.is_empty()) else {
        return Err(format!("this is no size: {expected}"));
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)) {
        Some(0) => Err("nothing would fit: it must be more than 0".to_owned()),
        Some(bytes) => Ok(bytes),
        None => Err("this is more than a machine can have".to_owned()),
    }
}

/// The same in memory.
pub(super) fn bytes_of_memory(text: &str) -> Result<usize, String> {
    usize::try_from(bytes(text)?).map_err(|_| "this is more than a machine can have".to_owned())
}

/// Where to listen: HOST:PORT, where HOST is an address or a name.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let expected = "HOST:PORT is expected, such as 127.0.0.1:4317 or localhost:4317";
    let is_whole =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !is_whole {
        return Err(expected.to_owned());
    }
    let found: Vec<SocketAddr> =
        text.to_socket_addrs().map_err(|cause| format!("{cause}; {expected}"))?.collect();
    // The defaults are of version 4, and so are the defaults of those who send to a name.
    let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
    address.copied().ok_or_else(|| format!("the name has no address; {expected}"))
}

/// A duration, as it was written: the collector reads it again.
pub(super) fn duration(text: &str) -> Result<String, String> {
    match duration::nanoseconds(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("this is no duration: {}", duration::EXPECTED)),
    }
}

/// KEY=VALUE, as it was written.
pub(super) fn pair(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.to_owned()),
        _ => Err("KEY=VALUE is expected, such as http.status_code=503".to_owned()),
    }
}

/// More than none.
pub(super) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err("a number from 1 on is expected".to_owned()),
    }
}

/// A trace id, as it was written.
pub(super) fn trace_id(text: &str) -> Result<String, String> {
    match TraceId::from_short_hex(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a trace id has up to 32 hexadecimal digits, not all zero".to_owned()),
    }
}

/// Levels of rooms, as a text that the log will read.
pub(super) fn component_log_level(text: &str) -> Result<String, String> {
    match Loggers::new(Level::INFO).set(&loggers::pairs(text)) {
        Ok(()) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}: {}", error.detail())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_or_none() {
        for (text, size) in [
            ("1", 1),
            ("67108864", 64 << 20),
            ("64MiB", 64 << 20),
            ("64 mib", 64 << 20),
            ("64MB", 64_000_000),
            ("3kB", 3_000),
            ("3KiB", 3 << 10),
            ("2GB", 2_000_000_000),
            ("2GiB", 2 << 30),
            ("7B", 7),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for (wrong, told) in [
            ("0", "more than 0"),
            ("0MB", "more than 0"),
            ("", "no size"),
            ("MB", "no size"),
            ("-1", "no size"),
            ("1.5GB", "no size"),
            ("64M", "64MB or 64MiB"),
            ("much", "no size"),
            ("99999999999GiB", "machine"),
        ] {
            let refusal = bytes(wrong).unwrap_err();
            assert!(refusal.contains(told), "{wrong}: {refusal}");
        }
    }

    #[test]
    fn addresses_may_have_names() {
        assert_eq!(address("[::1]:5"), Ok("[::1]:5".parse().unwrap()));
        let local = address("localhost:4317").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 4317, "{local}");
        for wrong in ["localhost", ":4317", "4317", "localhost:high", "localhost:70000", ""] {
            assert!(address(wrong).unwrap_err().contains("HOST:PORT is expected"), "{wrong}");
        }
    }
}
