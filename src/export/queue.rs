//! What waits for the collector: bounded in spans and bytes, and the oldest goes first when there is too much.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use crate::{snapshot::delivery::Limits, trace::batch::Batch};

/// The spans of one call, and what has happened to them.
#[derive(Debug)]
pub(super) struct Call {
    /// The spans.
    pub(super) batch: Batch,
    /// When the oldest of them came.
    since: Instant,
    /// When they were sent for the first time.
    first_sent: Option<Instant>,
}

impl Call {
    /// When the oldest of its spans came.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// It is sent now; whether it was before.
    pub(super) fn sent(&mut self, now: Instant) -> bool {
        let again = self.first_sent.is_some();
        self.first_sent.get_or_insert(now);
        again
    }
}

/// Spans that wait, oldest first, in the portions of calls.
#[derive(Debug)]
pub(super) struct Queue {
    calls: VecDeque<Call>,
    spans: usize,
    bytes: usize,
    limits: Limits,
    of_call: Limits,
}

impl Queue {
    /// With room for `limits`, of which each call takes up to `of_call`.
    pub(super) fn new(limits: Limits, of_call: Limits) -> Self {
        Self { calls: VecDeque::new(), spans: 0, bytes: 0, limits, of_call }
    }

    /// Spans that wait.
    pub(super) fn spans(&self) -> usize {
        self.spans
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Since when the oldest waits.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.calls.front().map(|call| call.since)
    }

    /// Whether there is a call that can have no more spans.
    pub(super) fn has_full_call(&self) -> bool {
        self.calls.len() > 1
    }

    /// Add new spans, and say how many others were dropped for them.
    pub(super) fn push(&mut self, batch: Batch, now: Instant) -> usize {
        self.spans += batch.len();
        self.bytes += batch.bytes();
        match self.calls.back_mut() {
            Some(last)
                if last.first_sent.is_none()
                    && last.batch.len() + batch.len() <= self.of_call.spans
                    && last.batch.bytes() + batch.bytes() <= self.of_call.bytes =>
            {
                last.batch.append(batch);
            }
            _ => self.calls.push_back(Call { batch, since: now, first_sent: None }),
        }
        self.make_room()
    }

    /// The next spans to send.
    pub(super) fn take(&mut self) -> Option<Call> {
        let mut call = self.calls.pop_front()?;
        // What a worker hands over at once may be more than a call may have.
        if call.batch.len() > self.of_call.spans {
            let first = call.batch.split_oldest(self.of_call.spans);
            let rest = Call { batch: std::mem::replace(&mut call.batch, first), ..call };
            self.calls.push_front(rest);
        }
        self.spans -= call.batch.len();
        self.bytes -= call.batch.bytes();
        Some(call)
    }

    /// Put back what could not be sent, and say how many spans were dropped for want of room.
    pub(super) fn put_back(&mut self, call: Call) -> usize {
        self.spans += call.batch.len();
        self.bytes += call.batch.bytes();
        self.calls.push_front(call);
        self.make_room()
    }

    /// Drop what was sent for the first time longer ago than `longest`, and say how many spans that were.
    pub(super) fn give_up(&mut self, longest: Duration, now: Instant) -> usize {
        let (spans, bytes) = (self.spans, self.bytes);
        let expired = |call: &Call| call.first_sent.is_some_and(|first| now - first >= longest);
        let mut dropped = (0, 0);
        self.calls.retain(|call| {
            let expired = expired(call);
            if expired {
                dropped = (dropped.0 + call.batch.len(), dropped.1 + call.batch.bytes());
            }
            !expired
        });
        (self.spans, self.bytes) = (spans - dropped.0, bytes - dropped.1);
        dropped.0
    }

    /// When the next ones are given up.
    pub(super) fn given_up_at(&self, longest: Duration) -> Option<Instant> {
        self.calls.iter().filter_map(|call| call.first_sent?.checked_add(longest)).min()
    }

    /// Drop all, and say how many spans that were.
    pub(super) fn clear(&mut self) -> usize {
        self.calls.clear();
        self.bytes = 0;
        std::mem::take(&mut self.spans)
    }

    /// Drop the oldest spans until the rest is within the limits.
    fn make_room(&mut self) -> usize {
        let before = self.spans;
        while let Some(oldest) = self.calls.front_mut() {
            let excess_spans = self.spans.saturating_sub(self.limits.spans);
            let excess_bytes = self.bytes.saturating_sub(self.limits.bytes);
            if excess_spans == 0 && excess_bytes == 0 {
                break;
            }
            let of_bytes = if excess_bytes > 0 { oldest.batch.oldest_of(excess_bytes) } else { 0 };
            let (spans, bytes) = (oldest.batch.len(), oldest.batch.bytes());
            oldest.batch.drop_oldest(excess_spans.max(of_bytes));
            self.spans -= spans - oldest.batch.len();
            self.bytes -= bytes - oldest.batch.bytes();
            if oldest.batch.len() == 0 {
                self.calls.pop_front();
            }
        }
        before - self.spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        snapshot::{Node, tracing::Conventions},
        trace::{otlp::SpanEncoder, probe},
    };

    /// So many spans, written already or not.
    fn batch(spans: usize, written: bool) -> Batch {
        let node = Node::default();
        let one = || Batch::of(probe::span(0), written.then(|| SpanEncoder::new(&node, Conventions::Envoy)));
        let mut batch = Batch::default();
        (0..spans).for_each(|_| batch.append(one()));
        batch
    }

    fn queue(spans: usize, of_call: usize) -> Queue {
        let all = |spans| Limits { spans, bytes: usize::MAX };
        Queue::new(all(spans), all(of_call))
    }

    #[test]
    fn a_call_has_what_fits_however_it_came() {
        for written in [false, true] {
            let mut queue = queue(100, 10);
            for spans in [3, 3, 3, 3, 25] {
                assert_eq!(queue.push(batch(spans, written), Instant::now()), 0);
            }
            let taken = std::iter::from_fn(|| queue.take().map(|call| call.batch.len())).collect::<Vec<_>>();
            assert_eq!(taken, [9, 3, 10, 10, 5]);
            assert_eq!((queue.spans(), queue.bytes(), queue.oldest()), (0, 0, None));
        }
    }

    #[test]
    fn the_oldest_spans_go_first_and_what_comes_back_is_the_oldest() {
        for written in [false, true] {
            let now = Instant::now();
            let mut queue = queue(10, 4);
            assert_eq!(queue.push(batch(4, written), now), 0);
            let call = queue.take().unwrap();
            let dropped: usize = (1..=3).map(|_| queue.push(batch(4, written), now)).sum();
            assert_eq!((dropped, queue.spans()), (2, 10));
            assert_eq!(queue.put_back(call), 4, "there is no room for what came first");
            assert_eq!(queue.spans(), 10);
        }
    }

    #[test]
    fn bytes_bound_it_as_spans_do() {
        let one = batch(1, true).bytes();
        let limits = Limits { spans: usize::MAX, bytes: 3 * one };
        let mut queue = Queue::new(limits, limits);
        assert_eq!(queue.push(batch(5, true), Instant::now()), 2);
        assert_eq!((queue.spans(), queue.bytes()), (3, 3 * one));
    }

    #[test]
    fn what_was_sent_too_long_ago_is_given_up_and_the_rest_stays() {
        let now = Instant::now();
        let longest = Duration::from_secs(1);
        let mut queue = queue(100, 4);
        queue.push(batch(4, true), now);
        let mut call = queue.take().unwrap();
        assert!(!call.sent(now) && call.sent(now), "the second time it is sent again");
        queue.push(batch(2, true), now);
        queue.put_back(call);
        assert_eq!(queue.given_up_at(longest), Some(now + longest));
        assert_eq!(queue.give_up(longest, now + longest / 2), 0);
        assert_eq!(queue.give_up(longest, now + longest), 4);
        assert_eq!((queue.spans(), queue.given_up_at(longest)), (2, None));
    }
}
