//! A request's way, step by step with the functions that requests really take it by, and without sending anything.

use std::{ops::ControlFlow, rc::Rc, sync::Arc, time::Duration};

use http::{Method, header::HOST, request::Parts};

use super::{Subject, question::Question, spans};
use crate::{
    filter,
    http_connection_manager::{
        active_stream::is_grpc,
        admission::{Admitted, Gate},
        decision::{self, Decision, Found},
        edge_headers::Edge,
        local_reply::LocalReply,
    },
    http_headers::Present,
    router::{
        self, RouterFailure, framing, hash,
        header_transform::MutationLevels,
        path_and_query,
        preparation::{Preparation, rewrite_to_chosen},
        retry::RetryState,
        route_matcher::{self, MatchContext},
        timeouts::Timeouts,
    },
    snapshot::{
        Address, ClusterId,
        listener::{HttpConnectionManager, Listener},
        matcher::{RequestView, header_text},
        route::{Action, Route, RouteAction, VirtualHost},
    },
    stream_info::{ConnectionInfo, StreamInfo, formatter::PseudoHeaders},
    trace::{attempt, sampler::TraceReason, stream},
};

/// A day, an hour, a minute, a second, and parts of it: no part of a clock shows the same after that.
const LATER: Duration = Duration::new(90_061, 123_456_789);

/// What became of a request on its way.
pub(super) struct Walk<'a> {
    pub(super) listener: &'a Listener,
    pub(super) manager: &'a HttpConnectionManager,
    pub(super) info: StreamInfo,
    /// What the request came with.
    pub(super) present: Present,
    pub(super) grpc: bool,
    pub(super) random: u64,
    /// As it came.
    pub(super) arrived: Parts,
    /// As it is routed; as far as that went, if it was refused.
    pub(super) admitted: Parts,
    /// What is known of who sent it; `None` if it was refused.
    pub(super) admission: Option<Admitted>,
    pub(super) found: Found<'a>,
    /// It was looked for.
    pub(super) routed: bool,
    /// Whether it is traced; `None` where nobody asks.
    pub(super) reason: Option<TraceReason>,
    /// As it was when its span began, request id decided.
    pub(super) traced: Option<Parts>,
    /// What each filter that saw it did.
    pub(super) filters: Vec<Option<filter::Reply>>,
    pub(super) end: End<'a>,
}

/// Where a way ends.
pub(super) enum End<'a> {
    /// The proxy answers.
    Reply(LocalReply, Option<MutationLevels<'a>>),
    /// A host does.
    Forward(Box<Forwarded<'a>>),
}

/// A request that goes to a host.
pub(super) struct Forwarded<'a> {
    pub(super) action: &'a RouteAction,
    pub(super) cluster: ClusterId,
    pub(super) timeouts: Timeouts,
    pub(super) retries: Option<RetryState<'a>>,
    pub(super) hash: Option<u64>,
    pub(super) levels: MutationLevels<'a>,
    /// As it is sent.
    pub(super) sent: Parts,
    pub(super) http2: bool,
}

impl<'a> Walk<'a> {
    /// Go the way of `question` through the listener at `place`. `random` is the stream's random number; `later` is another
    /// day, on which what reads the clock comes to something else.
    pub(super) fn new(
        subject: &Subject<'a>,
        place: usize,
        question: &Question,
        random: u64,
        later: bool,
    ) -> Option<Self> {
        let listener: &'a Listener = subject.snapshot.listeners.get(place)?;
        let manager: &'a HttpConnectionManager = &listener.manager;
        let local = subject.addresses.get(place).unwrap_or(&listener.address);
        let mut peer = question.source;
        // Of a port, and of a connection's number, only that they are others each time is known.
        peer.set_port(if later { 40_001 } else { 40_000 });
        let peer = matches!(local, Address::Socket(_)).then_some(peer);
        let info = StreamInfo::new(
            Rc::new(ConnectionInfo::new(1 + u64::from(later), peer, local.clone())),
            question.parts.version,
        );
        let mut info = if manager.observes { info.observed(manager.observes_moments) } else { info };
        if later {
            info.start_time += LATER;
        }
        let arrived = question.parts.clone();
        let grpc = is_grpc(&arrived.headers);
        if let Some(observed) = &info.observed {
            observed.grpc.set(grpc);
        }
        info.end_request_at_start();
        let mut walk = Self {
            listener,
            manager,
            info,
            present: Present::of(&arrived.headers),
            grpc,
            random,
            admitted: arrived.clone(),
            arrived,
            admission: None,
            found: None,
            routed: false,
            reason: None,
            traced: None,
            filters: Vec::new(),
            end: nowhere(),
        };
        walk.end = match walk.go(subject) {
            ControlFlow::Break(end) => end,
            ControlFlow::Continue(forwarded) => End::Forward(Box::new(forwarded)),
        };
        Some(walk)
    }

    fn go(&mut self, subject: &Subject<'a>) -> ControlFlow<End<'a>, Forwarded<'a>> {
        let reply = |reply: LocalReply| ControlFlow::Break(End::Reply(reply, None));
        let mut parts = self.arrived.clone();
        let admitted = self.admit(subject, &mut parts);
        self.admitted = parts.clone();
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => return reply(refusal),
        };
        self.info.remote.set(admitted.client.address);
        self.info.internal.set(admitted.client.internal);
        let upgrade = admitted.upgrade.clone();
        let (connect, internal) = (admitted.connect, admitted.client.internal);
        self.admission = Some(admitted);
        if connect {
            self.start_span(subject, &mut parts);
            return reply(LocalReply::no_connect_route());
        }
        let context = MatchContext { random: self.random, grpc: self.grpc };
        self.found = route_matcher::find(&self.manager.routes, &self.view(&parts), context);
        self.routed = true;
        let route = self.found.and_then(|(_, route)| route);
        if let Some(route) = route {
            self.info.route_name.replace(Arc::clone(&route.name));
        }
        let action = route.map(|route| &route.action);
        if let (Some(_), Some(Action::Forward(action))) = (&self.info.observed, action) {
            let (id, _) = router::draw_cluster(action, &parts.headers, self.random, subject.snapshot);
            let cluster = id.and_then(|id| subject.snapshot.clusters.get(id.0));
            self.info.cluster.replace(cluster.map(|cluster| Rc::new(Arc::clone(cluster))));
        }
        if let Some(refusal) = decision::refuse_upgrade(upgrade.as_deref(), action, self.manager) {
            return reply(refusal);
        }
        self.start_span(subject, &mut parts);
        let unhealthy = subject.live.is_some_and(|live| live.unhealthy);
        for filter in &self.manager.filters {
            let one = std::slice::from_ref(filter);
            let answer = filter::decode_headers(one, &self.view(&parts), &self.info, unhealthy);
            self.filters.push(answer);
            if self.info.health_check.get() {
                stream::forget(&self.info);
            }
            if let Some(answer) = answer {
                let levels = decision::levels(self.manager, self.found);
                return ControlFlow::Break(End::Reply(answer.into(), levels));
            }
        }
        match decision::decide(self.manager, self.found, &self.view(&parts)) {
            Decision::Reply(reply, levels) => ControlFlow::Break(End::Reply(reply, levels)),
            Decision::Forward(virtual_host, route, action) => {
                self.forward(subject, (virtual_host, route, action), parts, upgrade.is_some(), internal)
            }
        }
    }

    fn admit(&self, subject: &Subject<'a>, parts: &mut Parts) -> Result<Admitted, LocalReply> {
        let gate = Gate {
            edge: Edge {
                connection: &self.info.connection,
                own_ip: &subject.own_ip,
                manager: self.manager,
                node: &subject.snapshot.node,
                tls: self.listener.tls.is_some(),
            },
            present: self.present,
            grpc: self.grpc,
        };
        if self.head_bytes() > self.manager.limits.headers_bytes {
            // The codec sees to that one, and says it in its own way.
            return Err(LocalReply::too_many_headers());
        }
        gate.check(parts)?;
        gate.admit(parts)
    }

    fn start_span(&mut self, subject: &Subject<'a>, parts: &mut Parts) {
        self.reason = spans::start(self, subject, parts);
        self.traced = self.reason.map(|_| parts.clone());
    }

    fn forward(
        &mut self,
        subject: &Subject<'a>,
        (virtual_host, route, action): (&'a VirtualHost, &'a Route, &'a RouteAction),
        mut parts: Parts,
        upgrade: bool,
        internal: bool,
    ) -> ControlFlow<End<'a>, Forwarded<'a>> {
        let timeouts = if internal {
            Timeouts::of_request(action, &mut parts.headers)
        } else {
            Timeouts::of_route(action)
        };
        let (drawn, mutations) = router::draw_cluster(action, &parts.headers, self.random, subject.snapshot);
        let preparation = Preparation {
            info: &self.info,
            config: &self.manager.routes,
            virtual_host,
            route,
            mutations,
            scheme: self.scheme(),
            suppress_envoy_headers: self.manager.suppress_envoy_headers,
            internal,
            timeouts,
        };
        let failed = |failure: RouterFailure, preparation: &Preparation<'a, '_>| {
            ControlFlow::Break(End::Reply(failure.into(), Some(preparation.levels())))
        };
        let Some((cluster, state)) = drawn.and_then(|id| Some((id, subject.clusters.get(id.0)?))) else {
            let levels = Preparation { mutations: None, ..preparation };
            return failed(RouterFailure::NoCluster(action.cluster_not_found), &levels);
        };
        self.info.cluster.replace(Some(Rc::new(Arc::clone(&state.config))));
        self.info.attempts.set(1);
        let hash = hash::hash_request(action, &parts, &self.info);
        preparation.prepare(action, &mut parts);
        let retries = preparation.retries(action, &mut parts);
        let levels = preparation.levels();
        let hosts = state.hosts.load();
        if subject.knows_hosts(&state.config) && hosts.hosts.is_empty() {
            return failed(RouterFailure::NoHost, &preparation);
        }
        let host = subject.sole_hostname(state, hash);
        if let Some(host) = &host {
            rewrite_to_chosen(action, &mut parts, host);
        }
        if let Some(tracing) = &self.manager.tracing {
            attempt::start(&self.info, tracing, &subject.snapshot.node);
            stream::inject(&self.info, tracing, &mut parts.headers);
        }
        let (http2, _) = framing::protocol(&state.config.protocol, self.info.protocol);
        let empty = !upgrade && !has_body(&self.arrived);
        framing::frame(&mut parts, http2, empty, self.scheme(), &self.info);
        ControlFlow::Continue(Forwarded {
            action,
            cluster,
            timeouts,
            retries,
            hash,
            levels,
            sent: parts,
            http2,
        })
    }

    /// Bytes of the request's head as it came: its line and its headers.
    pub(super) fn head_bytes(&self) -> usize {
        let lines = self.arrived.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        let line = "  HTTP/1.1\r\n".len() + self.arrived.method.as_str().len();
        line + path_and_query(&self.arrived.uri).len() + lines.sum::<usize>()
    }

    /// `:scheme`
    pub(super) fn scheme(&self) -> &'static str {
        if self.admission.as_ref().is_some_and(|admitted| admitted.https) { "https" } else { "http" }
    }

    /// The pseudo-headers of a request that was admitted.
    pub(super) fn pseudo<'p>(&self, parts: &'p Parts) -> PseudoHeaders<'p> {
        PseudoHeaders {
            method: parts.method.as_str(),
            path: if parts.method == Method::CONNECT { "" } else { path_and_query(&parts.uri) },
            authority: parts.headers.get(HOST).map_or("", header_text),
            scheme: self.scheme(),
        }
    }

    /// What matchers read of it.
    pub(super) fn view<'p>(&self, parts: &'p Parts) -> RequestView<'p> {
        let PseudoHeaders { method, path, authority, scheme } = self.pseudo(parts);
        RequestView { path_and_query: path, method, authority, scheme, headers: &parts.headers }
    }

    /// The route that takes it, if one does.
    pub(super) fn route(&self) -> Option<&'a Route> {
        self.found.and_then(|(_, route)| route)
    }

    /// Whether it got as far as to what its route says.
    pub(super) fn reached_route(&self) -> bool {
        let redirected = self.found.is_some_and(|(virtual_host, _)| virtual_host.require_tls)
            && matches!(&self.end, End::Reply(_, None));
        self.routed && self.filters.len() == self.manager.filters.len() && !redirected
    }

    /// How it is forwarded, if it is to be.
    pub(super) fn route_action(&self) -> Option<&'a RouteAction> {
        match &self.route()?.action {
            Action::Forward(action) => Some(action),
            Action::Redirect(_) | Action::Direct(_) => None,
        }
    }
}

/// Where a way ends whose end was taken.
pub(super) fn nowhere<'a>() -> End<'a> {
    End::Reply(LocalReply::no_route(), None)
}

/// Whether a request says that it has a body.
fn has_body(parts: &Parts) -> bool {
    let length = parts.headers.get(http::header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    length || parts.headers.contains_key(http::header::TRANSFER_ENCODING)
}
