//! How long the requests of each route took, for Prometheus: `http.server.request.duration`.

use std::{
    collections::BTreeMap,
    fmt::{Result, Write},
};

use super::prometheus::{Exposition, label, sanitized};
use crate::{
    admin::Subject,
    snapshot::{listener::HttpConnectionManager, route::RouteConfiguration},
    stats::{Bins, Exemplar, ROUTE_BOUNDS, RouteStats, Scope},
};

/// OpenTelemetry's name, by which `filter` finds it.
pub(super) const NAME: &str = "http.server.request.duration";

/// The same as Prometheus has it.
const METRIC: &str = "http_server_request_duration_seconds";

/// The requests of a route. Routes that cannot be told apart are one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::admin) struct RouteName {
    /// `stat_prefix` of the connection manager.
    pub(in crate::admin) manager: String,
    /// The name of the virtual host; empty for requests without a route.
    pub(in crate::admin) virtual_host: String,
    /// The name of the route, or its path; empty for requests without a route.
    pub(in crate::admin) route: String,
}

/// Those of them that had the same method and class of status.
type Labels = (RouteName, &'static str, &'static str);

#[derive(Debug, Default)]
struct Part {
    durations: Bins,
    exemplars: Vec<Option<Exemplar>>,
}

/// All routes of a connection manager that had requests.
pub(in crate::admin) fn each_route(
    manager: &HttpConnectionManager,
) -> impl Iterator<Item = (RouteName, RouteStats)> {
    let RouteConfiguration { virtual_hosts, stats, .. } = &manager.routes;
    let none = stats.first().map(|stats| (String::new(), String::new(), stats));
    let routes = virtual_hosts.iter().flat_map(move |host| {
        host.routes.iter().filter_map(move |route| {
            Some((host.name.to_string(), route.label().to_string(), stats.get(route.id as usize)?))
        })
    });
    let used = |stats: &Scope<RouteStats>| stats.is_used().then(|| stats.total());
    none.into_iter().chain(routes).filter_map(move |(virtual_host, route, stats)| {
        Some((RouteName { manager: manager.stat_prefix.to_string(), virtual_host, route }, used(stats)?))
    })
}

/// Write the metric; with exemplars in OpenMetrics.
pub(super) fn write(out: &mut String, subject: &Subject, exposition: Exposition) -> Result {
    let Some(named) = subject.stat_names.of(NAME.to_owned()) else { return Ok(()) };
    let mut parts: BTreeMap<Labels, Part> = BTreeMap::new();
    for listener in &subject.snapshot.listeners {
        for (name, stats) in each_route(&listener.manager) {
            for (method, class, durations) in stats.parts() {
                let part = parts.entry((name.clone(), method, class)).or_default();
                part.durations.absorb(&durations.histogram.bins());
                part.exemplars.resize(ROUTE_BOUNDS.len() + 1, None);
                for (known, other) in part.exemplars.iter_mut().zip(durations.exemplars()) {
                    *known = [*known, other].into_iter().flatten().max_by_key(|exemplar| exemplar.at);
                }
            }
        }
    }
    if parts.is_empty() {
        return Ok(());
    }
    writeln!(out, "# TYPE {METRIC} histogram")?;
    let open_metrics = exposition == Exposition::OpenMetrics;
    if open_metrics {
        writeln!(out, "# UNIT {METRIC} seconds")?;
    }
    for ((name, method, class), part) in &parts {
        let mut labels = String::new();
        for (key, value) in [
            ("envoy_http_conn_manager_prefix", &*name.manager),
            ("envoy_virtual_host", &name.virtual_host),
            ("http_route", &name.route),
            ("http_request_method", method),
            ("http_response_status_class", class),
        ] {
            label(&mut labels, key, value)?;
        }
        // By its beginning Envoy's own rules take it for a connection manager's, of the name `server`.
        let tags = named.tags.iter().filter(|(key, _)| **key != *"envoy.http_conn_manager_prefix");
        for (key, value) in tags {
            label(&mut labels, &sanitized(key), value)?;
        }
        write_part(out, &labels, part, open_metrics)?;
    }
    Ok(())
}

fn write_part(out: &mut String, labels: &str, part: &Part, open_metrics: bool) -> Result {
    let exemplar = |index: usize| part.exemplars.get(index).copied().flatten().filter(|_| open_metrics);
    for (index, bound) in ROUTE_BOUNDS.iter().enumerate() {
        let count = part.durations.up_to(bound * 1e6);
        write!(out, "{METRIC}_bucket{{{labels},le=\"{bound:?}\"}} {count}")?;
        write_exemplar(out, exemplar(index))?;
    }
    let count = part.durations.count;
    write!(out, "{METRIC}_bucket{{{labels},le=\"+Inf\"}} {count}")?;
    write_exemplar(out, exemplar(ROUTE_BOUNDS.len()))?;
    writeln!(out, "{METRIC}_sum{{{labels}}} {}", part.durations.sum as f64 / 1e6)?;
    writeln!(out, "{METRIC}_count{{{labels}}} {count}")
}

fn write_exemplar(out: &mut String, exemplar: Option<Exemplar>) -> Result {
    if let Some(Exemplar { trace_id, span_id, duration, at }) = exemplar {
        let (value, at) = (duration.as_secs_f64(), at.as_secs_f64());
        write!(out, " # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {at:.3}")?;
    }
    writeln!(out)
}
