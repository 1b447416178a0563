//! Finds the hosts of clusters that are named by DNS, on the main thread.
//!
//! The last good answer is kept: a name that stops resolving loses no host. (Envoy does the same for errors;
//! an empty answer of a name that exists empties the cluster there and here.)

use std::{net::IpAddr, sync::Arc, time::Duration};

use hickory_resolver::TokioResolver;
use tokio::time::Instant;

use super::{
    ClusterState,
    host::{Host, HostSet},
};
use crate::snapshot::{
    Address,
    cluster::{Discovery, DnsLookupFamily, DnsName, DnsOptions, Endpoint},
};

/// The longest pause after failed resolutions, which begin at the refresh rate and double.
const MAX_BACKOFF: Duration = Duration::from_secs(60);
/// A TTL below this would ask the server without pause.
const MIN_REFRESH: Duration = Duration::from_secs(1);

/// Resolve the names of `cluster` for ever. `resolved` is told when the first answer or error is in.
/// Clusters without names return at once.
pub(crate) async fn run(cluster: Arc<ClusterState>, resolver: Arc<TokioResolver>, resolved: impl FnOnce()) {
    let config = Arc::clone(&cluster.config);
    let (endpoints, options, first_only) = match &config.discovery {
        Discovery::Static(_) => return resolved(),
        Discovery::StrictDns(endpoints, options) => (endpoints.as_slice(), options, false),
        Discovery::LogicalDns(endpoint, options) => (std::slice::from_ref(endpoint), options, true),
    };
    let mut resolved = Some(resolved);
    let mut known: Vec<Option<Vec<IpAddr>>> = vec![None; endpoints.len()];
    let mut failures = 0_u32;
    loop {
        let mut ttl = Duration::MAX;
        let mut failed = None;
        let mut answered = false;
        for (endpoint, known) in endpoints.iter().zip(&mut known) {
            let stats = config.stats.mine();
            stats.update_attempt.inc();
            match resolve(&resolver, &endpoint.address, options.family).await {
                Ok(answer) => {
                    stats.update_success.inc();
                    ttl = ttl.min(answer.ttl);
                    answered = true;
                    *known = Some(answer.addresses);
                }
                Err(error) => {
                    stats.update_failure.inc();
                    failed = Some((&endpoint.address, error));
                }
            }
        }
        publish(&cluster, endpoints, &known, first_only);
        if let Some(resolved) = resolved.take() {
            resolved();
        }
        failures = match failed {
            Some((name, error)) => {
                // Once per streak: the name may stay away for hours.
                if failures == 0 {
                    tracing::warn!(
                        "cluster \"{}\": cannot resolve \"{}\": {error}; {}",
                        config.name,
                        name.host,
                        match cluster.hosts.load().hosts.len() {
                            0 => "it has no host until that changes".to_owned(),
                            known => format!("the {known} hosts it has stay"),
                        }
                    );
                }
                failures.saturating_add(1)
            }
            None => 0,
        };
        // One name that is gone does not slow down the others.
        tokio::time::sleep(pause(options, ttl, if answered { 0 } else { failures })).await;
    }
}

/// How long to wait for the next resolution.
fn pause(options: &DnsOptions, ttl: Duration, failures: u32) -> Duration {
    if failures > 0 {
        let doubled = options.refresh_rate.saturating_mul(1 << (failures - 1).min(6));
        return doubled.min(MAX_BACKOFF.max(options.refresh_rate));
    }
    if options.respect_ttl && ttl != Duration::MAX {
        return ttl.max(MIN_REFRESH);
    }
    options.refresh_rate
}

fn publish(
    cluster: &ClusterState,
    endpoints: &[Endpoint<DnsName>],
    known: &[Option<Vec<IpAddr>>],
    first_only: bool,
) {
    let before = cluster.hosts.load_full();
    let hosts = endpoints.iter().zip(known).flat_map(|(endpoint, addresses)| {
        let addresses = addresses.as_deref().unwrap_or_default();
        let taken = if first_only { addresses.len().min(1) } else { addresses.len() };
        let before = &before;
        addresses.iter().take(taken).map(move |ip| {
            let address = Address::Socket((*ip, endpoint.address.port).into());
            (Arc::new(Host::of(endpoint, address, before)), endpoint.health)
        })
    });
    let set = HostSet::new(hosts.collect());
    let stats = cluster.config.stats.mine();
    if set.all.is_empty() {
        stats.update_empty.inc();
    }
    if before.same_hosts(&set) {
        stats.update_no_rebuild.inc();
    } else {
        stats.membership_change.inc();
        tracing::debug!("cluster \"{}\": {} hosts", cluster.config.name, set.hosts.len());
        cluster.hosts.store(Arc::new(set));
    }
}

/// What a name stands for.
struct Answer {
    /// Sorted, so that two answers with the same addresses are equal.
    addresses: Vec<IpAddr>,
    ttl: Duration,
}

async fn resolve(
    resolver: &TokioResolver,
    name: &DnsName,
    family: DnsLookupFamily,
) -> Result<Answer, hickory_resolver::net::NetError> {
    if let Ok(literal) = name.host.parse() {
        return Ok(Answer { addresses: vec![literal], ttl: Duration::MAX });
    }
    let lookup = resolver.lookup_ip(&*name.host).await?;
    let ttl = lookup.valid_until().saturating_duration_since(Instant::now().into_std());
    let mut addresses = lookup.iter().collect::<Vec<_>>();
    choose_family(&mut addresses, family);
    // The resolver rotates answers; LOGICAL_DNS and the comparison of host sets want an order.
    addresses.sort_unstable();
    addresses.dedup();
    Ok(Answer { addresses, ttl })
}

/// Keep the addresses that `family` asks for.
fn choose_family(addresses: &mut Vec<IpAddr>, family: DnsLookupFamily) {
    let any = |v6: bool, list: &[IpAddr]| list.iter().any(|ip| ip.is_ipv6() == v6);
    let keep_v6 = match family {
        DnsLookupFamily::All => return,
        DnsLookupFamily::V4Only => false,
        DnsLookupFamily::V6Only => true,
        DnsLookupFamily::Auto => any(true, addresses),
        DnsLookupFamily::V4Preferred => !any(false, addresses),
    };
    addresses.retain(|ip| ip.is_ipv6() == keep_v6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_family_keeps_its_addresses() {
        let both: Vec<IpAddr> =
            ["1.1.1.1", "::1"].iter().map(|text| text.parse().expect("an address")).collect();
        for (family, left) in [
            (DnsLookupFamily::Auto, "[::1]"),
            (DnsLookupFamily::V4Preferred, "[1.1.1.1]"),
            (DnsLookupFamily::V4Only, "[1.1.1.1]"),
            (DnsLookupFamily::V6Only, "[::1]"),
            (DnsLookupFamily::All, "[1.1.1.1, ::1]"),
        ] {
            let mut addresses = both.clone();
            choose_family(&mut addresses, family);
            assert_eq!(format!("{addresses:?}"), left, "{family:?}");
        }
    }

    #[test]
    fn failed_resolutions_are_repeated_ever_later_up_to_a_minute() {
        let options = DnsOptions {
            refresh_rate: Duration::from_secs(5),
            respect_ttl: true,
            family: DnsLookupFamily::Auto,
        };
        let seconds = |ttl, failures| pause(&options, Duration::from_secs(ttl), failures).as_secs();
        assert_eq!([seconds(1, 1), seconds(1, 2), seconds(1, 9)], [5, 10, 60]);
        assert_eq!([seconds(30, 0), seconds(0, 0)], [30, 1], "otherwise the answer's TTL counts");
    }
}
