//! Which requests X-Ray traces where the previous hop left it open: the local sampling rules, as Envoy reads them.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::Value;

/// The rules of a manifest. One for all workers: each rule's fixed target is of the process. They know requests by
/// patterns only, so that no number of hosts or paths makes them grow.
#[derive(Debug)]
pub(crate) struct SamplingStrategy {
    /// The first that matches counts.
    rules: Vec<(Pattern, Rule)>,
    /// For requests that match none.
    default: Rule,
}

/// Which requests a rule is for. `*` stands for any characters, `?` for one; letters match in either case.
#[derive(Debug)]
struct Pattern {
    /// Of `:authority` as it came, with its port.
    host: Box<str>,
    method: Box<str>,
    /// Of `:path`, with its query.
    path: Box<str>,
}

/// How many of them are traced.
#[derive(Debug)]
struct Rule {
    reservoir: Reservoir,
    /// Of those beyond the fixed target, 0 to 1.
    rate: f64,
}

/// The rule that decides on a request, for who asks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AppliedRule {
    /// Its place in the manifest; `None` for the default one.
    pub(crate) number: Option<usize>,
    /// Requests each second that are traced whatever the rate.
    pub(crate) fixed_target: u32,
    /// Of the others, 0 to 1.
    pub(crate) rate: f64,
}

/// What is looked at of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplingRequest<'a> {
    /// `:authority`
    pub(crate) host: &'a str,
    /// `:method`
    pub(crate) method: &'a str,
    /// `:path`, with its query
    pub(crate) path: &'a str,
}

impl Default for SamplingStrategy {
    /// Without a manifest, and with one that cannot be used: one request per second and 5 % of the others.
    fn default() -> Self {
        Self { rules: Vec::new(), default: Rule { reservoir: Reservoir::new(1), rate: 0.05 } }
    }
}

impl SamplingStrategy {
    /// Read a manifest, the text of `XRayConfig.sampling_rule_manifest`. As in Envoy nothing in it is an error of the
    /// configuration; what cannot be used is told to be logged: then all of it is replaced by the default strategy,
    /// or, if it is about a rule, that rule and those after it do not count.
    pub(crate) fn from_manifest(text: &str) -> (Self, Option<&'static str>) {
        let manifest = match serde_json::from_str::<Value>(text) {
            Ok(manifest @ Value::Object(_)) => manifest,
            _ => return (Self::default(), Some("invalid JSON format")),
        };
        match manifest.get("version") {
            None => return (Self::default(), Some("missing version number")),
            Some(version) if version.as_f64() == Some(2.0) => {}
            Some(_) => return (Self::default(), Some("wrong version number")),
        }
        let Some(default @ Value::Object(_)) = manifest.get("default") else {
            return (Self::default(), Some("missing default rule"));
        };
        let default = match Rule::read(default) {
            Ok(default) => default,
            Err(problem) => return (Self::default(), Some(problem)),
        };
        let mut strategy = Self { rules: Vec::new(), default };
        let problem = match manifest.get("rules") {
            None => None,
            Some(Value::Array(rules)) => rules.iter().find_map(|rule| strategy.add(rule).err()),
            Some(_) => Some("rules must be JSON array"),
        };
        (strategy, problem)
    }

    fn add(&mut self, rule: &Value) -> Result<(), &'static str> {
        if !rule.is_object() {
            return Err("rules array must be objects");
        }
        // Envoy takes a missing pattern for an empty one, which matches nothing that there is.
        let pattern = |name, problem| match rule.get(name) {
            None => Ok(Box::from("")),
            Some(Value::String(pattern)) => Ok(Box::from(pattern.as_str())),
            Some(_) => Err(problem),
        };
        let pattern = Pattern {
            host: pattern("host", "host must be a string")?,
            method: pattern("http_method", "HTTP method must be a string")?,
            path: pattern("url_path", "URL path must be a string")?,
        };
        self.rules.push((pattern, Rule::read(rule)?));
        Ok(())
    }

    /// Whether a request is traced. `now` is the time since any fixed moment, `draw` a random number from 0 up to,
    /// not including, 1.
    pub(crate) fn sample(
        &self,
        request: SamplingRequest<'_>,
        now: Duration,
        draw: impl FnOnce() -> f64,
    ) -> bool {
        let (_, rule) = self.find(request);
        rule.reservoir.take(now) || draw() < rule.rate
    }

    /// The rule that decides on a request.
    pub(crate) fn rule(&self, request: SamplingRequest<'_>) -> AppliedRule {
        let (number, rule) = self.find(request);
        AppliedRule { number, fixed_target: rule.reservoir.per_second, rate: rule.rate }
    }

    fn find(&self, request: SamplingRequest<'_>) -> (Option<usize>, &Rule) {
        let rules = self.rules.iter().enumerate();
        let mut matching = rules.filter(|(_, (pattern, _))| pattern.matches(request));
        matching.next().map_or((None, &self.default), |(number, (_, rule))| (Some(number), rule))
    }
}

impl Pattern {
    fn matches(&self, request: SamplingRequest<'_>) -> bool {
        wildcard(&self.host, request.host)
            && wildcard(&self.method, request.method)
            && wildcard(&self.path, request.path)
    }
}

impl Rule {
    /// Read `fixed_target` and `rate`; both are needed.
    fn read(rule: &Value) -> Result<Self, &'static str> {
        let fixed = rule.get("fixed_target").and_then(Value::as_f64);
        let fixed = fixed.filter(|fixed| fixed.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(fixed));
        let fixed = fixed.ok_or("fixed target is missing or not a valid positive integer")?;
        let rate = rule.get("rate").and_then(Value::as_f64).filter(|rate| (0.0..=1.0).contains(rate));
        let rate = rate.ok_or("rate is missing or not a valid positive floating number")?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "just checked")]
        Ok(Self { reservoir: Reservoir::new(fixed as u32), rate })
    }
}

/// The first few requests of each second.
#[derive(Debug)]
struct Reservoir {
    per_second: u32,
    /// When the second began, in milliseconds, above [`COUNT_BITS`]; below, how many were taken in it.
    state: AtomicU64,
}

/// So many a second that nobody counts them.
const COUNT_BITS: u32 = 24;
/// The bits of the count.
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// A second has to be over before the next one begins.
const SECOND_MS: u64 = 1000;

impl Reservoir {
    const fn new(per_second: u32) -> Self {
        Self { per_second, state: AtomicU64::new(0) }
    }

    /// Take one, if there is one left. A second begins with the first request after the last second.
    fn take(&self, now: Duration) -> bool {
        let limit = u64::from(self.per_second);
        if limit == 0 {
            return false;
        }
        if limit > COUNT {
            return true;
        }
        // 40 bits of milliseconds are 34 years.
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX) & (u64::MAX >> COUNT_BITS);
        let taken = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
            let (began, used) = (state >> COUNT_BITS, state & COUNT);
            if used == 0 || now.saturating_sub(began) > SECOND_MS {
                Some(now << COUNT_BITS | 1)
            } else {
                (used < limit).then_some(state + 1)
            }
        });
        taken.is_ok()
    }
}

/// Whether a text matches a pattern of `*` (any characters) and `?` (one), in either case.
fn wildcard(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.as_bytes(), text.as_bytes());
    // Behind the last `*`: what follows it, and where what it stands for ends if it has to be longer.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', rest @ ..], _) => {
                retry = Some((rest, text));
                pattern = rest;
            }
            ([], []) => return true,
            ([wanted, wanted_rest @ ..], [found, found_rest @ ..])
                if *wanted == b'?' || wanted.eq_ignore_ascii_case(found) =>
            {
                (pattern, text) = (wanted_rest, found_rest);
            }
            _ => {
                let Some((after, [_, longer @ ..])) = retry else { return false };
                retry = Some((after, longer));
                (pattern, text) = (after, longer);
            }
        }
    }
}

#[cfg(test)]
mod tests;
