//! The claims of the recommendation's validation suite, one row for each: what a service that received these
//! headers sends on. The rows bear the names of the suite's tests.

use super::*;

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "1234567890123456";

/// What is sent on.
enum Sent {
    /// A new trace and no `tracestate`.
    Restart,
    /// The same trace with this `tracestate`.
    Trace(&'static str),
}

use Sent::{Restart, Trace};

fn check(claim: &str, lines: &[(&str, &str)], sent: &Sent) {
    let mut headers = headers(lines);
    let incoming = Conformance::W3c.extract(&headers);
    let (trace_id, random, state) = match &incoming {
        Incoming::None => (new_trace_id(), true, HeaderValue::from_static("")),
        Incoming::Parent(parent) => (parent.trace_id, parent.random, parent.state.clone()),
        Incoming::Invalid => panic!("{claim}: never in this reading"),
    };
    let span_id = new_span_id();
    let sampled = matches!(&incoming, Incoming::Parent(parent) if parent.sampled);
    Conformance::W3c.inject(&mut headers, &Outgoing { trace_id, span_id, sampled, random, state: &state });

    let all = |name: &str| {
        headers.get_all(name).iter().map(|value| value.to_str().expect("text")).collect::<Vec<_>>()
    };
    let traceparent = all("traceparent");
    assert_eq!(traceparent.len(), 1, "{claim}: one traceparent");
    assert!(traceparent[0].starts_with("00-"), "{claim}: {traceparent:?}");
    assert!(is_traceparent(traceparent[0].as_bytes()), "{claim}: {traceparent:?}");
    assert!(!traceparent[0].contains(&format!("-{PARENT}-")), "{claim}: a new parent id");
    match sent {
        Restart => {
            assert!(!traceparent[0].contains(TRACE), "{claim} {lines:?}: a new trace");
            assert!(all("tracestate").is_empty(), "{claim} {lines:?}: the tracestate was of the old one");
        }
        Trace(state) => {
            assert!(traceparent[0].contains(TRACE), "{claim} {lines:?}: the same trace");
            let expected = if state.is_empty() { vec![] } else { vec![*state] };
            assert_eq!(all("tracestate"), expected, "{claim} {lines:?}");
        }
    }
}

fn parent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

#[test]
fn traceparent() {
    let later = |rest: &str| format!("cc-{TRACE}-{PARENT}-01{rest}");
    let rows: Vec<(&str, String, Sent)> = vec![
        ("traceparent_included_tracestate_missing", parent("01"), Trace("")),
        ("traceparent_version_0x00", parent("01."), Restart),
        ("traceparent_version_0x00", parent("01-what-the-future-will-be-like"), Restart),
        ("traceparent_version_0x00: a lone dash", parent("01-"), Restart),
        ("traceparent_version_0xcc", later(""), Trace("")),
        ("traceparent_version_0xcc", later("-what-the-future-will-be-like"), Trace("")),
        ("traceparent_version_0xcc", later(".what-the-future-will-be-like"), Restart),
        ("traceparent_version_0xcc: version 01", later("-x").replacen("cc", "01", 1), Trace("")),
        ("traceparent_version_0xcc: too short", later("")[..54].to_owned(), Restart),
        ("traceparent_version_0xff", later("").replacen("cc", "ff", 1), Restart),
        ("traceparent_version_illegal_characters", parent("01").replacen("00", ".0", 1), Restart),
        ("traceparent_version_illegal_characters", parent("01").replacen("00", "0.", 1), Restart),
        ("traceparent_version_illegal_characters: case", later("").replacen("cc", "CC", 1), Restart),
        ("traceparent_version_too_long", parent("01").replacen("00", "000", 1), Restart),
        ("traceparent_version_too_long", parent("01").replacen("00", "0000", 1), Restart),
        ("traceparent_version_too_short", parent("01").replacen("00", "0", 1), Restart),
        ("traceparent_trace_id_all_zero", parent("01").replacen(TRACE, &"0".repeat(32), 1), Restart),
        ("traceparent_trace_id_illegal_characters", parent("01").replacen("-1", "-.", 1), Restart),
        ("traceparent_trace_id_illegal_characters", parent("01").replacen("2-", ".-", 1), Restart),
        ("traceparent_trace_id_illegal_characters: case", parent("01").replacen("-1", "-A", 1), Restart),
        ("traceparent_trace_id_too_long", parent("01").replacen(TRACE, &format!("{TRACE}3"), 1), Restart),
        ("traceparent_trace_id_too_short", parent("01").replacen(TRACE, &TRACE[..31], 1), Restart),
        ("traceparent_parent_id_all_zero", format!("00-{TRACE}-{}-01", "0".repeat(16)), Restart),
        ("traceparent_parent_id_illegal_characters", format!("00-{TRACE}-.234567890123456-01"), Restart),
        ("traceparent_parent_id_illegal_characters", format!("00-{TRACE}-123456789012345.-01"), Restart),
        (
            "traceparent_parent_id_illegal_characters: case",
            format!("00-{TRACE}-A234567890123456-01"),
            Restart,
        ),
        ("traceparent_parent_id_too_long", format!("00-{TRACE}-{PARENT}7-01"), Restart),
        ("traceparent_parent_id_too_short", format!("00-{TRACE}-{}-01", &PARENT[..15]), Restart),
        ("traceparent_trace_flags_illegal_characters", parent(".0"), Restart),
        ("traceparent_trace_flags_illegal_characters", parent("0."), Restart),
        ("traceparent_trace_flags_too_long", parent("001"), Restart),
        ("traceparent_trace_flags_too_short", parent("1"), Restart),
        ("traceparent_ows_handling", format!(" {}", parent("01")), Trace("")),
        ("traceparent_ows_handling", format!("\t{}", parent("01")), Trace("")),
        ("traceparent_ows_handling", format!("{} ", parent("01")), Trace("")),
        ("traceparent_ows_handling", format!("{}\t", parent("01")), Trace("")),
        ("traceparent_ows_handling", format!("\t {} \t", parent("01")), Trace("")),
        ("traceparent: empty", String::new(), Restart),
    ];
    for (claim, value, sent) in &rows {
        check(claim, &[("traceparent", value)], sent);
        // What came with it goes or stays with the trace.
        let state = match sent {
            Restart => Restart,
            Trace(_) => Trace("foo=1"),
        };
        check(claim, &[("traceparent", value), ("tracestate", "foo=1")], &state);
    }
}

#[test]
fn header_names_and_repetitions() {
    let (valid, other) = (parent("01"), parent("01").replacen("9012-", "9011-", 1));
    check("both_traceparent_and_tracestate_missing", &[], &Restart);
    check("traceparent_duplicated", &[("traceparent", &other), ("traceparent", &valid)], &Restart);
    check("traceparent_duplicated: alike", &[("traceparent", &valid), ("traceparent", &valid)], &Restart);
    for name in ["trace-parent", "trace.parent"] {
        check("traceparent_header_name", &[(name, &valid)], &Restart);
    }
    for name in ["TraceParent", "TrAcEpArEnT", "TRACEPARENT"] {
        check("traceparent_header_name_valid_casing", &[(name, &valid)], &Trace(""));
    }
    for name in ["trace-state", "trace.state"] {
        check("tracestate_header_name", &[("traceparent", &valid), (name, "foo=1")], &Trace(""));
    }
    for name in ["TraceState", "TrAcEsTaTe", "TRACESTATE"] {
        let lines = [("traceparent", valid.as_str()), (name, "foo=1")];
        check("tracestate_header_name_valid_casing", &lines, &Trace("foo=1"));
    }
    for state in ["foo=1", "foo=1,bar=2"] {
        check("tracestate_included_traceparent_missing", &[("tracestate", state)], &Restart);
    }
}

/// Whether a list is sent on, as members without blanks, or dropped.
fn check_state(claim: &str, lines: &[&str], sent: Option<&[&str]>) {
    let state = state_of(lines);
    let members = state.split(',').map(|member| member.trim_matches([' ', '\t']));
    let members = members.filter(|member| !member.is_empty()).collect::<Vec<_>>();
    assert_eq!(members, sent.unwrap_or_default(), "{claim} {lines:?}");
}

#[test]
fn tracestate() {
    let (foo, both) = (["foo=1"], ["foo=1", "bar=2"]);
    check_state("tracestate_included_traceparent_included", &["foo=1,bar=2"], Some(&both));
    check_state("tracestate_empty_header", &[""], None);
    check_state("tracestate_empty_header", &["foo=1", ""], Some(&foo));
    check_state("tracestate_empty_header", &["", "foo=1"], Some(&foo));
    check_state("tracestate_empty_header: members", &["foo=1,, ,bar=2,"], Some(&both));
    assert_eq!(state_of(&["foo=1,, ,bar=2,"]), "foo=1,bar=2", "empty members are not sent on");
    check_state(
        "tracestate_multiple_headers_different_keys",
        &["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
        Some(&["foo=1", "bar=2", "rojo=1", "congo=2", "baz=3"]),
    );
    for lines in [&["foo=1,foo=1"][..], &["foo=1,foo=2"], &["foo=1", "foo=1"], &["foo=1", "foo=2"]] {
        check_state("tracestate_duplicated_keys", lines, None);
    }
    let simple = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
    let value = (' '..='~').filter(|letter| !matches!(letter, ',' | '=')).collect::<String>();
    for key in [simple.to_owned(), format!("{simple}@a-z0-9_-*/")] {
        let member = format!("{key}={value}");
        assert_eq!(state_of(&[&member]), member, "tracestate_all_allowed_characters");
    }
    let three = ["foo=1", "bar=2", "baz=3"];
    check_state("tracestate_ows_handling", &["foo=1 \t , \t bar=2, \t baz=3"], Some(&three));
    check_state("tracestate_ows_handling", &["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], Some(&three));
    for line in [" foo=1", "\tfoo=1", "foo=1 ", "foo=1\t", "\t foo=1 \t"] {
        check_state("tracestate_ows_handling", &[line], Some(&foo));
        assert_eq!(state_of(&[line]), "foo=1", "tracestate_ows_handling: nothing around the whole");
    }
    for line in ["foo =1", "FOO=1", "foo.bar=1", "=1", "foo", "_foo=1"] {
        check_state("tracestate_key_illegal_characters", &[line], None);
    }
    for line in ["foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"] {
        check_state("tracestate_key_illegal_vendor_format", &[line], None);
    }
    for line in ["foo=bar=baz", "foo=,bar=3", "foo= ,bar=3", "foo=b\tr", "foo==1"] {
        check_state("tracestate_value_illegal_characters", &[line], None);
    }
}

#[test]
fn tracestate_lengths() {
    let members = |count: usize| {
        let member = |number: usize| format!("bar{number:02}={number:02}");
        (1..=count).map(member).collect::<Vec<_>>().join(",")
    };
    assert_eq!(state_of(&[&members(32)]), members(32), "tracestate_member_count_limit");
    let all = members(32);
    let (left, right) = all.split_at(all.find(",bar11").expect("it is there"));
    assert_eq!(state_of(&[left, &right[1..]]), all, "tracestate_member_count_limit: two lines");
    assert_eq!(state_of(&[&members(33)]), "", "tracestate_member_count_limit");
    assert_eq!(state_of(&[&members(32), "bar33=33"]), "", "tracestate_member_count_limit");

    let of = |letter: &str, length: usize| letter.repeat(length);
    for (key, kept) in [
        (of("z", 256), true),
        (of("z", 257), false),
        (format!("{}@{}", of("t", 241), of("v", 14)), true),
        (format!("{}@v", of("t", 242)), false),
        (format!("t@{}", of("v", 15)), false),
    ] {
        let member = format!("{key}=1");
        let expected = if kept { format!("foo=1,{member}") } else { String::new() };
        assert_eq!(state_of(&["foo=1", &member]), expected, "tracestate_key_length_limit");
    }
    let value = |length: usize| format!("foo={}", of("v", length));
    assert_eq!(state_of(&[&value(256)]), value(256), "value length");
    assert_eq!(state_of(&[&value(257)]), "", "value length");
}

#[test]
fn multiple_requests() {
    // A proxy sends one request for each it receives: each has a parent id of its own.
    for (claim, value, sent) in [
        ("multiple_requests_with_valid_traceparent", parent("01"), Trace("")),
        ("multiple_requests_without_traceparent", String::new(), Restart),
        ("multiple_requests_with_illegal_traceparent", format!("00-{}-{PARENT}-01", "0".repeat(32)), Restart),
    ] {
        for _ in 0..3 {
            check(claim, &[("traceparent", &value)], &sent);
        }
    }
}

#[test]
fn flags() {
    for (flags, sampled, random) in [
        ("00", false, false),
        ("01", true, false),
        ("02", false, true),
        ("03", true, true),
        ("fc", false, false),
        ("ff", true, true),
    ] {
        let mut headers = headers(&[("traceparent", &parent(flags))]);
        let Incoming::Parent(parent) = Conformance::W3c.extract(&headers) else { panic!("{flags}") };
        assert_eq!((parent.sampled, parent.random), (sampled, random), "{flags}");
        let Parent { trace_id, span_id, sampled, random, ref state } = parent;
        Conformance::W3c.inject(&mut headers, &Outgoing { trace_id, span_id, sampled, random, state });
        let sent = headers.get(TRACEPARENT).expect("one").to_str().expect("text");
        let known = u8::from_str_radix(flags, 16).expect("hex") & 3;
        assert!(sent.ends_with(&format!("-{known:02x}")), "propagates_random_flag and no other: {sent}");
    }
}
