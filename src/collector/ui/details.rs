//! All that a span says, below its line.

use std::fmt::{self, Display, Formatter};

use super::html::{Elapsed, Excerpt, Moment};
use crate::collector::{
    attribute::{Attribute, Value},
    span::Span,
};

/// The opened part of a span's line.
pub(super) struct Details<'a>(pub(super) &'a Span);

impl Display for Details<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let span = self.0;
        f.write_str("<div class=\"more\">\n")?;
        write!(f, "{}", Table { title: "Attributes", attributes: &span.attributes })?;
        for event in &span.events {
            let after = Elapsed(event.time_unix_nano.saturating_sub(span.start_unix_nano));
            writeln!(f, "<h3>Event <bdi>{}</bdi> <small>after {after}</small></h3>", Excerpt(&event.name))?;
            write!(f, "{}", Table { title: "", attributes: &event.attributes })?;
        }
        self.span_table(f)?;
        write!(f, "{}", Table { title: "Resource", attributes: &span.resource.attributes })?;
        f.write_str("</div>\n")
    }
}

impl Details<'_> {
    fn span_table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let span = self.0;
        f.write_str("<h3>Span</h3>\n<table>\n")?;
        row(f, "span id", span.span_id)?;
        match span.parent_span_id {
            Some(parent) => row(f, "parent", parent)?,
            None => row(f, "parent", "none")?,
        }
        row(f, "start", Moment(span.start_unix_nano))?;
        row(f, "duration", Elapsed(span.duration_nano()))?;
        row(f, "status", format_args!("{} {}", span.status_code.name(), Excerpt(&span.status_message)))?;
        row(f, "scope", format_args!("{} {}", Excerpt(&span.scope.name), Excerpt(&span.scope.version)))?;
        row(f, "trace flags", format_args!("{:02x}", span.flags & 0xff))?;
        if !span.trace_state.is_empty() {
            row(f, "tracestate", Excerpt(&span.trace_state))?;
        }
        f.write_str("</table>\n")
    }
}

/// Attributes in their order. Nothing at all if there are none.
struct Table<'a> {
    /// Stands above; empty for none.
    title: &'a str,
    attributes: &'a [Attribute],
}

impl Display for Table<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.attributes.is_empty() {
            return Ok(());
        }
        if !self.title.is_empty() {
            writeln!(f, "<h3>{}</h3>", self.title)?;
        }
        f.write_str("<table>\n")?;
        for Attribute { key, value } in self.attributes {
            let key = Excerpt(key);
            match value {
                Value::Text(text) => row(f, key, Excerpt(text))?,
                // JSON writes every other value as people do; it cannot fail on what has no maps but ours.
                other => row(f, key, Excerpt(&serde_json::to_string(other).map_err(|_| fmt::Error)?))?,
            }
        }
        f.write_str("</table>\n")
    }
}

/// `key` and `value` are HTML already.
fn row(f: &mut Formatter<'_>, key: impl Display, value: impl Display) -> fmt::Result {
    writeln!(f, "<tr><th scope=\"row\"><bdi>{key}</bdi></th><td><bdi>{value}</bdi></td></tr>")
}
