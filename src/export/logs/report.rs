//! What the log says of a service that takes entries: when a fault begins, and when it is over.

use http::StatusCode;
use tonic::Code;

use crate::export::failure::{Failure, FailureKind, Protocol};

/// Whether entries get through, and what was said of it.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    destination: String,
    /// How many entries were lost before the fault that was told.
    fault: Option<u64>,
}

impl Report {
    /// Of the access log of that name, whose entries go to `destination`.
    pub(super) fn new(name: &str, destination: String) -> Self {
        Self { name: name.to_owned(), destination, fault: None }
    }

    /// Where entries go, in words.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// Something went wrong, which is told once. `lost` is how many entries were lost ever.
    pub(super) fn failed(&mut self, cause: &str, hint: Option<&'static str>, lost: u64) {
        if self.fault.is_none() {
            self.fault = Some(lost);
            let (name, destination) = (&self.name, &self.destination);
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            tracing::warn!(
                "access log \"{name}\": {destination} {cause}{hint}. Entries wait, or are lost and counted; requests are \
                 not affected"
            );
        }
    }

    /// Entries are lost since more come than are taken.
    pub(super) fn behind(&mut self, lost: u64) {
        self.failed("takes entries more slowly than they come", None, lost);
    }

    /// Entries get through.
    pub(super) fn succeeded(&mut self, lost: u64) {
        if let Some(before) = self.fault.take() {
            let (name, destination) = (&self.name, &self.destination);
            let lost = match lost.saturating_sub(before) {
                0 => "none was lost".to_owned(),
                lost => format!("{} lost", entries(lost)),
            };
            tracing::info!("access log \"{name}\": entries get through to {destination} again; {lost}");
        }
    }

    /// What became of all entries, when the process ends.
    pub(super) fn last_words(&self, written: u64, lost: u64) {
        let (name, destination) = (&self.name, &self.destination);
        if lost > 0 {
            let written = entries(written);
            tracing::warn!(
                "access log \"{name}\": {written} written to {destination}, {} lost",
                entries(lost)
            );
        }
    }
}

fn entries(count: u64) -> String {
    format!("{count} {}", if count == 1 { "entry" } else { "entries" })
}

/// What whoever operates the proxy can do about a failure.
pub(super) fn hint(failure: &Failure, over: Protocol) -> Option<&'static str> {
    match failure.kind {
        FailureKind::Grpc(Code::Unimplemented) => {
            Some("this port has no such service: check the cluster's address")
        }
        FailureKind::Http(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
            Some("check the path of the address: OTLP over HTTP usually takes logs at /v1/logs")
        }
        FailureKind::Grpc(Code::ResourceExhausted) | FailureKind::Http(StatusCode::TOO_MANY_REQUESTS) => {
            Some("the collector asks for less: log less by a filter, or raise its limits")
        }
        FailureKind::Http(StatusCode::PAYLOAD_TOO_LARGE) => Some("raise the collector's limit"),
        _ => failure.hint(over),
    }
}
