//! Whether a request is traced: Envoy's order of questions, answered from the request id.

use http::HeaderMap;

use crate::{
    http_headers::{Present, X_CLIENT_TRACE_ID, X_ENVOY_FORCE_TRACE, X_REQUEST_ID},
    snapshot::{listener::RequestIdOptions, tracing::TracePolicy},
};

/// Why a request is traced, or that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TraceReason {
    /// It is not.
    NotTraceable,
    /// It was drawn.
    Sampling,
    /// A service asked for it (`x-envoy-force-trace`).
    ServiceForced,
    /// A client asked for it (`x-client-trace-id`).
    ClientForced,
}

impl TraceReason {
    /// The digit that stands for it in a request id.
    const fn digit(self) -> u8 {
        match self {
            Self::NotTraceable => b'4',
            Self::Sampling => b'9',
            Self::ServiceForced => b'a',
            Self::ClientForced => b'b',
        }
    }

    /// What the digit of a request id says.
    const fn from_digit(digit: u8) -> Self {
        match digit {
            b'9' => Self::Sampling,
            b'a' => Self::ServiceForced,
            b'b' => Self::ClientForced,
            _ => Self::NotTraceable,
        }
    }

    /// Whether it is traced.
    pub(crate) const fn traced(self) -> bool {
        !matches!(self, Self::NotTraceable)
    }
}

/// Where the version digit of a UUID stands, which Envoy uses to tell the reason to the next hop.
const REASON_AT: usize = 14;
/// The length of a UUID in text.
const UUID_LENGTH: usize = 36;

/// The reason that a request id carries.
pub(crate) fn packed_reason(id: &[u8]) -> TraceReason {
    match id.get(REASON_AT) {
        Some(digit) if id.len() == UUID_LENGTH => TraceReason::from_digit(*digit),
        _ => TraceReason::NotTraceable,
    }
}

/// Write `reason` into a request id, if that has the length of a UUID.
pub(crate) fn pack_reason(headers: &mut HeaderMap, reason: TraceReason) {
    let Some(value) = headers.get_mut(X_REQUEST_ID) else { return };
    if value.len() != UUID_LENGTH || value.as_bytes().get(REASON_AT) == Some(&reason.digit()) {
        return;
    }
    let mut text = [0; UUID_LENGTH];
    text.copy_from_slice(value.as_bytes());
    if let Some(digit) = text.get_mut(REASON_AT) {
        *digit = reason.digit();
    }
    if let Ok(changed) = http::HeaderValue::from_bytes(&text) {
        *value = changed;
    }
}

/// Decide, and write the reason into the request id. The request came with those `present`; `draw` gives a random
/// number.
pub(crate) fn decide(
    headers: &mut HeaderMap,
    present: Present,
    policy: &TracePolicy,
    options: &RequestIdOptions,
    draw: impl FnOnce() -> u64,
) -> TraceReason {
    if !options.use_for_sampling {
        return TraceReason::Sampling;
    }
    let Some(id) = headers.get(X_REQUEST_ID).map(http::HeaderValue::as_bytes) else {
        return TraceReason::NotTraceable;
    };
    let Some(number) = id.get(..8).and_then(hex) else {
        return TraceReason::NotTraceable;
    };
    let place = u64::from(number % 10_000);

    let mut reason = if options.pack_trace_reason { packed_reason(id) } else { TraceReason::NotTraceable };
    if !reason.traced() {
        if present.any(Present::X_CLIENT_TRACE_ID)
            && headers.contains_key(X_CLIENT_TRACE_ID)
            && policy.client.holds(draw())
        {
            reason = TraceReason::ClientForced;
        } else if present.any(Present::X_ENVOY) && headers.contains_key(X_ENVOY_FORCE_TRACE) {
            reason = TraceReason::ServiceForced;
        } else if policy.random.holds(place) {
            reason = TraceReason::Sampling;
        }
    }
    // An id that says nothing of its own keeps what it says.
    let mut said = reason.traced();
    if reason.traced() && !policy.overall.holds(place) {
        reason = TraceReason::NotTraceable;
        said = true;
    }
    if options.pack_trace_reason && said {
        pack_reason(headers, reason);
    }
    reason
}

/// The number that the digits stand for; Envoy's reader takes `0x` before them, too.
fn hex(digits: &[u8]) -> Option<u32> {
    let digits = digits.strip_prefix(b"0x").or_else(|| digits.strip_prefix(b"0X")).unwrap_or(digits);
    digits.iter().try_fold(0_u32, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::snapshot::route::Fraction;

    const R9: &str = "12345678-1234-9234-8234-123456789abc";
    const R4: &str = "12345678-1234-4234-8234-123456789abc";

    struct Case {
        id: Option<&'static str>,
        header: Option<HeaderName>,
        random: u32,
        overall: u32,
        client: u32,
        pack: bool,
        use_id: bool,
    }

    impl Default for Case {
        fn default() -> Self {
            Self {
                id: None,
                header: None,
                random: 10_000,
                overall: 10_000,
                client: 100,
                pack: true,
                use_id: true,
            }
        }
    }

    impl Case {
        /// Whether it is traced, and the id afterwards.
        fn run(self) -> (bool, Option<String>) {
            let mut headers = HeaderMap::new();
            if let Some(id) = self.id {
                headers.insert(X_REQUEST_ID, HeaderValue::from_static(id));
            }
            if let Some(name) = self.header {
                headers.insert(name, HeaderValue::from_static("1"));
            }
            let of = |denominator| move |numerator| Fraction { numerator, denominator };
            let policy = TracePolicy {
                client: of(100)(self.client),
                random: of(10_000)(self.random),
                overall: of(10_000)(self.overall),
                custom_tags: Vec::new(),
                operation: None,
                upstream_operation: None,
            };
            let options = RequestIdOptions {
                generate: true,
                preserve_external: false,
                always_set_in_response: false,
                pack_trace_reason: self.pack,
                use_for_sampling: self.use_id,
            };
            let present = Present::of(&headers);
            let reason = decide(&mut headers, present, &policy, &options, || 0);
            let id = headers.get(X_REQUEST_ID).map(|id| id.to_str().expect("text").to_owned());
            (reason.traced(), id)
        }
    }

    fn case() -> Case {
        Case::default()
    }

    #[test]
    fn a_packed_reason_is_trusted_whatever_the_draw() {
        assert_eq!(Case { id: Some(R9), random: 0, ..case() }.run(), (true, Some(R9.into())));
    }

    #[test]
    fn without_a_request_id_nothing_is_traced() {
        assert_eq!(case().run(), (false, None));
    }

    #[test]
    fn force_headers_are_written_into_the_id() {
        let forced = |header| Case { id: Some(R4), random: 0, header: Some(header), ..case() }.run();
        assert_eq!(forced(X_ENVOY_FORCE_TRACE), (true, Some(R4.replace("-4234", "-a234"))));
        assert_eq!(forced(X_CLIENT_TRACE_ID), (true, Some(R4.replace("-4234", "-b234"))));
    }

    #[test]
    fn client_sampling_of_zero_percent_forces_nothing() {
        let outcome =
            Case { id: Some(R4), random: 0, client: 0, header: Some(X_CLIENT_TRACE_ID), ..case() }.run();
        assert_eq!(outcome, (false, Some(R4.into())));
    }

    #[test]
    fn overall_sampling_limits_what_was_forced() {
        let outcome = Case { id: Some(R4), overall: 0, header: Some(X_CLIENT_TRACE_ID), ..case() }.run();
        assert_eq!(outcome, (false, Some(R4.into())));
    }

    #[test]
    fn the_draw_is_the_first_eight_digits_of_the_id_modulo_10000() {
        // 0x12345678 mod 10000 is 9896.
        assert_eq!(Case { id: Some(R4), random: 9896, ..case() }.run(), (false, Some(R4.into())));
        assert_eq!(Case { id: Some(R4), random: 9897, ..case() }.run(), (true, Some(R9.into())));
    }

    #[test]
    fn ids_that_are_not_uuids_stay_as_they_are() {
        assert_eq!(Case { id: Some("abc"), ..case() }.run(), (false, Some("abc".into())));
        assert_eq!(Case { id: Some("12345678"), ..case() }.run(), (true, Some("12345678".into())));
    }

    #[test]
    fn without_packing_the_id_is_neither_read_nor_written() {
        assert_eq!(Case { id: Some(R4), pack: false, ..case() }.run(), (true, Some(R4.into())));
    }

    #[test]
    fn without_the_id_for_sampling_all_is_traced() {
        assert_eq!(Case { overall: 0, use_id: false, ..case() }.run(), (true, None));
    }
}
