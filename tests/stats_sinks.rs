//! Statistics as those get them to whom they are sent: StatsD, DogStatsD and collectors of OpenTelemetry.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it stands"
)]

mod harness;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use harness::{Bootstrap, CannedUpstream, DEADLINE, OK, TestProxy, run, within};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    common::v1::{KeyValue, any_value},
    metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, UdpSocket, UnixDatagram},
    sync::mpsc,
    time::{Duration, sleep, timeout},
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

/// What StatsD servers make of lines: the sum of a counter, the last value of a gauge, how often a timing came.
#[derive(Debug, Default)]
struct Server {
    counters: HashMap<String, u64>,
    gauges: HashMap<String, u64>,
    timings: HashMap<String, u64>,
    longest: usize,
    datagrams: usize,
}

impl Server {
    /// Names are as they stand in lines, with tags behind them.
    fn take(&mut self, datagram: &str) {
        self.longest = self.longest.max(datagram.len());
        self.datagrams += 1;
        for line in datagram.lines() {
            let (name, rest) = line.split_once(':').unwrap_or_else(|| panic!("{line}"));
            let mut parts = rest.split('|');
            let value: u64 = parts.next().unwrap().parse().unwrap_or_else(|_| panic!("{line}"));
            let kind = parts.next().unwrap();
            let (mut rate, mut name) = (1.0, name.to_owned());
            for part in parts {
                match part.split_at(1) {
                    ("@", text) => rate = text.parse::<f64>().unwrap(),
                    ("#", tags) => name = format!("{name} {tags}"),
                    _ => panic!("{line}"),
                }
            }
            match kind {
                "c" => *self.counters.entry(name).or_default() += value,
                "g" => drop(self.gauges.insert(name, value)),
                "ms" => *self.timings.entry(name).or_default() += (1.0 / rate).round() as u64,
                _ => panic!("{line}"),
            }
        }
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    /// Take datagrams until `enough`.
    async fn until(&mut self, socket: &UdpSocket, enough: impl Fn(&Self) -> bool) {
        let taking = async {
            let mut bytes = vec![0; 65536];
            while !enough(self) {
                let length = socket.recv(&mut bytes).await.unwrap();
                self.take(std::str::from_utf8(&bytes[..length]).unwrap());
            }
        };
        if timeout(DEADLINE, taking).await.is_err() {
            panic!("that is all that came: {self:#?}");
        }
    }
}

async fn udp() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A sink of that type and configuration, with flushes each 50 ms.
fn sink(kind: &str, config: &str) -> String {
    format!(
        "stats_flush_interval: 0.05s\n\
         stats_sinks: [{{name: a.sink, typed_config: {{\"@type\": type.googleapis.com/{kind}, {config}}}}}]"
    )
}

fn at(address: SocketAddr) -> String {
    format!(
        "address: {{socket_address: {{protocol: UDP, address: {}, port_value: {}}}}}",
        address.ip(),
        address.port()
    )
}

const STATSD: &str = "envoy.config.metrics.v3.StatsdSink";
const DOG_STATSD: &str = "envoy.config.metrics.v3.DogStatsdSink";
const OPEN_TELEMETRY: &str = "envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig";

async fn ask(proxy: &TestProxy, times: usize) {
    let mut client = proxy.connect().await;
    for _ in 0..times {
        assert_eq!(client.get("/").await.status(), 200);
    }
}

#[tokio::test]
async fn statsd_gets_all_that_was_counted_and_each_once() {
    let (socket, address) = udp().await;
    let upstream = CannedUpstream::answering(OK).await;
    let mut proxy = Bootstrap::to(upstream.address())
        .top(&sink(STATSD, &at(address)))
        .top("stats_config: {stats_matcher: {exclusion_list: {patterns: [{suffix: downstream_rq_completed}]}}}")
        .start()
        .await;
    let mut server = Server::default();
    ask(&proxy, 3).await;
    server.until(&socket, |server| server.counter("envoy.http.test.downstream_rq_total") == 3).await;
    ask(&proxy, 4).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    // What came with the last flush waits in the socket.
    let is_told = |server: &Server| server.gauges.get("envoy.http.test.downstream_cx_active") == Some(&0);
    let all =
        |server: &Server| server.counter("envoy.cluster.upstream.upstream_rq_200") == 7 && is_told(server);
    server.until(&socket, all).await;
    let mut bytes = vec![0; 65536];
    while let Ok(length) = socket.try_recv(&mut bytes) {
        server.take(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    assert_eq!(server.counter("envoy.http.test.downstream_rq_total"), 7);
    assert_eq!(server.counter("envoy.http.test.downstream_rq_2xx"), 7);
    assert_eq!(server.counter("envoy.cluster.upstream.external.upstream_rq_2xx"), 7);
    assert_eq!(server.timings["envoy.http.test.downstream_rq_time"], 7);
    assert_eq!(server.timings["envoy.cluster.upstream.upstream_rq_time"], 7);
    assert_eq!(server.gauges["envoy.cluster.upstream.membership_total"], 1);
    let names = server.counters.keys().chain(server.gauges.keys());
    let unwanted = names.filter(|name| name.ends_with("downstream_rq_completed")).collect::<Vec<_>>();
    assert_eq!(unwanted, Vec::<&String>::new(), "an excluded statistic is sent nowhere");
    assert!(!server.counters.contains_key("envoy.http.test.downstream_rq_timeout"), "it was never used");
}

#[tokio::test]
async fn dog_statsd_gets_tags_and_several_lines_in_a_datagram() {
    let (socket, address) = udp().await;
    let upstream = CannedUpstream::answering(OK).await;
    let config = format!("{}, prefix: my.proxy, max_bytes_per_datagram: 400", at(address));
    let proxy = Bootstrap::to(upstream.address())
        .top(&sink(DOG_STATSD, &config))
        .top("stats_config: {stats_tags: [{tag_name: region, fixed_value: eu}]}")
        .start()
        .await;
    ask(&proxy, 5).await;
    let mut server = Server::default();
    let codes = "my.proxy.cluster.upstream_rq envoy.response_code:200,region:eu,envoy.cluster_name:upstream";
    server.until(&socket, |server| server.counter(codes) == 5).await;
    let lines = server.counters.len() + server.gauges.len();
    assert!(server.longest <= 400 && server.longest > 200, "{}", server.longest);
    assert!(server.datagrams < lines, "{} datagrams for {lines} lines", server.datagrams);
}

#[tokio::test]
async fn statsd_over_tcp_goes_through_its_cluster() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Bootstrap::empty()
        .routes("[{match: {prefix: /}, direct_response: {status: 200}}]")
        .cluster("metrics", &[listener.local_addr().unwrap()])
        .top(&sink(STATSD, "tcp_cluster_name: metrics"))
        .start()
        .await;
    ask(&proxy, 2).await;
    let (stream, _) = within(listener.accept()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let mut server = Server::default();
    while server.counter("envoy.http.test.rq_direct_response") < 2 {
        server.take(&within(lines.next_line()).await.unwrap().unwrap());
    }
    assert_eq!(server.counter("envoy.http.test.rq_direct_response"), 2);
}

#[tokio::test]
async fn statsd_at_a_path_gets_datagrams() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("statsd");
    let socket = UnixDatagram::bind(&path).unwrap();
    let config = format!("address: {{pipe: {{path: \"{}\"}}}}", path.display());
    let _proxy = Bootstrap::empty().routes("[]").top(&sink(DOG_STATSD, &config)).start().await;
    let mut bytes = vec![0; 65536];
    let mut server = Server::default();
    while !server.gauges.contains_key("envoy.server.live") {
        let length = within(socket.recv(&mut bytes)).await.unwrap();
        server.take(std::str::from_utf8(&bytes[..length]).unwrap());
    }
    assert_eq!(server.gauges["envoy.server.live"], 1);
}

#[tokio::test]
async fn with_flushes_on_admin_nothing_is_sent_before_somebody_asks() {
    let (socket, address) = udp().await;
    let text =
        sink(STATSD, &at(address)).replace("stats_flush_interval: 0.05s", "stats_flush_on_admin: true");
    let proxy = Bootstrap::empty()
        .routes("[{match: {prefix: /}, direct_response: {status: 200}}]")
        .top(&text)
        .admin()
        .start()
        .await;
    ask(&proxy, 250).await;
    proxy.admin().get("/ready").await;
    assert!(socket.try_recv(&mut [0; 100]).is_err());
    proxy.admin().get("/stats/prometheus").await;
    let mut server = Server::default();
    server.until(&socket, |server| server.counter("envoy.http.test.rq_direct_response") == 250).await;
    assert_eq!(server.timings["envoy.http.test.downstream_rq_time"], 250, "some lines stand for several");
    assert!(server.datagrams < 250, "{}", server.datagrams);
}

/// A collector of metrics, which may refuse some of its first calls.
#[derive(Debug, Clone)]
struct Metrics {
    calls: mpsc::UnboundedSender<ExportMetricsServiceRequest>,
    refused: Arc<AtomicUsize>,
    rejects: Arc<AtomicI64>,
}

#[tonic::async_trait]
impl MetricsService for Metrics {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        // One in three, so that flushes of several calls break off in their middle.
        let left = self.refused.load(Ordering::SeqCst);
        if left > 0 && self.refused.fetch_sub(1, Ordering::SeqCst) % 3 == 1 {
            return Err(Status::unavailable("not yet"));
        }
        self.calls.send(request.into_inner()).unwrap();
        let rejected_data_points = self.rejects.load(Ordering::SeqCst);
        let error_message = if rejected_data_points > 0 { "too many" } else { "" }.to_owned();
        let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points, error_message });
        Ok(Response::new(ExportMetricsServiceResponse { partial_success }))
    }
}

/// What a collector got.
struct Collector {
    address: SocketAddr,
    calls: mpsc::UnboundedReceiver<ExportMetricsServiceRequest>,
    /// How many data points it says that it did not take.
    rejects: Arc<AtomicI64>,
}

impl Collector {
    async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), 0).await
    }

    async fn at(address: SocketAddr, refused: usize) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, calls) = mpsc::unbounded_channel();
        let rejects = Arc::new(AtomicI64::new(0));
        let refused = Arc::new(AtomicUsize::new(refused));
        let service = Metrics { calls: sender, refused, rejects: Arc::clone(&rejects) };
        let server = tonic::transport::Server::builder().add_service(MetricsServiceServer::new(service));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        Self { address, calls, rejects }
    }

    async fn call(&mut self) -> ExportMetricsServiceRequest {
        within(self.calls.recv()).await.unwrap()
    }

    /// The metrics of calls until those of one are `enough`.
    async fn until(
        &mut self,
        enough: impl Fn(&BTreeMap<String, Metric>) -> bool,
    ) -> BTreeMap<String, Metric> {
        loop {
            let metrics = by_name(&self.call().await);
            if enough(&metrics) {
                return metrics;
            }
        }
    }
}

fn by_name(call: &ExportMetricsServiceRequest) -> BTreeMap<String, Metric> {
    let metrics = &call.resource_metrics[0].scope_metrics[0].metrics;
    let all: BTreeMap<_, _> = metrics.iter().map(|metric| (metric.name.clone(), metric.clone())).collect();
    assert_eq!(all.len(), metrics.len(), "each metric once");
    all
}

fn text(attributes: &[KeyValue]) -> String {
    let attribute = |attribute: &KeyValue| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
        any_value::Value::StringValue(value) => format!("{}={value}", attribute.key),
        other => panic!("{other:?}"),
    };
    attributes.iter().map(attribute).collect::<Vec<_>>().join(" ")
}

/// The value of a sum or a gauge by its attributes.
fn value(metrics: &BTreeMap<String, Metric>, name: &str, attributes: &str) -> Option<i64> {
    let points = match metrics.get(name)?.data.as_ref().unwrap() {
        Data::Sum(sum) => &sum.data_points,
        Data::Gauge(gauge) => &gauge.data_points,
        other => panic!("{other:?}"),
    };
    let point = points.iter().find(|point| text(&point.attributes) == attributes)?;
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => Some(value),
        other => panic!("{other:?}"),
    }
}

fn exporting(upstream: &CannedUpstream, collector: SocketAddr, options: &str) -> Bootstrap {
    Bootstrap::to(upstream.address()).cluster("collector", &[collector]).over_http2().top(&sink(
        OPEN_TELEMETRY,
        &format!("grpc_service: {{envoy_grpc: {{cluster_name: collector}}, timeout: 5s}}{options}"),
    ))
}

#[tokio::test]
async fn opentelemetry_gets_cumulative_sums_gauges_and_histograms_with_attributes() {
    let mut collector = Collector::start().await;
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = exporting(&upstream, collector.address, "")
        .top("node: {id: proxy-7, cluster: shop}")
        .top("stats_config: {histogram_bucket_settings: [{match: {suffix: downstream_rq_time}, buckets: [60000, 0.5]}]}")
        .start()
        .await;
    ask(&proxy, 4).await;
    let named = "envoy.response_code=200 envoy.cluster_name=upstream";
    let is_there = |metrics: &BTreeMap<_, _>| value(metrics, "cluster.upstream_rq", named) == Some(4);
    let metrics = collector.until(is_there).await;
    let again = collector.until(is_there).await;
    assert_eq!(value(&again, "cluster.membership_healthy", "envoy.cluster_name=upstream"), Some(1));
    assert_eq!(value(&again, "http.downstream_rq_total", "envoy.http_conn_manager_prefix=test"), Some(4));
    assert!(!again.contains_key("http.downstream_rq_timeout"), "it was never used");

    let (Some(Data::Sum(one)), Some(Data::Sum(two))) =
        (&metrics["http.downstream_rq_total"].data, &again["http.downstream_rq_total"].data)
    else {
        panic!("a counter is a sum")
    };
    assert!(one.is_monotonic);
    assert_eq!(one.aggregation_temporality, AggregationTemporality::Cumulative as i32);
    let (one, two) = (&one.data_points[0], &two.data_points[0]);
    assert_eq!(one.start_time_unix_nano, two.start_time_unix_nano, "since the start");
    assert!(one.start_time_unix_nano < one.time_unix_nano && one.time_unix_nano < two.time_unix_nano);

    let Some(Data::Histogram(times)) = &again["http.downstream_rq_time"].data else { panic!("{again:#?}") };
    let point = &times.data_points[0];
    assert_eq!((point.count, point.explicit_bounds.as_slice()), (4, [0.5, 60000.0].as_slice()));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 4);
    assert_eq!(point.bucket_counts.len(), 3);
    assert_eq!(times.aggregation_temporality, AggregationTemporality::Cumulative as i32);

    let call = collector.call().await;
    let resource = text(&call.resource_metrics[0].resource.as_ref().unwrap().attributes);
    assert!(resource.contains("service.name=shop"), "{resource}");
    assert!(resource.contains("service.instance.id=proxy-7"), "{resource}");
    assert!(resource.contains("telemetry.sdk.name=spanway"), "{resource}");
    assert_eq!(call.resource_metrics[0].scope_metrics[0].scope.as_ref().unwrap().name, "spanway");
}

#[tokio::test]
async fn deltas_add_up_to_all_that_was_counted_even_if_calls_fail() {
    let mut collector = Collector::at("127.0.0.1:0".parse().unwrap(), 60).await;
    let upstream = CannedUpstream::answering(OK).await;
    let options = ", report_counters_as_deltas: true, report_histograms_as_deltas: true, \
                   use_tag_extracted_name: false, emit_tags_as_attributes: false, prefix: p, \
                   max_data_points_per_request: 10";
    let mut proxy = exporting(&upstream, collector.address, options).start().await;
    ask(&proxy, 3).await;
    let mut calls = Vec::new();
    // Long enough for all that is refused.
    while calls.len() < 45 {
        calls.push(collector.call().await);
    }
    ask(&proxy, 4).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    let (mut requests, mut times, mut before) = (0, 0, 0);
    while let Ok(call) = collector.calls.try_recv() {
        calls.push(call);
    }
    for call in &calls {
        let metrics = by_name(call);
        assert!(metrics.values().map(points).sum::<usize>() <= 10);
        if let Some(Metric { data: Some(Data::Sum(sum)), .. }) =
            metrics.get("p.http.test.downstream_rq_total")
        {
            assert_eq!(sum.aggregation_temporality, AggregationTemporality::Delta as i32);
            let point = &sum.data_points[0];
            assert!(point.start_time_unix_nano >= before && point.attributes.is_empty());
            before = point.time_unix_nano;
            requests += value(&metrics, "p.http.test.downstream_rq_total", "").unwrap();
        }
        if let Some(Metric { data: Some(Data::Histogram(histogram)), .. }) =
            metrics.get("p.http.test.downstream_rq_time")
        {
            assert_eq!(histogram.aggregation_temporality, AggregationTemporality::Delta as i32);
            times += histogram.data_points[0].count;
        }
    }
    assert_eq!((requests, times), (7, 7));
}

fn points(metric: &Metric) -> usize {
    match metric.data.as_ref().unwrap() {
        Data::Sum(sum) => sum.data_points.len(),
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_dead_collector_stops_no_traffic_is_counted_and_told_once_and_again_when_it_is_back() {
    let address = harness::free_address();
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = exporting(&upstream, address, "").admin().start().await;
    let failures = async |proxy: &TestProxy| {
        let page = proxy.admin().get("/stats?filter=stats_sinks").await.text().to_owned();
        let of = |name: &str| {
            let line =
                page.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned));
            line.unwrap_or_else(|| panic!("no {name} in {page}")).parse::<u64>().unwrap()
        };
        (of("stats_sinks.open_telemetry.flush_failure"), of("stats_sinks.open_telemetry.flush_success"))
    };
    while failures(&proxy).await.0 < 5 {
        ask(&proxy, 3).await;
    }
    assert_eq!(failures(&proxy).await.1, 0);
    let told = |log: &str| log.matches("statistics are not sent, requests are not affected").count();
    assert_eq!(told(&proxy.log()), 1, "{}", proxy.log());
    let mut collector = Collector::at(address, 0).await;
    collector.call().await;
    let back = async {
        while !proxy.log().contains("statistics get through to") {
            // Nothing tells when the log grows.
            sleep(Duration::from_millis(20)).await;
        }
    };
    within(back).await;
    assert!(failures(&proxy).await.1 > 0);
    assert_eq!(told(&proxy.log()), 1, "{}", proxy.log());
}

#[tokio::test]
async fn a_sink_that_hangs_holds_up_neither_requests_nor_other_sinks_nor_the_end() {
    // Connections are taken, and nothing is ever answered.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (socket, address) = udp().await;
    let upstream = CannedUpstream::answering(OK).await;
    let typed = |kind: &str, config: &str| {
        format!("{{name: s, typed_config: {{\"@type\": type.googleapis.com/{kind}, {config}}}}}")
    };
    let sinks = [
        typed(OPEN_TELEMETRY, "grpc_service: {envoy_grpc: {cluster_name: collector}, timeout: 60s}"),
        typed(STATSD, &at(address)),
    ];
    let mut proxy = Bootstrap::to(upstream.address())
        .cluster("collector", &[hanging.local_addr().unwrap()])
        .over_http2()
        .top(&format!("{{stats_flush_interval: 0.02s, stats_sinks: [{}]}}", sinks.join(", ")))
        .start()
        .await;
    let mut server = Server::default();
    for asked in 1..4 {
        ask(&proxy, 1).await;
        server.until(&socket, |server| server.counter("envoy.http.test.downstream_rq_total") == asked).await;
    }
    // The other one is told of flushes that the hanging one was not ready for.
    server.until(&socket, |server| server.counter("envoy.server.dropped_stat_flushes") > 3).await;
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_code().await, Some(0));
    assert!(proxy.log().contains("did not take the last statistics within 5s"), "{}", proxy.log());
}

#[tokio::test]
async fn data_points_that_a_collector_does_not_take_are_told() {
    let mut collector = Collector::start().await;
    collector.rejects.store(3, Ordering::SeqCst);
    let upstream = CannedUpstream::answering(OK).await;
    let proxy = exporting(&upstream, collector.address, "").start().await;
    collector.call().await;
    let told = async {
        while !proxy.log().contains("did not take 3 data points: too many") {
            collector.call().await;
        }
    };
    within(told).await;
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_told_of_datagrams_too() {
    let (socket, address) = udp().await;
    drop(socket);
    let proxy = Bootstrap::empty()
        .routes("[{match: {prefix: /}, direct_response: {status: 200}}]")
        .top(&sink(STATSD, &at(address)))
        .start()
        .await;
    let told = async {
        while !proxy.log().contains(&format!("stats sink \"a.sink\": {address} does not take datagrams")) {
            ask(&proxy, 1).await;
        }
    };
    within(told).await;
}

#[tokio::test]
async fn what_sinks_cannot_be_is_refused_by_its_name_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("envoy.yaml");
    for (sinks, told) in [
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.config.metrics.v3.HystrixSink}}]",
            "stats_sinks[0].typed_config: spanway does not implement envoy.config.metrics.v3.HystrixSink",
        ),
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.stat_sinks.graphite_statsd.v3.GraphiteStatsdSink}}]",
            "spanway does not implement envoy.extensions.stat_sinks.graphite_statsd.v3.GraphiteStatsdSink",
        ),
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.config.metrics.v3.MetricsServiceConfig}}]",
            "spanway does not implement envoy.config.metrics.v3.MetricsServiceConfig",
        ),
        ("[{name: x}]", "stats_sinks[0]: no typed_config"),
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.config.metrics.v3.StatsdSink, tcp_cluster_name: nope}}]",
            "stats_sinks[0].typed_config.tcp_cluster_name: unknown cluster \"nope\"",
        ),
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.config.metrics.v3.StatsdSink, address: {socket_address: {address: localhost, port_value: 1}}}}]",
            "\"localhost\" is not an IP address",
        ),
        (
            "[{name: x, typed_config: {'@type': type.googleapis.com/envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig, grpc_service: {envoy_grpc: {cluster_name: nope}}}}]",
            "unknown cluster \"nope\"",
        ),
    ] {
        std::fs::write(&path, format!("stats_sinks: {sinks}\n")).unwrap();
        let outcome = run(["-c", path.to_str().unwrap(), "--mode", "validate"]).await;
        assert_eq!(outcome.code, Some(1), "{sinks}");
        assert!(outcome.stderr.contains(told), "{sinks}:\n{}", outcome.stderr);
    }
}
