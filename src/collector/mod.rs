//! The embedded trace collector: OTLP in, pages out, nothing but memory in between.
//!
//! A message comes in through `otlp_grpc` or `otlp_http`, under the same `limits`; `intake` writes it to the `journal`, if
//! there is one, and turns it into `span`s and `log` records, which the `store` files with their traces; `ui` shows them,
//! ordered by `tree`, and `api` tells them to programs.

mod api;
pub mod attribute;
pub(crate) mod client;
pub mod command;
mod distinct;
mod foreign_file;
pub(crate) mod intake;
pub(crate) mod invalid;
mod journal;
mod limits;
mod listener;
pub mod log;
mod otlp_grpc;
mod otlp_http;
mod otlp_json;
pub mod otlp_out;
mod room;
pub mod service_map;
pub mod span;
pub mod store;
pub mod terminal;
pub mod tree;
mod ui;
mod warning;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use self::{
    intake::Intake,
    journal::Journal,
    listener::{PATIENCE, serve},
    store::Store,
};
use crate::server::options::CollectorOptions;

/// Where the health check is if nobody says it: where the OpenTelemetry Collector has it.
const HEALTH_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 13_133);
/// How long open requests get to finish once the collector is told to stop.
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// A collector whose addresses are all taken and which does not serve yet.
#[derive(Debug)]
pub struct Collector {
    store: Arc<Store>,
    grpc: TcpListener,
    http: TcpListener,
    pages: TcpListener,
    health: Option<TcpListener>,
    addresses: Addresses,
    journal: Option<Journal>,
}

/// Where a collector listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// OTLP/gRPC.
    pub grpc: SocketAddr,
    /// OTLP/HTTP.
    pub http: SocketAddr,
    /// The pages.
    pub pages: SocketAddr,
    /// The health check; none if its usual address is taken and no other was asked for.
    pub health: Option<SocketAddr>,
}

/// Why a collector cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    /// An address cannot be listened on; most often another process does.
    #[error("{who} cannot listen on {address}: {cause}; choose another address with {flag}")]
    Bind {
        /// What wants the address.
        who: &'static str,
        /// The address.
        address: SocketAddr,
        /// The flag that changes it.
        flag: &'static str,
        /// What the system says.
        cause: io::Error,
    },
    /// The file of spans cannot be read or written.
    #[error("--file {path}: {cause}")]
    File {
        /// The file.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
    /// Anything else that the system denies.
    #[error("cannot run: {0}")]
    System(#[from] io::Error),
}

impl Collector {
    /// Take all addresses of `options`; port 0 takes a free one. Nothing is served before all are taken.
    pub async fn bind(options: &CollectorOptions) -> Result<Self, CollectorError> {
        let grpc = listen("OTLP/gRPC", options.grpc_address, "--grpc-address").await?;
        let http = listen("OTLP/HTTP", options.http_address, "--http-address").await?;
        let pages = listen("the trace pages", options.pages_address, "--pages-address").await?;
        let health = match options.health_address {
            Some(address) => Some(listen("the health check", address, "--health-address").await?),
            // Several collectors on one machine are as good as one; who needs the check says where it is to be.
            None => TcpListener::bind(HEALTH_ADDRESS).await.ok(),
        };
        let addresses = Addresses {
            grpc: grpc.local_addr()?,
            http: http.local_addr()?,
            pages: pages.local_addr()?,
            health: health.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        let store = Arc::new(Store::new(options.store_bytes));
        let journal = match &options.file {
            Some(path) => Some(keep(path, options.file_bytes, &store)?),
            None => None,
        };
        Ok(Self { store, grpc, http, pages, health, addresses, journal })
    }

    /// Where it listens, with the ports that were really taken.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it has received; stays readable while it serves.
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Serve until `shutdown` is ready and open requests are done, at most two seconds later.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(());
        let mut servers = JoinSet::new();
        let intake = Arc::new(Intake::new(Arc::clone(&self.store), self.journal));
        let most = listener::connections_of_each(4);
        servers.spawn(serve(
            self.grpc,
            otlp_grpc::router(Arc::clone(&intake)),
            most,
            PATIENCE,
            stopping.clone(),
        ));
        servers.spawn(serve(self.http, otlp_http::router(intake), most, PATIENCE, stopping.clone()));
        let store = Arc::clone(&self.store);
        servers.spawn(serve(
            self.pages,
            ui::router(self.store, Some(self.addresses), ""),
            most,
            PATIENCE,
            stopping.clone(),
        ));
        if let Some(listener) = self.health {
            let healthy = Router::new().route("/", get(async || "the collector is up\n"));
            servers.spawn(serve(listener, healthy, most, PATIENCE, stopping));
        }

        shutdown.await;
        store.close();
        drop(stop);
        // Whoever is not done by then is cut off when the set is dropped.
        let _ = tokio::time::timeout(DRAIN_TIME, servers.join_all()).await;
    }
}

/// What becomes of a body that is posted as OTLP JSON, up to its trace as JSON and as a page. For tests/fuzz.
#[doc(hidden)]
pub fn read_otlp_json(body: &[u8]) {
    let store = Store::new(1 << 20);
    let _ = otlp_json::logs(body);
    let _ = otlp_json::points(body);
    let Ok((request, invalid)) = otlp_json::traces(body) else { return };
    intake::accept(&store, request, invalid);
    for trace in store.newest(10) {
        let _ = serde_json::to_string(&otlp_out::TraceData::from(&*trace));
        ui::write_trace(&trace);
    }
    service_map::edges(&store.newest(10));
}

/// The pages of a store that no collector fills, below the path `base`.
pub(crate) fn pages(store: Arc<Store>, base: &str) -> Router {
    ui::router(store, None, base)
}

/// Read the spans of the file at `path` back, and go on writing to it.
fn keep(path: &Path, limit_bytes: u64, store: &Store) -> Result<Journal, CollectorError> {
    let failed = |cause| CollectorError::File { path: path.display().to_string(), cause };
    foreign_file::refuse(path).map_err(failed)?;
    let (messages, broken) = journal::read_back(path, store).map_err(failed)?;
    if broken > 0 {
        tracing::warn!("{}: {broken} of {} lines cannot be read", path.display(), messages + broken);
    }
    Journal::open(path, limit_bytes).map_err(failed)
}

async fn listen(
    who: &'static str,
    address: SocketAddr,
    flag: &'static str,
) -> Result<TcpListener, CollectorError> {
    TcpListener::bind(address).await.map_err(|cause| CollectorError::Bind { who, address, flag, cause })
}
