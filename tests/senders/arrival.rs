//! What the collector tells of a trace, compared whole with what was sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest,
};
use serde_json::Value;
use similar::TextDiff;
use tokio::{net::TcpStream, time::Instant};

use crate::{collector::TestCollector, install};

/// Stands for a text that is another one each time.
pub(crate) const ANY: &str = "ANY";

/// How long a trace may be on its way.
const DEADLINE: Duration = Duration::from_secs(20);

/// A trace as OTLP JSON. What it leaves out has the value that OTLP gives it then.
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) json: Value,
}

impl Expected {
    /// Read a file of this folder, with each of `words` replaced.
    pub(crate) fn read(file: &str, words: &[(&str, &str)]) -> Self {
        let mut text = std::fs::read_to_string(install::script(file)).unwrap();
        for (word, by) in words {
            text = text.replace(word, by);
        }
        Self { json: serde_json::from_str(&text).unwrap() }
    }

    /// One of its spans.
    pub(crate) fn span(&mut self, index: usize) -> &mut Value {
        &mut self.json["resourceSpans"][0]["scopeSpans"][0]["spans"][index]
    }

    pub(crate) fn add_resource_attribute(&mut self, key: &str, text: &str) {
        let attributes = self.json["resourceSpans"][0]["resource"]["attributes"].as_array_mut().unwrap();
        attributes.push(serde_json::json!({"key": key, "value": {"stringValue": text}}));
    }

    /// Wait until the collector has as many spans of the trace `id`, and compare all of it.
    pub(crate) async fn has_arrived(&self, collector: &TestCollector, id: &str) {
        let all = count(&self.json);
        let url = format!("{}/trace/{id}.json", collector.pages);
        let started = Instant::now();
        let arrived = loop {
            let (status, body) = get(&url).await;
            let arrived = serde_json::from_str::<Value>(&body).unwrap();
            if status == 200 && count(&arrived) >= all {
                break arrived;
            }
            assert!(started.elapsed() < DEADLINE, "after {DEADLINE:?} there is only: {arrived}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let (expected, arrived) = (in_order(self.json.clone()), in_order(settled(arrived)));
        let difference = TextDiff::from_lines(&expected, &arrived).unified_diff().to_string();
        assert!(difference.is_empty(), "- was sent, + arrived:\n{difference}");
    }
}

/// How many spans `trace` has.
fn count(trace: &Value) -> usize {
    let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
    let scopes = list(trace, "resourceSpans").into_iter().flat_map(|group| list(&group, "scopeSpans"));
    scopes.map(|scope| list(&scope, "spans").len()).sum()
}

/// What is another value each time is checked for itself, and replaced.
fn settled(mut trace: Value) -> Value {
    let is_of_envoy = trace["resourceSpans"][0]["scopeSpans"][0]["scope"]["name"] == "envoy";
    for of_signal in ["resourceSpans", "resourceLogs"] {
        let Some(groups) = trace.get_mut(of_signal).and_then(Value::as_array_mut) else { continue };
        for attribute in
            groups.iter_mut().flat_map(|group| group["resource"]["attributes"].as_array_mut().unwrap())
        {
            if ["telemetry.sdk.version", "service.instance.id"].iter().any(|key| attribute["key"] == *key) {
                let text = &mut attribute["value"]["stringValue"];
                assert_ne!(text.as_str().unwrap(), "");
                *text = ANY.into();
            }
        }
    }
    if is_of_envoy {
        settle_envoy(&mut trace["resourceSpans"][0]["scopeSpans"][0]);
    }
    trace
}

/// Times and ids of spans are Envoy's own.
fn settle_envoy(scope: &mut Value) {
    assert!(scope["scope"]["version"].as_str().unwrap().contains("/1.40.0/"), "{}", scope["scope"]);
    scope["scope"]["version"] = ANY.into();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let nano = |text: &Value| text.as_str().unwrap().parse::<u128>().unwrap();
    let server = scope["spans"][0]["spanId"].clone();
    for (index, span) in scope["spans"].as_array_mut().unwrap().iter_mut().enumerate() {
        let (start, end) = (nano(&span["startTimeUnixNano"]), nano(&span["endTimeUnixNano"]));
        assert!(
            start > now - DEADLINE.as_nanos() && start <= end && end <= now,
            "{start} to {end}, at {now}"
        );
        for key in ["startTimeUnixNano", "endTimeUnixNano"] {
            span[key] = "0".into();
        }
        if span["parentSpanId"] == server {
            span["parentSpanId"] = "0000000000000001".into();
        }
        span["spanId"] = format!("{:016x}", index + 1).into();
    }
}

/// `trace` as lines, every field said, attributes of resources by their names.
fn in_order(mut trace: Value) -> String {
    for of_signal in ["resourceSpans", "resourceLogs"] {
        let Some(groups) = trace.get_mut(of_signal).and_then(Value::as_array_mut) else { continue };
        for group in groups {
            let attributes = group["resource"]["attributes"].as_array_mut().unwrap();
            attributes.sort_by_key(|attribute| attribute["key"].to_string());
        }
    }
    // Each passes over what belongs to the other.
    let spans: ExportTraceServiceRequest = serde_json::from_value(trace.clone()).unwrap();
    let logs: ExportLogsServiceRequest = serde_json::from_value(trace).unwrap();
    format!(
        "{}\n{}\n",
        serde_json::to_string_pretty(&spans).unwrap(),
        serde_json::to_string_pretty(&logs).unwrap()
    )
}

/// Ask for `url`; its status and body.
pub(crate) async fn get(url: &str) -> (u16, String) {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(format!("/{path}")).header("host", authority);
    let answer = sender.send_request(request.body(Empty::<bytes::Bytes>::new()).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}
