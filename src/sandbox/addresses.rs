//! Which port on loopback each place of a sandbox has, and how that is told to the proxies.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use thiserror::Error;

use super::topology::{Member, Place, Topology};

/// Where everyone of a sandbox listens.
#[derive(Debug)]
pub(super) struct Addresses {
    seats: Vec<Seat>,
}

/// A place with its address on this machine.
#[derive(Debug)]
pub(super) struct Seat {
    /// Who listens there.
    pub(super) member: &'static Member,
    /// What the YAML says of it.
    pub(super) place: &'static Place,
    /// Where it is on loopback.
    pub(super) address: SocketAddr,
}

/// One `--map-address` of a proxy.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// The address in the YAML.
    pub(super) from: String,
    /// The address on loopback.
    pub(super) to: SocketAddr,
}

/// Why the sandbox cannot have its ports.
#[derive(Debug, Error)]
pub(super) enum AddressError {
    /// Someone else listens where the sandbox would; all such places are named at once.
    #[error(
        "not every port can be had:\n  {}\nStop what listens there (another sandbox?), or take free ports: spanway sandbox --free-ports",
        .0.iter().map(Taken::to_string).collect::<Vec<_>>().join("\n  ")
    )]
    Taken(Vec<Taken>),
    /// The system has no port left.
    #[error("no free port on 127.0.0.1: {0}")]
    NoneFree(io::Error),
    /// The topology names a place that it does not have.
    #[error("nobody in the sandbox listens on {0}")]
    Nobody(&'static str),
}

/// A port that is not to be had.
#[derive(Debug, Error)]
#[error("{address} is wanted by {member} ({purpose}): {cause}")]
pub(super) struct Taken {
    address: SocketAddr,
    cause: io::Error,
    member: &'static str,
    purpose: &'static str,
}

/// Ports that the system gives to nobody who does not ask for them by number: until a member listens, neither another
/// process's connection takes its port, nor does an attempt to connect to it meet itself there. From a random one on,
/// so that sandboxes that start together do not meet.
fn candidates() -> impl Iterator<Item = u16> {
    const PORTS: std::ops::Range<u16> = 15_000..32_000;
    let start = fastrand::u16(PORTS);
    (start..PORTS.end).chain(PORTS.start..start)
}

impl Addresses {
    /// The ports of the topology, all of which must be free.
    pub(super) fn usual(topology: &'static Topology) -> Result<Self, AddressError> {
        let addresses = Self::assign(topology, |place| loopback(place.loopback_port));
        // All are tried before anyone is started, so that the user hears of every conflict at once.
        let taken: Vec<Taken> = addresses.seats.iter().filter_map(Seat::taken).collect();
        if taken.is_empty() { Ok(addresses) } else { Err(AddressError::Taken(taken)) }
    }

    /// Ports that are free just now.
    pub(super) fn free(topology: &'static Topology) -> Result<Self, AddressError> {
        let mut addresses = Self::assign(topology, |_| loopback(0));
        let mut ports = candidates();
        for seat in &mut addresses.seats {
            seat.address = ports
                .by_ref()
                .map(loopback)
                .find(|address| TcpListener::bind(address).is_ok())
                .ok_or_else(|| AddressError::NoneFree(io::ErrorKind::AddrInUse.into()))?;
        }
        Ok(addresses)
    }

    fn assign(topology: &'static Topology, address: impl Fn(&Place) -> SocketAddr) -> Self {
        let places =
            topology.members.iter().flat_map(|member| member.places.iter().map(move |place| (member, place)));
        Self {
            seats: places.map(|(member, place)| Seat { member, place, address: address(place) }).collect(),
        }
    }

    /// Every place, in the order of the topology.
    pub(super) fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The places of one member, in its order.
    pub(super) fn of<'a>(&'a self, member: &'a Member) -> impl Iterator<Item = &'a Seat> {
        self.seats.iter().filter(move |seat| seat.member.name == member.name)
    }

    /// Where that is which the YAML calls `name`.
    pub(super) fn resolve(&self, name: &'static str) -> Result<SocketAddr, AddressError> {
        let seat = self.seats.iter().find(|seat| seat.host_name() == name);
        seat.map(|seat| seat.address).ok_or(AddressError::Nobody(name))
    }

    /// What a proxy must be told: where its own listeners are, and where those whom it calls are.
    pub(super) fn mappings(&self, member: &Member) -> Result<Vec<Mapping>, AddressError> {
        let own = self.of(member).map(|seat| Ok(Mapping { from: seat.own_name(), to: seat.address }));
        let called =
            member.calls.iter().map(|name| Ok(Mapping { from: (*name).to_owned(), to: self.resolve(name)? }));
        own.chain(called).collect()
    }
}

impl Seat {
    /// The address as the member's own YAML has it: in a container of its own it has every interface.
    pub(super) fn own_name(&self) -> String {
        format!("0.0.0.0:{}", self.place.port)
    }

    /// The address as the YAML of those who call it has it.
    pub(super) fn host_name(&self) -> String {
        format!("{}:{}", self.member.name, self.place.port)
    }

    fn taken(&self) -> Option<Taken> {
        let cause = TcpListener::bind(self.address).err()?;
        Some(Taken { address: self.address, cause, member: self.member.name, purpose: self.place.purpose })
    }
}

impl Mapping {
    /// The value of `--map-address`.
    pub(super) fn as_flag(&self) -> String {
        format!("{}={}", self.from, self.to)
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn opentelemetry() -> &'static Topology {
        Topology::named("opentelemetry").unwrap()
    }

    #[test]
    fn a_proxy_is_told_of_its_listeners_and_of_its_callees_only() {
        let addresses = Addresses::assign(opentelemetry(), |place| loopback(place.loopback_port));
        let envoy_1 = &opentelemetry().members[1];
        let flags: Vec<String> = addresses.mappings(envoy_1).unwrap().iter().map(Mapping::as_flag).collect();
        assert_eq!(
            flags,
            [
                "0.0.0.0:10000=127.0.0.1:10100",
                "0.0.0.0:10001=127.0.0.1:10101",
                "service-1:8080=127.0.0.1:10180",
                "envoy-2:10000=127.0.0.1:10200",
                "opentelemetry:4317=127.0.0.1:4317",
            ]
        );
    }

    #[test]
    fn every_address_of_a_topology_is_somebody_s() {
        for topology in super::super::topology::KNOWN {
            let addresses = Addresses::assign(topology, |place| loopback(place.loopback_port));
            addresses.resolve(topology.entrance).unwrap();
            addresses.resolve(topology.pages).unwrap();
            for member in topology.members {
                addresses.mappings(member).unwrap();
            }
        }
    }

    #[test]
    fn free_ports_differ_from_each_other() {
        let addresses = Addresses::free(opentelemetry()).unwrap();
        let ports: HashSet<u16> = addresses.seats().iter().map(|seat| seat.address.port()).collect();
        assert_eq!(ports.len(), addresses.seats().len());
        assert!(!ports.contains(&0));
    }

    #[test]
    fn a_taken_port_is_named_with_who_wants_it() {
        let holder = TcpListener::bind(loopback(0)).unwrap();
        let member = &opentelemetry().members[0];
        let seat = Seat { member, place: &member.places[0], address: holder.local_addr().unwrap() };
        let message = AddressError::Taken(vec![seat.taken().unwrap()]).to_string();
        let line = format!("\n  {} is wanted by envoy-front-proxy (front proxy", seat.address);
        assert!(message.contains(&line), "{message}");
        assert!(message.contains("--free-ports"), "{message}");
    }
}
