//! A request, as expressions read it.

use std::borrow::Cow;

use http::{HeaderValue, header::HOST};

use crate::snapshot::kept_headers::Headers;

/// A request, as far as expressions read it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestView<'a> {
    /// `request.method`
    pub(crate) method: &'a str,
    /// `request.path`, with its query.
    pub(crate) path: &'a str,
    /// `request.host`
    pub(crate) authority: &'a str,
    /// `request.scheme`
    pub(crate) scheme: &'a str,
    /// `request.headers`
    pub(crate) headers: Headers<'a>,
}

impl<'a> RequestView<'a> {
    /// `request.url_path`
    pub(crate) fn url_path(self) -> &'a str {
        self.path.split_once('?').map_or(self.path, |(path, _)| path)
    }

    /// `request.query`
    pub(crate) fn query(self) -> &'a str {
        self.path.split_once('?').map_or("", |(_, query)| query)
    }

    /// A header by its name in any case, pseudo-headers included; its lines joined by `,`.
    pub(crate) fn header(self, name: &str) -> Option<Cow<'a, str>> {
        for (known, value) in [
            (":path", self.path),
            (":method", self.method),
            (":scheme", self.scheme),
            (":authority", self.authority),
            ("host", self.authority),
        ] {
            if name.eq_ignore_ascii_case(known) {
                return Some(Cow::Borrowed(value));
            }
        }
        joined(self.headers, name)
    }

    /// How many headers there are, with the four pseudo-headers.
    pub(crate) fn header_count(self) -> usize {
        self.headers.len() - usize::from(self.headers.get(&HOST).is_some()) + 4
    }
}

/// The lines of a header, joined by `,`.
pub(crate) fn joined<'a>(headers: Headers<'a>, name: &str) -> Option<Cow<'a, str>> {
    let name = name.parse().ok()?;
    let mut lines = headers.each(&name).map(line);
    let first = lines.next()?;
    Some(lines.fold(first, |all, line| Cow::Owned(all.into_owned() + "," + &line)))
}

fn line(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}
