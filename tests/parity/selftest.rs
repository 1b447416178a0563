//! The suite is sound: it sees what it is there to see, and nothing else.

use std::collections::HashMap;

use crate::{
    compare::{Verdict, compare},
    hpack::{self, Decoder},
    message::Fields,
    normalize::Normalizer,
    observation::Line,
    scenario::{At, Differs},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const UUID: &str = "6d4f1b6c-31a8-9d0e-8c7b-1f2e3d4c5b6a";

/// Run all; what fails says so.
pub(crate) fn run() {
    differences_are_seen();
    intended_differences_must_be_there();
    names_follow_identity();
    literals_stay();
    places_have_names();
    headers_are_decoded();
}

/// RFC 7541, C.4.1 and C.4.2, and what is encoded here.
fn headers_are_decoded() {
    let mut decoder = Decoder::new();
    let first = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    let expected =
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
    assert_eq!(decoder.decode(first), Some(owned(&expected)));
    let second = b"\x82\x86\x84\xbe\x58\x86\xa8\xeb\x10\x64\x9c\xbf";
    let cached = decoder.decode(second).unwrap_or_default();
    assert_eq!(cached[3..], owned(&[expected[3], ("cache-control", "no-cache")]));
    let long = "v".repeat(40_000);
    let fields = [("x-a", "1"), ("X Bad\n", &long)];
    assert_eq!(Decoder::new().decode(&hpack::encode(fields)).unwrap_or_default()[0], owned(&fields)[0]);
}

fn owned(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn lines(pairs: &[(&str, &str)]) -> Vec<Line> {
    pairs.iter().map(|(path, value)| Line::new(*path, *value)).collect()
}

fn one() -> Vec<Line> {
    lines(&[
        ("responses.0.headers.x-a", "1"),
        ("responses.0.headers.x-b", "2"),
        ("spans.0.kind", "SERVER"),
        ("spans.0.trace", "<trace 1>"),
    ])
}

fn differences_are_seen() {
    assert_eq!(compare(&one(), &one(), &[]), Verdict::Equal);
    for (at, line) in [
        (2, Some(Line::new("spans.0.kind", "CLIENT"))),
        (3, Some(Line::new("spans.0.trace", "<trace 2>"))),
        (0, Some(Line::new("responses.0.headers.X-A", "1"))),
        (1, None),
    ] {
        let mut other = one();
        match line {
            Some(line) => other[at] = line,
            None => drop(other.remove(at)),
        }
        assert!(matches!(compare(&one(), &other, &[]), Verdict::Failed(_)), "not seen: {other:?}");
    }
    let mut swapped = one();
    swapped.swap(0, 1);
    assert!(matches!(compare(&one(), &swapped, &[]), Verdict::Failed(_)), "order is not seen");
}

fn intended_differences_must_be_there() {
    let differs = |at: &str| [Differs { at: At::One(at.to_owned()), reason: String::new() }];
    let mut other = one();
    other.remove(1);
    for at in ["responses.0.headers.x-b", "responses.*.headers", "responses"] {
        assert_eq!(compare(&one(), &other, &differs(at)), Verdict::OnPurpose, "{at}");
    }
    for at in ["responses.0.headers.x-a", "responses.0.headers.x", "spans", "nowhere"] {
        assert!(matches!(compare(&one(), &other, &differs(at)), Verdict::Failed(_)), "{at}");
    }
    assert!(matches!(compare(&one(), &one(), &differs("responses")), Verdict::Failed(_)));
}

fn normalizer(literal: &str) -> Normalizer {
    let ports = HashMap::from([(31234, "<port up>".to_owned())]);
    Normalizer::new(literal, ports, vec![("up-7".to_owned(), "up".to_owned())])
}

fn names_follow_identity() {
    let mut names = normalizer("");
    let mut value = |value: &str| names.value("a", value);
    assert_eq!(value(&format!("00-{TRACE}-{SPAN}-01")), "00-<trace 1>-<span 1>-01");
    assert_eq!(value(TRACE), "<trace 1>");
    assert_eq!(value(SPAN), "<span 1>");
    assert_eq!(value(&TRACE.replace('0', "1")), "<trace 2>");
    assert_eq!(value(&SPAN.replace('b', "c")), "<span 2>");
    assert_eq!(value(&TRACE[16..]), "<trace 1 low>");
    assert_eq!(value(&"0".repeat(16)), "0".repeat(16));
    assert_eq!(value(UUID), "<uuid 1:9>");
    assert_eq!(value(&UUID.replace("-9", "-4")), "<uuid 1:4>");
    assert_eq!(value(&UUID.replace('6', "7")), "<uuid 2:9>");
}

fn literals_stay() {
    let said = format!("traceparent: 00-{TRACE}-{SPAN}-01\nx-request-id: {UUID}\n");
    let mut names = normalizer(&said);
    for line in said.lines() {
        assert_eq!(names.value("a", line), line);
    }
    let changed = UUID.replace("-9", "-4");
    assert_eq!(names.value("a", &changed), changed);
}

fn places_have_names() {
    let mut names = normalizer("h: 127.0.0.1:99");
    for (path, value, named) in [
        ("a", "127.0.0.1:31234", "127.0.0.1:<port up>"),
        ("a", "h:31234", "h:<port up>"),
        ("a", "127.0.0.1:45678", "127.0.0.1:<port>"),
        ("a", "127.0.0.1:99", "127.0.0.1:99"),
        ("a", "10.0.0.3:0", "10.0.0.3:0"),
        ("a", "up-7 up-71", "up up-71"),
        ("a", "Fri, 20 Nov 2026 08:09:36 GMT", "<date>"),
        ("responses.0.headers.x-envoy-upstream-service-time", "12", "<ms>"),
        ("responses.0.headers.x-envoy-upstream-service-time", "x", "x"),
        ("a", "12", "12"),
        ("upstreams.up.1.headers.x-envoy-expected-rq-timeout-ms", "14981", "15000"),
    ] {
        assert_eq!(names.value(path, value), named);
    }
}
