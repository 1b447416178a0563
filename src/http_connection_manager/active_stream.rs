//! One request, from its headers to its response, in the order in which things happen to it.

use std::{borrow::Cow, cell::RefCell, convert::Infallible, future::poll_fn, pin::pin, rc::Rc, task::Poll};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version,
    header::{CONTENT_TYPE, HOST},
    request::Parts,
    uri::PathAndQuery,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{
    Connection,
    edge_headers::{Edge, asks_to_close, remove_hop_by_hop, requested_upgrade},
    local_reply::LocalReply,
    path_normalization::{Normalized, normalize},
    redirect,
    request_target::{check_connect, check_method, check_transfer_coding, set_authority, strip_port},
    response_body::ResponseBody,
    stream_end::StreamEnd,
};
use crate::{
    filter,
    http_headers::{X_ENVOY_FORCE_TRACE, X_FORWARDED_PROTO, X_REQUEST_ID},
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
        route::{Action, IdleTimeout, Route, RouteAction, VirtualHost},
    },
    stream_info::{
        StreamInfo,
        deadline::{Deadlines, Expired, StreamTimer},
        formatter::{FormatContext, PseudoHeaders},
    },
    trace::{
        self, attempt,
        decorator::{Decoration, decorate_request},
        sampler,
        stream::{RouteNames, TracedRequest},
    },
    upstream::{Failure, UpstreamBody},
};

/// A request's stream while its response is being made.
pub(crate) struct ActiveStream {
    pub(super) connection: Rc<Connection>,
    pub(super) info: Rc<StreamInfo>,
    pub(super) end: StreamEnd,
    /// A random number that stays the same for the stream.
    random: u64,
    pub(super) grpc: bool,
    /// Its client is internal.
    internal: bool,
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
    external: bool,
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

/// The virtual host of a request, and its route.
type Found<'a> = Option<(&'a VirtualHost, Option<&'a Route>)>;

/// What hyper calls for each request.
pub(crate) async fn serve(
    connection: Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, Infallible> {
    let stream = ActiveStream::new(connection, &request);
    Ok(stream.run(request).await)
}

impl ActiveStream {
    fn new(connection: Rc<Connection>, request: &Request<Incoming>) -> Self {
        let info = Rc::new(StreamInfo::new(Rc::clone(&connection.info), request.version()));
        connection.stream_started(&info);
        Self {
            end: StreamEnd::new(Rc::clone(&connection), Rc::clone(&info), request.method() == Method::HEAD),
            random: fastrand::u64(..),
            grpc: is_grpc(request.headers()),
            internal: false,
            asked: Asked::default(),
            decoration: Decoration::default(),
            connection,
            info,
        }
    }

    /// Request in, response out.
    async fn run(mut self, request: Request<Incoming>) -> Response<ResponseBody> {
        let connection = Rc::clone(&self.connection);
        let manager = &*connection.listener.manager;
        let (mut parts, body) = request.into_parts();
        if manager.local_reply.is_set() {
            self.keep(&parts);
        }
        if http_body::Body::is_end_stream(&body) {
            self.info.end_request();
        }
        self.info.deadlines.set(Deadlines {
            request: manager.limits.request,
            route: None,
            idle: manager.limits.stream_idle,
        });
        let outcome = match self.admit(manager, &mut parts) {
            Ok(upgrade) => {
                // Unless the host agrees, what the client sends next may already be the tunnel's, and no request.
                self.asked.close |= upgrade.is_some();
                self.route(&connection, parts, body, upgrade).await
            }
            Err(reply) => Outcome::Local(reply, None),
        };
        self.respond(manager, outcome)
    }

    /// Check and clean the request's headers; the name of an upgrade that it asks for and may have.
    fn admit(
        &mut self,
        manager: &HttpConnectionManager,
        parts: &mut Parts,
    ) -> Result<Option<String>, LocalReply> {
        if parts.version == Version::HTTP_10 && !manager.http1.accept_http_10 {
            return Err(LocalReply::low_version());
        }
        if parts.headers.len() > manager.limits.headers_count {
            return Err(LocalReply::too_many_headers());
        }
        if parts.version != Version::HTTP_2 {
            check_method(&parts.method)?;
            check_transfer_coding(&parts.headers)?;
            if !path_and_query(&parts.uri).is_ascii() {
                return Err(LocalReply::codec_error());
            }
        }
        let says_https = parts.uri.scheme_str() == Some("https");
        self.asked.close = asks_to_close(parts.version, &parts.headers);
        if parts.method == Method::CONNECT {
            check_connect(parts)?;
        }
        set_authority(&self.connection, parts)?;
        if parts.method == Method::CONNECT {
            return Err(LocalReply::no_connect_route());
        }
        if parts.method.as_str() == "QUERY" && !parts.headers.contains_key(CONTENT_TYPE) {
            return Err(LocalReply::query_without_type());
        }
        if !path_and_query(&parts.uri).starts_with('/') {
            return Err(LocalReply::not_a_path());
        }
        match normalize(&manager.normalization, path_and_query(&parts.uri)) {
            Normalized::Path(Cow::Borrowed(_)) => {}
            Normalized::Path(Cow::Owned(path)) => {
                parts.uri = PathAndQuery::from_maybe_shared(path).map_err(|_| LocalReply::bad_path())?.into();
            }
            // gRPC clients follow no redirects.
            Normalized::Redirect(_) if self.grpc => return Err(LocalReply::bad_path()),
            Normalized::Redirect(path) => return Err(LocalReply::normalized_redirect(&path)),
            Normalized::Reject => return Err(LocalReply::bad_path()),
        }
        strip_port(manager.normalization.strip_port, &self.connection, parts);

        let upgrade = requested_upgrade(&parts.method, &parts.headers);
        remove_hop_by_hop(&mut parts.headers, upgrade.is_some());
        let services = &self.connection.services;
        let edge = Edge {
            peer: self.info.connection.peer,
            own_ip: services.own_ip,
            manager,
            node: &services.snapshot.node,
            tls: self.connection.is_tls(),
        };
        let client = edge.mutate_request(&mut parts.headers).map_err(LocalReply::unknown_client)?;
        self.info.remote.set(client.address);
        self.internal = client.internal;
        self.asked.external = client.edge;
        let forced = parts.headers.contains_key(X_ENVOY_FORCE_TRACE);
        if manager.request_id.always_set_in_response || forced {
            self.asked.request_id = parts.headers.get(X_REQUEST_ID).cloned();
        }
        self.asked.https = manager.scheme_is_https.unwrap_or_else(|| {
            match parts.headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
                _ if says_https => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"https") => true,
                Some(proto) if proto.eq_ignore_ascii_case(b"http") => false,
                _ => self.connection.is_tls(),
            }
        });
        Ok(upgrade)
    }

    /// Find the request's route, start its span, and do what the route says.
    async fn route<'a>(
        &mut self,
        connection: &'a Connection,
        mut parts: Parts,
        body: Incoming,
        upgrade: Option<String>,
    ) -> Outcome<'a> {
        let manager: &HttpConnectionManager = &connection.listener.manager;
        let found = {
            let request = self.view(&parts);
            let context = MatchContext { random: self.random, grpc: self.grpc };
            route_matcher::find(&manager.routes, &request, context)
        };
        let route = found.and_then(|(_, route)| route);
        if let Some(route) = route {
            self.info.route_name.replace(std::sync::Arc::clone(&route.name));
        }
        let action = route.map(|route| &route.action);
        if upgrade.as_deref().is_some_and(|name| !is_allowed(name, action, manager)) {
            return Outcome::Local(LocalReply::upgrade_refused(), None);
        }
        self.start_span(connection, &mut parts, found);
        let answer = filter::decode_headers(&manager.filters, &self.view(&parts), &self.info);
        if self.info.health_check.get() {
            trace::stream::forget(&self.info);
        }
        if let Some(reply) = answer {
            let levels = found.and_then(|(virtual_host, route)| {
                Some(MutationLevels {
                    weighted_cluster: None,
                    route: &route?.headers,
                    virtual_host: &virtual_host.headers,
                    config: &manager.routes,
                })
            });
            if let Some(levels) = &levels {
                self.keep_request(levels, &parts);
            }
            return Outcome::Local(self.closing_if_unread(reply.into()), levels);
        }

        let no_route = || Outcome::Local(self.closing_if_unread(LocalReply::no_route()), None);
        let Some((virtual_host, route)) = found else { return no_route() };
        // What the hop before says counts, whatever this connection is.
        let over_tls = parts.headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https");
        if virtual_host.require_tls && !over_tls {
            return Outcome::Local(self.closing_if_unread(redirect::to_https(&self.view(&parts))), None);
        }
        let Some(route) = route else { return no_route() };
        let levels = MutationLevels {
            weighted_cluster: None,
            route: &route.headers,
            virtual_host: &virtual_host.headers,
            config: &manager.routes,
        };
        match &route.action {
            Action::Forward(action) => {
                self.forward(connection, (virtual_host, route, action), parts, body, upgrade.is_some()).await
            }
            Action::Redirect(action) => {
                let reply = redirect::reply(action, &route.matcher.path, &self.view(&parts));
                self.keep_request(&levels, &parts);
                Outcome::Local(self.closing_if_unread(reply), Some(levels))
            }
            Action::Direct(action) => {
                self.keep_request(&levels, &parts);
                let reply = LocalReply::direct(action.status, &action.body, &self.view(&parts));
                Outcome::Local(self.closing_if_unread(reply), Some(levels))
            }
        }
    }

    /// Decide whether the request is traced, and start its span.
    fn start_span(&mut self, connection: &Connection, parts: &mut Parts, found: Found<'_>) {
        let route = found.and_then(|(_, route)| route);
        let manager: &HttpConnectionManager = &connection.listener.manager;
        let Some(tracing) = &manager.tracing else { return };
        let direction = connection.listener.direction;
        let decorator = route.and_then(|route| route.decorator.as_ref());
        let policy = route.and_then(|route| route.tracing.as_ref()).unwrap_or(&tracing.policy);
        let reason = sampler::decide(&mut parts.headers, policy, &manager.request_id, || fastrand::u64(..));
        if let Some(id) = &mut self.asked.request_id
            && let Some(packed) = parts.headers.get(X_REQUEST_ID)
        {
            id.clone_from(packed);
        }
        let request = TracedRequest {
            tracing,
            policy,
            direction,
            traced: reason.traced(),
            headers: &parts.headers,
            pseudo: self.pseudo(parts),
            method: &parts.method,
            decorator,
            grpc: self.grpc,
            external: self.asked.external,
            names: if tracing.tracer.has_sampler() {
                self.route_names(connection, found, parts)
            } else {
                RouteNames::default()
            },
            node: &connection.services.snapshot.node,
        };
        let mut span = crate::trace::stream::start(&request, &self.info);
        self.decoration = decorate_request(&mut parts.headers, direction, decorator, policy, span.as_mut());
        self.info.span.replace(span);
    }

    /// Whom the request was found to be for.
    fn route_names<'a>(&self, connection: &'a Connection, found: Found<'a>, parts: &Parts) -> RouteNames<'a> {
        let snapshot = &connection.services.snapshot;
        let route = found.and_then(|(_, route)| route);
        let cluster = match route.map(|route| &route.action) {
            Some(Action::Forward(action)) => {
                router::draw_cluster(action, &parts.headers, self.random, snapshot).0
            }
            _ => None,
        };
        let cluster = cluster.and_then(|id| snapshot.clusters.get(id.0));
        RouteNames {
            virtual_host: found.map(|(virtual_host, _)| &*virtual_host.name),
            route: route.map(|route| &*route.name),
            cluster: cluster.map(|cluster| &*cluster.name),
        }
    }

    /// Send the request on and wait for its response's headers, under the stream's deadlines.
    async fn forward<'a>(
        &mut self,
        connection: &'a Connection,
        (virtual_host, route, action): (&'a VirtualHost, &'a Route, &'a RouteAction),
        mut parts: Parts,
        body: Incoming,
        upgrade: bool,
    ) -> Outcome<'a> {
        let manager: &HttpConnectionManager = &connection.listener.manager;
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
            internal: self.internal,
            timeouts,
            own_ip: connection.services.own_ip,
            buffer_limit_bytes: buffer_limit_bytes(connection),
            tracing: manager.tracing.as_ref(),
            spans: &connection.services.spans,
            kept: None,
        };
        let target = match router::choose_cluster(action, &parts.headers, &context) {
            Ok(target) => target,
            Err(failure) => {
                let levels = router::mutation_levels(None, &context);
                self.keep_request(&levels, &parts);
                return Outcome::Local(self.closing_if_unread(failure.into()), Some(levels));
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
            Ok(Ok(response)) if upgrade && response.status().is_success() => {
                Outcome::Local(LocalReply::upgrade_misunderstood(&response.into_parts().0), levels)
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
                let by_router = expired == Expired::Route;
                self.asked.attempt_count &= by_router;
                let reply = LocalReply::expired(expired, info);
                let reply = if by_router { reply.or_no_content(timeouts) } else { reply };
                Outcome::Local(reply, levels.filter(|_| expired != Expired::Request))
            }
        }
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
            request: request.map_or(&self.connection.services.no_headers, |parts| &parts.headers),
            pseudo: request.map_or_else(PseudoHeaders::default, |parts| self.pseudo(parts)),
            response,
        }
    }

    fn pseudo<'p>(&self, parts: &'p Parts) -> PseudoHeaders<'p> {
        PseudoHeaders {
            method: parts.method.as_str(),
            path: path_and_query(&parts.uri),
            authority: parts.headers.get(HOST).map_or("", header_text),
            scheme: if self.asked.https { "https" } else { "http" },
        }
    }

    fn view<'p>(&self, parts: &'p Parts) -> RequestView<'p> {
        let PseudoHeaders { method, path, authority, scheme } = self.pseudo(parts);
        RequestView { path_and_query: path, method, authority, scheme, headers: &parts.headers }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(kind) =
        headers.get(CONTENT_TYPE).and_then(|kind| kind.as_bytes().strip_prefix(b"application/grpc"))
    else {
        return false;
    };
    matches!(kind.first(), None | Some(b'+'))
}

/// Whether a request may ask for an upgrade: as its route says, else as the connection manager does.
fn is_allowed(upgrade: &str, action: Option<&Action>, manager: &HttpConnectionManager) -> bool {
    let listed = |list: &[(Box<str>, bool)]| {
        list.iter().find(|(name, _)| **name == *upgrade).map(|(_, enabled)| *enabled)
    };
    let by_route = match action {
        Some(Action::Forward(action)) => listed(&action.upgrades),
        _ => None,
    };
    by_route.or_else(|| listed(&manager.upgrades)).unwrap_or(false)
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
