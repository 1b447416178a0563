//! Which virtual host a request is for, and which of its routes takes it.

use std::collections::BTreeMap;

use super::{
    Subject,
    report::{Chance, Place, RouteReport, Routing, VirtualHostReport},
    sampling::number,
    walk::Walk,
    words,
};
use crate::{
    router::{
        self,
        route_matcher::{DomainMatch, MatchContext, Obstacle},
    },
    snapshot::{
        ClusterId,
        matcher::RequestView,
        route::{Action, ClusterChoice, Domains, Route, VirtualHost},
    },
};

/// Routes that are listed, of those that do not take the request.
const LISTED: usize = 100;
/// Domains that are listed.
const DOMAINS: usize = 20;
/// Random numbers that are tried at most.
const TRIED: u64 = 1_000_000;

/// What is told of a request that was routed.
pub(super) fn report(walk: &Walk<'_>, chances: Vec<Chance>) -> Option<Routing> {
    if !walk.routed {
        return None;
    }
    let request = walk.view(&walk.admitted);
    let authority = request.authority.to_owned();
    let config = &walk.manager.routes;
    let mut routing = Routing {
        virtual_host: None,
        domains: Vec::new(),
        domains_not_listed: 0,
        nearest_domain: None,
        routes: Vec::new(),
        routes_not_listed: 0,
        routes_after: 0,
        chances,
        authority,
    };
    let Some((virtual_host, route)) = walk.found else {
        let mut all = all_domains(&config.domains);
        routing.nearest_domain = nearest(&routing.authority, &all);
        routing.domains_not_listed = all.len().saturating_sub(DOMAINS);
        all.truncate(DOMAINS);
        routing.domains = all;
        return Some(routing);
    };
    let place = config.virtual_hosts.iter().position(|host| std::ptr::eq(host, virtual_host));
    let path = format!("{}.route_config.virtual_hosts[{}]", walk.manager.path, place.unwrap_or_default());
    let (domain, kind) = domain(walk, &routing.authority);
    routing.virtual_host = Some(VirtualHostReport {
        name: virtual_host.name.to_string(),
        place: Place::of(path.clone()),
        domain,
        kind,
        notes: notes(virtual_host),
    });
    let taken = route.and_then(|route| virtual_host.routes.iter().position(|one| std::ptr::eq(one, route)));
    let tried = taken.map_or(virtual_host.routes.len(), |taken| taken + 1);
    routing.routes_after = virtual_host.routes.len() - tried;
    let context = MatchContext { random: walk.random, grpc: walk.grpc };
    for (index, route) in virtual_host.routes.iter().enumerate().take(tried) {
        let obstacles = route.matcher.obstacles(&request, context);
        let near = !obstacles.iter().any(|obstacle| matches!(obstacle, Obstacle::Path));
        if !near && routing.routes.len() >= LISTED {
            routing.routes_not_listed += 1;
            continue;
        }
        let told = obstacles.iter().map(|found| words::obstacle(found, &route.matcher, &request));
        routing.routes.push(RouteReport {
            index,
            name: route.name.to_string(),
            place: Place::of(format!("{path}.routes[{index}]")),
            matches: words::matches(&route.matcher),
            taken: taken == Some(index),
            obstacles: told.collect(),
        });
    }
    Some(routing)
}

fn notes(virtual_host: &VirtualHost) -> Vec<String> {
    let mut notes = Vec::new();
    if virtual_host.require_tls {
        notes.push("require_tls: what does not come over https is redirected there".to_owned());
    }
    if virtual_host.include_request_attempt_count {
        notes.push("include_request_attempt_count: the host is told which attempt it is".to_owned());
    }
    notes
}

/// The domain by which the virtual host was found.
fn domain(walk: &Walk<'_>, authority: &str) -> (String, &'static str) {
    let config = &walk.manager.routes;
    let host = if config.ignore_port { router::route_matcher::without_port(authority) } else { authority };
    let host = host.to_ascii_lowercase();
    match config.domains.find(authority, config.ignore_port) {
        None => (String::new(), ""),
        Some((_, DomainMatch::Exact)) => (host, "exact"),
        Some((_, DomainMatch::Suffix(length))) => {
            let suffix = host.len().checked_sub(length).and_then(|at| host.get(at..)).unwrap_or_default();
            (format!("*{suffix}"), "suffix")
        }
        Some((_, DomainMatch::Prefix(length))) => {
            (format!("{}*", host.get(..length).unwrap_or_default()), "prefix")
        }
        Some((_, DomainMatch::Any)) => ("*".to_owned(), "any"),
    }
}

fn all_domains(domains: &Domains) -> Vec<String> {
    let exact = domains.exact.keys().map(ToString::to_string);
    let suffixes = domains.suffixes.keys().map(|suffix| format!("*{suffix}"));
    let prefixes = domains.prefixes.keys().map(|prefix| format!("{prefix}*"));
    let mut all = exact.chain(suffixes).chain(prefixes).collect::<Vec<_>>();
    all.sort();
    all
}

/// The domain most like `authority`, if one is like it at all.
fn nearest(authority: &str, domains: &[String]) -> Option<String> {
    let authority = authority.to_ascii_lowercase();
    let bare = router::route_matcher::without_port(&authority);
    let distance = |domain: &String| {
        let whole = strsim::damerau_levenshtein(&authority, domain);
        whole.min(strsim::damerau_levenshtein(bare, domain))
    };
    domains
        .iter()
        .map(|domain| (distance(domain), domain))
        .filter(|(distance, domain)| *distance <= 2 + domain.len() / 4)
        .min()
        .map(|(_, domain)| domain.clone())
}

/// What requests such as this one get where chance decides, the most frequent first; empty where it does not.
pub(super) fn chances(walk: &Walk<'_>, subject: &Subject<'_>) -> Vec<Chance> {
    let Some((virtual_host, _)) = walk.found else { return Vec::new() };
    let parts = &walk.admitted;
    let candidates = candidates(virtual_host, &walk.view(parts), walk.grpc);
    let by_chance =
        candidates.iter().any(|(_, route)| route.matcher.fraction.is_some() || is_weighted(route));
    if !by_chance {
        return Vec::new();
    }
    let period = candidates.iter().fold(1_u64, |period, (_, route)| {
        let denominator = route.matcher.fraction.map_or(1, |fraction| u64::from(fraction.denominator));
        let weights = match &route.action {
            Action::Forward(action) => match &action.cluster {
                ClusterChoice::Weighted { total, .. } => *total,
                ClusterChoice::One(_) | ClusterChoice::Header(_) => 1,
            },
            Action::Redirect(_) | Action::Direct(_) => 1,
        };
        period.saturating_mul(denominator.max(1)).saturating_mul(weights.max(1)).min(TRIED)
    });
    // Of each outcome how many random numbers lead to it, and the first of them.
    let mut outcomes: BTreeMap<(Option<usize>, Option<usize>), (u64, u64)> = BTreeMap::new();
    for random in 0..period {
        let route = candidates
            .iter()
            .find(|(_, route)| route.matcher.fraction.is_none_or(|fraction| fraction.holds(random)));
        let cluster = route.and_then(|(_, route)| match &route.action {
            Action::Forward(action) => {
                router::draw_cluster(action, &parts.headers, random, subject.snapshot).0
            }
            Action::Redirect(_) | Action::Direct(_) => None,
        });
        let key = (route.map(|(index, _)| *index), cluster.map(|ClusterId(cluster)| cluster));
        outcomes.entry(key).or_insert((0, random)).0 += 1;
    }
    let mut chances = outcomes
        .into_iter()
        .map(|((route, cluster), (count, random))| Chance {
            percent: percent(count, period),
            text: outcome(route, cluster, subject),
            random,
            told: false,
        })
        .collect::<Vec<_>>();
    chances.sort_by(|one, two| two.percent.total_cmp(&one.percent));
    chances
}

/// The routes that take the request as far as chance lets them, up to the first that needs none.
fn candidates<'r>(
    virtual_host: &'r VirtualHost,
    request: &RequestView<'_>,
    grpc: bool,
) -> Vec<(usize, &'r Route)> {
    let mut candidates = Vec::new();
    for (index, route) in virtual_host.routes.iter().enumerate() {
        let obstacles = route.matcher.obstacles(request, MatchContext { random: 0, grpc });
        if obstacles.iter().all(|obstacle| matches!(obstacle, Obstacle::Fraction(_))) {
            candidates.push((index, route));
            if route.matcher.fraction.is_none() {
                break;
            }
        }
    }
    candidates
}

fn is_weighted(route: &Route) -> bool {
    matches!(&route.action, Action::Forward(action) if matches!(action.cluster, ClusterChoice::Weighted { .. }))
}

#[expect(clippy::cast_precision_loss, reason = "at most a million")]
fn percent(count: u64, of: u64) -> f64 {
    let percent = 100.0 * count as f64 / of.max(1) as f64;
    (percent * 10_000.0).round() / 10_000.0
}

fn outcome(route: Option<usize>, cluster: Option<usize>, subject: &Subject<'_>) -> String {
    let route = route.map_or("no route".to_owned(), |route| format!("route {route}"));
    match cluster.and_then(|cluster| subject.snapshot.clusters.get(cluster)) {
        None => route,
        Some(cluster) => format!("{route}, cluster {:?}", cluster.name),
    }
}

/// Say which of them is told.
pub(super) fn mark(chances: &mut [Chance], walk: &Walk<'_>, subject: &Subject<'_>) {
    let Some((virtual_host, route)) = walk.found else { return };
    let index = route.and_then(|route| virtual_host.routes.iter().position(|one| std::ptr::eq(one, route)));
    let drawn = walk.route_action().and_then(|action| {
        router::draw_cluster(action, &walk.admitted.headers, walk.random, subject.snapshot).0
    });
    let told = outcome(index, drawn.map(|ClusterId(cluster)| cluster), subject);
    for chance in chances.iter_mut().filter(|chance| chance.text == told) {
        chance.told = true;
    }
}

/// A chance in a line.
pub(super) fn line(chance: &Chance) -> String {
    let told = if chance.told { ", told here" } else { "" };
    format!("{} %: {} (random {}{told})", number(chance.percent), chance.text, chance.random)
}
