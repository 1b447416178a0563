use proptest::prelude::*;

use super::*;

fn span() -> ZipkinSpan {
    let mut span = ZipkinSpan {
        trace_id: 0x2117_d425_a57d_c023,
        id: 0x2117_d425_a57d_c023,
        parent: None,
        kind: Kind::Server,
        name: "h".into(),
        timestamp: 1_795_172_752_242_478,
        duration: 820,
        shared: true,
        annotations: vec![Annotation { timestamp: 1_795_172_752_243_415, value: Kind::Server.end().into() }],
        tags: Vec::new(),
    };
    span.tag("http.method", "GET");
    span.tag("zone", "");
    span.tag("http.url", "http://h/");
    span
}

fn local() -> LocalEndpoint {
    LocalEndpoint { service_name: "ncl".into(), ip: IpAddr::from([192, 0, 2, 2]), port: 0 }
}

fn text_of(spans: &[ZipkinSpan], local: &LocalEndpoint) -> String {
    String::from_utf8(Format::Json.encode(spans, local)).expect("UTF-8")
}

#[test]
fn json_has_the_members_that_envoy_sends() {
    assert_eq!(
        text_of(&[span()], &local()),
        concat!(
            r#"[{"traceId":"2117d425a57dc023","id":"2117d425a57dc023","kind":"SERVER","name":"h","#,
            r#""timestamp":1795172752242478,"duration":820,"#,
            r#""localEndpoint":{"serviceName":"ncl","ipv4":"192.0.2.2","port":0},"#,
            r#""annotations":[{"timestamp":1795172752243415,"value":"ss"}],"#,
            r#""tags":{"http.method":"GET","http.url":"http://h/"},"shared":true}]"#
        )
    );
}

#[test]
fn what_there_is_not_is_left_out_and_wide_ids_have_32_digits() {
    let child = ZipkinSpan {
        trace_id: 1 << 64,
        parent: Some(5),
        kind: Kind::Client,
        shared: false,
        tags: Vec::new(),
        annotations: Vec::new(),
        ..span()
    };
    let nobody = LocalEndpoint { service_name: "".into(), ip: IpAddr::from([0_u16; 8]), port: 1 };
    assert_eq!(
        text_of(&[child], &nobody),
        concat!(
            r#"[{"traceId":"00000000000000010000000000000000","parentId":"0000000000000005","#,
            r#""id":"2117d425a57dc023","kind":"CLIENT","name":"h","timestamp":1795172752242478,"duration":820,"#,
            r#""localEndpoint":{"ipv6":"::","port":1}}]"#
        )
    );
    assert_eq!(text_of(&[], &nobody), "[]");
}

#[test]
fn protobuf_has_the_bytes_that_envoy_sends_but_for_the_order_of_an_ids_bytes() {
    let body = Format::Proto.encode(&[span()], &local());
    let expected = [
        &b"\n\x6a\n\x08\x21\x17\xd4\x25\xa5\x7d\xc0\x23"[..],
        b"\x1a\x08\x21\x17\xd4\x25\xa5\x7d\xc0\x23",
        b"\x20\x02*\x01h1",
        &1_795_172_752_242_478_u64.to_le_bytes(),
        b"8\xb4\x06B\x0b\n\x03ncl\x12\x04\xc0\x00\x02\x02R\x0d\x09",
        &1_795_172_752_243_415_u64.to_le_bytes(),
        b"\x12\x02ssZ\x12\n\x0bhttp.method\x12\x03GETZ\x15\n\x08http.url\x12\x09http://h/h\x01",
    ]
    .concat();
    assert_eq!(body.get(2..), expected.get(2..));
    assert_eq!(usize::from(body[1]), body.len() - 2);
    let wide = ZipkinSpan { trace_id: u128::MAX, parent: Some(5), ..span() };
    let list = ListOfSpans::decode(&*Format::Proto.encode(&[wide], &local())).expect("a list");
    assert_eq!(list.spans[0].trace_id, [0xff; 16]);
    assert_eq!(list.spans[0].parent_id, [0, 0, 0, 0, 0, 0, 0, 5]);
}

#[test]
fn a_tag_set_again_is_replaced_in_its_place() {
    let mut span = span();
    span.tag("http.method", "mine");
    assert_eq!(span.tags, [("http.method".into(), "mine".into()), ("http.url".into(), "http://h/".into())]);
}

#[test]
fn what_is_not_utf8_becomes_a_blank() {
    assert_eq!(text(b"\xe9\xffa\xe9"), " a ");
    assert_eq!(text("é <".as_bytes()), "é <");
    assert_eq!(text(b"u \xff"), "u  ");
}

proptest! {
    #[test]
    fn any_bytes_become_text(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = text(&bytes);
    }

    #[test]
    fn any_text_becomes_json(name: String, key: String, value: String) {
        let mut span = ZipkinSpan { name: name.clone(), ..span() };
        span.tag(key.clone(), value.clone());
        let read: serde_json::Value = serde_json::from_str(&text_of(&[span], &local())).expect("JSON");
        prop_assert_eq!(&read[0]["name"], &name);
        if !key.is_empty() && !value.is_empty() {
            prop_assert_eq!(&read[0]["tags"][&key], &value);
        }
    }
}
