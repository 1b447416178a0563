//! What the log says of a service that takes entries: when a fault begins, and when it is over.

use std::time::Duration;

use http::StatusCode;
use tokio::time::Instant;
use tonic::Code;

use crate::export::failure::{Failure, FailureKind, Protocol};

/// So long nothing new is said of a service that was well again, and so long nothing may be lost until it takes entries
/// fast enough again.
const QUIET: Duration = Duration::from_secs(10);

/// Whether entries get through, and what was said of it.
#[derive(Debug)]
pub(super) struct Report {
    name: String,
    destination: String,
    fault: Option<Fault>,
    quiet_until: Option<Instant>,
}

/// What was told to be wrong.
#[derive(Debug)]
struct Fault {
    /// How many entries were lost before it.
    lost_before: u64,
    /// Since when entries are lost although they get through, the last time.
    behind: Option<Instant>,
}

impl Report {
    /// Of the access log of that name, whose entries go to `destination`.
    pub(super) fn new(name: &str, destination: String) -> Self {
        Self { name: name.to_owned(), destination, fault: None, quiet_until: None }
    }

    /// Where entries go, in words.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }

    /// Something went wrong, which is told once. `lost` is how many entries were lost before.
    pub(super) fn failed(&mut self, cause: &str, hint: Option<&'static str>, lost: u64) {
        if let Some(line) = self.fault(cause, hint, lost, None, Instant::now()) {
            tracing::warn!("{line}");
        }
    }

    /// Entries are lost since more come than are taken.
    pub(super) fn behind(&mut self, lost: u64) {
        let now = Instant::now();
        if let Some(line) = self.fault("takes entries more slowly than they come", None, lost, Some(now), now)
        {
            tracing::warn!("{line}");
        }
    }

    fn fault(
        &mut self,
        cause: &str,
        hint: Option<&'static str>,
        lost_before: u64,
        behind: Option<Instant>,
        now: Instant,
    ) -> Option<String> {
        if let Some(fault) = &mut self.fault {
            fault.behind = behind.or(fault.behind);
            return None;
        }
        if self.quiet_until.is_some_and(|until| now < until) {
            return None;
        }
        self.fault = Some(Fault { lost_before, behind });
        let (name, destination) = (&self.name, &self.destination);
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        Some(format!(
            "access log \"{name}\": {destination} {cause}{hint}. Entries wait, or are lost and counted; requests are not \
             affected"
        ))
    }

    /// Entries get through.
    pub(super) fn succeeded(&mut self, lost: u64) {
        if let Some(line) = self.recovered(lost, Instant::now()) {
            tracing::info!("{line}");
        }
    }

    fn recovered(&mut self, lost: u64, now: Instant) -> Option<String> {
        let fault = self.fault.as_ref()?;
        if fault.behind.is_some_and(|behind| now < behind + QUIET) {
            return None;
        }
        let lost = match lost.saturating_sub(fault.lost_before) {
            0 => "none was lost".to_owned(),
            lost => format!("{} lost", entries(lost)),
        };
        (self.fault, self.quiet_until) = (None, Some(now + QUIET));
        let (name, destination) = (&self.name, &self.destination);
        Some(format!("access log \"{name}\": entries get through to {destination} again; {lost}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_what_comes_and_goes_fills_no_log() {
        let start = Instant::now();
        let mut report = Report::new("l", "c:1".to_owned());
        let mut lines = 0;
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            lines += usize::from(report.fault("fails", None, second, None, now).is_some());
            lines += usize::from(report.fault("fails", None, second, None, now).is_some());
            lines += usize::from(report.recovered(second + 1, now).is_some());
        }
        assert_eq!(lines, 12, "two in ten seconds");
        let late = start + Duration::from_secs(100);
        let told = report.fault("does not listen", Some("do that"), 60, None, late).unwrap();
        assert!(told.starts_with("access log \"l\": c:1 does not listen; do that. "), "{told}");
        assert_eq!(
            report.recovered(61, late).unwrap(),
            "access log \"l\": entries get through to c:1 again; 1 entry lost"
        );
    }

    #[test]
    fn who_is_too_slow_is_fast_enough_when_nothing_was_lost_for_a_while() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut report = Report::new("l", "c:1".to_owned());
        assert!(report.fault("is slow", None, 0, Some(at(0)), at(0)).is_some());
        assert!(report.recovered(5, at(1)).is_none());
        assert!(report.fault("is slow", None, 5, Some(at(8)), at(8)).is_none());
        assert!(report.recovered(9, at(17)).is_none());
        assert!(report.recovered(9, at(18)).unwrap().ends_with("again; 9 entries lost"));
    }
}
