//! `spanway sandbox --once`: send the requests, look at the traces, and judge them.

use std::time::Duration;

use http::StatusCode;
use thiserror::Error;
use tokio::time::{Instant, sleep};

use super::{
    addresses::{AddressError, Addresses},
    output::say,
    topology::{Hop, Request, Topology},
    trace::{Span, Trace, TracePage},
};
use crate::collector::client::{self, Answer, ClientError};

/// How long the spans may take to arrive: proxies send them in batches.
const SPANS_DEADLINE: Duration = Duration::from_secs(10);

/// How often the collector is asked for them.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The attribute that carries the request id.
const REQUEST_ID: &str = "guid:x-request-id";

/// Why it is not as it should be.
#[derive(Debug, Error)]
pub(super) enum OnceError {
    /// A request had no answer.
    #[error("GET {path} failed: {cause}")]
    Request {
        /// Of what.
        path: &'static str,
        /// Why.
        cause: ClientError,
    },
    /// The collector does not tell what it has.
    #[error("the collector's traces cannot be read: {0}")]
    Collector(String),
    /// All went well, but not as expected.
    #[error("not as expected:\n    {}", .0.join("\n    "))]
    Differs(Vec<String>),
    /// The topology contradicts itself.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// Send all requests of the sandbox and judge what comes of them.
pub(super) async fn judge(topology: &'static Topology, addresses: &Addresses) -> Result<(), OnceError> {
    let mut answers = Vec::new();
    for request in topology.requests {
        answers.push(send(topology, addresses, request).await?);
    }
    let traces = wait_for_spans(topology, addresses).await?;

    let mut differences = Vec::new();
    for (request, answer) in topology.requests.iter().zip(&answers) {
        let path = request.path;
        let own = Trace::of_path(&traces, path);
        say(&format!(
            "\nGET {path} -> {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body).trim_end()
        ));
        for trace in &own {
            say(trace.to_string().trim_end());
        }
        let found =
            differences_of_answer(request, answer).into_iter().chain(differences_of_traces(request, &own));
        differences.extend(found.map(|difference| format!("GET {path}: {difference}")));
    }
    if differences.is_empty() { Ok(()) } else { Err(OnceError::Differs(differences)) }
}

async fn send(topology: &Topology, addresses: &Addresses, request: &Request) -> Result<Answer, OnceError> {
    let entrance = addresses.resolve(topology.entrance)?;
    // The name that a user types, whatever the port is this time: it is part of the spans.
    let port = topology.entrance.rsplit(':').next().unwrap_or_default();
    let answer = client::get(entrance, &format!("localhost:{port}"), request.path).await;
    answer.map_err(|cause| OnceError::Request { path: request.path, cause })
}

/// Ask the collector until it has as many spans as are expected, or until the deadline.
async fn wait_for_spans(topology: &Topology, addresses: &Addresses) -> Result<Vec<Trace>, OnceError> {
    let deadline = Instant::now() + SPANS_DEADLINE;
    loop {
        let traces = ask_collector(topology, addresses).await;
        let is_enough = traces.as_ref().is_ok_and(|traces| {
            topology.requests.iter().all(|request| {
                let spans =
                    Trace::of_path(traces, request.path).iter().map(|trace| trace.spans.len()).sum::<usize>();
                spans >= request.hops.len()
            })
        });
        if is_enough || Instant::now() >= deadline {
            return traces;
        }
        sleep(ASK_EVERY).await;
    }
}

async fn ask_collector(topology: &Topology, addresses: &Addresses) -> Result<Vec<Trace>, OnceError> {
    let pages = addresses.resolve(topology.pages)?;
    let unreadable = |cause: String| OnceError::Collector(cause);
    let answer = client::get(pages, &pages.to_string(), "/debug/tracez?format=json").await;
    let answer = answer.map_err(|cause| unreadable(cause.to_string()))?;
    if answer.status != StatusCode::OK {
        return Err(unreadable(format!("status {}", answer.status)));
    }
    let page: TracePage =
        serde_json::from_slice(&answer.body).map_err(|cause| unreadable(cause.to_string()))?;
    Ok(page.traces)
}

fn differences_of_answer(request: &Request, answer: &Answer) -> Vec<String> {
    let mut found = Vec::new();
    if answer.status != StatusCode::OK {
        found.push(format!("status {}, expected 200", answer.status.as_u16()));
    }
    if answer.body != request.answer {
        let body = String::from_utf8_lossy(&answer.body);
        found.push(format!("body {body:?}, expected {:?}", request.answer));
    }
    found
}

fn differences_of_traces(request: &Request, traces: &[&Trace]) -> Vec<String> {
    match traces {
        [] => vec![format!("no span came within {SPANS_DEADLINE:?}, expected {}", request.hops.len())],
        [trace] => differences_of_trace(request, trace),
        several => {
            let ids: Vec<&str> = several.iter().map(|trace| trace.trace_id.as_str()).collect();
            vec![format!("its spans are spread over {} traces ({}), expected one", ids.len(), ids.join(", "))]
        }
    }
}

/// Compare the chain of spans with the hops: who, name, kind, parent; and one request id for all.
fn differences_of_trace(request: &Request, trace: &Trace) -> Vec<String> {
    let mut found = Vec::new();
    if trace.spans.len() != request.hops.len() {
        found.push(format!("{} spans, expected {}", trace.spans.len(), request.hops.len()));
    }
    let mut caller: Option<&Span> = None;
    for hop in request.hops {
        // Nobody is passed twice, so the service tells which hop a span is.
        let Some(span) = trace.spans.iter().find(|span| span.service == hop.service) else {
            found.push(format!("no span of {}", hop.service));
            caller = None;
            continue;
        };
        found.extend(differences_of_span(hop, caller, span, trace));
        caller = Some(span);
    }
    found.extend(differences_of_request_ids(trace));
    found
}

fn differences_of_span(hop: &Hop, caller: Option<&Span>, span: &Span, trace: &Trace) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |what: &str, is: &str, should: &str| {
        if is != should {
            found.push(format!("the span of {} has {what} {is}, expected {should}", hop.service));
        }
    };
    compare("name", &span.name, hop.name);
    compare("kind", &span.kind, hop.kind);
    let name = |parent: Option<&str>| match parent {
        None => "none".to_owned(),
        Some(id) => {
            trace.span(id).map_or_else(|| format!("{id} (not in the trace)"), |span| span.service.clone())
        }
    };
    compare("parent", &name(span.parent()), &name(caller.map(|caller| caller.span_id.as_str())));
    found
}

fn differences_of_request_ids(trace: &Trace) -> Option<String> {
    let mut ids: Vec<&str> =
        trace.spans.iter().map(|span| span.attribute(REQUEST_ID).unwrap_or("none")).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [one] if *one != "none" => None,
        several => Some(format!("{REQUEST_ID} is {}, expected one for all spans", several.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn second_request() -> &'static Request {
        &Topology::named("opentelemetry").unwrap().requests[1]
    }

    /// The spans of `/trace/2` as Envoy 1.40 sends them.
    fn good_spans() -> Vec<Value> {
        let span = |id: &str, parent: &str, service: &str, name: &str, kind: &str| {
            json!({"span_id": id, "parent_span_id": parent, "service": service, "name": name, "kind": kind,
                   "start_unix_nano": 1, "end_unix_nano": 2,
                   "attributes": {"guid:x-request-id": "b0c1", "http.url": "http://localhost:10000/trace/2"}})
        };
        vec![
            span("d6", "9e", "envoy-2", "routeToEnvoy2", "SERVER"),
            span("90", "", "front-envoy", "routeToEnvoy2ViaEnvoy1", "CLIENT"),
            span("9e", "90", "envoy-1", "routeToEnvoy2", "CLIENT"),
        ]
    }

    fn differences(spans: &[Value]) -> Vec<String> {
        let trace: Trace = serde_json::from_value(json!({"trace_id": "d1", "spans": spans})).unwrap();
        differences_of_traces(second_request(), &[&trace])
    }

    #[test]
    fn the_trace_of_envoy_is_as_expected() {
        assert_eq!(differences(&good_spans()), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_named() {
        let change = |index: usize, field: &str, value: &str| {
            let mut spans = good_spans();
            spans[index][field] = value.into();
            differences(&spans)
        };
        assert_eq!(change(0, "kind", "CLIENT"), ["the span of envoy-2 has kind CLIENT, expected SERVER"]);
        assert_eq!(
            change(2, "name", "egress localhost:10000"),
            ["the span of envoy-1 has name egress localhost:10000, expected routeToEnvoy2"]
        );
        assert_eq!(
            change(0, "parent_span_id", "90"),
            ["the span of envoy-2 has parent front-envoy, expected envoy-1"]
        );
        assert_eq!(
            change(1, "parent_span_id", "77"),
            ["the span of front-envoy has parent 77 (not in the trace), expected none"]
        );
    }

    #[test]
    fn a_second_request_id_is_named() {
        let mut spans = good_spans();
        spans[0]["attributes"]["guid:x-request-id"] = "af2e".into();
        assert_eq!(differences(&spans), ["guid:x-request-id is af2e and b0c1, expected one for all spans"]);
    }

    #[test]
    fn a_missing_hop_is_named() {
        let spans = &good_spans()[1..];
        assert_eq!(differences(spans), ["2 spans, expected 3", "no span of envoy-2"]);
        assert_eq!(differences_of_traces(second_request(), &[]), ["no span came within 10s, expected 3"]);
    }
}
