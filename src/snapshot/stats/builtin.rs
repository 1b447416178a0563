//! The tags that Envoy takes from the names of statistics unless it is told otherwise, as far as spanway has such names.
//!
//! A name is cut at its dots, wherever these come from: of the cluster `a.b` the tag says `a`, and `b` stays in the name.

use std::ops::Range;

/// What a tag takes from a name: what is cut out of it, and which part of that is the tag's value.
pub(super) type Extracted = (Range<usize>, Range<usize>);

/// A tag of Envoy's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Builtin {
    /// `envoy.cluster_name`
    pub(super) tag: &'static str,
    /// The first segment of names that have it; `None` if any may.
    pub(super) token: Option<&'static str>,
    /// Finds it.
    pub(super) find: fn(&str) -> Option<Extracted>,
}

/// All of them, in the order in which they are looked for.
pub(super) const BUILTINS: [Builtin; 9] = [
    Builtin { tag: "envoy.response_code", token: None, find: response_code },
    Builtin { tag: "envoy.response_code_class", token: None, find: response_code_class },
    Builtin { tag: "envoy.virtual_cluster", token: Some("vhost"), find: virtual_cluster },
    Builtin { tag: "envoy.cluster_name", token: Some("cluster"), find: second },
    Builtin { tag: "envoy.http_conn_manager_prefix", token: Some("listener"), find: of_listener },
    Builtin { tag: "envoy.http_conn_manager_prefix", token: Some("http"), find: second },
    Builtin { tag: "envoy.listener_address", token: Some("listener"), find: listener_address },
    Builtin { tag: "envoy.virtual_host", token: Some("vhost"), find: second },
    Builtin { tag: "envoy.route", token: Some("vhost"), find: route },
];

/// Which worker, which is told of listeners only. It is looked for like a name without a first segment of its own.
pub(super) const WORKER: Builtin = Builtin { tag: "envoy.worker_id", token: None, find: worker };

/// Tags of Envoy's for names that spanway does not have.
pub(crate) const UNKNOWN_DEFAULTS: &[&str] = &[
    "envoy.clientssl_prefix",
    "envoy.connection_limit_prefix",
    "envoy.dns_filter_prefix",
    "envoy.dynamo_operation",
    "envoy.dynamo_partition_id",
    "envoy.dynamo_table",
    "envoy.ext_authz_prefix",
    "envoy.fault_downstream_cluster",
    "envoy.google_grpc_client_prefix",
    "envoy.grpc_bridge_method",
    "envoy.grpc_bridge_service",
    "envoy.http_user_agent",
    "envoy.local_http_ratelimit_prefix",
    "envoy.local_listener_ratelimit_prefix",
    "envoy.local_network_ratelimit_prefix",
    "envoy.mongo_callsite",
    "envoy.mongo_cmd",
    "envoy.mongo_collection",
    "envoy.mongo_prefix",
    "envoy.proxy_protocol_prefix",
    "envoy.proxy_protocol_version",
    "envoy.ratelimit_prefix",
    "envoy.rbac_http_prefix",
    "envoy.rbac_policy_name",
    "envoy.rbac_prefix",
    "envoy.rds_route_config",
    "envoy.redis_prefix",
    "envoy.scoped_rds_config",
    "envoy.ssl_cipher",
    "envoy.ssl_curve",
    "envoy.ssl_sigalg",
    "envoy.ssl_version",
    "envoy.tcp_prefix",
    "envoy.thrift_prefix",
    "envoy.tls_certificate",
    "envoy.udp_prefix",
    "envoy.xds_resource_name",
];

/// `_200` at the end of `..._rq_200`.
fn response_code(name: &str) -> Option<Extracted> {
    let at = name.len().checked_sub(4)?;
    let code = name.get(at + 1..)?;
    let head = name.get(..=at)?;
    (head.ends_with("_rq_") && code.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| (at..name.len(), at + 1..name.len()))
}

/// `2` in `..._rq_2xx`.
fn response_code_class(name: &str) -> Option<Extracted> {
    let head = name.strip_suffix("xx")?;
    let at = head.len().checked_sub(1)?;
    let is_class = head.get(at..)?.bytes().all(|byte| byte.is_ascii_digit());
    (is_class && head.get(..at)?.ends_with("_rq_")).then(|| (at..at + 1, at..at + 1))
}

/// The segment of `name` that begins at `at`, with the dot behind it, if something follows.
fn segment(name: &str, at: usize) -> Option<Extracted> {
    let length = name.get(at..)?.find('.')?;
    (at + length + 1 < name.len()).then(|| (at..at + length + 1, at..at + length))
}

/// The second segment.
fn second(name: &str) -> Option<Extracted> {
    segment(name, name.find('.')? + 1)
}

/// `NAME.` of `vhost.HOST.vcluster.NAME.`
fn virtual_cluster(name: &str) -> Option<Extracted> {
    below_virtual_host(name, "vcluster.")
}

/// `PREFIX.` of `vhost.HOST.route.PREFIX.`
fn route(name: &str) -> Option<Extracted> {
    below_virtual_host(name, "route.")
}

fn below_virtual_host(name: &str, kind: &str) -> Option<Extracted> {
    let (host, _) = second(name)?;
    name.get(host.end..)?.starts_with(kind).then(|| segment(name, host.end + kind.len())).flatten()
}

/// `PREFIX.` of `listener.ADDRESS.http.PREFIX.`
fn of_listener(name: &str) -> Option<Extracted> {
    const HTTP: &str = ".http.";
    let rest = name.strip_prefix("listener.")?;
    let at = rest.find(HTTP)?;
    segment(name, name.len() - rest.len() + at + HTTP.len())
}

/// `ADDRESS.` of `listener.ADDRESS.`: an IPv4 address with its port has dots of its own.
fn listener_address(name: &str) -> Option<Extracted> {
    let (first, _) = second(name)?;
    let (mut end, mut dots) = (first.end, 0);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    for part in name.get(first.start..)?.split('.') {
        match (dots, part.split_once('_')) {
            (0..3, None) if is_number(part) => dots += 1,
            (3, Some((last, port))) if is_number(last) && is_number(port) => {
                let length = name.get(first.start..)?.match_indices('.').nth(3)?.0;
                end = first.start + length + 1;
                break;
            }
            _ => break,
        }
    }
    Some((first.start..end, first.start..end - 1))
}

/// `N.` of `listener.ADDRESS.worker_N.`
fn worker(name: &str) -> Option<Extracted> {
    const WORKER: &str = "worker_";
    if !name.starts_with("listener.") {
        return None;
    }
    let (address, _) = listener_address(name)?;
    name.get(address.end..)?.strip_prefix(WORKER)?;
    let (cut, value) = segment(name, address.end + WORKER.len())?;
    name.get(value.clone())?.bytes().all(|byte| byte.is_ascii_digit()).then_some((cut, value))
}
