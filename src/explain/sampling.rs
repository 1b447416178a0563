//! What decides whether a request is traced, and how many of those such as it are.

use http::{HeaderMap, HeaderValue, request::Parts};

use super::{
    Subject,
    spans::{begin, policy, request, with_rules},
    walk::Walk,
};
use crate::{
    http_headers::{X_CLIENT_TRACE_ID, X_ENVOY_FORCE_TRACE, X_REQUEST_ID},
    snapshot::{
        matcher::header_text,
        route::Fraction,
        tracing::{Provider, Tracing},
        xray_sampling::{SamplingRequest, SamplingStrategy},
    },
    trace::{
        sampler::{self, TraceReason, packed_reason},
        stream,
    },
};

/// The random part of a request id counts modulo this.
const PLACES: u32 = 10_000;
/// How many traces are begun to see how many of them a sampler takes.
const TRIALS: u16 = 1_000;

/// Envoy's rules, as far as they are met.
pub(super) fn rules(walk: &Walk<'_>, tracing: &Tracing, steps: &mut Vec<String>) {
    let options = &walk.manager.request_id;
    let of_route = walk.route().is_some_and(|route| route.tracing.is_some());
    let policy = policy(walk, tracing);
    if of_route {
        steps.push("the route has a tracing of its own".to_owned());
    }
    if !options.use_for_sampling {
        steps.push("use_request_id_for_trace_sampling is false: Envoy's percentages do not count".to_owned());
        return;
    }
    let headers = &walk.admitted.headers;
    let Some(id) = headers.get(X_REQUEST_ID) else {
        steps.push("there is no x-request-id to go by, and generate_request_id is false".to_owned());
        return;
    };
    let packed =
        if options.pack_trace_reason { packed_reason(id.as_bytes()) } else { TraceReason::NotTraceable };
    if made_here(walk) {
        steps.push("x-request-id is made here and says nothing".to_owned());
    } else {
        let says = if packed.traced() { "it says that the request is traced" } else { "it says nothing" };
        steps.push(format!("x-request-id is the client's ({}): {says}", header_text(id)));
    }
    let arrived = &walk.arrived.headers;
    let by_client = headers.contains_key(X_CLIENT_TRACE_ID);
    if by_client && !packed.traced() {
        steps.push(format!("x-client-trace-id is there: client_sampling is {}", percentage(policy.client)));
    }
    let all_of_clients = by_client && policy.client.numerator >= policy.client.denominator;
    if packed.traced() || all_of_clients {
    } else if headers.contains_key(X_ENVOY_FORCE_TRACE) {
        steps.push("x-envoy-force-trace is there".to_owned());
    } else {
        if arrived.contains_key(X_ENVOY_FORCE_TRACE) {
            steps.push("x-envoy-force-trace does not count: the client is not internal".to_owned());
        }
        steps.push(format!("random_sampling is {}", percentage(policy.random)));
    }
    steps.push(format!("overall_sampling is {}", percentage(policy.overall)));
}

/// Whether the request id is of this proxy, and so another one each time.
pub(super) fn made_here(walk: &Walk<'_>) -> bool {
    walk.admitted.headers.get(X_REQUEST_ID).map(HeaderValue::as_bytes).map(without_reason)
        != walk.arrived.headers.get(X_REQUEST_ID).map(HeaderValue::as_bytes).map(without_reason)
}

/// A request id but for the digit that is written into it.
fn without_reason(id: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    (id.get(..14.min(id.len())), id.get(15..))
}

/// How many requests such as this one Envoy's rules trace: the very function that decides is asked for each place that a
/// request id may give.
pub(super) fn envoy_share(walk: &Walk<'_>, tracing: &Tracing) -> f64 {
    let policy = policy(walk, tracing);
    let client = f64::from(policy.client.numerator) / f64::from(policy.client.denominator.max(1));
    let traced = |headers: &HeaderMap, draw: u64| {
        let mut headers = headers.clone();
        let options = &walk.manager.request_id;
        sampler::decide(&mut headers, walk.present, policy, options, || draw).traced()
    };
    // Where percentages take all or nothing, all places are the same.
    let partial = |fraction: Fraction| fraction.numerator > 0 && fraction.numerator < fraction.denominator;
    let tried = if partial(policy.random) || partial(policy.overall) { PLACES } else { 1 };
    let share = |draw: u64| {
        if !made_here(walk) {
            return f64::from(u8::from(traced(&walk.admitted.headers, draw)));
        }
        let mut headers = HeaderMap::new();
        for name in [X_CLIENT_TRACE_ID, X_ENVOY_FORCE_TRACE] {
            if let Some(value) = walk.admitted.headers.get(&name) {
                headers.insert(name, value.clone());
            }
        }
        let places = (0..tried).filter(|place| {
            let id = format!("{place:08x}-0000-4000-8000-000000000000");
            if let Ok(id) = HeaderValue::from_str(&id) {
                headers.insert(X_REQUEST_ID, id);
            }
            traced(&headers, draw)
        });
        places.count() as f64 / f64::from(tried)
    };
    // The first number that is drawn, and the last one that is not.
    if !partial(policy.client) || !walk.admitted.headers.contains_key(X_CLIENT_TRACE_ID) {
        return share(0);
    }
    client * share(0) + (1.0 - client) * share(u64::from(policy.client.denominator) - 1)
}

/// How many of 100 requests such as this one are exported; `None` where that is counted.
pub(super) fn share(
    walk: &Walk<'_>,
    subject: &Subject<'_>,
    tracing: &Tracing,
    parts: &Parts,
    by_envoy: f64,
    steps: &mut Vec<String>,
) -> Option<f64> {
    if let Provider::XRay(xray) = &tracing.tracer.provider {
        // Where rules that take nothing and rules that take all come to the same, they are not asked.
        let by = |rate: u8| {
            let rules = format!(r#"{{"version": 2, "default": {{"fixed_target": 0, "rate": {rate}}}}}"#);
            let tracing = with_rules(tracing, xray, SamplingStrategy::from_manifest(&rules).0);
            begin(walk, subject, &tracing, parts, true).is_some_and(|span| span.sampled())
        };
        if by(0) != by(1) {
            let pseudo = walk.pseudo(parts);
            let asked = SamplingRequest { host: pseudo.authority, method: pseudo.method, path: pseudo.path };
            let rule = xray.sampling.rule(asked);
            steps.push(format!(
                "{} decides: the first {} each second, and {} of the others",
                rule.number.map_or("the default rule".to_owned(), |rule| format!("rule {}", rule + 1)),
                rule.fixed_target,
                percent_text(rule.rate * 100.0),
            ));
            return None;
        }
    }
    let sampler = tracing.tracer.has_sampler();
    let trials = if sampler { TRIALS } else { 1 };
    let of = |traced: bool| {
        let sampled = (0..trials)
            .filter(|_| begin(walk, subject, tracing, parts, traced).is_some_and(|span| span.sampled()));
        sampled.count() as f64 / f64::from(trials)
    };
    let (yes, no) = (of(true), of(false));
    if sampler {
        steps.push(format!(
            "sampler: of {TRIALS} traces begun for this request it takes {}",
            (yes * f64::from(TRIALS)).round()
        ));
    } else if yes <= 0.0 && by_envoy > 0.0 {
        steps.push(match begin(walk, subject, tracing, parts, true) {
            None => "what the hop before says cannot be read: there is no span".to_owned(),
            Some(_) if stream::is_excluded(&request(walk, subject, tracing, parts, true)) => {
                "exclude says that such requests are not traced".to_owned()
            }
            Some(_) => "the hop before says no".to_owned(),
        });
    } else if no > 0.0 && by_envoy < 1.0 {
        steps.push("the hop before says yes, and counts more than percentages".to_owned());
    }
    Some(100.0 * (by_envoy * yes + (1.0 - by_envoy) * no))
}

/// What the hop before says, and whether it counts.
pub(super) fn incoming(tracing: &Tracing, headers: &HeaderMap, goes_on: bool, steps: &mut Vec<String>) {
    let read: &[&str] = match (&tracing.extras.propagators, &tracing.tracer.provider) {
        (Some(_), _) => &["traceparent", "b3", "x-b3-traceid", "x-amzn-trace-id"],
        (None, Provider::OpenTelemetry(_)) => &["traceparent"],
        (None, Provider::Zipkin(_)) => &["b3", "x-b3-traceid", "x-b3-sampled", "traceparent"],
        (None, Provider::XRay(_)) => &["x-amzn-trace-id"],
    };
    for name in read {
        let Some(value) = headers.get(*name) else { continue };
        let then = if goes_on { "its trace goes on" } else { "no trace goes on" };
        steps.push(format!("the hop before says {name}: {}; {then}", header_text(value)));
    }
}

fn percentage(fraction: Fraction) -> String {
    percent_text(100.0 * f64::from(fraction.numerator) / f64::from(fraction.denominator.max(1)))
}

fn percent_text(percent: f64) -> String {
    format!("{} %", number(percent))
}

/// A number without digits that say nothing.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
