//! Route matching: tables of many routes of one kind.

use std::{cell::RefCell, collections::HashMap, fmt::Write, hint::black_box, sync::Arc};

use http::HeaderMap;

use super::{Operation, Variation, listener, request_headers, snapshot};
use crate::{
    router::route_matcher::{self, MatchContext},
    snapshot::{Snapshot, matcher::RequestView},
};

/// What the routes of a table tell requests by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Prefix,
    Exact,
    Regex,
    /// Each is the only one of a virtual host with a wildcard domain.
    Domain,
}

/// Which route a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    First,
    Last,
    Unknown,
}

/// A table, and a request for one of its routes.
pub(super) struct Routes {
    snapshot: Arc<Snapshot>,
    path: String,
    authority: String,
    headers: HeaderMap,
    found: bool,
}

thread_local! {
    /// The tables that were asked for before: large ones take seconds under valgrind.
    static TABLES: RefCell<HashMap<(Kind, usize), Arc<Snapshot>>> = RefCell::default();
}

fn table(kind: Kind, count: usize) -> Arc<Snapshot> {
    let mut hosts = String::new();
    let mut routes = String::new();
    for index in 0..count {
        let comma = if index == 0 { "" } else { "," };
        let action = r#""route": {"cluster": "c"}"#;
        let _ = match kind {
            Kind::Prefix => {
                write!(routes, r#"{comma}{{"match": {{"prefix": "/service-{index:05}/"}}, {action}}}"#)
            }
            Kind::Exact => {
                write!(routes, r#"{comma}{{"match": {{"path": "/service-{index:05}/orders/7"}}, {action}}}"#)
            }
            Kind::Regex => write!(
                routes,
                r#"{comma}{{"match": {{"safe_regex": {{"regex": "/service-{index:05}/orders/[0-9]+"}}}}, {action}}}"#
            ),
            Kind::Domain => write!(
                hosts,
                r#"{comma}{{"name": "{index}", "domains": ["*.tenant-{index:05}.example.com"],
                   "routes": [{{"match": {{"prefix": "/"}}, {action}}}]}}"#
            ),
        };
    }
    if kind != Kind::Domain {
        hosts = format!(r#"{{"name": "v", "domains": ["*"], "routes": [{routes}]}}"#);
    }
    snapshot(&Variation { virtual_hosts: &hosts, ..Variation::default() })
}

impl Routes {
    pub(super) fn new(kind: Kind, count: usize, ask: Ask) -> Self {
        let asked = match ask {
            Ask::First => 0,
            Ask::Last => count - 1,
            Ask::Unknown => count,
        };
        Self {
            snapshot: TABLES.with_borrow_mut(|tables| {
                Arc::clone(tables.entry((kind, count)).or_insert_with(|| table(kind, count)))
            }),
            path: format!("/service-{asked:05}/orders/7?page=2"),
            authority: format!("www.tenant-{asked:05}.example.com"),
            headers: request_headers(),
            found: ask != Ask::Unknown,
        }
    }
}

impl Operation for Routes {
    fn prepare(&mut self, _: usize) {}

    fn run(&mut self, times: usize) {
        let routes = &listener(&self.snapshot).manager.routes;
        for _ in 0..times {
            let request = RequestView {
                path_and_query: black_box(&self.path),
                method: "GET",
                authority: black_box(&self.authority),
                scheme: "http",
                headers: &self.headers,
            };
            let found = route_matcher::find(routes, &request, MatchContext { random: 7, grpc: false });
            assert_eq!(found.and_then(|(_, route)| route).is_some(), self.found);
        }
    }
}
