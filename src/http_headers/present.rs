//! Which headers a message has, of those that every stream asks about.

use http::HeaderMap;

/// A set of header names. Most messages have few of those that matter, and one look at the names that they do have is
/// cheaper than a search for each that they may have.
///
/// What is said of a message holds for the moment at which it was looked at. Who takes headers off may go on with the
/// same set, since to search for what is gone does no harm; who adds one that is asked for later may not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Present(u32);

macro_rules! names {
    ($($constant:ident = $bit:literal, $name:literal;)*) => {
        impl Present {
            $(
                #[doc = concat!("`", $name, "`")]
                pub(crate) const $constant: Self = Self(1 << $bit);
            )*
        }

        #[cfg(test)]
        const NAMES: &[(&str, Present)] = &[$(($name, Present::$constant),)*];
    };
}

names! {
    CONNECTION = 0, "connection";
    CONTENT_TYPE = 1, "content-type";
    DATE = 2, "date";
    EXPECT = 3, "expect";
    HTTP2_SETTINGS = 5, "http2-settings";
    KEEP_ALIVE = 6, "keep-alive";
    PROXY_CONNECTION = 7, "proxy-connection";
    REFERER = 8, "referer";
    TE = 9, "te";
    TRANSFER_ENCODING = 10, "transfer-encoding";
    UPGRADE = 11, "upgrade";
    X_FORWARDED_CLIENT_CERT = 12, "x-forwarded-client-cert";
    X_FORWARDED_FOR = 13, "x-forwarded-for";
    X_CLIENT_TRACE_ID = 4, "x-client-trace-id";
}

impl Present {
    /// Any `x-envoy-*`.
    pub(crate) const X_ENVOY: Self = Self(1 << 31);

    /// What speaks of a connection rather than of its messages (RFC 9110, 7.6.1).
    pub(crate) const HOP_BY_HOP: Self = Self(
        Self::CONNECTION.0
            | Self::EXPECT.0
            | Self::HTTP2_SETTINGS.0
            | Self::KEEP_ALIVE.0
            | Self::PROXY_CONNECTION.0
            | Self::TE.0
            | Self::TRANSFER_ENCODING.0
            | Self::UPGRADE.0,
    );

    /// What of it `headers` has.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |set, name| set | Self::of_name(name.as_str()).0))
    }

    /// Whether one of those `names` is there.
    pub(crate) const fn any(self, names: Self) -> bool {
        self.0 & names.0 != 0
    }

    /// Lengths tell most names apart.
    fn of_name(name: &str) -> Self {
        match (name.len(), name) {
            (2, "te") => Self::TE,
            (4, "date") => Self::DATE,
            (6, "expect") => Self::EXPECT,
            (7, "referer") => Self::REFERER,
            (7, "upgrade") => Self::UPGRADE,
            (10, "connection") => Self::CONNECTION,
            (10, "keep-alive") => Self::KEEP_ALIVE,
            (12, "content-type") => Self::CONTENT_TYPE,
            (14, "http2-settings") => Self::HTTP2_SETTINGS,
            (15, "x-forwarded-for") => Self::X_FORWARDED_FOR,
            (16, "proxy-connection") => Self::PROXY_CONNECTION,
            (17, "transfer-encoding") => Self::TRANSFER_ENCODING,
            (17, "x-client-trace-id") => Self::X_CLIENT_TRACE_ID,
            (23, "x-forwarded-client-cert") => Self::X_FORWARDED_CLIENT_CERT,
            _ if name.starts_with("x-envoy-") => Self::X_ENVOY,
            _ => Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn each_name_is_found_by_itself_and_together_with_all_others() {
        let value = HeaderValue::from_static("1");
        let mut all = HeaderMap::new();
        for (name, bit) in NAMES.iter().chain([&("x-envoy-anything", Present::X_ENVOY)]) {
            let name = HeaderName::from_static(name);
            let alone = HeaderMap::from_iter([(name.clone(), value.clone())]);
            assert_eq!(Present::of(&alone), *bit, "{name}");
            all.insert(name, value.clone());
        }
        let found = Present::of(&all);
        assert!(NAMES.iter().all(|(_, bit)| found.any(*bit)) && found.any(Present::X_ENVOY));
        assert_eq!(found.0.count_ones() as usize, NAMES.len() + 1, "no two names share a bit");
    }

    #[test]
    fn other_names_are_none_of_them() {
        let headers = ["host", "xx", "data", "x-envoy", "transfer-encodinx"].map(HeaderName::from_static);
        let headers = HeaderMap::from_iter(headers.map(|name| (name, HeaderValue::from_static("1"))));
        assert_eq!(Present::of(&headers), Present::default());
    }
}
