//! What becomes of spans when their collector fails, by all kinds of faults: what is sent again, what is dropped, what
//! is counted and what is said of it. Requests never notice.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::time::{Duration, SystemTime};

use harness::{Behaviour, Delivery, Dropped, Protocol, SpanCounts, each_at_once};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Requests of a test.
const REQUESTS: usize = 30;
/// What collectors of these tests say of an error.
const SAID: &str = "told so";

/// A collector's fault, over one of the protocols.
#[derive(Debug, Clone)]
struct Fault {
    protocol: Protocol,
    behaviour: Behaviour,
    /// In the cause that is told there is one of these, in small letters.
    cause: &'static [&'static str],
    /// There is something that whoever operates the proxy can do.
    hinted: bool,
}

impl Fault {
    fn of_both(
        behaviour: Behaviour,
        cause: &'static [&'static str],
        hinted: bool,
    ) -> impl Iterator<Item = Self> {
        let protocols = Protocol::BOTH.iter();
        protocols.map(move |&protocol| Self { protocol, behaviour: behaviour.clone(), cause, hinted })
    }

    /// The collector takes spans, and the proxy cannot know.
    fn is_taken_unawares(&self) -> bool {
        matches!(self.behaviour, Behaviour::Slow(_))
    }

    fn of_grpc(code: Code, details: ErrorDetails) -> Self {
        let behaviour = Behaviour::Grpc(Status::with_error_details(code, SAID, details));
        let hinted = [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented].contains(&code);
        Self { protocol: Protocol::Grpc, behaviour, cause: &[SAID], hinted }
    }
}

/// Those that may pass, on the way to the collector.
fn faults_of_connections() -> Vec<Fault> {
    let no_answer = &["answer within"];
    [
        Fault::of_both(Behaviour::Refuses, &["refused"], true),
        Fault::of_both(Behaviour::BlackHole, no_answer, true),
        Fault::of_both(Behaviour::Hangs, no_answer, true),
        Fault::of_both(Behaviour::Slow(Duration::from_secs(1)), no_answer, true),
        Fault::of_both(Behaviour::Resets, &["reset", "closed", "broken pipe"], true),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those that may pass, in what the collector says.
fn faults_that_pass() -> Vec<Fault> {
    let codes = [
        Code::Cancelled,
        Code::DeadlineExceeded,
        Code::Aborted,
        Code::OutOfRange,
        Code::Unavailable,
        Code::DataLoss,
    ];
    let of_grpc = codes.map(|code| Fault::of_grpc(code, ErrorDetails::new()));
    let soon = ErrorDetails::with_retry_info(Some(Duration::from_millis(50)));
    let statuses = [(429, &["429"]), (502, &["502"]), (503, &["503"]), (504, &["504"])];
    let of_http = statuses.into_iter().flat_map(|(status, cause)| {
        // A proxy before the collector answers gRPC like that, too.
        Fault::of_both(Behaviour::http(status), cause, false)
    });
    of_grpc.into_iter().chain([Fault::of_grpc(Code::ResourceExhausted, soon)]).chain(of_http).collect()
}

/// Those that do not pass.
fn faults_that_stay() -> Vec<Fault> {
    let codes = [
        Code::Unauthenticated,
        Code::PermissionDenied,
        Code::InvalidArgument,
        Code::Unimplemented,
        Code::ResourceExhausted,
        Code::Internal,
    ];
    let of_grpc = codes.map(|code| Fault::of_grpc(code, ErrorDetails::new()));
    let statuses = [
        (400, &["400"], false),
        (401, &["401"], true),
        (403, &["403"], true),
        (404, &["404"], true),
        (500, &["500"], false),
    ];
    let of_http = statuses
        .into_iter()
        .flat_map(|(status, cause, hinted)| Fault::of_both(Behaviour::http(status), cause, hinted));
    of_grpc.into_iter().chain(of_http).collect()
}

/// What the log and the page say of the one fault that there has been, which lasts.
async fn assert_told(delivery: &Delivery, fault: &Fault) {
    let report = delivery.admin().tracer(Delivery::TRACER).await;
    let log = delivery.log();
    assert_eq!(report.state, "failing", "{report:#?}");
    let error = report.last_error.unwrap();
    delivery.assert_quiet(1);
    assert!(log[0].contains("[warning]"), "{log:#?}");
    for told in [&error.cause, &log[0]] {
        assert!(fault.cause.iter().any(|cause| told.to_lowercase().contains(cause)), "{told}");
    }
    assert!(error.hint.is_some() || !fault.hinted, "{error:?}");
    assert!(error.hint.is_none_or(|hint| log[0].contains(&hint)), "{log:#?}");
}

/// Spans of which none is anywhere but dropped.
fn all_dropped(dropped: Dropped) -> SpanCounts {
    SpanCounts { created: REQUESTS as u64, dropped, ..SpanCounts::default() }
}

/// The collector does not recover in time.
async fn assert_dropped_late(fault: Fault) {
    let delivery = Delivery::start(fault.protocol, fault.behaviour.clone(), |config| {
        config.environment("OTEL_BSP_EXPORT_TIMEOUT", "1000").tracer(&fault.protocol.call_timeout("0.2s"))
    })
    .await;
    delivery.ask(REQUESTS).await;
    let report = delivery.settled(REQUESTS).await;
    let expected = Dropped { timeout: REQUESTS as u64, ..Dropped::default() };
    assert_eq!(report.spans, all_dropped(expected), "{report:#?}");
    assert!(report.calls.retries > 0, "{report:#?}");
    assert!(delivery.taken().is_empty() || fault.is_taken_unawares());
    assert_told(&delivery, &fault).await;
}

#[tokio::test]
async fn what_cannot_be_brought_to_the_collector_in_time_is_dropped_then() {
    each_at_once(faults_of_connections(), assert_dropped_late).await;
}

#[tokio::test]
async fn what_the_collector_does_not_want_yet_is_dropped_after_a_time() {
    each_at_once(faults_that_pass(), assert_dropped_late).await;
}

#[tokio::test]
async fn what_the_collector_will_never_want_is_dropped_at_once() {
    each_at_once(faults_that_stay(), async |fault: Fault| {
        let delivery = Delivery::start(fault.protocol, fault.behaviour.clone(), |config| config).await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        let expected = Dropped { permanent: REQUESTS as u64, ..Dropped::default() };
        assert_eq!(report.spans, all_dropped(expected), "{report:#?}");
        assert_eq!(report.calls.retries, 0, "{report:#?}");
        // Each call had spans of its own.
        let in_calls: usize = delivery.collector.calls().iter().map(|call| call.spans).sum();
        assert_eq!(in_calls, REQUESTS);
        assert!(delivery.taken().is_empty());
        assert_told(&delivery, &fault).await;
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_all_spans_once() {
    let faults = faults_of_connections().into_iter().chain(faults_that_pass()).collect();
    each_at_once(faults, async |fault: Fault| {
        let mut delivery = Delivery::start(fault.protocol, fault.behaviour.clone(), |config| {
            // So long that an answer comes in time on a busy machine, and no longer since hanging calls last as long.
            config.tracer(&fault.protocol.call_timeout("2s"))
        })
        .await;
        delivery.ask(REQUESTS).await;
        delivery.waiting(REQUESTS).await;
        delivery.warned().await;
        delivery.collector.behave(Behaviour::Healthy).await;
        let report = delivery.settled(REQUESTS).await;
        let (created, exported) = (REQUESTS as u64, REQUESTS as u64);
        assert_eq!(report.spans, SpanCounts { created, exported, ..SpanCounts::default() }, "{report:#?}");
        let mut taken = delivery.taken();
        if fault.is_taken_unawares() {
            taken.dedup();
        }
        assert_eq!(taken, (0..REQUESTS).collect::<Vec<_>>());
        assert_eq!(report.state, "ok", "{report:#?}");
        delivery.assert_quiet(1);
    })
    .await;
}

/// The collector takes all spans in its way, of which the proxy must notice nothing.
async fn assert_delivered(protocol: Protocol, behaviour: Behaviour) {
    let delivery = Delivery::start(protocol, behaviour.clone(), |config| config).await;
    for round in 1..=3 {
        delivery.ask_from((round - 1) * REQUESTS, REQUESTS).await;
        delivery.settled(round * REQUESTS).await;
    }
    let report = delivery.settled(3 * REQUESTS).await;
    let (created, exported) = (3 * REQUESTS as u64, 3 * REQUESTS as u64);
    let expected = SpanCounts { created, exported, ..SpanCounts::default() };
    assert_eq!(report.spans, expected, "{behaviour:?} {report:#?}");
    assert_eq!(delivery.taken(), (0..3 * REQUESTS).collect::<Vec<_>>(), "{behaviour:?}");
    assert_eq!(report.state, "ok", "{behaviour:?} {report:#?}");
}

#[tokio::test]
async fn a_collector_that_closes_its_connections_gets_all_spans_once() {
    for &protocol in Protocol::BOTH {
        assert_delivered(protocol, Behaviour::Closes).await;
    }
}

#[tokio::test]
async fn a_collector_that_answers_slowly_gets_all_spans_once() {
    for &protocol in Protocol::BOTH {
        assert_delivered(protocol, Behaviour::Slow(Duration::from_millis(1))).await;
    }
}

#[tokio::test]
async fn a_collector_that_only_warns_gets_all_spans_once() {
    for &protocol in Protocol::BOTH {
        assert_delivered(protocol, Behaviour::Partial { rejected: 0, message: "slow down".to_owned() }).await;
    }
}

/// The collector asks not to be called before `until`, after which it takes what comes.
async fn assert_no_call_before(
    protocol: Protocol,
    behaviour: Behaviour,
    until: impl FnOnce(SystemTime) -> SystemTime,
) {
    let mut delivery = Delivery::start(protocol, behaviour, |config| config).await;
    delivery.ask(REQUESTS).await;
    delivery.collector.called(1).await;
    delivery.collector.behave(Behaviour::Healthy).await;
    // More spans are no reason to call before.
    delivery.ask_from(REQUESTS, REQUESTS).await;
    let report = delivery.settled(2 * REQUESTS).await;
    let exported = 2 * REQUESTS as u64;
    let expected = SpanCounts { created: exported, exported, ..SpanCounts::default() };
    assert_eq!(report.spans, expected, "{report:#?}");
    let calls = delivery.collector.calls();
    let until = until(calls[0].at);
    assert!(calls[1..].iter().all(|call| call.at >= until), "{until:?} {calls:#?}");
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let second = Duration::from_secs(1);
    let date = SystemTime::now() + 3 * second;
    // Dates have no fractions.
    let date = httpdate::parse_http_date(&httpdate::fmt_http_date(date)).unwrap();
    let date_text = httpdate::fmt_http_date(date);
    tokio::join!(
        assert_no_call_before(Protocol::Http, Behaviour::retry_after(429, "1"), |first| first + second),
        assert_no_call_before(Protocol::Http, Behaviour::retry_after(503, "1"), |first| first + second),
        assert_no_call_before(Protocol::Http, Behaviour::retry_after(429, date_text), |_| date),
    );
}

#[tokio::test]
async fn retry_info_is_waited_for() {
    let second = Duration::from_secs(1);
    let details = || ErrorDetails::with_retry_info(Some(second));
    let status = |code| Behaviour::Grpc(Status::with_error_details(code, SAID, details()));
    tokio::join!(
        assert_no_call_before(Protocol::Grpc, status(Code::ResourceExhausted), |first| first + second),
        assert_no_call_before(Protocol::Grpc, status(Code::Unavailable), |first| first + second),
    );
}

#[tokio::test]
async fn calls_come_less_and_less_often_while_the_collector_fails() {
    let delivery =
        Delivery::start(Protocol::Grpc, Behaviour::Grpc(Status::unavailable(SAID)), |config| config).await;
    delivery.ask(1).await;
    delivery.collector.called(5).await;
    let calls = delivery.collector.calls();
    let pauses: Vec<Duration> =
        calls.windows(2).take(4).map(|pair| pair[1].instant - pair[0].instant).collect();
    // 100 ms, doubled three times, of which chance takes no more than half.
    assert!(pauses[3] >= Duration::from_millis(400), "{pauses:?}");
}

#[tokio::test]
async fn the_log_says_once_that_a_fault_began_and_once_that_it_is_over() {
    let mut delivery = Delivery::start(Protocol::Grpc, Behaviour::Refuses, |config| config).await;
    delivery.ask(REQUESTS).await;
    delivery.admin().until(Delivery::TRACER, |report| report.calls.retries > 0).await;
    delivery.collector.behave(Behaviour::Healthy).await;
    delivery.settled(REQUESTS).await;
    // Between two lines there are ten seconds.
    delivery.log_until(|log| log.last().unwrap().contains("[info]")).await;
    let log = delivery.log();
    assert_eq!(log.len(), 2, "{log:#?}");
    assert!(log[0].contains("[warning]"), "{log:#?}");
}

#[tokio::test]
async fn bytes_that_are_no_answer_lose_no_count_of_a_span() {
    let garbage: [&'static [u8]; 3] =
        [b"garbage garbage garbage\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1\r\n", &[0xff; 64]];
    let faults = garbage.into_iter().flat_map(|bytes| Fault::of_both(Behaviour::Garbage(bytes), &[""], true));
    each_at_once(faults.collect(), async |fault: Fault| {
        let delivery = Delivery::start(fault.protocol, fault.behaviour.clone(), |config| {
            config.environment("OTEL_BSP_EXPORT_TIMEOUT", "500")
        })
        .await;
        delivery.ask(REQUESTS).await;
        let report = delivery.settled(REQUESTS).await;
        // Whether it is a collector that fails, or none at all, cannot be told from that.
        let Dropped { permanent, timeout, .. } = report.spans.dropped;
        assert_eq!(permanent + timeout, REQUESTS as u64, "{report:#?}");
        assert_eq!(report.spans, all_dropped(Dropped { permanent, timeout, ..Dropped::default() }));
        assert_told(&delivery, &fault).await;
    })
    .await;
}
