//! The request that a span tells of, as a command for a shell.

use std::fmt::{self, Display, Formatter};

use crate::collector::span::Span;

/// `curl` with the method and the address of a span's request. Not HTML yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Curl<'a> {
    method: &'a str,
    url: &'a str,
}

/// A longer address is not one that somebody pastes.
const LONGEST_URL: usize = 4_096;

impl<'a> Curl<'a> {
    /// The command for `span`, if it has the address of a request.
    pub(super) fn of(span: &'a Span) -> Option<Self> {
        let first = |keys: [&str; 2]| keys.into_iter().find_map(|key| span.text_attribute(key));
        let url = first(["url.full", "http.url"])?;
        // What is no address of the web could be an option or a file.
        let is_web = url.starts_with("http://") || url.starts_with("https://");
        let is_clean = url.len() <= LONGEST_URL && !url.contains(char::is_control);
        let method = first(["http.request.method", "http.method"]).unwrap_or("GET");
        let is_method = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_alphabetic());
        (is_web && is_clean).then_some(Self { method: if is_method { method } else { "GET" }, url })
    }
}

impl Display for Curl<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("curl ")?;
        match self.method {
            "GET" => {}
            // With -X HEAD, curl waits for a body that never comes.
            "HEAD" => f.write_str("--head ")?,
            method => write!(f, "-X {method} ")?,
        }
        // Within single quotes a shell takes everything as it is but the quote itself.
        write!(f, "'{}'", self.url.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::{
        attribute::{Attribute, Value},
        span::tests::span,
    };

    fn command(attributes: &[(&str, &str)]) -> Option<String> {
        let attribute = |(key, value): &(&str, &str)| Attribute {
            key: (*key).into(),
            value: Value::Text((*value).into()),
        };
        let span = Span { attributes: attributes.iter().map(attribute).collect(), ..span(1, 1, 0) };
        Curl::of(&span).map(|curl| curl.to_string())
    }

    #[test]
    fn old_and_new_names_of_attributes_are_read() {
        let url = "http://localhost:10000/trace/2";
        assert_eq!(command(&[("http.url", url)]).unwrap(), format!("curl '{url}'"));
        assert_eq!(
            command(&[("http.request.method", "POST"), ("url.full", url)]).unwrap(),
            format!("curl -X POST '{url}'")
        );
        assert_eq!(
            command(&[("http.method", "HEAD"), ("http.url", url)]).unwrap(),
            format!("curl --head '{url}'")
        );
        assert_eq!(command(&[("http.method", "GET")]), None);
    }

    #[test]
    fn nothing_in_a_span_gets_a_shell_to_do_anything_else() {
        let evil = [("http.url", "http://a/';rm -rf /;'"), ("http.method", "GET; rm")];
        assert_eq!(command(&evil).unwrap(), r"curl 'http://a/'\'';rm -rf /;'\'''");
        for no_address in ["--output=/etc/passwd", "file:///etc/passwd", "http://a/\nrm"] {
            assert_eq!(command(&[("http.url", no_address)]), None);
        }
    }
}
