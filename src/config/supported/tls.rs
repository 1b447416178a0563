//! TLS on both sides. What is left out here would let somebody in, or send something to the wrong host; hence all
//! that is not supported is guarded.

use super::{MessageRow, guarded, holds_filters, honoured, message, message_at};

const NO_SDS: &str =
    "give the certificate in tls_certificates, the authorities in validation_context.trusted_ca";
const TRUSTED_CA: &str = "the only check of a certificate is that of trusted_ca, and of the host's name";
const LATER: &str = "it is not there yet";

pub(super) const TABLE: &[MessageRow] = &[
    message_at(
        "envoy.config.core.v3.TransportSocket",
        "FilterChain.transport_socket",
        &[
            honoured(&["name"]),
            holds_filters(
                &["typed_config"],
                &["envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"],
            ),
        ],
    ),
    message_at(
        "envoy.config.core.v3.TransportSocket",
        "Cluster.transport_socket",
        &[
            honoured(&["name"]),
            holds_filters(
                &["typed_config"],
                &["envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"],
            ),
        ],
    ),
    message(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        &[
            honoured(&["common_tls_context", "require_client_certificate"]),
            guarded(&["require_sni", "ocsp_staple_policy", "full_scan_certs_on_sni_mismatch"], LATER),
            guarded(
                &[
                    "session_ticket_keys",
                    "session_ticket_keys_sds_secret_config",
                    "disable_stateless_session_resumption",
                    "disable_stateful_session_resumption",
                    "session_timeout",
                ],
                "sessions are resumed from memory, and only there",
            ),
            guarded(&["prefer_client_ciphers"], LATER),
        ],
    ),
    message(
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        &[
            honoured(&["common_tls_context", "sni"]),
            guarded(
                &["auto_host_sni", "auto_sni_san_validation"],
                "give in sni the name that the host's certificate has",
            ),
            guarded(&["allow_renegotiation"], "TLS 1.2 does not renegotiate here, and TLS 1.3 nowhere"),
            guarded(&["max_session_keys", "enforce_rsa_key_usage"], LATER),
        ],
    ),
    message(
        "envoy.extensions.transport_sockets.tls.v3.CommonTlsContext",
        &[
            honoured(&["tls_certificates", "validation_context", "alpn_protocols"]),
            guarded(&["tls_params"], "TLS 1.2 and 1.3 are spoken, with the ciphers and curves of rustls"),
            guarded(
                &[
                    "tls_certificate_sds_secret_configs",
                    "tls_certificate_provider_instance",
                    "tls_certificate_certificate_provider",
                    "tls_certificate_certificate_provider_instance",
                    "validation_context_sds_secret_config",
                    "combined_validation_context",
                    "validation_context_certificate_provider",
                    "validation_context_certificate_provider_instance",
                ],
                NO_SDS,
            ),
            guarded(&["custom_tls_certificate_selector", "custom_handshaker"], "leave it out"),
            guarded(&["key_log"], "keys of connections are told to nobody"),
        ],
    ),
    message(
        "envoy.extensions.transport_sockets.tls.v3.TlsCertificate",
        &[
            honoured(&["certificate_chain", "private_key"]),
            guarded(&["pkcs12"], "use certificate_chain and private_key, in PEM"),
            guarded(&["password"], "encrypted keys are not read; take the encryption off"),
            guarded(&["watched_directory"], "the files are read once"),
            guarded(&["private_key_provider"], "use private_key"),
            guarded(&["ocsp_staple", "signed_certificate_timestamp", "tls_params"], LATER),
        ],
    ),
    message(
        "envoy.extensions.transport_sockets.tls.v3.CertificateValidationContext",
        &[
            honoured(&["trusted_ca"]),
            guarded(&["ca_certificate_provider_instance", "system_root_certs"], "use trusted_ca"),
            guarded(&["watched_directory"], "the file is read once"),
            guarded(
                &[
                    "verify_certificate_spki",
                    "verify_certificate_hash",
                    "match_typed_subject_alt_names",
                    "match_subject_alt_names",
                    "require_signed_certificate_timestamp",
                    "crl",
                    "only_verify_leaf_cert_crl",
                    "max_verify_depth",
                    "custom_validator_config",
                ],
                TRUSTED_CA,
            ),
            guarded(
                &["allow_expired_certificate", "trust_chain_verification"],
                "a certificate that is not valid is refused",
            ),
            guarded(&["suppress_client_ca_list"], LATER),
        ],
    ),
];
