//! Names for what is random or belongs to a machine: equal things get equal names, different ones different names.

use std::{collections::HashMap, net::IpAddr, sync::LazyLock};

use regex::{Captures, Regex};

const UUID: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";

/// All that is looked at: ids, dates, addresses and ports.
static TOKEN: LazyLock<Regex> = LazyLock::new(|| {
    let alternatives = [
        UUID,
        r"\b1-[0-9a-f]{8}-[0-9a-f]{24}\b",
        r"\b[0-9a-fA-F]{32}\b",
        r"\b[0-9a-fA-F]{16}\b",
        r"\b[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT\b",
        r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{4})",
        r"\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}(?::\d+)?\b",
        r"\b\d{4,5}\b",
    ];
    Regex::new(&alternatives.join("|")).unwrap()
});

static A_UUID: LazyLock<Regex> = LazyLock::new(|| Regex::new(UUID).unwrap());

/// The character of a UUID that tells why a request is traced.
const REASON_AT: usize = 14;

/// The names given so far in one observation.
#[derive(Debug)]
pub(crate) struct Normalizer {
    unique: Option<Regex>,
    names: HashMap<String, String>,
    /// What the scenario says itself.
    literal: String,
    /// The literal's UUIDs, without that character.
    literal_uuids: Vec<String>,
    ports: HashMap<u16, String>,
    own_addresses: Vec<String>,
    given: HashMap<String, String>,
    uuids: usize,
    traces: Vec<String>,
    spans: usize,
}

impl Normalizer {
    pub(crate) fn new(literal: &str, ports: HashMap<u16, String>, names: Vec<(String, String)>) -> Self {
        let literal_uuids = A_UUID.find_iter(literal).map(|found| without_reason(found.as_str())).collect();
        let alternatives: Vec<String> = names.iter().map(|(unique, _)| regex::escape(unique)).collect();
        let unique = (!names.is_empty()).then(|| format!(r"\b(?:{})\b", alternatives.join("|")));
        Self {
            unique: unique.map(|pattern| Regex::new(&pattern).unwrap()),
            names: names.into_iter().collect(),
            literal: literal.to_ascii_lowercase(),
            literal_uuids,
            ports,
            own_addresses: own_addresses(),
            given: HashMap::new(),
            uuids: 0,
            traces: Vec::new(),
            spans: 0,
        }
    }

    /// The value at `path`, with names for what has no fixed value.
    pub(crate) fn value(&mut self, path: &str, value: &str) -> String {
        self.rewrite(path, value, true)
    }

    /// The same without new names, to compare what is not yet in order.
    pub(crate) fn preview(&mut self, path: &str, value: &str) -> String {
        self.rewrite(path, value, false)
    }

    fn rewrite(&mut self, path: &str, value: &str, assign: bool) -> String {
        if let Some(fixed) = fixed(path, value) {
            return fixed;
        }
        let durations = path.starts_with("access_log.").then(|| {
            let [default, named] = &*DURATIONS;
            named.replace_all(&default.replace(value, "$1 <ms> $2$3"), "ms:<ms>").into_owned()
        });
        let value = durations.as_deref().unwrap_or(value);
        let value = match &self.unique {
            Some(unique) => unique.replace_all(value, |found: &Captures<'_>| self.names[&found[0]].clone()),
            None => value.into(),
        };
        TOKEN.replace_all(&value, |found: &Captures<'_>| self.token(&found[0], assign)).into_owned()
    }

    fn token(&mut self, token: &str, assign: bool) -> String {
        if A_UUID.is_match(token) {
            return self.uuid(token, assign);
        }
        if let Some((address, port)) = address(token) {
            return self.address(address, port);
        }
        if token.len() <= 5 {
            let is_said = self.literal.contains(token);
            let port = token.parse().ok().and_then(|port: u16| self.ports.get(&port));
            return port.filter(|_| !is_said).cloned().unwrap_or_else(|| token.to_owned());
        }
        if self.literal.contains(&token.to_ascii_lowercase()) {
            return token.to_owned();
        }
        if token.contains([',', 'T', ':']) {
            return "<date>".to_owned();
        }
        self.id(token, assign)
    }

    fn uuid(&mut self, token: &str, assign: bool) -> String {
        let key = without_reason(token);
        if self.literal_uuids.contains(&key) {
            return token.to_owned();
        }
        if assign && !self.given.contains_key(&key) {
            self.uuids += 1;
            self.given.insert(key.clone(), self.uuids.to_string());
        }
        let number = self.given.get(&key).map_or("?", String::as_str);
        format!("<uuid {number}:{}>", &token[REASON_AT..=REASON_AT])
    }

    /// Ids of traces and spans.
    fn id(&mut self, token: &str, assign: bool) -> String {
        if token.chars().all(|digit| digit == '0') {
            return token.to_owned();
        }
        if let Some(given) = self.given.get(token) {
            return given.clone();
        }
        let is_span = token.len() == 16;
        if !is_span && let Some(low) = token.strip_prefix("0000000000000000") {
            // A short id, in the room of a long one.
            return format!("0000000000000000{}", self.id(low, assign));
        }
        if is_span && let Some(at) = self.traces.iter().position(|trace| trace.ends_with(token)) {
            return format!("<trace {} low>", at + 1);
        }
        if is_span && let Some(at) = self.traces.iter().position(|trace| trace.starts_with(token)) {
            return format!("<trace {} high>", at + 1);
        }
        if is_span && let Some(known) = self.given.get(&reversed(token)) {
            return format!("{} reversed>", known.trim_end_matches('>'));
        }
        if !assign {
            return (if is_span { "<span ?>" } else { "<trace ?>" }).to_owned();
        }
        let name = if is_span {
            self.spans += 1;
            format!("<span {}>", self.spans)
        } else {
            self.traces.push(token.to_owned());
            format!("<trace {}>", self.traces.len())
        };
        self.given.insert(token.to_owned(), name.clone());
        name
    }

    fn address(&self, address: &str, port: Option<&str>) -> String {
        let is_own = self.own_addresses.iter().any(|own| own == address);
        let is_loopback = address.starts_with("127.");
        let shown = if is_own { "<own ip>" } else { address };
        match port {
            None => shown.to_owned(),
            Some(port) => {
                let known = port.parse().ok().and_then(|port: u16| self.ports.get(&port)).map(String::as_str);
                let is_said = self.literal.contains(&format!("{address}:{port}"));
                let ephemeral = (is_own || is_loopback) && port != "0" && !is_said;
                let port = known.unwrap_or(if ephemeral { "<port>" } else { port });
                format!("{shown}:{port}")
            }
        }
    }
}

/// An IPv4 address, with its port.
fn address(token: &str) -> Option<(&str, Option<&str>)> {
    let (address, port) = match token.split_once(':') {
        Some((address, port)) => (address, Some(port)),
        None => (token, None),
    };
    address.parse::<std::net::Ipv4Addr>().ok().map(|_| (address, port))
}

fn without_reason(uuid: &str) -> String {
    let mut key = uuid.to_ascii_lowercase();
    key.replace_range(REASON_AT..=REASON_AT, "_");
    key
}

/// The same bytes the other way round, as Envoy writes some of Zipkin's ids.
fn reversed(digits: &str) -> String {
    let digits: Vec<char> = digits.chars().collect();
    digits.chunks(2).rev().flatten().collect()
}

/// Durations in entries of access logs: `ms:7`, and those of the default format.
static DURATIONS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    let default = r#"^(\[[^\]]*\] "[^"]*" \d+ \S+ \d+ \d+) \d+ (-|<?)\d*( ")"#;
    [Regex::new(default).unwrap(), Regex::new(r"\bms:\d+").unwrap()]
});

/// What has no fixed value because of where it stands.
fn fixed(path: &str, value: &str) -> Option<String> {
    let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    if path.ends_with(".headers.x-envoy-upstream-service-time") && is_number {
        return Some("<ms>".to_owned());
    }
    if path.ends_with(".headers.x-envoy-expected-rq-timeout-ms") && is_number {
        // A retry has what is left of the time.
        let left: u64 = value.parse().ok()?;
        return (!left.is_multiple_of(100) && left > 1000).then(|| left.next_multiple_of(500).to_string());
    }
    let is_build = path.contains(".resource.telemetry.sdk.")
        || (path.starts_with("exports.") && path.ends_with(".headers.user-agent"));
    if is_build {
        return Some("<build>".to_owned());
    }
    let is_length = path.starts_with("exports.") && path.ends_with(".headers.content-length");
    is_length.then(|| "<length>".to_owned())
}

/// The addresses of this machine but for loopback, as the kernel lists them.
fn own_addresses() -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut addresses = Vec::new();
    let mut last = "";
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address;
        } else if line == "/32 host LOCAL"
            && last.parse::<IpAddr>().is_ok_and(|address| !address.is_loopback())
        {
            addresses.push(last.to_owned());
        }
    }
    addresses
}
