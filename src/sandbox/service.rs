//! `spanway sandbox-service`: the application behind the proxies of a sandbox.

use std::{convert::Infallible, io, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, signal::unix, time::sleep};

use super::output::{complain, say};
use crate::server::options::SandboxServiceOptions;

/// Serve until told to stop.
pub fn run(options: &SandboxServiceOptions) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve_until_told(options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            let SandboxServiceOptions { service_name, address } = options;
            complain(&format!("service {service_name} on {address}: {cause}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve_until_told(options: &SandboxServiceOptions) -> io::Result<()> {
    let listener = TcpListener::bind(options.address).await?;
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    let greeter = Arc::new(Greeter::new(&options.service_name));
    tokio::select! {
        () = serve(listener, greeter) => Ok(()),
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

async fn serve(listener: TcpListener, greeter: Arc<Greeter>) {
    loop {
        let Ok((stream, client)) = listener.accept().await else {
            // No reason to stop: the client is gone, or there are too many. The pause is for the latter.
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let greeter = Arc::clone(&greeter);
        let answer = service_fn(move |request| {
            let response = greeter.answer(&request);
            log(client, &request, response.status());
            async move { Ok::<_, Infallible>(response) }
        });
        let connection =
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async move {
            if let Err(cause) = connection.await {
                say(&format!("{} - - connection ended: {cause}", client.ip()));
            }
        });
    }
}

/// Answers one path.
struct Greeter {
    path: String,
    greeting: Bytes,
}

impl Greeter {
    fn new(service_name: &str) -> Self {
        Self {
            path: format!("/trace/{service_name}"),
            greeting: format!("Hello from behind Envoy (service {service_name})!\n").into(),
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() != self.path {
            return html(StatusCode::NOT_FOUND, Bytes::from_static(b"Not Found\n"));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return html(StatusCode::METHOD_NOT_ALLOWED, Bytes::from_static(b"Method Not Allowed\n"));
        }
        html(StatusCode::OK, self.greeting.clone())
    }
}

fn html(status: StatusCode, text: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text));
    *response.status_mut() = status;
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

/// One line per request, with the headers that tell which trace it belongs to.
fn log(client: SocketAddr, request: &Request<Incoming>, status: StatusCode) {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("-");
    say(&format!(
        "{} - - \"{} {} {:?}\" {} x-request-id={} traceparent={}",
        client.ip(),
        request.method(),
        request.uri(),
        request.version(),
        status.as_u16(),
        header("x-request-id"),
        header("traceparent"),
    ));
}
