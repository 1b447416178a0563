//! The scenarios as they are written, see README.md of this folder.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer, de::Error as _};
use serde_yaml::Value;

use crate::message::Fields;

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The file's name without its ending.
    pub(crate) file: String,
    pub(crate) title: String,
    pub(crate) env: BTreeMap<String, String>,
    /// Merged over the bootstrap.
    pub(crate) bootstrap: Value,
    pub(crate) scenarios: Vec<Scenario>,
    /// Differences that no scenario can show.
    pub(crate) notes: Vec<String>,
}

/// One claim, before its placeholders are filled in.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// Its place in the file, which makes its names unique.
    pub(crate) index: usize,
    /// `file:line`
    pub(crate) place: String,
    pub(crate) raw: Value,
    pub(crate) spec: Spec,
}

/// What a scenario says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Spec {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) listeners: BTreeMap<String, ListenerSpec>,
    #[serde(default)]
    pub(crate) clusters: Vec<Value>,
    #[serde(default)]
    pub(crate) upstreams: BTreeMap<String, UpstreamSpec>,
    /// How the collector answers, if not as it should.
    #[serde(default)]
    pub(crate) collector: Option<UpstreamSpec>,
    #[serde(default = "one_request")]
    pub(crate) requests: Vec<RequestSpec>,
    #[serde(default)]
    pub(crate) compare: Compare,
    #[serde(default)]
    pub(crate) access_log: Option<Value>,
    #[serde(default)]
    pub(crate) stats: Vec<String>,
    #[serde(default)]
    pub(crate) prometheus: Vec<String>,
    #[serde(default)]
    pub(crate) differs: Vec<Differs>,
    #[serde(default)]
    pub(crate) validate: bool,
    #[serde(default)]
    pub(crate) config: Option<String>,
}

impl Spec {
    /// Whether only the bootstrap is looked at.
    pub(crate) fn is_validation(&self) -> bool {
        self.validate || self.config.is_some()
    }
}

/// What is merged over the parts of a listener.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListenerSpec {
    pub(crate) hcm: Option<Value>,
    pub(crate) listener: Option<Value>,
    pub(crate) router: Option<Value>,
    pub(crate) tracing: Option<Value>,
    pub(crate) tracer: Option<Value>,
    pub(crate) tracer_name: Option<String>,
    pub(crate) routes: Option<Value>,
    pub(crate) virtual_host: Option<Value>,
    pub(crate) route_config: Option<Value>,
}

/// A host, and what it answers.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UpstreamSpec {
    pub(crate) protocol: Protocol,
    pub(crate) down: bool,
    pub(crate) websocket: bool,
    pub(crate) cluster: Option<Value>,
    /// The nth request gets the nth, the last one repeats.
    pub(crate) sequence: Vec<Answer>,
}

/// What a cluster speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    #[default]
    Http1,
    Http2,
}

/// One answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Pairs,
    pub(crate) body: String,
    pub(crate) chunked: bool,
    pub(crate) trailers: Pairs,
    pub(crate) delay: Pause,
    pub(crate) raw: Option<String>,
    pub(crate) then: Then,
    pub(crate) reset: Option<String>,
    /// Answer before the request's body is there.
    pub(crate) early: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Pairs::default(),
            body: "ok".to_owned(),
            chunked: false,
            trailers: Pairs::default(),
            delay: Pause::default(),
            raw: None,
            then: Then::Open,
            reset: None,
            early: false,
        }
    }
}

/// What a host does with the connection after its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Then {
    #[default]
    Open,
    Close,
    Reset,
}

/// One request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RequestSpec {
    pub(crate) send: Option<Bytes>,
    pub(crate) h2: Option<Pairs>,
    pub(crate) body: Option<String>,
    pub(crate) trailers: Pairs,
    /// Do not say that the request ends.
    pub(crate) unfinished: bool,
    pub(crate) reset_after: Option<Pause>,
    pub(crate) to: Option<String>,
    pub(crate) from: Option<String>,
    pub(crate) connection: Option<String>,
    pub(crate) responses: Option<usize>,
    pub(crate) half_close: bool,
    pub(crate) leave_after: Option<Pause>,
    pub(crate) wait: Option<Pause>,
    /// Wait so long before it.
    pub(crate) after: Option<Pause>,
}

/// Bytes to send.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bytes {
    /// A request in lines.
    Text(String),
    /// Exact bytes.
    Pieces(Vec<Piece>),
}

/// Bytes as they are, or none for a while.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Piece {
    Bytes(String),
    Pause { pause: Pause },
}

/// What of the observation is compared, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Compare {
    pub(crate) header_order: bool,
    pub(crate) attribute_order: bool,
    pub(crate) reason: bool,
    pub(crate) spans: bool,
    pub(crate) export: bool,
    /// Also on which of the host's connections a request came.
    pub(crate) connections: bool,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            header_order: false,
            attribute_order: true,
            reason: true,
            spans: true,
            export: false,
            connections: false,
        }
    }
}

/// An intended difference.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Differs {
    pub(crate) at: At,
    pub(crate) reason: String,
}

/// Paths of an observation.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum At {
    One(String),
    Several(Vec<String>),
}

impl At {
    pub(crate) fn paths(&self) -> &[String] {
        match self {
            Self::One(path) => std::slice::from_ref(path),
            Self::Several(paths) => paths,
        }
    }
}

/// Names and values, from a mapping or a list of pairs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pairs(pub(crate) Fields);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let pairs = match value {
            Value::Mapping(mapping) => {
                mapping.into_iter().map(|(name, value)| Some((scalar(&name)?, scalar(&value)?))).collect()
            }
            Value::Sequence(list) => list
                .iter()
                .map(|pair| match pair.as_sequence()?.as_slice() {
                    [name, value] => Some((scalar(name)?, scalar(value)?)),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        pairs.map(Self).ok_or_else(|| D::Error::custom("expected names and values, as a mapping or as pairs"))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null => Some(String::new()),
        _ => None,
    }
}

/// A time such as `100ms` or `1.5s`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pause(pub(crate) Duration);

impl<'de> Deserialize<'de> for Pause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (number, unit) = match text.strip_suffix("ms") {
            Some(number) => (number, 0.001),
            None => (text.strip_suffix('s').unwrap_or_default(), 1.0),
        };
        let number: f64 = number.parse().map_err(|_| D::Error::custom(format!("no time: {text}")))?;
        Ok(Self(Duration::from_secs_f64(number * unit)))
    }
}

/// A plain GET.
fn one_request() -> Vec<RequestSpec> {
    vec![RequestSpec::default()]
}
