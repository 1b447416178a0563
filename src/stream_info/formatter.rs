//! Evaluates format strings against a stream.

use std::{borrow::Cow, fmt::Write, net::SocketAddr};

use http::{HeaderMap, HeaderName};

use super::{StreamInfo, protocol_name};
use crate::snapshot::{
    Address,
    format::{Command, Format, FormatHeader, Piece},
    matcher::header_text,
};

/// What a format string can read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FormatContext<'a> {
    /// The stream.
    pub(crate) info: &'a StreamInfo,
    /// The request's headers.
    pub(crate) request: &'a HeaderMap,
    /// Its pseudo-headers.
    pub(crate) pseudo: PseudoHeaders<'a>,
    /// The response's headers, once there are some.
    pub(crate) response: Option<&'a HeaderMap>,
}

/// What HTTP/2 carries as pseudo-headers and HTTP/1 as request line and `host`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PseudoHeaders<'a> {
    /// `:method`
    pub(crate) method: &'a str,
    /// `:path`
    pub(crate) path: &'a str,
    /// `:authority`
    pub(crate) authority: &'a str,
    /// `:scheme`
    pub(crate) scheme: &'a str,
}

impl Format {
    /// Write the value; a command that has none writes `absent`.
    pub(crate) fn write(&self, context: &FormatContext<'_>, absent: &str, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                Piece::Command(command, limit) => {
                    let value = command.value(context).unwrap_or(Cow::Borrowed(absent));
                    out.push_str(limit.map_or(&value, |limit| truncate(&value, limit)));
                }
            }
        }
    }
}

impl Format {
    /// The value of a format that is one command, and whether it is a number; `None` if it has none on this stream.
    pub(crate) fn only_value<'a>(&'a self, context: &FormatContext<'a>) -> Option<(Cow<'a, str>, bool)> {
        let [Piece::Command(command, limit)] = self.pieces.as_slice() else { return None };
        let value = command.value(context)?;
        Some(match limit {
            // What is left of a number is a text.
            Some(limit) => (truncate(&value, *limit).to_owned().into(), false),
            None => (value, command.is_number()),
        })
    }
}

impl Command {
    /// Its value on this stream; `None` if it has none there.
    fn value<'a>(&'a self, context: &FormatContext<'a>) -> Option<Cow<'a, str>> {
        let info = context.info;
        let ip = |address: Option<SocketAddr>| address.map(|address| Cow::Owned(address.ip().to_string()));
        let whole = |address: Option<SocketAddr>| address.map(|address| Cow::Owned(address.to_string()));
        match self {
            Self::RequestHeader(first, second) => request_header(context, first)
                .or_else(|| second.as_ref().and_then(|second| request_header(context, second))),
            Self::ResponseHeader(first, second) => response_header(context, first)
                .or_else(|| second.as_ref().and_then(|second| response_header(context, second))),
            Self::Protocol => Some(protocol_name(info.protocol).into()),
            Self::StartTime => Some(iso_8601(info.start_time).into()),
            Self::DownstreamRemoteAddress => whole(info.remote.get()),
            Self::DownstreamRemoteAddressWithoutPort => ip(info.remote.get()),
            Self::DownstreamRemotePort => info.remote.get().map(|address| address.port().to_string().into()),
            Self::DownstreamDirectRemoteAddress => whole(info.connection.peer),
            Self::DownstreamDirectRemoteAddressWithoutPort => ip(info.connection.peer),
            Self::DownstreamLocalAddress => Some(info.connection.local.to_string().into()),
            Self::DownstreamLocalAddressWithoutPort => match &info.connection.local {
                Address::Socket(address) => Some(address.ip().to_string().into()),
                Address::Pipe(path) => Some(path.display().to_string().into()),
            },
            Self::DownstreamLocalPort => {
                info.connection.local.socket().map(|address| address.port().to_string().into())
            }
            Self::UpstreamHost => info.upstream_host.borrow().as_ref().map(|host| host.to_string().into()),
            Self::UpstreamCluster => {
                info.cluster.borrow().as_ref().map(|cluster| cluster.observability_name.to_string().into())
            }
            Self::UpstreamClusterRaw => {
                info.cluster.borrow().as_ref().map(|cluster| cluster.name.to_string().into())
            }
            Self::UpstreamRequestAttemptCount => Some(info.attempts.get().to_string().into()),
            Self::SpanId => info.span.borrow().as_ref().map(|span| span.span_id.to_string().into()),
            Self::ResponseCode => Some(info.status.get().to_string().into()),
            Self::ResponseFlags => Some(info.flags.get().text()),
            Self::ResponseCodeDetails => {
                Some(info.details.get()).filter(|text| !text.is_empty()).map(Cow::Borrowed)
            }
            Self::RouteName => {
                Some(info.route_name.borrow().to_string()).filter(|name| !name.is_empty()).map(Cow::Owned)
            }
            Self::TraceId => info.span.borrow().as_ref().map(|span| span.trace_id.to_string().into()),
            Self::StreamId => {
                context.request.get(HeaderName::from_static("x-request-id")).map(|id| header_text(id).into())
            }
            Self::BytesReceived => Some(info.bytes_received.get().to_string().into()),
            Self::BytesSent => Some(info.bytes_sent.get().to_string().into()),
            Self::Duration => Some(info.duration().as_millis().to_string().into()),
            Self::ConnectionId => Some(info.connection.id.to_string().into()),
        }
    }
}

/// The value of a request header, if there is one.
pub(crate) fn request_header<'a>(context: &FormatContext<'a>, header: &FormatHeader) -> Option<Cow<'a, str>> {
    let text = match header {
        FormatHeader::Path => context.pseudo.path,
        FormatHeader::Method => context.pseudo.method,
        FormatHeader::Authority => context.pseudo.authority,
        FormatHeader::Scheme => context.pseudo.scheme,
        FormatHeader::Name(name) => {
            return context.request.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        }
    };
    Some(text.into())
}

fn response_header<'a>(context: &FormatContext<'a>, name: &HeaderName) -> Option<Cow<'a, str>> {
    context.response?.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()))
}

/// The first `limit` bytes, or fewer so as not to cut a character.
fn truncate(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    (0..=limit).rev().find_map(|at| text.get(..at)).unwrap_or_default()
}

/// `2026-11-20T08:09:36.123Z`
pub(crate) fn iso_8601(time: std::time::SystemTime) -> String {
    let since = time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil_date(days);
    let mut text = String::with_capacity(24);
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    );
    text
}

/// Year, month and day of the `days`-th day after 1970-01-01, in the Gregorian calendar.
pub(crate) fn civil_date(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day comes last (the common algorithm of calendars).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar_over_leap_years() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(11_016), (2000, 2, 29));
        assert_eq!(civil_date(11_017), (2000, 3, 1));
        assert_eq!(
            iso_8601(UNIX_EPOCH + Duration::from_millis(1_795_155_028_096)),
            "2026-11-20T06:10:28.096Z"
        );
    }

    #[test]
    fn truncation_never_cuts_a_character() {
        assert_eq!(truncate("añb", 2), "a");
        assert_eq!(truncate("abc", 8), "abc");
    }
}
