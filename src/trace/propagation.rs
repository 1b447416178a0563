//! Trace context between hops: W3C `traceparent` and `tracestate`.
//!
//! Two readings of the same headers: the W3C recommendation's (Trace Context level 1 with the random flag of
//! level 2), and Envoy's, which reads more loosely and restarts nothing.

mod trace_state;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{SpanId, TraceId};

use crate::snapshot::tracing::Conformance;

/// `traceparent`
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// `tracestate`
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What the previous hop said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// Nothing that counts: a trace begins here, and what came is replaced.
    None,
    /// This trace goes on.
    Parent(Parent),
    /// Something unreadable, in Envoy's reading only: the headers travel on as they are, and there is no span.
    Invalid,
}

/// The span of the previous hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parent {
    /// Its trace.
    pub(crate) trace_id: TraceId,
    /// Its id.
    pub(crate) span_id: SpanId,
    /// Whether it may have been recorded (W3C, sampled flag: the lowest bit).
    pub(crate) sampled: bool,
    /// Whether its trace id is random (W3C level 2, random trace id flag: the second bit). Never in Envoy's reading.
    pub(crate) random: bool,
    /// `tracestate`, lines joined, fit to be sent on; empty if none came or, in the W3C reading, if it was
    /// malformed.
    pub(crate) state: HeaderValue,
}

/// What the next hop is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    /// The trace.
    pub(crate) trace_id: TraceId,
    /// The span that sends the request.
    pub(crate) span_id: SpanId,
    /// Whether it is recorded.
    pub(crate) sampled: bool,
    /// Whether the trace id is said to be random: the parent's word. A trace that begins here does not say it, as
    /// level 2 allows, so that hops of level 1 see flags that they know. Not sent in Envoy's writing.
    pub(crate) random: bool,
    /// The parent's [`Parent::state`]; empty for a trace that begins here.
    pub(crate) state: &'a HeaderValue,
}

impl Conformance {
    /// Read what the previous hop said.
    ///
    /// In the W3C reading a `traceparent` that is malformed or repeated counts as none (W3C, processing
    /// model: restart the trace), and a malformed `tracestate` is dropped whole while the trace goes on. In Envoy's, only the
    /// first `traceparent` line counts, in any version and hex in either case, and `tracestate` is not looked
    /// into.
    pub(crate) fn extract(self, headers: &HeaderMap) -> Incoming {
        let mut lines = headers.get_all(TRACEPARENT).iter();
        let Some(line) = lines.next() else {
            return Incoming::None;
        };
        match self {
            Self::W3c if lines.next().is_some() => Incoming::None,
            Self::W3c => match parse_w3c(line.as_bytes()) {
                Some(parent) => parent.with(trace_state::read(headers)),
                None => Incoming::None,
            },
            Self::Envoy => match parse_envoy(line.as_bytes()) {
                Some(parent) => parent.with(trace_state::join(headers)),
                None => Incoming::Invalid,
            },
        }
    }

    /// Write both headers for the next hop, replacing all that came. An empty `tracestate` is left out, but in
    /// Envoy's writing it is sent.
    pub(crate) fn inject(self, headers: &mut HeaderMap, outgoing: &Outgoing<'_>) {
        let random = outgoing.random && self == Self::W3c;
        let flags = (u8::from(random) << 1) | u8::from(outgoing.sampled);
        headers.insert(TRACEPARENT, encode(outgoing.trace_id, outgoing.span_id, flags));
        if outgoing.state.is_empty() && self == Self::W3c {
            headers.remove(TRACESTATE);
        } else {
            headers.insert(TRACESTATE, outgoing.state.clone());
        }
    }
}

/// What a `traceparent` holds.
struct TraceParent {
    trace_id: u128,
    span_id: u64,
    flags: u8,
}

impl TraceParent {
    fn with(self, state: HeaderValue) -> Incoming {
        Incoming::Parent(Parent {
            trace_id: TraceId::from(self.trace_id),
            span_id: SpanId::from(self.span_id),
            sampled: self.flags & 1 != 0,
            random: self.flags & 2 != 0,
            state,
        })
    }
}

/// 55 bytes: version, 32 digits, 16 digits, flags.
const LENGTH: usize = 55;

/// W3C 3.2 and, for versions to come, its rules of versioning: what follows the flags of such a one is theirs, behind a dash.
fn parse_w3c(value: &[u8]) -> Option<TraceParent> {
    // HTTP/1 has trimmed its values, HTTP/2 has not.
    let value = trace_state::trim(value);
    let (known, rest) = value.split_at_checked(LENGTH)?;
    if known.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let (version, parent) = fields(known)?;
    let extent = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    extent.then_some(parent)
}

/// 55 bytes exactly, any version, only the sampled flag.
fn parse_envoy(value: &[u8]) -> Option<TraceParent> {
    let (_, parent) = fields(value)?;
    Some(TraceParent { flags: parent.flags & 1, ..parent })
}

/// The version and the rest of a `traceparent` of exactly four fields of their right lengths.
fn fields(value: &[u8]) -> Option<(u8, TraceParent)> {
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
    let (trace_id, span_id) = (hex(trace)?, u64::try_from(hex(span)?).ok()?);
    if trace_id == 0 || span_id == 0 {
        return None;
    }
    let byte = |digits| u8::try_from(hex(digits)?).ok();
    Some((byte(version)?, TraceParent { trace_id, span_id, flags: byte(flags)? }))
}

/// The number that up to 32 hex digits stand for.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0_u128, |sum, digit| {
        let value = char::from(*digit).to_digit(16)?;
        Some(sum << 4 | u128::from(value))
    })
}

/// The two digits of each byte.
const HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        #[expect(clippy::indexing_slicing, reason = "while this is compiled")]
        {
            pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        }
        byte += 1;
    }
    pairs
};

fn encode(trace_id: TraceId, span_id: SpanId, flags: u8) -> HeaderValue {
    let mut text = [b'-'; LENGTH];
    let mut rest = text.as_mut_slice();
    for bytes in [&[0][..], &trace_id.to_bytes(), &span_id.to_bytes(), &[flags]] {
        let Some((digits, after)) = std::mem::take(&mut rest).split_at_mut_checked(2 * bytes.len()) else {
            break;
        };
        let (pairs, _) = digits.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(bytes) {
            *pair = HEX.get(usize::from(*byte)).copied().unwrap_or_default();
        }
        // Past the dash.
        rest = after.get_mut(1..).unwrap_or_default();
    }
    // Digits and dashes are always a header value.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A new trace: 128 random bits, never all zero. Random enough for W3C's random flag.
pub(crate) fn new_trace_id() -> TraceId {
    TraceId::from(fastrand::u128(1..))
}

/// A new span: 64 random bits, never all zero.
pub(crate) fn new_span_id() -> SpanId {
    SpanId::from(fastrand::u64(1..))
}

#[cfg(test)]
mod tests;
