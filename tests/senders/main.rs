//! What others send arrives at `spanway collector` as they sent it: the SDKs of Python and Node, and the real Envoy.
//! (The sandbox, which sends by spanway itself, is in tests/sandbox.rs.) `SPANWAY_SENDERS=skip` leaves all of them out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails may do so where it stands, and says what it left out"
)]

mod arrival;
#[path = "../pages/collector.rs"]
mod collector;
// As the parity suite finds it, which has set it up if it ran before.
#[path = "../parity/envoy.rs"]
mod envoy;
#[path = "../harness/free_port.rs"]
mod free_port;
mod install;
mod proxy;

use arrival::Expected;
use collector::TestCollector;
use serde_json::json;
use tokio::process::Command;

/// Of the trace in sdk-trace.json and envoy-trace.json.
const ID: &str = "d1fca5106c27ef49b54d1eba13323f5f";

fn left_out() -> bool {
    let skip = std::env::var_os("SPANWAY_SENDERS").is_some_and(|wish| wish == "skip");
    if skip {
        println!("left out: SPANWAY_SENDERS=skip");
    }
    skip
}

/// What Python's SDK is to have sent, beyond what both SDKs send.
fn expected_of_python() -> Expected {
    let mut expected = Expected::read("sdk-trace.json", &[("LANGUAGE", "python")]);
    expected.add_resource_attribute("service.instance.id", arrival::ANY);
    let server = expected.span(0);
    let bytes = json!({"key": "bytes", "value": {"bytesValue": "AP8="}});
    server["attributes"].as_array_mut().unwrap().push(bytes);
    // Its exporter leaves these out.
    server["links"][0]["traceState"] = "".into();
    let resource = expected.json["resourceSpans"][0]["resource"].clone();
    expected.json["resourceLogs"] = json!([{"resource": resource, "scopeLogs": [{"logRecords": [{
        "traceId": ID, "spanId": "0000000000000002", "timeUnixNano": "1795155028001700000",
        "severityNumber": 13, "severityText": "WARNING",
        "body": {"kvlistValue": {"values": [{"key": "said", "value": {"arrayValue": {"values": [
            {"stringValue": "slow"}, {"intValue": "3"},
        ]}}}]}},
        "attributes": [{"key": "code.lineno", "value": {"intValue": "7"}}],
    }]}]}]);
    expected
}

fn expected_of_node() -> Expected {
    let mut expected = Expected::read("sdk-trace.json", &[("LANGUAGE", "nodejs")]);
    for span in 0..5 {
        // It says that the trace is sampled, which Python's SDK does not.
        let flags = &mut expected.span(span)["flags"];
        *flags = json!(flags.as_u64().unwrap() | 1);
    }
    expected.span(0)["links"][0]["flags"] = json!(769);
    expected
}

/// Send with Python's SDK, plain and compressed, and compare what arrived.
async fn python_sends(protocol: &str) {
    if left_out() {
        return;
    }
    let python = install::python().await;
    for compression in ["none", "gzip"] {
        let collector = TestCollector::start().await;
        let endpoint = if protocol == "grpc" { &collector.grpc } else { &collector.otlp };
        let mut command = Command::new(python);
        // No compiled files beside the sources.
        command.arg("-B").arg(install::script("python.py")).args([protocol, compression, endpoint]);
        install::run(&mut command).await;
        expected_of_python().has_arrived(&collector, ID).await;
        let (_, page) = arrival::get(&format!("{}/", collector.pages)).await;
        assert!(page.contains("1 trace, 5 spans, 1 log record kept"), "what was sent twice is kept twice");
    }
}

#[tokio::test]
async fn what_pythons_sdk_sends_over_grpc_arrives_whole() {
    python_sends("grpc").await;
}

#[tokio::test]
async fn what_pythons_sdk_sends_over_http_arrives_whole() {
    python_sends("http").await;
}

/// Send with Node's SDK, plain and compressed, and compare what arrived.
async fn node_sends(protocol: &str) {
    if left_out() {
        return;
    }
    let modules = install::node_modules().await;
    for compression in ["none", "gzip"] {
        let collector = TestCollector::start().await;
        let endpoint = if protocol == "grpc" { &collector.grpc } else { &collector.otlp };
        let mut command = Command::new("node");
        command.env("NODE_PATH", modules).arg(install::script("node.cjs"));
        install::run(command.args([protocol, compression, endpoint])).await;
        expected_of_node().has_arrived(&collector, ID).await;
    }
}

#[tokio::test]
async fn what_nodes_sdk_sends_as_json_arrives_whole() {
    node_sends("http").await;
}

#[tokio::test]
async fn what_nodes_sdk_sends_as_protobuf_arrives_whole() {
    node_sends("proto").await;
}

#[tokio::test]
async fn what_nodes_sdk_sends_over_grpc_arrives_whole() {
    node_sends("grpc").await;
}

#[tokio::test]
async fn what_envoy_1_40_sends_over_grpc_arrives_whole() {
    if left_out() {
        return;
    }
    let envoy = envoy::find().await.unwrap_or_else(|told| panic!("{told}, or SPANWAY_SENDERS=skip"));
    let collector = TestCollector::start().await;
    let envoy = proxy::one_request_through(&envoy, &collector.grpc, ID).await;
    let expected = Expected::read("envoy-trace.json", &[("SHOP", &envoy.shop.to_string())]);
    expected.has_arrived(&collector, ID).await;
}
