use proptest::prelude::*;

use super::*;

const A: &str = "463ac35c9f6413ad";
const WIDE: &str = "48485a3953bb6124463ac35c9f6413ad";
const B: &str = "a2fb4a1d1a96d312";
const C: &str = "0020000000000001";
const PARENT: Parent =
    Parent { trace_id: 0x463a_c35c_9f64_13ad, span_id: 0xa2fb_4a1d_1a96_d312, parent: None, sampled: None };

fn map(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
    }
    headers
}

fn read(lines: &[(&'static str, &str)]) -> Context {
    extract(&map(lines), false).context
}

fn single(value: &str) -> Context {
    let incoming = extract(&map(&[("b3", value)]), false);
    assert!(incoming.single);
    incoming.context
}

fn multi(trace: &str, span: &str) -> Context {
    read(&[("x-b3-traceid", trace), ("x-b3-spanid", span)])
}

fn written(ids: &Ids, sampled: bool, single: bool, w3c: bool) -> Vec<String> {
    let mut headers = HeaderMap::new();
    inject(&mut headers, ids, sampled, single, w3c);
    headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect()
}

#[test]
fn the_single_header_is_read_in_all_its_forms() {
    let parent = |sampled, parent| Context::Parent(Parent { sampled, parent, ..PARENT });
    let c = Some(0x20_0000_0000_0001);
    assert_eq!(single("0"), Context::Decision(false));
    assert_eq!(single("1"), Context::Decision(true));
    assert_eq!(single("d"), Context::Decision(true));
    assert_eq!(single(&format!("{A}-{B}")), parent(None, None));
    assert_eq!(single(&format!("{A}-{B}-0")), parent(Some(false), None));
    assert_eq!(single(&format!("{A}-{B}-d")), parent(Some(true), None));
    assert_eq!(single(&format!("{A}-{B}-1-{C}")), parent(Some(true), c));
    assert_eq!(single(&format!("{A}-{B}-1-{}", "0".repeat(16))), parent(Some(true), None));
    assert_eq!(single(&format!("{A}-{B}-1").to_uppercase()), parent(Some(true), None));
    let Context::Parent(wide) = single(&format!("{WIDE}-{B}-1-{C}")) else { panic!("refused") };
    assert_eq!((wide.trace_id, wide.parent), (0x4848_5a39_53bb_6124_463a_c35c_9f64_13ad, c));
}

#[test]
fn what_envoy_calls_an_invalid_single_header_is_invalid() {
    for value in ["", "2", "x", "D", "01", "true", "zz", "1-2-1", "-1"]
        .map(str::to_owned)
        .into_iter()
        .chain(["-", "-2", "-D", "-true", "-1-", "--"].map(|end| format!("{A}-{B}{end}")))
        .chain([format!("{A}-{B}-{C}"), format!("{WIDE}-{B}-{C}"), format!("{A}-{B}--{C}")])
        .chain([
            format!("{A}-{B}-1-{C}0"),
            format!("{A}-{B}-1-{C}-"),
            format!("{A}-{B}-1-zz{}", C.split_at(2).1),
        ])
        .chain([
            format!("{A}_{B}-1"),
            format!("{}g-{B}-1", A.split_at(15).0),
            format!("{A}-+{}-1", A.split_at(1).1),
        ])
    {
        assert_eq!(single(&value), Context::Invalid, "{value}");
    }
}

#[test]
fn the_single_header_hides_the_others() {
    let others = [("x-b3-traceid", "1"), ("x-b3-spanid", "2"), ("x-b3-sampled", "1"), ("traceparent", "zz")];
    let with = |value| extract(&map(&[&[("b3", value)], &others[..]].concat()), true).context;
    assert_eq!(with("0"), Context::Decision(false));
    assert_eq!(with("zz"), Context::Invalid);
    assert_eq!(with(""), Context::Invalid);
    assert_eq!(with(&*format!("{A}-{B}").leak()), Context::Parent(PARENT));
}

#[test]
fn numbers_are_read_as_envoy_reads_them() {
    for (text, id) in
        [("1", 1), ("0", 0), ("0x1f", 0x1f), ("0X1f", 0x1f), ("0000aaaaaaaaaaaaaaaa", u64::MAX / 3 * 2)]
    {
        let Context::Parent(parent) = multi(text, text) else { panic!("{text} was refused") };
        assert_eq!((parent.trace_id, parent.span_id), (u128::from(id), id), "{text}");
    }
    for text in ["", "+1f", "-1f", "1 f", "0x", "0x0x1", "00x1", "zz", "aaaaaaaaaaaaaaaaa", &WIDE[1..]] {
        assert_eq!(multi(text, "2"), Context::Invalid, "{text}");
        assert_eq!(multi("2", text), Context::Invalid, "{text}");
    }
    let Context::Parent(wide) = multi(&format!("{A} {}", &A[1..]), "2") else {
        panic!("a blank was refused")
    };
    assert_eq!(wide.trace_id, 0x463a_c35c_9f64_13ad_063a_c35c_9f64_13ad);
    assert_eq!(multi(A, WIDE), Context::Invalid);
}

#[test]
fn a_parent_may_be_empty_or_zero_but_not_unreadable() {
    let parent = |value| read(&[("x-b3-traceid", A), ("x-b3-spanid", B), ("x-b3-parentspanid", value)]);
    assert_eq!(parent(""), Context::Parent(PARENT));
    assert_eq!(parent("0"), Context::Parent(PARENT));
    assert_eq!(parent("0x5"), Context::Parent(Parent { parent: Some(5), ..PARENT }));
    assert_eq!(parent("zz"), Context::Invalid);
}

#[test]
fn of_x_b3_sampled_only_1_and_true_mean_yes() {
    for (value, sampled) in
        [("1", true), ("true", true), ("0", false), ("True", false), ("d", false), ("2", false), ("", false)]
    {
        let lines = [("x-b3-traceid", A), ("x-b3-spanid", B), ("x-b3-sampled", value)];
        assert_eq!(read(&lines), Context::Parent(Parent { sampled: Some(sampled), ..PARENT }), "{value}");
        assert_eq!(read(&[("x-b3-sampled", value)]), Context::Decision(sampled), "{value}");
    }
}

#[test]
fn half_of_the_ids_is_none_of_them() {
    assert_eq!(read(&[("x-b3-traceid", A)]), Context::None);
    assert_eq!(read(&[("x-b3-spanid", "zz")]), Context::None);
    assert_eq!(read(&[("x-b3-traceid", A), ("x-b3-sampled", "0")]), Context::Decision(false));
    assert_eq!(read(&[("x-b3-flags", "1")]), Context::None);
}

#[test]
fn the_first_of_repeated_lines_counts() {
    let lines = [("x-b3-traceid", A), ("x-b3-traceid", "1"), ("x-b3-spanid", B), ("x-b3-spanid", "3")];
    assert_eq!(read(&lines), Context::Parent(PARENT));
    assert_eq!(read(&[("b3", "0"), ("b3", "1")]), Context::Decision(false));
}

#[test]
fn traceparent_counts_only_if_asked_and_where_b3_has_no_ids() {
    let traceparent = |flags| format!("00-{WIDE}-{B}-{flags}");
    let with = |lines: &[(&'static str, &str)]| extract(&map(lines), true).context;
    let of = |sampled| {
        let trace_id = 0x4848_5a39_53bb_6124_463a_c35c_9f64_13ad;
        Context::Parent(Parent { trace_id, sampled: Some(sampled), ..PARENT })
    };
    let (yes, no) = (&*traceparent("01"), &*traceparent("00"));
    assert_eq!(read(&[("traceparent", yes)]), Context::None);
    assert_eq!(with(&[("traceparent", yes)]), of(true));
    assert_eq!(with(&[("traceparent", no)]), of(false));
    // Either one is enough.
    assert_eq!(with(&[("traceparent", no), ("x-b3-sampled", "1")]), of(true));
    assert_eq!(with(&[("traceparent", yes), ("x-b3-sampled", "0")]), of(true));
    assert_eq!(with(&[("traceparent", no), ("x-b3-sampled", "0")]), of(false));
    // B3's ids with W3C's decision, unless B3 has one.
    let ids = [("x-b3-traceid", A), ("x-b3-spanid", B)];
    let sampled = |sampled| Context::Parent(Parent { sampled, ..PARENT });
    assert_eq!(with(&[&ids[..], &[("traceparent", no)]].concat()), sampled(Some(false)));
    assert_eq!(with(&[&ids[..], &[("traceparent", "zz")]].concat()), sampled(None));
    let all = [&ids[..], &[("traceparent", yes), ("x-b3-sampled", "0")]].concat();
    assert_eq!(with(&all), sampled(Some(false)));
    // Other than alone, an unreadable one begins a new trace.
    assert_eq!(with(&[("traceparent", "zz")]), Context::None);
    assert_eq!(with(&[("traceparent", "zz"), ("x-b3-sampled", "0")]), Context::Decision(false));
}

#[test]
fn a_shared_server_span_is_that_of_the_client() {
    let parent = Parent { parent: Some(7), ..PARENT };
    let shared = Ids::continuing(&parent, true);
    assert_eq!((shared.span_id, shared.parent), (parent.span_id, Some(7)));
    let own = Ids::continuing(&parent, false);
    assert_ne!(own.span_id, parent.span_id);
    assert_eq!((own.trace_id, own.parent), (parent.trace_id, Some(parent.span_id)));
}

#[test]
fn new_traces_have_the_width_and_time_that_is_asked_for() {
    let root = |wide, timestamp| Ids::root(NewTrace { wide, timestamp }, 0x6b00_2993);
    let narrow = root(false, false);
    assert_eq!((narrow.trace_id, narrow.parent), (u128::from(narrow.span_id), None));
    let wide = root(true, false);
    assert_ne!(high(wide.trace_id), 0);
    assert_eq!(low(wide.trace_id), wide.span_id);
    assert_eq!(root(false, true).trace_id >> 32, 0x6b00_2993);
    assert_eq!(root(true, true).trace_id >> 96, 0x6b00_2993);
}

#[test]
fn the_next_hop_is_told_as_envoy_tells_it() {
    let ids = Ids { trace_id: PARENT.trace_id, span_id: PARENT.span_id, parent: None };
    assert_eq!(
        written(&ids, true, false, true),
        [
            "x-b3-traceid: 463ac35c9f6413ad",
            "x-b3-spanid: a2fb4a1d1a96d312",
            "x-b3-sampled: 1",
            "traceparent: 00-0000000000000000463ac35c9f6413ad-a2fb4a1d1a96d312-01",
        ]
    );
    let child = Ids { parent: Some(5), ..ids };
    assert_eq!(
        written(&child, false, false, false),
        [
            "x-b3-traceid: 463ac35c9f6413ad",
            "x-b3-spanid: a2fb4a1d1a96d312",
            "x-b3-parentspanid: 0000000000000005",
            "x-b3-sampled: 0",
        ]
    );
    assert_eq!(written(&ids, false, true, false), [format!("b3: {A}-{B}-0")]);
    assert_eq!(written(&child, true, true, false), [format!("b3: {A}-{B}-1-0000000000000005")]);
}

proptest! {
    #[test]
    fn what_is_injected_is_extracted(
        trace_id: u128, span_id: u64, parent in proptest::option::of(1_u64..), sampled: bool, single: bool, w3c: bool,
    ) {
        let mut headers = map(&[("x-b3-sampled", "2"), ("traceparent", "zz")]);
        inject(&mut headers, &Ids { trace_id, span_id, parent }, sampled, single, w3c);
        let context = Context::Parent(Parent { trace_id, span_id, parent, sampled: Some(sampled) });
        prop_assert_eq!(extract(&headers, w3c), Incoming { context, single });
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse_single(&bytes);
        let _ = parse_multi(&bytes, &bytes, &bytes, None);
    }

    #[test]
    fn nothing_that_looks_like_b3_makes_the_parser_panic(text in "[0-9a-fx -]{0,70}") {
        let _ = parse_single(text.as_bytes());
    }
}
