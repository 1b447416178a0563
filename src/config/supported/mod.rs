//! THE table of what spanway supports of the Envoy API. Whatever a document sets and the table does not list is
//! refused by its name. `docs/supported.md` is written from it, see [`markdown`].
//!
//! Each row is one of:
//! - `honoured`: the fields do what the API says. Of a message all fields are then looked up in turn.
//! - `only`: honoured for these values of an enum, or of a true-or-false field; other values are refused.
//! - `holds` and `holds_filters`: an extension point, with the messages it may hold.
//! - `no_effect`: accepted, though nothing depends on it, for the reason given.
//! - `refused`: refused with a hint; `guarded`: refused even where `--skip-unsupported` is given, because
//!   leaving it out would let something through.

mod access_log;
mod cluster;
mod core;
mod http;
mod listener;
mod markdown;
mod route;
mod stats;
mod tls;

pub use markdown::markdown;

/// What is supported of one message.
#[derive(Debug)]
pub(super) struct MessageRow {
    /// The message's full name.
    pub(super) message: &'static str,
    /// Where this holds, as `Message.field`, for messages that mean different things in different places.
    pub(super) place: Option<&'static str>,
    pub(super) rows: &'static [Row],
}

/// What is supported of some fields of a message.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) fields: &'static [&'static str],
    pub(super) support: Support,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Support {
    Honoured,
    Only { values: &'static [&'static str] },
    Holds { messages: &'static [&'static str], guarded: bool },
    NoEffect { reason: &'static str },
    Refused { hint: &'static str, guarded: bool },
}

/// The whole table, in the order in which a request meets it.
pub(super) fn table() -> impl Iterator<Item = &'static MessageRow> {
    [
        listener::TABLE,
        http::TABLE,
        access_log::TABLE,
        route::TABLE,
        cluster::TABLE,
        tls::TABLE,
        stats::TABLE,
        core::TABLE,
    ]
    .into_iter()
    .flatten()
}

/// Whether all of that message is supported or refused as a whole where it is lowered: protobuf's own types, and
/// parsed CEL expressions, which are trees.
pub(super) fn is_whole(message: &str) -> bool {
    ["google.protobuf.", "cel.expr.", "google.api.expr."].iter().any(|package| message.starts_with(package))
}

const fn message(message: &'static str, rows: &'static [Row]) -> MessageRow {
    MessageRow { message, place: None, rows }
}

const fn message_at(message: &'static str, place: &'static str, rows: &'static [Row]) -> MessageRow {
    MessageRow { message, place: Some(place), rows }
}

const fn honoured(fields: &'static [&'static str]) -> Row {
    Row { fields, support: Support::Honoured }
}

const fn only(fields: &'static [&'static str], values: &'static [&'static str]) -> Row {
    Row { fields, support: Support::Only { values } }
}

const fn holds(fields: &'static [&'static str], messages: &'static [&'static str]) -> Row {
    Row { fields, support: Support::Holds { messages, guarded: false } }
}

const fn holds_filters(fields: &'static [&'static str], messages: &'static [&'static str]) -> Row {
    Row { fields, support: Support::Holds { messages, guarded: true } }
}

const fn no_effect(fields: &'static [&'static str], reason: &'static str) -> Row {
    Row { fields, support: Support::NoEffect { reason } }
}

const fn refused(fields: &'static [&'static str], hint: &'static str) -> Row {
    Row { fields, support: Support::Refused { hint, guarded: false } }
}

const fn guarded(fields: &'static [&'static str], hint: &'static str) -> Row {
    Row { fields, support: Support::Refused { hint, guarded: true } }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use prost_reflect::Kind;

    use super::*;
    use crate::config::api;

    /// A message that is honoured needs rows of its own, unless it is one of protobuf's or has no fields.
    fn needs_rows(kind: &Kind) -> Option<String> {
        let message = kind.as_message()?;
        let plain = is_whole(message.full_name()) || message.fields().len() == 0;
        (!plain).then(|| message.full_name().to_owned())
    }

    #[test]
    fn the_table_names_only_what_the_api_has_and_each_once() {
        for row in table() {
            let name = row.message;
            let message = api::all().get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"));
            let mut seen = HashSet::new();
            for field in row.rows.iter().flat_map(|row| row.fields) {
                assert!(message.get_field_by_name(field).is_some(), "no field {name}.{field}");
                assert!(seen.insert(field), "{name}.{field} is listed twice");
            }
            for Row { fields, support } in row.rows {
                for field in *fields {
                    let kind = message.get_field_by_name(field).unwrap().kind();
                    if let (Support::Only { values }, Some(names)) = (support, kind.as_enum()) {
                        for value in *values {
                            assert!(names.get_value_by_name(value).is_some(), "{name}.{field}: {value}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn every_message_that_is_honoured_has_rows() {
        let listed: HashSet<&str> = table().map(|row| row.message).collect();
        for row in table() {
            let message = api::all().get_message_by_name(row.message).unwrap();
            for Row { fields, support } in row.rows {
                match support {
                    Support::Honoured => {
                        for field in *fields {
                            let field = message.get_field_by_name(field).unwrap();
                            let kind = match field.kind() {
                                Kind::Message(entry) if field.is_map() => {
                                    entry.map_entry_value_field().kind()
                                }
                                kind => kind,
                            };
                            if let Some(needed) = needs_rows(&kind) {
                                assert!(listed.contains(&*needed), "{}: no rows for {needed}", row.message);
                            }
                        }
                    }
                    Support::Holds { messages, .. } => {
                        for held in *messages {
                            let known = api::all().get_message_by_name(held);
                            let empty = known.unwrap().fields().len() == 0;
                            assert!(empty || listed.contains(held), "{}: no rows for {held}", row.message);
                        }
                    }
                    Support::Only { .. } | Support::NoEffect { .. } | Support::Refused { .. } => {}
                }
            }
        }
    }
}
