//! Collectors of spans: what they answer, and what they were told.

use std::{
    io::Read as _,
    sync::{Arc, Mutex},
};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use serde_json::Value;
use tokio::{net::UdpSocket, time::Instant};

use crate::{
    message::Message,
    scenario::{Answer, Pairs},
    spans::{self, Span},
    zipkin,
};

/// Thank for spans, over gRPC or HTTP.
pub(crate) fn answer(request: &Message) -> Answer {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    if is_grpc(request) {
        Answer {
            headers: Pairs(vec![pair("content-type", "application/grpc")]),
            // An empty message.
            body: "\0\0\0\0\0".to_owned(),
            trailers: Pairs(vec![pair("grpc-status", "0")]),
            ..Answer::default()
        }
    } else {
        Answer { status: 202, body: String::new(), ..Answer::default() }
    }
}

fn is_grpc(request: &Message) -> bool {
    request.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// The spans that a call brought, or why they cannot be read. Zipkin's protobuf looks like OTLP's.
pub(crate) fn spans_of(call: &Message, is_zipkin: bool) -> Result<Vec<Span>, String> {
    let body = if is_grpc(call) { grpc_message(&call.body)? } else { call.body.clone() };
    let body = if call.header("content-encoding") == Some("gzip") { unzip(&body)? } else { body };
    let kind = call.header("content-type").unwrap_or_default();
    let is_otlp = is_grpc(call) || call.path().contains("/v1/traces");
    if is_otlp || (kind.contains("protobuf") && !is_zipkin) {
        let request = ExportTraceServiceRequest::decode(&*body).map_err(|error| error.to_string())?;
        return Ok(spans::of_otlp(request));
    }
    let list = if kind.contains("protobuf") {
        zipkin::json(&body)?
    } else {
        serde_json::from_slice(&body).map_err(|error| error.to_string())?
    };
    match list {
        Value::Array(list) => Ok(list.iter().map(spans::of_json).collect()),
        other => Err(format!("no list of spans: {other}")),
    }
}

fn grpc_message(body: &[u8]) -> Result<Vec<u8>, String> {
    match body {
        [0, _, _, _, _, message @ ..] => Ok(message.to_vec()),
        [1, _, _, _, _, message @ ..] => unzip(message),
        _ => Err("no gRPC message".to_owned()),
    }
}

fn unzip(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

/// The X-Ray daemon: datagrams, each a line about itself and a segment.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) port: u16,
    received: Datagrams,
}

/// What arrived, and when the last did.
type Datagrams = Arc<Mutex<(Vec<Vec<u8>>, Option<Instant>)>>;

impl Daemon {
    pub(crate) fn new(socket: UdpSocket) -> Self {
        let port = socket.local_addr().unwrap().port();
        let received = Datagrams::default();
        let log = Arc::clone(&received);
        tokio::spawn(async move {
            let mut block = vec![0; 65536];
            while let Ok(length) = socket.recv(&mut block).await {
                let mut log = log.lock().unwrap();
                log.0.push(block[..length].to_vec());
                log.1 = Some(Instant::now());
            }
        });
        Self { port, received }
    }

    /// When something arrived last.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.received.lock().unwrap().1
    }

    pub(crate) fn spans(&self) -> Vec<Span> {
        let read = |datagram: &Vec<u8>| {
            let text = String::from_utf8_lossy(datagram).into_owned();
            let (header, segment) = text.split_once('\n').unwrap_or((&text, ""));
            let mut span = match serde_json::from_str(segment) {
                Ok(segment) => spans::of_json(&segment),
                Err(_) => Span::unreadable(segment),
            };
            span.lines.insert(0, ("header".to_owned(), header.to_owned()));
            span
        };
        self.received.lock().unwrap().0.iter().map(read).collect()
    }
}
