//! Gathers everything that is counted, with Envoy's names, and the tags that it takes from them for Prometheus.

use std::collections::BTreeMap;

use super::Value;
use crate::{
    admin::{Subject, certs::days_until_first_expires, tracing::envoy_counters},
    cluster::{ClusterState, circuit_breaker::Resource},
    snapshot::{listener::Listener, log_service::LogProtocol, route::VirtualHost},
    stats::{Group, Histogram, Metric, Reader, RequestGroup, Scope},
};

/// One statistic.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Stat {
    /// `cluster.app.upstream_rq_total`
    pub(super) name: String,
    /// `envoy_cluster_upstream_rq_total`
    pub(super) metric: String,
    /// Labels and their values, in Envoy's order.
    pub(super) tags: Vec<(&'static str, String)>,
    pub(super) value: Value,
    /// Something was written to it.
    pub(super) used: bool,
}

/// All statistics, sorted by name. What has one name is one statistic.
pub(super) fn all(subject: &Subject) -> Vec<Stat> {
    let mut stats = Vec::new();
    for listener in &subject.snapshot.listeners {
        of_listener(listener, &mut stats);
    }
    for cluster in &subject.clusters {
        of_cluster(cluster, &mut stats);
    }
    of_process(subject, &mut stats);
    of_logs(subject, &mut stats);
    let mut all: BTreeMap<String, Stat> = BTreeMap::new();
    for stat in stats {
        match all.get_mut(&stat.name) {
            Some(known) => known.absorb(stat),
            None => drop(all.insert(stat.name.clone(), stat)),
        }
    }
    all.into_values().collect()
}

/// All counters begin at zero again.
pub(in crate::admin) fn reset_counters(subject: &Subject) {
    for listener in &subject.snapshot.listeners {
        listener.stats.reset_counters();
        listener.http_stats.reset_counters();
        listener.manager.stats.reset_counters();
        let hosts = &listener.manager.routes.virtual_hosts;
        hosts.iter().flat_map(groups).for_each(|group| group.stats.reset_counters());
    }
    for cluster in &subject.clusters {
        cluster.config.stats.reset_counters();
    }
}

impl Stat {
    /// Add what another one of the same name has come to.
    fn absorb(&mut self, other: Self) {
        self.used |= other.used;
        match (&mut self.value, other.value) {
            (Value::Counter(mine), Value::Counter(theirs)) | (Value::Gauge(mine), Value::Gauge(theirs)) => {
                *mine += theirs;
            }
            (Value::Histogram(mine), Value::Histogram(theirs)) => mine.absorb(&theirs),
            _ => {}
        }
    }
}

/// Names what a group counted.
struct Namer<'a> {
    /// Goes before names: `cluster.app`.
    prefix: String,
    /// The same without what became a tag: `cluster`.
    family: &'a str,
    tags: Vec<(&'static str, String)>,
    stats: &'a mut Vec<Stat>,
}

impl Namer<'_> {
    fn push(&mut self, name: &str, value: Value, used: bool) {
        let (field, code) = code_tag(name);
        let mut metric = String::with_capacity(7 + self.family.len() + field.len());
        for part in ["envoy_", self.family, "_", field] {
            metric.extend(part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }));
        }
        let mut tags = Vec::with_capacity(self.tags.len() + 1);
        tags.extend(code);
        tags.extend_from_slice(&self.tags);
        self.stats.push(Stat { name: [&self.prefix, ".", name].concat(), metric, tags, value, used });
    }
}

impl Reader for Namer<'_> {
    fn counter(&mut self, name: &str, value: u64) {
        self.push(name, Value::Counter(value), value > 0);
    }

    fn gauge(&mut self, name: &str, value: u64, used: bool) {
        self.push(name, Value::Gauge(value), used);
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        let bins = histogram.bins();
        let used = bins.count > 0;
        self.push(name, Value::Histogram(bins), used);
    }
}

/// What is left of a name without its status or class of statuses, and that as a tag.
fn code_tag(name: &str) -> (&str, Option<(&'static str, String)>) {
    for family in ["upstream_rq_", "downstream_rq_"] {
        let Some(at) = name.rfind(family).map(|at| at + family.len()) else { continue };
        let Some((head, code)) = name.split_at_checked(at) else { continue };
        return match code.as_bytes() {
            [class @ b'1'..=b'5', b'x', b'x'] => {
                (class_name(name, head), Some(("envoy_response_code_class", char::from(*class).to_string())))
            }
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                (head.trim_end_matches('_'), Some(("envoy_response_code", code.to_owned())))
            }
            _ => (name, None),
        };
    }
    (name, None)
}

/// `upstream_rq_xx` of `upstream_rq_2xx`, for names as they are.
fn class_name<'a>(name: &'a str, head: &str) -> &'a str {
    match (name, head) {
        (_, "upstream_rq_") => "upstream_rq_xx",
        (_, "downstream_rq_") => "downstream_rq_xx",
        (_, "external.upstream_rq_") => "external_upstream_rq_xx",
        (_, "internal.upstream_rq_") => "internal_upstream_rq_xx",
        (_, "retry.upstream_rq_") => "retry_upstream_rq_xx",
        (name, _) => name,
    }
}

fn read<G: Group>(
    scope: &Scope<G>,
    prefix: String,
    family: &'static str,
    tags: &[(&'static str, &str)],
    stats: &mut Vec<Stat>,
) {
    let tags = tags.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    scope.total().read("", &mut Namer { prefix, family, tags, stats });
}

fn of_listener(listener: &Listener, stats: &mut Vec<Stat>) {
    let (address, manager) = (&*listener.stat_prefix, &listener.manager);
    let at = ("envoy_listener_address", address);
    let http = ("envoy_http_conn_manager_prefix", &*manager.stat_prefix);
    read(&listener.stats, format!("listener.{address}"), "listener", &[at], stats);
    for (index, worker) in listener.stats.by_worker() {
        let prefix = format!("listener.{address}.worker_{index}");
        let tags = vec![("envoy_worker_id", index.to_string()), (at.0, at.1.to_owned())];
        let mut namer = Namer { prefix, family: "listener_worker", tags, stats };
        worker.downstream_cx_total.read("downstream_cx_total", &mut namer);
        worker.downstream_cx_active.read("downstream_cx_active", &mut namer);
    }
    let prefix = format!("listener.{address}.http.{}", manager.stat_prefix);
    read(&listener.http_stats, prefix, "listener_http", &[http, at], stats);
    read(&manager.stats, format!("http.{}", manager.stat_prefix), "http", &[http], stats);
    for virtual_host in &manager.routes.virtual_hosts {
        of_virtual_host(virtual_host, stats);
    }
}

fn of_virtual_host(virtual_host: &VirtualHost, stats: &mut Vec<Stat>) {
    let named = ("envoy_virtual_host", &*virtual_host.name);
    for group in groups(virtual_host) {
        let prefix = format!("vhost.{}.{}", virtual_host.name, group.name);
        let (family, tag) = match group.name.split_once('.') {
            Some(("vcluster", name)) => ("vhost_vcluster", ("envoy_virtual_cluster", name)),
            Some((_, name)) => ("vhost_route", ("envoy_route", name)),
            None => continue,
        };
        read(&group.stats, prefix, family, &[tag, named], stats);
    }
}

/// Where requests of a virtual host are counted besides.
fn groups(virtual_host: &VirtualHost) -> impl Iterator<Item = &RequestGroup> {
    let clusters = virtual_host.virtual_clusters.iter();
    let named = clusters.flat_map(|all| all.named.iter().map(|(_, group)| group).chain([&all.other]));
    let routes = virtual_host.routes.iter().filter_map(|route| route.stats.as_ref());
    named.chain(routes).map(AsRef::as_ref)
}

fn of_cluster(cluster: &ClusterState, stats: &mut Vec<Stat>) {
    let name = cluster.config.observability_name.replace(':', "_");
    let tag = ("envoy_cluster_name", &*name);
    read(&cluster.config.stats, format!("cluster.{name}"), "cluster", &[tag], stats);
    let tags = vec![(tag.0, name.clone())];
    let mut namer = Namer { prefix: format!("cluster.{name}"), family: "cluster", tags, stats };
    let hosts = cluster.hosts.load();
    for (name, value) in [
        ("membership_total", hosts.all.len()),
        ("membership_healthy", hosts.healthy),
        ("membership_degraded", 0),
        ("membership_excluded", 0),
    ] {
        namer.gauge(name, value as u64, value > 0);
    }
    for (name, remaining, resource) in [
        ("cx", "remaining_cx", Resource::Connections),
        ("rq_pending", "remaining_pending", Resource::Pending),
        ("rq", "remaining_rq", Resource::Requests),
        ("rq_retry", "remaining_retries", Resource::Retries),
    ] {
        let (now, most) = cluster.limits.usage(resource);
        // One that lets nothing through never closes, and so never opens.
        let open = u64::from(most > 0 && now >= most);
        namer.gauge(&format!("circuit_breakers.default.{name}_open"), open, open > 0);
        if cluster.config.thresholds.track_remaining {
            let name = format!("circuit_breakers.default.{remaining}");
            namer.gauge(&name, most.saturating_sub(now).into(), true);
        }
    }
}

/// What is known of the process itself.
fn of_process(subject: &Subject, stats: &mut Vec<Stat>) {
    let mut of = |prefix: &str, family: &'static str, gauges: &[(&str, u64)], counters: &[(&str, u64)]| {
        let mut namer = Namer { prefix: prefix.to_owned(), family, tags: Vec::new(), stats };
        gauges.iter().for_each(|(name, value)| namer.gauge(name, *value, *value > 0));
        counters.iter().for_each(|(name, value)| namer.counter(name, *value));
    };
    let (listeners, clusters) = (subject.snapshot.listeners.len() as u64, subject.clusters.len() as u64);
    let connections =
        subject.snapshot.listeners.iter().map(|listener| {
            u64::try_from(listener.stats.total().downstream_cx_active.get()).unwrap_or_default()
        });
    let memory = super::super::process::resident_bytes();
    of(
        "server",
        "server",
        &[
            ("live", u64::from(subject.is_live())),
            ("state", subject.state() as u64),
            ("uptime", subject.started.elapsed().as_secs()),
            ("concurrency", subject.workers as u64),
            ("total_connections", connections.sum()),
            ("parent_connections", 0),
            ("memory_physical_size", memory),
            ("days_until_first_cert_expiring", days_until_first_expires(subject)),
            ("hot_restart_epoch", 0),
            ("hot_restart_generation", 1),
        ],
        &[],
    );
    of(
        "listener_manager",
        "listener_manager",
        &[
            ("total_listeners_active", listeners),
            ("total_listeners_warming", 0),
            ("total_listeners_draining", 0),
            ("workers_started", 1),
        ],
        &[
            ("listener_added", listeners),
            ("listener_create_success", listeners * subject.workers as u64),
            ("listener_create_failure", 0),
            ("listener_modified", 0),
            ("listener_removed", 0),
            ("listener_stopped", 0),
        ],
    );
    of(
        "cluster_manager",
        "cluster_manager",
        &[("active_clusters", clusters), ("warming_clusters", 0)],
        &[
            ("cluster_added", clusters),
            ("cluster_modified", 0),
            ("cluster_removed", 0),
            ("cluster_updated", 0),
        ],
    );
    for status in &subject.tracers {
        for (name, value) in envoy_counters(status, &status.stats.figures()) {
            if let Some((prefix, field)) = name.rsplit_once('.') {
                let family =
                    if prefix.ends_with("zipkin") { "tracing_zipkin" } else { "tracing_opentelemetry" };
                of(prefix, family, &[], &[(field, value)]);
            }
        }
    }
}

/// What became of the entries of access logs that go to services.
fn of_logs(subject: &Subject, stats: &mut Vec<Stat>) {
    for log in &subject.logs {
        let service = &log.service;
        let of = match &service.protocol {
            LogProtocol::AccessLogService { .. } => "grpc_access_log",
            LogProtocol::OpenTelemetry { .. } => "open_telemetry_access_log",
        };
        let point = if service.stat_prefix.is_empty() { "" } else { "." };
        let prefix = format!("access_logs.{of}{point}{}", service.stat_prefix);
        // None of it is a tag.
        let mut namer = Namer { family: &prefix, prefix: prefix.clone(), tags: Vec::new(), stats };
        namer.counter("logs_written", log.written());
        namer.counter("logs_dropped", log.dropped());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_in_names_become_tags() {
        for (name, field, tag) in [
            ("upstream_rq_200", "upstream_rq", Some(("envoy_response_code", "200"))),
            ("upstream_rq_5xx", "upstream_rq_xx", Some(("envoy_response_code_class", "5"))),
            ("external.upstream_rq_503", "external.upstream_rq", Some(("envoy_response_code", "503"))),
            ("retry.upstream_rq_5xx", "retry_upstream_rq_xx", Some(("envoy_response_code_class", "5"))),
            ("downstream_rq_1xx", "downstream_rq_xx", Some(("envoy_response_code_class", "1"))),
            ("upstream_rq_total", "upstream_rq_total", None),
            ("external.upstream_rq_time", "external.upstream_rq_time", None),
            ("downstream_rq_http1_total", "downstream_rq_http1_total", None),
            ("no_route", "no_route", None),
        ] {
            let tag = tag.map(|(name, value)| (name, value.to_owned()));
            assert_eq!(code_tag(name), (field, tag), "{name}");
        }
    }
}
