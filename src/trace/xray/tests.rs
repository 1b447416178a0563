use proptest::prelude::*;

use super::*;

const ROOT: &str = "1-5759e988-bd862e3fe1be46a994272793";
const NUMBER: u128 = 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793;

fn read(value: &str) -> Incoming {
    let mut headers = HeaderMap::new();
    headers.append(X_AMZN_TRACE_ID, HeaderValue::from_str(value).expect("a header value"));
    headers.append(X_AMZN_TRACE_ID, HeaderValue::from_static("Root=1-1-1;Sampled=0"));
    extract(&headers).expect("the header")
}

fn root(text: &str) -> Option<TraceId> {
    Some(TraceId::Text(text.as_bytes().into()))
}

#[test]
fn a_whole_header_is_read_in_any_order_and_case() {
    let parent = "53995c3f42cd8ad8";
    let expected = Incoming {
        root: Some(TraceId::Number(NUMBER)),
        parent: Some(ParentId::Number(0x5399_5c3f_42cd_8ad8)),
        sampled: Some(true),
    };
    for value in [
        format!("Root={ROOT};Parent={parent};Sampled=1"),
        format!("Sampled=1;Parent={parent};Root={ROOT}"),
        format!("ROOT={ROOT};parent={parent};Sampled=1").to_uppercase(),
        format!(";;Self=1-2-3;Root={ROOT};;Parent={parent};Sampled=1;Lineage=a:1;x;"),
        format!("Root=1-1-1;Root={ROOT};Parent=2;Parent={parent};Sampled=0;Sampled=1"),
    ] {
        assert_eq!(read(&value), expected, "{value}");
    }
    assert_eq!(extract(&HeaderMap::new()), None);
}

#[test]
fn only_0_and_1_decide() {
    for (value, sampled) in
        [("1", Some(true)), ("0", Some(false)), ("?", None), ("", None), ("10", None), ("true", None)]
    {
        assert_eq!(read(&format!("Root={ROOT};Sampled={value}")).sampled, sampled, "{value}");
    }
    assert_eq!(read("garbage").sampled, None);
}

#[test]
fn a_strange_root_is_kept_as_text_in_lower_case() {
    assert_eq!(read("Root=Garbage").root, root("garbage"));
    assert_eq!(read(&format!("Root={ROOT} ;Sampled=1")).root, root(&format!("{ROOT} ")));
    assert_eq!(read(&format!("Root={ROOT}=X")).root, root(&format!("{ROOT}=x")));
    assert_eq!(read(&format!("Root={ROOT},Parent=A")).root, root(&format!("{ROOT},parent=a")));
    for value in ["Root=;Parent=", "Root", "", &format!(" x; Root={ROOT}"), &format!("Root ={ROOT}")] {
        assert_eq!((read(value).root, read(value).parent), (None, None), "{value}");
    }
}

#[test]
fn the_next_hop_is_told_as_envoy_tells_it() {
    let written = |trace: &TraceId, sampled| {
        let mut headers = HeaderMap::new();
        inject(&mut headers, trace, 5, sampled);
        headers.remove(X_AMZN_TRACE_ID).expect("the header")
    };
    assert_eq!(
        written(&TraceId::Number(NUMBER), true),
        format!("Root={ROOT};Parent=0000000000000005;Sampled=1").as_str()
    );
    assert_eq!(written(&root("x\"y").expect("text"), false), "Root=x\"y;Parent=0000000000000005;Sampled=0");
}

#[test]
fn a_new_trace_begins_with_its_time() {
    let TraceId::Number(id) = TraceId::new(0x6b00_2aef) else { panic!("not a number") };
    assert_eq!(id >> 96, 0x6b00_2aef);
    assert_eq!(TraceId::Number(id).to_string().len(), ROOT.len());
}

/// What differs from a plain segment.
#[derive(Default)]
struct Case<'a> {
    parent: Option<&'a ParentId>,
    subsegment: bool,
    egress: bool,
    forwarded_for: Option<&'a [u8]>,
    origin: &'a str,
    aws: Map<String, Value>,
}

/// The document of a segment with these tags.
fn document(case: &Case<'_>, tags: &[(&'static str, &'static str)]) -> String {
    let tags = tags.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect::<Vec<_>>();
    let segment = Segment {
        name: "seg",
        id: 0x80e5_5188_01fb_a646,
        trace_id: &TraceId::Number(NUMBER),
        parent: case.parent,
        start: Duration::from_millis(1_795_173_103_500),
        end: Duration::from_millis(1_795_173_103_750),
        subsegment: case.subsegment,
        egress: case.egress,
        forwarded_for: case.forwarded_for,
        origin: case.origin,
        aws: &case.aws,
        tags: &tags,
    };
    let text = String::from_utf8(segment.encode()).expect("UTF-8");
    let (first, document) = text.split_once('\n').expect("two lines");
    assert_eq!(first, r#"{"format":"json","version":1}"#);
    document.to_owned()
}

#[test]
fn a_segment_has_the_members_that_envoy_sends() {
    assert_eq!(
        document(
            &Case::default(),
            &[
                ("node_id", "nid"),
                ("zone", ""),
                ("http.url", "http://h/"),
                ("http.method", "GET"),
                ("user_agent", "-"),
                ("peer.address", "127.0.0.1"),
                ("response_size", "2"),
                ("component", "proxy"),
                ("http.status_code", "200"),
                // Custom tags come last and replace nothing.
                ("component", "mine"),
                ("http.url", "mine"),
                ("http.status_code", "500"),
            ]
        ),
        concat!(
            r#"{"name":"seg","id":"80e5518801fba646","trace_id":"1-5759e988-bd862e3fe1be46a994272793","#,
            r#""start_time":1795173103.5,"end_time":1795173103.75,"#,
            r#""http":{"request":{"url":"http://h/","method":"GET","user_agent":"-","client_ip":"127.0.0.1","#,
            r#""x_forwarded_for":false},"response":{"status":200,"content_length":2}},"#,
            r#""annotations":{"node_id":"nid","component":"proxy","direction":"ingress"},"aws":{}}"#
        )
    );
}

#[test]
fn a_subsegment_says_so_and_names_its_parent() {
    let parent = ParentId::Number(7);
    let case = Case { parent: Some(&parent), subsegment: true, egress: true, ..Case::default() };
    let text = document(&case, &[("direction", "mine")]);
    assert!(text.contains(r#""end_time":1795173103.75,"parent_id":"0000000000000007","http""#), "{text}");
    assert!(text.ends_with(r#""annotations":{"direction":"mine"},"aws":{},"type":"subsegment"}"#), "{text}");
}

#[test]
fn statuses_and_errors_become_flags() {
    for (tag, expected) in [
        (("http.status_code", "301"), ""),
        (("http.status_code", "404"), r#","error":true"#),
        (("http.status_code", "429"), r#","error":true,"throttle":true"#),
        (("http.status_code", "500"), r#","fault":true"#),
        (("error", "true"), r#","fault":true"#),
    ] {
        let text = document(&Case::default(), &[tag]);
        assert!(
            text.ends_with(&format!(r#""annotations":{{"direction":"ingress"}},"aws":{{}}{expected}}}"#)),
            "{text}"
        );
    }
    assert!(document(&Case::default(), &[("error", "false")]).contains(r#""annotations":{"error":"false""#));
}

#[test]
fn x_forwarded_for_is_the_client_whatever_it_says() {
    for addresses in ["1.2.3.4, 5.6.7.8", ""] {
        let case = Case { forwarded_for: Some(addresses.as_bytes()), ..Case::default() };
        let text = document(&case, &[("peer.address", "127.0.0.1")]);
        assert!(text.contains(&format!(r#""client_ip":"{addresses}","x_forwarded_for":true}}"#)), "{text}");
    }
}

#[test]
fn segment_fields_are_in_every_segment() {
    let Value::Object(aws) = serde_json::json!({"k": {"a": [1, null]}}) else { panic!("not an object") };
    let text = document(&Case { origin: "AWS::X", aws, ..Case::default() }, &[]);
    assert!(text.ends_with(r#""origin":"AWS::X","aws":{"k":{"a":[1,null]}}}"#), "{text}");
}

proptest! {
    #[test]
    fn what_is_injected_is_extracted(id: u128, span_id: u64, sampled: bool) {
        let mut headers = HeaderMap::new();
        let root = TraceId::Number(id);
        inject(&mut headers, &root, span_id, sampled);
        let parent = Some(ParentId::Number(span_id));
        prop_assert_eq!(extract(&headers), Some(Incoming { root: Some(root), parent, sampled: Some(sampled) }));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn what_came_strangely_goes_on(text in "[ -:<-~]{1,40}") {
        let mut headers = HeaderMap::new();
        let root = parse(format!("Root={text}").as_bytes()).root.expect("a root");
        inject(&mut headers, &root, 1, true);
        prop_assert_eq!(extract(&headers).and_then(|incoming| incoming.root), Some(root));
    }
}
