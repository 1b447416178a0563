use prost_reflect::DynamicMessage;

use super::*;

fn message(pool: &DescriptorPool, name: &str) -> DynamicMessage {
    DynamicMessage::new(descriptor(pool, name).expect("a message of the API"))
}

fn header(pool: &DescriptorPool, key: &str) -> DynamicMessage {
    let mut header = message(pool, "envoy.config.core.v3.HeaderValue");
    header.set_field_by_name("key", Value::String(key.into()));
    header.set_field_by_name("value", Value::String("Bearer abc".into()));
    header
}

#[test]
fn headers_that_hold_credentials_are_redacted() {
    let pool = api::all();
    for (key, shown) in [
        ("Authorization", "[redacted]"),
        ("x-honeycomb-team-token", "[redacted]"),
        ("api-key", "[redacted]"),
        ("x-tenant", "Bearer abc"),
    ] {
        let mut header = header(&pool, key);
        redact::redact(&pool, &mut header);
        assert_eq!(header.get_field_by_name("value").expect("a field").as_str(), Some(shown), "{key}");
        assert_eq!(header.get_field_by_name("key").expect("a field").as_str(), Some(key));
    }
}

#[test]
fn values_that_matchers_compare_credentials_with_are_redacted() {
    let pool = api::all();
    for (name, key, secret) in [
        ("envoy.config.route.v3.HeaderMatcher", "x-api-key", true),
        ("envoy.config.route.v3.HeaderMatcher", ":authority", false),
        ("envoy.config.route.v3.QueryParameterMatcher", "token", true),
    ] {
        let mut exact = message(&pool, "envoy.type.matcher.v3.StringMatcher");
        exact.set_field_by_name("exact", Value::String("abc".into()));
        let mut matcher = message(&pool, name);
        matcher.set_field_by_name("name", Value::String(key.into()));
        matcher.set_field_by_name("string_match", Value::Message(exact));
        redact::redact(&pool, &mut matcher);
        let text = format!("{matcher:?}");
        assert!(text.contains(key) && text.contains("abc") != secret, "{text}");
    }
    let mut uri = message(&pool, "envoy.config.core.v3.HttpUri");
    uri.set_field_by_name("uri", Value::String("http://h/v1?a=b&key=abc".into()));
    redact::redact(&pool, &mut uri);
    let shown = uri.get_field_by_name("uri").expect("a field").as_str().expect("a text").to_owned();
    assert_eq!(shown, "http://h/v1?a=b&key=[redacted]");
}

#[test]
fn what_the_api_calls_sensitive_is_redacted_whatever_it_is() {
    let pool = api::all();
    let mut source = message(&pool, "envoy.config.core.v3.DataSource");
    source.set_field_by_name("inline_bytes", Value::Bytes("a key".into()));
    let mut certificate = message(&pool, "envoy.extensions.transport_sockets.tls.v3.TlsCertificate");
    certificate.set_field_by_name("private_key", Value::Message(source.clone()));
    certificate.set_field_by_name("certificate_chain", Value::Message(source));
    redact::redact(&pool, &mut certificate);
    let bytes = |name: &str| {
        let source = certificate.get_field_by_name(name).expect("a field");
        let source = source.as_message().expect("a message");
        source.get_field_by_name("inline_bytes").expect("a field").as_bytes().expect("bytes").clone()
    };
    assert_eq!((&*bytes("private_key"), &*bytes("certificate_chain")), (&b"[redacted]"[..], &b"a key"[..]));
}

#[test]
fn a_mask_leaves_what_it_names_and_one_that_names_nothing_changes_nothing() {
    let pool = api::all();
    let whole = header(&pool, "k");
    let mut cut = whole.clone();
    assert!(mask::trim(&mut cut, &mask::paths("key")));
    assert_eq!(cut.fields().map(|(field, _)| field.name().to_owned()).collect::<Vec<_>>(), ["key"]);
    let mut same = whole.clone();
    assert!(!mask::trim(&mut same, &mask::paths("key,nothing")));
    assert_eq!(same, whole);
}
