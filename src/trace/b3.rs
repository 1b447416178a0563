//! B3 between hops, read and written as Envoy's Zipkin tracer does: the single `b3` header or the `x-b3-*` ones, and
//! W3C's `traceparent` beside them if asked for.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::propagation::{self, TRACEPARENT};
use crate::snapshot::tracing::{Conformance, NewTrace};

/// `b3`: all in one line.
pub(crate) const B3: HeaderName = HeaderName::from_static("b3");
/// `x-b3-traceid`: up to 16 hex digits, or 32.
pub(crate) const X_B3_TRACE_ID: HeaderName = HeaderName::from_static("x-b3-traceid");
/// `x-b3-spanid`: up to 16 hex digits.
pub(crate) const X_B3_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-spanid");
/// `x-b3-parentspanid`: up to 16 hex digits.
pub(crate) const X_B3_PARENT_SPAN_ID: HeaderName = HeaderName::from_static("x-b3-parentspanid");
/// `x-b3-sampled`: `1` or `0`.
pub(crate) const X_B3_SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");

/// What the previous hop said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Incoming {
    /// Which trace, and whether it is recorded.
    pub(crate) context: Context,
    /// It used the `b3` header, so the next hop gets that one, too. To be kept with the span: what routes do to
    /// headers in between does not change it.
    pub(crate) single: bool,
}

/// The trace that goes on, or what is known of a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// Nothing: a trace begins here.
    None,
    /// A trace begins here, and this is already decided (`b3: 0`, or only `x-b3-sampled`).
    Decision(bool),
    /// This trace goes on.
    Parent(Parent),
    /// Something unreadable: there is no span, and the headers travel on as they are.
    Invalid,
}

/// The span of the previous hop. Ids of zero are ids like others, as in Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    /// Its trace; of 128 bits if the upper half is not zero.
    pub(crate) trace_id: u128,
    /// Its id.
    pub(crate) span_id: u64,
    /// The id of the span before, if given and not zero.
    pub(crate) parent: Option<u64>,
    /// Whether it is recorded; `None` leaves the decision to this hop.
    pub(crate) sampled: Option<bool>,
}

/// The ids of a span of this hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ids {
    /// Its trace.
    pub(crate) trace_id: u128,
    /// Its own id.
    pub(crate) span_id: u64,
    /// The span above it.
    pub(crate) parent: Option<u64>,
}

impl Ids {
    /// The first span of a new trace; `seconds` since 1970. Its own id is the lower half of the trace's, except that
    /// 64 bits with a timestamp in them are no span id.
    pub(crate) fn root(options: NewTrace, seconds: u32) -> Self {
        let random = || fastrand::u64(1..);
        let stamped = || u64::from(seconds) << 32 | u64::from(fastrand::u32(..));
        let (trace_id, span_id) = match (options.wide, options.timestamp) {
            (false, false) => {
                let id = random();
                (u128::from(id), id)
            }
            (false, true) => (u128::from(stamped()), random()),
            (true, timestamp) => {
                let (high, low) = (if timestamp { stamped() } else { random() }, random());
                (u128::from(high) << 64 | u128::from(low), low)
            }
        };
        Self { trace_id, span_id, parent: None }
    }

    /// The span that goes on where `parent` is. `share` is for server spans with
    /// `ZipkinConfig.shared_span_context` (on by default): both sides of the hop have one span.
    pub(crate) fn continuing(parent: &Parent, share: bool) -> Self {
        if share {
            return Self { trace_id: parent.trace_id, span_id: parent.span_id, parent: parent.parent };
        }
        Self { trace_id: parent.trace_id, span_id: fastrand::u64(1..), parent: Some(parent.span_id) }
    }
}

/// Read what the previous hop said. `b3` is read first and hides the others; of repeated lines the first counts;
/// `x-b3-flags` says nothing. With `w3c` (`ZipkinConfig.trace_context_option: USE_B3_WITH_W3C_PROPAGATION`)
/// `traceparent` counts where B3 has no ids.
pub(crate) fn extract(headers: &HeaderMap, w3c: bool) -> Incoming {
    if let Some(value) = headers.get(B3) {
        return Incoming {
            context: parse_single(value.as_bytes()).unwrap_or(Context::Invalid),
            single: true,
        };
    }
    Incoming { context: extract_multi(headers, w3c), single: false }
}

fn extract_multi(headers: &HeaderMap, w3c: bool) -> Context {
    let said = headers.get(X_B3_SAMPLED).map(|value| matches!(value.as_bytes(), b"1" | b"true"));
    let fallback = if w3c { Conformance::Envoy.extract(headers) } else { propagation::Incoming::None };
    let fallback = if let propagation::Incoming::Parent(parent) = fallback { Some(parent) } else { None };
    if let (Some(trace), Some(span)) = (headers.get(X_B3_TRACE_ID), headers.get(X_B3_SPAN_ID)) {
        let sampled = said.or(fallback.map(|parent| parent.sampled));
        let parent = headers.get(X_B3_PARENT_SPAN_ID).map_or(b"" as &[u8], HeaderValue::as_bytes);
        return parse_multi(trace.as_bytes(), span.as_bytes(), parent, sampled)
            .map_or(Context::Invalid, Context::Parent);
    }
    match (fallback, said) {
        (Some(parent), said) => Context::Parent(Parent {
            trace_id: u128::from_be_bytes(parent.trace_id.to_bytes()),
            span_id: u64::from_be_bytes(parent.span_id.to_bytes()),
            parent: None,
            sampled: Some(parent.sampled || said == Some(true)),
        }),
        (None, Some(said)) => Context::Decision(said),
        (None, None) => Context::None,
    }
}

fn parse_multi(trace: &[u8], span: &[u8], parent: &[u8], sampled: Option<bool>) -> Option<Parent> {
    let trace_id = match trace.split_at_checked(16) {
        Some((high, low)) if low.len() == 16 => wide(high, low)?,
        _ => u128::from(number(trace)?),
    };
    let parent = if parent.is_empty() { 0 } else { number(parent)? };
    Some(Parent { trace_id, span_id: number(span)?, parent: (parent != 0).then_some(parent), sampled })
}

/// `0`, `1`, `d`, or `<16 or 32 digits>-<16 digits>[-<0, 1 or d>[-<16 digits>]]`.
fn parse_single(value: &[u8]) -> Option<Context> {
    if let [flag] = value {
        return sampled_flag(*flag).map(Context::Decision);
    }
    let is_wide = value.get(32) == Some(&b'-');
    let (trace, rest) = value.split_at_checked(if is_wide { 32 } else { 16 })?;
    let trace_id = match trace.split_at_checked(16) {
        Some((high, low)) if is_wide => wide(high, low)?,
        _ => u128::from(number(trace)?),
    };
    let (span, rest) = rest.strip_prefix(b"-")?.split_at_checked(16)?;
    let (sampled, parent) = match rest {
        [] => (None, 0),
        [b'-', flag] => (Some(sampled_flag(*flag)?), 0),
        [b'-', flag, b'-', parent @ ..] if parent.len() == 16 => {
            (Some(sampled_flag(*flag)?), number(parent)?)
        }
        _ => return None,
    };
    let parent = (parent != 0).then_some(parent);
    Some(Context::Parent(Parent { trace_id, span_id: number(span)?, parent, sampled }))
}

fn sampled_flag(flag: u8) -> Option<bool> {
    match flag {
        b'0' => Some(false),
        // `d` asks for debugging, which Envoy knows as sampled only.
        b'1' | b'd' => Some(true),
        _ => None,
    }
}

fn wide(high: &[u8], low: &[u8]) -> Option<u128> {
    Some(u128::from(number(high)?) << 64 | u128::from(number(low)?))
}

/// A hex number as C's strtoull reads it, which Envoy uses: blanks before it and `0x` are fine, signs are not.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).unwrap_or(text);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let value = char::from(*digit).to_digit(16)?;
        (sum >> 60 == 0).then_some(sum << 4 | u64::from(value))
    })
}

/// Take off what came, in either form.
pub(crate) fn remove(headers: &mut HeaderMap) {
    for name in [B3, X_B3_TRACE_ID, X_B3_SPAN_ID, X_B3_PARENT_SPAN_ID, X_B3_SAMPLED] {
        headers.remove(name);
    }
}

/// Tell the next hop, replacing what came: `b3` if `single`, else `x-b3-*`; then `traceparent` if `w3c`. What else came
/// of the other kind travels on, as in Envoy.
pub(crate) fn inject(headers: &mut HeaderMap, ids: &Ids, sampled: bool, single: bool, w3c: bool) {
    let mut text = Text::default();
    if single {
        text.trace_id(ids.trace_id);
        text.put(b"-");
        text.digits(ids.span_id);
        text.put(if sampled { b"-1" } else { b"-0" });
        if let Some(parent) = ids.parent {
            text.put(b"-");
            text.digits(parent);
        }
        headers.insert(B3, text.take());
    } else {
        text.trace_id(ids.trace_id);
        headers.insert(X_B3_TRACE_ID, text.take());
        text.digits(ids.span_id);
        headers.insert(X_B3_SPAN_ID, text.take());
        if let Some(parent) = ids.parent {
            text.digits(parent);
            headers.insert(X_B3_PARENT_SPAN_ID, text.take());
        }
        headers.insert(X_B3_SAMPLED, HeaderValue::from_static(if sampled { "1" } else { "0" }));
    }
    if w3c {
        text.put(b"00-");
        text.digits(high(ids.trace_id));
        text.digits(low(ids.trace_id));
        text.put(b"-");
        text.digits(ids.span_id);
        text.put(if sampled { b"-01" } else { b"-00" });
        headers.insert(TRACEPARENT, text.take());
    }
}

/// The upper 64 bits.
#[allow(clippy::cast_possible_truncation, reason = "half of 128 bits")]
const fn high(id: u128) -> u64 {
    (id >> 64) as u64
}

/// The lower 64 bits.
#[allow(clippy::cast_possible_truncation, reason = "half of 128 bits")]
const fn low(id: u128) -> u64 {
    id as u64
}

/// A header's value while it is written, on the stack; the longest `b3` has 68 bytes.
struct Text {
    bytes: [u8; 68],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; 68], length: 0 }
    }
}

impl Text {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(cells) = self.bytes.get_mut(self.length..end) {
            cells.copy_from_slice(bytes);
            self.length = end;
        }
    }

    /// 16 digits.
    fn digits(&mut self, id: u64) {
        for byte in id.to_be_bytes() {
            for nibble in [byte >> 4, byte & 15] {
                self.put(&[if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }]);
            }
        }
    }

    /// 16 digits, or 32 if they are needed.
    fn trace_id(&mut self, id: u128) {
        if high(id) != 0 {
            self.digits(high(id));
        }
        self.digits(low(id));
    }

    fn take(&mut self) -> HeaderValue {
        let text = self.bytes.get(..self.length).unwrap_or_default();
        // Digits and dashes are always a header's value.
        let value = HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        self.length = 0;
        value
    }
}

#[cfg(test)]
mod tests;
