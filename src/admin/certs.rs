//! `/certs`: the certificates of listeners and clusters, and how long they are good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::response::Response;
use serde::Serialize;

use super::{Subject, answer, command::Asked};
use crate::{
    snapshot::certificate::{Certificate, Certificates, SubjectAltName},
    stream_info::calendar::iso_8601,
};

/// `envoy.admin.v3.Certificates`
#[derive(Debug, Serialize)]
struct Contexts<'a> {
    certificates: Vec<Context<'a>>,
}

/// `envoy.admin.v3.Certificate`, which is that of one TLS context.
#[derive(Debug, Serialize)]
struct Context<'a> {
    ca_cert: Vec<Details<'a>>,
    cert_chain: Vec<Details<'a>>,
}

/// `envoy.admin.v3.CertificateDetails`
#[derive(Debug, Serialize)]
struct Details<'a> {
    path: &'a str,
    serial_number: &'a str,
    subject_alt_names: Vec<Name<'a>>,
    days_until_expiration: String,
    valid_from: String,
    expiration_time: String,
}

/// `envoy.admin.v3.SubjectAlternateName`
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Name<'a> {
    Dns(&'a str),
    Uri(&'a str),
    IpAddress(&'a str),
}

impl<'a> From<&'a SubjectAltName> for Name<'a> {
    fn from(name: &'a SubjectAltName) -> Self {
        match name {
            SubjectAltName::Dns(name) => Self::Dns(name),
            SubjectAltName::Uri(uri) => Self::Uri(uri),
            SubjectAltName::IpAddress(address) => Self::IpAddress(address),
        }
    }
}

/// `/certs`
pub(super) fn page(asked: &Asked) -> Response {
    let now = now();
    let contexts = contexts(&asked.subject).map(|certificates| Context {
        ca_cert: details_of(&certificates.ca, now),
        cert_chain: details_of(&certificates.identity, now),
    });
    answer::json(&Contexts { certificates: contexts.collect() })
}

/// Days until the first certificate is not good any more; as in Envoy the largest number of 32 bits without one.
pub(super) fn days_until_first_expires(subject: &Subject) -> u64 {
    let now = now();
    let certificates = contexts(subject).flat_map(Certificates::iter);
    certificates
        .map(|certificate| certificate.days_until_expiration(now))
        .min()
        .unwrap_or_else(|| u32::MAX.into())
}

/// Of all TLS contexts, those of listeners first. Listeners of one filter chain share one.
fn contexts(subject: &Subject) -> impl Iterator<Item = &Certificates> {
    let snapshot = &subject.snapshot;
    let listeners = snapshot.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let clusters = snapshot.clusters.iter().filter_map(|cluster| cluster.tls.as_ref());
    listeners.map(|tls| &*tls.certificates).chain(clusters.map(|tls| &tls.certificates))
}

fn details_of(certificate: &Option<Certificate>, now: i64) -> Vec<Details<'_>> {
    certificate.iter().map(|certificate| details(certificate, now)).collect()
}

fn details(certificate: &Certificate, now: i64) -> Details<'_> {
    Details {
        path: &certificate.path,
        serial_number: &certificate.serial_number,
        subject_alt_names: certificate.subject_alt_names.iter().map(Name::from).collect(),
        days_until_expiration: certificate.days_until_expiration(now).to_string(),
        valid_from: date(certificate.valid_from),
        expiration_time: date(certificate.expiration_time),
    }
}

/// Without fractions of a second, of which certificates have none.
fn date(seconds: i64) -> String {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    iso_8601(UNIX_EPOCH + since).replace(".000Z", "Z")
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
