//! What the TLS of a connection agreed on, in the words of OpenSSL, which Envoy's logs have.

use rustls::{CipherSuite, ProtocolVersion};

/// Version and cipher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TlsFacts {
    /// `TLSv1.3`
    pub(crate) version: &'static str,
    /// `TLS_AES_128_GCM_SHA256`, `ECDHE-RSA-AES128-GCM-SHA256`
    pub(crate) cipher: &'static str,
    /// The number of the cipher suite, as IANA has it.
    pub(crate) suite: u16,
    /// The client has shown a certificate.
    pub(crate) mutual: bool,
}

impl TlsFacts {
    /// Of a handshake that is complete.
    pub(crate) fn of((version, suite): (ProtocolVersion, CipherSuite)) -> Self {
        let version = match version {
            ProtocolVersion::TLSv1_2 => "TLSv1.2",
            ProtocolVersion::TLSv1_3 => "TLSv1.3",
            other => other.as_str().unwrap_or("unknown"),
        };
        let cipher = match suite {
            CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
            CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
            CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
            CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
            other => other.as_str().unwrap_or("unknown"),
        };
        Self { version, cipher, suite: suite.into(), mutual: false }
    }
}
