//! `spanway trace-test`: one marked span, by the way that traffic's spans take.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use percent_encoding::NON_ALPHANUMERIC;
use tokio::time::Instant;

use super::{complain, options::TraceTestOptions, serve, worker};
use crate::{
    cluster::ClusterState,
    config::{
        Sources,
        lower::{AddressMap, Overrides},
    },
    export::{
        doctor::{self, Step},
        sender::Surroundings,
    },
    snapshot::{
        Snapshot,
        cluster::Discovery,
        tracing::{Provider, Tracer},
    },
};

/// What a bootstrap needs so that the environment's collector has something to trace.
const UNTRACED: &str = r#"
static_resources:
  listeners:
  - address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: trace_test
          route_config: {}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"#;

/// Test the tracers of a configuration, or one address: 0 if all spans arrived, else 1.
pub(super) fn run(options: &TraceTestOptions) -> ExitCode {
    match test(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn test(options: &TraceTestOptions) -> Result<bool, String> {
    let snapshot = snapshot(options)?;
    if snapshot.tracers.is_empty() {
        return Err(
            "nothing is traced: no HTTP connection manager of this file has `tracing` with a provider, and \
                    OTEL_EXPORTER_OTLP_ENDPOINT is not set; or give --endpoint"
                .to_owned(),
        );
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot run: {error}"))?;
    runtime.block_on(async {
        let clusters = ClusterState::all(&snapshot);
        let own_ip = worker::own_ip();
        let around = Surroundings { node: &snapshot.node, clusters: &clusters, own_ip, observer: None };
        let mut good = true;
        for tracer in &snapshot.tracers {
            let resolve = match cluster_of(tracer).and_then(|id| clusters.get(id)) {
                Some(cluster) => resolve(cluster).await,
                None => None,
            };
            let report = doctor::examine(tracer, &around, resolve).await?;
            good &= report.is_good();
            // A closed standard output is nobody's problem here: the exit code tells, too.
            let _ = write!(io::stdout(), "tracer \"{}\": {report}", tracer.name());
        }
        Ok(good)
    })
}

/// The configuration, with the command line over the environment.
fn snapshot(options: &TraceTestOptions) -> Result<Snapshot, String> {
    let (mut variables, mut others) = (Vec::new(), Vec::new());
    let mut set = |name: &str, value: &str| {
        variables.push((format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), value.to_owned()));
    };
    if let Some(endpoint) = &options.endpoint {
        if !endpoint.contains("://") {
            return Err(format!("--endpoint \"{endpoint}\": an address looks like http://localhost:4318"));
        }
        let grpc = options.protocol.as_deref() == Some("grpc");
        let bare = endpoint.splitn(4, '/').nth(3).is_none_or(str::is_empty);
        let path = if bare && !grpc { "/v1/traces" } else { "" };
        set("ENDPOINT", &format!("{}{path}", endpoint.trim_end_matches('/')));
        set("PROTOCOL", options.protocol.as_deref().unwrap_or("http/protobuf"));
        let headers = options.header.iter().map(|header| encoded(header)).collect::<Result<Vec<_>, _>>()?;
        set("HEADERS", &headers.join(","));
        set("COMPRESSION", if options.gzip { "gzip" } else { "none" });
        let certificate = options.ca_certificate.as_deref().unwrap_or(Path::new(""));
        set("CERTIFICATE", &certificate.to_string_lossy());
        // What the environment has is for the collector that it names.
        for name in ["HEADERS", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"] {
            if name.starts_with("CLIENT") {
                set(name, "");
            }
            others.push((format!("OTEL_EXPORTER_OTLP_{name}"), String::new()));
        }
        variables.append(&mut others);
        variables.push(("OTEL_SERVICE_NAME".to_owned(), "spanway-trace-test".to_owned()));
        variables.push(("OTEL_TRACES_EXPORTER".to_owned(), "otlp".to_owned()));
        variables.push(("OTEL_SDK_DISABLED".to_owned(), "false".to_owned()));
    }
    let yaml = options.endpoint.is_some().then(|| UNTRACED.to_owned());
    let sources =
        Sources { path: options.config_path.clone(), yaml, skip_unsupported: options.skip_unsupported };
    let overrides = Overrides {
        addresses: AddressMap::parse(&options.map_address).map_err(|error| error.to_string())?,
        variables,
        ..Overrides::default()
    };
    serve::load(&sources, &overrides).map_err(|problems| problems.to_string())
}

/// A header as OTEL_EXPORTER_OTLP_HEADERS has it.
fn encoded(header: &str) -> Result<String, String> {
    let encode = |part: &str| percent_encoding::utf8_percent_encode(part, NON_ALPHANUMERIC).to_string();
    match header.split_once('=') {
        Some((name, value)) => Ok(format!("{}={}", encode(name.trim()), encode(value))),
        // Not quoted, since it may be a secret.
        None => Err("--header: it looks like NAME=VALUE".to_owned()),
    }
}

/// The place of the cluster that a tracer's spans go to.
fn cluster_of(tracer: &Tracer) -> Option<usize> {
    use crate::snapshot::delivery::OtlpExporter;
    match &tracer.provider {
        Provider::OpenTelemetry(otel) => match &otel.exporter {
            OtlpExporter::Grpc(service) => Some(service.cluster.0),
            OtlpExporter::Http(service) => Some(service.cluster.0),
        },
        Provider::Zipkin(zipkin) => Some(zipkin.service.cluster.0),
        Provider::XRay(_) => None,
    }
}

/// Find the cluster's hosts, if they are names.
async fn resolve(cluster: &Arc<ClusterState>) -> Option<Step> {
    let started = Instant::now();
    if let Discovery::Static(_) = &cluster.config.discovery {
        return None;
    }
    serve::discover(std::slice::from_ref(cluster)).await;
    let set = cluster.hosts.load();
    let addresses = set.hosts.iter().map(|host| &*host.address_text).collect::<Vec<_>>().join(", ");
    Some(Step::ok("resolve", Some(started.elapsed()), addresses))
}
