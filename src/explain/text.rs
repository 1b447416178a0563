//! An explanation as lines of text.

use std::fmt::{self, Write};

use super::{
    changes,
    report::{
        ClusterReport, Explanation, ManagerReport, Place, Reply, Routing, TracingReport, UpstreamRequest,
    },
    routing,
};

/// Hosts that are listed.
const HOSTS: usize = 20;

/// Write it down. Text from outside cannot move the cursor, nor begin a line of its own.
pub(crate) fn write(explanation: &Explanation) -> String {
    let mut out = String::new();
    // Writing to a text does not fail.
    let _ = sections(&mut out, explanation);
    // Marks that turn what follows around are no control characters to Unicode.
    let turns = |letter: char| matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = |letter: char| letter == '\n' || !letter.is_control() && !turns(letter);
    if out.chars().all(plain) {
        return out;
    }
    out.chars().fold(String::new(), |mut text, letter| {
        if plain(letter) {
            text.push(letter)
        } else {
            text.extend(letter.escape_default())
        }
        text
    })
}

fn sections(out: &mut String, told: &Explanation) -> fmt::Result {
    writeln!(out, "{}", told.request)?;
    writeln!(out, "{}", one_line(&told.outcome.text))?;

    let listener = &told.listener;
    let tls = if listener.tls { ", TLS" } else { "" };
    writeln!(out, "\nlistener {:?} at {}{tls}{}", listener.name, listener.address, at(&listener.place))?;
    line(out, &format!("chosen: {}", listener.why))?;
    line(out, &format!("filter chain: {}", listener.filter_chain))?;
    line(out, &format!("source: {}", listener.source))?;
    lines(out, &listener.notes)?;

    manager(out, &told.connection_manager)?;
    if let Some(routing) = &told.routing {
        self::routing(out, routing)?;
    }
    if !told.filters.is_empty() {
        writeln!(out, "\nfilters")?;
        for filter in &told.filters {
            line(out, &format!("{}: {}", filter.name, filter.effect))?;
        }
    }
    if !told.action.is_empty() {
        writeln!(out, "\naction")?;
        lines(out, &told.action)?;
    }
    if let Some(reply) = &told.reply {
        self::reply(out, reply)?;
    }
    if let Some(request) = &told.upstream_request {
        upstream(out, request)?;
    }
    if let Some(cluster) = &told.cluster {
        self::cluster(out, cluster)?;
    }
    told.tracing.as_ref().map_or(Ok(()), |tracing| self::tracing(out, tracing))
}

fn manager(out: &mut String, manager: &ManagerReport) -> fmt::Result {
    writeln!(out, "\nHTTP connection manager, stat_prefix {:?}", manager.stat_prefix)?;
    lines(out, &manager.steps)?;
    lines(out, &manager.changes.iter().map(changes::line).collect::<Vec<_>>())
}

fn routing(out: &mut String, routing: &Routing) -> fmt::Result {
    let Some(host) = &routing.virtual_host else {
        writeln!(out, "\nvirtual host: none, no domain fits {:?}", routing.authority)?;
        if let Some(nearest) = &routing.nearest_domain {
            line(out, &format!("the nearest is {nearest:?}"))?;
        }
        let more = routing.domains_not_listed;
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        return line(out, &format!("domains: {}{more}", routing.domains.join(", ")));
    };
    writeln!(out, "\nvirtual host {:?}{}", host.name, at(&host.place))?;
    line(out, &format!("domain {:?} ({}) fits {:?}", host.domain, host.kind, routing.authority))?;
    lines(out, &host.notes)?;
    writeln!(out, "\nroutes")?;
    if routing.routes.is_empty() {
        line(out, "there is none")?;
    }
    for route in &routing.routes {
        let name = if route.name.is_empty() { String::new() } else { format!(" {:?}", route.name) };
        let taken = if route.taken { "takes it" } else { "no" };
        // Where only the field is known, the number says it.
        let at = if route.place.position.is_some() { at(&route.place) } else { String::new() };
        line(out, &format!("{}{name} {}: {taken}{at}", route.index, route.matches))?;
        for obstacle in &route.obstacles {
            line(out, &format!("  {obstacle}"))?;
        }
    }
    if routing.routes_not_listed > 0 {
        line(out, &format!("{} more do not fit the path, and are not listed", routing.routes_not_listed))?;
    }
    match routing.routes_after {
        0 => {}
        1 => line(out, "1 route follows, and is not tried")?,
        more => line(out, &format!("{more} routes follow, and are not tried"))?,
    }
    if !routing.chances.is_empty() {
        writeln!(out, "\nby chance")?;
        lines(out, &routing.chances.iter().map(routing::line).collect::<Vec<_>>())?;
    }
    Ok(())
}

fn reply(out: &mut String, reply: &Reply) -> fmt::Result {
    writeln!(out, "\nanswer {}", reply.status)?;
    line(out, &format!("details {}, flags {}", reply.details, reply.flags))?;
    for (name, value) in &reply.headers {
        line(out, &format!("{name}: {value}"))?;
    }
    match reply.body_bytes {
        0 => line(out, "no body"),
        bytes => line(out, &format!("body of {bytes} bytes: {:?}", reply.body)),
    }
}

fn upstream(out: &mut String, request: &UpstreamRequest) -> fmt::Result {
    writeln!(out, "\nsent to the host, {}", request.protocol)?;
    line(out, &format!("{} {}", request.method, request.path))?;
    line(out, &format!("authority {:?}", request.authority))?;
    if request.changes.is_empty() {
        return line(out, "headers as they came");
    }
    line(out, "headers as they came, but for")?;
    for change in &request.changes {
        line(out, &format!("  {}", changes::line(change)))?;
    }
    Ok(())
}

fn cluster(out: &mut String, cluster: &ClusterReport) -> fmt::Result {
    writeln!(out, "\ncluster {:?}{}", cluster.name, at(&cluster.place))?;
    let tls = if cluster.tls { ", TLS" } else { "" };
    line(out, &format!("{}, {}, {}{tls}", cluster.discovery, cluster.lb_policy, cluster.protocol))?;
    lines(out, &cluster.notes)?;
    if cluster.total > 0 {
        line(out, &format!("{} of {} hosts are healthy", cluster.healthy, cluster.total))?;
    }
    for host in cluster.hosts.iter().take(HOSTS) {
        let chosen = cluster.chosen.as_ref() == Some(&host.address);
        let name = if host.hostname.is_empty() { String::new() } else { format!(" ({})", host.hostname) };
        let weight = if host.weight == 1 { String::new() } else { format!(", weight {}", host.weight) };
        let gets_it = if chosen { ", gets it" } else { "" };
        line(out, &format!("{}{name}: {}{weight}{gets_it}", host.address, host.health))?;
    }
    match cluster.hosts.len().saturating_sub(HOSTS) {
        0 => Ok(()),
        more => line(out, &format!("and {more} more")),
    }
}

fn tracing(out: &mut String, tracing: &TracingReport) -> fmt::Result {
    writeln!(out, "\ntracing: {}", tracing.decision)?;
    lines(out, &tracing.steps)?;
    if let (Some(name), Some(kind)) = (&tracing.span_name, tracing.span_kind) {
        line(out, &format!("span {name:?}, {kind}"))?;
    }
    tracing.propagation.as_ref().map_or(Ok(()), |text| line(out, text))
}

/// Where something stands: file and line, or else the field.
fn at(place: &Place) -> String {
    let text = place.position.as_ref().unwrap_or(&place.path);
    if text.is_empty() { String::new() } else { format!("  [{text}]") }
}

fn lines(out: &mut String, lines: &[String]) -> fmt::Result {
    lines.iter().try_for_each(|text| line(out, text))
}

fn line(out: &mut String, text: &str) -> fmt::Result {
    writeln!(out, "  {}", one_line(text))
}

fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}
