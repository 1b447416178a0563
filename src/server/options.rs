//! The command line: Envoy's flags with Envoy's spelling and meaning, and spanway's sub-commands.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};

use super::{admin_address::AdminAddress, option_value, pages_address::PagesAddress};

/// What stands below the flags in `spanway --help`.
const AFTER_HELP: &str = "\
Examples:
  spanway -c envoy.yaml                 serve an Envoy v3 bootstrap
  spanway check envoy.yaml              say what of a file is honoured, and what is not
  spanway sandbox                       run the OpenTelemetry sandbox on loopback
  spanway explain -c envoy.yaml --request 'GET http://shop/cart'
                                        say why a request goes where it goes, without sending it
  spanway traces --follow               print the traces of a running collector as they come
  spanway trace-test -c envoy.yaml      say why spans do, or do not, reach the collector

Signals:
  SIGTERM, SIGINT  stop accepting, let open requests finish within --drain-time-s; a second one ends at once
  SIGUSR1          open the file of --log-path and those of access logs again, after they were moved
  SIGHUP           ignored, as by Envoy

Exit codes:
  0  served until told to stop, or the configuration is good
  1  the configuration is bad, an address is taken, or something failed while running
  2  the command line is wrong";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "spanway",
    version,
    about = "An L7 proxy that reads Envoy's configuration, with tracing built in",
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
pub struct CommandLine {
    /// What to do; without a sub-command: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of serving, which are Envoy's.
    #[command(flatten)]
    pub serve: Options,
}

/// What else the binary does besides serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check configuration files and report each field: honoured, without effect, or refused
    Check(CheckOptions),
    /// Say why a request would go where it goes, step by step and without sending anything
    Explain(ExplainOptions),
    /// Run a sandbox of several proxies on loopback, no Docker needed
    Sandbox(SandboxOptions),
    /// Send one marked span to the trace collector and say of each step how it went
    TraceTest(TraceTestOptions),
    /// Receive OTLP traces and show them
    Collector(CollectorOptions),
    /// Print the traces of a running collector
    Traces(TracesOptions),
    /// The service that stands behind the proxies of a sandbox
    #[command(hide = true)]
    SandboxService(SandboxServiceOptions),
    /// Ask a proxy or a collector whether it is alive (for HEALTHCHECK in images without a shell)
    Health(HealthOptions),
}

/// What `--mode` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Serve traffic.
    Serve,
    /// Load the configuration, say whether it is good, and exit.
    Validate,
}

/// Envoy's log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// What a developer of spanway asks for.
    Debug,
    /// Starts, stops, and changes of state.
    Info,
    /// What an operator should look at.
    #[value(alias = "warn")]
    Warning,
    /// What did not work.
    Error,
    /// As `error`: spanway has no level above it.
    Critical,
    /// Nothing.
    Off,
}

impl LogLevel {
    /// Envoy's name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Off => "off",
        }
    }
}

/// The flags of serving. Names, meaning and defaults are those of Envoy's command line.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Path of the bootstrap, YAML or (ending in .json) JSON
    #[arg(short = 'c', long, value_name = "PATH")]
    pub config_path: Option<PathBuf>,
    /// YAML text merged over the file of --config-path
    #[arg(long, value_name = "YAML")]
    pub config_yaml: Option<String>,
    /// Serve, or only validate the configuration
    #[arg(long, value_enum, default_value = "serve")]
    pub mode: Mode,
    /// Worker threads [default: one per core]
    #[arg(long, value_name = "N")]
    pub concurrency: Option<u32>,
    /// The least severe message that is logged
    #[arg(short = 'l', long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
    /// Levels of single rooms, such as router:debug,upstream:trace; Envoy's names of loggers are taken where they mean one
    #[arg(long, value_name = "LEVELS", value_parser = option_value::component_log_level)]
    pub component_log_level: Option<String>,
    /// Write the log to this file instead of standard error
    #[arg(long, value_name = "PATH")]
    pub log_path: Option<PathBuf>,
    /// Pattern of a log line: %Y %m %d %T %e (date and time), %l (level), %n (logger, such as router), %v (message), %P (process), %% (a percent sign)
    #[arg(long, value_name = "PATTERN", allow_hyphen_values = true)]
    pub log_format: Option<String>,
    /// Milliseconds that entries of access logs wait at most before they are written
    #[arg(long, value_name = "MILLISECONDS", default_value = "10000")]
    pub file_flush_interval_msec: u64,
    /// Name of the local cluster; overrides node.cluster
    #[arg(long, value_name = "NAME")]
    pub service_cluster: Option<String>,
    /// Name of this node; overrides node.id
    #[arg(long, value_name = "NAME")]
    pub service_node: Option<String>,
    /// Zone of this node; overrides node.locality.zone
    #[arg(long, value_name = "NAME")]
    pub service_zone: Option<String>,
    /// Seconds that open requests get to finish after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "600")]
    pub drain_time_s: u64,
    /// Write the address of the admin interface to this file
    #[arg(long, value_name = "PATH")]
    pub admin_address_path: Option<PathBuf>,
    /// Accepted for Envoy's sake: spanway shares nothing between processes
    #[arg(long, value_name = "N")]
    pub base_id: Option<u32>,
    /// Accepted for Envoy's sake: spanway has no hot restart to disable
    #[arg(long)]
    pub disable_hot_restart: bool,
    /// Start although the file sets fields that spanway does not implement; each is warned of (never those that guard access: filters, TLS, RBAC)
    #[arg(long)]
    pub skip_unsupported: bool,
    /// Keep the newest spans of this proxy itself, in so many bytes (such as 64MiB), and show them below /traces of the admin interface
    #[arg(long, value_name = "BYTES", value_parser = option_value::bytes_of_memory)]
    pub keep_traces: Option<usize>,
    /// Use address TO wherever the configuration says FROM (both HOST:PORT); may be given several times
    #[arg(long, value_name = "FROM=TO")]
    pub map_address: Vec<String>,
}

impl Options {
    /// How long entries of access logs wait. `--file-flush-interval-msec`, default 10 s.
    pub fn file_flush_interval(&self) -> Duration {
        Duration::from_millis(self.file_flush_interval_msec)
    }

    /// How long open requests get to finish after SIGTERM. `--drain-time-s`, default 600 s.
    pub fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_time_s)
    }
}

/// `spanway check`.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The files to check, YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Report as JSON, one object per file
    #[arg(long)]
    pub json: bool,
    /// Warn of unsupported fields instead of refusing them, as serving with the same flag does
    #[arg(long)]
    pub skip_unsupported: bool,
}

/// What stands below the flags in `spanway explain --help`.
const AFTER_EXPLAIN_HELP: &str = "\
Examples:
  spanway explain -c envoy.yaml --request 'GET http://shop.example.com/cart?item=1' -H 'x-canary: 1'
  spanway explain --live 127.0.0.1:9901 --request 'POST https://shop.example.com/pay' --listener ingress
  spanway explain --live unix:/run/admin.sock --request 'GET http://shop.example.com/'

Exit codes:
  0  the request would go to a host, or the proxy would answer it with a status below 400
  1  the proxy itself would answer it with an error, such as 404 for want of a route
  2  the command line, the configuration or the question is wrong, or nobody answers at --live";

/// Both ways, which the flags alone do not tell apart.
const EXPLAIN_USAGE: &str = "\
spanway explain <--config-path <PATH>|--config-yaml <YAML>> --request <METHOD URL> [OPTIONS]
       spanway explain --live <ADMIN> --request <METHOD URL> [OPTIONS]";

/// `spanway explain`.
#[derive(Debug, Args)]
#[command(
    after_help = AFTER_EXPLAIN_HELP,
    override_usage = EXPLAIN_USAGE,
    group = ArgGroup::new("asked").required(true).multiple(true).args(["config_path", "config_yaml", "live"])
)]
pub struct ExplainOptions {
    /// Path of the bootstrap, as in serving
    #[arg(short = 'c', long, value_name = "PATH")]
    pub config_path: Option<PathBuf>,
    /// YAML text merged over the file of --config-path, as in serving
    #[arg(long, value_name = "YAML")]
    pub config_yaml: Option<String>,
    /// Ask the running proxy that has its admin interface there: PORT, HOST or HOST:PORT (9901 if none is said), also after http://, or unix:/PATH
    #[arg(
        long,
        value_name = "ADMIN",
        conflicts_with_all = ["config_path", "config_yaml", "skip_unsupported", "map_address"]
    )]
    pub live: Option<AdminAddress>,
    /// The request: a method and a URL
    #[arg(long, value_name = "METHOD URL")]
    pub request: String,
    /// A header of it; may be given several times
    #[arg(short = 'H', long, value_name = "NAME: VALUE")]
    pub header: Vec<String>,
    /// The name or address of the listener that it comes to [default: the one with the URL's port, or the only one]
    #[arg(long, value_name = "NAME")]
    pub listener: Option<String>,
    /// The address that it comes from [default: 127.0.0.1]
    #[arg(long, value_name = "IP")]
    pub source: Option<String>,
    /// Which HTTP the client speaks [default: 1.1]
    #[arg(long, value_parser = ["1.0", "1.1", "2"])]
    pub http: Option<String>,
    /// The random number that decides what is left to chance [default: one that gets what most requests get]
    #[arg(long, value_name = "NUMBER")]
    pub random: Option<u64>,
    /// How it is written
    #[arg(long, default_value = "text", value_parser = ["text", "json"])]
    pub format: String,
    /// As in serving
    #[arg(long)]
    pub skip_unsupported: bool,
    /// As in serving
    #[arg(long, value_name = "FROM=TO")]
    pub map_address: Vec<String>,
}

/// `spanway trace-test`.
#[derive(Debug, Args)]
pub struct TraceTestOptions {
    /// Test each tracer of this bootstrap, and the one that OTEL_EXPORTER_OTLP_ENDPOINT names
    #[arg(
        short = 'c',
        long,
        value_name = "PATH",
        required_unless_present = "endpoint",
        conflicts_with = "endpoint"
    )]
    pub config_path: Option<PathBuf>,
    /// Test this OTLP address instead, such as <http://localhost:4318> or <https://api.honeycomb.io>
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// A header of the call, such as a key; may be given several times
    #[arg(long, value_name = "NAME=VALUE", requires = "endpoint")]
    pub header: Vec<String>,
    /// How the address is spoken to [default: http/protobuf]
    #[arg(long, value_parser = ["grpc", "http/protobuf"], requires = "endpoint")]
    pub protocol: Option<String>,
    /// Compress the call
    #[arg(long, requires = "endpoint")]
    pub gzip: bool,
    /// Verify an https address by the authorities in this file instead of the system's
    #[arg(long, value_name = "PATH", requires = "endpoint")]
    pub ca_certificate: Option<PathBuf>,
    /// As in serving
    #[arg(long)]
    pub skip_unsupported: bool,
    /// As in serving
    #[arg(long, value_name = "FROM=TO")]
    pub map_address: Vec<String>,
}

/// `spanway sandbox`.
#[derive(Debug, Args)]
pub struct SandboxOptions {
    /// Which sandbox
    #[arg(default_value = "opentelemetry")]
    pub name: String,
    /// Send the requests, print each trace as a tree, and exit: 0 only if hops, kinds and parents are right
    #[arg(long)]
    pub once: bool,
    /// Listen on ports that are free instead of the usual ones, as --once does
    #[arg(long)]
    pub free_ports: bool,
    /// Read the proxies' YAML files from this folder [default: sandboxes/NAME if it is here, else the built-in ones]
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
}

/// `spanway collector`.
#[derive(Debug, Clone, Args)]
pub struct CollectorOptions {
    /// Where OTLP/gRPC is received
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4317", value_parser = option_value::address)]
    pub grpc_address: SocketAddr,
    /// Where OTLP/HTTP is received
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4318", value_parser = option_value::address)]
    pub http_address: SocketAddr,
    /// Where the pages are served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:55679", value_parser = option_value::address)]
    pub pages_address: SocketAddr,
    /// Where `GET /` answers 200 while the collector is up, for health checks [default: 127.0.0.1:13133, unless that is taken]
    #[arg(long, value_name = "ADDRESS", value_parser = option_value::address)]
    pub health_address: Option<SocketAddr>,
    /// How many bytes of spans are kept, such as 64MiB; beyond it the oldest trace goes first, and those that failed or were slow last
    #[arg(long, value_name = "BYTES", default_value = "64MiB", value_parser = option_value::bytes_of_memory)]
    pub store_bytes: usize,
    /// Keep the spans that are received in this file, too (OTLP as JSON, a message a line), and read them back at the start
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// How long the file may become; then it is renamed to PATH.1, in the place of the one before
    #[arg(long, value_name = "BYTES", default_value = "256MiB", value_parser = option_value::bytes)]
    pub file_bytes: u64,
}

/// `spanway traces`.
#[derive(Debug, Clone, Args)]
pub struct TracesOptions {
    /// Print this trace as a tree, instead of a list of the newest
    #[arg(
        value_name = "TRACE-ID",
        value_parser = option_value::trace_id,
        conflicts_with_all = ["follow", "service", "operation", "errors", "min_duration", "attribute", "limit"]
    )]
    pub trace_id: Option<String>,
    /// Where the collector has its pages: HOST:PORT, PORT or <http://HOST:PORT/PATH>
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:55679")]
    pub address: PagesAddress,
    /// Go on, and print new traces as they come
    #[arg(long, short)]
    pub follow: bool,
    /// Only traces with a span of this service
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Only traces with a span of this name
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
    /// Only traces with a span that failed
    #[arg(long)]
    pub errors: bool,
    /// Only traces that took at least so long, such as 1.5ms or 2s
    #[arg(long, value_name = "DURATION", value_parser = option_value::duration)]
    pub min_duration: Option<String>,
    /// Only traces with a span that has this attribute; may be given several times, then one span has them all
    #[arg(long, value_name = "KEY=VALUE", value_parser = option_value::pair)]
    pub attribute: Vec<String>,
    /// How many traces [default: 20]
    #[arg(long, value_name = "N", value_parser = option_value::count)]
    pub limit: Option<usize>,
    /// Print JSON, each trace on a line, as Jaeger's API has it
    #[arg(long)]
    pub json: bool,
}

/// `spanway sandbox-service`.
#[derive(Debug, Args)]
pub struct SandboxServiceOptions {
    /// The name in its path and its greeting
    #[arg(long)]
    pub service_name: String,
    /// Where it listens
    #[arg(long)]
    pub address: SocketAddr,
}

/// `spanway health`.
#[derive(Debug, Args)]
pub struct HealthOptions {
    /// A TCP address or name, as HOST:PORT, that must accept a connection
    #[arg(default_value = "127.0.0.1:10000")]
    pub address: String,
}
