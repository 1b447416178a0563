//! Lowers TLS: certificates and keys are read and checked here, once, and become the configurations of rustls.
//!
//! What a private key says reaches no message: a text that cannot be read is described, never quoted.

use std::sync::Arc;

use envoy_types::pb::envoy::{
    config::{
        core::v3::{DataSource, TransportSocket, transport_socket::ConfigType},
        listener::v3::FilterChain,
    },
    extensions::transport_sockets::tls::v3::{
        CommonTlsContext, DownstreamTlsContext, TlsCertificate, UpstreamTlsContext,
        common_tls_context::ValidationContextType,
    },
};
use rustls::{
    ClientConfig, Error, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{Lowering, certificate, unpack};
use crate::{
    config::FieldPath,
    snapshot::{
        certificate::{Certificate, Certificates},
        tls::{DownstreamTls, UpstreamTls},
    },
};

/// HTTP/1 and HTTP/2 in ALPN (RFC 7301, 6; RFC 9113, 3.1).
const HTTP1: &str = "http/1.1";
const HTTP2: &str = "h2";

impl Lowering<'_> {
    /// TLS of the connections that a filter chain takes; `None` where they are plain, or with a problem.
    pub(super) fn downstream_tls(
        &mut self,
        path: &FieldPath<'_>,
        chain: &FilterChain,
    ) -> Option<DownstreamTls> {
        let timeout = path.field("transport_socket_connect_timeout");
        let handshake_timeout = self.timeout(&timeout, chain.transport_socket_connect_timeout.as_ref(), None);
        let socket = chain.transport_socket.as_ref()?;
        let path = path.field("transport_socket");
        let context = self.tls_context::<DownstreamTlsContext>(&path, socket)?;
        let path = path.field("typed_config");
        let common = context.common_tls_context.unwrap_or_default();
        let required = context.require_client_certificate.is_some_and(|required| required.value);

        let common_path = path.field("common_tls_context");
        let alpn = self.alpn(&common_path, &common);
        if common.tls_certificates.is_empty() {
            self.problems.push_with_hint(
                &path,
                "no certificate to show to clients",
                "give one in common_tls_context.tls_certificates",
            );
        }
        let identity = self.identity(&common_path, &common);
        if required && trusted_ca(&common).is_none() {
            self.problems.push_with_hint(
                &path.field("require_client_certificate"),
                "nothing to verify client certificates by",
                "give common_tls_context.validation_context.trusted_ca; Envoy would let every client in",
            );
            return None;
        }
        let (verifier, ca) = match trusted_ca(&common) {
            None => (WebPkiClientVerifier::no_client_auth(), None),
            Some(source) => self.client_verifier(&common_path, source, required)?,
        };
        let (identity, certificate) = identity?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = self.built(&path, builder)?;
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(identity);
        config.alpn_protocols = alpn;
        let certificates = Arc::new(Certificates { ca, identity: certificate });
        Some(DownstreamTls { config: Arc::new(config), handshake_timeout, certificates })
    }

    /// TLS of connections to a cluster's hosts; `None` with a problem.
    pub(super) fn upstream_tls(
        &mut self,
        path: &FieldPath<'_>,
        socket: &TransportSocket,
    ) -> Option<UpstreamTls> {
        let context = self.tls_context::<UpstreamTlsContext>(path, socket)?;
        let path = path.field("typed_config");
        let common = context.common_tls_context.unwrap_or_default();

        let server_name = self.server_name(&path, &context.sni);
        let common_path = path.field("common_tls_context");
        let alpn = self.alpn(&common_path, &common);
        let identity = self.identity(&common_path, &common);
        let Some(source) = trusted_ca(&common) else {
            self.problems.push_with_hint(
                &path,
                "nothing to verify the host's certificate by",
                "give common_tls_context.validation_context.trusted_ca; Envoy would take any certificate",
            );
            return None;
        };
        let (roots, ca) = self.roots(&common_path, source)?;
        if !common.tls_certificates.is_empty() && identity.is_none() {
            return None;
        }
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let builder = self.built(&path, builder)?.with_root_certificates(roots);
        let (config, certificate) = match identity {
            Some((identity, certificate)) => (builder.with_client_cert_resolver(identity), certificate),
            None => (builder.with_no_client_auth(), None),
        };
        let offering = |protocol: &str| {
            let mut config = config.clone();
            config.alpn_protocols = if alpn.is_empty() { vec![protocol.into()] } else { alpn.clone() };
            Arc::new(config)
        };
        Some(UpstreamTls {
            server_name: server_name?,
            http1: offering(HTTP1),
            http2: offering(HTTP2),
            certificates: Certificates { ca, identity: certificate },
        })
    }

    /// The TLS context in a transport socket.
    fn tls_context<M: prost::Message + prost::Name + Default>(
        &mut self,
        path: &FieldPath<'_>,
        socket: &TransportSocket,
    ) -> Option<M> {
        let context = match &socket.config_type {
            Some(ConfigType::TypedConfig(any)) => unpack::<M>(any),
            None => None,
        };
        if context.is_none() {
            self.problems.push_with_hint(
                path,
                "no configuration of the transport socket",
                "give its typed_config",
            );
        }
        context
    }

    /// The name by which hosts are known.
    fn server_name(&mut self, path: &FieldPath<'_>, sni: &str) -> Option<ServerName<'static>> {
        if sni.is_empty() {
            self.problems.push_with_hint(
                path,
                "no name to know the host by",
                "give in sni the name that its certificate has",
            );
            return None;
        }
        let name = ServerName::try_from(sni.to_owned());
        if name.is_err() {
            self.problems.push(&path.field("sni"), format!("\"{sni}\" is no host name"));
        }
        name.ok()
    }

    /// What is offered by ALPN, in order of preference. As in Envoy, an item may hold several with commas between.
    fn alpn(&mut self, path: &FieldPath<'_>, common: &CommonTlsContext) -> Vec<Vec<u8>> {
        let path = path.field("alpn_protocols");
        let mut protocols = Vec::new();
        for (index, item) in common.alpn_protocols.iter().enumerate() {
            for protocol in item.split(',') {
                if [HTTP1, HTTP2].contains(&protocol) {
                    protocols.push(protocol.into());
                } else {
                    self.problems.push_with_hint(
                        &path.index(index),
                        format!("spanway does not speak \"{protocol}\""),
                        format!("it speaks {HTTP2} and {HTTP1}"),
                    );
                }
            }
        }
        protocols
    }

    /// The only certificate with its key, and what it says; `None` without one, or with a problem.
    fn identity(
        &mut self,
        path: &FieldPath<'_>,
        common: &CommonTlsContext,
    ) -> Option<(Arc<SingleCertAndKey>, Option<Certificate>)> {
        let path = path.field("tls_certificates");
        if common.tls_certificates.len() > 1 {
            self.problems.push_with_hint(
                &path.index(1),
                "a second certificate, and nothing to choose by",
                "spanway takes one",
            );
        }
        let TlsCertificate { certificate_chain, private_key, .. } = common.tls_certificates.first()?;
        let path = path.index(0);
        let (chain_path, key_path) = (path.field("certificate_chain"), path.field("private_key"));
        for (source, reason) in [(certificate_chain, "no certificate_chain"), (private_key, "no private_key")]
        {
            if source.is_none() {
                self.problems.push(&path, reason);
            }
        }
        let chain = certificate_chain.as_ref().and_then(|source| self.certificates(&chain_path, source));
        let key = private_key.as_ref().and_then(|source| self.private_key(&key_path, source));
        let chain = chain?;
        let said = certificate_chain.as_ref().zip(chain.first());
        let said = said.and_then(|(source, first)| certificate::of(source, first));
        match CertifiedKey::from_der(chain, key?, &provider()) {
            Ok(certified) => return Some((Arc::new(certified.into()), said)),
            Err(Error::InconsistentKeys(_)) => {
                self.problems.push(&key_path, "it is not the key of the certificate in certificate_chain");
            }
            Err(Error::InvalidCertificate(_)) => {
                self.problems.push(&chain_path, "its first certificate cannot be read");
            }
            Err(_) => self.problems.push(&key_path, "it is no RSA, ECDSA or Ed25519 key"),
        }
        None
    }

    /// What verifies the certificates of clients: those that show one, or all.
    fn client_verifier(
        &mut self,
        path: &FieldPath<'_>,
        trusted_ca: &DataSource,
        required: bool,
    ) -> Option<(Arc<dyn ClientCertVerifier>, Option<Certificate>)> {
        let (roots, ca) = self.roots(path, trusted_ca)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
        let builder = if required { builder } else { builder.allow_unauthenticated() };
        let verifier = self.built(path, builder.build())?;
        Some((verifier, ca))
    }

    /// The authorities that are trusted, and what the first of them says.
    fn roots(
        &mut self,
        path: &FieldPath<'_>,
        trusted_ca: &DataSource,
    ) -> Option<(RootCertStore, Option<Certificate>)> {
        let path = path.field("validation_context.trusted_ca");
        let mut roots = RootCertStore::empty();
        let certificates = self.certificates(&path, trusted_ca)?;
        let said = certificates.first().and_then(|first| certificate::of(trusted_ca, first));
        for (index, certificate) in certificates.into_iter().enumerate() {
            if roots.add(certificate).is_err() {
                self.problems.push(&path, format!("its certificate number {} cannot be read", index + 1));
                return None;
            }
        }
        Some((roots, said))
    }

    /// The certificates of a PEM text, of which there is at least one.
    fn certificates(
        &mut self,
        path: &FieldPath<'_>,
        source: &DataSource,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let text = self.present(path, source)?;
        let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        match certificates {
            Ok(certificates) if certificates.is_empty() => self.problems.push_with_hint(
                path,
                "it has no certificate",
                "a certificate begins with -----BEGIN CERTIFICATE-----",
            ),
            Ok(certificates) => return Some(certificates),
            Err(error) => self.problems.push(path, describe(&error)),
        }
        None
    }

    /// The private key of a PEM text.
    fn private_key(&mut self, path: &FieldPath<'_>, source: &DataSource) -> Option<PrivateKeyDer<'static>> {
        let text = self.present(path, source)?;
        match PrivateKeyDer::from_pem_slice(&text) {
            Ok(key) => return Some(key),
            Err(pem::Error::NoItemsFound) => self.problems.push_with_hint(
                path,
                "it has no private key",
                "a key begins with -----BEGIN PRIVATE KEY-----, or RSA or EC PRIVATE KEY; an encrypted one is not read",
            ),
            Err(error) => self.problems.push(path, describe(&error)),
        }
        None
    }

    /// What a data source holds, unless that is a problem already.
    fn present(&mut self, path: &FieldPath<'_>, source: &DataSource) -> Option<Vec<u8>> {
        let before = self.problems.len();
        let bytes = self.data_source(path, source);
        (self.problems.len() == before).then_some(bytes)
    }

    /// What rustls has built, or what it found wrong, as a problem of `path`.
    fn built<T>(&mut self, path: &FieldPath<'_>, built: Result<T, impl std::fmt::Display>) -> Option<T> {
        built.map_err(|error| self.problems.push(path, error.to_string())).ok()
    }
}

/// The cryptography, chosen here and not for the whole process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Where the trusted authorities stand, if anywhere.
fn trusted_ca(common: &CommonTlsContext) -> Option<&DataSource> {
    match &common.validation_context_type {
        Some(ValidationContextType::ValidationContext(context)) => context.trusted_ca.as_ref(),
        _ => None,
    }
}

/// What is wrong with a PEM text. The library's own words may quote it.
fn describe(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section of it has no -----END line",
        pem::Error::IllegalSectionStart { .. } => "a section of it does not begin with a -----BEGIN line",
        pem::Error::Base64Decode(_) => "a section of it is not base64",
        _ => "it cannot be read as PEM",
    }
}
