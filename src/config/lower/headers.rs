//! Lowers header names, values and mutations.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use envoy_types::pb::envoy::config::core::v3::{HeaderValueOption, header_value_option::HeaderAppendAction};
use http::{HeaderName, HeaderValue, header::HOST};

use super::Lowering;
use crate::{
    config::FieldPath,
    snapshot::{
        format::{Command, Format, FormatError},
        route::{AddedValue, AppendAction, HeaderAddition, HeaderMutations},
    },
};

/// The four lists of a message that changes headers.
pub(super) struct MutationFields<'a> {
    pub(super) request_add: &'a [HeaderValueOption],
    pub(super) request_remove: &'a [String],
    pub(super) response_add: &'a [HeaderValueOption],
    pub(super) response_remove: &'a [String],
}

/// The four lists of any message that has them, under the names that the API gives them everywhere.
macro_rules! mutation_fields {
    ($message:expr) => {
        $crate::config::lower::headers::MutationFields {
            request_add: &$message.request_headers_to_add,
            request_remove: &$message.request_headers_to_remove,
            response_add: &$message.response_headers_to_add,
            response_remove: &$message.response_headers_to_remove,
        }
    };
}
pub(super) use mutation_fields;

/// The value of a number that each request of a route copies. Copies of other values are counted in memory that all
/// workers write; this one's text lasts as long as the process, and is made once for each number.
pub(super) fn lasting(number: u64) -> HeaderValue {
    static KNOWN: Mutex<BTreeMap<u64, &'static str>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    HeaderValue::from_static(known.entry(number).or_insert_with(|| number.to_string().leak()))
}

impl Lowering<'_> {
    /// Mutations of one level.
    pub(super) fn mutations(&mut self, path: &FieldPath<'_>, fields: &MutationFields<'_>) -> HeaderMutations {
        HeaderMutations {
            request_add: self.additions(&path.field("request_headers_to_add"), fields.request_add),
            request_remove: self.removals(&path.field("request_headers_to_remove"), fields.request_remove),
            response_add: self.additions(&path.field("response_headers_to_add"), fields.response_add),
            response_remove: self.removals(&path.field("response_headers_to_remove"), fields.response_remove),
        }
    }

    /// Headers that are added.
    pub(super) fn additions(
        &mut self,
        path: &FieldPath<'_>,
        options: &[HeaderValueOption],
    ) -> Vec<HeaderAddition> {
        let add = |(index, option)| self.addition(&path.index(index), option);
        options.iter().enumerate().filter_map(add).collect()
    }

    fn addition(&mut self, path: &FieldPath<'_>, option: &HeaderValueOption) -> Option<HeaderAddition> {
        let header = option.header.as_ref()?;
        #[expect(deprecated, reason = "Envoy still reads the field that append_action replaced")]
        let append = option.append.as_ref().map(|append| append.value);
        if append.is_some() && option.append_action() != HeaderAppendAction::AppendIfExistsOrAdd {
            self.problems.push(&path.field("append"), "append_action is set too; give one of them");
        }
        let path = path.field("header");
        if header.key.starts_with(':') || header.key.eq_ignore_ascii_case("host") {
            self.problems.push_with_hint(
                &path.field("key"),
                format!("\"{}\" may not be changed here", header.key),
                "use prefix_rewrite, regex_rewrite or host_rewrite_literal",
            );
            return None;
        }
        let name = self.header_name(&path.field("key"), &header.key)?;
        let value_path = path.field("value");
        let value = if header.raw_value.is_empty() {
            let format = self.format(&value_path, &header.value)?;
            match format.as_literal() {
                Some(text) => AddedValue::Literal(self.header_value(&value_path, text)?),
                None => AddedValue::Format(format),
            }
        } else {
            let value = HeaderValue::from_bytes(&header.raw_value).ok();
            if value.is_none() {
                self.problems.push(&path.field("raw_value"), "a header cannot have these bytes");
            }
            AddedValue::Literal(value?)
        };
        let action = match append {
            Some(true) => AppendAction::AppendOrAdd,
            Some(false) => AppendAction::OverwriteOrAdd,
            None => match option.append_action() {
                HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendOrAdd,
                HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
                HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteOrAdd,
                HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
            },
        };
        Some(HeaderAddition { name, value, action, keep_empty: option.keep_empty_value })
    }

    fn removals(&mut self, path: &FieldPath<'_>, names: &[String]) -> Vec<HeaderName> {
        let mut removals = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let path = path.index(index);
            if name.starts_with(':') || name.eq_ignore_ascii_case(HOST.as_str()) {
                self.problems.push(&path, format!("\"{name}\" may not be removed"));
            } else {
                removals.extend(self.header_name(&path, name));
            }
        }
        removals
    }

    /// A header's name, or a problem of `path`.
    pub(super) fn header_name(&mut self, path: &FieldPath<'_>, name: &str) -> Option<HeaderName> {
        let parsed = name.to_ascii_lowercase().parse().ok();
        if parsed.is_none() {
            self.problems.push(path, format!("\"{name}\" is not a header name"));
        }
        parsed
    }

    /// A header's value, or a problem of `path`.
    pub(super) fn header_value(&mut self, path: &FieldPath<'_>, text: &str) -> Option<HeaderValue> {
        let value = HeaderValue::from_str(text).or_else(|_| HeaderValue::from_bytes(text.as_bytes())).ok();
        if value.is_none() {
            self.problems.push(path, "a header value cannot have control characters");
        }
        value
    }

    /// A format string, or a problem of `path`.
    pub(super) fn format(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Format> {
        let format = Format::parse(text, &self.constants).map_err(|error| match error {
            FormatError::Refused(..) => self.problems.push_with_hint(
                path,
                error.to_string(),
                "docs/access-logs.md lists the operators that are there",
            ),
            error => self.problems.push(path, error.to_string()),
        });
        let format = format.ok()?;
        self.observes |= format.commands().into_iter().any(Command::reads_observed);
        self.observes_route |= format.commands().into_iter().any(Command::reads_route);
        Some(format)
    }
}
