//! haproxy's configuration.

use std::fmt::Write;

use crate::{setup::Setup, upstream::Surroundings};

/// Request ids, X-Forwarded-For, shared upstream connections and timeouts; `map` is the file with the routes.
pub(crate) fn configuration(setup: &Setup, around: &Surroundings, port: u16, map: &str) -> String {
    let (upstream, protocol) =
        if setup.upstream_http2 { (around.http2, " proto h2") } else { (around.http1, "") };
    format!(
        "global
  maxconn 8000
  nbthread {workers}
defaults
  mode http
  option http-keep-alive
  option forwardfor
  timeout connect 1s
  timeout client 300s
  timeout server 15s
  timeout http-request 10s
  timeout http-keep-alive 300s
  http-reuse always
frontend f
  bind 127.0.0.1:{port}{http2}
  http-request set-header X-Request-ID %[uuid()]
  http-request set-header X-Forwarded-Proto http
  use_backend %[path,{matching}({map})]
backend host
  server host 127.0.0.1:{upstream}{protocol} pool-max-conn -1
",
        workers = setup.workers,
        http2 = if setup.http2 { " proto h2" } else { "" },
        matching = if setup.exact { "map" } else { "map_beg" },
    )
}

/// The routes; a map is how haproxy is told of many.
pub(crate) fn map(setup: &Setup) -> String {
    setup.matches().fold(String::new(), |mut text, route| {
        let _ = writeln!(text, "{route} host");
        text
    })
}
