//! What the address of a page asks for.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::results::LISTED;
use crate::{collector::store::Search, server::duration};

/// The pairs of a query, decoded, in their order. The first of a name counts.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Read `text`, which is what stands behind the question mark.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(k, v)| (decoded(k), decoded(v)))
                .collect(),
        )
    }

    /// The value of `name` without the spaces around it; `None` if it is empty, as a form sends for "any".
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(key, _)| key == name)?;
        Some(value.trim()).filter(|value| !value.is_empty())
    }

    /// The names, in their order.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

fn decoded(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

/// What a search form asks for, as it was typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// `service`.
    pub(super) service: String,
    /// `operation`.
    pub(super) operation: String,
    /// `status`: `ok`, `error`, or empty for any.
    pub(super) status: String,
    /// `min`, such as `10ms`.
    pub(super) min: String,
    /// `attributes`, such as `a=1 b="x y"`.
    pub(super) attributes: String,
    /// `trace_id`.
    pub(super) trace_id: String,
    /// `limit`: how many traces are listed.
    pub(super) limit: String,
    /// The names that are no fields.
    pub(super) unknown: Vec<String>,
}

/// What a search looks for, and how many of it are listed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    /// What traces are to be like.
    pub(super) search: Search,
    /// How many.
    pub(super) limit: usize,
}

/// The names that a search may have.
const FIELDS: [&str; 7] = ["service", "operation", "status", "min", "attributes", "trace_id", "limit"];

/// The most traces that a page lists.
const MOST_LISTED: usize = 1_000;

impl Form {
    /// The fields of `query`.
    pub(super) fn of(query: &Query) -> Self {
        let field = |name| query.get(name).unwrap_or_default().to_owned();
        Self {
            service: field("service"),
            operation: field("operation"),
            status: field("status"),
            min: field("min"),
            attributes: field("attributes"),
            trace_id: field("trace_id"),
            limit: field("limit"),
            unknown: query.names().filter(|name| !FIELDS.contains(name)).map(str::to_owned).collect(),
        }
    }

    /// Whether nothing was filled in.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is to be looked for, or a sentence for each field that cannot be read.
    pub(super) fn wanted(&self) -> Result<Wanted, Vec<String>> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut problems = Vec::new();
        let failed = match &*self.status {
            "error" => Some(true),
            "ok" => Some(false),
            "" => None,
            other => {
                problems.push(format!(
                    "Status (status): “{other}” is neither error nor ok. Leave it empty for any."
                ));
                None
            }
        };
        let min_duration_nano = given(&self.min).and_then(|text| {
            let read = duration::nanoseconds(&text);
            if read.is_none() {
                problems.push(format!("At least (min): “{text}” is no duration: {}.", duration::EXPECTED));
            }
            read
        });
        let attributes = attributes(&self.attributes).unwrap_or_else(|problem| {
            problems.push(format!("Attributes of a span (attributes): {problem}"));
            Vec::new()
        });
        let limit = match self.limit.parse() {
            _ if self.limit.is_empty() => LISTED,
            Ok(limit @ 1..=MOST_LISTED) => limit,
            _ => {
                let expected = format!("write a number from 1 to {MOST_LISTED}.");
                problems.push(format!("limit: “{}” is not understood: {expected}", self.limit));
                LISTED
            }
        };
        for name in &self.unknown {
            problems.push(format!("“{name}” is no field of the search. There are {}.", FIELDS.join(", ")));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let (service, operation) = (given(&self.service), given(&self.operation));
        let search =
            Search { service, operation, failed, min_duration_nano, attributes, ..Search::default() };
        Ok(Wanted { search, limit })
    }
}

/// `key=value` pairs between spaces; a value with spaces stands in double quotes.
fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once('=')
            .filter(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace))
            .ok_or_else(|| {
                format!("“{rest}” is no attribute: write key=value, or key=\"a value with spaces\".")
            })?;
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => {
                unquoted(quoted).ok_or_else(|| format!("The quotes behind “{key}=” do not end."))?
            }
            None => {
                let end = after.find(char::is_whitespace).unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (value.to_owned(), after)
            }
        };
        pairs.push((key.to_owned(), value));
        rest = after.trim_start();
    }
    Ok(pairs)
}

/// What stands before the closing quote, and what stands behind it. A backslash takes the next character as it is.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_empty_fields_are_none() {
        let query = Query::parse(Some("a=1+2%26&b=&c&a=3&d=%FF"));
        assert_eq!((query.get("a"), query.get("b"), query.get("c")), (Some("1 2&"), None, None));
        assert_eq!(query.get("d"), Some("\u{fffd}"));
        assert_eq!(Query::parse(None), Query::default());
    }

    #[test]
    fn attributes_stand_between_spaces_or_in_quotes() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let read = attributes(r#" a=1  b="x \"y\" z" c= d=e=f"#);
        assert_eq!(read.unwrap(), [pair("a", "1"), pair("b", "x \"y\" z"), pair("c", ""), pair("d", "e=f")]);
        for wrong in ["a", "=1", "a b=1", "a=\"1"] {
            assert!(attributes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let told = |query| Form::of(&Query::parse(Some(query))).wanted().unwrap_err();
        for (query, sentence) in [
            (
                "min=5",
                "At least (min): “5” is no duration: write a number with its unit, such as 5ms, 1.5s or 200us.",
            ),
            ("status=bogus", "Status (status): “bogus” is neither error nor ok. Leave it empty for any."),
            ("limit=0", "limit: “0” is not understood: write a number from 1 to 1000."),
            ("limit=1001", "limit: “1001” is not understood: write a number from 1 to 1000."),
            (
                "attributes=zone",
                "Attributes of a span (attributes): “zone” is no attribute: write key=value, or key=\"a value with spaces\".",
            ),
            (
                "minDuration=1ms",
                "“minDuration” is no field of the search. There are service, operation, status, min, attributes, trace_id, limit.",
            ),
        ] {
            assert_eq!(told(query), [sentence]);
        }
        assert_eq!(told("min=soon&status=bogus").len(), 2, "all at once");
        let form = Form::of(&Query::parse(Some("service=shop&status=error&limit=5&min=")));
        let search = Search { service: Some("shop".into()), failed: Some(true), ..Search::default() };
        assert_eq!(form.wanted(), Ok(Wanted { search, limit: 5 }));
        assert_eq!(Form::default().wanted(), Ok(Wanted { search: Search::default(), limit: LISTED }));
    }
}
