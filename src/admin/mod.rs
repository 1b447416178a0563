//! The admin interface: what an operator asks a running proxy. Served by the main thread, so that nobody who looks
//! delays a request.

mod page;
mod process;
mod stats;
mod subject;
mod tracing;

use std::{fmt::Write, io, os::unix::fs::FileTypeExt, path::Path, sync::Arc};

use axum::{
    Router,
    extract::{RawQuery, State},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header};
use tokio::net::{TcpListener, UnixListener};

pub(crate) use self::subject::{Process, Subject};
use crate::{
    collector::{self, store::Store},
    export::{Protocol, stats::TracerStats},
    snapshot::{Address, tracing::Tracer},
};

/// What there is, and what it answers.
const COMMANDS: &[(&str, &str)] = &[
    ("/", "this list"),
    ("/help", "this list"),
    ("/ready", "LIVE while the proxy serves"),
    ("/reset_counters", "begin to count at zero (POST)"),
    (
        "/stats",
        "what is counted; ?format=text|json|prometheus|html, filter, usedonly, type, histogram_buckets",
    ),
    ("/stats/prometheus", "the same for Prometheus"),
    ("/tracing", "what becomes of spans, per tracer; ?format=json for programs"),
    ("/traces", "this proxy's own newest traces, if it keeps them (--keep-traces)"),
];

/// Where the pages of kept traces begin.
const TRACES: &str = "/traces";

/// A tracer as the admin interface knows it.
#[derive(Debug)]
pub(crate) struct TracerStatus {
    /// What it is.
    pub(crate) tracer: Arc<Tracer>,
    /// Where its spans go, in words.
    pub(crate) destination: String,
    /// In which way.
    pub(crate) protocol: Protocol,
    /// What became of them.
    pub(crate) stats: Arc<TracerStats>,
}

/// Why there is no admin interface.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdminError {
    /// It cannot listen.
    #[error("the admin interface cannot listen on {address}: {cause}; change admin.address")]
    Bind {
        /// Where.
        address: Address,
        /// What the system says.
        cause: io::Error,
    },
    /// Its address cannot be written down.
    #[error("--admin-address-path {path}: {cause}")]
    AddressPath {
        /// The file.
        path: String,
        /// What the system says.
        cause: io::Error,
    },
}

/// A socket that is bound and not served yet.
#[derive(Debug)]
pub(crate) enum AdminSocket {
    /// At an IP address.
    Tcp(TcpListener),
    /// At a path.
    Unix(UnixListener),
}

/// Listen on `address`, and write the address that it became to the file at `path`.
pub(crate) async fn bind(address: &Address, path: Option<&Path>) -> Result<AdminSocket, AdminError> {
    let failed = |cause| AdminError::Bind { address: address.clone(), cause };
    let (socket, known) = match address {
        Address::Socket(socket) => {
            let listener = TcpListener::bind(socket).await.map_err(failed)?;
            let known = listener.local_addr().map_err(failed)?.to_string();
            (AdminSocket::Tcp(listener), known)
        }
        Address::Pipe(pipe) => {
            // What a process that was killed has left, and nothing else.
            if std::fs::metadata(pipe).is_ok_and(|left| left.file_type().is_socket()) {
                let _ = std::fs::remove_file(pipe);
            }
            (AdminSocket::Unix(UnixListener::bind(pipe).map_err(failed)?), address.to_string())
        }
    };
    if let Some(path) = path {
        std::fs::write(path, &known)
            .map_err(|cause| AdminError::AddressPath { path: path.display().to_string(), cause })?;
    }
    ::tracing::info!("the admin interface is at {known}");
    Ok(socket)
}

/// Answer for ever.
pub(crate) async fn serve(socket: AdminSocket, subject: Subject, kept: Option<Arc<Store>>) {
    let router = router(subject, kept);
    // It ends with the process only: a connection that cannot be accepted is tried again.
    let _ = match socket {
        AdminSocket::Tcp(listener) => axum::serve(listener, router).await,
        AdminSocket::Unix(listener) => axum::serve(listener, router).await,
    };
}

fn router(subject: Subject, kept: Option<Arc<Store>>) -> Router {
    let router = Router::new()
        .route("/", get(async || help()))
        .route("/help", get(async || help()))
        .route("/ready", get(async || "LIVE\n"))
        .route("/reset_counters", post(reset_counters))
        .route("/stats", get(stats::page))
        .route("/stats/prometheus", get(stats::prometheus_page))
        .route("/tracing", get(tracing_page))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n"))
        .fallback(async || (StatusCode::NOT_FOUND, format!("nothing here. {}", help())))
        .with_state(subject)
        .layer(map_response(guarded));
    match kept {
        // Its pages say themselves what may be done with them.
        Some(store) => {
            let without_slash = async |RawQuery(query): RawQuery| {
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                Redirect::permanent(&format!("{TRACES}{query}"))
            };
            let router = router.route(&format!("{TRACES}/"), get(without_slash));
            router.nest(TRACES, collector::pages(store, TRACES))
        }
        None => router,
    }
}

fn help() -> String {
    let mut text = "admin commands are:\n".to_owned();
    for (path, says) in COMMANDS {
        // Writing to a text does not fail.
        let _ = writeln!(text, "  {path}: {says}");
    }
    text
}

async fn tracing_page(State(subject): State<Subject>, RawQuery(query): RawQuery) -> Response {
    match query.as_deref() {
        Some(query) if query.split('&').any(|pair| pair == "format=json") => {
            let body = format!("{:#}\n", tracing::json(&subject.tracers));
            ([(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        _ => tracing::text(&subject.tracers).into_response(),
    }
}

async fn reset_counters(State(subject): State<Subject>) -> &'static str {
    stats::reset_counters(&subject);
    "OK\n"
}

/// Nothing here is to be kept or taken for another type.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
