//! TLS on both sides of the proxy, through its binary.

#![allow(clippy::unwrap_used, reason = "what is not as it should be fails the test")]

mod harness;

use std::{
    convert::Infallible,
    fs,
    io::{self, ErrorKind},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use harness::free_address;
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// How long anything here may take on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(20);

const ROUTER: &str = "http_filters: [{name: envoy.filters.http.router, typed_config: {\
    '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Who signs certificates, and whom those trust that have its own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate with its key, in PEM.
struct Identity {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn certify(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

impl Identity {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()]
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// The certificates of a test, also as files beside its configuration.
struct Certificates {
    folder: TempDir,
    authority: Authority,
    stranger: Authority,
}

impl Certificates {
    /// `proxy.pem` and `proxy.key` for `proxy.test`, `client.pem` and `client.key`, `ca.pem`, and the `stranger.pem`
    /// that nobody trusts.
    fn new() -> Self {
        let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
        let made = Self { folder: tempfile::tempdir().unwrap(), authority, stranger };
        for name in ["proxy", "client"] {
            let identity = made.authority.certify(&format!("{name}.test"));
            made.write(&format!("{name}.pem"), &identity.certificate);
            made.write(&format!("{name}.key"), &identity.key);
        }
        made.write("ca.pem", &made.authority.pem);
        made.write("stranger.pem", &made.stranger.pem);
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// The certificate of `name`, by its files.
    fn files(&self, name: &str) -> String {
        format!(
            "{{certificate_chain: {{filename: {}}}, private_key: {{filename: {}}}}}",
            self.path(&format!("{name}.pem")).display(),
            self.path(&format!("{name}.key")).display()
        )
    }

    fn trusting(&self, name: &str) -> String {
        format!("validation_context: {{trusted_ca: {{filename: {}}}}}", self.path(name).display())
    }

    /// A filter chain's transport socket with the proxy's certificate.
    fn downstream(&self, common: &str, context: &str) -> String {
        format!(
            "transport_socket: {{name: envoy.transport_sockets.tls, typed_config: {{\
             '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext, \
             common_tls_context: {{tls_certificates: [{}], {common}}}, {context}}}}}",
            self.files("proxy")
        )
    }

    /// What a client of the proxy speaks, showing `identity`.
    fn client(&self, alpn: &[&str], identity: Option<&Identity>) -> ClientConfig {
        let builder =
            ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(self.authority.roots());
        let mut config = match identity {
            Some(identity) => builder.with_client_auth_cert(identity.chain(), identity.key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

/// A cluster's transport socket, with `context` and `common` beside what all have.
fn upstream(common: &str, context: &str) -> String {
    format!(
        "transport_socket: {{name: envoy.transport_sockets.tls, typed_config: {{\
         '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, \
         common_tls_context: {{{common}}}, {context}}}}}"
    )
}

const OVER_HTTP2: &str = "typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: \
    {'@type': type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions, \
    explicit_http_config: {http2_protocol_options: {}}}}";

/// A configuration of one listener and one cluster, one setting to a line.
fn bootstrap(listen: SocketAddr, chain: &str, manager: &str, host: SocketAddr, cluster: &str) -> String {
    format!(
        "static_resources:
  listeners:
  - name: main
    address: {{socket_address: {{address: {}, port_value: {}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: test
          {ROUTER}
          {manager}
          route_config: {{virtual_hosts: [{{name: all, domains: ['*'], require_tls: ALL,
            routes: [{{match: {{prefix: /}}, route: {{cluster: hosts}}}}]}}]}}
      {chain}
  clusters:
  - name: hosts
    load_assignment: {{cluster_name: hosts, endpoints: [{{lb_endpoints: [
      {{endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}}}]}}]}}
    {cluster}
",
        listen.ip(),
        listen.port(),
        host.ip(),
        host.port()
    )
}

fn spanway(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spanway"));
    command.args(arguments).kill_on_drop(true);
    command
}

/// A proxy that serves.
struct Proxy {
    address: SocketAddr,
    _process: Child,
    log: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Proxy {
    /// With `chain` in its filter chain and `cluster` in its cluster, whose host is `host`.
    async fn start(
        certificates: &Certificates,
        chain: &str,
        manager: &str,
        host: SocketAddr,
        cluster: &str,
    ) -> Self {
        let address = free_address();
        certificates.write("proxy.yaml", &bootstrap(address, chain, manager, host, cluster));
        let file = certificates.path("proxy.yaml");
        let mut process = spanway(&["-c", file.to_str().unwrap(), "--concurrency", "1", "-l", "debug"])
            .args(["--file-flush-interval-msec", "10"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut proxy = Self { address, _process: process, log };
        proxy.logged("serving with").await;
        proxy
    }

    /// The next line of the log with `what` in it.
    async fn logged(&mut self, what: &str) -> String {
        let find = async {
            loop {
                let line = self.log.next_line().await.unwrap().unwrap();
                if line.contains(what) {
                    return line;
                }
            }
        };
        timeout(DEADLINE, find).await.unwrap()
    }

    async fn connect(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("proxy.test").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// Status and body of one request over a connection of its own.
    async fn get(&self, config: ClientConfig) -> io::Result<(StatusCode, String)> {
        let http2 = config.alpn_protocols.first().is_some_and(|first| first == b"h2");
        let stream = self.connect(config).await?;
        timeout(DEADLINE, exchange(stream, http2)).await.unwrap().map_err(io::Error::other)
    }
}

/// Status and body of one request without a body over `stream`.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
) -> hyper::Result<(StatusCode, String)> {
    send(stream, http2, Bytes::new()).await
}

/// Status and body of one request over `stream`.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    http2: bool,
    body: Bytes,
) -> hyper::Result<(StatusCode, String)> {
    let mut request = Request::new(Full::new(body));
    *request.uri_mut() = "https://proxy.test/".parse().unwrap();
    request.headers_mut().insert("x-forwarded-client-cert", "forged".parse().unwrap());
    let io = TokioIo::new(stream);
    let response = if http2 {
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
        tokio::spawn(connection);
        request.headers_mut().insert("host", "proxy.test".parse().unwrap());
        sender.send_request(request).await?
    };
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, String::from_utf8(body.to_vec()).unwrap()))
}

/// A host that tells what it was asked; with TLS if it has a configuration.
async fn host(tls: Option<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            match acceptor.clone() {
                None => drop(tokio::spawn(serve(stream, String::new()))),
                Some(acceptor) => drop(tokio::spawn(async move {
                    // A client that turns away is part of some tests.
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let session = stream.get_ref().1;
                    let alpn = session.alpn_protocol().map(String::from_utf8_lossy).unwrap_or_default();
                    let seen = format!(
                        " alpn={alpn} sni={} certificates={}",
                        session.server_name().unwrap_or_default(),
                        session.peer_certificates().map_or(0, <[_]>::len)
                    );
                    serve(stream, seen).await;
                })),
            }
        }
    });
    address
}

/// Serve either HTTP: tell what was `seen` of the connection, and return the request's body.
async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, seen: String) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let header =
            |name| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let (proto, forged) = (header("x-forwarded-proto"), header("x-forwarded-client-cert"));
        let told = format!("{:?} proto={proto} xfcc={forged}{seen}", request.version());
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let body = [told.as_bytes(), &body].concat();
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(body))))
        }
    });
    let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

/// The TLS of a host that is called `name`.
fn host_tls(authority: &Authority, name: &str, clients: Option<&Authority>) -> ServerConfig {
    let identity = authority.certify(name);
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
    let verifier = match clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            WebPkiClientVerifier::builder_with_provider(roots, provider()).build().unwrap()
        }
    };
    let mut config = builder
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain(), identity.key())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

const BOTH: &str = "alpn_protocols: ['h2,http/1.1']";
const SERVED: &str = "HTTP/1.1 proto=https xfcc=-";

#[tokio::test]
async fn a_client_is_served_over_the_http_that_was_agreed_on() {
    let certificates = Certificates::new();
    let chain = certificates.downstream(BOTH, "");
    let host = host(None).await;
    let proxy = Proxy::start(&certificates, &chain, "use_remote_address: true", host, "").await;
    for alpn in [&["h2"][..], &["http/1.1"], &[]] {
        let answer = proxy.get(certificates.client(alpn, None)).await.unwrap();
        assert_eq!(answer, (StatusCode::OK, SERVED.to_owned()), "{alpn:?}");
    }
    let undecided = proxy.connect(certificates.client(&[], None)).await.unwrap();
    assert_eq!(
        exchange(undecided, true).await.unwrap().0,
        StatusCode::OK,
        "the preface is seen without ALPN"
    );
    let preferred = proxy.connect(certificates.client(&["http/1.1", "h2"], None)).await.unwrap();
    assert_eq!(preferred.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the order is the proxy's");
    let other = proxy.connect(certificates.client(&["http/0.9"], None)).await;
    assert!(other.is_err(), "who speaks nothing that is offered is told so");
}

#[tokio::test]
async fn a_plain_client_of_a_plain_listener_is_sent_to_https() {
    let certificates = Certificates::new();
    let proxy = Proxy::start(&certificates, "", "", host(None).await, "").await;
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<&[u8]>>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender;
    let request = Request::get("/").header("host", "proxy.test").body(Empty::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(response.headers()["location"], "https://proxy.test/");
}

#[tokio::test]
async fn a_target_with_https_is_served_over_tls() {
    let certificates = Certificates::new();
    let chain = certificates.downstream("", "");
    let proxy = Proxy::start(&certificates, &chain, "use_remote_address: true", host(None).await, "").await;
    let mut stream = proxy.connect(certificates.client(&[], None)).await.unwrap();
    stream
        .write_all(b"GET https://proxy.test/ HTTP/1.1\r\nhost: proxy.test\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut response = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

#[tokio::test]
async fn what_the_hop_before_says_of_tls_counts() {
    let certificates = Certificates::new();
    let proxy = Proxy::start(&certificates, &certificates.downstream("", ""), "", host(None).await, "").await;
    for (proto, status) in [("https", "200"), ("http", "301"), ("HTTPS", "301"), ("https, http", "301")] {
        let mut stream = proxy.connect(certificates.client(&[], None)).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nhost: proxy.test\r\nconnection: close\r\nx-forwarded-proto: {proto}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        timeout(DEADLINE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{proto}: {response}");
    }
}

#[tokio::test]
async fn a_client_shows_a_certificate_where_one_is_required() {
    let certificates = Certificates::new();
    let known = certificates.authority.certify("client.test");
    let unknown = certificates.stranger.certify("client.test");
    let trusting = certificates.trusting("ca.pem");
    let host = host(None).await;

    let chain = certificates.downstream(&trusting, "require_client_certificate: true");
    let mut proxy = Proxy::start(&certificates, &chain, "", host, "").await;
    assert!(proxy.get(certificates.client(&[], None)).await.is_err());
    proxy.logged("TLS handshake failed").await;
    assert!(proxy.get(certificates.client(&[], Some(&unknown))).await.is_err());
    assert_eq!(proxy.get(certificates.client(&[], Some(&known))).await.unwrap().0, StatusCode::OK);

    let chain = certificates.downstream(&trusting, "require_client_certificate: false");
    let proxy = Proxy::start(&certificates, &chain, "", host, "").await;
    assert_eq!(proxy.get(certificates.client(&[], None)).await.unwrap().0, StatusCode::OK);
    assert!(proxy.get(certificates.client(&[], Some(&unknown))).await.is_err(), "shown, hence verified");
    assert_eq!(proxy.get(certificates.client(&[], Some(&known))).await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_host_is_spoken_to_over_tls() {
    let certificates = Certificates::new();
    let host =
        host(Some(host_tls(&certificates.authority, "host.test", Some(&certificates.authority)))).await;
    let common =
        format!("{}, tls_certificates: [{}]", certificates.trusting("ca.pem"), certificates.files("client"));
    let chain = certificates.downstream(BOTH, "");
    for (protocol, expected) in [
        ("", "HTTP/1.1 proto=https xfcc=- alpn=http/1.1 sni=host.test certificates=1"),
        (OVER_HTTP2, "HTTP/2.0 proto=https xfcc=- alpn=h2 sni=host.test certificates=1"),
    ] {
        let cluster = format!("{}\n    {protocol}", upstream(&common, "sni: host.test"));
        let proxy = Proxy::start(&certificates, &chain, "", host, &cluster).await;
        for alpn in ["h2", "http/1.1"] {
            let answer = proxy.get(certificates.client(&[alpn], None)).await.unwrap();
            assert_eq!(answer, (StatusCode::OK, expected.to_owned()));
        }
    }
}

#[tokio::test]
async fn an_access_log_names_version_and_cipher_of_both_sides() {
    let certificates = Certificates::new();
    let host = host(Some(host_tls(&certificates.authority, "host.test", None))).await;
    let chain = certificates.downstream(BOTH, "");
    let cluster = upstream(&certificates.trusting("ca.pem"), "sni: host.test");
    let manager = r#"access_log: [{name: stderr, typed_config: {
            "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog,
            log_format: {text_format: "entry %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %UPSTREAM_TLS_VERSION% %UPSTREAM_TLS_CIPHER%\n"}}}]"#;
    let mut proxy = Proxy::start(&certificates, &chain, manager, host, &cluster).await;
    assert_eq!(proxy.get(certificates.client(&[], None)).await.unwrap().0, StatusCode::OK);
    let entry = proxy.logged("entry ").await;
    assert_eq!(entry, "entry TLSv1.3 TLS_AES_256_GCM_SHA384 TLSv1.3 TLS_AES_256_GCM_SHA384");
}

#[tokio::test]
async fn an_access_log_names_whom_a_client_asked_for_and_whether_it_showed_a_certificate() {
    let certificates = Certificates::new();
    let host = host(None).await;
    let chain =
        certificates.downstream(&certificates.trusting("ca.pem"), "require_client_certificate: false");
    let manager = r#"access_log: [{name: stderr, typed_config: {
            "@type": type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog,
            log_format: {text_format: "entry %REQUESTED_SERVER_NAME% %CEL(connection.mtls)% %CEL(connection.requested_server_name)% %CEL(connection.tls_version)%\n"}}}]"#;
    for (identity, mutual) in [(None, "false"), (Some(certificates.authority.certify("client.test")), "true")]
    {
        let mut proxy = Proxy::start(&certificates, &chain, manager, host, "").await;
        let client = certificates.client(&[], identity.as_ref());
        assert_eq!(proxy.get(client).await.unwrap().0, StatusCode::OK);
        let entry = proxy.logged("entry ").await;
        assert_eq!(entry, format!("entry proxy.test {mutual} proxy.test TLSv1.3"));
    }
}

#[tokio::test]
async fn large_bodies_pass_in_both_directions() {
    let certificates = Certificates::new();
    let chain = certificates.downstream(BOTH, "");
    let host = host(Some(host_tls(&certificates.authority, "host.test", None))).await;
    let sent = Bytes::from("0123456789abcdef".repeat(256 * 1024));
    for protocol in ["", OVER_HTTP2] {
        let tls = upstream(&certificates.trusting("ca.pem"), "sni: host.test");
        let proxy = Proxy::start(&certificates, &chain, "", host, &format!("{tls}\n    {protocol}")).await;
        for (alpn, http2) in [("http/1.1", false), ("h2", true)] {
            let stream = proxy.connect(certificates.client(&[alpn], None)).await.unwrap();
            let (status, body) = timeout(DEADLINE, send(stream, http2, sent.clone())).await.unwrap().unwrap();
            assert_eq!(status, StatusCode::OK);
            assert!(body.as_bytes().ends_with(&sent));
        }
    }
}

#[tokio::test]
async fn a_host_that_is_not_who_it_should_be_gets_no_request() {
    let certificates = Certificates::new();
    let chain = certificates.downstream("", "");
    let trusting = certificates.trusting("ca.pem");
    let known = host_tls(&certificates.authority, "host.test", None);
    let picky = host_tls(&certificates.authority, "host.test", Some(&certificates.authority));
    let strange = host_tls(&certificates.stranger, "host.test", None);
    for (tls, sni, reason, details, cause) in [
        (
            Some(strange),
            "host.test",
            "UnknownIssuer",
            "certificate_of_an_unknown_issuer",
            "an issuer that the cluster does not trust",
        ),
        (
            Some(known),
            "other.test",
            "not valid for name",
            "certificate_is_for_another_name",
            "for another name",
        ),
        (None, "host.test", "TLS handshake", "the_host_speaks_no_TLS", "with something else"),
    ] {
        let address = host(tls).await;
        let cluster = upstream(&trusting, &format!("sni: {sni}"));
        let mut proxy = Proxy::start(&certificates, &chain, "", address, &cluster).await;
        let (status, body) = proxy.get(certificates.client(&[], None)).await.unwrap();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{reason}");
        assert!(body.contains("reset reason: remote connection failure"), "{body}");
        let line = proxy.logged("cluster \"hosts\": TLS handshake").await;
        assert!(line.contains(reason), "{line}");
        let line = proxy.logged("answered 503").await;
        assert!(line.contains(&format!("{{remote_connection_failure|TLS_error:_{details}}}")), "{line}");
        assert!(line.contains(cause) && line.contains("of cluster \"hosts\""), "{line}");
    }
    // With TLS 1.3 a host refuses a client's certificate only after the handshake.
    let cluster = upstream(&trusting, "sni: host.test");
    let proxy = Proxy::start(&certificates, &chain, "", host(Some(picky)).await, &cluster).await;
    let (status, _) = proxy.get(certificates.client(&[], None)).await.unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_broken_handshake_ends_its_own_connection_only() {
    let certificates = Certificates::new();
    let chain = certificates.downstream("", "");
    let mut proxy = Proxy::start(&certificates, &chain, "", host(None).await, "").await;
    let bystander = proxy.connect(certificates.client(&[], None)).await.unwrap();

    let mut garbage = TcpStream::connect(proxy.address).await.unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\nhost: proxy.test\r\n\r\n").await.unwrap();
    timeout(DEADLINE, ended(&mut garbage)).await.unwrap();
    proxy.logged("TLS handshake failed").await;
    assert_eq!(exchange(bystander, false).await.unwrap().0, StatusCode::OK);
    assert_eq!(proxy.get(certificates.client(&[], None)).await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_waited_for_as_long_as_is_said() {
    let certificates = Certificates::new();
    let plain = certificates.downstream("", "");
    let bounded = format!("{plain}\n      transport_socket_connect_timeout: 0.05s");
    let idle = "common_http_protocol_options: {idle_timeout: 0.05s}";
    for (chain, manager) in [(&bounded, ""), (&plain, idle)] {
        let proxy = Proxy::start(&certificates, chain, manager, host(None).await, "").await;
        let mut silent = TcpStream::connect(proxy.address).await.unwrap();
        timeout(DEADLINE, ended(&mut silent)).await.unwrap();
    }
}

/// Wait until the other side ends it; there may be an alert before.
async fn ended(stream: &mut TcpStream) {
    let mut alert = Vec::new();
    match stream.read_to_end(&mut alert).await {
        Ok(_) => assert!(!alert.starts_with(b"HTTP")),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// What a check of the configuration says that is wrong with it.
async fn refusal(file: &Path) -> String {
    let output = spanway(&["check", "--skip-unsupported", file.to_str().unwrap()]).output().await.unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_is_wrong_with_certificates_is_told_with_its_place_and_without_the_key() {
    let certificates = Certificates::new();
    let (proxy, ca) = (certificates.files("proxy"), certificates.trusting("ca.pem"));
    let key = fs::read_to_string(certificates.path("proxy.key")).unwrap();
    let body = key.lines().nth(1).unwrap();
    let path = |name: &str| certificates.path(name).display().to_string();
    let downstream = |chain: &str, key: &str| {
        certificates
            .downstream("", "")
            .replace(&proxy, &format!("{{certificate_chain: {chain}, private_key: {key}}}"))
    };
    let file = |name: &str| format!("{{filename: {}}}", path(name));
    let good_host = upstream(&ca, "sni: host.test");
    let cases = [
        (downstream(&file("none.pem"), &file("proxy.key")), "", "certificate_chain.filename: cannot read"),
        (downstream(&file("proxy.key"), &file("proxy.key")), "", "certificate_chain: it has no certificate"),
        (downstream(&file("proxy.pem"), &file("proxy.pem")), "", "private_key: it has no private key"),
        (downstream(&file("proxy.pem"), &file("client.key")), "", "private_key: it is not the key of"),
        (
            downstream(
                &file("proxy.pem"),
                &format!("{{inline_string: '-----BEGIN PRIVATE KEY----- {body}'}}"),
            ),
            "",
            "private_key: a section of it does not begin",
        ),
        (
            downstream(&file("proxy.pem"), &format!("'-----BEGIN PRIVATE KEY----- {body}'")),
            "",
            "DataSource, found a text in PEM",
        ),
        (
            downstream(&file("proxy.pem"), &format!("{{filename: '-----BEGIN PRIVATE KEY----- {body}'}}")),
            "",
            "private_key: a text in PEM, and no name; put it in inline_string",
        ),
        (
            downstream(&file("proxy.pem"), &format!("{{inline_bytes: '{body}!'}}")),
            "",
            "private_key.inline_bytes: expected base64 text, found something else",
        ),
        (certificates.downstream("", "").replace(&proxy, ""), "", "no certificate to show to clients"),
        (
            certificates.downstream("", "").replace(&proxy, &format!("{proxy}, {proxy}")),
            "",
            "a second certificate",
        ),
        (
            certificates.downstream("", "require_client_certificate: true"),
            "",
            "nothing to verify client certificates by",
        ),
        (
            certificates.downstream("alpn_protocols: [h3]", ""),
            "",
            "alpn_protocols[0]: spanway does not speak \"h3\"; it speaks h2 and http/1.1",
        ),
        (String::new(), &upstream(&ca, ""), "no name to know the host by; give in sni"),
        (String::new(), &upstream(&ca, "sni: 'a b'"), "sni: \"a b\" is no host name"),
        (String::new(), &upstream("", "sni: host.test"), "nothing to verify the host's certificate by"),
        (
            String::new(),
            &good_host.replace("ca.pem", "proxy.key"),
            "validation_context.trusted_ca: it has no certificate",
        ),
        (String::new(), "transport_socket: {name: tls}", "no configuration of the transport socket"),
    ];
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    for (chain, cluster, expected) in cases {
        let text = bootstrap(address, &chain, "", address, cluster);
        certificates.write("bad.yaml", &text);
        let told = refusal(&certificates.path("bad.yaml")).await;
        assert!(told.contains(expected), "{expected}\n{told}");
        let line = text.lines().position(|line| line.contains("transport_socket")).unwrap() + 1;
        assert!(told.contains(&format!("bad.yaml:{line}:")), "line {line}\n{told}");
        assert!(!told.contains(&body[..8]), "{told}");
    }
}

#[tokio::test]
async fn what_of_tls_is_not_there_is_refused_in_any_case() {
    let certificates = Certificates::new();
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let ca = path_source(&certificates.path("ca.pem"));
    let validating = |rule: &str| format!("validation_context: {{trusted_ca: {ca}, {rule}}}");
    let names = "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]";
    for (chain, cluster, field) in [
        (certificates.downstream("", "ocsp_staple_policy: MUST_STAPLE"), String::new(), "ocsp_staple_policy"),
        (certificates.downstream(&validating(names), ""), String::new(), "match_typed_subject_alt_names"),
        (
            certificates.downstream("tls_params: {tls_minimum_protocol_version: TLSv1_3}", ""),
            String::new(),
            "tls_params",
        ),
        (String::new(), upstream(&validating(names), "sni: a"), "match_typed_subject_alt_names"),
        (String::new(), upstream(&validating("crl: {filename: x}"), "sni: a"), "crl"),
        (
            String::new(),
            upstream(&validating("trust_chain_verification: ACCEPT_UNTRUSTED"), "sni: a"),
            "trust_chain_verification",
        ),
        (
            String::new(),
            upstream(&validating(""), "sni: a, auto_sni_san_validation: true"),
            "auto_sni_san_validation",
        ),
    ] {
        certificates.write("bad.yaml", &bootstrap(address, &chain, "", address, &cluster));
        let told = refusal(&certificates.path("bad.yaml")).await;
        assert!(told.contains(&format!("{field}: spanway does not implement it")), "{field}\n{told}");
    }
}

fn path_source(path: &Path) -> String {
    format!("{{filename: {}}}", path.display())
}
