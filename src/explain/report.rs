//! What is told of a request, in the order of its way. Its JSON form is what programs read.

use serde::Serialize;

/// Why a request goes where it goes.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// As it was asked.
    pub(crate) request: String,
    /// What becomes of it.
    pub(crate) outcome: Outcome,
    /// Where it comes in.
    pub(crate) listener: ListenerReport,
    /// What is done to it before it is routed.
    pub(crate) connection_manager: ManagerReport,
    /// Which virtual host it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) routing: Option<Routing>,
    /// What filters do.
    pub(crate) filters: Vec<FilterReport>,
    /// What its route does.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) action: Vec<String>,
    /// What leaves for the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) upstream_request: Option<UpstreamRequest>,
    /// Where it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<ClusterReport>,
    /// Whether it is traced; `None` where it never gets as far as that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tracing: Option<TracingReport>,
    /// What the proxy answers itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reply: Option<Reply>,
}

impl Explanation {
    /// All places that are named.
    pub(crate) fn places(&mut self) -> Vec<&mut Place> {
        let mut places = vec![&mut self.listener.place];
        if let Some(routing) = &mut self.routing {
            places.extend(routing.virtual_host.as_mut().map(|host| &mut host.place));
            places.extend(routing.routes.iter_mut().map(|route| &mut route.place));
        }
        places.extend(self.cluster.as_mut().map(|cluster| &mut cluster.place));
        places
    }
}

/// Where something stands in the configuration.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Place {
    /// The field.
    pub(crate) path: String,
    /// File, line and column, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<String>,
}

impl Place {
    /// That field.
    pub(crate) fn of(path: String) -> Self {
        Self { path, position: None }
    }
}

/// What becomes of a request.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// In one word.
    pub(crate) kind: OutcomeKind,
    /// Of the answer, where the proxy makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// In a sentence.
    pub(crate) text: String,
}

impl Outcome {
    /// Whether the proxy itself answers with an error.
    pub(crate) fn is_error(&self) -> bool {
        self.status.is_some_and(|status| status >= 400)
    }
}

/// What becomes of a request, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OutcomeKind {
    /// It goes to a host.
    Forwarded,
    /// The proxy answers it.
    Answered,
}

/// A listener, and why it is the one.
#[derive(Debug, Serialize)]
pub(crate) struct ListenerReport {
    /// `Listener.name`
    pub(crate) name: String,
    /// Where it listens.
    pub(crate) address: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// Why this one.
    pub(crate) why: String,
    /// Its connections are encrypted.
    pub(crate) tls: bool,
    /// Which filter chain, and why.
    pub(crate) filter_chain: String,
    /// Whom the request is taken to come from.
    pub(crate) source: String,
    /// What else matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// What happens before a request is routed.
#[derive(Debug, Serialize)]
pub(crate) struct ManagerReport {
    /// `stat_prefix`
    pub(crate) stat_prefix: String,
    /// In order.
    pub(crate) steps: Vec<String>,
    /// Headers that it changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changes: Vec<Change>,
}

/// Virtual host and route.
#[derive(Debug, Serialize)]
pub(crate) struct Routing {
    /// What was looked up.
    pub(crate) authority: String,
    /// `None`: no domain fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) virtual_host: Option<VirtualHostReport>,
    /// Domains that there are, where none fits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) domains: Vec<String>,
    /// How many more there are.
    pub(crate) domains_not_listed: usize,
    /// The one most like what was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nearest_domain: Option<String>,
    /// The routes that were tried, up to the one that takes it.
    pub(crate) routes: Vec<RouteReport>,
    /// How many of those that were tried are not listed: none of them fits the path.
    pub(crate) routes_not_listed: usize,
    /// How many stand behind the one that takes it.
    pub(crate) routes_after: usize,
    /// What requests such as this one get, where chance decides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) chances: Vec<Chance>,
}

/// A virtual host, and why it is the one.
#[derive(Debug, Serialize)]
pub(crate) struct VirtualHostReport {
    /// `VirtualHost.name`
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// The domain that fits.
    pub(crate) domain: String,
    /// `exact`, `suffix`, `prefix` or `any`.
    pub(crate) kind: &'static str,
    /// What else matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// A route that was tried.
#[derive(Debug, Serialize)]
pub(crate) struct RouteReport {
    /// Its place among the routes of the virtual host.
    pub(crate) index: usize,
    /// `Route.name`; empty without one.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// What it takes, in words.
    pub(crate) matches: String,
    /// It takes this request.
    pub(crate) taken: bool,
    /// Why it does not.
    pub(crate) obstacles: Vec<String>,
}

/// What a share of requests gets.
#[derive(Debug, Serialize)]
pub(crate) struct Chance {
    /// Of 100.
    pub(crate) percent: f64,
    /// What they get.
    pub(crate) text: String,
    /// A random number of such a request.
    pub(crate) random: u64,
    /// It is what is told here.
    pub(crate) told: bool,
}

/// A filter, and what it does.
#[derive(Debug, Serialize)]
pub(crate) struct FilterReport {
    /// Which.
    pub(crate) name: &'static str,
    /// What it does with this request.
    pub(crate) effect: String,
}

/// What a host gets.
#[derive(Debug, Serialize)]
pub(crate) struct UpstreamRequest {
    /// `:method`
    pub(crate) method: String,
    /// `:path`, rewritten.
    pub(crate) path: String,
    /// `:authority` or `host`, rewritten.
    pub(crate) authority: String,
    /// `HTTP/1.1` or `HTTP/2`
    pub(crate) protocol: &'static str,
    /// How it differs from what the client sent.
    pub(crate) changes: Vec<Change>,
    /// All of its headers.
    pub(crate) headers: Vec<(String, String)>,
}

/// A header that is not as it was.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// Of the header.
    pub(crate) name: String,
    /// `None`: it was not there.
    pub(crate) before: Option<String>,
    /// `None`: it is gone.
    pub(crate) after: Option<String>,
    /// It has another value each time.
    pub(crate) varies: bool,
}

/// A cluster.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterReport {
    /// `Cluster.name`
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) place: Place,
    /// `Cluster.type`
    pub(crate) discovery: &'static str,
    /// `Cluster.lb_policy`
    pub(crate) lb_policy: &'static str,
    /// `HTTP/1.1` or `HTTP/2`
    pub(crate) protocol: &'static str,
    /// Its hosts are spoken to in TLS.
    pub(crate) tls: bool,
    /// All of them, those that are not well, too.
    pub(crate) hosts: Vec<HostReport>,
    /// How many of them are well.
    pub(crate) healthy: usize,
    /// How many there are.
    pub(crate) total: usize,
    /// The one that gets the request, where nothing is left to chance or turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) chosen: Option<String>,
    /// What else matters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<String>,
}

/// A host.
#[derive(Debug, Serialize)]
pub(crate) struct HostReport {
    /// Where it is.
    pub(crate) address: String,
    /// Its name; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) hostname: String,
    /// Its share, relative to the others.
    pub(crate) weight: u32,
    /// `healthy`, `unhealthy` or `draining`
    pub(crate) health: &'static str,
}

/// Whether a request is traced.
#[derive(Debug, Serialize)]
pub(crate) struct TracingReport {
    /// What decides, in order.
    pub(crate) steps: Vec<String>,
    /// How many of 100 such requests are exported; `None` where nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percent: Option<f64>,
    /// In a sentence.
    pub(crate) decision: String,
    /// What its span is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_name: Option<String>,
    /// `SERVER` or `CLIENT`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) span_kind: Option<&'static str>,
    /// In which headers the host is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) propagation: Option<String>,
}

/// What the proxy answers.
#[derive(Debug, Serialize)]
pub(crate) struct Reply {
    /// As the client gets it: 200 to a gRPC client, which reads `grpc-status`.
    pub(crate) status: u16,
    /// `%RESPONSE_CODE_DETAILS%`
    pub(crate) details: String,
    /// `%RESPONSE_FLAGS%`
    pub(crate) flags: String,
    /// Those of the reply itself and of the route.
    pub(crate) headers: Vec<(String, String)>,
    /// The beginning of it.
    pub(crate) body: String,
    /// Its length in bytes.
    pub(crate) body_bytes: usize,
    /// What the details mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}
