//! Everything that was seen of one scenario on one side, as ordered lines.

use std::collections::{HashMap, HashSet};

use crate::{
    client::{Last, Outcomes},
    collector, logs,
    message::{Fields, Message, summary, text},
    normalize::Normalizer,
    scenario::Compare,
    spans::Span,
    world::World,
};

/// One thing that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) path: String,
    pub(crate) value: String,
}

impl Line {
    pub(crate) fn new(path: impl Into<String>, value: impl Into<String>) -> Self {
        Self { path: path.into(), value: value.into() }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} = {}", self.path, self.value)
    }
}

/// The lines of a scenario that ran.
pub(crate) fn observe(world: &World, outcomes: &Outcomes, stats: &[(String, String)]) -> Vec<Line> {
    let compare = &world.spec.compare;
    let mut lines = Vec::new();
    let mut number = 0;
    for outcome in &outcomes.outcomes {
        if outcome.responses.is_empty() {
            let path = format!("responses.{number}");
            lines.push(Line::new(format!("{path}.none"), "no response"));
            last(&mut lines, &path, outcome.last.as_ref());
            number += 1;
        }
        for (index, message) in outcome.responses.iter().enumerate() {
            let path = format!("responses.{number}");
            response(&mut lines, &path, message, compare);
            if index + 1 == outcome.responses.len() {
                last(&mut lines, &path, outcome.last.as_ref());
            }
            number += 1;
        }
    }
    let upstreams = world.hosts.iter().filter(|(name, _)| name.as_str() != "collector");
    for (name, host) in upstreams {
        for (index, message) in host.received.all().iter().enumerate() {
            request(&mut lines, &format!("upstreams.{name}.{index}"), message, compare);
        }
    }
    let mut normalizer = Normalizer::new(&world.literal, ports(world, outcomes), world.names());
    for line in &mut lines {
        line.value = normalizer.value(&line.path, &line.value);
    }
    let calls = world.hosts.get("collector").map(|host| host.received.all()).unwrap_or_default();
    let (logs, calls): (Vec<_>, Vec<_>) = calls.into_iter().partition(logs::are_in);
    lines.extend(entries(&logs, &mut normalizer));
    if compare.spans {
        lines.extend(spans(world, &calls, &mut normalizer));
    }
    if compare.export {
        lines.extend(exports(&calls, compare, &mut normalizer));
    }
    if world.spec.access_log.is_some() {
        let log = std::fs::read(&world.access_log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log).into_owned();
        for (index, line) in log.lines().enumerate() {
            let path = format!("access_log.{index}");
            lines.push(Line::new(&*path, normalizer.value(&path, &text(line.as_bytes()))));
        }
    }
    lines.extend(stats.iter().map(|(name, value)| Line::new(format!("stats.{name}"), value)));
    lines
}

/// All ports that have a role; those that the system chose have none.
fn ports(world: &World, outcomes: &Outcomes) -> HashMap<u16, String> {
    let hosts = world.hosts.values().flat_map(|host| host.received.ports());
    let ephemeral = hosts.chain(outcomes.ports.iter().copied()).map(|port| (port, "<port>".to_owned()));
    let known = world.ports().into_iter().map(|(port, role)| (port, format!("<port {role}>")));
    ephemeral.chain(known).collect()
}

fn response(lines: &mut Vec<Line>, path: &str, message: &Message, compare: &Compare) {
    let mut line = |name: &str, value: &str| lines.push(Line::new(format!("{path}.{name}"), value));
    if let Some(start) = &message.start {
        let words: Vec<&str> = start.splitn(3, ' ').collect();
        match words.as_slice() {
            [version, status, rest @ ..] if version.starts_with("HTTP/") => {
                line("status", status);
                if compare.reason {
                    line("reason", rest.first().unwrap_or(&""));
                }
                line("version", version);
            }
            _ => line("line", start),
        }
    }
    rest(lines, path, message, compare);
}

fn request(lines: &mut Vec<Line>, path: &str, message: &Message, compare: &Compare) {
    if let Some(start) = &message.start {
        lines.push(Line::new(format!("{path}.line"), start));
    }
    if compare.connections {
        lines.push(Line::new(format!("{path}.connection"), message.connection.to_string()));
    }
    rest(lines, path, message, compare);
}

/// What requests and responses have in common.
fn rest(lines: &mut Vec<Line>, path: &str, message: &Message, compare: &Compare) {
    fields(lines, &format!("{path}.headers"), &message.headers, compare.header_order);
    let mut line = |name: &str, value: &str| lines.push(Line::new(format!("{path}.{name}"), value));
    if let Some(framing) = message.framing {
        line("framing", framing);
    }
    if !message.body.is_empty() {
        line("body", &summary(&message.body));
    }
    if let Some(raw) = &message.raw {
        line("raw", &summary(raw));
    }
    for (name, code) in [("reset", &message.reset), ("goaway", &message.goaway)] {
        if let Some(code) = code {
            line(name, code);
        }
    }
    let is_message = message.start.is_some() || !message.headers.is_empty();
    if is_message && !message.complete && message.reset.is_none() {
        line("complete", "false");
    }
    fields(lines, &format!("{path}.trailers"), &message.trailers, compare.header_order);
}

fn fields(lines: &mut Vec<Line>, path: &str, fields: &Fields, in_order: bool) {
    let mut fields: Vec<_> = fields.iter().collect();
    if !in_order {
        fields.sort_by_key(|(name, _)| name);
    }
    lines.extend(fields.iter().map(|(name, value)| Line::new(format!("{path}.{name}"), value)));
}

fn last(lines: &mut Vec<Line>, path: &str, last: Option<&Last>) {
    let Some(last) = last else { return };
    if !last.extra.is_empty() {
        lines.push(Line::new(format!("{path}.extra"), summary(&last.extra)));
    }
    if let Some(code) = &last.goaway {
        lines.push(Line::new(format!("{path}.goaway"), code));
    }
    lines.push(Line::new(format!("{path}.connection"), last.state));
}

/// The spans: parents before children, then by what they say.
fn spans(world: &World, calls: &[Message], normalizer: &mut Normalizer) -> Vec<Line> {
    let mut spans = Vec::new();
    let is_zipkin = world.literal.contains("ZipkinConfig");
    for call in calls {
        match collector::spans_of(call, is_zipkin) {
            Ok(found) => spans.extend(found),
            Err(error) => spans.push(Span::unreadable(&error)),
        }
    }
    spans.extend(world.daemon.spans());
    if !world.spec.compare.attribute_order {
        spans.iter_mut().for_each(sort_attributes);
    }
    let mut keyed: Vec<(String, Span)> = Vec::new();
    for span in spans {
        let key =
            span.lines.iter().map(|(path, value)| format!("{path}={}", normalizer.preview(path, value)));
        keyed.push((key.collect::<Vec<_>>().join("\n"), span));
    }
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    let mut lines = Vec::new();
    for (number, span) in in_tree_order(keyed.into_iter().map(|(_, span)| span).collect()).iter().enumerate()
    {
        for (name, value) in &span.lines {
            let path = format!("spans.{number}.{name}");
            let value = normalizer.value(&path, value);
            lines.push(Line::new(path, value));
        }
    }
    lines
}

/// The entries of access logs, as they came.
fn entries(calls: &[Message], normalizer: &mut Normalizer) -> Vec<Line> {
    let unreadable = |error| vec![vec![("unreadable".to_owned(), error)]];
    let entries = calls.iter().flat_map(|call| logs::of(call).unwrap_or_else(unreadable));
    let mut lines = Vec::new();
    for (number, entry) in entries.enumerate() {
        for (name, value) in entry {
            let path = format!("logs.{number}.{name}");
            let value = normalizer.value(&path, &value);
            lines.push(Line::new(path, value));
        }
    }
    lines
}

/// Each span is followed by its children.
fn in_tree_order(spans: Vec<Span>) -> Vec<Span> {
    let ids: HashSet<String> = spans.iter().map(|span| span.id.clone()).collect();
    let is_root = |span: &Span| !ids.contains(&span.parent) || span.parent == span.id;
    let mut left: Vec<Span> = spans;
    let mut ordered = Vec::new();
    let mut stack: Vec<Span> = Vec::new();
    let mut roots: Vec<Span> = left.extract_if(.., |span| is_root(span)).collect();
    while let Some(span) = stack.pop().or_else(|| (!roots.is_empty()).then(|| roots.remove(0))) {
        let mut children: Vec<Span> = left.extract_if(.., |child| child.parent == span.id).collect();
        children.reverse();
        stack.extend(children);
        ordered.push(span);
    }
    ordered.extend(left);
    ordered
}

/// Zipkin's and X-Ray's are sorted anyway.
fn sort_attributes(span: &mut Span) {
    let is_attribute = |line: &(String, String)| line.0.starts_with("attributes.");
    let Some(from) = span.lines.iter().position(is_attribute) else { return };
    let count = span.lines[from..].iter().take_while(|line| is_attribute(line)).count();
    span.lines[from..from + count].sort();
}

/// The calls that brought the spans: each kind of call once, as how many spans share one is a matter of time.
fn exports(calls: &[Message], compare: &Compare, normalizer: &mut Normalizer) -> Vec<Line> {
    let mut kinds: Vec<Vec<Line>> = Vec::new();
    for call in calls {
        let mut lines = Vec::new();
        if let Some(start) = &call.start {
            lines.push(Line::new("line", start));
        }
        fields(&mut lines, "headers", &call.headers, compare.header_order);
        if let Some(framing) = call.framing {
            lines.push(Line::new("framing", framing));
        }
        for line in &mut lines {
            line.value = normalizer.value(&format!("exports.0.{}", line.path), &line.value);
        }
        if !kinds.contains(&lines) {
            kinds.push(lines);
        }
    }
    kinds.sort_by_key(|lines| lines.iter().map(Line::to_string).collect::<Vec<_>>());
    let numbered = kinds.into_iter().enumerate().flat_map(|(number, lines)| {
        lines.into_iter().map(move |line| Line::new(format!("exports.{number}.{}", line.path), line.value))
    });
    numbered.collect()
}
