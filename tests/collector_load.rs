//! The collector under load: 200,000 spans as fast as they can be sent. None is lost unless that is said, the books
//! balance, memory stays bounded, and whoever looks meanwhile is answered.
//!
//! Measured by hand with a release, each on a core of its own:
//! `SPANWAY_LOAD="taskset -c 0 target/release/spanway" taskset -c 1 cargo test --test collector_load -- --nocapture`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that fails may do so where it stands, and prints what it measured"
)]

#[path = "pages/collector.rs"]
mod collector;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf as _, BufMut as _, Bytes};
use collector::TestCollector;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span, status},
};
use prost::Message as _;
use regex::Regex;
use serde_json::Value;
use tokio::{net::TcpStream, process::Command, sync::Mutex, time::Instant};
use tonic::{
    Code, Request,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};
use tonic_types::StatusExt as _;

const SPANS: usize = 200_000;
const SPANS_OF_A_TRACE: usize = 8;
/// As the SDKs send them.
const SPANS_OF_A_MESSAGE: usize = 512;
/// Of these traces one has failed.
const TRACES_OF_A_FAILURE: usize = 100;
const CONNECTIONS: usize = 4;
/// Messages that are under way at once on a connection: all together more than the 32 that the collector takes at once.
const TOO_MANY_AT_ONCE: usize = 12;
/// The same, when it is measured: less than that, since who is turned away waits for a second.
const AT_ONCE: usize = 7;
/// What the collector may have resident: the 64 MiB of its store, and as much again for what it reads and writes at
/// once, and for what the allocator holds.
const RESIDENT_KIB: u64 = 128 << 10;
/// How long all may take in a debug build on two busy cores.
const SENDING: Duration = Duration::from_secs(60);
/// How long one who looks may wait in a debug build on two busy cores.
const LOOKING: Duration = Duration::from_secs(5);

/// Passes messages through that are bytes already, so that the sender does not slow the collector down.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.into()))
}

fn trace_id(trace: usize) -> [u8; 16] {
    (trace as u128 + 1).to_be_bytes()
}

/// The span at `index` of all. The first of each trace calls the others of the first half, and each of them has one of
/// the second half, which is another service's, below it.
fn span(index: usize, start: u64) -> Span {
    let (trace, place) = (index / SPANS_OF_A_TRACE, index % SPANS_OF_A_TRACE);
    let failed = trace.is_multiple_of(TRACES_OF_A_FAILURE);
    let code = if failed { status::StatusCode::Error } else { status::StatusCode::Unset };
    let half = SPANS_OF_A_TRACE / 2;
    let parent = if place < half { usize::from(place > 0) } else { place - half + 1 };
    let (name, kind) = match place {
        0 => ("ingress".to_owned(), span::SpanKind::Server),
        _ if place < half => (format!("router shop-{place} egress"), span::SpanKind::Client),
        _ => (format!("buy {place}"), span::SpanKind::Server),
    };
    let start = start + (index * 1_000) as u64;
    Span {
        trace_id: trace_id(trace).into(),
        span_id: (place as u64 + 1).to_be_bytes().into(),
        parent_span_id: if parent == 0 { Vec::new() } else { (parent as u64).to_be_bytes().into() },
        name,
        kind: kind.into(),
        start_time_unix_nano: start,
        end_time_unix_nano: start + 1_000_000 + (trace % 1_000) as u64,
        attributes: vec![
            text("http.method", "GET"),
            text("http.url", &format!("http://shop.example/items/{index}?currency=EUR")),
            text("guid:x-request-id", &format!("00000000-0000-4000-8000-{index:012}")),
            text("user_agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/150.0"),
            text("upstream_cluster", "shop"),
            text("peer.address", "10.1.2.3"),
            attribute("http.status_code", any_value::Value::IntValue(if failed { 503 } else { 200 })),
            attribute("sampled", any_value::Value::BoolValue(true)),
        ],
        status: Some(Status { code: code.into(), message: String::new() }),
        ..Span::default()
    }
}

fn message(spans: std::ops::Range<usize>, start: u64) -> Bytes {
    let is_of_edge = |index: &usize| index % SPANS_OF_A_TRACE < SPANS_OF_A_TRACE / 2;
    let (edge, shop): (Vec<usize>, Vec<usize>) = spans.partition(is_of_edge);
    let group = |service: &str, spans: Vec<usize>| ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", service)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope { name: "load".into(), ..InstrumentationScope::default() }),
            spans: spans.into_iter().map(|index| span(index, start)).collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![group("edge", edge), group("shop", shop)] }
        .encode_to_vec()
        .into()
}

/// All messages; their spans began in the last minutes.
fn messages() -> Vec<Bytes> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let start = u64::try_from(now.as_nanos()).unwrap() - 120_000_000_000;
    let firsts = (0..SPANS).step_by(SPANS_OF_A_MESSAGE);
    firsts.map(|first| message(first..SPANS.min(first + SPANS_OF_A_MESSAGE), start)).collect()
}

/// Send one message until it is taken, and count how often it was turned away.
async fn send(client: &mut Grpc<tonic::transport::Channel>, message: &Bytes, turned_away: &AtomicUsize) {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    loop {
        client.ready().await.unwrap();
        let request = Request::new(message.clone());
        match client.unary(request, path.parse().unwrap(), Raw).await {
            // What was refused of it would be said there.
            Ok(answer) => return assert_eq!(answer.into_inner(), Bytes::new()),
            Err(told) => {
                turned_away.fetch_add(1, Ordering::Relaxed);
                match told.code() {
                    // It says when to come again.
                    Code::ResourceExhausted => {
                        let pause = told.get_details_retry_info().and_then(|info| info.retry_delay);
                        tokio::time::sleep(pause.unwrap()).await;
                    }
                    // It took too long to arrive, which happens on a machine that is very busy. None of it was filed.
                    Code::DeadlineExceeded => {}
                    _ => panic!("{told}"),
                }
            }
        }
    }
}

/// Send all of `messages` by several connections; how often one was turned away.
async fn send_all(collector: &TestCollector, messages: Vec<Bytes>, at_once: usize) -> usize {
    let waiting = Arc::new(Mutex::new(messages.into_iter()));
    let turned_away = Arc::new(AtomicUsize::new(0));
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        let channel = Endpoint::from_shared(collector.grpc.clone()).unwrap().connect().await.unwrap();
        for _ in 0..at_once {
            let (mut client, waiting, turned_away) =
                (Grpc::new(channel.clone()), Arc::clone(&waiting), Arc::clone(&turned_away));
            senders.push(tokio::spawn(async move {
                loop {
                    let Some(message) = waiting.lock().await.next() else { return };
                    send(&mut client, &message, &turned_away).await;
                }
            }));
        }
    }
    for sender in join_all(senders).await {
        sender.unwrap();
    }
    turned_away.load(Ordering::Relaxed)
}

/// What the pages answer, and how long they take.
async fn look(collector: &TestCollector, path: &str) -> (u16, String, Duration) {
    let authority = collector.pages.strip_prefix("http://").unwrap();
    let started = Instant::now();
    let stream = TcpStream::connect(authority).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get(path).header("host", authority).body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap(), started.elapsed())
}

/// Look at all that reads the whole store; none may take longer than it should.
async fn look_at_all(collector: &TestCollector, when: &str) {
    for path in [
        "/",
        "/?service=edge&status=error",
        "/debug/tracez",
        "/map",
        "/api/services",
        "/api/operations?service=edge",
        "/api/traces?service=edge&limit=20",
        "/api/traces?service=edge&tags=%7B%22http.url%22%3A%22nowhere%22%7D",
        "/api/dependencies",
    ] {
        let (status, body, took) = look(collector, path).await;
        println!("{when}: {path}: {took:?}, {} bytes", body.len());
        assert_eq!(status, 200, "{path}: {body}");
        assert!(took < LOOKING, "{when}, {path} took {took:?}");
    }
}

/// What the foot of the pages says: traces kept, spans kept, traces let go.
fn books(page: &str) -> (usize, usize, usize) {
    let foot =
        Regex::new(r"<footer>(\d+) traces, (\d+) spans kept in [^<]*?(?: · (\d+) older let go)?</footer>");
    let found = foot.unwrap().captures(page).unwrap_or_else(|| {
        panic!("the foot of the page is another: {:?}", page.split_once("<footer>").map(|(_, foot)| foot))
    });
    let number = |group| found.get(group).map_or(0, |digits| digits.as_str().parse().unwrap());
    (number(1), number(2), number(3))
}

/// A figure of /proc/PID/status, in KiB.
fn memory_kib(pid: u32, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(figure)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What the process has used of processors.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = |at| fields.split(' ').nth(at).unwrap().parse::<u64>().unwrap();
    // A hundred a second, on every Linux that there is.
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_000_spans_at_full_speed_none_is_lost_in_silence_and_memory_stays_bounded() {
    let by_hand = std::env::var("SPANWAY_LOAD");
    let is_measured = by_hand.is_ok();
    let at_once = if is_measured { AT_ONCE } else { TOO_MANY_AT_ONCE };
    let by_hand = by_hand.unwrap_or_else(|_| env!("CARGO_BIN_EXE_spanway").into());
    let mut words = by_hand.split(' ');
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    let collector = TestCollector::start_as(command).await;
    let messages = messages();
    let (started, cpu_before) = (Instant::now(), cpu(collector.pid()));
    let sending = async {
        let looking = async {
            if !is_measured {
                look_at_all(&collector, "meanwhile").await;
            }
        };
        let (turned_away, ()) = tokio::join!(send_all(&collector, messages, at_once), looking);
        (turned_away, started.elapsed(), cpu(collector.pid()) - cpu_before)
    };
    let (turned_away, took, used) = tokio::time::timeout(SENDING, sending).await.unwrap();
    println!("{SPANS} spans in {took:?}, {used:?} of the collector, {turned_away} messages turned away");
    look_at_all(&collector, "full").await;

    let (_, page, _) = look(&collector, "/").await;
    let (traces, spans, gone) = books(&page);
    println!("kept {traces} traces of {spans} spans, {gone} traces let go");
    assert!(gone > 0, "the store is not full");
    // Each trace comes whole in one message, so that it is kept or let go whole.
    assert_eq!((traces + gone) * SPANS_OF_A_TRACE, SPANS);
    assert_eq!(spans, traces * SPANS_OF_A_TRACE);

    let peak = memory_kib(collector.pid(), "VmHWM");
    println!("{peak} KiB resident at most");
    assert!(peak < RESIDENT_KIB, "{peak} KiB");

    let (_, all, _) = look(&collector, &format!("/api/traces?limit={SPANS}")).await;
    let all: Value = serde_json::from_str(&all).unwrap();
    let all = all["data"].as_array().unwrap();
    assert_eq!(all.len(), traces, "as many are found as are said to be there");
    assert!(all.iter().all(|trace| trace["spans"].as_array().unwrap().len() == SPANS_OF_A_TRACE));
}
