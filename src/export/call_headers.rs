//! The headers of calls to a collector, which may be secrets.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::snapshot::delivery::{CallHeader, HeaderSource};

/// A shorter value is no secret, and taking it out of messages would make them unreadable.
const SHORTEST_SECRET: usize = 6;

/// What each call carries besides what its protocol asks for.
#[derive(Debug)]
pub(super) struct CallHeaders(Vec<(HeaderName, Value)>);

#[derive(Debug)]
enum Value {
    Fixed(HeaderValue),
    File(FileValue),
}

/// The text of a file, read again when the file has changed.
#[derive(Debug)]
struct FileValue {
    path: PathBuf,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Which file it is, when it was written and changed, and how long it is.
    stamp: Option<[i64; 6]>,
    /// That it cannot be read was said already.
    complained: bool,
    value: Option<HeaderValue>,
}

impl CallHeaders {
    /// All of `headers`.
    pub(super) fn new<'a>(headers: impl IntoIterator<Item = &'a CallHeader>) -> Self {
        let value = |source: &HeaderSource| match source {
            HeaderSource::Fixed(value) => Value::Fixed(sensitive(value.clone())),
            HeaderSource::File(path) => {
                Value::File(FileValue { path: path.clone(), known: Mutex::default() })
            }
        };
        Self(headers.into_iter().map(|header| (header.name.clone(), value(&header.value))).collect())
    }

    /// Put them into the headers of a call, in the place of those that have the same names.
    pub(super) fn apply(&self, to: &mut HeaderMap) {
        for (name, _) in &self.0 {
            to.remove(name);
        }
        for (name, value) in &self.0 {
            if let Some(value) = value.now() {
                to.append(name, value);
            }
        }
    }

    /// `text`, which somebody else wrote, without any of the values.
    pub(super) fn redact(&self, mut text: String) -> String {
        for (_, value) in &self.0 {
            let Some(value) = value.last() else { continue };
            let Ok(value) = value.to_str() else { continue };
            // Of "Bearer TOKEN" the token is the secret, and so is what "Basic" encodes: a name and a password.
            let encoded =
                value.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text.trim()).ok());
            let pair = encoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            let password = pair.split_once(':').map_or("", |(_, password)| password);
            for secret in [value, &pair, password].into_iter().chain(value.split_whitespace()) {
                if secret.len() >= SHORTEST_SECRET && text.contains(secret) {
                    text = text.replace(secret, "[redacted]");
                }
            }
        }
        text
    }
}

impl Value {
    fn now(&self) -> Option<HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::File(file) => file.now(),
        }
    }

    fn last(&self) -> Option<HeaderValue> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::File(file) => file.known.lock().unwrap_or_else(PoisonError::into_inner).value.clone(),
        }
    }
}

impl FileValue {
    /// What it says now; what it said, if it cannot be read.
    fn now(&self) -> Option<HeaderValue> {
        let known = &mut *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = fs::metadata(&self.path).map(|file| {
            let (inode, length) = (file.ino().cast_signed(), file.len().cast_signed());
            [inode, length, file.mtime(), file.mtime_nsec(), file.ctime(), file.ctime_nsec()]
        });
        let read = match stamp {
            Ok(stamp) if known.stamp == Some(stamp) => return known.value.clone(),
            Ok(stamp) => read(&self.path).map(|value| (stamp, value)),
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok((stamp, value)) => {
                *known = Known { stamp: Some(stamp), value: Some(value), complained: false }
            }
            Err(error) => known.complain(&self.path, &error),
        }
        known.value.clone()
    }
}

impl Known {
    /// Once, until it can be read again.
    fn complain(&mut self, path: &Path, error: &str) {
        let then =
            if self.value.is_some() { "what it said before goes on" } else { "the header is left out" };
        if !std::mem::replace(&mut self.complained, true) {
            tracing::warn!("header from {}: {error}; {then}", path.display());
        }
    }
}

/// The value that a file holds. The error says nothing of its text.
fn read(path: &Path) -> Result<HeaderValue, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    // As it is for a moment while it is written anew.
    if text.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let value = HeaderValue::from_str(text.trim()).map(sensitive);
    value.map_err(|_| "its text is no value of a header".to_owned())
}

/// A value that is not shown where headers are.
fn sensitive(mut value: HeaderValue) -> HeaderValue {
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn from_file(path: &Path) -> CallHeaders {
        let value = HeaderSource::File(path.to_owned());
        CallHeaders::new(&[CallHeader { name: HeaderName::from_static("authorization"), value }])
    }

    fn applied(headers: &CallHeaders) -> Option<String> {
        let mut map = HeaderMap::new();
        headers.apply(&mut map);
        map.get("authorization").map(|value| value.to_str().unwrap().to_owned())
    }

    fn write(path: &Path, text: &str, at: u64) {
        fs::write(path, text).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
    }

    #[test]
    fn a_value_from_a_file_is_read_again_when_the_file_changes_and_kept_when_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let headers = from_file(&path);
        assert_eq!(applied(&headers), None, "there is no file yet");
        write(&path, " Bearer one\n", 1);
        assert_eq!(applied(&headers).as_deref(), Some("Bearer one"));
        write(&path, "Bearer two", 2);
        assert_eq!(applied(&headers).as_deref(), Some("Bearer two"));
        write(&path, "no\u{7f}value", 3);
        assert_eq!(applied(&headers).as_deref(), Some("Bearer two"));
        fs::remove_file(&path).unwrap();
        assert_eq!(applied(&headers).as_deref(), Some("Bearer two"));
    }

    #[test]
    fn values_are_taken_out_of_what_others_write_and_never_shown() {
        let header = CallHeader {
            name: HeaderName::from_static("authorization"),
            value: HeaderSource::Fixed(HeaderValue::from_static("Bearer s3cr3t-t0ken")),
        };
        let headers = CallHeaders::new([&header]);
        let text = headers.redact("token s3cr3t-t0ken is not known (Bearer s3cr3t-t0ken)".to_owned());
        assert_eq!(text, "token [redacted] is not known ([redacted])");
        let basic = CallHeader {
            value: HeaderSource::Fixed(HeaderValue::from_static("Basic MTIzNDU2OmdsY19zZWNyZXQ=")),
            ..header.clone()
        };
        let text = CallHeaders::new([&basic]).redact("invalid token for 123456: glc_secret".to_owned());
        assert_eq!(text, "invalid token for 123456: [redacted]");
        let shown = format!("{headers:?} {header:?}");
        assert!(!shown.contains("s3cr3t"), "{shown}");
    }

    #[test]
    fn a_call_has_what_is_configured_in_the_place_of_what_is_usual() {
        let header = |value| CallHeader {
            name: HeaderName::from_static("user-agent"),
            value: HeaderSource::Fixed(HeaderValue::from_static(value)),
        };
        let headers = CallHeaders::new([&header("one"), &header("two")]);
        let mut map = HeaderMap::from_iter([(
            HeaderName::from_static("user-agent"),
            HeaderValue::from_static("usual"),
        )]);
        headers.apply(&mut map);
        assert_eq!(map.get_all("user-agent").iter().collect::<Vec<_>>(), ["one", "two"]);
    }
}
