//! Addresses, and the map by which the command line moves them.

use std::{collections::HashMap, net::IpAddr, path::PathBuf};

use envoy_types::pb::envoy::config::core::v3::{
    Address as ProtoAddress, SocketAddress,
    address::Address as Kind,
    socket_address::{PortSpecifier, Protocol},
};

use super::Lowering;
use crate::{
    config::FieldPath,
    snapshot::{Address, cluster::DnsName},
};

/// Which addresses of the file stand for which. `--map-address FROM=TO`.
#[derive(Debug, Clone, Default)]
pub struct AddressMap(HashMap<(String, u16), (String, u16)>);

/// What `--map-address` cannot mean.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("--map-address \"{0}\": expected FROM=TO, both HOST:PORT")]
pub struct AddressMapError(String);

impl AddressMap {
    /// Read the arguments of `--map-address`.
    pub fn parse(arguments: &[String]) -> Result<Self, AddressMapError> {
        let entry = |argument: &String| {
            let split = |text: &str| {
                let (host, port) = text.rsplit_once(':')?;
                Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
            };
            let (from, to) = argument.split_once('=')?;
            Some((split(from)?, split(to)?))
        };
        let read = |argument| entry(argument).ok_or_else(|| AddressMapError(argument.clone()));
        Ok(Self(arguments.iter().map(read).collect::<Result<_, _>>()?))
    }

    fn apply(&self, host: &str, port: u16) -> (String, u16) {
        self.0.get(&(host.to_owned(), port)).cloned().unwrap_or_else(|| (host.to_owned(), port))
    }
}

impl Lowering<'_> {
    /// An address that must be an IP literal or a path, or a problem of `path`.
    pub(super) fn address(
        &mut self,
        path: &FieldPath<'_>,
        address: Option<&ProtoAddress>,
    ) -> Option<Address> {
        match address.and_then(|address| address.address.as_ref()) {
            Some(Kind::SocketAddress(socket)) => {
                let path = path.field("socket_address");
                self.refuse_udp(&path, socket);
                let name = self.socket_address(&path, socket)?;
                match name.host.parse::<IpAddr>() {
                    Ok(ip) => Some(Address::Socket((ip, name.port).into())),
                    Err(_) => {
                        self.problems.push_with_hint(
                            &path.field("address"),
                            format!("\"{}\" is not an IP address", name.host),
                            "names are resolved in clusters of type STRICT_DNS or LOGICAL_DNS",
                        );
                        None
                    }
                }
            }
            Some(Kind::Pipe(pipe)) => Some(Address::Pipe(PathBuf::from(&pipe.path))),
            Some(Kind::EnvoyInternalAddress(_)) | None => {
                self.problems.push_with_hint(path, "no address", "give a socket_address or a pipe");
                None
            }
        }
    }

    /// A host name or IP literal with its port, moved as the command line says.
    pub(super) fn dns_name(
        &mut self,
        path: &FieldPath<'_>,
        address: Option<&ProtoAddress>,
    ) -> Option<DnsName> {
        match address.and_then(|address| address.address.as_ref()) {
            Some(Kind::SocketAddress(socket)) => {
                self.refuse_udp(&path.field("socket_address"), socket);
                self.socket_address(&path.field("socket_address"), socket)
            }
            _ => {
                self.problems.push_with_hint(path, "no name to resolve", "give a socket_address");
                None
            }
        }
    }

    /// Where datagrams go: an IP literal or a path, or a problem of `path`. As in Envoy `protocol` does not matter.
    pub(super) fn datagram_address(
        &mut self,
        path: &FieldPath<'_>,
        address: Option<&ProtoAddress>,
    ) -> Option<Address> {
        let mut address = address.cloned();
        if let Some(Kind::SocketAddress(socket)) =
            address.as_mut().and_then(|address| address.address.as_mut())
        {
            socket.set_protocol(Protocol::Tcp);
        }
        self.address(path, address.as_ref())
    }

    fn refuse_udp(&mut self, path: &FieldPath<'_>, socket: &SocketAddress) {
        if socket.protocol() == Protocol::Udp {
            self.problems.push_with_hint(
                &path.field("protocol"),
                "spanway does not implement UDP",
                "supported: TCP; UDP in stats_sinks and for the X-Ray daemon",
            );
        }
    }

    fn socket_address(&mut self, path: &FieldPath<'_>, socket: &SocketAddress) -> Option<DnsName> {
        let Some(PortSpecifier::PortValue(port)) = socket.port_specifier else {
            self.problems.push(path, "no port_value");
            return None;
        };
        let Ok(port) = u16::try_from(port) else {
            self.problems
                .push(&path.field("port_value"), format!("{port} is not a port; ports end at 65535"));
            return None;
        };
        let (host, port) = self.addresses.apply(&socket.address, port);
        Some(DnsName { host: host.into(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_move_as_the_command_line_says() {
        let map =
            AddressMap::parse(&["0.0.0.0:10000=127.0.0.1:10100".into(), "envoy-2:10000=[::1]:7".into()])
                .expect("two entries");
        assert_eq!(map.apply("0.0.0.0", 10000), ("127.0.0.1".into(), 10100));
        assert_eq!(map.apply("envoy-2", 10000), ("::1".into(), 7));
        assert_eq!(map.apply("envoy-2", 10001), ("envoy-2".into(), 10001));
        assert!(AddressMap::parse(&["a:1".into()]).is_err() && AddressMap::parse(&["a=b".into()]).is_err());
    }
}
