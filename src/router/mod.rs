//! The last step of a request's way: cluster, host, upstream request.

mod attempt_count;
mod attempts;
pub(crate) mod framing;
pub(crate) mod hash;
pub(crate) mod header_transform;
pub(crate) mod preparation;
pub(crate) mod retry;
pub(crate) mod route_matcher;
mod shadow;
pub(crate) mod timeouts;

use std::{
    cell::RefCell,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header::HOST, request::Parts,
    uri::PathAndQuery,
};
use hyper::body::{Body, Incoming};

use self::{
    attempt_count::AttemptCount,
    hash::hash_request,
    header_transform::MutationLevels,
    preparation::{Preparation, rewrite_to_chosen},
    timeouts::Timeouts,
};
use crate::{
    body::{ClientBody, RequestBody},
    cluster::{ClusterManager, WorkerCluster},
    http_headers::X_ENVOY_UPSTREAM_SERVICE_TIME,
    snapshot::{
        ClusterId, Snapshot,
        access_log::Wanted,
        matcher::header_text,
        route::{
            Action, ClusterChoice, HeaderMutations, Route, RouteAction, RouteConfiguration, VirtualHost,
        },
        tracing::Tracing,
    },
    stream_info::{
        IpText, ResponseFlag, StreamInfo, cause::AttemptOutcome, formatter::PseudoHeaders,
        observed::AttemptedHost,
    },
    trace::{self, attempt, buffer::SpanBuffer},
    upstream::{self, Failure, UpstreamBody, conn_pool::HostPool},
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
    /// The client asks to switch protocols, and may. What its route makes of the header does not count.
    pub(crate) upgrade: bool,
    /// The client is internal, so that it may say in headers how its request is retried.
    pub(crate) internal: bool,
    /// How long it may take.
    pub(crate) timeouts: Timeouts,
    /// This machine's address towards others.
    pub(crate) own_ip: &'a IpText,
    /// Bytes of the request that may be kept to be sent again, or until a copy is sent.
    pub(crate) buffer_limit_bytes: usize,
    /// How the listener traces, if it does.
    pub(crate) tracing: Option<&'a Tracing>,
    /// What access logs read of the request.
    pub(crate) wanted: &'a Wanted,
    /// Where spans go that end on their own.
    pub(crate) spans: &'a Rc<SpanBuffer>,
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
    /// The host gave none in the time of one attempt.
    PerTryTimeout,
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
    *context.info.cluster.borrow_mut() = Some(Rc::clone(&cluster.config));
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

/// Send a request to a host of its cluster and wait for the headers of the response: once, or again where an attempt
/// did not go well and the request may be retried.
pub(crate) async fn forward(
    action: &RouteAction,
    target: &Target<'_>,
    parts: &mut Parts,
    body: Incoming,
    context: &RouterContext<'_, '_>,
) -> Result<Response<UpstreamBody>, RouterFailure> {
    let info = context.info;
    info.attempts.set(1);
    let hash = hash_request(action, parts, info);
    let preparation = preparation(target, context);
    preparation.prepare(action, parts);
    let retries = preparation.retries(action, parts);
    let mut body = ClientBody::new(body, Rc::clone(info));
    shadow::send(action, parts, &mut body, hash, context);
    let mut response = match retries {
        None => {
            let pool = choose_host(action, target, parts, context, hash)?;
            let body = |trailers| RequestBody::once(body, trailers);
            attempt(&pool, parts, body, context).await?
        }
        // Boxed, since most requests are sent once and need not carry this future's room.
        Some(retries) => {
            Box::pin(attempts::retried(action, target, parts, body, retries, hash, context)).await?
        }
    };
    // The time counts from the end of the request; a response that comes earlier has none. (What asks for an upgrade
    // has no end.)
    if !context.suppress_envoy_headers
        && !context.upgrade
        && let Some(end) = info.request_end.get()
    {
        // The response's headers are what moved last.
        let time = info.last_activity.get().saturating_duration_since(end);
        response.headers_mut().insert(X_ENVOY_UPSTREAM_SERVICE_TIME, milliseconds(time));
    }
    Ok(response)
}

/// Whole milliseconds. Most hosts answer within ten, which take no allocation.
fn milliseconds(time: Duration) -> HeaderValue {
    const DIGITS: &str = "0123456789";
    let milliseconds = usize::try_from(time.as_millis()).unwrap_or(usize::MAX);
    match DIGITS.get(milliseconds..milliseconds.saturating_add(1)) {
        Some(digit) => HeaderValue::from_static(digit),
        None => HeaderValue::from(milliseconds),
    }
}

/// Choose the host of an attempt.
fn choose_host(
    action: &RouteAction,
    target: &Target<'_>,
    parts: &mut Parts,
    context: &RouterContext<'_, '_>,
    hash: Option<u64>,
) -> Result<Rc<HostPool>, RouterFailure> {
    note_host(action, target.cluster.choose_host(hash), parts, context)
}

/// What follows from the choice of a host.
fn note_host(
    action: &RouteAction,
    pool: Option<Rc<HostPool>>,
    parts: &mut Parts,
    context: &RouterContext<'_, '_>,
) -> Result<Rc<HostPool>, RouterFailure> {
    let Some(pool) = pool else {
        keep(parts, context);
        if let Some(cluster) = &*context.info.cluster.borrow() {
            cluster.stats.mine().upstream_cx_none_healthy.inc();
        }
        return Err(RouterFailure::NoHost);
    };
    *context.info.upstream_host.borrow_mut() = Some(Rc::clone(&pool.address_text));
    rewrite_to_chosen(action, parts, &pool.host.hostname);
    keep(parts, context);
    Ok(pool)
}

/// Keep the request as it goes upstream, where formats of response headers will read it.
fn keep(parts: &Parts, context: &RouterContext<'_, '_>) {
    if let Some(kept) = context.kept {
        kept.replace(Some(copy_request(parts)));
    }
}

/// One attempt: send the request to that host and wait for the headers of its response. It takes `parts`,
/// which are lent since each future around this one would carry a copy of its own. `body` is told whether
/// the host may get trailers.
async fn attempt(
    pool: &Rc<HostPool>,
    parts: &mut Parts,
    body: impl FnOnce(bool) -> RequestBody,
    context: &RouterContext<'_, '_>,
) -> Result<Response<UpstreamBody>, RouterFailure> {
    let info = context.info;
    let (http2, trailers) = framing::protocol(&pool.cluster.config.protocol, info.protocol);
    if let Some(tracing) = context.tracing {
        if rewrites(context.route) {
            let pseudo = PseudoHeaders {
                method: parts.method.as_str(),
                path: path_and_query(&parts.uri),
                authority: parts.headers.get(HOST).map_or("", header_text),
                scheme: context.scheme,
            };
            trace::stream::note_rewrite(info, tracing, pseudo, &parts.headers);
        }
        trace::stream::note_request(info, path_and_query(&parts.uri), &parts.headers, &pool.host.metadata);
        attempt::start(info, tracing, &context.snapshot.node);
        attempt::chose_host(info, &pool.host.address_text);
        trace::stream::inject(info, tracing, &mut parts.headers);
    }
    if let Some(observed) = &info.observed {
        let host =
            AttemptedHost { address: Rc::clone(&pool.address_text), name: Arc::clone(&pool.host.hostname) };
        observed.start_attempt(host, &pool.host.metadata);
        observed.keep_request(context.wanted, parts, context.scheme == "https");
    }
    let body = body(trailers && context.downstream_trailers);
    framing::frame(parts, http2, body.is_end_stream(), context.scheme, info);
    info.upstream_trailers.set(trailers);
    info.connected.set(false);
    let parts = std::mem::replace(parts, Request::new(()).into_parts().0);
    let exchange = upstream::exchange(pool, Request::from_parts(parts, body), info);
    let count = AttemptCount::new(pool, info);
    let outcome = match context.timeouts.per_try {
        None => Some(exchange.await),
        Some(limit) => in_time(limit, Box::pin(exchange), info).await,
    };
    count.ended(outcome.as_ref());
    let stats = pool.cluster.config.stats.mine();
    let Some(outcome) = outcome else {
        attempt::canceled(info, Some(ResponseFlag::UpstreamRequestTimeout));
        stats.upstream_rq_per_try_timeout.inc();
        info.attempt_failed(&pool.address_text, AttemptOutcome::Failed("did not answer in time"));
        return Err(RouterFailure::PerTryTimeout);
    };
    let response = outcome.map_err(|failure| {
        match failure {
            Failure::Reset => stats.upstream_rq_rx_reset.inc(),
            Failure::Protocol => stats.upstream_cx_protocol_error.inc(),
            _ => {}
        }
        attempt::failed(info, failure.reason(), failure.flag());
        info.attempt_failed(&pool.address_text, AttemptOutcome::Failed(failure.for_people()));
        if let Some(observed) = &info.observed
            && observed.connection.borrow().is_none()
        {
            observed.pool_ready.set(observed.now());
            observed.transport_failure.set(failure.transport_reason());
        }
        RouterFailure::Upstream(failure)
    })?;
    info.touch();
    if let Some(observed) = &info.observed {
        observed.response_start.set(Some(info.last_activity.get()));
    }
    attempt::responded(info, response.status().as_u16());
    Ok(response)
}

/// Whether a route changes where its requests go.
fn rewrites(route: &Route) -> bool {
    matches!(&route.action, Action::Forward(action) if action.host_rewrite.is_some() || action.path_rewrite.is_some())
}

/// What `exchange` gives, unless it takes longer than `limit`. The time counts once there is a connection and the request
/// is complete.
async fn in_time<T>(
    limit: Duration,
    mut exchange: Pin<Box<impl Future<Output = T>>>,
    info: &StreamInfo,
) -> Option<T> {
    let mut sleep = pin!(None);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
            return Poll::Ready(Some(outcome));
        }
        if info.request_end.get().is_none() {
            info.waiter.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        if sleep.is_none() && info.connected.get() {
            sleep.set(Some(tokio::time::sleep(limit)));
        }
        match sleep.as_mut().as_pin_mut() {
            Some(sleep) => sleep.poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// What of the context prepares the request.
fn preparation<'a, 's>(target: &Target<'a>, context: &RouterContext<'a, 's>) -> Preparation<'a, 's> {
    Preparation {
        info: context.info,
        config: context.config,
        virtual_host: context.virtual_host,
        route: context.route,
        mutations: target.mutations,
        scheme: context.scheme,
        suppress_envoy_headers: context.suppress_envoy_headers,
        internal: context.internal,
        timeouts: context.timeouts,
    }
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

/// The path and query of a URI that has at least `/`.
pub(crate) fn path_and_query(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", PathAndQuery::as_str)
}
