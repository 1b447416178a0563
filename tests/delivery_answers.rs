//! What collectors have to say: of spans that they took or did not take, and more than they should. Nobody but the
//! operator reads it, and it is never taken at more than its word.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::time::Duration;

use harness::{Behaviour, Delivery, Dropped, Protocol, SpanCounts, each_at_once};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Requests of a test.
const REQUESTS: usize = 30;

#[tokio::test]
async fn rejected_spans_are_counted_and_not_sent_again() {
    for &protocol in Protocol::BOTH {
        let message = "three of them have no name";
        let behaviour = Behaviour::Partial { rejected: 3, message: message.to_owned() };
        let delivery = Delivery::start(protocol, behaviour, |config| config).await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        let calls = delivery.collector.calls();
        let rejected = calls.iter().map(|call| call.spans.min(3) as u64).sum();
        let created = REQUESTS as u64;
        let dropped = Dropped { rejected, ..Dropped::default() };
        let expected = SpanCounts { created, exported: created - rejected, queued: 0, dropped };
        assert_eq!(report.spans, expected, "{protocol:?} {report:#?}");
        assert_eq!(delivery.taken().len() as u64, report.spans.exported);
        assert_eq!(report.calls.batches, calls.len() as u64);
        assert_eq!(report.calls.retries, 0);
        assert!(report.last_error.unwrap().cause.contains(message));
        assert!(delivery.log()[0].contains(message), "{:?}", delivery.log());
    }
}

#[tokio::test]
async fn no_more_spans_are_rejected_than_were_sent_and_no_fewer_than_none() {
    for (claimed, all) in [(1000, true), (i64::MAX, true), (-5, false), (i64::MIN, false)] {
        let behaviour = Behaviour::Partial { rejected: claimed, message: "odd".to_owned() };
        let delivery = Delivery::start(Protocol::Grpc, behaviour, |config| config).await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        let created = REQUESTS as u64;
        let expected = if all {
            let dropped = Dropped { rejected: created, ..Dropped::default() };
            SpanCounts { created, dropped, ..SpanCounts::default() }
        } else {
            SpanCounts { created, exported: created, ..SpanCounts::default() }
        };
        assert_eq!(report.spans, expected, "{claimed}: {report:#?}");
    }
}

#[tokio::test]
async fn what_a_collector_remarks_is_told_and_fills_no_log() {
    for &protocol in Protocol::BOTH {
        let mut delivery = Delivery::start(protocol, Behaviour::Healthy, |config| config).await;
        for round in 1..=5 {
            let message = format!("{round} of your spans are deprecated");
            delivery.collector.behave(Behaviour::Partial { rejected: 0, message }).await;
            delivery.ask(REQUESTS).await;
            delivery.settled(round * REQUESTS).await;
        }
        let report = delivery.settled(5 * REQUESTS).await;
        let (created, exported) = (5 * REQUESTS as u64, 5 * REQUESTS as u64);
        assert_eq!(report.spans, SpanCounts { created, exported, ..SpanCounts::default() }, "{report:#?}");
        assert_eq!(report.state, "ok", "{report:#?}");
        assert!(delivery.log()[0].contains("1 of your spans are deprecated"), "{:#?}", delivery.log());
        delivery.assert_quiet(1);
    }
}

#[tokio::test]
async fn what_a_collector_says_stays_on_its_line_and_is_cut_off() {
    let said = format!(
        "no\n[2000-01-01 00:00:00.000][info] tracer \"front\": forged\u{1b}[2J {}",
        "x".repeat(50_000)
    );
    let cases = [
        (Protocol::Grpc, Behaviour::Partial { rejected: 1, message: said.clone() }),
        (Protocol::Grpc, Behaviour::Partial { rejected: 0, message: said.clone() }),
        (Protocol::Http, Behaviour::Partial { rejected: 1, message: said.clone() }),
        (Protocol::Http, Behaviour::Http { status: 400, headers: Vec::new(), body: said.clone() }),
        // As long as the largest headers that the proxy reads let it be.
        (Protocol::Grpc, Behaviour::Grpc(Status::invalid_argument(&said[..4_000]))),
    ];
    each_at_once(Vec::from(cases), async |(protocol, behaviour)| {
        let delivery = Delivery::start(protocol, behaviour, |config| config).await;
        delivery.ask(REQUESTS).await;
        delivery.settled(REQUESTS).await;
        delivery.log_until(|log| !log.is_empty()).await;
        let log = delivery.proxy.log();
        assert!(log.lines().all(|line| !line.starts_with("[2000")), "{log}");
        assert!(!log.contains('\u{1b}'), "{log}");
        let page = delivery.admin().get("/tracing").await;
        assert!(page.text().lines().all(|line| !line.starts_with("[2000")), "{}", page.text());
        let page = delivery.admin().get("/tracing?format=json").await;
        let told = log.len() + page.body.len();
        assert!(told < 10_000, "{told} bytes are told of it");
    })
    .await;
}

#[tokio::test]
async fn an_answer_of_five_megabytes_is_not_kept() {
    each_at_once(Protocol::BOTH.to_vec(), async |protocol| {
        let delivery = Delivery::start(protocol, Behaviour::Talks, |config| {
            config.environment("OTEL_BSP_EXPORT_TIMEOUT", "500")
        })
        .await;
        let before = delivery.proxy.memory_kib("VmHWM");
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        // Whether the collector took them is in the answer that nobody reads.
        let SpanCounts { exported, dropped: Dropped { permanent, .. }, .. } = report.spans;
        let dropped = Dropped { permanent, ..Dropped::default() };
        let expected = SpanCounts { created: REQUESTS as u64, exported, queued: 0, dropped };
        assert_eq!(report.spans, expected, "{protocol:?} {report:#?}");
        assert_eq!(exported + permanent, REQUESTS as u64, "{protocol:?} {report:#?}");
        assert_eq!(report.calls.retries, 0, "{protocol:?} {report:#?}");
        let page = delivery.admin().get("/tracing?format=json").await;
        let told = page.body.len() + delivery.proxy.log().len();
        assert!(told < 20_000, "{protocol:?}: {told} bytes are told of it");
        let grown = delivery.proxy.memory_kib("VmHWM") - before;
        assert!(grown < 16 << 10, "{protocol:?}: {grown} KiB");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_no_grpc_drops_at_once_and_is_told_as_what_it_is() {
    let page = Behaviour::Http { status: 200, headers: Vec::new(), body: "It works!".to_owned() };
    let delivery = Delivery::start(Protocol::Grpc, page, |config| config).await;
    delivery.ask(REQUESTS).await;
    let report = delivery.settled(REQUESTS).await;
    let created = REQUESTS as u64;
    let dropped = Dropped { permanent: created, ..Dropped::default() };
    assert_eq!(report.spans, SpanCounts { created, dropped, ..SpanCounts::default() }, "{report:#?}");
    let error = report.last_error.unwrap();
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("gRPC")), "{error:?}");
    assert!(delivery.log()[0].contains(&error.hint.unwrap()), "{:#?}", delivery.log());
}

#[tokio::test]
async fn a_pause_that_a_collector_asks_for_keeps_no_span_beyond_its_time() {
    let pause = |pause| {
        let details = ErrorDetails::with_retry_info(Some(pause));
        Behaviour::Grpc(Status::with_error_details(Code::ResourceExhausted, "later", details))
    };
    let cases = [
        (Protocol::Http, Behaviour::retry_after(429, "3600")),
        (Protocol::Http, Behaviour::retry_after(429, "Fri, 31 Dec 9999 23:59:59 GMT")),
        (Protocol::Http, Behaviour::retry_after(429, u64::MAX.to_string())),
        (Protocol::Http, Behaviour::retry_after(503, format!("{}0", u64::MAX))),
        (Protocol::Http, Behaviour::retry_after(503, "-1")),
        (Protocol::Grpc, pause(Duration::from_secs(3600))),
        (Protocol::Grpc, pause(Duration::from_secs(i64::MAX as u64))),
    ];
    each_at_once(Vec::from(cases), async |(protocol, behaviour)| {
        let delivery = Delivery::start(protocol, behaviour, |config| {
            config.environment("OTEL_BSP_EXPORT_TIMEOUT", "500")
        })
        .await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        let created = REQUESTS as u64;
        let dropped = Dropped { timeout: created, ..Dropped::default() };
        assert_eq!(report.spans, SpanCounts { created, dropped, ..SpanCounts::default() }, "{report:#?}");
        delivery.warned().await;
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_asks_for_a_long_pause_is_told_of_before_it_is_over() {
    let delivery =
        Delivery::start(Protocol::Http, Behaviour::retry_after(429, "3600"), |config| config).await;
    delivery.ask(REQUESTS).await;
    delivery.warned().await;
    let log = delivery.log();
    assert!(log[0].contains("429"), "{log:#?}");
    let report = delivery.waiting(REQUESTS).await;
    let hint = report.last_error.unwrap().hint.unwrap();
    assert!(log[0].contains(&hint), "{hint} {log:#?}");
}
