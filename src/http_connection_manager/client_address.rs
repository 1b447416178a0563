//! Who the client is: the peer of the connection, or whom those in front of it name.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, StatusCode};

use super::edge_headers::joined;
use crate::{
    http_headers::{Present, X_FORWARDED_FOR},
    snapshot::{
        listener::{Cidr, ClientAddress, InternalAddresses, IpDetection},
        matcher::header_text,
    },
};

/// The client behind a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client {
    /// Its address as far as it can be trusted.
    pub(crate) address: Option<SocketAddr>,
    /// It is internal.
    pub(crate) internal: bool,
    /// It is at the edge.
    pub(crate) edge: bool,
    /// The peer is to be appended to `x-forwarded-for`.
    pub(crate) append_peer: bool,
}

/// What was found out of a client's address.
struct Found {
    address: Option<SocketAddr>,
    /// It may be an internal one.
    trusted: bool,
    append_peer: bool,
}

/// Who the client is. `Err` is the status that refuses one whose address cannot be told.
pub(crate) fn identify(
    options: &ClientAddress,
    headers: &HeaderMap,
    present: Present,
    peer: Option<SocketAddr>,
) -> Result<Client, StatusCode> {
    let forwarded =
        if present.any(Present::X_FORWARDED_FOR) { joined(headers, &X_FORWARDED_FOR) } else { None };
    let found = if options.detection.is_empty() {
        by_default(options, forwarded.as_deref(), peer)
    } else {
        by_detection(&options.detection, headers, forwarded.as_deref(), peer)?
    };
    let internal = found.trusted && is_internal(&options.internal, found.address);
    Ok(Client {
        address: found.address,
        internal,
        edge: !internal && options.use_remote_address,
        append_peer: found.append_peer,
    })
}

fn by_default(options: &ClientAddress, forwarded: Option<&str>, peer: Option<SocketAddr>) -> Found {
    let hops = options.trusted_hops as usize;
    if options.use_remote_address {
        let listed = if hops > 0 { entry(forwarded, hops - 1) } else { None };
        return Found {
            address: listed.or(peer),
            trusted: forwarded.is_none(),
            append_peer: !options.skip_xff_append,
        };
    }
    let (address, trusted) = last_entry(forwarded, hops).map_or((peer, false), |it| (Some(it.0), it.1));
    Found { address, trusted, append_peer: false }
}

/// The first of the extensions that finds an address, or the peer.
fn by_detection(
    detection: &[IpDetection],
    headers: &HeaderMap,
    forwarded: Option<&str>,
    peer: Option<SocketAddr>,
) -> Result<Found, StatusCode> {
    let mut append_unknown = false;
    for extension in detection {
        let (found, append_peer) = match extension {
            IpDetection::ForwardedFor { trusted_hops, append } => {
                (last_entry(forwarded, *trusted_hops as usize), *append)
            }
            IpDetection::TrustedRanges { ranges, append } => {
                let trusts_peer = peer.is_some_and(|peer| contains(ranges, peer.ip()));
                if !trusts_peer {
                    // As in Envoy such a peer is told to the host as the client.
                    append_unknown = true;
                }
                (forwarded.filter(|_| trusts_peer).and_then(|list| untrusted_entry(list, ranges)), *append)
            }
            IpDetection::Header { name, trusted, reject } => {
                let address = headers.get(name).and_then(|value| parse(header_text(value)));
                if let (None, Some(status)) = (address, reject) {
                    return Err(*status);
                }
                (address.map(|address| (address, *trusted)), false)
            }
        };
        if let Some((address, trusted)) = found {
            return Ok(Found { address: Some(address), trusted, append_peer });
        }
    }
    Ok(Found { address: peer, trusted: false, append_peer: append_unknown })
}

/// The entry that is so many from the right, and whether it is the only one.
fn last_entry(forwarded: Option<&str>, from_right: usize) -> Option<(SocketAddr, bool)> {
    let address = entry(forwarded, from_right)?;
    Some((address, from_right == 0 && forwarded.is_some_and(|list| !list.contains(','))))
}

fn entry(forwarded: Option<&str>, from_right: usize) -> Option<SocketAddr> {
    parse(forwarded?.rsplit(',').nth(from_right)?)
}

/// The last entry that is in none of the ranges, or else the first entry; and whether it is the only one.
fn untrusted_entry(list: &str, ranges: &[Cidr]) -> Option<(SocketAddr, bool)> {
    let mut last = None;
    for entry in list.rsplit(',') {
        let address = parse(entry)?;
        last = Some(address);
        if !contains(ranges, address.ip()) {
            break;
        }
    }
    Some((last?, !list.contains(',')))
}

fn contains(ranges: &[Cidr], ip: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(ip))
}

fn parse(text: &str) -> Option<SocketAddr> {
    text.trim().parse::<IpAddr>().ok().map(|ip| SocketAddr::from((ip, 0)))
}

fn is_internal(addresses: &InternalAddresses, address: Option<SocketAddr>) -> bool {
    match address {
        Some(address) => contains(&addresses.ranges, address.ip()),
        None => addresses.unix_sockets,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn options(use_remote_address: bool, trusted_hops: u32, internal: &str) -> ClientAddress {
        let ranges = match internal.split_once('/') {
            Some((prefix, bits)) => {
                vec![Cidr {
                    prefix: prefix.parse().expect("an address"),
                    bits: bits.parse().expect("a number"),
                }]
            }
            None => Vec::new(),
        };
        ClientAddress {
            use_remote_address,
            trusted_hops,
            skip_xff_append: false,
            detection: Vec::new(),
            internal: InternalAddresses { ranges, unix_sockets: false },
        }
    }

    fn client(options: &ClientAddress, peer: &str, forwarded: &[&'static str]) -> (String, bool, bool) {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let peer = SocketAddr::from((peer.parse::<IpAddr>().expect("an address"), 5));
        let client = identify(options, &headers, Present::of(&headers), Some(peer)).expect("an address");
        (client.address.expect("an address").ip().to_string(), client.internal, client.edge)
    }

    #[test]
    fn a_client_facing_listener_trusts_the_peer_or_the_trusted_hops() {
        let list = ["1.1.1.1, 2.2.2.2,10.0.0.3"];
        for (hops, address) in
            [(0, "10.0.0.1"), (1, "10.0.0.3"), (2, "2.2.2.2"), (3, "1.1.1.1"), (4, "10.0.0.1")]
        {
            assert_eq!(
                client(&options(true, hops, ""), "10.0.0.1", &list),
                (address.into(), false, true),
                "{hops}"
            );
        }
        assert_eq!(client(&options(true, 1, ""), "10.0.0.1", &["junk"]).0, "10.0.0.1");
    }

    #[test]
    fn a_client_facing_listener_finds_internal_only_peers_that_forward_for_nobody() {
        let internal = options(true, 0, "10.0.0.0/8");
        assert_eq!(client(&internal, "10.0.0.1", &[]), ("10.0.0.1".into(), true, false));
        assert_eq!(client(&internal, "10.0.0.1", &["10.0.0.2"]), ("10.0.0.1".into(), false, true));
        assert!(client(&internal, "::ffff:10.0.0.1", &[]).1, "a mapped address is the same address");
    }

    #[test]
    fn an_inner_listener_trusts_the_last_entry_and_calls_only_a_single_one_internal() {
        let internal = options(false, 0, "10.0.0.0/8");
        assert_eq!(client(&internal, "10.0.0.1", &["10.0.0.2"]), ("10.0.0.2".into(), true, false));
        assert_eq!(client(&internal, "10.0.0.1", &["1.1.1.1, 10.0.0.2"]), ("10.0.0.2".into(), false, false));
        assert!(!client(&internal, "10.0.0.1", &["1.1.1.1", "10.0.0.2"]).1, "two lines are one list");
        assert_eq!(client(&internal, "10.0.0.1", &[]), ("10.0.0.1".into(), false, false));
        assert_eq!(client(&options(false, 1, ""), "10.0.0.9", &["1.1.1.1, 10.0.0.2"]).0, "1.1.1.1");
    }
}
