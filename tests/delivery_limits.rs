//! The bounds of what waits for a collector, what is kept secret from everybody else, and the end of a proxy that has
//! spans left.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::time::Duration;

use harness::{
    Behaviour, Bootstrap, CannedUpstream, Delivery, Dropped, FaultyCollector, FreePort, OK, Protocol,
    SpanCounts, TestProxy, TracerReport, Wire,
};
use nix::sys::signal::Signal;
use serde_yaml::Value;
use tonic::Status;

/// Requests of a test.
const REQUESTS: usize = 30;

#[tokio::test]
async fn the_oldest_spans_are_dropped_for_the_newest() {
    for &protocol in Protocol::BOTH {
        let mut delivery =
            Delivery::start(protocol, Behaviour::Refuses, |config| config.tracer("max_cache_size: 10")).await;
        // Ten at a time, each of which the queue has before the next come.
        for first in (0..4 * REQUESTS).step_by(10) {
            delivery.ask_from(first, 10).await;
            let created = first as u64 + 10;
            delivery.admin().until(Delivery::TRACER, |report| report.spans.created == created).await;
        }
        let created = 4 * REQUESTS as u64;
        let full = |queued| SpanCounts {
            created,
            queued,
            dropped: Dropped { queue_full: created - queued, ..Dropped::default() },
            ..SpanCounts::default()
        };
        let report = delivery
            .admin()
            .until(Delivery::TRACER, |report| report.spans == full(10) && report.queue.in_flight_spans == 0)
            .await;
        assert_eq!((report.queue.spans, report.queue.max_spans), (10, 10), "{report:#?}");
        delivery.collector.behave(Behaviour::Healthy).await;
        let report = delivery.settled(4 * REQUESTS).await;
        assert_eq!(report.spans, SpanCounts { exported: 10, queued: 0, ..full(10) }, "{report:#?}");
        let newest: Vec<usize> = (4 * REQUESTS - 10..4 * REQUESTS).collect();
        assert_eq!(delivery.taken(), newest, "{protocol:?}");
        delivery.assert_quiet(1);
    }
}

#[tokio::test]
async fn the_fault_that_fills_the_queue_is_what_is_told() {
    let delivery =
        Delivery::start(Protocol::Grpc, Behaviour::Refuses, |config| config.tracer("max_cache_size: 10"))
            .await;
    delivery.ask(REQUESTS).await;
    delivery.warned().await;
    let log = delivery.log();
    assert!(log[0].contains("refused"), "{log:#?}");
}

/// As many spans as are made against a black hole.
const FLOOD: usize = 60_000;
/// Requests on their way at a time.
const PIPELINED: usize = 200;

#[tokio::test]
async fn what_waits_for_a_black_hole_stays_within_its_memory() {
    let delivery = Delivery::start(Protocol::Grpc, Behaviour::BlackHole, |config| {
        config.routes("[{match: {prefix: /}, direct_response: {status: 200}}]")
    })
    .await;
    let before = delivery.proxy.memory_kib("VmRSS");
    ask_at_once(&mut delivery.proxy.connect().await, FLOOD, |_| "/what-nobody-takes".to_owned()).await;
    let created = FLOOD as u64;
    let report = delivery
        .admin()
        .until(Delivery::TRACER, |TracerReport { spans, .. }| {
            spans.created == created && spans.queued + spans.dropped.all() == created
        })
        .await;
    let grown = delivery.proxy.memory_kib("VmHWM") - before;
    let (spans, queue) = (report.spans, report.queue);
    let dropped = Dropped { queue_full: created - spans.queued, ..Dropped::default() };
    assert_eq!(spans, SpanCounts { created, exported: 0, queued: spans.queued, dropped }, "{report:#?}");
    assert_eq!((queue.max_spans, queue.max_bytes), (32_768, 16 << 20));
    assert!(queue.spans <= queue.max_spans && queue.bytes <= queue.max_bytes, "{report:#?}");
    // Full is full: a span more would not fit.
    let room = queue.max_bytes - queue.bytes;
    assert!(queue.spans == queue.max_spans || room < 256 << 10, "{report:#?}");
    // The queue, a call, and what is on its way to the queue.
    assert!(grown < 40 << 10, "{grown} KiB: {report:#?}");
    println!("{grown} KiB: {report:?}");
    delivery.assert_quiet(1);
}

/// Make requests without a pause between them, each of which is answered 200.
async fn ask_at_once(client: &mut Wire, count: usize, path: impl Fn(usize) -> String) {
    for first in (0..count).step_by(PIPELINED) {
        let requests = (first..first + PIPELINED)
            .map(|number| format!("GET {} HTTP/1.1\r\nhost: h\r\n\r\n", path(number)));
        client.send(requests.collect::<String>()).await;
        for _ in 0..PIPELINED {
            assert_eq!(client.response().await.status(), 200);
        }
    }
}

/// As many spans as wait for a collector to come back.
const BACKLOG: usize = 6_000;
/// The largest message that collectors take over gRPC unless they are told otherwise.
const LARGEST_MESSAGE: usize = 4 << 20;

#[tokio::test]
async fn a_backlog_arrives_whole_and_in_calls_that_collectors_take() {
    for &protocol in Protocol::BOTH {
        let mut delivery = Delivery::start(protocol, Behaviour::http(503), |config| {
            config.routes("[{match: {prefix: /}, direct_response: {status: 200}}]")
        })
        .await;
        ask_at_once(&mut delivery.proxy.connect().await, BACKLOG, |number| format!("/{number}")).await;
        delivery.waiting(BACKLOG).await;
        delivery.collector.behave(Behaviour::Healthy).await;
        let report = delivery.settled(BACKLOG).await;
        let (created, exported) = (BACKLOG as u64, BACKLOG as u64);
        assert_eq!(report.spans, SpanCounts { created, exported, ..SpanCounts::default() }, "{report:#?}");
        assert_eq!(delivery.taken(), (0..BACKLOG).collect::<Vec<_>>(), "{protocol:?}");
        let largest = delivery.collector.calls().iter().map(|call| call.bytes).max().unwrap();
        assert!(largest < LARGEST_MESSAGE, "{protocol:?}: {largest} bytes");
    }
}

/// What nobody but the collector may see.
const SECRET: &str = "k8sT0ken-4711";

/// A tracer that sends [`SECRET`] with each call.
fn with_secret(protocol: Protocol, config: Bootstrap) -> Bootstrap {
    let header = format!("{{key: authorization, value: Bearer {SECRET}}}");
    config.argument("--log-level").argument("trace").tracer(&match protocol {
        Protocol::Grpc => format!("grpc_service: {{initial_metadata: [{header}]}}"),
        Protocol::Http => format!("http_service: {{request_headers_to_add: [{{header: {header}}}]}}"),
    })
}

#[tokio::test]
async fn the_authorization_of_calls_is_told_to_the_collector_only() {
    let repeats = format!("bad token Bearer {SECRET}");
    let cases = [
        (Protocol::Grpc, Behaviour::Grpc(Status::unauthenticated("bad token"))),
        (Protocol::Grpc, Behaviour::http(401)),
        (Protocol::Http, Behaviour::http(401)),
        // A collector that repeats what it does not like.
        (Protocol::Grpc, Behaviour::Grpc(Status::unauthenticated(&repeats))),
        (Protocol::Http, Behaviour::Http { status: 401, headers: vec![], body: repeats.clone() }),
    ];
    for (protocol, behaviour) in cases {
        let mut delivery =
            Delivery::start(protocol, behaviour.clone(), |config| with_secret(protocol, config)).await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        assert_eq!(report.spans.dropped.permanent, REQUESTS as u64, "{report:#?}");
        assert!(report.last_error.is_some(), "{report:#?}");
        let authorization = format!("Bearer {SECRET}");
        assert_eq!(delivery.collector.calls()[0].headers["authorization"], authorization);
        for path in ["/tracing", "/tracing?format=json"] {
            let page = delivery.admin().get(path).await;
            assert_eq!(page.status(), 200);
            assert!(!page.text().contains(SECRET), "{behaviour:?}: {}", page.text());
        }
        delivery.end().await;
        assert!(!delivery.proxy.log().contains(SECRET), "{behaviour:?}: {}", delivery.proxy.log());
    }
}

#[tokio::test]
async fn a_proxy_with_a_dead_collector_ends_soon_and_says_what_is_lost() {
    let ends = async |protocol, behaviour: Behaviour| {
        let mut delivery = Delivery::start(protocol, behaviour.clone(), |config| config).await;
        delivery.ask(REQUESTS).await;
        delivery.waiting(REQUESTS).await;
        let took = delivery.end().await;
        assert!(took < Duration::from_secs(10), "{behaviour:?}: {took:?}");
        let log = delivery.log();
        assert!(log.last().unwrap().contains(&REQUESTS.to_string()), "{behaviour:?}: {log:#?}");
        // One of a fault that was seen before, and one of the end.
        assert!(log.len() <= 2, "{behaviour:?}: {log:#?}");
    };
    tokio::join!(
        ends(Protocol::Grpc, Behaviour::Refuses),
        ends(Protocol::Grpc, Behaviour::BlackHole),
        ends(Protocol::Grpc, Behaviour::Hangs),
        ends(Protocol::Http, Behaviour::Refuses),
        ends(Protocol::Http, Behaviour::Hangs),
        ends(Protocol::Http, Behaviour::http(503)),
        ends(Protocol::Http, Behaviour::retry_after(429, "3600")),
    );
}

#[tokio::test]
async fn a_proxy_with_a_live_collector_ends_without_a_loss() {
    for &protocol in Protocol::BOTH {
        let mut delivery = Delivery::start(protocol, Behaviour::Healthy, |config| config).await;
        delivery.ask(10 * REQUESTS).await;
        delivery.end().await;
        assert_eq!(delivery.taken(), (0..10 * REQUESTS).collect::<Vec<_>>(), "{protocol:?}");
        let log = delivery.log();
        assert!(log.last().unwrap().contains(&(10 * REQUESTS).to_string()), "{log:#?}");
    }
}

#[tokio::test]
async fn at_the_end_a_collector_that_came_back_is_called_without_waiting() {
    let mut delivery =
        Delivery::start(Protocol::Grpc, Behaviour::Grpc(Status::unavailable("no")), |config| config).await;
    delivery.ask(REQUESTS).await;
    // The pause after that is at least 1.6 s.
    delivery.collector.called(6).await;
    delivery.collector.behave(Behaviour::Healthy).await;
    let took = delivery.end().await;
    assert!(took < Duration::from_millis(1400), "{took:?}");
    assert_eq!(delivery.taken(), (0..REQUESTS).collect::<Vec<_>>());
}

#[tokio::test]
async fn calls_are_compressed_if_the_environment_says_so() {
    for &protocol in Protocol::BOTH {
        let plain = Delivery::start(protocol, Behaviour::Healthy, |config| config).await;
        let gzip = Delivery::start(protocol, Behaviour::Healthy, |config| {
            config.environment("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        })
        .await;
        let mut bytes = Vec::new();
        for (delivery, compressed) in [(plain, false), (gzip, true)] {
            delivery.ask(10 * REQUESTS).await;
            let report = delivery.settled(10 * REQUESTS).await;
            assert_eq!(report.spans.exported, 10 * REQUESTS as u64, "{report:#?}");
            assert_eq!(delivery.taken(), (0..10 * REQUESTS).collect::<Vec<_>>());
            let calls = delivery.collector.calls();
            assert!(calls.iter().all(|call| call.compressed == compressed), "{protocol:?} {calls:#?}");
            bytes.push(calls.iter().map(|call| call.bytes).sum::<usize>());
        }
        assert!(bytes[1] * 4 < bytes[0], "{protocol:?} {bytes:?}");
    }
}

#[tokio::test]
async fn a_dead_collector_is_no_loss_to_another_tracer() {
    let upstream = CannedUpstream::answering(OK).await;
    let healthy = FaultyCollector::start(Behaviour::Healthy).await;
    for dead in [Behaviour::Refuses, Behaviour::BlackHole, Behaviour::Grpc(Status::unavailable("no"))] {
        let dead = FaultyCollector::start(dead).await;
        let before = healthy.taken().len();
        let ports = [FreePort::new(), FreePort::new(), FreePort::new()];
        let config = |collector: &FaultyCollector, service: &str| {
            Bootstrap::to(upstream.address()).traced_to(collector.address(), service)
        };
        let yaml = |config: Bootstrap, port: &FreePort| -> Value {
            serde_yaml::from_str(&config.tracer("grpc_service: {timeout: 10s}").text(port.address)).unwrap()
        };
        // Two bootstraps become one: the second's listener and collector get names of their own.
        let mut both = yaml(config(&healthy, "lucky"), &ports[0]);
        let second = yaml(config(&dead, "unlucky"), &ports[1]);
        let mut listener = second["static_resources"]["listeners"][0].clone();
        listener["name"] = "second".into();
        let tracer = &mut listener["filter_chains"][0]["filters"][0]["typed_config"]["tracing"]["provider"];
        tracer["typed_config"]["grpc_service"]["envoy_grpc"]["cluster_name"] = "dead".into();
        let mut cluster = second["static_resources"]["clusters"][1].clone();
        cluster["name"] = "dead".into();
        cluster["load_assignment"]["cluster_name"] = "dead".into();
        both["static_resources"]["listeners"].as_sequence_mut().unwrap().push(listener);
        both["static_resources"]["clusters"].as_sequence_mut().unwrap().push(cluster);
        both["admin"] = serde_yaml::from_str(&format!(
            "address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}",
            ports[2].port()
        ))
        .unwrap();
        let mut proxy =
            TestProxy::start(&serde_yaml::to_string(&both).unwrap(), Vec::from(ports), &[], &[]).await;

        let mut clients = [proxy.connect().await, Wire::connect(proxy.address_of(1)).await];
        for number in 0..REQUESTS {
            for client in &mut clients {
                assert_eq!(client.get(&format!("/{number}")).await.status(), 200);
            }
        }
        let created = REQUESTS as u64;
        let lucky = proxy.admin().settled("lucky", created).await;
        let all_sent = SpanCounts { created, exported: created, ..SpanCounts::default() };
        assert_eq!(lucky.spans, all_sent, "{lucky:#?}");
        assert_eq!(healthy.taken().len(), before + REQUESTS);
        let all_waiting = SpanCounts { created, queued: created, ..SpanCounts::default() };
        proxy.admin().until("unlucky", |report| report.spans == all_waiting).await;
        proxy.signal(Signal::SIGTERM);
        assert_eq!(proxy.exit_code().await, Some(0));
    }
}
