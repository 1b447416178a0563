//! The beginning of a stream's span: whether it is traced, and what its route says of that.

use http::{HeaderMap, request::Parts};

use super::{Connection, active_stream::ActiveStream, decision::Found};
use crate::{
    http_headers::X_REQUEST_ID,
    router,
    snapshot::{Snapshot, listener::HttpConnectionManager, route::Action},
    trace::{
        decorator::decorate_request,
        sampler::{self, TraceReason},
        stream::{RouteNames, TracedRequest},
    },
};

impl ActiveStream {
    /// Decide whether the request is traced, and start its span.
    pub(super) fn start_span(&mut self, connection: &Connection, parts: &mut Parts, found: Found<'_>) {
        let route = found.and_then(|(_, route)| route);
        let manager: &HttpConnectionManager = &connection.listener.manager;
        let Some(tracing) = &manager.tracing else { return };
        let direction = connection.listener.direction;
        let decorator = route.and_then(|route| route.decorator.as_ref());
        let policy = route.and_then(|route| route.tracing.as_ref()).unwrap_or(&tracing.policy);
        let reason = sampler::decide(&mut parts.headers, self.present, policy, &manager.request_id, || {
            fastrand::u64(..)
        });
        let stats = &connection.stats().tracing;
        match reason {
            TraceReason::Sampling => stats.random_sampling.inc(),
            TraceReason::ClientForced => stats.client_enabled.inc(),
            TraceReason::ServiceForced => stats.service_forced.inc(),
            TraceReason::NotTraceable => stats.not_traceable.inc(),
        }
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
                route_names(&connection.services.snapshot, found, &parts.headers, self.random)
            } else {
                RouteNames::default()
            },
            node: &connection.services.snapshot.node,
        };
        let mut span = crate::trace::stream::start(&request, &self.info);
        self.decoration =
            decorate_request(&mut parts.headers, self.present, direction, decorator, policy, span.as_mut());
        self.info.span.replace(span);
    }
}

/// Whom a request was found to be for.
pub(crate) fn route_names<'a>(
    snapshot: &'a Snapshot,
    found: Found<'a>,
    headers: &HeaderMap,
    random: u64,
) -> RouteNames<'a> {
    let route = found.and_then(|(_, route)| route);
    let cluster = match route.map(|route| &route.action) {
        Some(Action::Forward(action)) => router::draw_cluster(action, headers, random, snapshot).0,
        _ => None,
    };
    let cluster = cluster.and_then(|id| snapshot.clusters.get(id.0));
    RouteNames {
        virtual_host: found.map(|(virtual_host, _)| &*virtual_host.name),
        route: route.map(|route| &*route.name),
        cluster: cluster.map(|cluster| &*cluster.name),
    }
}
