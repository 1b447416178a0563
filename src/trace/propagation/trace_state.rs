//! `tracestate`: a list of members, one per tracing system, each opaque to all others (W3C Trace Context 3.3).

use http::{HeaderMap, HeaderValue};

use super::TRACESTATE;

/// Most members of a list (W3C, `list`).
const MOST_MEMBERS: usize = 32;
/// Longest list that is sent on (W3C, tracestate limits: no less).
const LONGEST_LIST: usize = 512;
/// Members longer than this go first when a list is too long (W3C, tracestate limits).
const LONG_MEMBER: usize = 128;

/// The list as it came, lines joined by `,`, nothing checked; empty if there is none.
pub(super) fn join(headers: &HeaderMap) -> HeaderValue {
    let mut lines = headers.get_all(TRACESTATE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => HeaderValue::from_static(""),
        (Some(only), None) => only.clone(),
        (Some(first), Some(second)) => {
            let parts =
                [first, second].into_iter().chain(lines).map(HeaderValue::as_bytes).collect::<Vec<_>>();
            value(&parts)
        }
    }
}

/// The list as it may be sent on: empty if it is malformed, shortened if it is too long. Members keep their
/// order and are never changed; a single line that needs nothing is taken as it is, without copying.
pub(super) fn read(headers: &HeaderMap) -> HeaderValue {
    let lines = headers.get_all(TRACESTATE);
    let mut others = lines.iter();
    let Some(first) = others.next() else { return HeaderValue::from_static("") };
    let Some(members) = Members::parse(lines.iter()) else { return HeaderValue::from_static("") };
    let ready = others.next().is_none()
        && !members.gaps
        && first.len() <= LONGEST_LIST
        && trim(first.as_bytes()).len() == first.len();
    if ready { first.clone() } else { value(&members.shortened()) }
}

/// Without spaces and tabs around it: what HTTP calls OWS.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

fn value(parts: &[&[u8]]) -> HeaderValue {
    // Parts of header values, joined by commas, are one.
    HeaderValue::from_bytes(&parts.join(&b',')).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The members of a well-formed list.
struct Members<'a> {
    texts: [&'a [u8]; MOST_MEMBERS],
    count: usize,
    /// There are empty members, which are allowed but not sent on.
    gaps: bool,
}

impl<'a> Members<'a> {
    /// `None` if the list is malformed: a member that is none, too many of them, or two of one key.
    fn parse(lines: impl Iterator<Item = &'a HeaderValue>) -> Option<Self> {
        let mut members = Self { texts: [&[]; MOST_MEMBERS], count: 0, gaps: false };
        let mut keys: [&[u8]; MOST_MEMBERS] = [&[]; MOST_MEMBERS];
        for member in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
            let member = trim(member);
            if member.is_empty() {
                members.gaps = true;
                continue;
            }
            let (key, value) = member.split_at_checked(member.iter().position(|byte| *byte == b'=')?)?;
            if !is_key(key) || !is_value(value.get(1..)?) || keys.get(..members.count)?.contains(&key) {
                return None;
            }
            *members.texts.get_mut(members.count)? = member;
            *keys.get_mut(members.count)? = key;
            members.count += 1;
        }
        Some(members)
    }

    /// As many members as fit, in order: if need be without the long ones, the rightmost first, then without
    /// the rightmost of the others.
    fn shortened(&self) -> Vec<&'a [u8]> {
        let mut kept = self.texts.get(..self.count).unwrap_or_default().to_vec();
        // Each member is followed by a comma, but the last.
        let too_long =
            |kept: &[&[u8]]| kept.iter().map(|text| text.len() + 1).sum::<usize>() > LONGEST_LIST + 1;
        while too_long(&kept)
            && let Some(at) = kept.iter().rposition(|text| text.len() > LONG_MEMBER)
        {
            kept.remove(at);
        }
        while too_long(&kept) {
            kept.pop();
        }
        kept
    }
}

/// W3C level 1, key: up to 256 characters, or a tenant of up to 241 and a system of up to 14. Level 2 is
/// looser about `@`, but the validation suite of both is not; a leading digit is level 2's.
fn is_key(key: &[u8]) -> bool {
    match key.iter().position(|byte| *byte == b'@').and_then(|at| key.split_at_checked(at)) {
        None => key.len() <= 256 && is_identifier(key),
        Some((tenant, system)) => {
            let system = system.get(1..).unwrap_or_default();
            tenant.len() <= 241
                && is_identifier(tenant)
                && system.len() <= 14
                && system.first().is_some_and(u8::is_ascii_lowercase)
                && is_identifier(system)
        }
    }
}

fn is_identifier(text: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.first().is_some_and(plain)
        && text.iter().all(|byte| plain(byte) || matches!(byte, b'_' | b'-' | b'*' | b'/'))
}

/// W3C, value: 1 to 256 printable characters but `,` and `=`; blanks at its end are not part of it.
fn is_value(value: &[u8]) -> bool {
    matches!(value.len(), 1..=256) && value.iter().all(|byte| matches!(byte, b' '..=b'~') && *byte != b'=')
}
