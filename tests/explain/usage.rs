//! Questions that cannot be answered, and the admin interface's side of it.

use super::{Shop, explain, shop_file};
use crate::harness::{Bootstrap, CannedUpstream, OK, refusing_address, run};

#[tokio::test]
async fn questions_files_and_addresses_that_are_wrong_are_errors_of_usage() {
    let folder = tempfile::tempdir().unwrap();
    let file = shop_file(&folder);
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "static_resources: {clusters: [{nam: x}]}").unwrap();
    let nobody = refusing_address().to_string();
    let of_file = ["-c", file.as_str()];
    for (of, request, more, why) in [
        (&of_file[..], "GET", &[][..], "a method and a URL are expected"),
        (&of_file, "GET http://h:99999/", &[], "there is no port \"99999\", but 1 to 65535"),
        (&of_file, "GET ftp://h/", &[], "neither http nor https"),
        (&of_file, "GET http://h/", &["-H", "x"], "it has no colon"),
        (&of_file, "GET http://h/", &["-H", "transfer-encoding: gzip"], "where the body ends"),
        (&of_file, "GET http://h/", &["-H", "upgrade: x", "--http", "2"], "HTTP/2 has no such header"),
        (&of_file, "GET http://h/", &["--source", "me"], "it is no IP address"),
        (&of_file, "GET http://h/", &["--listener", "x"], "there are \"main\" at 127.0.0.1:10000"),
        (&["-c", "/nowhere.yaml"], "GET http://h/", &[], "/nowhere.yaml"),
        (&["-c", bad.to_str().unwrap()], "GET http://h/", &[], "no field 'nam'"),
        (&["--live", &nobody], "GET http://h/", &[], "no proxy answers at"),
        (&["--live", &nobody], "GET http://h/", &[], "its configuration has as admin.address"),
        (&["--live", "a b"], "GET http://h/", &[], "HOST:PORT"),
        (
            &["--live", "unix:/nowhere/admin.sock"],
            "GET http://h/",
            &[],
            "answers at unix:/nowhere/admin.sock",
        ),
        (&["--live", "/nowhere/admin.sock"], "GET http://h/", &[], "no unix socket is at this path"),
        (&[], "GET http://h/", &[], "<--config-path <PATH>|--config-yaml <YAML>|--live <ADMIN>>"),
        (&["-c", &file, "--live", &nobody], "GET http://h/", &[], "cannot be used with"),
        (&["--config-yaml", "{}", "--live", &nobody], "GET http://h/", &[], "cannot be used with"),
    ] {
        let told = explain(of, request, &[], more).await;
        assert_eq!((told.code, told.stdout.as_str()), (Some(2), ""), "{request} {more:?}");
        assert!(told.stderr.contains(why), "{why}: {}", told.stderr);
    }
}

#[tokio::test]
async fn both_ways_to_ask_are_shown_whenever_the_flags_are_wrong() {
    for of in [&[][..], &["-c", "envoy.yaml", "--live", "9901"]] {
        let told = explain(of, "GET http://h/", &[], &[]).await;
        assert_eq!(told.code, Some(2), "{told:?}");
        for usage in [
            "spanway explain <--config-path <PATH>|--config-yaml <YAML>> --request",
            "spanway explain --live <ADMIN> --request",
        ] {
            assert!(told.stderr.contains(usage), "{usage}: {}", told.stderr);
        }
    }
    let help = run(["explain", "--help"]).await;
    assert!(help.stdout.contains("9901 if none is said"), "{}", help.stdout);
    assert!(help.stdout.contains("unix:/PATH"), "{}", help.stdout);
}

#[tokio::test]
async fn a_proxy_is_asked_by_its_port_alone_and_by_its_unix_socket() {
    let shop = Shop::open().await;
    let port = shop.proxy.admin().0.port().to_string();
    let told = explain(&["--live", &port], "GET http://shop.test/hello", &[], &[]).await;
    assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""));
    assert!(told.stdout.contains("answered here with 200"), "{}", told.stdout);

    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let socket = socket.to_str().unwrap();
    let proxy = Bootstrap::empty()
        .routes("[{match: {prefix: /}, direct_response: {status: 204}}]")
        .top(&format!("admin: {{address: {{pipe: {{path: {socket}}}}}}}"))
        .start()
        .await;
    for address in [socket, &format!("unix:{socket}"), &format!("unix://{socket}")] {
        let told = explain(&["--live", address], "GET http://h/", &[], &[]).await;
        assert_eq!((told.code, told.stderr.as_str()), (Some(0), ""), "{address}");
        assert!(told.stdout.contains("answered here with 204"), "{address}: {}", told.stdout);
    }
    drop(proxy);
    let gone = explain(&["--live", socket], "GET http://h/", &[], &[]).await;
    assert_eq!(gone.code, Some(2));
    // Whoever asks a process that is just ending may get as far as a connection.
    let why = format!("no proxy answers at unix:{socket}: ");
    assert!(gone.stderr.contains(&why), "{}", gone.stderr);
}

#[tokio::test]
async fn something_else_than_a_proxy_at_the_live_address_is_told() {
    let other = CannedUpstream::answering(OK).await;
    let told = explain(&["--live", &other.address().to_string()], "GET http://h/", &[], &[]).await;
    assert_eq!(told.code, Some(2));
    assert!(told.stderr.contains("is no proxy that can explain: it says 200"), "{}", told.stderr);
    assert!(told.stderr.contains("its configuration has as admin.address"), "{}", told.stderr);
}

#[tokio::test]
async fn the_admin_interface_answers_and_refuses_as_the_command_does() {
    let shop = Shop::open().await;
    let admin = shop.proxy.admin();
    let usage = admin.get("/explain").await;
    assert_eq!(usage.status(), 400);
    assert!(usage.text().starts_with("say which request"), "{}", usage.text());
    let told = admin.get("/explain?request=GET%20http%3A%2F%2Fshop.test%2Fhello&header=x-a%3A%201").await;
    assert_eq!(told.status(), 200);
    assert!(
        told.text().contains("answered here with 200: route 4 of virtual host \"shop\" says so"),
        "{}",
        told.text()
    );
    // What an operator has told the process counts.
    assert!(!told.text().contains("DRAINING"), "{}", told.text());
    admin.post("/healthcheck/fail").await;
    let told = admin.get("/explain?request=GET%20http%3A%2F%2Fshop.test%2Fhello").await;
    assert!(told.text().contains("the process is DRAINING"), "{}", told.text());
    for (query, why) in [
        ("request=GET", "a method and a URL"),
        ("request=GET%20http%3A%2F%2Fh%2F&header=%0a:x", "the name is none"),
        ("request=GET%20http%3A%2F%2Fh%2F&random=-1", "no number"),
        ("request=GET%20http%3A%2F%2Fh%2F&http=3", "http \"3\": it is none of 1.1, 1.0, 2"),
        ("request=GET%20http%3A%2F%2Fh%2F&format=xml", "format \"xml\": it is none of text, json"),
        (
            "request=GET%20http%3A%2F%2Fh%2F&headers=x-a%3A%201",
            "there is no parameter \"headers\", but request, header, listener, source, http, random, format",
        ),
        ("bogus=1", "there is no parameter \"bogus\""),
        ("request=GET%20http%3A%2F%2Fh%3A99999%2F", "there is no port"),
        ("request=&header=&listener=&source=&http=1.1&random=&format=text", "say which request"),
    ] {
        let refused = admin.get(&format!("/explain?{query}")).await;
        assert_eq!(refused.status(), 400, "{query}");
        assert!(refused.text().contains(why), "{}", refused.text());
    }
    // A form sends what nobody has filled in, too.
    let form = "request=GET+http%3A%2F%2Fshop.test%2Fhello&header=&listener=&source=&http=&random=&format=";
    assert_eq!(admin.get(&format!("/explain?{form}")).await.status(), 200);
}

#[tokio::test]
async fn credentials_are_not_told() {
    let nobody = refusing_address();
    let routes = r#"
- match: {prefix: /, headers: [{name: authorization, string_match: {exact: "Bearer inner"}}]}
  route: {cluster: upstream}
- match: {prefix: /}
  route: {cluster: upstream}
  request_headers_to_add: [{header: {key: x-api-key, value: abcdef}}]
"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    std::fs::write(&path, Bootstrap::to(nobody).routes(routes).text("127.0.0.1:10000".parse().unwrap()))
        .unwrap();
    for format in ["text", "json"] {
        let of = ["-c", path.to_str().unwrap()];
        let told =
            explain(&of, "GET http://h/", &["authorization: Basic xyzzy"], &["--format", format]).await;
        assert!(told.stdout.contains("x-api-key") && told.stdout.contains("[redacted]"), "{}", told.stdout);
        for secret in ["abcdef", "xyzzy", "inner"] {
            assert!(!told.stdout.contains(secret), "{secret} is in\n{}", told.stdout);
        }
    }
}

#[tokio::test]
async fn the_listener_is_that_of_the_port_or_has_to_be_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    let text = Bootstrap::to(refusing_address()).text("127.0.0.1:10000".parse().unwrap());
    let mut whole: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let mut second = whole["static_resources"]["listeners"][0].clone();
    second["name"] = "second".into();
    second["address"]["socket_address"]["port_value"] = 10_001.into();
    whole["static_resources"]["listeners"].as_sequence_mut().unwrap().push(second);
    std::fs::write(&path, serde_yaml::to_string(&whole).unwrap()).unwrap();
    let of = ["-c", path.to_str().unwrap()];
    let by_port = explain(&of, "GET http://h:10001/", &[], &[]).await;
    assert!(by_port.stdout.contains("listener \"second\""), "{}", by_port.stdout);
    assert!(by_port.stdout.contains("it has the URL's port, 10001"), "{}", by_port.stdout);
    let named = explain(&of, "GET http://h/", &[], &["--listener", "main"]).await;
    assert!(named.stdout.contains("listener \"main\""), "{}", named.stdout);
    let neither = explain(&of, "GET http://h/", &[], &[]).await;
    assert_eq!(neither.code, Some(2));
    let why = "no listener has the URL's port, 80; say which with --listener NAME: \"main\" at 127.0.0.1:10000, \"second\"";
    assert!(neither.stderr.contains(why), "{}", neither.stderr);
}

#[tokio::test]
async fn every_listener_of_the_example_configurations_can_be_asked() {
    let mut asked = 0;
    for folder in ["configs", "configs/tracing"] {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            let whole: serde_yaml::Value =
                serde_yaml::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
            for listener in whole["static_resources"]["listeners"].as_sequence().unwrap() {
                let Some(name) = listener["name"].as_str() else { continue };
                let of = ["-c", file.to_str().unwrap()];
                let told = explain(&of, "GET http://localhost/", &[], &["--listener", name]).await;
                // Some name files or variables that are not here.
                if told.code == Some(2) && told.stderr.contains("the configuration is bad") {
                    continue;
                }
                assert!(matches!(told.code, Some(0 | 1)), "{}: {told:?}", file.display());
                asked += 1;
            }
        }
    }
    assert!(asked >= 5, "{asked}");
}
