//! `/clusters`: where requests go, and what is counted of each host.

mod json;
mod text;

use axum::response::Response;
use http::StatusCode;
use regex::Regex;

use super::{answer, command::Asked};
use crate::{
    cluster::{ClusterState, host::Host},
    snapshot::cluster::{Health, Thresholds},
    stats::{Histogram, Metric, Reader},
};

/// `/clusters`
pub(super) fn page(asked: &Asked) -> Response {
    let filter = asked.value("filter").map(|filter| Regex::new(&filter)).transpose();
    let Ok(filter) = filter else {
        // Envoy's words, though the regular expressions are those of another library.
        return answer::refusal(StatusCode::BAD_REQUEST, "Invalid re2 regex");
    };
    let wanted =
        |cluster: &&ClusterState| filter.as_ref().is_none_or(|filter| filter.is_match(&cluster.config.name));
    let clusters = asked.subject.clusters.iter().map(|cluster| &**cluster).filter(wanted);
    match asked.value("format").as_deref() {
        Some("json") => json::answer(clusters),
        // As in Envoy whatever else.
        _ => answer::text(text::lines(clusters)),
    }
}

/// The limits of requests of high priority, which spanway has none of: Envoy's defaults.
fn high_priority() -> Thresholds {
    Thresholds::default()
}

/// A figure of a host.
struct HostFigure {
    name: String,
    value: u64,
    is_gauge: bool,
}

/// What was counted of `host`, counters first.
fn figures(host: &Host) -> Vec<HostFigure> {
    struct Figures(Vec<HostFigure>);

    impl Reader for Figures {
        fn counter(&mut self, name: &str, value: u64) {
            self.0.push(HostFigure { name: name.to_owned(), value, is_gauge: false });
        }

        fn gauge(&mut self, name: &str, value: u64, _used: bool) {
            self.0.push(HostFigure { name: name.to_owned(), value, is_gauge: true });
        }

        fn histogram(&mut self, _: &str, _: &Histogram) {}
    }

    let mut figures = Figures(Vec::new());
    host.stats.total().read("", &mut figures);
    figures.0
}

/// Envoy's name of the flag that a host has, besides which there are none.
fn health_flag(health: Health) -> &'static str {
    match health {
        Health::Healthy => "healthy",
        Health::Unhealthy => "/failed_eds_health",
        Health::Draining => "/eds_status_draining",
    }
}
