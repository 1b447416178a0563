//! What collectors have to say: of spans that they took or did not take, and more than they should. Nobody but the
//! operator reads it, and it is never taken at more than its word.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use harness::{Behaviour, Delivery, Dropped, Protocol, SpanCounts};

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
