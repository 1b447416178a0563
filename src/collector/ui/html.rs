//! Writing what people read into HTML: escaped text, durations, moments, sizes.

use std::{
    fmt::{self, Write as _},
    time::Duration,
};

/// Text from outside, harmless wherever HTML has text or a quoted attribute.
pub(super) struct Text<'a>(pub(super) &'a str);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                // Not allowed in HTML, and invisible.
                _ if character.is_control() => f.write_char(char::REPLACEMENT_CHARACTER)?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Text from outside, escaped, no more of it than a page bears.
pub(super) struct Excerpt<'a>(pub(super) &'a str);

impl Excerpt<'_> {
    /// How much of a text is shown.
    const BYTES: usize = 4_096;

    /// Whether there is more of the text than is shown.
    pub(super) fn is_cut(&self) -> bool {
        self.0.len() > Self::BYTES
    }
}

/// Text from outside, escaped, of which so many characters at most are shown: for places that have one line.
pub(super) struct Short<'a>(pub(super) &'a str, pub(super) usize);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(self.1).and_then(|(end, _)| self.0.get(..end)) {
            Some(start) => write!(f, "{}…", Text(start)),
            None => write!(f, "{}", Text(self.0)),
        }
    }
}

/// What stands where a name is to be: a blank would be taken for a fault of the page.
pub(in crate::collector) fn named(name: &str) -> &str {
    if name.trim().is_empty() { "(no name)" } else { name }
}

/// A part of a whole as a percentage: two digits that count.
pub(super) struct Percent(pub(super) u64, pub(super) u64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[allow(clippy::cast_precision_loss, reason = "two digits are shown")]
        let percent = self.0 as f64 * 100.0 / (self.1.max(1) as f64);
        let decimals = usize::from(percent > 0.0 && percent < 10.0);
        write!(f, "{percent:.decimals$} %")
    }
}

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A character has at most four bytes, so one of these is a boundary.
        let start = (Self::BYTES - 3..=Self::BYTES).rev().find_map(|end| self.0.get(..end));
        match start {
            Some(start) if start.len() < self.0.len() => {
                write!(f, "{}… <em>(of {})</em>", Text(start), Size(self.0.len()))
            }
            _ => write!(f, "{}", Text(self.0)),
        }
    }
}

/// Nanoseconds as people read them: three digits that count, and a unit.
pub(in crate::collector) struct Elapsed(pub(in crate::collector) u64);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let duration = Duration::from_nanos(self.0);
        let (amount, unit) = match self.0 {
            0..1_000 => return write!(f, "{} ns", self.0),
            1_000..1_000_000 => (duration.as_secs_f64() * 1e6, "µs"),
            1_000_000..1_000_000_000 => (duration.as_secs_f64() * 1e3, "ms"),
            _ => (duration.as_secs_f64(), "s"),
        };
        let decimals = if amount < 10.0 { 2 } else { usize::from(amount < 100.0) };
        write!(f, "{amount:.decimals$} {unit}")
    }
}

/// Nanoseconds since 1970 as date and time, UTC, to the millisecond.
pub(in crate::collector) struct Moment(pub(in crate::collector) u64);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0 / 1_000_000;
        let seconds = milliseconds / 1_000;
        let (year, month, day) = civil_date(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let fraction = milliseconds % 1_000;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{fraction:03}")
    }
}

/// The same to the nanosecond.
pub(super) struct Precise(pub(super) u64);

impl fmt::Display for Precise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:06}", Moment(self.0), self.0 % 1_000_000)
    }
}

/// Year, month and day of the Gregorian calendar, `days` after 1970-01-01. Counted in eras of 400 years whose
/// years begin in March, so that the leap day comes last.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let since_era_zero = days + 719_468;
    let era = since_era_zero / 146_097;
    let day_of_era = since_era_zero % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Bytes as people read them.
pub(in crate::collector) struct Size(pub(in crate::collector) usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_024 => write!(f, "{} B", self.0),
            1_024..1_048_576 => write!(f, "{} KiB", self.0 >> 10),
            _ => write!(f, "{} MiB", self.0 >> 20),
        }
    }
}

/// A number with its noun, in the plural if need be.
pub(in crate::collector) struct Count<'a>(pub(in crate::collector) usize, pub(in crate::collector) &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.0, self.1, if self.0 == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_becomes_text() {
        let hostile = "<script>alert('1' && \"2\")</script>\0";
        let harmless = "&lt;script&gt;alert(&#39;1&#39; &amp;&amp; &quot;2&quot;)&lt;/script&gt;\u{fffd}";
        assert_eq!(Text(hostile).to_string(), harmless);
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let shown = Excerpt(&"é".repeat(1 << 20)).to_string();
        assert!(shown.starts_with('é') && shown.ends_with("é… <em>(of 2 MiB)</em>"), "{shown}");
        assert_eq!(Excerpt("short").to_string(), "short");
    }

    #[test]
    fn a_line_is_cut_by_characters_and_parts_are_percentages() {
        assert_eq!(Short("<ééé>", 3).to_string(), "&lt;éé…");
        assert_eq!(Short("<ééé>", 5).to_string(), "&lt;ééé&gt;");
        let parts =
            [Percent(0, 0), Percent(1, 80), Percent(1, 2), Percent(3, 3)].map(|part| part.to_string());
        assert_eq!(parts, ["0 %", "1.2 %", "50 %", "100 %"]);
    }

    #[test]
    fn durations_have_three_digits_that_count() {
        let written = [0, 999, 1_000, 5_266_000, 12_345_678, 412_000_000, 61_000_000_000].map(Elapsed);
        let read = ["0 ns", "999 ns", "1.00 µs", "5.27 ms", "12.3 ms", "412 ms", "61.0 s"];
        assert_eq!(written.map(|elapsed| elapsed.to_string()), read);
    }

    #[test]
    fn moments_follow_the_calendar() {
        assert_eq!(Moment(0).to_string(), "1970-01-01 00:00:00.000");
        assert_eq!(Moment(951_782_400_000_000_000).to_string(), "2000-02-29 00:00:00.000");
        assert_eq!(Moment(1_795_155_028_096_607_000).to_string(), "2026-11-20 06:10:28.096");
        assert_eq!(Moment(u64::MAX).to_string(), "2554-07-21 23:34:33.709");
        assert_eq!(Precise(1_795_155_028_096_007_089).to_string(), "2026-11-20 06:10:28.096007089");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_place(text in any::<String>()) {
            let written = Text(&text).to_string();
            prop_assert!(!written.contains(['<', '>', '"', '\'']));
        }
    }
}
