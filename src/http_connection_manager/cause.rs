//! Why a request got an error of the proxy's own: a sentence for people with the names of the configuration in it, and
//! what to do. Made only after things went wrong, and only where somebody reads it.

use std::{fmt::Write, time::Duration};

use http::{HeaderValue, header::HOST, request::Parts};

use super::{Connection, active_stream::ActiveStream, decision::Found, local_reply::LocalReply};
use crate::{
    cluster::{ClusterState, circuit_breaker::Resource},
    router::route_matcher::{self, MatchContext},
    snapshot::{
        listener::HttpConnectionManager,
        matcher::header_text,
        route::{Action, ClusterChoice, Route},
    },
    stream_info::{StreamInfo, cause::Cause},
    trace::Span,
    upstream::tls_failure::TlsFailure,
};

/// So many letters of what a client sent are repeated.
const EXCERPT: usize = 100;

/// So many attempts are told of one by one.
const ATTEMPTS: usize = 5;

/// Where a request had come to.
#[derive(Clone, Copy)]
struct Whereabouts<'a> {
    connection: &'a Connection,
    info: &'a StreamInfo,
    found: Found<'a>,
    parts: &'a Parts,
}

impl ActiveStream {
    /// Note why `reply` is an error, if it is one and somebody reads that.
    pub(super) fn note_cause(&self, manager: &HttpConnectionManager, parts: &Parts, reply: &LocalReply) {
        if !reply.status.is_client_error() && !reply.status.is_server_error() {
            return;
        }
        let told = manager.cause_header && self.info.internal.get();
        let sampled = self.info.span.borrow().as_ref().is_some_and(|span| span.record.is_some());
        let logged = tracing::enabled!(tracing::Level::DEBUG);
        if !(told || sampled || manager.observes || logged) {
            return;
        }
        let found = match reply.details {
            "route_not_found" => {
                let context = MatchContext { random: self.random, grpc: self.grpc };
                route_matcher::find(&manager.routes, &self.view(parts), context)
            }
            _ => manager.routes.route(self.info.route.get()).map(|(host, route)| (host, Some(route))),
        };
        let at = Whereabouts { connection: &self.connection, info: &self.info, found, parts };
        let (mut sentence, hint) = at.explain(manager, reply.details);
        tell_attempts(&self.info, &mut sentence);
        let at = self.info.start_time.checked_add(self.info.duration()).unwrap_or(self.info.start_time);
        let cause = Cause { at, sentence, hint };
        if logged {
            self.log_cause(reply, &cause);
        }
        self.info.cause.replace(Some(Box::new(cause)));
    }

    fn log_cause(&self, reply: &LocalReply, cause: &Cause) {
        let (status, details, connection) = (reply.status.as_u16(), reply.details, self.info.connection.id);
        match &*self.info.span.borrow() {
            Some(Span { trace_id, span_id, .. }) => tracing::debug!(
                %trace_id,
                %span_id,
                "connection {connection}: answered {status} ({details}): {cause}"
            ),
            None => tracing::debug!("connection {connection}: answered {status} ({details}): {cause}"),
        }
    }

    /// The cause for a client that may be told.
    pub(super) fn cause_header(&self, manager: &HttpConnectionManager) -> Option<HeaderValue> {
        if !manager.cause_header || !self.info.internal.get() {
            return None;
        }
        HeaderValue::try_from(self.info.cause.borrow().as_ref()?.to_string()).ok()
    }
}

impl Whereabouts<'_> {
    /// What happened, by the word that Envoy has for it (`RESPONSE_CODE_DETAILS`), and what to do.
    fn explain(&self, manager: &HttpConnectionManager, details: &str) -> (String, &'static str) {
        let Self { connection, info, found, parts } = *self;
        let listener = &connection.listener.name;
        let route = found.and_then(|(_, route)| route);
        let asked = format!("{} {}", parts.method, excerpt(parts.uri.path()));
        let authority = excerpt(parts.headers.get(HOST).map_or("", header_text));
        let named = route.map(|route| format!("route \"{}\"", route.label())).unwrap_or_default();
        let cluster = info.cluster.borrow().as_deref().map(|cluster| cluster.name.to_string());
        let cluster = cluster.as_deref().unwrap_or_default();
        let state = || {
            let id = *connection.services.snapshot.cluster_index.get(cluster)?;
            Some(&**connection.services.clusters.cluster(id)?.state)
        };
        let hosts = state().map(ClusterState::healthy_of_total).unwrap_or_default();
        let host =
            info.upstream_host.borrow().as_ref().map_or("the host".to_owned(), |host| host.to_string());
        let refused = |what: &str| format!("listener \"{listener}\" refused the request: {what}");
        match details {
            "route_not_found" => match found {
                None => (
                    format!("no virtual host of listener \"{listener}\" takes the authority \"{authority}\""),
                    "add it to the domains of one, or ask for another host",
                ),
                Some((host, _)) => (
                    format!(
                        "none of the {} routes of virtual host \"{}\" takes {asked} (listener \"{listener}\")",
                        host.routes.len(),
                        host.name
                    ),
                    "spanway explain says of each route why not",
                ),
            },
            "cluster_not_found" => (
                format!("{named} leads to {}, which does not exist", chosen(route, parts)),
                "clusters are named in static_resources.clusters",
            ),
            "direct_response" => (format!("{named} answers so itself (direct_response)"), ""),
            "no_healthy_upstream" => (
                format!("{named} leads to cluster \"{cluster}\", which has no host to send to: {hosts}"),
                match state().map(|state| state.hosts.load().all.is_empty()) {
                    Some(true) => {
                        "its endpoints are missing, or its name does not resolve: then the log says why"
                    }
                    _ => "see /clusters of the admin interface for the health of each",
                },
            ),
            "response_timeout" => (
                format!(
                    "{host} of cluster \"{cluster}\" did not answer within the timeout of {named}, {} ({hosts})",
                    duration(info.deadlines.get().route)
                ),
                "see in the host's own spans what it waited for, or raise the route's timeout",
            ),
            "upstream_per_try_timeout" => (
                format!(
                    "{host} of cluster \"{cluster}\" did not answer within per_try_timeout of {named}, {} ({hosts})",
                    duration(per_try_timeout(route))
                ),
                "see in the host's own spans what it waited for, or raise per_try_timeout",
            ),
            "request_overall_timeout" => (
                format!(
                    "the client had not sent its whole request within request_timeout of listener \"{listener}\", {}",
                    duration(manager.limits.request)
                ),
                "the client or the way from it is slow, or request_timeout too short for such bodies",
            ),
            "stream_idle_timeout" => (
                format!(
                    "nothing moved on the stream for its idle timeout ({named}, cluster \"{cluster}\", {host})"
                ),
                "raise stream_idle_timeout, or idle_timeout of the route, if such silence is meant",
            ),
            "upgrade_failed" => (
                format!(
                    "{} does not allow to upgrade the connection",
                    if named.is_empty() { "no route" } else { &named }
                ),
                "list the protocol in upgrade_configs of the route or of the connection manager",
            ),
            "websocket_handshake_unsuccessful" => (
                format!(
                    "{host} of cluster \"{cluster}\" answered a request to upgrade as if it were another one"
                ),
                "does the host speak that protocol at this path?",
            ),
            "health_check_failed" => (
                "this proxy was told to fail its health checks".to_owned(),
                "POST /healthcheck/ok to its admin interface",
            ),
            "missing_host_header" => {
                (refused("it has no host header"), "HTTP/1.1 demands one of its clients")
            }
            "http.invalid_authority" => {
                (refused("its host cannot be one"), "the client sends a broken host header")
            }
            "low_version" => (
                refused("it speaks HTTP/1.0 or less"),
                "accept_http_10 in http_protocol_options allows HTTP/1.0",
            ),
            "path_normalization_failed" => (
                refused(&format!("its path {} may not be sent on", excerpt(parts.uri.path()))),
                "a path with %00 never is; else see path_with_escaped_slashes_action",
            ),
            "absolute_path_rejected" => {
                (refused("its target is no path"), "only paths and whole URLs can be routed")
            }
            "http1.codec_error" => (
                refused(&format!(
                    "{} is no method that is known, or its framing is broken",
                    excerpt(parts.method.as_str())
                )),
                "as in Envoy only registered methods are taken over HTTP/1",
            ),
            "http1.too_many_headers" => (refused("it has too many headers"), "see max_headers_count"),
            "rejecting_because_detection_failed" => {
                (refused("the client's address cannot be told"), "see original_ip_detection_extensions")
            }
            "downstream_remote_disconnect" => (
                "the client left, or broke off the body of its request".to_owned(),
                "nothing is wrong with the proxy or the host",
            ),
            details if details.starts_with("upstream_reset_before_response_started") => {
                of_host(details, &host, &named, cluster, &hosts, state())
            }
            details => (refused(details), "the client's request is not what HTTP allows"),
        }
    }
}

fn per_try_timeout(route: Option<&Route>) -> Option<Duration> {
    match &route?.action {
        Action::Forward(action) => action.retry.as_ref()?.per_try_timeout,
        _ => None,
    }
}

/// Why there is no response of a host.
fn of_host(
    details: &str,
    host: &str,
    route: &str,
    cluster: &str,
    hosts: &str,
    state: Option<&ClusterState>,
) -> (String, &'static str) {
    let of = format!("{host} of cluster \"{cluster}\"");
    let has = |reason: &str| details.contains(reason);
    let timeout = state.map(|state| state.config.connect_timeout);
    if has("Connection_refused") {
        let sentence = format!("{of} refuses connections ({route}; {hosts})");
        return (sentence, "is the service running, and does it listen on that port?");
    }
    if let Some((what, hint)) = TlsFailure::of_details(details).map(TlsFailure::for_people) {
        return (format!("{of} {what} ({route}; {hosts})"), hint);
    }
    if has("connection_timeout") {
        let sentence = format!(
            "{of} did not take a connection within connect_timeout, {} ({route}; {hosts})",
            duration(timeout)
        );
        return (sentence, "is the address right, and does a firewall let it through?");
    }
    if has("remote_connection_failure") {
        let sentence = format!("no connection to {of} could be opened ({route}; {hosts})");
        return (sentence, "is the address right?");
    }
    if has("connection_termination") {
        let sentence = format!("{of} closed the connection before it answered ({route}; {hosts})");
        return (
            sentence,
            "did it crash or restart, or does it close idle connections sooner than the cluster's idle_timeout?",
        );
    }
    if has("remote_refused_stream_reset") {
        let sentence = format!("{of} refused the stream ({route}; {hosts})");
        return (sentence, "it has as many streams as it allows, or shuts down");
    }
    if has("remote_reset") {
        let sentence = format!("{of} reset the stream before it answered ({route}; {hosts})");
        return (sentence, "the host's own log says why");
    }
    if has("protocol_error") {
        let sentence = format!("what {of} sends is not the HTTP that the cluster expects ({route}; {hosts})");
        return (sentence, "do http_protocol_options or http2_protocol_options of the cluster fit the host?");
    }
    if has("overflow") {
        let full = state.map(full_limits).unwrap_or_default();
        let sentence = format!(
            "a circuit breaker of cluster \"{cluster}\" lets nothing more through{full} ({route}; {hosts})"
        );
        return (sentence, "the hosts are too slow for the load, or the thresholds too low");
    }
    (format!("{of} gave no response ({route}; {hosts})"), "")
}

/// Which of a cluster's limits are reached now.
fn full_limits(state: &ClusterState) -> String {
    let all = [
        ("max_connections", Resource::Connections),
        ("max_pending_requests", Resource::Pending),
        ("max_requests", Resource::Requests),
    ];
    let mut out = String::new();
    for (name, resource) in all {
        let (now, most) = state.limits.usage(resource);
        if now >= most {
            // Writing to a text does not fail.
            let _ = write!(out, "{} {name} is {most}", if out.is_empty() { ":" } else { "," });
        }
    }
    out
}

/// What each of several attempts came to.
fn tell_attempts(info: &StreamInfo, sentence: &mut String) {
    let failed = info.failed_attempts.borrow();
    if failed.len() < 2 {
        return;
    }
    // Writing to a text does not fail.
    let _ = write!(sentence, "; {} attempts: ", failed.len());
    for (index, attempt) in failed.iter().take(ATTEMPTS).enumerate() {
        let comma = if index > 0 { ", " } else { "" };
        let _ = write!(sentence, "{comma}{}: {}", attempt.host, attempt.outcome);
    }
    if failed.len() > ATTEMPTS {
        sentence.push_str(", and so on");
    }
}

/// The cluster that a route names, as far as that can be told.
fn chosen(route: Option<&Route>, parts: &Parts) -> String {
    let Some(Action::Forward(action)) = route.map(|route| &route.action) else {
        return "a cluster".to_owned();
    };
    match &action.cluster {
        ClusterChoice::Header(name) => match parts.headers.get(name).map(header_text) {
            Some(cluster) => format!("the cluster \"{}\" that {name} names", excerpt(cluster)),
            None => format!("the cluster that {name} would name"),
        },
        ClusterChoice::One(Err(name)) => format!("the cluster \"{name}\""),
        ClusterChoice::One(Ok(_)) | ClusterChoice::Weighted { .. } => "a cluster".to_owned(),
    }
}

fn duration(duration: Option<Duration>) -> String {
    duration.map_or("which is set elsewhere".to_owned(), |duration| format!("{duration:?}"))
}

/// The beginning of what a client sent, as visible ASCII.
fn excerpt(text: &str) -> String {
    let mut out: String = text.chars().take(EXCERPT).collect::<String>().escape_default().collect();
    if text.chars().nth(EXCERPT).is_some() {
        out.push_str("...");
    }
    out
}
