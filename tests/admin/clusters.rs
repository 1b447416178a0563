//! What the process tells of clusters and their hosts, held against what Envoy tells after the same requests.

use std::{collections::BTreeMap, net::SocketAddr};

use serde_json::Value;

use crate::{
    harness::{Admin, Bootstrap, CannedUpstream, OK, Wire, refusing_address, within},
    pair::{Pair, keys},
};

/// The lines of `/clusters` by cluster, host and name.
fn lines(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| {
            let (name, value) = line.rsplit_once("::").unwrap_or_else(|| panic!("{line}"));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The lines, once no request is under way any more: a response is there before all of it is counted.
async fn at_rest(admin: Admin) -> BTreeMap<String, String> {
    within(async {
        loop {
            let found = lines(admin.get("/clusters").await.text());
            let busy = |(name, value): (&String, &String)| name.ends_with("::rq_active") && value != "0";
            if !found.iter().any(busy) {
                return found;
            }
        }
    })
    .await
}

async fn visit(address: SocketAddr, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    Wire::connect(address).await.ask(&request).await.status()
}

#[tokio::test]
async fn clusters_and_their_hosts_are_described_as_by_envoy() {
    let host = refusing_address();
    let options = format!(
        r#"alt_stat_name: other
circuit_breakers: {{thresholds: [{{max_requests: 7, max_retries: 0}}]}}
load_assignment:
  endpoints:
  - locality: {{region: r, zone: z, sub_zone: s}}
    lb_endpoints:
    - {{endpoint: {{hostname: one, address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}, load_balancing_weight: 3}}
  - lb_endpoints:
    - {{endpoint: {{address: {{pipe: {{path: /nowhere}}}}}}, health_status: UNHEALTHY}}
    - {{endpoint: {{address: {{socket_address: {{address: "::1", port_value: {port}}}}}}}, health_status: DRAINING}}
    - {{endpoint: {{address: {{pipe: {{path: /elsewhere}}}}}}, health_status: TIMEOUT}}
"#,
        port = host.port()
    );
    let bootstrap = Bootstrap::to(host).cluster_options(&options).cluster("empty", &[]).admin();
    let pair = Pair::start(&bootstrap).await;
    let (ours, theirs) = pair.ask("GET", "/clusters").await;
    assert_eq!(lines(ours.text()), lines(theirs.text()));
    for path in ["/clusters?format=json&filter=upstream", "/clusters?format=json&filter=^empty$"] {
        let (ours, theirs) = pair.json(path).await;
        assert_eq!(ours, theirs, "{path}");
    }
    let (ours, theirs) = pair.json("/clusters?format=json").await;
    assert_eq!(keys(&ours), keys(&theirs));
    assert_eq!(ours["cluster_statuses"].as_array().map(Vec::len), Some(2));
    pair.assert_same("GET", "/clusters?filter=empt").await;
    pair.assert_same("GET", "/clusters?filter=none-is-called-so").await;
    pair.assert_same("GET", "/clusters?filter=%5B").await;
}

#[tokio::test]
async fn what_hosts_did_is_counted_as_by_envoy() {
    let well = CannedUpstream::answering(OK).await;
    let ill = CannedUpstream::answering("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n").await;
    let lost = CannedUpstream::answering("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n").await;
    // The system accepts connections for it, and nobody answers.
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listening.local_addr().unwrap();
    let routes = r#"
- {match: {path: /well}, route: {cluster: well}}
- {match: {path: /ill}, route: {cluster: ill}}
- {match: {path: /again}, route: {cluster: ill, retry_policy: {retry_on: 5xx, num_retries: 2}}}
- {match: {path: /lost}, route: {cluster: lost}}
- {match: {path: /refused}, route: {cluster: refused}}
- {match: {path: /late}, route: {cluster: silent, timeout: 0.05s}}
- {match: {path: /tries}, route: {cluster: silent, retry_policy: {retry_on: 5xx, num_retries: 1, per_try_timeout: 0.05s}}}
"#;
    let bootstrap = Bootstrap::empty()
        .cluster("well", &[well.address()])
        .cluster("ill", &[ill.address()])
        .cluster("lost", &[lost.address()])
        .cluster("refused", &[refusing_address()])
        .cluster("silent", &[silent])
        .routes(routes)
        .admin();
    let pair = Pair::start(&bootstrap).await;
    for path in
        ["/well", "/well", "/well", "/ill", "/again", "/lost", "/refused", "/refused", "/late", "/tries"]
    {
        let (ours, theirs) =
            (visit(pair.ours.address(), path).await, visit(pair.envoy_address(), path).await);
        assert_eq!(ours, theirs, "{path}");
    }
    let (ours, theirs) = (at_rest(pair.ours.admin()).await, at_rest(pair.envoy()).await);
    let differs = |(key, value): &(&String, &String)| theirs.get(*key) != Some(*value);
    let different: Vec<_> =
        ours.iter().filter(differs).map(|(key, value)| (key, value, theirs.get(key))).collect();
    assert!(different.is_empty(), "ours, Envoy's: {different:#?}");
    assert_eq!(ours.len(), theirs.len());
    let count = |name: &str| ours.iter().find(|(key, _)| key.ends_with(name)).map(|(_, value)| &**value);
    assert_eq!(count(&format!("{}::rq_success", well.address())), Some("3"));
    assert_eq!(count(&format!("{}::rq_error", ill.address())), Some("4"));
    assert_eq!(count(&format!("{}::rq_timeout", silent)), Some("3"));
    let cluster = pair.ours.admin().get("/clusters?format=json&filter=lost").await;
    let cluster: Value = serde_json::from_str(cluster.text()).unwrap();
    let stats = cluster["cluster_statuses"][0]["host_statuses"][0]["stats"].as_array().unwrap();
    assert!(stats.contains(&serde_json::json!({"name": "rq_success", "value": "1"})), "{stats:?}");
}
