//! The path that routes, filters and hosts all see. Pure; off unless the connection manager asks for it.
//!
//! Order as in Envoy: escaped slashes, then dot segments and escapes (RFC 3986, 6.2.2), then slashes in a row.

use std::borrow::Cow;

use crate::snapshot::listener::{EscapedSlashes, Normalization};

/// What normalization makes of a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Normalized<'a> {
    /// Route this.
    Path(Cow<'a, str>),
    /// Send the client there.
    Redirect(String),
    /// 400.
    Reject,
}

/// Normalize a path with its query; the query is not touched.
pub(crate) fn normalize<'a>(options: &Normalization, path_and_query: &'a str) -> Normalized<'a> {
    if path_and_query.as_bytes().contains(&b'#') {
        return Normalized::Reject;
    }
    if options.escaped_slashes == EscapedSlashes::Keep && !options.normalize_path && !options.merge_slashes {
        return Normalized::Path(Cow::Borrowed(path_and_query));
    }
    let at = path_and_query.find('?').unwrap_or(path_and_query.len());
    let (path, query) = path_and_query.split_at_checked(at).unwrap_or((path_and_query, ""));
    let mut path = Cow::Borrowed(path);
    let mut redirect = false;
    if options.escaped_slashes != EscapedSlashes::Keep
        && let Some(unescaped) = unescape_slashes(&path)
    {
        match options.escaped_slashes {
            EscapedSlashes::Reject => return Normalized::Reject,
            EscapedSlashes::UnescapeAndRedirect => redirect = true,
            EscapedSlashes::Keep | EscapedSlashes::UnescapeAndForward => {}
        }
        path = Cow::Owned(unescaped);
    }
    if options.normalize_path {
        match canonical(&path) {
            Some(Cow::Owned(normal)) => path = Cow::Owned(normal),
            Some(Cow::Borrowed(_)) => {}
            None => return Normalized::Reject,
        }
    }
    if options.merge_slashes && path.contains("//") {
        path = Cow::Owned(merge_slashes(&path));
    }
    let whole = match path {
        Cow::Borrowed(_) => Cow::Borrowed(path_and_query),
        Cow::Owned(changed) => Cow::Owned(changed + query),
    };
    if redirect { Normalized::Redirect(whole.into_owned()) } else { Normalized::Path(whole) }
}

/// With `%2F` and `%5C` decoded; `None` if there are none.
fn unescape_slashes(path: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = path;
    let mut found = false;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let code = after.get(..2).unwrap_or_default();
        let slash = match code.to_ascii_lowercase().as_str() {
            "2f" => Some('/'),
            "5c" => Some('\\'),
            _ => None,
        };
        match slash {
            Some(slash) => {
                found = true;
                out.push(slash);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    found.then_some(out)
}

/// Dot segments resolved, backslashes turned, unreserved characters decoded, unsafe ones escaped. `None` if it
/// hides a NUL.
fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let plain = |byte: u8| {
        byte.is_ascii_graphic()
            && !matches!(byte, b'%' | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    };
    if path.bytes().all(plain) && !path.contains("/.") {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = String::with_capacity(path.len());
    let mut rest = path.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => decoded.push('/'),
            '%' => {
                let after = rest.as_str();
                let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                match code {
                    Some(0) => return None,
                    Some(byte) if is_unreserved(byte) => {
                        decoded.push(char::from(byte));
                        rest = after.get(2..).unwrap_or_default().chars();
                    }
                    _ => decoded.push('%'),
                }
            }
            '"' | '<' | '>' | '^' | '`' | '{' | '|' | '}' => {
                decoded.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            letter => decoded.push(letter),
        }
    }
    Some(Cow::Owned(resolve_dots(&decoded)))
}

/// RFC 3986, 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986, 5.2.4. A segment of dots with a parameter (`..;x`) counts as its dots, as in Envoy; so that what a
/// server may take for a dot segment never hides from a route.
fn resolve_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part.split(';').next() {
            Some(".") if part == "." || part.starts_with(".;") => {
                if last {
                    segments.push("");
                }
            }
            Some("..") => {
                segments.pop();
                if last {
                    segments.push("");
                }
            }
            _ => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}

/// A path of nothing but slashes stays, as in Envoy.
fn merge_slashes(path: &str) -> String {
    if path.bytes().all(|byte| byte == b'/') {
        return path.to_owned();
    }
    let mut merged = String::with_capacity(path.len());
    for letter in path.chars() {
        if letter != '/' || !merged.ends_with('/') {
            merged.push(letter);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::snapshot::listener::StripPort;

    fn options(normalize_path: bool, merge_slashes: bool, escaped_slashes: EscapedSlashes) -> Normalization {
        Normalization { normalize_path, merge_slashes, escaped_slashes, strip_port: StripPort::Keep }
    }

    fn path(options: &Normalization, path: &str) -> String {
        match normalize(options, path) {
            Normalized::Path(path) => path.into_owned(),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn paths_become_what_envoy_makes_of_them() {
        let options = options(true, false, EscapedSlashes::Keep);
        for (from, to) in [
            ("/../x", "/x"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/a/...", "/a/..."),
            ("/a/%2e%2E/b", "/b"),
            ("/%41%7e%2d", "/A~-"),
            ("/%2f%c3%a9%3f%25%zz", "/%2f%c3%a9%3f%25%zz"),
            ("/a\\b", "/a/b"),
            ("/\"<>^`{|}", "/%22%3C%3E%5E%60%7B%7C%7D"),
            ("/[]'+;~", "/[]'+;~"),
            ("/a/..;x/b", "/b"),
            ("/a///..//b", "/a///b"),
            ("/a?b=/../c", "/a?b=/../c"),
            ("/a/%2e%2e%2fb", "/a/..%2fb"),
        ] {
            assert_eq!(path(&options, from), to, "{from}");
        }
        assert_eq!(normalize(&options, "/%00"), Normalized::Reject);
    }

    #[test]
    fn nothing_is_changed_unless_asked_for_but_a_fragment_is_refused() {
        let options = options(false, false, EscapedSlashes::Keep);
        for unchanged in ["/a/../b", "/%2e%2e", "//", "/%2f", "/\\"] {
            assert_eq!(path(&options, unchanged), unchanged);
        }
        assert_eq!(normalize(&options, "/a#b"), Normalized::Reject);
    }

    #[test]
    fn slashes_are_merged_after_dot_segments() {
        let options = options(true, true, EscapedSlashes::Keep);
        assert_eq!(path(&options, "/a///..//b?x=//"), "/a/b?x=//");
        assert_eq!(path(&options, "//"), "//");
    }

    #[test]
    fn escaped_slashes_are_kept_refused_redirected_or_decoded() {
        let act = |action| normalize(&options(false, false, action), "/a%2Fb?x=%2f");
        assert_eq!(act(EscapedSlashes::Keep), Normalized::Path("/a%2Fb?x=%2f".into()));
        assert_eq!(act(EscapedSlashes::Reject), Normalized::Reject);
        assert_eq!(act(EscapedSlashes::UnescapeAndRedirect), Normalized::Redirect("/a/b?x=%2f".into()));
        assert_eq!(act(EscapedSlashes::UnescapeAndForward), Normalized::Path("/a/b?x=%2f".into()));
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing_more(from in "/[a.%2eEfF5c/;\\\\~]{0,16}") {
            let options = options(true, true, EscapedSlashes::UnescapeAndForward);
            if let Normalized::Path(once) = normalize(&options, &from) {
                // An escape may hide behind another one; a single pass decodes each character once.
                if !once.contains('%') {
                    prop_assert_eq!(path(&options, &once), once.as_ref());
                }
                prop_assert!(!once.split('/').any(|part| part == ".." || part == "."), "{}", once);
            }
        }

        #[test]
        fn no_path_makes_it_panic(from in "\\PC{0,24}") {
            let _ = normalize(&options(true, true, EscapedSlashes::UnescapeAndForward), &from);
        }
    }
}
