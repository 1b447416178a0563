//! Changes of headers: at the edge, and what routes ask for.

use std::{
    hint::black_box,
    net::{IpAddr, Ipv4Addr},
    rc::Rc,
    sync::Arc,
};

use http::{HeaderMap, Version};

use super::{Operation, Variation, listener, request_headers, snapshot};
use crate::{
    http_connection_manager::edge_headers,
    http_headers::Present,
    router::header_transform::MutationLevels,
    snapshot::{Address, Snapshot},
    stream_info::{
        ConnectionInfo, StreamInfo,
        formatter::{FormatContext, Headers, PseudoHeaders},
    },
};

/// A client from outside.
pub(super) fn connection() -> Rc<ConnectionInfo> {
    Rc::new(ConnectionInfo::new(
        1,
        Some(([203, 0, 113, 9], 4711).into()),
        Address::Socket(([203, 0, 113, 1], 80).into()),
    ))
}

/// What the connection manager does to the headers of each request: `x-request-id`, `x-forwarded-for` and their like.
pub(super) struct Edge {
    snapshot: Arc<Snapshot>,
    connection: Rc<ConnectionInfo>,
    requests: Vec<HeaderMap>,
}

impl Edge {
    pub(super) fn new() -> Self {
        Self { snapshot: snapshot(&Variation::default()), connection: connection(), requests: Vec::new() }
    }
}

impl Operation for Edge {
    fn prepare(&mut self, times: usize) {
        self.requests.clear();
        self.requests.resize_with(times, request_headers);
    }

    fn run(&mut self, times: usize) {
        let edge = edge_headers::Edge {
            connection: &self.connection,
            own_ip: &IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            manager: &listener(&self.snapshot).manager,
            node: &self.snapshot.node,
            tls: false,
        };
        for headers in self.requests.iter_mut().take(times) {
            assert!(black_box(edge.mutate_request(headers, Present::of(headers))).is_ok());
        }
    }
}

/// A new `x-request-id`.
pub(super) struct RequestId;

impl Operation for RequestId {
    fn prepare(&mut self, _: usize) {}

    fn run(&mut self, times: usize) {
        for _ in 0..times {
            assert!(!black_box(edge_headers::new_request_id()).is_empty());
        }
    }
}

/// `request_headers_to_add` and `request_headers_to_remove` of a route and of its virtual host.
pub(super) struct Mutations {
    snapshot: Arc<Snapshot>,
    info: StreamInfo,
    before: HeaderMap,
    requests: Vec<HeaderMap>,
}

impl Mutations {
    pub(super) fn new() -> Self {
        let virtual_hosts = r#"{"name": "v", "domains": ["*"],
          "request_headers_to_add": [{"header": {"key": "x-tenant", "value": "blue"}}],
          "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"},
            "request_headers_to_remove": ["x-internal-token"],
            "request_headers_to_add": [
              {"header": {"key": "x-client", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}},
              {"header": {"key": "cache-control", "value": "max-age=0"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}]}]}"#;
        Self {
            snapshot: snapshot(&Variation { virtual_hosts, ..Variation::default() }),
            info: StreamInfo::new(connection(), Version::HTTP_11),
            before: request_headers(),
            requests: Vec::new(),
        }
    }
}

impl Operation for Mutations {
    fn prepare(&mut self, times: usize) {
        self.requests.clear();
        self.requests.resize_with(times, request_headers);
    }

    fn run(&mut self, times: usize) {
        let config = &listener(&self.snapshot).manager.routes;
        let virtual_host = config.virtual_hosts.first().expect("a virtual host");
        let levels = MutationLevels {
            weighted_cluster: None,
            route: &virtual_host.routes.first().expect("a route").headers,
            virtual_host: &virtual_host.headers,
            config,
        };
        let context = FormatContext {
            info: &self.info,
            request: Headers::All(&self.before),
            pseudo: PseudoHeaders::default(),
            response: None,
        };
        for headers in self.requests.iter_mut().take(times) {
            levels.apply_to_request(black_box(headers), &context);
        }
    }
}
