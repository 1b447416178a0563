//! Distributions of times and counts, with two significant digits.
//!
//! Envoy's histograms (of libcircllhist) have a bin for each two leading digits of a value, and so have these: quantiles and
//! any buckets can be told from them afterwards. A bin exists once something fell near it.

use std::sync::OnceLock;

use super::{Counter, Metric, Reader};

/// Bins of one power of ten: from 1.0 to 9.9 of it.
const BINS: usize = 90;
/// Powers of ten: up to some 115 days in milliseconds.
const DECADES: usize = 10;

/// A distribution of whole numbers.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    zeros: Counter,
    sum: Counter,
    decades: [OnceLock<Box<Decade>>; DECADES],
}

#[derive(Debug)]
struct Decade([Counter; BINS]);

impl Default for Decade {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Histogram {
    /// One of `value`.
    pub(crate) fn record(&self, value: u64) {
        self.sum.add(value);
        let Some(exponent) = value.checked_ilog10() else { return self.zeros.inc() };
        let exponent = (exponent as usize).min(DECADES - 1);
        // The two leading digits, from 10 to 99; what is too large is in the last bin.
        let digits = match exponent {
            0 => value * 10,
            _ => (value / 10_u64.pow(exponent as u32 - 1)).min(99),
        };
        if let Some(decade) = self.decades.get(exponent)
            && let Some(bin) = decade.get_or_init(Box::default).0.get(digits as usize - 10)
        {
            bin.inc();
        }
    }

    /// What is in it.
    pub(crate) fn bins(&self) -> Bins {
        let mut bins = Bins { sum: self.sum.get(), ..Bins::default() };
        bins.push(0.0, 0.0, self.zeros.get());
        for (exponent, decade) in (0..).zip(&self.decades) {
            let Some(decade) = decade.get() else { continue };
            let width = 10_f64.powi(exponent - 1);
            for (digits, bin) in (10_u32..).zip(&decade.0) {
                bins.push(f64::from(digits) * width, width, bin.get());
            }
        }
        bins
    }
}

impl Metric for Histogram {
    fn absorb(&self, other: &Self) {
        self.zeros.absorb(&other.zeros);
        self.sum.absorb(&other.sum);
        for (mine, theirs) in self.decades.iter().zip(&other.decades) {
            if let Some(theirs) = theirs.get() {
                let mine = mine.get_or_init(Box::default);
                mine.0.iter().zip(&theirs.0).for_each(|(mine, theirs)| mine.absorb(theirs));
            }
        }
    }

    fn read(&self, name: &str, reader: &mut dyn Reader) {
        reader.histogram(name, self);
    }
}

/// The bins of a histogram that are not empty, lowest first.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Bins {
    /// Lower bound, width and count of each.
    bins: Vec<(f64, f64, u64)>,
    /// The sum of all values.
    pub(crate) sum: u64,
    /// How many values there are.
    pub(crate) count: u64,
}

impl Bins {
    fn push(&mut self, lower: f64, width: f64, count: u64) {
        if count > 0 {
            self.bins.push((lower, width, count));
            self.count += count;
        }
    }

    /// How many values are `bound` or less, as far as bins tell.
    pub(crate) fn up_to(&self, bound: f64) -> u64 {
        let within = |(lower, ..): &&(f64, f64, u64)| *lower <= bound;
        self.bins.iter().take_while(within).map(|(.., count)| count).sum()
    }

    /// The value below which the share `quantile` of all lies; `None` if there are none. The values of a bin are taken to be
    /// spread evenly within it.
    pub(crate) fn quantile(&self, quantile: f64) -> Option<f64> {
        let wanted = (quantile * self.count as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (lower, width, count) in &self.bins {
            let count = *count as f64;
            if below + count >= wanted {
                return Some(lower + width * ((wanted - below) / (count + 1.0)));
            }
            below += count;
        }
        None
    }

    /// Lower bound, width and count of each bin.
    pub(crate) fn each(&self) -> impl Iterator<Item = (f64, f64, u64)> {
        self.bins.iter().copied()
    }

    /// What has come since it was `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut since = Self { sum: self.sum.saturating_sub(before.sum), ..Self::default() };
        let mut known = before.bins.iter().peekable();
        for (lower, width, count) in self.each() {
            while known.next_if(|(other, ..)| *other < lower).is_some() {}
            let was = known.next_if(|(other, ..)| *other == lower).map_or(0, |(.., count)| *count);
            since.push(lower, width, count.saturating_sub(was));
        }
        since
    }

    /// Add what is in `other`.
    pub(crate) fn absorb(&mut self, other: &Self) {
        for (lower, width, count) in other.each() {
            match self.bins.iter_mut().find(|(known, ..)| *known >= lower) {
                Some((known, _, mine)) if *known == lower => *mine += count,
                _ => {
                    let place = self.bins.partition_point(|(known, ..)| *known < lower);
                    self.bins.insert(place, (lower, width, count));
                }
            }
        }
        self.sum += other.sum;
        self.count += other.count;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Bins {
        let histogram = Histogram::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram.bins()
    }

    #[test]
    fn whole_numbers_below_a_hundred_have_a_bin_each() {
        let values: Vec<u64> = (0..100).collect();
        let bins = of(&values);
        assert_eq!((bins.count, bins.sum), (100, 4950));
        for bound in 0..100_u32 {
            assert_eq!(bins.up_to(f64::from(bound)), u64::from(bound) + 1);
        }
    }

    #[test]
    fn quantiles_lie_in_the_bin_of_their_value() {
        assert_eq!(of(&[]).quantile(0.5), None);
        let bins = of(&[1, 2, 3, 4]);
        assert_eq!(bins.quantile(0.0), Some(1.05));
        assert_eq!(bins.quantile(0.5), Some(2.05));
        assert_eq!(bins.quantile(1.0), Some(4.05));
        // As Envoy 1.40 tells of the same five values.
        let bins = of(&[43, 43, 1, 46, 47]);
        let told = [0.0, 0.25, 0.5, 0.75, 0.9].map(|quantile| bins.quantile(quantile).unwrap());
        assert_eq!(told, [1.05, 43.0 + 1.0 / 3.0, 43.0 + 2.0 / 3.0, 46.5, 47.5]);
    }

    #[test]
    fn what_threads_recorded_adds_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(7);
        two.record(1_234);
        two.record(0);
        one.absorb(&two);
        assert_eq!(one.bins(), of(&[7, 1_234, 0]));
    }

    proptest! {
        #[test]
        fn a_value_is_counted_within_a_tenth_of_itself(value in any::<u64>()) {
            let bins = of(&[value]);
            prop_assert_eq!(bins.count, 1);
            if value < 9_900_000_000 {
                let value = value as f64;
                prop_assert_eq!(bins.up_to(value), 1);
                prop_assert_eq!(bins.up_to(value * 0.9 - 0.5), 0);
            }
        }
    }
}
