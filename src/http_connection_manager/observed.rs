//! What a stream records for access logs and for formats that read more than most, where there are such.

use std::{rc::Rc, sync::Arc};

use http::{Version, request::Parts};

use super::{Connection, active_stream::ActiveStream};
use crate::{
    router,
    snapshot::{
        access_log::LogType,
        listener::HttpConnectionManager,
        route::{Action, Route, VirtualHost},
    },
    stream_info::StreamInfo,
};

/// What will be known of a stream that begins.
pub(super) fn stream_info(connection: &Connection, version: Version, grpc: bool) -> Rc<StreamInfo> {
    let info = StreamInfo::new(Rc::clone(&connection.info), version);
    if !connection.listener.manager.observes {
        return Rc::new(info);
    }
    let info = info.observed(connection.listener.manager.observes_moments);
    if let Some(observed) = &info.observed {
        observed.grpc.set(grpc);
    }
    Rc::new(info)
}

impl ActiveStream {
    /// Keep what access logs read of a request that is answered here, unless it was kept on its way to a host.
    pub(super) fn observe_request(&self, manager: &HttpConnectionManager, parts: &Parts) {
        if let Some(observed) = &self.info.observed
            && observed.request.borrow().is_none()
        {
            observed.keep_request(&manager.access_log.wanted, parts, self.asked.https);
        }
    }

    /// Keep what is noted of the request's route, and the route's cluster: entries name it even if the request never
    /// gets as far as that.
    pub(super) fn observe_route(
        &self,
        connection: &Connection,
        parts: &Parts,
        found: Option<(&VirtualHost, Option<&Route>)>,
    ) {
        let (Some(observed), Some((virtual_host, route))) = (&self.info.observed, found) else { return };
        let keeps = connection.listener.manager.observes_route;
        if keeps {
            observed.virtual_host_metadata.borrow_mut().clone_from(&virtual_host.metadata);
            observed.virtual_host_name.replace(Some(Arc::clone(&virtual_host.name)));
        }
        let Some(route) = route else { return };
        if keeps {
            observed.has_route.set(true);
            observed.route_metadata.borrow_mut().clone_from(&route.metadata);
        }
        if let Action::Forward(action) = &route.action {
            let services = &connection.services;
            let (id, _) = router::draw_cluster(action, &parts.headers, self.random, &services.snapshot);
            let cluster = id.and_then(|id| services.clusters.cluster(id));
            self.info.cluster.replace(cluster.map(|cluster| Rc::clone(&cluster.config)));
        }
    }

    /// Write the entries of a request that begins, and see to those while it lasts, where that is asked for.
    pub(super) fn log_beginning(&self, manager: &HttpConnectionManager, parts: &Parts) {
        let logs = &manager.access_log;
        if logs.logs.is_empty() {
            return;
        }
        if logs.on_new_request {
            self.observe_request(manager, parts);
            self.end.log(LogType::Start);
        }
        if let Some(interval) = logs.interval {
            self.end.log_by_time(interval);
        }
    }
}
