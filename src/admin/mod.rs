//! The admin interface: what an operator asks a running proxy. Served by the main thread, so that nobody who looks
//! delays a request.

mod address;
mod answer;
mod certs;
mod clusters;
mod command;
mod config_dump;
mod explain;
mod help;
mod home;
mod listeners;
mod logging;
mod memory;
mod page;
mod process;
mod red;
mod runtime;
mod server_info;
mod state;
mod stats;
mod subject;
mod tracing;

use std::{io, os::unix::fs::FileTypeExt, path::Path, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    middleware::map_response,
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::oneshot,
};

use self::command::{Asked, Run};
pub(crate) use self::{
    red::LastLook,
    server_info::CommandLineOptions,
    stats::{Names as StatNames, all as collect_stats},
    subject::{ListenerStatus, Order, Process, Subject},
};
use crate::{
    collector::{self, store::Store},
    export::{Protocol, stats::TracerStats},
    snapshot::{Address, tracing::Tracer},
};

/// How large a form may be.
const MAX_FORM_BYTES: usize = 64 << 10;

/// Where the pages of kept traces begin.
const TRACES: &str = "/traces";

/// What is said where they would be, were any kept.
const NO_TRACES: &str = "\
this proxy keeps no traces: start it with --keep-traces and a number of bytes, such as --keep-traces 64MiB, and the newest
of its own spans are shown here
";

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
    let router = Router::new().fallback(dispatch).with_state(subject).layer(map_response(guarded));
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

/// Answer by the table of commands.
async fn dispatch(State(subject): State<Subject>, request: Request) -> Response {
    let path = request.uri().path();
    let found = command::find(path).filter(|command| !matches!(command.run, Run::Elsewhere));
    let Some(command) = found else {
        if path.strip_prefix(TRACES).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            return answer::refusal(StatusCode::NOT_FOUND, NO_TRACES);
        }
        let help = help::list(subject.keeps_traces);
        return answer::refusal(StatusCode::NOT_FOUND, format!("invalid path. {help}"));
    };
    if let Run::Missing(reason) = command.run {
        return answer::refusal(StatusCode::NOT_IMPLEMENTED, format!("spanway has no {path}: {reason}\n"));
    }
    if command.mutates && request.method() != Method::POST {
        let method = request.method();
        ::tracing::error!("admin path \"{path}\" mutates state, method={method} rather than POST");
        let body = format!("Method {method} not allowed, POST required.");
        return answer::refusal(StatusCode::METHOD_NOT_ALLOWED, body);
    }
    if command.mutates && is_of_another_site(&request) {
        let body = "a page of another site may not change this process\n";
        return answer::refusal(StatusCode::FORBIDDEN, body);
    }
    let open_metrics = accepts_open_metrics(&request);
    let query = match parameters(request).await {
        Ok(query) => query,
        Err(refusal) => return refusal,
    };
    let asked = Asked { subject, query, open_metrics };
    match command.run {
        Run::Here(run) => run(&asked),
        Run::Apart(run) => apart(run, asked).await,
        Run::Elsewhere | Run::Missing(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Whether who asks says to read OpenMetrics, as a Prometheus does.
fn accepts_open_metrics(request: &Request) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    accepted.iter().any(|accepted| {
        accepted.to_str().is_ok_and(|accepted| accepted.contains("application/openmetrics-text"))
    })
}

/// Whether a browser sends it for a page from elsewhere: what listens on loopback can be posted to by any of them.
fn is_of_another_site(request: &Request) -> bool {
    let site = request.headers().get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// The parameters of a request: those of its address or, as in Envoy, where it has none those of the form in its body.
async fn parameters(request: Request) -> Result<String, Response> {
    if let Some(query) = request.uri().query().filter(|query| !query.is_empty()) {
        return Ok(query.to_owned());
    }
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if request.method() != Method::POST || !is_form {
        return Ok(String::new());
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_FORM_BYTES).await else {
        return Err(answer::refusal(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large\n"));
    };
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Answer on a thread of its own.
async fn apart(run: fn(&Asked) -> Response, asked: Asked) -> Response {
    let (sender, answered) = oneshot::channel();
    let work = move || {
        let response = run(&asked);
        drop(asked);
        // Who asked may be gone when the answer is there.
        let _ = sender.send(response);
    };
    let started = thread::Builder::new().name("admin".to_owned()).spawn(work);
    let answered = answered.await;
    if let Ok(thread) = started {
        tokio::spawn(async move {
            while !thread.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            // What it freed would otherwise stay with the process.
            spanway_heap::collect();
        });
    }
    answered.unwrap_or_else(|_| {
        answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, "it failed; the log may say why\n")
    })
}

/// Nothing here is to be kept or taken for another type.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, max-age=0"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
