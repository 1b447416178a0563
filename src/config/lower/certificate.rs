//! Reads what a certificate says. Whether it is good is rustls's affair.

use std::net::IpAddr;

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};
use rustls::pki_types::CertificateDer;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer,
};

use crate::snapshot::certificate::{Certificate, SubjectAltName};

/// What `certificate` says, which came from `source`; `None` for one that cannot be read.
pub(super) fn of(source: &DataSource, certificate: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let path = match &source.specifier {
        Some(Specifier::Filename(path)) => path.as_str(),
        _ => "<inline>",
    };
    let serial = parsed.raw_serial();
    let leading = serial.iter().take_while(|byte| **byte == 0).count().min(serial.len().saturating_sub(1));
    let digits = serial.iter().skip(leading).map(|byte| format!("{byte:02x}"));
    Some(Certificate {
        path: path.into(),
        serial_number: digits.collect::<String>().into(),
        subject_alt_names: subject_alt_names(&parsed),
        valid_from: parsed.validity().not_before.timestamp(),
        expiration_time: parsed.validity().not_after.timestamp(),
    })
}

/// Names of hosts first, then URIs, then addresses, as Envoy sorts them.
fn subject_alt_names(certificate: &X509Certificate<'_>) -> Vec<SubjectAltName> {
    let (mut dns, mut uris, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    let names = certificate.extensions().iter().filter_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => Some(&names.general_names),
        _ => None,
    });
    for name in names.flatten() {
        match name {
            GeneralName::DNSName(name) => dns.push(SubjectAltName::Dns((*name).into())),
            GeneralName::URI(uri) => uris.push(SubjectAltName::Uri((*uri).into())),
            GeneralName::IPAddress(bytes) => {
                addresses.extend(address(bytes).map(|ip| SubjectAltName::IpAddress(ip.to_string().into())));
            }
            _ => {}
        }
    }
    dns.append(&mut uris);
    dns.append(&mut addresses);
    dns
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
