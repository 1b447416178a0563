//! What certificates say, for who asks; what verifies by them are the configurations of rustls.

/// The certificates of one TLS context.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    /// The first of the authorities that are trusted.
    pub(crate) ca: Option<Certificate>,
    /// The one that is shown to the other side.
    pub(crate) identity: Option<Certificate>,
}

impl Certificates {
    /// Those that there are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.ca.iter().chain(&self.identity)
    }
}

/// One certificate. `envoy.admin.v3.CertificateDetails`.
#[derive(Debug)]
pub(crate) struct Certificate {
    /// The file it is in, or `<inline>`.
    pub(crate) path: Box<str>,
    /// In hexadecimal digits.
    pub(crate) serial_number: Box<str>,
    /// For whom it is good, by kind as Envoy has them.
    pub(crate) subject_alt_names: Vec<SubjectAltName>,
    /// From when on it is good, in seconds since 1970.
    pub(crate) valid_from: i64,
    /// Until when it is good, in seconds since 1970.
    pub(crate) expiration_time: i64,
}

/// `envoy.admin.v3.SubjectAlternateName`
#[derive(Debug)]
pub(crate) enum SubjectAltName {
    /// `dns`
    Dns(Box<str>),
    /// `uri`
    Uri(Box<str>),
    /// `ip_address`
    IpAddress(Box<str>),
}

impl Certificate {
    /// Whole days from `now`, in seconds since 1970, until it is not good any more; 0 once it is not.
    pub(crate) fn days_until_expiration(&self, now: i64) -> u64 {
        u64::try_from(self.expiration_time.saturating_sub(now) / 86_400).unwrap_or(0)
    }
}
