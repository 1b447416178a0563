//! Why a request goes where it goes: told from the configuration that serves, by the functions that serve, and without
//! sending anything.

mod action;
mod changes;
mod forward;
mod listeners;
mod manager;
mod question;
mod replies;
mod report;
mod routing;
mod sampling;
mod spans;
mod text;
mod walk;
mod words;

use std::sync::Arc;

use http::HeaderName;

pub(crate) use self::{
    question::{Question, QuestionError, Words},
    report::Explanation,
    text::write as as_text,
};
use self::{
    report::{FilterReport, Outcome, OutcomeKind, Routing},
    walk::{End, Walk},
};
use crate::{
    cluster::ClusterState,
    filter,
    snapshot::{Address, Snapshot, filter::HttpFilter},
    stream_info::IpText,
};

/// The header by which `/explain` tells whether the proxy itself would answer with an error.
pub(crate) const IS_ERROR: HeaderName = HeaderName::from_static("x-spanway-explain-error");

/// What is asked about.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    /// What serves, or would.
    pub(crate) snapshot: &'a Snapshot,
    /// Its clusters.
    pub(crate) clusters: &'a [Arc<ClusterState>],
    /// Where each listener listens, where that is not what the snapshot says.
    pub(crate) addresses: &'a [Address],
    /// This machine's address towards others.
    pub(crate) own_ip: IpText,
    /// The process that serves; `None` where none does.
    pub(crate) live: Option<Live>,
}

/// What only a process that serves knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Live {
    /// It was told to answer health checks badly.
    pub(crate) unhealthy: bool,
}

/// Explain what becomes of a request.
pub(crate) fn explain(subject: &Subject<'_>, question: &Question) -> Result<Explanation, QuestionError> {
    let (place, why) = listeners::choose(subject, question)?;
    let gone = || QuestionError::Listener("the listener is gone".to_owned());
    let walk = |random: u64, later: bool| Walk::new(subject, place, question, random, later).ok_or_else(gone);
    let first = walk(question.random.unwrap_or_default(), false)?;
    let mut chances = routing::chances(&first, subject);
    // Told is what was asked for, or what most requests get.
    let likely = chances.first().map(|chance| chance.random);
    let random = question.random.or(likely).unwrap_or_default();
    let (walk, twin) = (walk(random, false)?, walk(random, true)?);
    routing::mark(&mut chances, &walk, subject);
    let forwarded = match &walk.end {
        End::Forward(forwarded) => Some(&**forwarded),
        End::Reply(..) => None,
    };
    let twin_forwarded = match &twin.end {
        End::Forward(forwarded) => Some(&**forwarded),
        End::Reply(..) => None,
    };
    // Before the reply, which writes down what became of the stream.
    let listener = listeners::report(subject, place, walk.listener, why, question);
    let reached = forwarded.is_some() || walk.filters.iter().all(Option::is_none) && walk.reached_route();
    let mut explanation = Explanation {
        request: question.line.clone(),
        outcome: Outcome { kind: OutcomeKind::Forwarded, status: None, text: String::new() },
        listener,
        connection_manager: manager::report(&walk, &twin),
        routing: routing::report(&walk, chances),
        filters: filters(&walk),
        action: walk
            .route()
            .filter(|_| reached)
            .map(|route| action::lines(route, forwarded, subject))
            .unwrap_or_default(),
        upstream_request: forwarded.map(|forwarded| forward::request(&walk, forwarded, twin_forwarded)),
        cluster: forwarded.and_then(|forwarded| forward::cluster(forwarded, subject)),
        tracing: spans::report(&walk, subject),
        reply: None,
    };
    conclude(&mut explanation, walk);
    Ok(explanation)
}

/// Say what it comes to.
fn conclude(explanation: &mut Explanation, mut walk: Walk<'_>) {
    let (reply, levels) = match std::mem::replace(&mut walk.end, walk::nowhere()) {
        End::Reply(reply, levels) => (reply, levels),
        End::Forward(_) => {
            let cluster = explanation.cluster.as_ref().map_or("", |cluster| &*cluster.name);
            let sent = explanation.upstream_request.as_ref();
            let (method, path) = sent.map_or(("", ""), |sent| (&*sent.method, &*sent.path));
            explanation.outcome.text = format!("forwarded to cluster {cluster:?} as {method} {path}");
            return;
        }
    };
    let (reply, status) = replies::report(&walk, reply, levels);
    let why = explanation.routing.as_ref().and_then(|routing| unrouted(routing, &reply.details));
    let why = why.or_else(|| by_route(&walk, &reply.details)).or_else(|| reply.why.clone());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let location = reply.headers.iter().find(|(name, _)| name == "location");
    let text = match location {
        Some((_, location)) => format!("redirected to {location} with {status}{why}"),
        None => format!("answered here with {status}{why}"),
    };
    explanation.outcome = Outcome { kind: OutcomeKind::Answered, status: Some(status), text };
    explanation.reply = Some(reply);
}

/// Why there is no route.
fn unrouted(routing: &Routing, details: &str) -> Option<String> {
    if details != "route_not_found" {
        return None;
    }
    Some(match (&routing.virtual_host, &routing.nearest_domain) {
        (None, None) => {
            format!("no virtual host has a domain for {:?}; {}", routing.authority, there_are(routing))
        }
        (None, Some(nearest)) => {
            format!("no virtual host has a domain for {:?}; the nearest is {nearest:?}", routing.authority)
        }
        (Some(host), _) => format!("none of the routes of virtual host {:?} takes it", host.name),
    })
}

/// Some of the domains that there are.
fn there_are(routing: &Routing) -> String {
    /// How many are named in a sentence.
    const NAMED: usize = 10;
    let named: Vec<_> = routing.domains.iter().take(NAMED).map(|domain| format!("{domain:?}")).collect();
    match routing.domains.len() + routing.domains_not_listed - named.len() {
        _ if named.is_empty() => "there is none at all".to_owned(),
        0 => format!("there are {}", named.join(", ")),
        more => format!("there are {}, and {more} more", named.join(", ")),
    }
}

/// Which part of the route configuration answers.
fn by_route(walk: &Walk<'_>, details: &str) -> Option<String> {
    if details != "direct_response" {
        return None;
    }
    let (virtual_host, route) = walk.found?;
    let index = route.and_then(|route| virtual_host.routes.iter().position(|one| std::ptr::eq(one, route)));
    Some(match index.filter(|_| walk.reached_route()) {
        Some(index) => format!("route {index} of virtual host {:?} says so", virtual_host.name),
        None => format!("virtual host {:?} has require_tls", virtual_host.name),
    })
}

/// What each filter that saw the request did.
fn filters(walk: &Walk<'_>) -> Vec<FilterReport> {
    let mut reports = Vec::new();
    for (filter, answer) in walk.manager.filters.iter().zip(&walk.filters) {
        let (name, passed) = match filter {
            HttpFilter::HealthCheck(_) if walk.info.health_check.get() => {
                ("envoy.filters.http.health_check", "it is a health check: marked, not traced, passed on")
            }
            HttpFilter::HealthCheck(_) => ("envoy.filters.http.health_check", "no health check: passed on"),
        };
        let effect = match answer {
            None => passed,
            Some(filter::Reply::Healthy) => "a health check: answered 200 here",
            Some(filter::Reply::Unhealthy) => "a health check: answered 503 here, as the operator has said",
        };
        reports.push(FilterReport { name, effect: effect.to_owned() });
    }
    if walk.filters.len() == walk.manager.filters.len() && walk.filters.iter().all(Option::is_none) {
        let effect = "does what the route says".to_owned();
        reports.push(FilterReport { name: "envoy.filters.http.router", effect });
    }
    reports
}
