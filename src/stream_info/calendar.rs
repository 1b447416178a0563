//! Times as text, in the Gregorian calendar and UTC.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

use arrayvec::ArrayString;

use crate::snapshot::format::time_format::{TimeFormat, TimePart};

/// `2026-11-20T08:09:36.123Z`; of years beyond 9999 the last four digits.
pub(crate) fn iso_8601(time: SystemTime) -> ArrayString<24> {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, (since.as_secs() % 86_400) as u32);
    let (year, month, day) = civil_date(days);
    // By hand, since each entry of an access log has one.
    let digit = |number: u32| b'0' + (number % 10) as u8;
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut put = |place: usize, number: u32| {
        if let Some([tens, ones]) = text.get_mut(place..place + 2) {
            (*tens, *ones) = (digit(number / 10), digit(number));
        }
    };
    let (year, month, day) = ((year % 10_000) as u32, month as u32, day as u32);
    put(0, year / 100);
    put(2, year);
    put(5, month);
    put(8, day);
    put(11, second / 3600);
    put(14, second / 60 % 60);
    put(17, second % 60);
    put(21, since.subsec_millis());
    put(20, since.subsec_millis() / 10);
    // All of it is ASCII.
    ArrayString::from_byte_string(&text).unwrap_or_default()
}

/// Year, month and day of the `days`-th day after 1970-01-01, in the Gregorian calendar.
pub(crate) fn civil_date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day comes last (the common algorithm of calendars).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl TimeFormat {
    /// `time` in this pattern.
    pub(crate) fn text(&self, time: SystemTime) -> String {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let zone = self.zone.as_ref().map(|zone| {
            let seconds = i64::try_from(since.as_secs()).unwrap_or(i64::MAX);
            zone.to_offset_info(jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX))
        });
        let clock = zone
            .as_ref()
            .map_or(UTC, |zone| Clock { offset: zone.offset().seconds(), abbreviation: zone.abbreviation() });
        let local = since.as_secs().saturating_add_signed(clock.offset.into());
        let (days, second) = (local / 86_400, local % 86_400);
        let mut out = String::with_capacity(32);
        for part in &self.parts {
            match part {
                TimePart::Literal(text) => out.push_str(text),
                TimePart::Fraction(digits) => {
                    let nanoseconds = format!("{:09}", since.subsec_nanos());
                    out.push_str(nanoseconds.get(..*digits).unwrap_or(&nanoseconds));
                }
                TimePart::Field('s') => drop(write!(out, "{}", since.as_secs())),
                // Writing to a string does not fail.
                TimePart::Field(field) => drop(write_field(*field, (days, second), clock, &mut out)),
            }
        }
        out
    }
}

/// How far a clock is before UTC, in seconds, and what it is called.
#[derive(Debug, Clone, Copy)]
struct Clock<'a> {
    offset: i32,
    abbreviation: &'a str,
}

const UTC: Clock<'_> = Clock { offset: 0, abbreviation: "UTC" };

/// One field of the C library's `strftime`, of the `second` of the `days`-th day by that clock.
fn write_field(
    field: char,
    (days, second): (u64, u64),
    clock: Clock<'_>,
    out: &mut String,
) -> std::fmt::Result {
    let (year, month, day) = civil_date(days);
    let (hour, minute, second_of_minute) = (second / 3600, second / 60 % 60, second % 60);
    // 1970-01-01 was a Thursday; weeks begin with Sunday here.
    let weekday = (days + 4) % 7;
    let year_day = days - days_before(year);
    let hour_of_12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let name =
        |names: &[&'static str], at: u64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
    let day_name = name(&DAYS, days % 7).unwrap_or_default();
    let month_name = name(&MONTHS, month - 1).unwrap_or_default();
    let mut several = |fields: &str| {
        fields.chars().try_for_each(|field| match field.is_ascii_alphabetic() {
            true => write_field(field, (days, second), clock, out),
            false => out.write_char(field),
        })
    };
    match field {
        'a' => write!(out, "{day_name:.3}"),
        'A' => out.write_str(day_name),
        'b' | 'h' => write!(out, "{month_name:.3}"),
        'B' => out.write_str(month_name),
        'C' => write!(out, "{:02}", year / 100),
        'd' => write!(out, "{day:02}"),
        'e' => write!(out, "{day:2}"),
        'F' => several("Y-m-d"),
        'D' => several("m/d/y"),
        'R' => several("H:M"),
        'T' => several("H:M:S"),
        'r' => several("I:M:S p"),
        'c' => several("a b e H:M:S Y"),
        'g' => write!(out, "{:02}", iso_week(year, year_day, weekday).0 % 100),
        'G' => write!(out, "{}", iso_week(year, year_day, weekday).0),
        'V' => write!(out, "{:02}", iso_week(year, year_day, weekday).1),
        'H' => write!(out, "{hour:02}"),
        'I' => write!(out, "{hour_of_12:02}"),
        'j' => write!(out, "{:03}", year_day + 1),
        'm' => write!(out, "{month:02}"),
        'M' => write!(out, "{minute:02}"),
        'p' => out.write_str(if hour < 12 { "AM" } else { "PM" }),
        'S' => write!(out, "{second_of_minute:02}"),
        'u' => write!(out, "{}", if weekday == 0 { 7 } else { weekday }),
        'U' => write!(out, "{:02}", (year_day + 7 - weekday) / 7),
        'w' => write!(out, "{weekday}"),
        'W' => write!(out, "{:02}", (year_day + 7 - (weekday + 6) % 7) / 7),
        'y' => write!(out, "{:02}", year % 100),
        'Y' => write!(out, "{year}"),
        'z' => {
            let (sign, minutes) =
                (if clock.offset < 0 { '-' } else { '+' }, clock.offset.unsigned_abs() / 60);
            write!(out, "{sign}{:02}{:02}", minutes / 60, minutes % 60)
        }
        _ => out.write_str(clock.abbreviation),
    }
}

/// Days from 1970-01-01 to the first of `year`.
fn days_before(year: u64) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let (before, first) = (year.saturating_sub(1), 1969);
    (year - 1970) * 365 + leap_days(before) - leap_days(first)
}

/// Year and number of the ISO 8601 week: the one that its Thursday lies in.
fn iso_week(year: u64, year_day: u64, weekday: u64) -> (u64, u64) {
    let is_leap = |year: u64| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let length = |year| if is_leap(year) { 366 } else { 365 };
    let from_monday = (weekday + 6) % 7;
    // The Thursday of this week, counted from the first of the year; seven is added to stay above zero.
    let thursday = year_day + 3 + 7 - from_monday;
    if thursday < 7 {
        return (year - 1, (thursday + length(year - 1) - 7) / 7 + 1);
    }
    if thursday - 7 >= length(year) {
        return (year + 1, 1);
    }
    (year, (thursday - 7) / 7 + 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar_over_leap_years() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(
            &*iso_8601(UNIX_EPOCH + Duration::from_millis(1_795_155_028_096)),
            "2026-11-20T06:10:28.096Z"
        );
    }

    #[test]
    fn patterns_are_written_as_the_c_library_writes_them() {
        // 2024-12-30 01:02:03.000456789, a Monday in the first week of 2025.
        let time = UNIX_EPOCH + Duration::new(1_735_520_523, 456_789);
        for (pattern, text) in [
            ("%Y/%m/%dT%H:%M:%S%z %s", "2024/12/30T01:02:03+0000 1735520523"),
            ("%F %T.%3f %6f %9f %f", "2024-12-30 01:02:03.000 000456 000456789 000456789"),
            ("%a %A %b %B %e %j %u %w", "Mon Monday Dec December 30 365 1 1"),
            ("%G-W%V %U %W %y %C %I%p %Z %%", "2025-W01 52 53 24 20 01AM UTC %"),
            ("%D %R %r", "12/30/24 01:02 01:02:03 AM"),
        ] {
            assert_eq!(TimeFormat::parse(pattern).expect("parses").text(time), text, "{pattern}");
        }
        let friday = UNIX_EPOCH + Duration::from_secs(1_609_459_200);
        assert_eq!(TimeFormat::parse("%F %G %V %a").expect("parses").text(friday), "2021-01-01 2020 53 Fri");
        assert!(TimeFormat::parse("%Q").is_err() && TimeFormat::parse("%n").is_err());
    }
}
