//! Rate, errors and duration of each connection manager, route and cluster, for the page `/`.

use std::{
    cmp::Reverse,
    collections::HashMap,
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use tokio::time::Instant;

use super::{
    Subject,
    page::escape,
    stats::{RouteName, each_route},
};
use crate::stats::{Bins, Histogram, Metric, Reader, RouteStats};

/// So many routes are shown: those with the most requests.
const ROUTES: usize = 20;

/// What the summary was when somebody looked last, so that it can tell of the time since.
#[derive(Debug, Default)]
pub(crate) struct LastLook(Mutex<Option<Look>>);

#[derive(Debug)]
struct Look {
    at: Instant,
    /// Requests and errors, by the name of a row.
    figures: HashMap<String, (u64, u64)>,
}

/// What there is of one connection manager, route or cluster.
#[derive(Debug)]
struct Row {
    name: String,
    requests: u64,
    errors: u64,
    durations: Bins,
    /// So many of what durations are counted in are a millisecond.
    per_millisecond: f64,
}

/// Picks what the summary shows out of a group.
#[derive(Default)]
struct Picked {
    requests: u64,
    errors: u64,
    durations: Option<Bins>,
}

impl Reader for Picked {
    fn counter(&mut self, name: &str, value: u64) {
        match name {
            "downstream_rq_total" | "upstream_rq_total" => self.requests = value,
            "downstream_rq_5xx" | "upstream_rq_5xx" => self.errors = value,
            _ => {}
        }
    }

    fn gauge(&mut self, _: &str, _: u64, _: bool) {}

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        if matches!(name, "downstream_rq_time" | "upstream_rq_time") {
            self.durations = Some(histogram.bins());
        }
    }
}

impl Row {
    fn of(name: String, group: &impl Metric) -> Self {
        let mut picked = Picked::default();
        group.read("", &mut picked);
        let durations = picked.durations.unwrap_or_else(|| Histogram::default().bins());
        Self { name, requests: picked.requests, errors: picked.errors, durations, per_millisecond: 1.0 }
    }

    fn of_route(name: &RouteName, stats: &RouteStats) -> Self {
        let RouteName { manager, virtual_host, route } = name;
        let name = match virtual_host.as_str() {
            "" => format!("no route, {manager}"),
            host => format!("route {route} of {host}, {manager}"),
        };
        let mut row = Self { name, requests: 0, errors: 0, durations: Bins::default(), per_millisecond: 1e3 };
        for (_, class, part) in stats.parts() {
            let bins = part.histogram.bins();
            row.requests += bins.count;
            row.errors += if class == "5xx" { bins.count } else { 0 };
            row.durations.absorb(&bins);
        }
        row
    }
}

/// The tables of the summary.
pub(super) fn write(out: &mut String, subject: &Subject) {
    let snapshot = &subject.snapshot;
    let managers = snapshot.listeners.iter().map(|listener| {
        let name = format!("listener {}, {}", listener.name, listener.manager.stat_prefix);
        Row::of(name, &listener.manager.stats.total())
    });
    let clusters = subject
        .clusters
        .iter()
        .map(|cluster| Row::of(format!("cluster {}", cluster.config.name), &cluster.config.stats.total()));
    let mut routes: Vec<Row> = snapshot
        .listeners
        .iter()
        .flat_map(|listener| each_route(&listener.manager))
        .map(|(name, stats)| Row::of_route(&name, &stats))
        .collect();
    routes.sort_by_key(|row| Reverse(row.requests));
    let more = routes.len().saturating_sub(ROUTES);
    routes.truncate(ROUTES);
    let rows: Vec<Row> = managers.chain(routes).chain(clusters).collect();
    let now = Instant::now();
    let figures = rows.iter().map(|row| (row.name.clone(), (row.requests, row.errors))).collect();
    let look = Look { at: now, figures };
    let last = subject.last_look.0.lock().unwrap_or_else(PoisonError::into_inner).replace(look);
    // Writing to a text does not fail.
    let _ = write_rows(out, &rows, last.as_ref(), now, subject.started);
    if more > 0 {
        let _ = write!(
            out,
            "<p>{more} more routes had fewer requests: <a href=\"stats/prometheus?filter=http.server.request\">all routes</a></p>"
        );
    }
}

fn write_rows(
    out: &mut String,
    rows: &[Row],
    last: Option<&Look>,
    now: Instant,
    started: Instant,
) -> std::fmt::Result {
    let since = last.map_or(started, |last| last.at);
    let seconds = now.saturating_duration_since(since).as_secs_f64().max(0.001);
    let of = if last.is_some() { "the last look" } else { "the start" };
    write!(
        out,
        "<h2 id=\"red\">Requests</h2><p>Rates are of the {seconds:.0} s since {of}; all else since the start.</p>\
         <table aria-labelledby=\"red\"><thead><tr><th scope=\"col\">Of</th><th scope=\"col\" class=\"num\">Requests/s</th>\
         <th scope=\"col\" class=\"num\">Errors</th><th scope=\"col\" class=\"num\">Requests</th>\
         <th scope=\"col\" class=\"num\">p50 ms</th><th scope=\"col\" class=\"num\">p95 ms</th>\
         <th scope=\"col\" class=\"num\">p99 ms</th></tr></thead><tbody>"
    )?;
    for row in rows {
        let (requests, errors) =
            last.and_then(|last| last.figures.get(&row.name)).copied().unwrap_or_default();
        // Counters may have been reset meanwhile.
        let (requests, errors) = (row.requests.saturating_sub(requests), row.errors.saturating_sub(errors));
        write!(
            out,
            "<tr><th scope=\"row\">{}</th><td class=\"num\">{:.1}</td><td class=\"num\">{}</td><td class=\"num\">{}</td>",
            escape(&row.name),
            requests as f64 / seconds,
            share(errors, requests),
            row.requests
        )?;
        for quantile in [0.5, 0.95, 0.99] {
            match row.durations.quantile(quantile) {
                Some(time) => write!(out, "<td class=\"num\">{:.1}</td>", time / row.per_millisecond)?,
                None => out.push_str("<td class=\"num\">-</td>"),
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table>");
    Ok(())
}

/// Errors as a share of requests.
fn share(errors: u64, requests: u64) -> String {
    if requests == 0 { "-".to_owned() } else { format!("{:.1} %", errors as f64 * 100.0 / requests as f64) }
}
