//! What a proxy is to do, in words that each proxy's configuration is written from.

/// What is traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Tracing {
    /// No tracing in the configuration at all.
    Off,
    /// This percentage, to a collector that listens.
    Percent(f64),
    /// Everything, to a collector that does not listen.
    DeadCollector,
}

/// One configuration.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// How many routes the virtual host has.
    pub(crate) routes: usize,
    /// Which of them matches, counted from 0.
    pub(crate) matched: usize,
    /// Routes by exact path instead of by prefix.
    pub(crate) exact: bool,
    /// Clients speak HTTP/2 without TLS.
    pub(crate) http2: bool,
    /// The host speaks HTTP/2 without TLS.
    pub(crate) upstream_http2: bool,
    /// What is traced.
    pub(crate) tracing: Tracing,
    /// Each request leaves an entry in a file.
    pub(crate) json_log: bool,
    /// Spans leave over OTLP/HTTP instead of gRPC.
    pub(crate) otlp_http: bool,
    /// Threads, or processes in nginx.
    pub(crate) workers: usize,
    /// Bytes in the body of a response.
    pub(crate) response: usize,
}

/// Production-like: 100 routes by prefix, the middle one matched, since Envoy walks them in order.
impl Default for Setup {
    fn default() -> Self {
        Self {
            routes: 100,
            matched: 50,
            exact: false,
            http2: false,
            upstream_http2: false,
            tracing: Tracing::Off,
            json_log: false,
            otlp_http: false,
            workers: 1,
            response: 12,
        }
    }
}

impl Setup {
    /// The path of the requests.
    pub(crate) fn path(&self) -> String {
        format!("/service-{}/{}", self.matched, self.response)
    }

    /// What the routes match, in order.
    pub(crate) fn matches(&self) -> impl Iterator<Item = String> {
        let (exact, response) = (self.exact, self.response);
        (0..self.routes).map(move |route| {
            if exact { format!("/service-{route}/{response}") } else { format!("/service-{route}/") }
        })
    }
}
