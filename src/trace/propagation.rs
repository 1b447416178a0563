//! Trace context between hops: W3C `traceparent` and `tracestate`, read and written as Envoy does.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{SpanId, TraceId};

/// `traceparent`
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What the previous hop said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nothing: a trace begins here.
    None,
    /// This trace goes on.
    Parent(Parent),
    /// Something unreadable: as in Envoy the header travels on as it is, and there is no span.
    Invalid,
}

/// The span of the previous hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    /// Its trace.
    pub(crate) trace_id: TraceId,
    /// Its id.
    pub(crate) span_id: SpanId,
    /// Whether it is recorded.
    pub(crate) sampled: bool,
}

/// Read `traceparent`. Only the first line counts (W3C Trace Context, 3.2; accepted as Envoy accepts: any
/// version, hex in either case, only the lowest flag bit used).
pub(crate) fn extract(headers: &HeaderMap) -> Incoming {
    let Some(value) = headers.get(TRACEPARENT) else {
        return Incoming::None;
    };
    parse(value.as_bytes()).map_or(Incoming::Invalid, Incoming::Parent)
}

/// All `tracestate` lines, joined by `,`; empty if there is none.
pub(crate) fn trace_state(headers: &HeaderMap) -> HeaderValue {
    let mut values = headers.get_all(TRACESTATE).iter();
    match (values.next(), values.next()) {
        (None, _) => HeaderValue::from_static(""),
        (Some(only), None) => only.clone(),
        (Some(first), Some(second)) => {
            let parts =
                [first, second].into_iter().chain(values).map(HeaderValue::as_bytes).collect::<Vec<_>>();
            HeaderValue::from_bytes(&parts.join(&b',')).unwrap_or_else(|_| HeaderValue::from_static(""))
        }
    }
}

/// Write both headers for the next hop, replacing what came.
pub(crate) fn inject(
    headers: &mut HeaderMap,
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
    state: &HeaderValue,
) {
    headers.insert(TRACEPARENT, encode(trace_id, span_id, sampled));
    headers.insert(TRACESTATE, state.clone());
}

/// 55 bytes: version, 32 digits, 16 digits, flags.
const LENGTH: usize = 55;

fn parse(value: &[u8]) -> Option<Parent> {
    if value.len() != LENGTH {
        return None;
    }
    let mut fields = value.split(|byte| *byte == b'-');
    let (version, trace, span, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some()
        || version.len() != 2
        || flags.len() != 2
        || trace.len() != 32
        || span.len() != 16
    {
        return None;
    }
    hex(version)?;
    let (trace_id, span_id) = (hex(trace)?, u64::try_from(hex(span)?).ok()?);
    if trace_id == 0 || span_id == 0 {
        return None;
    }
    Some(Parent {
        trace_id: TraceId::from(trace_id),
        span_id: SpanId::from(span_id),
        sampled: hex(flags)? & 1 == 1,
    })
}

/// The number that up to 32 hex digits stand for.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(sum << 4 | u128::from(value))
    })
}

fn encode(trace_id: TraceId, span_id: SpanId, sampled: bool) -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; LENGTH];
    let mut cells = text.iter_mut();
    let mut put = |bytes: &[u8]| {
        for byte in bytes {
            for nibble in [byte >> 4, byte & 15] {
                if let (Some(cell), Some(digit)) = (cells.next(), DIGITS.get(usize::from(nibble))) {
                    *cell = *digit;
                }
            }
        }
        cells.next();
    };
    put(&[0]);
    put(&trace_id.to_bytes());
    put(&span_id.to_bytes());
    put(&[u8::from(sampled)]);
    // Digits and dashes are always a header value.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A new trace: 128 random bits, never all zero.
pub(crate) fn new_trace_id() -> TraceId {
    TraceId::from(fastrand::u128(1..))
}

/// A new span: 64 random bits, never all zero.
pub(crate) fn new_span_id() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn extracted(value: &str) -> Incoming {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(value).expect("a header value"));
        extract(&headers)
    }

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn what_envoy_accepts_is_accepted() {
        for (value, sampled) in [
            (VALID.to_owned(), true),
            (VALID.replace("-01", "-00"), false),
            (VALID.to_uppercase().replacen("00", "ff", 1), true),
        ] {
            let Incoming::Parent(parent) = extracted(&value) else { panic!("{value} was refused") };
            assert_eq!(parent.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
            assert_eq!(parent.span_id.to_string(), "b7ad6b7169203331");
            assert_eq!(parent.sampled, sampled);
        }
    }

    #[test]
    fn what_envoy_calls_invalid_is_invalid() {
        for value in [
            format!("{VALID}-x"),
            VALID.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            VALID.replace("b7ad6b7169203331", &"0".repeat(16)),
            VALID.replace('a', "g"),
            "00".into(),
            String::new(),
        ] {
            assert_eq!(extracted(&value), Incoming::Invalid, "{value}");
        }
        assert_eq!(extract(&HeaderMap::new()), Incoming::None);
    }

    #[test]
    fn trace_state_lines_are_joined_in_order() {
        let mut headers = HeaderMap::new();
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        assert_eq!(trace_state(&headers), "a=1,b=2");
    }

    proptest! {
        #[test]
        fn what_is_injected_is_extracted(trace in 1_u128.., span in 1_u64.., sampled: bool) {
            let mut headers = HeaderMap::new();
            let (trace_id, span_id) = (TraceId::from(trace), SpanId::from(span));
            inject(&mut headers, trace_id, span_id, sampled, &HeaderValue::from_static(""));
            prop_assert_eq!(extract(&headers), Incoming::Parent(Parent { trace_id, span_id, sampled }));
        }

        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&bytes);
        }
    }
}
