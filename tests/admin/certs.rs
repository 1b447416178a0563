//! What the process tells of its certificates, held against what Envoy tells of the same.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair, SanType, date_time_ymd};
use serde_json::Value;

use crate::{
    harness::{Bootstrap, refusing_address},
    pair::Pair,
};

/// Write a certificate and its key below `folder`, good until that year; the certificate.
fn certify(folder: &Path, name: &str, last_year: i32) -> String {
    let mut parameters =
        CertificateParams::new(vec!["front.example".to_owned(), "*.b.example".to_owned()]).unwrap();
    // Envoy shows addresses last, wherever they stand.
    parameters.subject_alt_names.insert(0, SanType::IpAddress([192, 0, 2, 7].into()));
    parameters.subject_alt_names.push(SanType::URI("spiffe://a/b".try_into().unwrap()));
    parameters.serial_number = Some(vec![0, 7, 255, 16].into());
    parameters.not_before = date_time_ymd(2020, 2, 3);
    parameters.not_after = date_time_ymd(last_year, 11, 30);
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    std::fs::write(folder.join(format!("{name}.pem")), &certificate).unwrap();
    std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    certificate
}

fn by_path(certs: &Value) -> Vec<String> {
    let mut all: Vec<_> = certs["certificates"].as_array().unwrap().iter().map(Value::to_string).collect();
    all.sort();
    all
}

#[tokio::test]
async fn certificates_are_described_as_by_envoy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    certify(folder.path(), "front", 2090);
    certify(folder.path(), "client", 2080);
    let inline = certify(folder.path(), "inline", 2070).replace('\n', "\\n");
    let downstream = format!(
        r#"filter_chains:
- filters:
  - name: envoy.filters.network.http_connection_manager
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: tls
      http_filters:
      - name: envoy.filters.http.router
        typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
      route_config: {{virtual_hosts: []}}
  transport_socket:
    name: envoy.transport_sockets.tls
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
      common_tls_context:
        tls_certificates:
        - {{certificate_chain: {{filename: {path}/front.pem}}, private_key: {{filename: {path}/front.key}}}}
"#
    );
    let upstream = |common: &str| {
        format!(
            r#"transport_socket:
  name: envoy.transport_sockets.tls
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
    sni: front.example
    common_tls_context: {{{common}}}
"#
        )
    };
    let trusting = format!("validation_context: {{trusted_ca: {{inline_string: \"{inline}\"}}}}");
    let shown = format!(
        "validation_context: {{trusted_ca: {{filename: {path}/client.pem}}}}, tls_certificates: \
         [{{certificate_chain: {{filename: {path}/client.pem}}, private_key: {{filename: {path}/client.key}}}}]"
    );
    let bootstrap = Bootstrap::to(refusing_address())
        .cluster_options(&upstream(&trusting))
        .cluster("shown", &[refusing_address()])
        .cluster_options(&upstream(&shown))
        .listener(&downstream)
        .admin();
    let pair = Pair::start(&bootstrap).await;
    let (ours, theirs) = pair.json("/certs").await;
    assert_eq!(by_path(&ours), by_path(&theirs));
    assert_eq!(ours["certificates"].as_array().map(Vec::len), Some(3));
    let name = "server.days_until_first_cert_expiring";
    pair.assert_same("GET", &format!("/stats?filter={name}")).await;
}

#[tokio::test]
async fn without_certificates_there_are_none_to_expire() {
    let pair = Pair::start(&Bootstrap::empty().routes("[]").admin()).await;
    pair.assert_same("GET", "/certs").await;
    pair.assert_same("GET", "/stats?filter=days_until_first_cert_expiring").await;
}
