//! How text stands in a terminal: in colours where they are wanted, and never more than text.

use std::{
    env,
    fmt::{self, Display, Write as _},
    io::{self, IsTerminal as _},
};

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Style {
    colours: bool,
}

/// The colours that services take in turn: cyan, green, yellow, blue, magenta. Red is for errors.
const OF_SERVICES: [u8; 5] = [36, 32, 33, 34, 35];
const RED: u8 = 31;
const FAINT: u8 = 2;

impl Style {
    /// Colours only if standard output is a terminal and nobody has said that they are not wanted (no-color.org).
    pub(super) fn of_environment() -> Self {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|terminal| terminal == "dumb");
        Self { colours: io::stdout().is_terminal() && !refused && !dumb }
    }

    /// No colours.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colours: false }
    }

    /// What failed.
    pub(super) fn failed(self, text: impl Display) -> String {
        self.painted(RED, text)
    }

    /// The same, without a trace of colour if there is nothing.
    pub(super) fn failed_if_any(self, text: String) -> String {
        if text.is_empty() { text } else { self.failed(text) }
    }

    /// What is less important than the rest.
    pub(super) fn faint(self, text: impl Display) -> String {
        self.painted(FAINT, text)
    }

    /// Something of the service that stands at `place` among all services.
    pub(super) fn of_service(self, place: usize, text: impl Display) -> String {
        let colour = OF_SERVICES.iter().cycle().nth(place % OF_SERVICES.len()).copied().unwrap_or_default();
        self.painted(colour, text)
    }

    fn painted(self, colour: u8, text: impl Display) -> String {
        if self.colours { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

/// Text from outside, which cannot move the cursor, change colours, or turn what follows around.
pub(super) struct Plain<'a>(pub(super) &'a str);

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            let turns =
                matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            f.write_char(if letter.is_control() || turns { char::REPLACEMENT_CHARACTER } else { letter })?;
        }
        Ok(())
    }
}

/// A text is not broken into lines that are narrower.
pub(super) const NARROWEST_TEXT: usize = 20;

/// How many columns a line may have: as `COLUMNS` says, or as the terminal has; `None` if nobody looks at one.
pub(super) fn columns() -> Option<usize> {
    let said =
        env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0);
    said.or_else(|| {
        let (width, _) = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten()?;
        Some(usize::from(width.0))
    })
}

/// `text` in exactly `width` columns: cut, or filled up with spaces.
pub(super) fn fitted(text: &str, width: usize) -> String {
    format!("{:<width$}", cut(text, width))
}

/// `text` in `width` columns at most.
pub(super) fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// `text` in lines of `width` columns at most, broken between words.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(cut(word, width)),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_text() {
        assert_eq!(
            Plain("\u{1b}[31mred\u{202e}\n\u{9b}é").to_string(),
            "\u{fffd}[31mred\u{fffd}\u{fffd}\u{fffd}é"
        );
    }

    #[test]
    fn colours_are_only_there_when_wanted() {
        assert_eq!(Style::plain().failed("no"), "no");
        let style = Style { colours: true };
        assert_eq!(style.failed("no"), "\u{1b}[31mno\u{1b}[0m");
        assert_eq!(style.of_service(5, "a"), style.of_service(0, "a"));
    }

    #[test]
    fn text_fits_its_column() {
        assert_eq!(wrapped("one two  three extraordinary", 9), ["one two", "three", "extraord…"]);
        assert_eq!([fitted("ab", 3), fitted("abc", 3), fitted("äöüß", 3)], ["ab ", "abc", "äö…"]);
    }
}
