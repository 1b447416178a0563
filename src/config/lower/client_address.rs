//! Lowers how the client's address is found, and which addresses are internal.

use std::net::{IpAddr, Ipv6Addr};

use envoy_types::pb::envoy::{
    config::core::v3::{CidrRange, TypedExtensionConfig},
    extensions::{
        filters::network::http_connection_manager::v3::HttpConnectionManager as ProtoManager,
        http::original_ip_detection::{custom_header::v3::CustomHeaderConfig, xff::v3::XffConfig},
    },
};
use http::StatusCode;

use super::{Lowering, number, unpack};
use crate::{
    config::FieldPath,
    snapshot::listener::{Cidr, ClientAddress, InternalAddresses, IpDetection},
};

impl Lowering<'_> {
    /// Who the client of a connection manager is.
    pub(super) fn client_address(&mut self, path: &FieldPath<'_>, manager: &ProtoManager) -> ClientAddress {
        let internal = manager.internal_address_config.clone().unwrap_or_default();
        let ranges_path = path.field("internal_address_config.cidr_ranges");
        let mut ranges = self.cidr_ranges(&ranges_path, &internal.cidr_ranges);
        // Envoy: given without ranges, the private ones are meant; not given at all, none.
        if manager.internal_address_config.is_some() && ranges.is_empty() {
            ranges = private_ranges();
        }
        let use_remote_address = manager.use_remote_address.as_ref().is_some_and(|remote| remote.value);
        let extensions_path = path.field("original_ip_detection_extensions");
        let extensions = &manager.original_ip_detection_extensions;
        if !extensions.is_empty() && (use_remote_address || manager.xff_num_trusted_hops > 0) {
            self.problems.push_with_hint(
                &extensions_path,
                "there are use_remote_address or xff_num_trusted_hops besides",
                "the address is found in one of these ways: leave out the others",
            );
        }
        let detection = extensions.iter().enumerate();
        let detection = detection
            .filter_map(|(index, extension)| self.ip_detection(&extensions_path.index(index), extension))
            .collect();
        ClientAddress {
            internal: InternalAddresses { ranges, unix_sockets: internal.unix_sockets },
            use_remote_address,
            trusted_hops: manager.xff_num_trusted_hops,
            skip_xff_append: manager.skip_xff_append,
            detection,
        }
    }

    fn ip_detection(
        &mut self,
        path: &FieldPath<'_>,
        extension: &TypedExtensionConfig,
    ) -> Option<IpDetection> {
        let config = extension.typed_config.as_ref()?;
        let path = path.field("typed_config");
        if let Some(config) = unpack::<XffConfig>(config) {
            let append = config.skip_xff_append.as_ref().is_some_and(|skip| !skip.value);
            return match &config.xff_trusted_cidrs {
                None => Some(IpDetection::ForwardedFor { trusted_hops: config.xff_num_trusted_hops, append }),
                Some(_) if config.xff_num_trusted_hops > 0 => {
                    self.problems.push_with_hint(
                        &path,
                        "both xff_num_trusted_hops and xff_trusted_cidrs",
                        "trusted proxies are counted or listed: leave out one of them",
                    );
                    None
                }
                Some(trusted) => {
                    let ranges = self.cidr_ranges(&path.field("xff_trusted_cidrs.cidrs"), &trusted.cidrs);
                    Some(IpDetection::TrustedRanges { ranges, append })
                }
            };
        }
        let config = unpack::<CustomHeaderConfig>(config)?;
        let reject = config.reject_with_status.as_ref().map(|status| {
            let code = u16::try_from(status.code).ok().and_then(|code| StatusCode::from_u16(code).ok());
            // Envoy: what is no error is replaced by 403.
            code.filter(|code| code.is_client_error() || code.is_server_error())
                .unwrap_or(StatusCode::FORBIDDEN)
        });
        Some(IpDetection::Header {
            name: self.header_name(&path.field("header_name"), &config.header_name)?,
            trusted: config.allow_extension_to_set_address_as_trusted,
            reject,
        })
    }

    fn cidr_ranges(&mut self, path: &FieldPath<'_>, ranges: &[CidrRange]) -> Vec<Cidr> {
        let mut lowered = Vec::with_capacity(ranges.len());
        for (index, range) in ranges.iter().enumerate() {
            let path = path.index(index);
            let Ok(prefix) = range.address_prefix.parse::<IpAddr>() else {
                self.problems.push(
                    &path.field("address_prefix"),
                    format!("\"{}\" is not an IP address", range.address_prefix),
                );
                continue;
            };
            let most = if prefix.is_ipv4() { 32 } else { 128 };
            let bits = number(range.prefix_len.as_ref(), 0);
            if bits > most {
                self.problems.push(
                    &path.field("prefix_len"),
                    format!("{bits} is more than the {most} bits there are"),
                );
            }
            lowered.push(Cidr { prefix, bits: u8::try_from(bits.min(most)).unwrap_or(u8::MAX) });
        }
        lowered
    }
}

/// Addresses that are not reached from outside (RFC 1918, RFC 4193, loopback).
fn private_ranges() -> Vec<Cidr> {
    let v4 = |octets: [u8; 4], bits| Cidr { prefix: IpAddr::from(octets), bits };
    vec![
        v4([10, 0, 0, 0], 8),
        v4([172, 16, 0, 0], 12),
        v4([192, 168, 0, 0], 16),
        v4([127, 0, 0, 0], 8),
        Cidr { prefix: Ipv6Addr::LOCALHOST.into(), bits: 128 },
        Cidr { prefix: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0).into(), bits: 8 },
    ]
}
