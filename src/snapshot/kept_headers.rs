//! The headers of a message, as it has them or as far as they were kept of it.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The headers of a message.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Headers<'a> {
    /// As they are.
    All(&'a HeaderMap),
    /// Those that were kept, in their order. They are so few that to look at each is cheaper than a hash.
    Kept(&'a [(HeaderName, HeaderValue)]),
}

impl<'a> Headers<'a> {
    /// The first value of a header.
    pub(crate) fn get(&self, name: &HeaderName) -> Option<&'a HeaderValue> {
        match self {
            Self::All(headers) => headers.get(name),
            Self::Kept(headers) => headers.iter().find(|(kept, _)| kept == name).map(|(_, value)| value),
        }
    }

    /// All values of a header, in their order.
    pub(crate) fn each(self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        let (all, kept) = match self {
            Self::All(headers) => (Some(headers.get_all(name)), None),
            Self::Kept(headers) => {
                (None, Some(headers.iter().filter(move |(kept, _)| kept == name).map(|(_, value)| value)))
            }
        };
        all.into_iter().flatten().chain(kept.into_iter().flatten())
    }

    /// How many lines of headers there are.
    pub(crate) fn len(self) -> usize {
        match self {
            Self::All(headers) => headers.len(),
            Self::Kept(headers) => headers.len(),
        }
    }

    /// As a map, for who needs one.
    pub(crate) fn to_map(self) -> Cow<'a, HeaderMap> {
        match self {
            Self::All(headers) => Cow::Borrowed(headers),
            Self::Kept(headers) => {
                let mut map = HeaderMap::with_capacity(headers.len());
                for (name, value) in headers {
                    map.append(name, value.clone());
                }
                Cow::Owned(map)
            }
        }
    }
}
