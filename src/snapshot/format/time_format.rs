//! Patterns of times (`%Y-%m-%dT%H:%M:%S.%3fZ`), parsed once.

use jiff::tz::TimeZone;

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimeFormat {
    /// Its parts in order.
    pub(crate) parts: Vec<TimePart>,
    /// Where its clock is; `None` for UTC.
    pub(crate) zone: Option<TimeZone>,
}

/// One part of a [`TimeFormat`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimePart {
    /// Text that stands for itself.
    Literal(Box<str>),
    /// A field of `strftime`, by its letter.
    Field(char),
    /// So many digits of the second's fraction: `%3f`.
    Fraction(usize),
}

/// The fields that are written.
const FIELDS: &str = "aAbBCdeFgGhHIjmMpRsSTuUVwWyYzZDrc";

impl TimeFormat {
    /// The same by the clock of this place: of `TZ`, or else of the system.
    pub(crate) fn local(self) -> Self {
        Self { zone: Some(TimeZone::system()), ..self }
    }

    /// Read a pattern. The letter that is not known, in an error.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                literal.push(letter);
                continue;
            }
            let part = match letters.next() {
                Some('%') => {
                    literal.push('%');
                    continue;
                }
                Some(digit @ '1'..='9') if letters.peek() == Some(&'f') => {
                    letters.next();
                    TimePart::Fraction(digit.to_digit(10).map_or(9, |digits| digits as usize))
                }
                Some('f') => TimePart::Fraction(9),
                // A line is an entry.
                Some('n') => return Err("a time cannot have a new line"),
                Some(field) if FIELDS.contains(field) => TimePart::Field(field),
                _ => return Err("spanway does not know a field of the time's pattern"),
            };
            if !literal.is_empty() {
                parts.push(TimePart::Literal(std::mem::take(&mut literal).into()));
            }
            parts.push(part);
        }
        if !literal.is_empty() {
            parts.push(TimePart::Literal(literal.into()));
        }
        Ok(Self { parts, zone: None })
    }
}
