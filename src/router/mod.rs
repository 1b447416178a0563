//! The last step of a request's way: cluster, host, upstream request.

pub(crate) mod header_transform;
pub(crate) mod route_matcher;

use std::{
    cell::RefCell,
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_LENGTH, COOKIE, HOST, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
    uri::{Authority, InvalidUri, PathAndQuery, Scheme},
};
use hyper::body::{Body, Incoming};

use self::header_transform::{MutationLevels, rewrite_path, split_path, substitute};
use crate::{
    body::RequestBody,
    cluster::{ClusterManager, WorkerCluster},
    http_headers::{
        X_ENVOY_ATTEMPT_COUNT, X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, X_ENVOY_ORIGINAL_HOST, X_ENVOY_ORIGINAL_PATH,
        X_ENVOY_UPSTREAM_SERVICE_TIME, X_FORWARDED_HOST,
    },
    snapshot::{
        ClusterId, Snapshot,
        cluster::UpstreamProtocol,
        matcher::{header_text, query_parameter},
        route::{
            ClusterChoice, HashSource, HeaderMutations, HostRewrite, Route, RouteAction, RouteConfiguration,
            VirtualHost,
        },
        tracing::Tracing,
    },
    stream_info::{
        StreamInfo,
        formatter::{FormatContext, PseudoHeaders},
    },
    trace::{self, attempt},
    upstream::{self, Failure, UpstreamBody},
};

/// What the router needs besides the request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouterContext<'a, 's> {
    /// The stream.
    pub(crate) info: &'s Rc<StreamInfo>,
    /// This worker's clusters.
    pub(crate) clusters: &'a ClusterManager,
    /// Names of clusters, for `cluster_header`.
    pub(crate) snapshot: &'a Snapshot,
    /// All routes.
    pub(crate) config: &'a RouteConfiguration,
    /// The virtual host.
    pub(crate) virtual_host: &'a VirtualHost,
    /// The route.
    pub(crate) route: &'a Route,
    /// A random number that stays the same for the stream.
    pub(crate) random: u64,
    /// `:scheme`
    pub(crate) scheme: &'static str,
    /// The client may send and get trailers.
    pub(crate) downstream_trailers: bool,
    /// Do not make `x-envoy-*` headers.
    pub(crate) suppress_envoy_headers: bool,
    /// How the listener traces, if it does.
    pub(crate) tracing: Option<&'a Tracing>,
    /// Where the request is kept as it goes upstream, for formats of response headers; only if there are any.
    pub(crate) kept: Option<&'s RefCell<Option<Box<Parts>>>>,
}

/// What formats read of a request.
pub(crate) fn copy_request(parts: &Parts) -> Box<Parts> {
    let mut copy = Request::new(()).into_parts().0;
    copy.method = parts.method.clone();
    copy.uri = parts.uri.clone();
    copy.headers = parts.headers.clone();
    Box::new(copy)
}

/// Why a request got no response from a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouterFailure {
    /// The route names a cluster that does not exist; answer with this status.
    NoCluster(StatusCode),
    /// The cluster has no host.
    NoHost,
    /// The host gave none.
    Upstream(Failure),
}

/// The cluster that a request goes to.
pub(crate) struct Target<'a> {
    cluster: &'a WorkerCluster,
    /// Mutations of the weighted cluster that was drawn.
    pub(crate) mutations: Option<&'a HeaderMutations>,
}

/// Choose the cluster of a request.
pub(crate) fn choose_cluster<'a>(
    action: &'a RouteAction,
    headers: &HeaderMap,
    context: &RouterContext<'a, '_>,
) -> Result<Target<'a>, RouterFailure> {
    let (id, mutations) = draw_cluster(action, headers, context.random, context.snapshot);
    let find = |id: ClusterId| context.clusters.cluster(id);
    let cluster = id.and_then(find).ok_or(RouterFailure::NoCluster(action.cluster_not_found))?;
    *context.info.cluster.borrow_mut() = Some(std::sync::Arc::clone(&cluster.state.config));
    Ok(Target { cluster, mutations })
}

/// The cluster that a route leads to for a request, and the mutations of a weighted one.
pub(crate) fn draw_cluster<'a>(
    action: &'a RouteAction,
    headers: &HeaderMap,
    random: u64,
    snapshot: &Snapshot,
) -> (Option<ClusterId>, Option<&'a HeaderMutations>) {
    match &action.cluster {
        ClusterChoice::One(cluster) => (cluster.as_ref().ok().copied(), None),
        ClusterChoice::Weighted { clusters, total } => {
            let mut place = random % (*total).max(1);
            let drawn = clusters.iter().find(|cluster| {
                let weight = u64::from(cluster.weight);
                let here = place < weight;
                place = place.wrapping_sub(weight);
                here
            });
            (drawn.and_then(|cluster| cluster.cluster), drawn.map(|cluster| &cluster.headers))
        }
        ClusterChoice::Header(name) => {
            let named = headers.get(name).map(header_text);
            (named.and_then(|name| snapshot.cluster_index.get(name).copied()), None)
        }
    }
}

/// Send a request to a host of its cluster and wait for the headers of the response.
pub(crate) async fn forward(
    action: &RouteAction,
    target: &Target<'_>,
    mut parts: Parts,
    body: Incoming,
    context: &RouterContext<'_, '_>,
) -> Result<Response<UpstreamBody>, RouterFailure> {
    let info = context.info;
    let cluster = target.cluster;
    let hash = hash_request(action, &parts, info);
    let keep = |parts: &Parts| context.kept.map(|kept| kept.replace(Some(copy_request(parts))));
    let Some(pool) = cluster.choose_host(hash) else {
        keep(&parts);
        return Err(RouterFailure::NoHost);
    };
    let (http2, trailers) = match &cluster.state.config.protocol {
        UpstreamProtocol::Http1 { enable_trailers } => (false, *enable_trailers),
        UpstreamProtocol::Http2(_) => (true, true),
        UpstreamProtocol::Downstream { enable_trailers, .. } => {
            let http2 = info.protocol == Version::HTTP_2;
            (http2, http2 || *enable_trailers)
        }
    };
    prepare_headers(action, target, &mut parts, &pool.host.hostname, context);
    keep(&parts);
    // To the formats of request headers it is not known yet.
    *info.upstream_host.borrow_mut() = Some(std::sync::Arc::clone(&pool.host.address_text));
    info.attempts.set(info.attempts.get() + 1);
    if context.virtual_host.include_request_attempt_count && !context.suppress_envoy_headers {
        parts.headers.insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(info.attempts.get()));
    }
    if let Some(tracing) = context.tracing {
        trace::stream::note_request(info, path_and_query(&parts.uri), &parts.headers, &pool.host.metadata);
        attempt::start(info, tracing, &context.snapshot.node);
        attempt::chose_host(info, &pool.host.address_text);
        trace::stream::inject(info, tracing, &mut parts.headers);
    }
    let upgrade = parts.headers.contains_key(UPGRADE);
    if info.protocol == Version::HTTP_2 {
        join_cookies(&mut parts.headers);
    }
    if http2 {
        address_http2(&mut parts, context.scheme);
    } else {
        frame_http1(&parts.method, &mut parts.headers, body.is_end_stream());
    }

    info.upstream_trailers.set(trailers);
    let body = RequestBody::new(body, Rc::clone(info), trailers && context.downstream_trailers);
    let request = Request::from_parts(parts, body);
    let mut response = upstream::exchange(&pool, request, info).await.map_err(|failure| {
        attempt::failed(info, failure.reason(), failure.flag());
        RouterFailure::Upstream(failure)
    })?;
    info.touch();
    attempt::responded(info, response.status().as_u16());
    // The time counts from the end of the request; a response that comes earlier has none. (What asks for an upgrade
    // has no end.)
    if !context.suppress_envoy_headers
        && !upgrade
        && let Some(end) = info.request_end.get()
    {
        let milliseconds = u64::try_from(end.elapsed().as_millis()).unwrap_or(u64::MAX);
        response.headers_mut().insert(X_ENVOY_UPSTREAM_SERVICE_TIME, HeaderValue::from(milliseconds));
    }
    if context.virtual_host.include_attempt_count_in_response && !context.suppress_envoy_headers {
        response.headers_mut().insert(X_ENVOY_ATTEMPT_COUNT, HeaderValue::from(info.attempts.get()));
    }
    Ok(response)
}

/// What the route asks for: mutations, rewrites, `x-envoy-*`.
fn prepare_headers(
    action: &RouteAction,
    target: &Target<'_>,
    parts: &mut Parts,
    hostname: &str,
    context: &RouterContext<'_, '_>,
) {
    match &action.expected_timeout_ms {
        Some(timeout) if !context.suppress_envoy_headers => {
            parts.headers.insert(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS, timeout.clone());
        }
        _ => drop(parts.headers.remove(X_ENVOY_EXPECTED_RQ_TIMEOUT_MS)),
    }
    let levels = mutation_levels(target.mutations, context);
    if levels.change_requests() {
        // Formats read what came in, so they get a copy; only requests with mutations pay for it.
        let (before, uri, method) = (parts.headers.clone(), parts.uri.clone(), parts.method.clone());
        let format = FormatContext {
            info: context.info,
            request: &before,
            pseudo: PseudoHeaders {
                method: method.as_str(),
                path: path_and_query(&uri),
                authority: before.get(HOST).map_or("", header_text),
                scheme: context.scheme,
            },
            response: None,
        };
        levels.apply_to_request(&mut parts.headers, &format);
    }
    rewrite_host(action, parts, hostname);
    if let Some(rewrite) = &action.path_rewrite {
        let before = path_and_query(&parts.uri).to_owned();
        let after = rewrite_path(rewrite, &context.route.matcher.path, &before);
        if let Ok(rewritten) = valid_path(after) {
            parts.uri = Uri::from(rewritten);
            if !context.suppress_envoy_headers
                && let Ok(original) = HeaderValue::from_str(&before)
            {
                parts.headers.insert(X_ENVOY_ORIGINAL_PATH, original);
            }
        }
    }
}

/// A path that a rewrite has made. What no request target can hold is escaped, and it begins with a slash.
fn valid_path(path: String) -> Result<PathAndQuery, InvalidUri> {
    if path.starts_with('/') && !path.contains('#') {
        let unchanged = PathAndQuery::try_from(path.as_str());
        if unchanged.is_ok() {
            return unchanged;
        }
    }
    let mut escaped = String::with_capacity(path.len() + 16);
    if !path.starts_with('/') {
        escaped.push('/');
    }
    for letter in path.chars() {
        match letter {
            '"' | '#' | '<' | '>' | '^' | '`' | '{' | '|' | '}' | '\0'..=' ' | '\x7f' => {
                escaped.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            letter => escaped.push(letter),
        }
    }
    PathAndQuery::from_maybe_shared(escaped)
}

/// The mutations that the request's route asks for.
pub(crate) fn mutation_levels<'a>(
    weighted_cluster: Option<&'a HeaderMutations>,
    context: &RouterContext<'a, '_>,
) -> MutationLevels<'a> {
    MutationLevels {
        weighted_cluster,
        route: &context.route.headers,
        virtual_host: &context.virtual_host.headers,
        config: context.config,
    }
}

fn rewrite_host(action: &RouteAction, parts: &mut Parts, hostname: &str) {
    let Some(rewrite) = &action.host_rewrite else { return };
    let host = match rewrite {
        HostRewrite::Literal(host) => Some(host.clone()),
        HostRewrite::Header(name) => parts.headers.get(name).filter(|value| !value.is_empty()).cloned(),
        HostRewrite::PathRegex(regex, substitution) => {
            let (path, _) = split_path(path_and_query(&parts.uri));
            HeaderValue::from_str(&substitute(regex, substitution, path)).ok()
        }
        HostRewrite::Auto if hostname.is_empty() => None,
        HostRewrite::Auto => HeaderValue::from_str(hostname).ok(),
    };
    let Some(host) = host else { return };
    let Some(before) = parts.headers.insert(HOST, host) else { return };
    parts.headers.insert(X_ENVOY_ORIGINAL_HOST, before.clone());
    if action.append_x_forwarded_host {
        append_forwarded_host(&mut parts.headers, &before);
    }
}

fn append_forwarded_host(headers: &mut HeaderMap, host: &HeaderValue) {
    let value = match headers.get(X_FORWARDED_HOST) {
        None => Some(host.clone()),
        Some(list) if list.as_bytes().rsplit(|byte| *byte == b',').next() == Some(host.as_bytes()) => None,
        Some(list) => HeaderValue::from_bytes(&[list.as_bytes(), host.as_bytes()].join(&b',')).ok(),
    };
    if let Some(value) = value {
        headers.insert(X_FORWARDED_HOST, value);
    }
}

/// The path and query of a URI that has at least `/`.
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}

/// HTTP/2 carries scheme and authority with the path instead of `host` (RFC 9113, 8.3.1).
fn address_http2(parts: &mut Parts, scheme: &str) {
    let Some(host) = parts.headers.remove(HOST) else { return };
    // No authority: there is none to name (RFC 9113, 8.3.1).
    if host.is_empty() {
        return;
    }
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(if scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
    uri.authority = Authority::try_from(host.as_bytes()).ok();
    if uri.path_and_query.is_none() {
        uri.path_and_query = Some(PathAndQuery::from_static("/"));
    }
    match Uri::from_parts(uri) {
        Ok(uri) => parts.uri = uri,
        // Not an authority: it was good enough for `host`, and hyper will refuse what is left.
        Err(_) => drop(parts.headers.insert(HOST, host)),
    }
}

/// Say where the request ends, whatever its method: hyper would send no body with a GET that does not say so, and
/// some hosts refuse a POST without a length (RFC 9112, 6.3).
fn frame_http1(method: &Method, headers: &mut HeaderMap, empty: bool) {
    if headers.contains_key(CONTENT_LENGTH) {
        return;
    }
    let bodiless =
        matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::TRACE | Method::CONNECT);
    if !empty {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    } else if !bodiless {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
}

/// A client that splits its cookies over several lines (RFC 9113, 8.2.3) means one, and so do hosts read it.
fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let crumbs = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect::<Vec<_>>();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// The hash that RING_HASH goes by: of all that the policies name, in order.
fn hash_request(action: &RouteAction, parts: &Parts, info: &StreamInfo) -> Option<u64> {
    if action.hash_policy.is_empty() {
        return None;
    }
    let mut found = false;
    let mut hasher = DefaultHasher::new();
    for policy in &action.hash_policy {
        let here = match &policy.source {
            HashSource::Header(name) => {
                parts.headers.get_all(name).iter().inspect(|value| value.as_bytes().hash(&mut hasher)).count()
                    > 0
            }
            HashSource::SourceIp => {
                info.remote.get().inspect(|address| address.ip().hash(&mut hasher)).is_some()
            }
            HashSource::QueryParameter(name) => query_parameter(parts.uri.query().unwrap_or_default(), name)
                .inspect(|value| value.hash(&mut hasher))
                .is_some(),
        };
        found |= here;
        if found && policy.terminal {
            break;
        }
    }
    found.then(|| hasher.finish())
}
