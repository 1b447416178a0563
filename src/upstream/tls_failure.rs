//! Why a TLS handshake with a host failed.

use std::io;

use rustls::{CertificateError, Error};

/// The kinds of failures that somebody can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsFailure {
    /// The host's certificate has expired.
    Expired,
    /// The host's certificate is not valid yet.
    NotYetValid,
    /// No authority that the cluster trusts has issued the host's certificate.
    UnknownIssuer,
    /// The host's certificate is for other names.
    OtherName,
    /// The host's certificate was revoked.
    Revoked,
    /// Something else is wrong with the host's certificate.
    Certificate,
    /// The host refused, by an alert.
    Refused,
    /// What the host sends is no TLS.
    NotTls,
    /// The host closed the connection.
    Closed,
    /// Anything else, such as no version or cipher in common.
    Other,
}

impl TlsFailure {
    const ALL: [Self; 10] = [
        Self::Expired,
        Self::NotYetValid,
        Self::UnknownIssuer,
        Self::OtherName,
        Self::Revoked,
        Self::Certificate,
        Self::Refused,
        Self::NotTls,
        Self::Closed,
        Self::Other,
    ];

    /// The one that the details of a response name.
    pub(crate) fn of_details(details: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.names().1 == details)
    }

    /// What the library says.
    pub(super) fn of(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(Error::InvalidCertificate(error)) => match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::OtherName
                }
                CertificateError::Revoked => Self::Revoked,
                _ => Self::Certificate,
            },
            Some(Error::AlertReceived(_)) => Self::Refused,
            Some(Error::InvalidMessage(_)) => Self::NotTls,
            Some(_) => Self::Other,
            None => Self::Closed,
        }
    }

    /// For formats, which have no blanks there, and in the details of the response.
    pub(crate) const fn names(self) -> (&'static str, &'static str) {
        /// Both of one reason.
        macro_rules! names {
            ($reason:literal) => {
                (
                    concat!("TLS_error:_", $reason),
                    concat!(
                        "upstream_reset_before_response_started{remote_connection_failure|TLS_error:_",
                        $reason,
                        "}"
                    ),
                )
            };
        }
        match self {
            Self::Expired => names!("certificate_has_expired"),
            Self::NotYetValid => names!("certificate_is_not_yet_valid"),
            Self::UnknownIssuer => names!("certificate_of_an_unknown_issuer"),
            Self::OtherName => names!("certificate_is_for_another_name"),
            Self::Revoked => names!("certificate_was_revoked"),
            Self::Certificate => names!("certificate_is_not_acceptable"),
            Self::Refused => names!("refused_by_the_host"),
            Self::NotTls => names!("the_host_speaks_no_TLS"),
            Self::Closed => names!("connection_closed_in_the_handshake"),
            Self::Other => names!("handshake_failed"),
        }
    }

    /// What happened, after the host's address, and what to do.
    pub(crate) const fn for_people(self) -> (&'static str, &'static str) {
        match self {
            Self::Expired => ("shows a certificate that has expired", "renew it"),
            Self::NotYetValid => ("shows a certificate that is not valid yet", "are the clocks right?"),
            Self::UnknownIssuer => (
                "shows a certificate of an issuer that the cluster does not trust",
                "is its authority in trusted_ca of the cluster's validation_context?",
            ),
            Self::OtherName => (
                "shows a certificate for another name",
                "is sni of the cluster's transport_socket the host's name?",
            ),
            Self::Revoked => ("shows a certificate that was revoked", "it needs a new one"),
            Self::Certificate => (
                "shows a certificate that cannot be accepted",
                "at --component-log-level upstream:debug the log says why",
            ),
            Self::Refused => (
                "refused the TLS handshake",
                "does it want a client certificate that the cluster does not show?",
            ),
            Self::NotTls => (
                "answers a TLS handshake with something else",
                "does it speak TLS on that port? The cluster has a transport_socket",
            ),
            Self::Closed => ("closed the connection in the TLS handshake", "its own log says why"),
            Self::Other => (
                "and the cluster could not agree on TLS",
                "at --component-log-level upstream:debug the log says why",
            ),
        }
    }
}
