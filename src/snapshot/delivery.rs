//! How finished spans get to a collector: when, to whom, with which headers, and how much may wait.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};

use super::ClusterId;

/// When a worker hands finished spans over. Runtime keys below `tracing.<tracer>.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flush {
    /// So many at once. Default 256 (Envoy: 5). `min_flush_spans`.
    pub(crate) spans: usize,
    /// After so long in any case. Default 200 ms (Envoy: 5 s). `flush_interval_ms`, `OTEL_BSP_SCHEDULE_DELAY`.
    pub(crate) interval: Duration,
}

/// So much and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Spans.
    pub(crate) spans: usize,
    /// Bytes that they take.
    pub(crate) bytes: usize,
}

/// How spans are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    /// So much may wait for the collector; what is older is dropped then, and counted. Default 32,768 spans (Envoy:
    /// 1,024 per worker) and 16 MiB. `max_cache_size`, `OTEL_BSP_MAX_QUEUE_SIZE`, `Export.max_queue_bytes`.
    pub(crate) queue: Limits,
    /// So much is sent in one call. Default 2,048 spans and 1 MiB. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`,
    /// `Export.max_batch_spans`.
    pub(crate) call: Limits,
    /// For so long after its first call a batch is sent again. Default 5 min. `OTEL_BSP_EXPORT_TIMEOUT`,
    /// `Export.retry_for`.
    pub(crate) retry_for: Duration,
    /// Calls are compressed. Default false. `OTEL_EXPORTER_OTLP_COMPRESSION`, `Export.compression`.
    pub(crate) gzip: bool,
    /// Headers of each call besides those of the service. `OTEL_EXPORTER_OTLP_HEADERS`, `Export.headers`.
    pub(crate) headers: Vec<CallHeader>,
}

/// A header of the calls to a collector. Its value may be a secret and is never shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallHeader {
    /// Its name.
    pub(crate) name: HeaderName,
    /// Where its value comes from.
    pub(crate) value: HeaderSource,
}

/// Where the value of a [`CallHeader`] comes from.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum HeaderSource {
    /// It is known.
    Fixed(HeaderValue),
    /// The text of a file without white space at its ends, read again when the file has changed.
    File(PathBuf),
}

// Written by hand, so that no token can ever come into a message.
impl fmt::Debug for HeaderSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(_) => f.write_str("Fixed"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// How spans are sent to an OTLP collector.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OtlpExporter {
    /// `grpc_service`
    Grpc(GrpcService),
    /// `http_service`
    Http(HttpService),
}

/// A gRPC service behind a cluster. `config.core.v3.GrpcService`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GrpcService {
    /// `envoy_grpc.cluster_name`
    pub(crate) cluster: ClusterId,
    /// `envoy_grpc.authority`; default: the cluster's name.
    pub(crate) authority: Arc<str>,
    /// How long a call may take. Default none in Envoy, 10 s here. `timeout`, `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub(crate) timeout: Duration,
    /// `initial_metadata`
    pub(crate) metadata: Vec<CallHeader>,
}

/// An HTTP service behind a cluster. `config.core.v3.HttpService`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HttpService {
    /// `http_uri.cluster`
    pub(crate) cluster: ClusterId,
    /// Authority of `http_uri.uri`.
    pub(crate) authority: HeaderValue,
    /// Path and query of `http_uri.uri`.
    pub(crate) path: http::uri::PathAndQuery,
    /// How long a call may take. `http_uri.timeout`, `OTEL_EXPORTER_OTLP_TIMEOUT`.
    pub(crate) timeout: Duration,
    /// `request_headers_to_add`
    pub(crate) headers: Vec<CallHeader>,
}

impl HttpService {
    /// The authority, for messages and addresses.
    pub(crate) fn authority_text(&self) -> String {
        String::from_utf8_lossy(self.authority.as_bytes()).into_owned()
    }
}
