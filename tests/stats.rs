//! Statistics through real sockets: `/stats` in its forms, and as Prometheus reads it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{collections::BTreeMap, time::Duration};

use harness::{Bootstrap, CannedUpstream, OK, Wire};
use serde_json::Value;
use tokio::time::Instant;

/// The lines of a page as names and values.
fn lines(page: &str) -> BTreeMap<&str, &str> {
    page.lines().filter_map(|line| line.split_once(": ")).collect()
}

#[tokio::test]
async fn requests_are_counted_and_counters_begin_again_when_they_are_told() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).admin().start().await;
    let admin = proxy.admin();
    let mut client = proxy.connect().await;
    for _ in 0..3 {
        assert_eq!(client.get("/").await.status(), 200);
    }
    let page = admin.get("/stats?usedonly").await.text().to_owned();
    let stats = lines(&page);
    let prefix = stats
        .keys()
        .find_map(|name| name.strip_suffix(".downstream_rq_2xx").filter(|name| name.starts_with("http.")))
        .unwrap();
    assert_eq!(stats[&*format!("{prefix}.downstream_rq_total")], "3");
    assert_eq!(stats[&*format!("{prefix}.downstream_cx_active")], "1");
    assert_eq!(stats["cluster.upstream.upstream_rq_200"], "3");
    assert!(stats[&*format!("{prefix}.downstream_rq_time")].starts_with("P0("), "{page}");
    assert!(!stats.contains_key("cluster.upstream.upstream_rq_timeout"), "it was never written");

    let reset =
        "POST /reset_counters HTTP/1.1\r\nhost: admin\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(Wire::connect(admin.0).await.ask(reset).await.text(), "OK\n");
    assert_eq!(client.get("/").await.status(), 200);
    let page = admin.get("/stats").await.text().to_owned();
    let stats = lines(&page);
    assert_eq!(stats[&*format!("{prefix}.downstream_rq_total")], "1");
    assert_eq!(stats[&*format!("{prefix}.downstream_cx_active")], "1", "a gauge is no counter");
    assert_eq!(stats["cluster.upstream.upstream_rq_timeout"], "0");
}

#[tokio::test]
async fn a_page_shows_what_is_asked_for() {
    let proxy = Bootstrap::empty().routes("[]").admin().start().await;
    let admin = proxy.admin();
    let names = async |query: &str| {
        let page = admin.get(&format!("/stats?{query}")).await.text().to_owned();
        page.lines().map(|line| line.split_once(':').unwrap().0.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names("filter=^server.live$").await, ["server.live"]);
    assert!(
        names("filter=downstream&type=Histograms")
            .await
            .iter()
            .all(|name| name.ends_with("_ms") || name.ends_with("_time"))
    );
    assert!(!names("filter=^server&invert_filter").await.contains(&"server.live".to_owned()));
    let cumulative =
        admin.get("/stats?filter=downstream_rq_time&histogram_buckets=cumulative").await.text().to_owned();
    assert!(cumulative.contains(": B0.5(0,0) B1(0,0)"), "{cumulative}");

    for (query, told) in [
        ("filter=((", "filter"),
        ("format=xml", "usage: /stats?format=(html|active-html|json|prometheus|text)"),
        ("type=Numbers", "usage: /stats?type="),
        ("histogram_buckets=many", "usage: /stats?histogram_buckets="),
    ] {
        let answer = admin.get(&format!("/stats?{query}")).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().contains(told), "{query}: {}", answer.text());
    }
    let html = admin.get("/stats?format=html&filter=%3Cscript%3E").await;
    assert!(html.text().contains("&lt;script&gt;") && !html.text().contains("<script>"), "{}", html.text());
}

#[tokio::test]
async fn programs_read_the_same_as_json() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).admin().start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
    let page =
        proxy.admin().get("/stats?format=json&filter=upstream_rq_(total|time)").await.text().to_owned();
    let page: Value = serde_json::from_str(&page).unwrap();
    let stats = page["stats"].as_array().unwrap();
    let total = stats.iter().find(|stat| stat["name"] == "cluster.upstream.upstream_rq_total").unwrap();
    assert_eq!(total["value"], 1);
    let histograms = &stats.last().unwrap()["histograms"];
    assert_eq!(histograms["supported_quantiles"].as_array().unwrap().len(), 10);
    assert!(histograms["computed_quantiles"][0]["values"][0]["cumulative"].is_number(), "{histograms}");
}

/// The samples of an exposition; each metric has one type, before its samples, and stands in one place.
fn samples(exposition: &str) -> BTreeMap<&str, f64> {
    let mut samples = BTreeMap::new();
    let mut types: Vec<(&str, &str)> = Vec::new();
    for line in exposition.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            let declared = declared.split_once(' ').unwrap();
            assert!(types.iter().all(|(name, _)| *name != declared.0), "{} twice", declared.0);
            types.push(declared);
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        let metric = name.split('{').next().unwrap();
        let (family, kind) = types.last().unwrap();
        let ends = if *kind == "histogram" { &["_bucket", "_sum", "_count"][..] } else { &[""] };
        assert!(ends.iter().any(|end| metric == format!("{family}{end}")), "{metric} below {family}");
        assert!(metric.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{metric}");
        assert!(samples.insert(name, value.parse().unwrap()).is_none(), "{name} twice");
    }
    samples
}

#[tokio::test]
async fn prometheus_gets_envoys_metrics_and_labels() {
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = Bootstrap::to(upstream.address()).admin().start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
    let answer = proxy.admin().get("/stats/prometheus").await;
    let page = answer.text().to_owned();
    let samples = samples(&page);
    assert_eq!(
        samples["envoy_cluster_upstream_rq{envoy_response_code=\"200\",envoy_cluster_name=\"upstream\"}"],
        1.0
    );
    assert_eq!(
        samples["envoy_cluster_upstream_rq_xx{envoy_response_code_class=\"2\",envoy_cluster_name=\"upstream\"}"],
        1.0
    );
    assert_eq!(samples["envoy_cluster_membership_healthy{envoy_cluster_name=\"upstream\"}"], 1.0);
    assert_eq!(
        samples["envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"upstream\",le=\"+Inf\"}"],
        1.0
    );
    assert_eq!(samples["envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"upstream\"}"], 1.0);
    assert_eq!(samples["envoy_server_live{}"], 1.0);
    let buckets =
        samples.iter().filter(|(name, _)| name.starts_with("envoy_cluster_upstream_rq_time_bucket"));
    assert_eq!(buckets.count(), 20);
}

#[tokio::test]
async fn five_hundred_clusters_are_told_in_a_moment() {
    /// Of a debug build on a machine that does other things; a release takes less than a tenth of a second.
    const MOMENT: Duration = Duration::from_secs(3);
    let mut bootstrap = Bootstrap::empty().routes("[]").admin();
    for number in 0..500 {
        bootstrap = bootstrap.cluster(&format!("c{number}"), &[]);
    }
    let proxy = bootstrap.start().await;
    let began = Instant::now();
    let page = proxy.admin().get("/stats/prometheus").await.text().to_owned();
    let took = began.elapsed();
    let samples = samples(&page);
    assert_eq!(
        samples.keys().filter(|name| name.starts_with("envoy_cluster_upstream_cx_total{")).count(),
        500
    );
    assert!(took < MOMENT, "it took {took:?}");
}

#[tokio::test]
async fn tags_of_the_configuration_are_labels_and_what_is_not_wanted_is_nowhere() {
    let upstream = CannedUpstream::answering(OK).await;
    let config = r#"
stats_config:
  stats_tags:
  - {tag_name: region, fixed_value: eu}
  - {tag_name: direction, regex: '((up|down)stream_)rq'}
  stats_matcher: {exclusion_list: {patterns: [{suffix: upstream_rq_completed}, {safe_regex: {regex: 'http\..*_total'}}]}}
  histogram_bucket_settings: [{match: {suffix: upstream_rq_time}, buckets: [60000, 0.25]}]
"#;
    let proxy = Bootstrap::to(upstream.address()).top(config).admin().start().await;
    assert_eq!(proxy.connect().await.get("/").await.status(), 200);
    let admin = proxy.admin();
    // What is kept of names changes nothing.
    for _ in 0..2 {
        let page = admin.get("/stats/prometheus").await.text().to_owned();
        let samples = samples(&page);
        let labels =
            "envoy_response_code=\"200\",region=\"eu\",direction=\"up\",envoy_cluster_name=\"upstream\"";
        assert_eq!(samples[&*format!("envoy_cluster_rq{{{labels}}}")], 1.0);
        let labels = "region=\"eu\",direction=\"up\",envoy_cluster_name=\"upstream\"";
        let buckets: Vec<_> =
            samples.keys().filter(|name| name.starts_with("envoy_cluster_rq_time_bucket")).collect();
        assert_eq!(buckets.len(), 3, "{buckets:?}");
        assert_eq!(samples[&*format!("envoy_cluster_rq_time_bucket{{{labels},le=\"60000\"}}")], 1.0);
        for path in ["/stats", "/stats?format=json", "/stats?format=html", "/stats/prometheus"] {
            let page = admin.get(path).await.text().to_owned();
            assert!(!page.contains("upstream_rq_completed") && page.contains("rq_time"), "{path}: {page}");
            assert!(!page.contains("http.test.downstream_cx_total"), "{path}");
        }
    }
    let page =
        admin.get("/stats?histogram_buckets=cumulative&filter=upstream_rq_time").await.text().to_owned();
    assert!(page.contains("cluster.upstream.upstream_rq_time: B0.25("), "{page}");
}

#[tokio::test]
async fn expressions_of_many_clusters_are_evaluated_once() {
    /// As above; without what is kept of names it would be twice as long each time.
    const MOMENT: Duration = Duration::from_secs(3);
    let mut bootstrap = Bootstrap::empty().routes("[]").admin().top(
        "stats_config: {stats_tags: [{tag_name: number, regex: '^cluster\\.(c(\\d+)\\.)'}, {tag_name: any, regex: '(_(cx|rq)_).*l'}]}",
    );
    for number in 0..500 {
        bootstrap = bootstrap.cluster(&format!("c{number}"), &[]);
    }
    let proxy = bootstrap.start().await;
    let first = proxy.admin().get("/stats/prometheus").await.text().to_owned();
    let began = Instant::now();
    let page = proxy.admin().get("/stats/prometheus").await.text().to_owned();
    let took = began.elapsed();
    assert_eq!(samples(&first).len(), samples(&page).len());
    assert_eq!(page.matches("number=\"499\"").count(), page.matches("envoy_cluster_name=\"c499\"").count());
    assert!(page.contains("number=\"499\"") && took < MOMENT, "it took {took:?}");
}
