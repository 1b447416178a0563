//! Substitution format strings (`%PROTOCOL%`, `%REQ(X-A?X-B):8%`), parsed once while configuration is lowered.
//!
//! Reference: Envoy, "Access logging", command operators. Evaluation is in `stream_info::formatter`.

use std::sync::Arc;

use http::HeaderName;

/// A parsed format string.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Format {
    /// Literals and commands in order.
    pub(crate) pieces: Vec<Piece>,
}

/// One part of a [`Format`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    /// Text that stands for itself.
    Literal(Arc<str>),
    /// A command operator, and the most bytes of its value that are used.
    Command(Command, Option<usize>),
}

/// A command operator.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// `%REQ(X?Y)%`: a request header, or the other one where the first is absent.
    RequestHeader(FormatHeader, Option<FormatHeader>),
    /// `%RESP(X?Y)%`: a response header.
    ResponseHeader(HeaderName, Option<HeaderName>),
    /// `%PROTOCOL%`: `HTTP/1.1` and so on.
    Protocol,
    /// `%START_TIME%`: when the request came in, ISO 8601 with milliseconds.
    StartTime,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`: the trusted client's address and port.
    DownstreamRemoteAddress,
    /// `%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%`
    DownstreamRemoteAddressWithoutPort,
    /// `%DOWNSTREAM_REMOTE_PORT%`
    DownstreamRemotePort,
    /// `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%`: the peer of the connection.
    DownstreamDirectRemoteAddress,
    /// `%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%`
    DownstreamDirectRemoteAddressWithoutPort,
    /// `%DOWNSTREAM_LOCAL_ADDRESS%`
    DownstreamLocalAddress,
    /// `%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%`
    DownstreamLocalAddressWithoutPort,
    /// `%DOWNSTREAM_LOCAL_PORT%`
    DownstreamLocalPort,
    /// `%UPSTREAM_HOST%`: address and port of the host that was chosen.
    UpstreamHost,
    /// `%UPSTREAM_CLUSTER%`: its cluster's name in statistics.
    UpstreamCluster,
    /// `%UPSTREAM_CLUSTER_RAW%`: its cluster's name.
    UpstreamClusterRaw,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`: how often the request was sent.
    UpstreamRequestAttemptCount,
    /// `%RESPONSE_CODE%`
    ResponseCode,
    /// `%RESPONSE_FLAGS%`
    ResponseFlags,
    /// `%RESPONSE_CODE_DETAILS%`
    ResponseCodeDetails,
    /// `%ROUTE_NAME%`
    RouteName,
    /// `%TRACE_ID%`
    TraceId,
    /// `%SPAN_ID%`
    SpanId,
    /// `%STREAM_ID%`: the request id.
    StreamId,
    /// `%BYTES_RECEIVED%`: of the request's body.
    BytesReceived,
    /// `%BYTES_SENT%`: of the response's body.
    BytesSent,
    /// `%DURATION%`: milliseconds since the request came in.
    Duration,
    /// `%CONNECTION_ID%`
    ConnectionId,
}

impl Command {
    /// Whether its value is a number, which JSON writes without quotes.
    pub(crate) fn is_number(&self) -> bool {
        matches!(
            self,
            Self::ResponseCode
                | Self::BytesReceived
                | Self::BytesSent
                | Self::Duration
                | Self::DownstreamLocalPort
                | Self::DownstreamRemotePort
                | Self::ConnectionId
                | Self::UpstreamRequestAttemptCount
        )
    }
}

/// A request header as a format string names it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FormatHeader {
    /// `:path`
    Path,
    /// `:method`
    Method,
    /// `:authority`
    Authority,
    /// `:scheme`
    Scheme,
    /// Any other.
    Name(HeaderName),
}

impl FormatHeader {
    /// Read a name; the four pseudo-headers have one, too.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            ":path" => Self::Path,
            ":method" => Self::Method,
            ":authority" | "host" => Self::Authority,
            ":scheme" => Self::Scheme,
            name => Self::Name(name.parse().ok()?),
        })
    }
}

/// Why a format string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormatError {
    /// A `%` opens a command that no `%` closes.
    #[error("a command opened by '%' at byte {0} is not closed; write '%%' for a percent sign")]
    Unterminated(usize),
    /// No such command, or none that spanway has.
    #[error("spanway has no format command '%{0}%'")]
    Unknown(String),
    /// A command is written wrongly.
    #[error("'%{command}%': {reason}")]
    Malformed {
        /// What stands between the percent signs.
        command: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

impl Format {
    /// Parse `text`; `%HOSTNAME%` and `%ENVIRONMENT(X)%` become literals, since they do not change.
    pub(crate) fn parse(text: &str) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            literal.push_str(before);
            let start = text.len() - after.len() - 1;
            let Some((inside, behind)) = split_command(after) else {
                return Err(FormatError::Unterminated(start));
            };
            rest = behind;
            if inside.is_empty() {
                literal.push('%');
            } else if let Some(constant) = constant_command(inside) {
                literal.push_str(&constant);
            } else {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(parse_command(inside)?);
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self { pieces })
    }

    /// The text, if it holds no command.
    pub(crate) fn as_literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

/// Split `after` (what follows an opening `%`) at the closing one; a `%` inside parentheses does not close.
fn split_command(after: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, letter) in after.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '%' if depth == 0 => return Some((after.get(..at)?, after.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// Commands whose value is known at once.
fn constant_command(inside: &str) -> Option<String> {
    if inside == "HOSTNAME" {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "-".into());
        return Some(name.trim().to_owned());
    }
    let variable = inside.strip_prefix("ENVIRONMENT(")?.strip_suffix(')')?;
    Some(std::env::var(variable).unwrap_or_else(|_| "-".into()))
}

fn parse_command(inside: &str) -> Result<Piece, FormatError> {
    let malformed = |reason| FormatError::Malformed { command: inside.to_owned(), reason };
    // NAME, NAME(ARGUMENTS), NAME(ARGUMENTS):LENGTH
    let (head, limit) = match inside.rsplit_once(':') {
        Some((head, digits)) if head.ends_with(')') || !head.contains('(') => {
            let limit = digits.parse().map_err(|_| malformed("the length after ':' is not a number"))?;
            (head, Some(limit))
        }
        _ => (inside, None),
    };
    let (name, arguments) = match head.split_once('(') {
        Some((name, rest)) => {
            (name, Some(rest.strip_suffix(')').ok_or_else(|| malformed("the parenthesis is not closed"))?))
        }
        None => (head, None),
    };
    let command = match (name, arguments) {
        ("REQ" | "REQUEST_HEADER", Some(arguments)) => {
            let (first, second) = alternatives(arguments);
            let read = |text| FormatHeader::parse(text).ok_or_else(|| malformed("not a header name"));
            Command::RequestHeader(read(first)?, second.map(read).transpose()?)
        }
        ("RESP" | "RESPONSE_HEADER", Some(arguments)) => {
            let (first, second) = alternatives(arguments);
            let read = |text: &str| text.parse::<HeaderName>().map_err(|_| malformed("not a header name"));
            Command::ResponseHeader(read(first)?, second.map(read).transpose()?)
        }
        ("PROTOCOL", None) => Command::Protocol,
        ("START_TIME", None) => Command::StartTime,
        ("DOWNSTREAM_REMOTE_ADDRESS", None) => Command::DownstreamRemoteAddress,
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", None) => Command::DownstreamRemoteAddressWithoutPort,
        ("DOWNSTREAM_REMOTE_PORT", None) => Command::DownstreamRemotePort,
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", None) => Command::DownstreamDirectRemoteAddress,
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", None) => {
            Command::DownstreamDirectRemoteAddressWithoutPort
        }
        ("DOWNSTREAM_LOCAL_ADDRESS" | "DOWNSTREAM_DIRECT_LOCAL_ADDRESS", None) => {
            Command::DownstreamLocalAddress
        }
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", None) => Command::DownstreamLocalAddressWithoutPort,
        ("DOWNSTREAM_LOCAL_PORT", None) => Command::DownstreamLocalPort,
        ("UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS", None) => Command::UpstreamHost,
        ("UPSTREAM_CLUSTER", None) => Command::UpstreamCluster,
        ("UPSTREAM_CLUSTER_RAW", None) => Command::UpstreamClusterRaw,
        ("UPSTREAM_REQUEST_ATTEMPT_COUNT", None) => Command::UpstreamRequestAttemptCount,
        ("SPAN_ID", None) => Command::SpanId,
        ("RESPONSE_CODE", None) => Command::ResponseCode,
        ("RESPONSE_FLAGS", None) => Command::ResponseFlags,
        ("RESPONSE_CODE_DETAILS", None) => Command::ResponseCodeDetails,
        ("ROUTE_NAME", None) => Command::RouteName,
        ("TRACE_ID", None) => Command::TraceId,
        ("STREAM_ID", None) => Command::StreamId,
        ("BYTES_RECEIVED", None) => Command::BytesReceived,
        ("BYTES_SENT", None) => Command::BytesSent,
        ("DURATION", None) => Command::Duration,
        ("CONNECTION_ID", None) => Command::ConnectionId,
        ("REQ" | "RESP", None) => return Err(malformed("the header's name in parentheses is missing")),
        _ => return Err(FormatError::Unknown(inside.to_owned())),
    };
    if limit.is_some() && !matches!(command, Command::RequestHeader(..) | Command::ResponseHeader(..)) {
        return Err(malformed("it takes no length"));
    }
    Ok(Piece::Command(command, limit))
}

/// `X?Y` as both names.
fn alternatives(arguments: &str) -> (&str, Option<&str>) {
    match arguments.split_once('?') {
        Some((first, second)) => (first, Some(second)),
        None => (arguments, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn literals_commands_and_doubled_percent_signs_are_told_apart() {
        let format = Format::parse("a%%b%PROTOCOL%-%REQ(X-A?:path):3%").expect("parses");
        assert_eq!(
            format.pieces,
            vec![
                Piece::Literal("a%b".into()),
                Piece::Command(Command::Protocol, None),
                Piece::Literal("-".into()),
                Piece::Command(
                    Command::RequestHeader(
                        FormatHeader::Name(HeaderName::from_static("x-a")),
                        Some(FormatHeader::Path)
                    ),
                    Some(3)
                ),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(Format::parse("x%PROTOCOL"), Err(FormatError::Unterminated(1)));
        assert_eq!(Format::parse("%NOPE%"), Err(FormatError::Unknown("NOPE".into())));
        assert!(matches!(Format::parse("%REQ(a b)%"), Err(FormatError::Malformed { .. })));
        assert!(matches!(Format::parse("%REQ(a):x%"), Err(FormatError::Malformed { .. })));
        assert!(matches!(Format::parse("%RESPONSE_CODE:3%"), Err(FormatError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[%A-Z():?a-z0-9 é-]{0,24}") {
            let _ = Format::parse(&text);
        }

        #[test]
        fn text_without_percent_signs_stands_for_itself(text in "[^%]{0,24}") {
            let format = Format::parse(&text).expect("parses");
            prop_assert_eq!(format.as_literal(), Some(text.as_str()));
        }
    }
}
