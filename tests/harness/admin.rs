//! What the admin interface tells of the tracers.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use super::{DEADLINE, Message, Wire};

/// The page `/tracing`.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TracingPage {
    pub(crate) tracers: Vec<TracerReport>,
}

/// One tracer on it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct TracerReport {
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) destination: String,
    pub(crate) state: String,
    pub(crate) spans: SpanCounts,
    pub(crate) queue: QueueReport,
    pub(crate) calls: CallCounts,
    pub(crate) last_error: Option<LastError>,
    pub(crate) envoy: BTreeMap<String, u64>,
}

/// What became of a tracer's spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct SpanCounts {
    pub(crate) created: u64,
    pub(crate) exported: u64,
    /// What is in a call counts, too.
    pub(crate) queued: u64,
    pub(crate) dropped: Dropped,
}

/// Spans that are lost, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) queue_full: u64,
    pub(crate) rejected: u64,
    pub(crate) permanent: u64,
    pub(crate) timeout: u64,
    pub(crate) shutdown: u64,
}

impl Dropped {
    /// For whatever reason.
    pub(crate) fn all(self) -> u64 {
        self.queue_full + self.rejected + self.permanent + self.timeout + self.shutdown
    }
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct QueueReport {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
    pub(crate) max_spans: u64,
    pub(crate) max_bytes: u64,
    pub(crate) oldest_age_ms: u64,
    pub(crate) in_flight_spans: u64,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct CallCounts {
    pub(crate) batches: u64,
    pub(crate) retries: u64,
    pub(crate) bytes: u64,
}

/// The fault that was seen last.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct LastError {
    pub(crate) time: String,
    pub(crate) cause: String,
    pub(crate) hint: Option<String>,
}

/// The admin interface of a proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Admin(pub(crate) SocketAddr);

impl Admin {
    /// The response to `GET path`.
    pub(crate) async fn get(self, path: &str) -> Message {
        self.ask("GET", path, "", "").await
    }

    /// The response to `POST path`.
    pub(crate) async fn post(self, path: &str) -> Message {
        self.ask("POST", path, "", "").await
    }

    /// The response to any request; `headers` end with line breaks.
    pub(crate) async fn ask(self, method: &str, path: &str, headers: &str, body: &str) -> Message {
        let length = match (method, body) {
            ("GET" | "HEAD", "") => String::new(),
            (_, body) => format!("content-length: {}\r\n", body.len()),
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{length}{headers}\r\n{body}"
        );
        Wire::connect(self.0).await.ask(&request).await
    }

    /// What it tells of the tracers.
    pub(crate) async fn tracing(self) -> TracingPage {
        let response = self.get("/tracing?format=json").await;
        assert_eq!(response.status(), 200, "{}", response.text());
        serde_json::from_str(response.text()).unwrap_or_else(|error| panic!("{error}: {}", response.text()))
    }

    /// What it tells of the tracer called `name`.
    pub(crate) async fn tracer(self, name: &str) -> TracerReport {
        let page = self.tracing().await;
        let found = page.tracers.iter().find(|tracer| tracer.name == name).cloned();
        found.unwrap_or_else(|| panic!("no {name} in {page:#?}"))
    }

    /// The report of the tracer called `name`, once it is as it should be.
    pub(crate) async fn until(self, name: &str, is: impl Fn(&TracerReport) -> bool) -> TracerReport {
        let end = Instant::now() + DEADLINE;
        loop {
            let report = self.tracer(name).await;
            if is(&report) {
                return report;
            }
            assert!(Instant::now() < end, "it stays {report:#?}");
            // Nothing tells when counters change.
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The report of the tracer called `name`, once it has made `created` spans and none waits any more.
    pub(crate) async fn settled(self, name: &str, created: u64) -> TracerReport {
        self.until(name, |report| report.spans.created >= created && report.spans.queued == 0).await
    }
}
