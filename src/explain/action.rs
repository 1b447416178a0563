//! What a route does with a request, in words.

use std::time::Duration;

use super::{Subject, sampling::number, walk::Forwarded, words};
use crate::snapshot::{
    ClusterId,
    matcher::header_text,
    route::{
        Action, AddedValue, ClusterChoice, HashSource, HostRewrite, IdleTimeout, MirrorHost, PathRewrite,
        Redirect, RedirectPath, Route, RouteAction,
    },
};

/// What the route says, and what of it applies to a request that is forwarded.
pub(super) fn lines(route: &Route, forwarded: Option<&Forwarded<'_>>, subject: &Subject<'_>) -> Vec<String> {
    match &route.action {
        Action::Direct(direct) => vec![format!(
            "direct_response: {}, with a body of {} bytes",
            direct.status.as_u16(),
            direct.body.len()
        )],
        Action::Redirect(action) => vec![redirect(action)],
        Action::Forward(action) => {
            let mut lines = vec![cluster(action, subject)];
            lines.extend(rewrites(action));
            if let Some(forwarded) = forwarded {
                limits(forwarded, &mut lines);
            }
            lines.extend(hash(action, forwarded));
            mirrors(action, subject, &mut lines);
            lines.extend(forwarded.and_then(responses));
            lines
        }
    }
}

fn redirect(action: &Redirect) -> String {
    let mut changes = Vec::new();
    changes.extend(action.scheme.as_ref().map(|scheme| format!("scheme {scheme}")));
    changes.extend(action.host.as_ref().map(|host| format!("host {host}")));
    changes.extend(action.port.map(|port| format!("port {port}")));
    match &action.path {
        None => {}
        Some(RedirectPath::Whole(path)) => changes.push(format!("path {path}")),
        Some(RedirectPath::Rewrite(rewrite)) => changes.push(path_rewrite(rewrite)),
    }
    if action.strip_query {
        changes.push("no query".to_owned());
    }
    let changes = if changes.is_empty() { "the same place".to_owned() } else { changes.join(", ") };
    format!("redirect {} to {changes}", action.status.as_u16())
}

fn cluster_name<'n>(id: ClusterId, subject: &'n Subject<'_>) -> &'n str {
    subject.snapshot.clusters.get(id.0).map_or("?", |cluster| &*cluster.name)
}

fn cluster(action: &RouteAction, subject: &Subject<'_>) -> String {
    match &action.cluster {
        ClusterChoice::One(Ok(id)) => format!("cluster {:?}", cluster_name(*id, subject)),
        ClusterChoice::One(Err(name)) => format!("cluster {name:?}, which does not exist"),
        ClusterChoice::Header(name) => format!("the cluster that the header {name} names"),
        ClusterChoice::Weighted { clusters, total } => {
            let share = |weight: u32| {
                #[expect(clippy::cast_precision_loss, reason = "for people")]
                let total = (*total).max(1) as f64;
                number(100.0 * f64::from(weight) / total)
            };
            let each = clusters.iter().map(|one| {
                let name = one.cluster.map_or("one that does not exist", |id| cluster_name(id, subject));
                format!("{name} {} % (weight {})", share(one.weight), one.weight)
            });
            format!("weighted_clusters: {}", each.collect::<Vec<_>>().join(", "))
        }
    }
}

fn path_rewrite(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Prefix(prefix) => format!("prefix_rewrite {prefix:?}"),
        PathRewrite::Regex(regex, substitution) => {
            format!("regex_rewrite {:?} to {substitution:?}", words::pattern(regex.as_str()))
        }
    }
}

fn rewrites(action: &RouteAction) -> Vec<String> {
    let host = action.host_rewrite.as_ref().map(|rewrite| match rewrite {
        HostRewrite::Literal(host) => format!("host_rewrite_literal {host:?}"),
        HostRewrite::Header(name) => format!("host_rewrite_header {name}"),
        HostRewrite::PathRegex(regex, substitution) => {
            format!("host_rewrite_path_regex {:?} to {substitution:?}", words::pattern(regex.as_str()))
        }
        HostRewrite::Auto => "auto_host_rewrite: the authority becomes the chosen host's name".to_owned(),
    });
    action.path_rewrite.as_ref().map(path_rewrite).into_iter().chain(host).collect()
}

fn time(time: Option<Duration>) -> String {
    time.map_or("none".to_owned(), |time| format!("{time:?}"))
}

fn limits(forwarded: &Forwarded<'_>, lines: &mut Vec<String>) {
    let timeouts = &forwarded.timeouts;
    let mut line = format!("timeout {}", time(timeouts.route));
    if timeouts.per_try.is_some() {
        line.push_str(&format!(", per try {}", time(timeouts.per_try)));
    }
    match forwarded.action.idle_timeout {
        None => {}
        Some(IdleTimeout::Disabled) => line.push_str(", idle none"),
        Some(IdleTimeout::After(idle)) => line.push_str(&format!(", idle {idle:?}")),
    }
    lines.push(line);
    match &forwarded.retries {
        None if forwarded.action.retry.is_some() => {
            lines.push("retries: none, since retriable_request_headers do not fit".to_owned());
        }
        None => lines.push("retries: none".to_owned()),
        Some(retries) => {
            let (conditions, most) = retries.terms();
            let names = conditions.names().collect::<Vec<_>>().join(", ");
            lines.push(format!("retries: {most} at most, on {names}"));
        }
    }
}

fn hash(action: &RouteAction, forwarded: Option<&Forwarded<'_>>) -> Option<String> {
    if action.hash_policy.is_empty() {
        return None;
    }
    let policies = action.hash_policy.iter().map(|policy| {
        let source = match &policy.source {
            HashSource::Header(name) => format!("header {name}"),
            HashSource::SourceIp => "source_ip".to_owned(),
            HashSource::QueryParameter(name) => format!("query_parameter {name}"),
        };
        if policy.terminal { format!("{source} (terminal)") } else { source }
    });
    let policies = policies.collect::<Vec<_>>().join(", ");
    let nothing = forwarded.is_some_and(|forwarded| forwarded.hash.is_none());
    let found = if nothing { "; none of them is there" } else { "" };
    Some(format!("hash_policy: {policies}{found}"))
}

/// What becomes of the headers of the host's response.
fn responses(forwarded: &Forwarded<'_>) -> Option<String> {
    let mut changes = Vec::new();
    for level in forwarded.levels.in_order() {
        changes.extend(level.response_remove.iter().map(|name| format!("- {name}")));
        changes.extend(level.response_add.iter().map(|addition| {
            let name = &addition.name;
            let sign = if addition.action.overwrites() { '~' } else { '+' };
            match &addition.value {
                AddedValue::Literal(value) => {
                    format!("{sign} {name}: {}", words::shown(name.as_str(), header_text(value)))
                }
                AddedValue::Format(_) => format!("{sign} {name}: (a format)"),
            }
        }));
    }
    (!changes.is_empty()).then(|| format!("headers of the response: {}", changes.join(", ")))
}

fn mirrors(action: &RouteAction, subject: &Subject<'_>, lines: &mut Vec<String>) {
    for mirror in action.mirrors.iter() {
        let share = mirror
            .fraction
            .map_or("all requests".to_owned(), |fraction| format!("{} requests", words::share(fraction)));
        let host = match &mirror.host {
            MirrorHost::Suffixed => "authority with -shadow".to_owned(),
            MirrorHost::Same => "the same authority".to_owned(),
            MirrorHost::Literal(host) => format!("authority {host:?}"),
        };
        lines.push(format!(
            "a copy of {share} goes to cluster {:?}, {host}",
            cluster_name(mirror.cluster, subject)
        ));
    }
}
