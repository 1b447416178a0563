//! A line of the log: a pattern in Envoy's letters, or JSON with such patterns in it.

use std::{
    fmt::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::log::Format;
use crate::{loggers, snapshot::application_log::ApplicationLogFormat, stream_info::calendar::civil_date};

/// What an event says.
#[derive(Debug, Default)]
struct Said {
    message: String,
    /// Whatever else it has, such as the trace that it is about, in its order.
    members: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // Writing to a text does not fail.
            "message" => drop(write!(self.message, "{value:?}")),
            name => self.members.push((name, format!("{value:?}"))),
        }
    }
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (level, logger) = (*event.metadata().level(), loggers::name_of(event.metadata().target()));
        let mut line = Line { since_1970, level, logger, said: &said, out: String::with_capacity(200) };
        match &**self.load() {
            ApplicationLogFormat::Text(pattern) => {
                line.push_pattern(pattern)?;
                for (name, value) in &said.members {
                    write!(line.out, " {name}={value}")?;
                }
            }
            ApplicationLogFormat::Json(json) => line.push_json(json, true)?,
        }
        writeln!(out, "{}", line.out)
    }
}

struct Line<'a> {
    since_1970: Duration,
    level: tracing::Level,
    /// As `/logging` calls it.
    logger: &'static str,
    said: &'a Said,
    out: String,
}

impl Line<'_> {
    /// `%Y %m %d %T %e %l %n %v %j %_ %P %%`; what is not known stands as it is, so that a pattern made for Envoy still logs.
    fn push_pattern(&mut self, pattern: &str) -> fmt::Result {
        let (days, second) = (self.since_1970.as_secs() / 86_400, self.since_1970.as_secs() % 86_400);
        let (year, month, day) = civil_date(days);
        let out = &mut self.out;
        let mut letters = pattern.chars();
        while let Some(letter) = letters.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            match letters.next() {
                Some('Y') => write!(out, "{year:04}")?,
                Some('m') => write!(out, "{month:02}")?,
                Some('d') => write!(out, "{day:02}")?,
                Some('T') => {
                    write!(out, "{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)?;
                }
                Some('e') => write!(out, "{:03}", self.since_1970.subsec_millis())?,
                Some('l') => out.push_str(level_name(self.level)),
                Some('n') => out.push_str(self.logger),
                Some('v' | '_') => out.push_str(&self.said.message),
                Some('j') => push_inside_quotes(&self.said.message, out),
                Some('P') => write!(out, "{}", std::process::id())?,
                Some('%') => out.push('%'),
                Some(other) => write!(out, "%{other}")?,
                None => out.push('%'),
            }
        }
        Ok(())
    }

    /// A text of the configuration: its own letters are quoted as JSON has it, and so is what its pattern makes.
    fn push_text(&mut self, pattern: &str) -> fmt::Result {
        self.out.push('"');
        let mut quoted = String::with_capacity(pattern.len());
        push_inside_quotes(pattern, &mut quoted);
        self.push_pattern(&quoted)?;
        self.out.push('"');
        Ok(())
    }

    /// Below the outermost object `whole` is false: it alone has the rest of what is said.
    fn push_json(&mut self, json: &Value, whole: bool) -> fmt::Result {
        match json {
            Value::String(pattern) => self.push_text(pattern),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.out.push(',');
                    }
                    self.push_json(item, false)?;
                }
                self.out.push(']');
                Ok(())
            }
            Value::Object(members) => {
                self.out.push('{');
                let mut comma = "";
                for (name, value) in members {
                    self.out.push_str(comma);
                    comma = ",";
                    self.push_text(name)?;
                    self.out.push(':');
                    self.push_json(value, false)?;
                }
                let said = self.said;
                for (name, value) in said.members.iter().filter(|_| whole) {
                    self.out.push_str(comma);
                    comma = ",";
                    write!(self.out, "{}:{}", Value::from(*name), Value::from(value.as_str()))?;
                }
                self.out.push('}');
                Ok(())
            }
            other => write!(self.out, "{other}"),
        }
    }
}

fn push_inside_quotes(text: &str, out: &mut String) {
    let quoted = Value::from(text).to_string();
    out.push_str(quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default());
}

/// Envoy's names of levels.
fn level_name(level: tracing::Level) -> &'static str {
    match level {
        tracing::Level::ERROR => "error",
        tracing::Level::WARN => "warning",
        tracing::Level::INFO => "info",
        tracing::Level::DEBUG => "debug",
        tracing::Level::TRACE => "trace",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(format: &Value, message: &str) -> String {
        let members = vec![("trace_id", "4bf9".to_owned())];
        let said = Said { message: message.to_owned(), members };
        let since_1970 = Duration::from_millis(1_795_155_028_096);
        let level = tracing::Level::WARN;
        let mut line = Line { since_1970, level, logger: "router", said: &said, out: String::new() };
        line.push_json(format, true).unwrap();
        line.out
    }

    #[test]
    fn a_line_of_json_is_json_whatever_the_message_says() {
        let format = json!({
            "time": "%Y-%m-%dT%T.%e", "level": "%l", "in": {"100%% \"%n\"": ["%j", true, 5, null]}, "message": "say: %j"
        });
        let message = "he said \"no\\\"\n\u{7}%l";
        let read: Value = serde_json::from_str(&line(&format, message)).unwrap();
        let wanted = json!({
            "time": "2026-11-20T06:10:28.096", "level": "warning",
            "in": {"100% \"router\"": [message, true, 5, null]},
            "message": format!("say: {message}"), "trace_id": "4bf9"
        });
        assert_eq!(read, wanted);
    }
}
