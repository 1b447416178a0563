//! Chooses a host: pingora's selectors behind our own type.
//!
//! Only pingora's selectors are used, not its `LoadBalancer`, which would fill a set for each pick. A selector
//! is built once per host set and worker; weights are reduced first, since selectors spread them into an array.

use std::{
    collections::BTreeSet,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
};

use pingora_load_balancing::{
    Backend,
    selection::{BackendIter, BackendSelection, Consistent, Random, RoundRobin},
};

use super::host::HostSet;
use crate::snapshot::cluster::LoadBalancingPolicy;

/// Entries that weights may be spread over.
const MAX_SPREAD: u64 = 16_384;
/// What selectors can count.
const MAX_BACKENDS: usize = u16::MAX as usize;

/// Chooses among the hosts of one set.
pub(crate) enum LoadBalancer {
    /// There is no host.
    Empty,
    /// There is one host: nothing to choose.
    Single,
    /// In turn, by weight.
    RoundRobin(Arc<RoundRobin>),
    /// By chance, by weight.
    Random(Arc<Random>),
    /// By hash.
    RingHash(Arc<Consistent>),
}

/// The place of a host in its set, kept with its backend.
#[derive(Clone, Copy)]
struct HostIndex(usize);

impl LoadBalancer {
    /// For the hosts of `set`.
    pub(crate) fn new(policy: LoadBalancingPolicy, set: &HostSet) -> Self {
        match set.hosts.len() {
            0 => return Self::Empty,
            1 => return Self::Single,
            _ => {}
        }
        let weights = reduce_weights(set.hosts.iter().take(MAX_BACKENDS).map(|host| host.weight).collect());
        let backends = set
            .hosts
            .iter()
            .zip(weights)
            .enumerate()
            .filter_map(|(index, (host, weight))| {
                // The ring hashes addresses; hosts on unix sockets get one that their place makes up.
                let address = host.address.socket().unwrap_or_else(|| placeholder(index));
                let mut backend = Backend::new_with_weight(&address.to_string(), weight as usize).ok()?;
                backend.ext.insert(HostIndex(index));
                Some(backend)
            })
            .collect::<BTreeSet<_>>();
        match policy {
            LoadBalancingPolicy::RoundRobin => Self::RoundRobin(Arc::new(RoundRobin::build(&backends))),
            LoadBalancingPolicy::Random => Self::Random(Arc::new(Random::build(&backends))),
            LoadBalancingPolicy::RingHash => Self::RingHash(Arc::new(Consistent::build(&backends))),
        }
    }

    /// The place of the chosen host. `hash` is what RING_HASH goes by; without it the ring is entered anywhere. `nth`
    /// places further along the ring are others, for who does not want the first.
    pub(crate) fn pick(&self, hash: Option<u64>, nth: usize) -> Option<usize> {
        match self {
            Self::Empty => None,
            Self::Single => Some(0),
            Self::RoundRobin(selector) => place(selector.iter(&[]), 0),
            Self::Random(selector) => place(selector.iter(&[]), 0),
            Self::RingHash(selector) => {
                let key = hash.unwrap_or_else(|| fastrand::u64(..));
                place(selector.iter(&key.to_le_bytes()), nth)
            }
        }
    }
}

impl std::fmt::Debug for LoadBalancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "Empty",
            Self::Single => "Single",
            Self::RoundRobin(_) => "RoundRobin",
            Self::Random(_) => "Random",
            Self::RingHash(_) => "RingHash",
        })
    }
}

fn place(mut hosts: impl BackendIter, nth: usize) -> Option<usize> {
    for _ in 0..nth {
        hosts.next();
    }
    hosts.next().and_then(|backend| backend.ext.get::<HostIndex>()).map(|index| index.0)
}

fn placeholder(index: usize) -> SocketAddr {
    (Ipv6Addr::from_bits(index as u128), 0).into()
}

/// The same shares in small numbers: divided by their greatest common divisor, and scaled down where their sum
/// would still spread over too many entries (Envoy permits sums near 2^32). No weight becomes zero.
fn reduce_weights(mut weights: Vec<u32>) -> Vec<u32> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    for weight in &mut weights {
        *weight /= divisor;
    }
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    if sum > MAX_SPREAD {
        for weight in &mut weights {
            *weight = u32::try_from((u64::from(*weight) * MAX_SPREAD / sum).max(1)).unwrap_or(1);
        }
    }
    weights
}

fn gcd(mut one: u32, mut two: u32) -> u32 {
    while two != 0 {
        (one, two) = (two, one % two);
    }
    one
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{cluster::host::Host, snapshot::Address};

    fn set(weights: &[u32]) -> HostSet {
        let hosts = (1..).zip(weights).map(|(port, weight)| {
            Arc::new(Host::new(Address::Socket(([127, 0, 0, 1], port).into()), "".into(), *weight, None))
        });
        HostSet { hosts: hosts.collect(), ..HostSet::default() }
    }

    fn counts(balancer: &LoadBalancer, hosts: usize, picks: usize) -> Vec<usize> {
        let mut counts = vec![0; hosts];
        for _ in 0..picks {
            counts[balancer.pick(None, 0).expect("a host")] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_shares_by_weight() {
        let balancer = LoadBalancer::new(LoadBalancingPolicy::RoundRobin, &set(&[100, 200, 100]));
        assert_eq!(counts(&balancer, 3, 400), [100, 200, 100]);
    }

    #[test]
    fn weights_near_the_limit_of_the_api_are_spread_over_few_entries() {
        let weights = reduce_weights(vec![u32::MAX, u32::MAX - 1, 1]);
        assert!(weights.iter().map(|weight| u64::from(*weight)).sum::<u64>() <= MAX_SPREAD + 3);
        assert!(weights.iter().all(|weight| *weight > 0));
    }

    #[test]
    fn ring_hash_keeps_a_key_with_its_host() {
        let balancer = LoadBalancer::new(LoadBalancingPolicy::RingHash, &set(&[1, 1, 1, 1]));
        for key in 0..50 {
            let host = balancer.pick(Some(key), 0);
            assert!((0..5).all(|_| balancer.pick(Some(key), 0) == host));
        }
        let used = (0..200).filter_map(|key| balancer.pick(Some(key), 0)).collect::<BTreeSet<_>>();
        assert_eq!(used.len(), 4, "all hosts get keys");
    }

    #[test]
    fn hosts_on_unix_sockets_are_told_apart() {
        let hosts =
            ["/a", "/b"].map(|path| Arc::new(Host::new(Address::Pipe(path.into()), "".into(), 1, None)));
        let balancer = LoadBalancer::new(
            LoadBalancingPolicy::RoundRobin,
            &HostSet { hosts: hosts.into_iter().collect(), ..HostSet::default() },
        );
        assert_eq!(counts(&balancer, 2, 10), [5, 5]);
    }

    proptest! {
        #[test]
        fn reduced_weights_keep_their_order(weights in proptest::collection::vec(1_u32.., 2..20)) {
            let reduced = reduce_weights(weights.clone());
            for (one, two) in weights.iter().zip(&reduced).zip(weights.iter().zip(&reduced).skip(1)) {
                prop_assert!((one.0 <= two.0) == (one.1 <= two.1) || one.1 == two.1);
            }
        }

        #[test]
        fn a_pick_is_always_a_host_of_the_set(weights in proptest::collection::vec(1_u32..1000, 0..9), hash: u64) {
            let set = set(&weights);
            for policy in [LoadBalancingPolicy::RoundRobin, LoadBalancingPolicy::Random, LoadBalancingPolicy::RingHash] {
                let pick = LoadBalancer::new(policy, &set).pick(Some(hash), 0);
                prop_assert_eq!(pick.is_some(), !weights.is_empty());
                prop_assert!(pick.is_none_or(|pick| pick < weights.len()));
            }
        }
    }
}
