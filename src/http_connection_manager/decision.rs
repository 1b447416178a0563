//! What becomes of a request once its route was looked for: it is forwarded, or answered here. Pure.

use super::{local_reply::LocalReply, redirect};
use crate::{
    http_headers::X_FORWARDED_PROTO,
    router::header_transform::MutationLevels,
    snapshot::{
        listener::HttpConnectionManager,
        matcher::RequestView,
        route::{Action, Route, RouteAction, VirtualHost},
    },
};

/// The virtual host of a request, and its route.
pub(crate) type Found<'a> = Option<(&'a VirtualHost, Option<&'a Route>)>;

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Decision<'a> {
    /// It goes to a cluster.
    Forward(&'a VirtualHost, &'a Route, &'a RouteAction),
    /// It is answered here, with what the route says of responses if there is one.
    Reply(LocalReply, Option<MutationLevels<'a>>),
}

/// What the route says, or that there is none.
pub(crate) fn decide<'a>(
    manager: &'a HttpConnectionManager,
    found: Found<'a>,
    request: &RequestView<'_>,
) -> Decision<'a> {
    let no_route = || Decision::Reply(LocalReply::no_route(), None);
    let Some((virtual_host, route)) = found else { return no_route() };
    // What the hop before says counts, whatever this connection is.
    let over_tls = || request.headers.get(X_FORWARDED_PROTO).is_some_and(|proto| proto == "https");
    if virtual_host.require_tls && !over_tls() {
        return Decision::Reply(redirect::to_https(request), None);
    }
    let Some(route) = route else { return no_route() };
    match &route.action {
        Action::Forward(action) => Decision::Forward(virtual_host, route, action),
        Action::Redirect(action) => {
            let reply = redirect::reply(action, &route.matcher.path, request);
            Decision::Reply(reply, levels(manager, found))
        }
        Action::Direct(action) => {
            let reply = LocalReply::direct(action.status, &action.body, request);
            Decision::Reply(reply, levels(manager, found))
        }
    }
}

/// The mutations of a reply to a request whose route was found.
pub(crate) fn levels<'a>(manager: &'a HttpConnectionManager, found: Found<'a>) -> Option<MutationLevels<'a>> {
    let (virtual_host, route) = found?;
    Some(MutationLevels {
        weighted_cluster: None,
        route: &route?.headers,
        virtual_host: &virtual_host.headers,
        config: &manager.routes,
    })
}

/// The reply to a request for an upgrade that it may not have: as its route says, else as the connection manager does.
pub(crate) fn refuse_upgrade(
    upgrade: Option<&str>,
    action: Option<&Action>,
    manager: &HttpConnectionManager,
) -> Option<LocalReply> {
    let upgrade = upgrade?;
    let listed = |list: &[(Box<str>, bool)]| {
        list.iter().find(|(name, _)| **name == *upgrade).map(|(_, enabled)| *enabled)
    };
    let by_route = match action {
        Some(Action::Forward(action)) => listed(&action.upgrades),
        _ => None,
    };
    let allowed = by_route.or_else(|| listed(&manager.upgrades)).unwrap_or(false);
    (!allowed).then(LocalReply::upgrade_refused)
}
