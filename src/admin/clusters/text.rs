//! Clusters as lines.

use std::fmt::{self, Write};

use super::{figures, health_flag, high_priority};
use crate::{
    cluster::{ClusterState, host::Host},
    snapshot::cluster::{Health, Thresholds},
};

/// `cluster::host::name::value`
pub(super) fn lines<'a>(clusters: impl Iterator<Item = &'a ClusterState>) -> String {
    let mut out = String::new();
    for cluster in clusters {
        // Writing to a text does not fail.
        let _ = write_cluster(&mut out, cluster);
    }
    out
}

fn write_cluster(out: &mut String, cluster: &ClusterState) -> fmt::Result {
    let name = &*cluster.config.name;
    writeln!(out, "{name}::observability_name::{}", cluster.config.observability_name)?;
    write_thresholds(out, name, "default", &cluster.config.thresholds)?;
    write_thresholds(out, name, "high", &high_priority())?;
    writeln!(out, "{name}::added_via_api::false")?;
    for (host, health) in &cluster.hosts.load().all {
        write_host(out, name, host, *health)?;
    }
    Ok(())
}

fn write_thresholds(out: &mut String, cluster: &str, priority: &str, limits: &Thresholds) -> fmt::Result {
    for (name, most) in [
        ("connections", limits.max_connections),
        ("pending_requests", limits.max_pending_requests),
        ("requests", limits.max_requests),
        ("retries", limits.max_retries),
    ] {
        writeln!(out, "{cluster}::{priority}_priority::max_{name}::{most}")?;
    }
    Ok(())
}

fn write_host(out: &mut String, cluster: &str, host: &Host, health: Health) -> fmt::Result {
    let prefix = format!("{cluster}::{}", host.address_text);
    let mut figures = figures(host);
    figures.sort_by(|one, two| one.name.cmp(&two.name));
    for figure in figures {
        writeln!(out, "{prefix}::{}::{}", figure.name, figure.value)?;
    }
    writeln!(out, "{prefix}::hostname::{}", host.hostname)?;
    writeln!(out, "{prefix}::health_flags::{}", health_flag(health))?;
    writeln!(out, "{prefix}::weight::{}", host.weight)?;
    writeln!(out, "{prefix}::region::{}", host.locality.region)?;
    writeln!(out, "{prefix}::zone::{}", host.locality.zone)?;
    writeln!(out, "{prefix}::sub_zone::{}", host.locality.sub_zone)?;
    writeln!(out, "{prefix}::canary::false")?;
    writeln!(out, "{prefix}::priority::0")?;
    // Nobody looks for outliers.
    writeln!(out, "{prefix}::success_rate::-1")?;
    writeln!(out, "{prefix}::local_origin_success_rate::-1")
}
