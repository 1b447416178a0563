//! Where the pages are mounted, and addresses of pages.

use std::fmt::{self, Display, Formatter};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a query: what no reader of one takes for anything else.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The path below which all pages are; written without a slash at its end, so that `{base}/map` is a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Base(String);

impl Base {
    /// Pages below `path`; empty for the root.
    pub(super) fn new(path: &str) -> Self {
        Self(path.trim_end_matches('/').to_owned())
    }

    /// The address of the search, which has no slash at its end unless it is the root.
    pub(super) fn home(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The address of the search for traces that have a span of `service`.
    pub(super) fn search_for(&self, service: &str) -> String {
        format!("{}?service={}", self.home(), encoded(service))
    }
}

impl Display for Base {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text as a value in a query, or as a segment of a path. Harmless in HTML, too.
pub(super) fn encoded(text: &str) -> impl Display + '_ {
    utf8_percent_encode(text, IN_QUERY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_slash_at_its_end() {
        assert_eq!(
            (Base::new("").home(), Base::new("/").home(), Base::new("/traces/").home()),
            ("/", "/", "/traces")
        );
        assert_eq!(format!("{}/map", Base::new("/traces")), "/traces/map");
    }

    #[test]
    fn a_text_does_not_leave_its_place_in_a_query() {
        assert_eq!(encoded("GET /a?b=1&c=\"é\"").to_string(), "GET%20%2Fa%3Fb%3D1%26c%3D%22%C3%A9%22");
    }
}
