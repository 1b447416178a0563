//! What has come to statistics since they were last looked at.

use std::cmp::Ordering;

use crate::stats::{Bins, Stat, Value};

/// Each statistic of `now`, and the place that it had `before`. Both are sorted by name.
pub(super) fn places<'a>(
    now: &'a [Stat],
    before: &'a [Stat],
) -> impl Iterator<Item = (&'a Stat, Option<usize>)> {
    let mut before = before.iter().enumerate().peekable();
    now.iter().map(move |stat| {
        loop {
            let Some((_, known)) = before.peek() else { return (stat, None) };
            match known.name.full.cmp(&stat.name.full) {
                Ordering::Less => drop(before.next()),
                Ordering::Equal => return (stat, before.next().map(|(place, _)| place)),
                Ordering::Greater => return (stat, None),
            }
        }
    })
}

/// Each statistic of `now` with itself as it was `before`. Both are sorted by name.
pub(super) fn pairs<'a>(
    now: &'a [Stat],
    before: &'a [Stat],
) -> impl Iterator<Item = (&'a Stat, Option<&'a Stat>)> {
    places(now, before).map(|(stat, place)| (stat, place.and_then(|place| before.get(place))))
}

/// How much a counter has grown. One that was reset has grown from nothing.
pub(super) fn counter(now: u64, before: Option<&Stat>) -> u64 {
    match before.map(|stat| &stat.value) {
        Some(Value::Counter(before)) => now.checked_sub(*before).unwrap_or(now),
        _ => now,
    }
}

/// What a histogram has got.
pub(super) fn histogram(now: &Bins, before: Option<&Stat>) -> Bins {
    match before.map(|stat| &stat.value) {
        Some(Value::Histogram(before)) => now.since(before),
        _ => now.clone(),
    }
}

/// Whether a counter is less than it was, which only a reset does.
pub(super) fn was_reset(now: &[Stat], before: &[Stat]) -> bool {
    pairs(now, before).any(|(stat, before)| match (&stat.value, before.map(|stat| &stat.value)) {
        (Value::Counter(now), Some(Value::Counter(before))) => now < before,
        _ => false,
    })
}
