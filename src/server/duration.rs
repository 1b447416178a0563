//! Durations as people write them, on a page, in a parameter, or on a command line: `1.5ms`, `1h30m`, `2d`.

/// What to write in place of what is none.
pub(crate) const EXPECTED: &str = "write a number with its unit, such as 5ms, 1.5s or 200us";

/// Nanoseconds of each unit. Go's, and the days and weeks of Jaeger's `lookback`.
const UNITS: [(&str, f64); 10] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3_600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
];

/// The nanoseconds that `text` writes: numbers, each with its unit. `None` if it is no duration.
pub(crate) fn nanoseconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let number = leading(rest, |letter| letter.is_ascii_digit() || letter == '.');
        rest = rest.strip_prefix(number)?;
        let unit = leading(rest, |letter| !letter.is_ascii_digit() && letter != '.');
        rest = rest.strip_prefix(unit)?;
        let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum += number.parse::<f64>().ok()? * nanoseconds;
    }
    // Beyond what 64 bits hold it stays at the greatest, as a cast of a float does.
    (!text.is_empty()).then_some(sum.round() as u64)
}

fn leading(text: &str, is_part: impl Fn(char) -> bool) -> &str {
    let end = text.find(|letter| !is_part(letter)).unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        let read = ["0", "1ns", "1.5ms", "100us", "3µs", "2s", "1h30m", ".5s", "2d", "1w"].map(nanoseconds);
        let expected = [
            0,
            1,
            1_500_000,
            100_000,
            3_000,
            2_000_000_000,
            5_400_000_000_000,
            500_000_000,
            172_800_000_000_000,
            604_800_000_000_000,
        ];
        assert_eq!(read, expected.map(Some));
    }

    #[test]
    fn anything_else_is_no_duration() {
        for wrong in ["", "5", "ms", "1.5.5ms", "-1s", "1 s", "1x", "1s2", "custom"] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
        assert_eq!(nanoseconds("999999999999h"), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = nanoseconds(&text);
        }
    }
}
