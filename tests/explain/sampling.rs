//! Whether a request is traced, and what decides that.

use super::{explain, json};
use crate::harness::{Bootstrap, CannedUpstream, OK, refusing_address};

const OPENTELEMETRY: &str = r#"
  provider:
    name: envoy.tracers.opentelemetry
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig
      http_service: {http_uri: {uri: "http://c/v1/traces", cluster: upstream, timeout: 1s}}
"#;
const ALL_BY_SAMPLER: &str = r#"
      sampler:
        name: envoy.tracers.opentelemetry.samplers.trace_id_ratio_based
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.tracers.opentelemetry.samplers.v3.TraceIdRatioBasedSamplerConfig
          sampling_percentage: {numerator: 100}
"#;
const ZIPKIN: &str = r#"
  provider:
    name: envoy.tracers.zipkin
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.ZipkinConfig
      collector_cluster: upstream
      collector_endpoint: /api/v2/spans
      collector_endpoint_version: HTTP_JSON
"#;
const XRAY: &str = r#"
  provider:
    name: envoy.tracers.xray
    typed_config:
      "@type": type.googleapis.com/envoy.config.trace.v3.XRayConfig
      segment_name: shop
      daemon_endpoint: {protocol: UDP, address: 127.0.0.1, port_value: 2000}
"#;

const ID: &str = "x-request-id: 12345678-1234-4234-8234-123456789abc";
const PARENT: &str = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0";

#[tokio::test]
async fn the_sampling_is_that_of_envoys_rules_and_of_the_tracer() {
    let percentages = |client: u32, random: u32, overall: u32| {
        format!(
            "client_sampling: {{value: {client}}}, random_sampling: {{value: {random}}}, overall_sampling: {{value: {overall}}}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    for (provider, sampling, headers, percent, step) in [
        (OPENTELEMETRY, percentages(100, 5, 100), vec![], Some(5.0), "random_sampling is 5 %"),
        (OPENTELEMETRY, percentages(100, 60, 40), vec![], Some(40.0), "overall_sampling is 40 %"),
        // One half by the client's word, of the other half a tenth by chance.
        (
            OPENTELEMETRY,
            percentages(50, 10, 100),
            vec!["x-client-trace-id: c"],
            Some(55.0),
            "client_sampling is 50 %",
        ),
        // Its first eight digits, modulo 10,000, are 9896.
        (OPENTELEMETRY, percentages(100, 98, 100), vec![ID], Some(0.0), "is the client's (12345678-"),
        (OPENTELEMETRY, percentages(100, 99, 100), vec![ID], Some(100.0), "random_sampling is 99 %"),
        (
            OPENTELEMETRY,
            percentages(0, 0, 100),
            vec!["x-envoy-force-trace: 1"],
            Some(0.0),
            "the client is not internal",
        ),
        (OPENTELEMETRY, percentages(0, 100, 100), vec![PARENT], Some(0.0), "the hop before says no"),
        (ZIPKIN, percentages(0, 0, 100), vec!["b3: 1"], Some(100.0), "the hop before says yes"),
        (
            XRAY,
            percentages(100, 100, 100),
            vec![],
            None,
            "the default rule decides: the first 1 each second, and 5 % of the others",
        ),
        (
            XRAY,
            percentages(0, 0, 0),
            vec!["x-amzn-trace-id: Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"],
            Some(100.0),
            "x-amzn-trace-id: Root=",
        ),
    ] {
        let parent = format!("{PARENT}0");
        let headers: Vec<&str> =
            headers.into_iter().map(|header| if header == PARENT { &*parent } else { header }).collect();
        let tracing = format!("tracing:\n  {}{provider}", sampling.replace(", ", "\n  "));
        std::fs::write(
            &file,
            Bootstrap::to(refusing_address()).manager(&tracing).text("127.0.0.1:1".parse().unwrap()),
        )
        .unwrap();
        let of = ["-c", file.to_str().unwrap()];
        let told = json(&explain(&of, "GET http://h/", &headers, &["--format", "json"]).await);
        let about = format!("{provider} {sampling} {headers:?}: {}", told["tracing"]);
        let found = told["tracing"]["percent"].as_f64();
        assert_eq!(found.map(|found| (found * 1e6).round() / 1e6), percent, "{about}");
        let steps = told["tracing"]["steps"].as_array().unwrap();
        assert!(steps.iter().any(|found| found.as_str().unwrap().contains(step)), "{step}: {about}");
    }
}

#[tokio::test]
async fn a_sampler_is_tried_for_the_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    let tracing = format!("tracing:{OPENTELEMETRY}{}", ALL_BY_SAMPLER.trim_start_matches('\n'));
    std::fs::write(
        &file,
        Bootstrap::to(refusing_address()).manager(&tracing).text("127.0.0.1:1".parse().unwrap()),
    )
    .unwrap();
    let told = explain(&["-c", file.to_str().unwrap()], "GET http://h/", &[], &[]).await;
    assert!(
        told.stdout.contains("sampler: of 1000 traces begun for this request it takes 1000\n"),
        "{told:?}"
    );
}

#[tokio::test]
async fn asking_takes_nothing_from_the_target_of_an_x_ray_rule() {
    let mut host = CannedUpstream::answering(OK).await;
    let tracing = format!("tracing:{XRAY}");
    let proxy = Bootstrap::to(host.address()).manager(&tracing).admin().start().await;
    let admin = proxy.admin().0.to_string();
    for _ in 0..3 {
        let told = explain(&["--live", &admin], "GET http://h/", &[], &[]).await;
        assert!(told.stdout.contains("traced as X-Ray's rule says"), "{told:?}");
    }
    // The first in its second is traced, and of the others one in twenty.
    proxy.connect().await.get("/").await;
    let request = host.request().await;
    assert!(request.header("x-amzn-trace-id").unwrap().contains("Sampled=1"), "{request:?}");
}

#[tokio::test]
async fn a_span_is_called_what_the_hop_before_says_whether_it_is_sampled_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.yaml");
    for percent in [1, 100] {
        let tracing = format!("tracing:\n  random_sampling: {{value: {percent}}}{OPENTELEMETRY}");
        let routes = "[{match: {prefix: /}, decorator: {operation: ours}, route: {cluster: upstream}}]";
        let bootstrap = Bootstrap::to(refusing_address()).manager(&tracing).routes(routes);
        std::fs::write(&file, bootstrap.text("127.0.0.1:1".parse().unwrap())).unwrap();
        let of = ["-c", file.to_str().unwrap()];
        for (headers, name) in [(&["x-envoy-decorator-operation: theirs"][..], "theirs"), (&[], "ours")] {
            let told = explain(&of, "GET http://h/", headers, &[]).await;
            assert!(told.stdout.contains(&format!("  span \"{name}\", SERVER\n")), "{told:?}");
        }
    }
}
