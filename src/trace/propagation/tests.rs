//! What both readings hold, whatever comes.

mod validation;

use proptest::prelude::*;
use regex::bytes::Regex;

use super::*;

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    lines
        .iter()
        .map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a header name");
            (name, HeaderValue::from_str(value).expect("a header value"))
        })
        .fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
}

fn extracted(conformance: Conformance, traceparent: &str) -> Incoming {
    conformance.extract(&headers(&[("traceparent", traceparent)]))
}

fn state_of(lines: &[&str]) -> String {
    let mut all = vec![("traceparent", VALID)];
    all.extend(lines.iter().map(|line| ("tracestate", *line)));
    let Incoming::Parent(parent) = Conformance::W3c.extract(&headers(&all)) else { panic!("no parent") };
    parent.state.to_str().expect("text").to_owned()
}

#[test]
fn what_envoy_accepts_is_accepted() {
    for (value, sampled) in [
        (VALID.to_owned(), true),
        (VALID.replace("-01", "-00"), false),
        (VALID.to_uppercase().replacen("00", "ff", 1), true),
    ] {
        let Incoming::Parent(parent) = extracted(Conformance::Envoy, &value) else {
            panic!("{value} was refused")
        };
        assert_eq!(parent.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id.to_string(), "b7ad6b7169203331");
        assert_eq!((parent.sampled, parent.random), (sampled, false));
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
        assert_eq!(extracted(Conformance::Envoy, &value), Incoming::Invalid, "{value}");
    }
    assert_eq!(Conformance::Envoy.extract(&HeaderMap::new()), Incoming::None);
}

#[test]
fn envoy_joins_trace_state_lines_and_looks_into_none() {
    let came = headers(&[("traceparent", VALID), ("tracestate", "a=1"), ("tracestate", "=,,B")]);
    let Incoming::Parent(parent) = Conformance::Envoy.extract(&came) else { panic!("no parent") };
    assert_eq!(parent.state, "a=1,=,,B");
}

#[test]
fn envoy_counts_the_first_traceparent_only() {
    let came = headers(&[("traceparent", VALID), ("traceparent", "zz")]);
    assert!(matches!(Conformance::Envoy.extract(&came), Incoming::Parent(_)));
}

#[test]
fn envoy_sends_an_empty_trace_state_and_never_the_random_flag() {
    let mut out = headers(&[("tracestate", "a=1"), ("tracestate", "b=2")]);
    let (state, trace_id) = (HeaderValue::from_static(""), TraceId::from(1));
    let outgoing =
        Outgoing { trace_id, span_id: SpanId::from(2), sampled: false, random: true, state: &state };
    Conformance::Envoy.inject(&mut out, &outgoing);
    let expected =
        [("traceparent", "00-00000000000000000000000000000001-0000000000000002-00"), ("tracestate", "")];
    assert_eq!(out, headers(&expected));
}

#[test]
fn a_list_too_long_loses_its_long_members_first_then_its_rightmost() {
    let member = |key: &str, length: usize| format!("{key}={}", "v".repeat(length - key.len() - 1));
    let list = |members: &[&str]| members.join(",");
    let (a, b, c) = (member("a", 100), member("b", 130), member("c", 129));
    let (d, e, f) = (member("d", 128), member("e", 128), member("f", 20));
    // 512 characters are not too many.
    let (x, full) = (member("x", 128), member("y", 125));
    let exact = list(&[&d, &e, &x, &full]);
    assert_eq!(exact.len(), 512);
    assert_eq!(state_of(&[&exact]), exact);
    // The rightmost long one is enough.
    assert_eq!(
        state_of(&[&list(&[&a, &b, &c, &d, &f, &member("g", 60)])]),
        list(&[&a, &b, &d, &f, &member("g", 60)])
    );
    // None is long: the last goes.
    let last = member("z", 126);
    assert_eq!(state_of(&[&list(&[&d, &e, &x, &last])]), list(&[&d, &e, &x]));
    // Long ones go even from the left of short ones.
    assert_eq!(state_of(&[&list(&[&b, &d, &e, &x, &f])]), list(&[&d, &e, &x, &f]));
}

#[test]
fn one_line_that_needs_nothing_is_not_copied() {
    let came = headers(&[("traceparent", VALID), ("tracestate", "a=1, b=2\t,c@d=  3")]);
    let Incoming::Parent(parent) = Conformance::W3c.extract(&came) else { panic!("no parent") };
    let line = came.get(TRACESTATE).expect("it is there");
    assert_eq!(line.as_bytes().as_ptr(), parent.state.as_bytes().as_ptr());
}

/// Written from the recommendation's grammar, apart from the code under test.
fn is_traceparent(value: &[u8]) -> bool {
    let shape = r"(?-u)^[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?[ \t]*$";
    let Some(found) = Regex::new(shape).expect("a regex").captures(value) else { return false };
    &found[1] != b"ff"
        && (&found[1] != b"00" || found.get(3 + 1).is_none())
        && found[2].iter().any(|digit| *digit != b'0')
        && found[3].iter().any(|digit| *digit != b'0')
}

/// As [`is_traceparent`]; the grammar of what may be sent on.
fn is_trace_state(value: &str) -> bool {
    let member = regex::Regex::new(concat!(
        r"^[ \t]*([0-9a-z][-_*/0-9a-z]{0,255}|[0-9a-z][-_*/0-9a-z]{0,240}@[a-z][-_*/0-9a-z]{0,13})",
        r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e][ \t]*$"
    ))
    .expect("a regex");
    let keys = value.split(',').map(|text| member.captures(text).map(|found| found[1].to_owned()));
    let Some(keys) = keys.collect::<Option<Vec<_>>>() else { return value.is_empty() };
    let distinct = keys.iter().collect::<std::collections::HashSet<_>>().len();
    distinct == keys.len() && keys.len() <= 32 && value.len() <= 512
}

/// Nearly valid values, so that both sides of each rule are met.
fn near_traceparent() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ \t]?(00|01|cc|ff|0A|0)-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-|-x|\\.|)[ \t]?",
        "00-(0{32}|[0-9a-fA-F]{31,33})-(0{16}|[0-9a-fg]{15,17})-[0-9a-f]{1,3}",
        "[-0-9a-f]{50,60}",
    ]
}

fn near_trace_state() -> impl Strategy<Value = Vec<String>> {
    let member = prop_oneof![
        8 => "[ \t]?[a-z0-9][a-z0-9_*/-]{0,8}(@[a-z][a-z0-9]{0,4})?=[ -+.-<>-~]{0,6}[!-+][ \t]?",
        1 => "[ \t]?",
        1 => "[a-z]{1,3}=[a-z]{0,300}",
        1 => "[a-z]{230,260}(@[a-z]{1,16})?=1",
        1 => "[ -~]{0,12}",
    ];
    let line = proptest::collection::vec(member, 0..20).prop_map(|members| members.join(","));
    proptest::collection::vec(line, 0..4)
}

proptest! {
    #[test]
    fn what_is_injected_is_extracted(
        trace in 1_u128..,
        span in 1_u64..,
        sampled: bool,
        random: bool,
        state in "([a-z]{8}=[!-+]{1,9})?",
    ) {
        let (trace_id, span_id) = (TraceId::from(trace), SpanId::from(span));
        let state = HeaderValue::from_str(&state).expect("a header value");
        for conformance in [Conformance::W3c, Conformance::Envoy] {
            let mut headers = headers(&[("traceparent", "x"), ("traceparent", "y"), ("tracestate", "z")]);
            let outgoing = Outgoing { trace_id, span_id, sampled, random, state: &state };
            conformance.inject(&mut headers, &outgoing);
            let random = random && conformance == Conformance::W3c;
            let parent = Parent { trace_id, span_id, sampled, random, state: state.clone() };
            prop_assert_eq!(conformance.extract(&headers), Incoming::Parent(parent));
        }
    }

    #[test]
    fn no_bytes_make_the_readers_panic(
        parent in proptest::collection::vec(any::<u8>(), 0..64),
        state in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = (parse_w3c(&parent), parse_envoy(&parent));
        if let Ok(state) = HeaderValue::from_bytes(&state) {
            let mut headers = headers(&[("traceparent", VALID)]);
            headers.insert(TRACESTATE, state);
            for conformance in [Conformance::W3c, Conformance::Envoy] {
                prop_assert!(matches!(conformance.extract(&headers), Incoming::Parent(_)));
            }
        }
    }

    #[test]
    fn the_grammar_of_the_recommendation_is_what_is_accepted(value in near_traceparent()) {
        let parent = extracted(Conformance::W3c, &value);
        prop_assert_eq!(parent != Incoming::None, is_traceparent(value.as_bytes()));
    }

    #[test]
    fn what_is_sent_on_is_well_formed_and_was_there_in_this_order(lines in near_trace_state()) {
        let lines = lines.iter().map(String::as_str).collect::<Vec<_>>();
        let sent = state_of(&lines);
        prop_assert!(is_trace_state(&sent), "{:?}", sent);
        let trimmed = |member: &str| member.trim_matches([' ', '\t']).to_owned();
        let came = lines.join(",");
        let mut came = came.split(',').map(trimmed).filter(|member| !member.is_empty());
        for member in sent.split(',').map(trimmed).filter(|member| !member.is_empty()) {
            prop_assert!(came.any(|other| other == member), "{}", member);
        }
    }

    #[test]
    fn a_well_formed_line_travels_on_unchanged(lines in near_trace_state()) {
        for line in lines {
            if is_trace_state(&line) && line.trim_matches([' ', '\t']) == line {
                prop_assert_eq!(state_of(&[&line]), line);
            }
        }
    }
}
