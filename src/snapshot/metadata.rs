//! What the configuration notes of routes, clusters and hosts. `config.core.v3.Metadata`.

use std::sync::Arc;

use serde_json::Value;

/// Notes by the filter they are for; `None` where there are none.
pub(crate) type Metadata = Option<Arc<Value>>;

/// Where a note stands. `type.metadata.v3.MetadataKey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataKey {
    /// Whose notes. `key`
    pub(crate) filter: String,
    /// Which of them. `path`
    pub(crate) path: Vec<PathSegment>,
}

/// A step into a note. `MetadataKey.PathSegment`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathSegment {
    /// A member of an object.
    Key(String),
    /// An item of a list.
    Index(usize),
}

impl MetadataKey {
    /// The note, if there is one.
    pub(crate) fn find<'m>(&self, metadata: &'m Value) -> Option<&'m Value> {
        let whole = metadata.get(&self.filter)?;
        self.path.iter().try_fold(whole, |value, segment| match segment {
            PathSegment::Key(key) => value.get(key),
            PathSegment::Index(index) => value.get(index),
        })
    }

    /// The note as text: a list or an object as JSON. `None` if it is absent or null.
    pub(crate) fn text(&self, metadata: &Value) -> Option<String> {
        let note = self.find(metadata)?;
        match note {
            Value::Null => None,
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => number.as_f64().map(number_text),
            Value::String(text) => Some(text.clone()),
            Value::Array(_) | Value::Object(_) => Some(note.to_string()),
        }
    }
}

/// A number with at most six digits that count, as C writes it by `%g` and so does Envoy.
pub(super) fn number_text(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    // Rounded to six digits first, since that may move the exponent.
    let scientific = format!("{number:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        return trim(&format!("{number:.decimals$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim(digits), exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(path: &[&str], metadata: &Value) -> Option<String> {
        let path = path.iter().map(|key| match key.parse() {
            Ok(index) => PathSegment::Index(index),
            Err(_) => PathSegment::Key((*key).to_owned()),
        });
        MetadataKey { filter: "f".into(), path: path.collect() }.text(metadata)
    }

    #[test]
    fn a_note_is_found_by_its_path_and_written_by_its_kind() {
        let metadata = json!({"f": {"t": "text", "b": true, "n": null, "o": {"a": [1, "x"]}}});
        assert_eq!(text(&["t"], &metadata).as_deref(), Some("text"));
        assert_eq!(text(&["b"], &metadata).as_deref(), Some("true"));
        assert_eq!(text(&["o", "a", "1"], &metadata).as_deref(), Some("x"));
        assert_eq!(text(&["o"], &metadata).as_deref(), Some(r#"{"a":[1,"x"]}"#));
        assert_eq!(text(&["n"], &metadata), None);
        assert_eq!(text(&["missing"], &metadata), None);
        assert_eq!(text(&["t"], &json!({})), None);
    }

    #[test]
    fn numbers_have_six_digits_that_count() {
        for (number, expected) in [
            (0.0, "0"),
            (7.0, "7"),
            (-1.5, "-1.5"),
            (123_456.0, "123456"),
            (1_234_567.0, "1.23457e+06"),
            (999_999.7, "1e+06"),
            (0.0001, "0.0001"),
            (0.000_012_3, "1.23e-05"),
        ] {
            assert_eq!(number_text(number), expected);
        }
    }
}
