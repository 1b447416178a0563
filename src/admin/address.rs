//! Addresses in the API's JSON.

use std::path::Path;

use serde::Serialize;

use crate::snapshot::Address;

/// `envoy.config.core.v3.Address`
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AddressJson<'a> {
    SocketAddress { address: String, port_value: u16 },
    Pipe { path: &'a Path },
}

impl<'a> From<&'a Address> for AddressJson<'a> {
    fn from(address: &'a Address) -> Self {
        match address {
            Address::Socket(socket) => {
                Self::SocketAddress { address: socket.ip().to_string(), port_value: socket.port() }
            }
            Address::Pipe(path) => Self::Pipe { path },
        }
    }
}
