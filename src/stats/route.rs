//! How long the requests of a route took: `http.server.request.duration` of OpenTelemetry's semantic conventions.

use std::{
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use http::Method;
use opentelemetry::trace::{SpanId, TraceId};

use super::{
    Group, Histogram, Metric, Reader,
    exemplar::{Exemplar, ExemplarCell},
};

/// Upper bounds of the buckets in seconds, as the semantic conventions advise.
pub(crate) const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Methods that are told apart; `http.request.method` of all others is the last. Clients cannot make more of them.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];

/// Classes of statuses; the first is of requests that got none, since their clients left.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The place of a request's method among those that are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct MethodClass(u8);

impl From<&Method> for MethodClass {
    fn from(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::CONNECT => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::PATCH => 8,
            _ => 9,
        })
    }
}

/// Requests of one route, by method and class of status. A part exists once there was such a request.
#[derive(Debug)]
pub(crate) struct RouteStats {
    parts: [OnceLock<Box<Durations>>; METHODS.len() * CLASSES.len()],
}

impl Default for RouteStats {
    fn default() -> Self {
        Self { parts: [const { OnceLock::new() }; _] }
    }
}

/// Requests of one route that had the same method and class of status.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// In microseconds.
    pub(crate) histogram: Histogram,
    /// The latest of each bucket whose trace was sampled; the last bucket has no bound.
    exemplars: [ExemplarCell; BOUNDS.len() + 1],
}

impl Durations {
    /// An example of each bucket.
    pub(crate) fn exemplars(&self) -> impl Iterator<Item = Option<Exemplar>> {
        self.exemplars.iter().map(ExemplarCell::get)
    }
}

/// The bucket of a duration.
fn bucket(microseconds: u64) -> usize {
    BOUNDS.iter().take_while(|bound| microseconds as f64 > **bound * 1e6).count()
}

impl RouteStats {
    /// A request has ended that began at `start`. `status` is 0 if it got none; `span` is its span, if that is sampled.
    pub(crate) fn record(
        &self,
        method: MethodClass,
        status: u16,
        (start, duration): (SystemTime, Duration),
        span: Option<(TraceId, SpanId)>,
    ) {
        let class = usize::from(status / 100);
        let class = if class < CLASSES.len() { class } else { 0 };
        let Some(part) = self.parts.get(usize::from(method.0) * CLASSES.len() + class) else { return };
        let part = part.get_or_init(Box::default);
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        part.histogram.record(microseconds);
        if let Some(span) = span
            && let Some(exemplar) = part.exemplars.get(bucket(microseconds))
        {
            exemplar.set(span, microseconds, start + duration);
        }
    }

    /// What there is, with method and class of status.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&'static str, &'static str, &Durations)> {
        let names = METHODS.iter().flat_map(|method| CLASSES.iter().map(move |class| (*method, *class)));
        names.zip(&self.parts).filter_map(|((method, class), part)| Some((method, class, &**part.get()?)))
    }
}

impl Metric for RouteStats {
    fn absorb(&self, other: &Self) {
        for (mine, theirs) in self.parts.iter().zip(&other.parts) {
            let Some(theirs) = theirs.get() else { continue };
            let mine = mine.get_or_init(Box::default);
            mine.histogram.absorb(&theirs.histogram);
            for (mine, theirs) in mine.exemplars.iter().zip(&theirs.exemplars) {
                mine.absorb(theirs);
            }
        }
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        for (method, class, part) in self.parts() {
            reader.histogram(&super::field_name(name, &format!("{method}.{class}")), &part.histogram);
        }
    }
}

impl Group for RouteStats {}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn requests_are_told_apart_by_method_and_class_of_status() {
        let stats = RouteStats::default();
        let record = |method: &str, status| {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            stats.record((&method).into(), status, (UNIX_EPOCH, Duration::from_millis(3)), None);
        };
        for (method, status) in
            [("GET", 200), ("GET", 204), ("GET", 503), ("BREW", 418), ("TEA", 499), ("PATCH", 0)]
        {
            record(method, status);
        }
        // No status that a host makes up gets out of its place.
        record("GET", 999);
        let told: Vec<_> =
            stats.parts().map(|(method, class, part)| (method, class, part.histogram.bins().count)).collect();
        let wanted = [
            ("GET", "none", 1),
            ("GET", "2xx", 2),
            ("GET", "5xx", 1),
            ("PATCH", "none", 1),
            ("_OTHER", "4xx", 2),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_bucket_has_the_latest_example_of_all_threads() {
        let (one, two) = (RouteStats::default(), RouteStats::default());
        let ids = |byte: u8| (TraceId::from_bytes([byte; 16]), SpanId::from_bytes([byte; 8]));
        let record = |stats: &RouteStats, milliseconds, span| {
            let time = (UNIX_EPOCH, Duration::from_millis(milliseconds));
            stats.record((&Method::GET).into(), 200, time, span);
        };
        record(&one, 3, Some(ids(1)));
        record(&one, 20_000, Some(ids(2)));
        record(&two, 4, Some(ids(3)));
        record(&two, 4, None);
        for total in [RouteStats::default(), RouteStats::default()] {
            // In any order.
            total.absorb(&two);
            total.absorb(&one);
            let (.., part) = total.parts().next().unwrap();
            let examples: Vec<_> =
                part.exemplars().map(|it| it.map(|it| (it.trace_id, it.span_id))).collect();
            assert_eq!(examples[0], Some(ids(3)));
            assert_eq!(examples[14], Some(ids(2)));
            assert!(examples[1..14].iter().all(Option::is_none));
        }
    }
}
