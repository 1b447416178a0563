//! Gathers everything that is counted, with Envoy's names.

use crate::{
    access_log,
    admin::{Subject, certs::days_until_first_expires, stats::names::Names, tracing::envoy_counters},
    cluster::{ClusterState, circuit_breaker::Resource},
    snapshot::{listener::Listener, log_service::LogProtocol, route::VirtualHost},
    stats::{Group, Histogram, Metric, Reader, RequestGroup, Scope, Stat, Value},
};

/// All statistics, sorted by name. What has one name is one statistic.
pub(crate) fn all(subject: &Subject) -> Vec<Stat> {
    let mut stats = Gathered { stats: Vec::new(), asked: 0, names: &subject.stat_names };
    for listener in &subject.snapshot.listeners {
        of_listener(listener, &mut stats);
    }
    for cluster in &subject.clusters {
        of_cluster(cluster, &mut stats);
    }
    of_process(subject, &mut stats);
    of_logs(subject, &mut stats);
    of_flushes(subject, &mut stats);
    access_log::stats::read(&mut Namer { prefix: String::new(), gathered: &mut stats });
    let Gathered { mut stats, asked, names } = stats;
    // Those of one name stay in their order.
    stats.sort_by(|one, two| one.name.full.cmp(&two.name.full));
    stats.dedup_by(|next, known| {
        let same = next.name.full == known.name.full;
        if same {
            known.absorb(next.clone());
        }
        same
    });
    names.forget_beyond(asked);
    stats
}

/// What is gathered, and how it is called.
struct Gathered<'a> {
    stats: Vec<Stat>,
    /// How many names there were, those included that are not wanted.
    asked: usize,
    names: &'a Names,
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
    access_log::stats::reset_counters();
    subject.snapshot.flush_stats.reset_counters();
    for sink in &subject.snapshot.stats_sinks {
        sink.stats.reset_counters();
    }
}

/// Names what a group counted.
struct Namer<'a, 'b> {
    /// Goes before names: `cluster.app`. Nothing before those that are whole.
    prefix: String,
    gathered: &'a mut Gathered<'b>,
}

impl Namer<'_, '_> {
    fn push(&mut self, name: &str, used: bool, value: impl FnOnce() -> Value) {
        let full = match &*self.prefix {
            "" => name.to_owned(),
            prefix => [prefix, ".", name].concat(),
        };
        self.gathered.asked += 1;
        if let Some(name) = self.gathered.names.of(full) {
            self.gathered.stats.push(Stat { name, value: value(), used });
        }
    }
}

impl Reader for Namer<'_, '_> {
    fn counter(&mut self, name: &str, value: u64) {
        self.push(name, value > 0, || Value::Counter(value));
    }

    fn gauge(&mut self, name: &str, value: u64, used: bool) {
        self.push(name, used, || Value::Gauge(value));
    }

    fn histogram(&mut self, name: &str, histogram: &Histogram) {
        let bins = histogram.bins();
        self.push(name, bins.count > 0, || Value::Histogram(bins));
    }
}

fn read<G: Group>(scope: &Scope<G>, prefix: String, gathered: &mut Gathered<'_>) {
    scope.total().read("", &mut Namer { prefix, gathered });
}

fn of_listener(listener: &Listener, stats: &mut Gathered<'_>) {
    let (address, manager) = (&*listener.stat_prefix, &listener.manager);
    read(&listener.stats, format!("listener.{address}"), stats);
    for (index, worker) in listener.stats.by_worker() {
        let mut namer = Namer { prefix: format!("listener.{address}.worker_{index}"), gathered: stats };
        worker.downstream_cx_total.read("downstream_cx_total", &mut namer);
        worker.downstream_cx_active.read("downstream_cx_active", &mut namer);
    }
    read(&listener.http_stats, format!("listener.{address}.http.{}", manager.stat_prefix), stats);
    read(&manager.stats, format!("http.{}", manager.stat_prefix), stats);
    for virtual_host in &manager.routes.virtual_hosts {
        for group in groups(virtual_host) {
            read(&group.stats, format!("vhost.{}.{}", virtual_host.name, group.name), stats);
        }
    }
}

/// Where requests of a virtual host are counted besides.
fn groups(virtual_host: &VirtualHost) -> impl Iterator<Item = &RequestGroup> {
    let clusters = virtual_host.virtual_clusters.iter();
    let named = clusters.flat_map(|all| all.named.iter().map(|(_, group)| group).chain([&all.other]));
    let routes = virtual_host.routes.iter().filter_map(|route| route.stats.as_ref());
    named.chain(routes).map(AsRef::as_ref)
}

fn of_cluster(cluster: &ClusterState, stats: &mut Gathered<'_>) {
    let prefix = format!("cluster.{}", cluster.config.observability_name.replace(':', "_"));
    read(&cluster.config.stats, prefix.clone(), stats);
    let mut namer = Namer { prefix, gathered: stats };
    let hosts = cluster.hosts.load();
    for (name, value) in [
        ("membership_total", hosts.all.len()),
        ("membership_healthy", hosts.healthy),
        ("membership_degraded", 0),
        ("membership_excluded", 0),
    ] {
        // As in Envoy they are used from the start.
        namer.gauge(name, value as u64, true);
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
        namer.gauge(&format!("circuit_breakers.default.{name}_open"), open, true);
        if cluster.config.thresholds.track_remaining {
            let name = format!("circuit_breakers.default.{remaining}");
            namer.gauge(&name, most.saturating_sub(now).into(), true);
        }
    }
}

/// What is counted of stats sinks.
fn of_flushes(subject: &Subject, stats: &mut Gathered<'_>) {
    read(&subject.snapshot.flush_stats, "server".to_owned(), stats);
    for sink in &subject.snapshot.stats_sinks {
        read(&sink.stats, format!("stats_sinks.{}", sink.short_name()), stats);
    }
}

/// What is known of the process itself.
fn of_process(subject: &Subject, stats: &mut Gathered<'_>) {
    let mut of = |prefix: &str, gauges: &[(&str, u64)], counters: &[(&str, u64)]| {
        let mut namer = Namer { prefix: prefix.to_owned(), gathered: stats };
        // As in Envoy these are used from the start.
        let known = |name: &str| matches!(name, "state" | "total_listeners_warming" | "warming_clusters");
        gauges.iter().for_each(|(name, value)| namer.gauge(name, *value, *value > 0 || known(name)));
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
                of(prefix, &[], &[(field, value)]);
            }
        }
    }
}

/// What became of the entries of access logs that go to services.
fn of_logs(subject: &Subject, gathered: &mut Gathered<'_>) {
    for log in &subject.logs {
        let service = &log.service;
        let of = match &service.protocol {
            LogProtocol::AccessLogService { .. } => "grpc_access_log",
            LogProtocol::OpenTelemetry { .. } => "open_telemetry_access_log",
        };
        let point = if service.stat_prefix.is_empty() { "" } else { "." };
        let prefix = format!("access_logs.{of}{point}{}", service.stat_prefix);
        let mut namer = Namer { prefix, gathered };
        namer.counter("logs_written", log.written());
        namer.counter("logs_dropped", log.dropped());
    }
}
