//! When a collector that did not take a call is called again.

use std::time::Duration;

use tokio::time::Instant;

use super::failure::Retry;

/// The pause after the first failure; each is about twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause of ours. A collector that comes back is found within it, and what waits overflows the sooner the
/// longer it takes to find it.
const LONGEST: Duration = Duration::from_secs(2);

/// The longest pause that a collector may ask for. Who asks for more is asked again before.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// The pause between calls while they fail.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    /// A call failed.
    pub(super) fn failed(&mut self, retry: Retry, now: Instant) {
        // Calls that were under way together fail together.
        if self.until.is_none_or(|until| until <= now) {
            self.failures = self.failures.saturating_add(1);
        }
        let doubled = FIRST.saturating_mul(1 << (self.failures.max(1) - 1).min(16)).min(LONGEST);
        // By chance up to half shorter, so that many proxies do not come back at once.
        let own = doubled.mul_f64(1.0 - fastrand::f64() / 2.0);
        let pause = match retry {
            // Not to be called in a loop is what a collector wants that asks for no pause.
            Retry::After(asked) => asked.clamp(own, LONGEST_ASKED),
            Retry::Soon | Retry::No => own,
        };
        let until = now + pause;
        self.until = Some(self.until.map_or(until, |known| known.max(until)));
    }

    /// A call failed and its spans are gone: the next may be sent at once.
    pub(super) fn failed_for_good(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// A call went well, or there is no time for pauses.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Calls that failed since one went well.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether the last call failed.
    pub(super) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// Whether there may be a call.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// Whether there may be none before `end`.
    pub(super) fn is_until_after(&self, end: Instant) -> bool {
        self.until.is_some_and(|until| until > end)
    }

    /// When the pause ends, if that is after `now`.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ_by_chance() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        let mut now = start;
        for (turn, about) in [100_u64, 200, 400, 800, 1600, 2000, 2000, 2000].into_iter().enumerate() {
            backoff.failed(Retry::Soon, now);
            let until = backoff.until.unwrap();
            let pause = until - now;
            let about = Duration::from_millis(about);
            assert!(pause >= about / 2 && pause <= about, "{turn}: {pause:?}");
            assert!(!backoff.is_over(now) && backoff.is_over(until));
            now = until;
        }
        backoff.forget();
        assert!(backoff.is_over(start) && !backoff.is_failing());
    }

    #[test]
    fn what_the_collector_asks_for_counts_and_calls_that_fail_together_count_once() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.failed(Retry::After(Duration::from_secs(30)), now);
        backoff.failed(Retry::Soon, now);
        backoff.failed(Retry::Soon, now);
        assert_eq!(backoff.failures(), 1);
        let mut hasty = Backoff::default();
        hasty.failed(Retry::After(Duration::ZERO), now);
        assert!(!hasty.is_over(now + FIRST / 3), "no pause at all is none that may be asked for");
        hasty.failed(Retry::After(Duration::MAX), now + FIRST);
        assert!(hasty.is_over(now + FIRST + LONGEST_ASKED));
        assert_eq!(backoff.until, Some(now + Duration::from_secs(30)));
        assert!(backoff.is_until_after(now + Duration::from_secs(29)));
    }
}
