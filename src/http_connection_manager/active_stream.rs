//! One request, from its headers to its response, in the order in which things happen to it.

use std::{cell::RefCell, convert::Infallible, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST},
    request::Parts,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{
    Connection,
    accounting::count_expired,
    decision::{self, Decision},
    local_reply::LocalReply,
    observed,
    response_body::ResponseBody,
    stream_end::StreamEnd,
};
use crate::{
    filter,
    http_headers::Present,
    router::{
        self, RouterContext, RouterFailure,
        header_transform::MutationLevels,
        path_and_query,
        route_matcher::{self, MatchContext},
        timeouts::Timeouts,
    },
    snapshot::{
        listener::HttpConnectionManager,
        matcher::{RequestView, header_text},
        route::{IdleTimeout, Route, RouteAction, VirtualHost},
    },
    stream_info::{
        StreamInfo,
        deadline::{Deadlines, Expired, StreamTimer},
        formatter::{FormatContext, Headers, PseudoHeaders},
    },
    trace::{self, attempt, decorator::Decoration},
    upstream::{Failure, UpstreamBody},
};

/// A request's stream while its response is being made.
pub(crate) struct ActiveStream {
    pub(super) connection: Rc<Connection>,
    pub(super) info: Rc<StreamInfo>,
    pub(super) end: StreamEnd,
    /// A random number that stays the same for the stream.
    pub(super) random: u64,
    pub(super) grpc: bool,
    /// What the request came with.
    pub(super) present: Present,
    /// Its client is internal.
    pub(super) internal: bool,
    /// What may be asked for once the request's own headers are gone upstream.
    pub(super) asked: Asked,
    pub(super) decoration: Decoration,
}

/// What of the request matters for the response.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// `x-request-id`, if it is to be returned.
    pub(super) request_id: Option<HeaderValue>,
    /// The request as formats of response headers read it; kept only where there are such formats.
    pub(super) request: Option<Box<Parts>>,
    /// `:scheme`
    pub(super) https: bool,
    /// It comes from outside, over an edge listener.
    pub(super) external: bool,
    /// The connection ends with the response.
    pub(super) close: bool,
    /// The response tells how many attempts there were.
    pub(super) attempt_count: bool,
}

/// A response before the connection manager's own headers.
pub(super) enum Outcome<'a> {
    /// A host's.
    Upstream(Response<UpstreamBody>, Option<MutationLevels<'a>>, Option<StreamTimer>),
    /// A host agreed to switch protocols.
    Tunnel(Response<UpstreamBody>, Option<MutationLevels<'a>>, OnUpgrade),
    /// Ours.
    Local(LocalReply, Option<MutationLevels<'a>>),
}

/// What hyper calls for each request. The future owns what it was given once: an `async fn` would keep a second copy of
/// each argument that it changes.
pub(crate) fn serve(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
    let mut stream = ActiveStream::new(connection, &request);
    let (mut parts, body) = request.into_parts();
    async move {
        let response = stream.run(&mut parts, body).await;
        Ok(response)
    }
}

impl ActiveStream {
    fn new(connection: Rc<Connection>, request: &Request<Incoming>) -> Self {
        let present = Present::of(request.headers());
        let grpc = present.any(Present::CONTENT_TYPE) && is_grpc(request.headers());
        let info = observed::stream_info(&connection, request.version(), grpc);
        info.method.set(request.method().into());
        connection.stream_started(&info);
        Self {
            end: StreamEnd::new(Rc::clone(&connection), Rc::clone(&info), request.method() == Method::HEAD),
            random: fastrand::u64(..),
            grpc,
            present,
            internal: false,
            asked: Asked::default(),
            decoration: Decoration::default(),
            connection,
            info,
        }
    }

    /// Request in, response out.
    async fn run(&mut self, parts: &mut Parts, body: Incoming) -> Response<ResponseBody> {
        let connection = Rc::clone(&self.connection);
        let manager = &*connection.listener.manager;
        if manager.local_reply.is_set() {
            self.keep(parts);
        }
        if http_body::Body::is_end_stream(&body) {
            self.info.end_request_at_start();
        }
        self.info.deadlines.set(Deadlines {
            request: manager.limits.request,
            route: None,
            idle: manager.limits.stream_idle,
        });
        let outcome = match self.admit(manager, parts) {
            Ok(upgrade) => {
                // Unless the host agrees, what the client sends next may already be the tunnel's, and no request.
                self.asked.close |= upgrade.is_some();
                self.route(&connection, parts, body, upgrade).await
            }
            Err(reply) => Outcome::Local(reply, None),
        };
        if let Outcome::Local(reply, _) = &outcome {
            self.observe_request(manager, parts);
            self.note_cause(manager, parts, reply);
        }
        self.respond(manager, outcome)
    }

    /// Find the request's route, start its span, and do what the route says.
    async fn route<'a>(
        &mut self,
        connection: &'a Connection,
        parts: &mut Parts,
        body: Incoming,
        upgrade: Option<String>,
    ) -> Outcome<'a> {
        let manager: &HttpConnectionManager = &connection.listener.manager;
        let found = {
            let request = self.view(parts);
            let context = MatchContext { random: self.random, grpc: self.grpc };
            route_matcher::find(&manager.routes, &request, context)
        };
        let route = found.and_then(|(_, route)| route);
        self.info.route.set(route.map_or(0, |route| route.id));
        if let Some(route) = route.filter(|route| !route.name.is_empty()) {
            self.info.route_name.replace(std::sync::Arc::clone(&route.name));
        }
        let action = route.map(|route| &route.action);
        self.observe_route(connection, parts, found);
        if let Some(reply) = decision::refuse_upgrade(upgrade.as_deref(), action, manager) {
            return Outcome::Local(reply, None);
        }
        self.start_span(connection, parts, found);
        self.log_beginning(manager, parts);
        if let Some(reply) = self.decode_headers(manager, parts) {
            return self.reply(reply.into(), decision::levels(manager, found), parts);
        }

        connection.stats().rq_total.inc();
        match decision::decide(manager, found, &self.view(parts)) {
            Decision::Forward(virtual_host, route, action) => {
                self.forward(connection, (virtual_host, route, action), parts, body, upgrade.is_some()).await
            }
            Decision::Reply(reply, levels) => self.reply(reply, levels, parts),
        }
    }

    /// Answer a request here.
    fn reply<'a>(
        &mut self,
        reply: LocalReply,
        levels: Option<MutationLevels<'a>>,
        parts: &Parts,
    ) -> Outcome<'a> {
        if let Some(levels) = &levels {
            self.keep_request(levels, parts);
        }
        Outcome::Local(self.closing_if_unread(reply), levels)
    }

    /// What filters make of the request's headers; the reply of one that answers it.
    fn decode_headers(&self, manager: &HttpConnectionManager, parts: &Parts) -> Option<filter::Reply> {
        if manager.filters.is_empty() {
            return None;
        }
        let reply = filter::decode_headers(
            &manager.filters,
            &self.view(parts),
            &self.info,
            self.connection.services.open.unhealthy.get(),
        );
        if self.info.health_check.get() {
            trace::stream::forget(&self.info);
        }
        reply
    }

    /// Send the request on and wait for its response's headers, under the stream's deadlines.
    async fn forward<'a>(
        &mut self,
        connection: &'a Connection,
        (virtual_host, route, action): (&'a VirtualHost, &'a Route, &'a RouteAction),
        parts: &mut Parts,
        body: Incoming,
        upgrade: bool,
    ) -> Outcome<'a> {
        let manager: &HttpConnectionManager = &connection.listener.manager;
        self.choose_groups(virtual_host, route, parts);
        let info = &Rc::clone(&self.info);
        let timeouts = if self.internal {
            Timeouts::of_request(action, &mut parts.headers)
        } else {
            Timeouts::of_route(action)
        };
        let context = RouterContext {
            info,
            clusters: &connection.services.clusters,
            snapshot: &connection.services.snapshot,
            config: &manager.routes,
            virtual_host,
            route,
            random: self.random,
            scheme: if self.asked.https { "https" } else { "http" },
            downstream_trailers: self.trailers(manager),
            suppress_envoy_headers: manager.suppress_envoy_headers,
            upgrade,
            internal: self.internal,
            timeouts,
            own_ip: &connection.services.own_ip,
            buffer_limit_bytes: buffer_limit_bytes(connection),
            tracing: manager.tracing.as_ref(),
            spans: &connection.services.spans,
            wanted: &manager.access_log.wanted,
            kept: None,
        };
        let target = match router::choose_cluster(action, &parts.headers, &context) {
            Ok(target) => target,
            Err(failure) => {
                let levels = router::mutation_levels(None, &context);
                return self.reply(failure.into(), Some(levels), parts);
            }
        };
        let levels = router::mutation_levels(target.mutations, &context);
        let kept = RefCell::new(None);
        let formats = levels.change_responses() || manager.local_reply.is_set();
        let context = RouterContext { kept: formats.then_some(&kept), ..context };
        let deadlines = info.deadlines.get();
        info.deadlines.set(Deadlines {
            // A tunnel lives as long as it moves.
            route: timeouts.route.filter(|_| !upgrade),
            idle: match action.idle_timeout {
                None => deadlines.idle,
                Some(IdleTimeout::Disabled) => None,
                Some(IdleTimeout::After(idle)) => Some(idle),
            },
            ..deadlines
        });
        let client_upgrade = upgrade.then(|| parts.extensions.remove::<OnUpgrade>()).flatten();
        parts.extensions.clear();

        // The streams of an HTTP/1 connection share its task, and so its timer.
        let mut timer = (!connection.http1.get()).then(StreamTimer::default);
        let mut exchange = pin!(router::forward(action, &target, parts, body, &context));
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = exchange.as_mut().poll(cx) {
                return Poll::Ready(Ok(outcome));
            }
            if info.request_end.get().is_none() {
                info.waiter.replace(Some(cx.waker().clone()));
            }
            match &mut timer {
                None => connection.stream_timer.borrow_mut().poll_expired(cx, info).map(Err),
                Some(timer) => timer.poll_expired(cx, info).map(Err),
            }
        })
        .await;
        self.asked.request = kept.take().or(self.asked.request.take());
        let levels = Some(levels).filter(MutationLevels::change_responses);
        self.asked.attempt_count = virtual_host.include_attempt_count_in_response;
        let retried = info.attempts.get() > 1;
        match outcome {
            Ok(Ok(response)) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                match client_upgrade {
                    Some(client) => Outcome::Tunnel(response, levels, client),
                    // A host that switches unasked has lost its mind; what follows is no HTTP.
                    None => Outcome::Local(LocalReply::of_failure(Failure::Protocol, retried), levels),
                }
            }
            Ok(Ok(response)) if upgrade => {
                attempt::refused(info);
                if response.status().is_success() {
                    Outcome::Local(LocalReply::upgrade_misunderstood(&response.into_parts().0), levels)
                } else {
                    Outcome::Upstream(response, levels, timer)
                }
            }
            Ok(Ok(response)) => Outcome::Upstream(response, levels, timer),
            Ok(Err(failure)) => {
                let reply = match failure {
                    RouterFailure::Upstream(Failure::RequestBroken) => LocalReply::broken_request(info),
                    RouterFailure::Upstream(failure) => LocalReply::of_failure(failure, retried),
                    RouterFailure::PerTryTimeout => LocalReply::per_try_timeout().or_no_content(timeouts),
                    failure => LocalReply::from(failure),
                };
                Outcome::Local(self.closing_if_unread(reply), levels)
            }
            Err(expired) => {
                attempt::canceled(info, None);
                count_expired(info, expired);
                let by_router = expired == Expired::Route;
                if by_router {
                    // The attempt that is broken off with this function counts it.
                    info.flag(expired.flag());
                }
                self.asked.attempt_count &= by_router;
                let reply = LocalReply::expired(expired, info);
                let reply = if by_router { reply.or_no_content(timeouts) } else { reply };
                Outcome::Local(reply, levels.filter(|_| expired != Expired::Request))
            }
        }
    }

    /// Where the request is counted besides its listener and cluster.
    fn choose_groups(&self, virtual_host: &VirtualHost, route: &Route, parts: &Parts) {
        let virtual_cluster = virtual_host.virtual_clusters.as_ref().map(|all| all.of(&self.view(parts)));
        if let (Some(observed), Some(all), true) = (
            &self.info.observed,
            &virtual_host.virtual_clusters,
            self.connection.listener.manager.observes_route,
        ) {
            // That of all others has no name.
            let named = virtual_cluster.filter(|group| !std::sync::Arc::ptr_eq(group, &all.other));
            observed.virtual_cluster.replace(named.cloned());
        }
        let groups = virtual_cluster.into_iter().chain(&route.stats).cloned();
        self.info.groups.borrow_mut().extend(groups);
    }

    /// Whether the client may send and get trailers.
    pub(super) fn trailers(&self, manager: &HttpConnectionManager) -> bool {
        self.info.protocol == Version::HTTP_2 || manager.http1.enable_trailers
    }

    /// A reply before the request is complete leaves a connection whose next request cannot be found.
    fn closing_if_unread(&self, mut reply: LocalReply) -> LocalReply {
        reply.close |= self.info.request_end.get().is_none();
        reply
    }

    /// Keep the request for formats of response headers, if there are any.
    fn keep_request(&mut self, levels: &MutationLevels<'_>, parts: &Parts) {
        if levels.change_responses() && self.asked.request.is_none() {
            self.keep(parts);
        }
    }

    /// Keep a copy of the request for formats.
    fn keep(&mut self, parts: &Parts) {
        self.asked.request = Some(router::copy_request(parts));
    }

    pub(super) fn format_context<'a>(&'a self, response: Option<&'a HeaderMap>) -> FormatContext<'a> {
        let request = self.asked.request.as_deref();
        FormatContext {
            info: &self.info,
            request: request.map_or(Headers::Kept(&[]), |parts| Headers::All(&parts.headers)),
            pseudo: request.map_or_else(PseudoHeaders::default, |parts| self.pseudo(parts)),
            response: response.map(Headers::All),
        }
    }

    pub(super) fn pseudo<'p>(&self, parts: &'p Parts) -> PseudoHeaders<'p> {
        PseudoHeaders {
            method: parts.method.as_str(),
            // CONNECT has none.
            path: if parts.method == Method::CONNECT { "" } else { path_and_query(&parts.uri) },
            authority: parts.headers.get(HOST).map_or("", header_text),
            scheme: if self.asked.https { "https" } else { "http" },
        }
    }

    pub(super) fn view<'p>(&self, parts: &'p Parts) -> RequestView<'p> {
        let PseudoHeaders { method, path, authority, scheme } = self.pseudo(parts);
        RequestView { path_and_query: path, method, authority, scheme, headers: &parts.headers }
    }
}

/// Whether a request says that it is gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
    else {
        return false;
    };
    matches!(kind.first(), None | Some(b'+'))
}

/// Bytes of a request that may be kept to be sent again, or for a copy: what the listener's connections may buffer.
fn buffer_limit_bytes(connection: &Connection) -> usize {
    /// Where the listener says that there is no limit.
    const MOST: usize = 1 << 20;
    match connection.listener.buffer_limit_bytes {
        0 => MOST,
        limit => limit as usize,
    }
}
