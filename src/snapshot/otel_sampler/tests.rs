mod envoy;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::snapshot::kept_headers::Headers as Lines;

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    let line = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.iter().map(line) {
        headers.append(name, value);
    }
    headers
}

const NO_ATTRIBUTES: SamplingAttributes<'_> = SamplingAttributes {
    request: None,
    protocol: Version::HTTP_11,
    bytes_received: 0,
    source: None,
    destination: None,
    connection_id: 0,
    node_id: "",
    node_cluster: "",
    listener_direction: 0,
    virtual_host_name: Some("v"),
    route_name: Some(""),
    cluster_name: Some("c"),
};

/// The request of the first table.
fn get(headers: &HeaderMap) -> SamplingAttributes<'_> {
    let request = RequestView {
        method: "GET",
        path: "/p/x?q=1",
        authority: "H.example:1",
        scheme: "http",
        headers: Lines::All(headers),
    };
    SamplingAttributes {
        request: Some(request),
        source: Some(([127, 0, 0, 1], 40_000).into()),
        destination: Some(([127, 0, 0, 1], 26_100).into()),
        node_id: "n1",
        node_cluster: "cl",
        ..NO_ATTRIBUTES
    }
}

fn headers_of_get() -> HeaderMap {
    headers(&[
        ("user-agent", "ua"),
        ("referer", "http://r/"),
        ("x-a", "v1"),
        ("x-b", "1"),
        ("x-b", "2"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "12345678-1234-4234-8234-123456789abc"),
    ])
}

/// The request of the second table.
fn post(headers: &HeaderMap) -> SamplingAttributes<'_> {
    let request = RequestView {
        method: "POST",
        path: "/a",
        authority: "h",
        scheme: "http",
        headers: Lines::All(headers),
    };
    SamplingAttributes { request: Some(request), node_id: "", node_cluster: "", ..get(headers) }
}

fn cel(text: &str) -> Sampler {
    Sampler::cel(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

const TRACE: TraceId = TraceId::from_bytes([1; 16]);

fn sampled(text: &str, attributes: &SamplingAttributes<'_>) -> bool {
    cel(text).decide(None, TRACE, attributes).sampled
}

#[test]
fn expressions_decide_as_in_envoy() {
    let headers = headers_of_get();
    let downstream = get(&headers);
    let upstream = SamplingAttributes { request: None, ..downstream };
    for (text, expected, expected_upstream) in envoy::OF_GET {
        assert_eq!(sampled(text, &downstream), *expected, "{text}");
        assert_eq!(sampled(text, &upstream), *expected_upstream, "upstream: {text}");
    }
    let headers = self::headers(&[
        ("content-length", "5"),
        ("x-empty", ""),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "12345678-1234-4234-8234-123456789abc"),
    ]);
    for (text, expected) in envoy::OF_POST {
        assert_eq!(sampled(text, &post(&headers)), *expected, "{text}");
    }
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let attribute = |name: &str| CelError::Attribute(name.into());
    let function = |name: &str| CelError::Function(name.into());
    for (text, error) in [
        ("foo", attribute("foo")),
        ("foo || true", attribute("foo")),
        ("has(foo.bar)", attribute("foo.bar")),
        ("request.nope == 'x'", attribute("request.nope")),
        ("!has(request.duration)", attribute("request.duration")),
        ("request.time == request.time", attribute("request.time")),
        ("connection.mtls", attribute("connection.mtls")),
        ("connection.tls_version == ''", attribute("connection.tls_version")),
        ("response.code == 200", attribute("response.code")),
        ("metadata.filter_metadata.x == 1", attribute("metadata.filter_metadata.x")),
        ("xds.node.metadata.k == 'v'", attribute("xds.node.metadata.k")),
        ("xds.node['zone'] == 'v'", attribute("xds.node.zone")),
        ("'path' in request", attribute("request")),
        ("foo(1)", function("foo")),
        ("request.path.lowerAscii() == ''", function("lowerAscii")),
        ("string(1) == '1'", function("string")),
        ("timestamp('x') == timestamp('x')", function("timestamp")),
        ("request.path.int() == 1", function("int")),
        ("size(1, 2) == 1", function("size")),
        ("[1, 2].exists(x, x == 2)", CelError::Unsupported("macros other than has()")),
        ("request.headers == {}", CelError::Unsupported("uses of a map of headers as a whole")),
        ("a.B{}", CelError::Unsupported("messages")),
    ] {
        assert_eq!(Sampler::cel(text).err(), Some(error), "{text}");
    }
    for text in ["'a'.matches('(')", "request.path.matches('(')", "matches('a', '(')"] {
        assert!(matches!(Sampler::cel(text).err(), Some(CelError::Regex(_))), "{text}");
    }
    for text in ["", "request.path ==", "1 +", "'a", "a b", "[1, 2", "\u{0}"] {
        assert!(matches!(Sampler::cel(text).err(), Some(CelError::Syntax(_))), "{text}");
    }
}

#[test]
fn absent_attributes_are_errors() {
    for text in [
        "source.port >= 0",
        "destination.address == ''",
        "request.path == ''",
        "request.id == ''",
        "request.headers['a'] == ''",
        "!has(source.port) && false",
    ] {
        assert!(!sampled(text, &NO_ATTRIBUTES), "{text}");
    }
    let bare = SamplingAttributes {
        virtual_host_name: None,
        route_name: None,
        cluster_name: None,
        bytes_received: 7,
        ..NO_ATTRIBUTES
    };
    for text in ["!has(xds.cluster_name)", "!has(xds.route_name)", "!has(source.port)", "request.size == 7"] {
        assert!(sampled(text, &bare), "{text}");
    }
}

#[test]
fn a_regex_may_be_built_from_the_request() {
    let headers = headers(&[("pattern", "^/p"), ("broken", "(")]);
    assert!(sampled("request.path.matches(request.headers['pattern'])", &get(&headers)));
    assert!(!sampled("request.path.matches(request.headers['broken'])", &get(&headers)));
}

fn decide(sampler: &Sampler, parent: Option<bool>) -> (bool, bool) {
    let decision = sampler.decide(parent, TRACE, &NO_ATTRIBUTES);
    (decision.sampled, decision.keep_state)
}

fn ratio(numerator: u32) -> Sampler {
    Sampler::TraceIdRatioBased(TraceIdRatio { numerator, denominator: 100 })
}

#[test]
fn decisions_and_the_trace_state() {
    let parent_based = |root| Sampler::ParentBased(Box::new(root));
    // Without a parent, with one that is sampled, with one that is not.
    for (sampler, decisions) in [
        (Sampler::AlwaysOn, [(true, true); 3]),
        (ratio(0), [(false, true); 3]),
        (ratio(100), [(true, true); 3]),
        (ratio(200), [(true, true); 3]),
        (Sampler::TraceIdRatioBased(TraceIdRatio::default()), [(false, true); 3]),
        (cel("true"), [(true, true); 3]),
        (cel("false"), [(false, false); 3]),
        (cel("1"), [(false, false); 3]),
        (cel("'true'"), [(false, false); 3]),
        (cel("1 / 0 == 1"), [(false, false); 3]),
        (parent_based(Sampler::AlwaysOn), [(true, true), (true, true), (false, true)]),
        (parent_based(ratio(0)), [(false, true), (true, true), (false, true)]),
        (parent_based(cel("false")), [(false, false), (true, true), (false, true)]),
        (parent_based(parent_based(ratio(100))), [(true, true), (true, true), (false, true)]),
    ] {
        for (parent, decision) in [None, Some(true), Some(false)].into_iter().zip(decisions) {
            assert_eq!(decide(&sampler, parent), decision, "{sampler:?} {parent:?}");
        }
    }
}

#[test]
fn a_ratio_counts_the_first_eight_bytes_of_the_trace_id_little_end_first() {
    let drawn = |number: u64, numerator| {
        let mut bytes = [0xff; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        TraceIdRatio { numerator, denominator: 10_000 }.includes(TraceId::from_bytes(bytes))
    };
    assert!(drawn(4_999, 5_000));
    assert!(!drawn(5_000, 5_000));
    assert!(drawn(1_234_560_000, 1));
    assert!(!drawn(1_234_560_001, 1));
}

#[test]
fn an_expression_too_deep_is_refused() {
    for part in ["!(", "(", "[", "-(", "{1:", "true ? ", "size(", "1 + ", "a.", "a[", "true && (", "'a' + "] {
        let text = format!("{}1", part.repeat(500));
        assert!(Sampler::cel(&text).is_err(), "{part}");
    }
    let many = |operator: &str| vec!["source.port == 1"; 200].join(operator);
    assert!(Sampler::cel(&many(" || ")).is_ok(), "not deep: it is balanced");
    let long = "true || ".repeat(600) + "true";
    assert_eq!(Sampler::cel(&long).err(), Some(CelError::Unsupported("expressions of this length")));
    let mut ast = cel::Program::compile("true").expect("CEL").expression().clone();
    for _ in 0..200 {
        let call = cel::common::ast::CallExpr { func_name: "!_".into(), target: None, args: vec![ast] };
        ast = cel::IdedExpr { id: 0, expr: cel::common::ast::Expr::Call(call) };
    }
    assert_eq!(Sampler::cel_ast(&ast).err(), Some(CelError::Unsupported("expressions of this depth")));
}

/// Text of expressions, well-formed or nearly.
fn near_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[0-9]{1,20}u?",
        "-?[0-9]{1,3}\\.[0-9]{1,3}(e-?[0-9]{1,3})?",
        "'[ -&(-~]{0,5}'",
        "b?r?\"[ -!#-~]{0,5}\"?",
        Just("request.path".to_owned()),
        Just("request.headers['x-a']".to_owned()),
        Just("source.port".to_owned()),
        Just("null".to_owned()),
        Just("true".to_owned()),
        "[a-z.\\[\\]{}()?:]{0,6}",
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " in ", ".",
        ]);
        let function =
            prop::sample::select(vec!["size", "int", "uint", "double", "bool", "bytes", "type", "has"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(l, o, r)| format!("{l}{o}{r}")),
            (function, inner.clone()).prop_map(|(name, part)| format!("{name}({part})")),
            inner.clone().prop_map(|part| format!("!({part})")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("[{l}, {r}][0]")),
            (inner.clone(), inner.clone()).prop_map(|(l, r)| format!("{{{l}: {r}}}[{l}]")),
            (inner.clone(), inner).prop_map(|(l, r)| format!("{l}.contains({r})")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in "\\PC{0,24}") {
        let _ = Sampler::cel(&text);
    }

    #[test]
    fn no_expression_panics(text in near_expression()) {
        let headers = headers_of_get();
        if let Ok(sampler) = Sampler::cel(&text) {
            let decision = sampler.decide(None, TRACE, &get(&headers));
            prop_assert_eq!(decision.sampled, decision.keep_state);
        }
    }
}
