//! Lowers what goes beyond Envoy's tracing: `spanway.config.trace.v1.TracingConfig`.

use envoy_types::pb::{
    envoy::{config::core::v3::DataSource, r#type::matcher::v3::StringMatcher as ProtoStringMatcher},
    google::protobuf::{Any, Duration as ProtoDuration, UInt32Value},
};

use super::Lowering;
use crate::{
    config::FieldPath,
    snapshot::tracing::{Conventions, Extras, Propagator},
};

/// The message, as `src/config/proto` describes it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TracingConfig {
    #[prost(message, optional, tag = "1")]
    pub(super) tracer: Option<Any>,
    #[prost(enumeration = "ProtoConventions", tag = "2")]
    semantic_conventions: i32,
    #[prost(bool, tag = "3")]
    name_by_route: bool,
    #[prost(enumeration = "ProtoPropagator", repeated, tag = "4")]
    propagators: Vec<i32>,
    #[prost(string, repeated, tag = "5")]
    redacted_query_parameters: Vec<String>,
    #[prost(bool, tag = "6")]
    server_timing: bool,
    #[prost(bool, tag = "7")]
    link_untrusted_parent: bool,
    #[prost(message, optional, tag = "8")]
    exclude: Option<Exclusion>,
    #[prost(message, optional, tag = "9")]
    pub(super) export: Option<Export>,
}

/// `TracingConfig.Export`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Export {
    #[prost(message, repeated, tag = "1")]
    pub(super) headers: Vec<Header>,
    #[prost(enumeration = "ProtoCompression", tag = "2")]
    compression: i32,
    #[prost(message, optional, tag = "3")]
    pub(super) max_batch_spans: Option<UInt32Value>,
    #[prost(message, optional, tag = "4")]
    pub(super) max_queue_bytes: Option<UInt32Value>,
    #[prost(message, optional, tag = "5")]
    pub(super) retry_for: Option<ProtoDuration>,
}

impl Export {
    /// Whether calls are compressed, if it says so.
    pub(super) fn gzip(&self) -> Option<bool> {
        match self.compression() {
            ProtoCompression::Environment => None,
            ProtoCompression::None => Some(false),
            ProtoCompression::Gzip => Some(true),
        }
    }
}

/// `TracingConfig.Export.Header`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<DataSource>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum ProtoCompression {
    Environment = 0,
    None = 1,
    Gzip = 2,
}

/// `TracingConfig.Exclusion`
#[derive(Clone, PartialEq, prost::Message)]
struct Exclusion {
    #[prost(message, repeated, tag = "1")]
    paths: Vec<ProtoStringMatcher>,
    #[prost(message, repeated, tag = "2")]
    user_agents: Vec<ProtoStringMatcher>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum ProtoConventions {
    Envoy = 0,
    Stable = 1,
    Both = 2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum ProtoPropagator {
    Tracecontext = 0,
    B3 = 1,
    B3multi = 2,
    Xray = 3,
    Baggage = 4,
}

impl prost::Name for TracingConfig {
    const NAME: &'static str = "TracingConfig";
    const PACKAGE: &'static str = "spanway.config.trace.v1";
}

impl Lowering<'_> {
    /// What the message says, or else the environment.
    pub(super) fn extras(
        &mut self,
        path: &FieldPath<'_>,
        config: Option<&TracingConfig>,
    ) -> (Extras, Conventions) {
        let Some(config) = config else { return (Extras::default(), Conventions::Envoy) };
        let exclude = path.field("exclude");
        let excluded = config.exclude.clone().unwrap_or_default();
        let extras = Extras {
            name_by_route: config.name_by_route,
            propagators: if config.propagators.is_empty() {
                self.propagators_of_environment(path)
            } else {
                Some(config.propagators().filter_map(propagator).collect())
            },
            redacted: config.redacted_query_parameters.iter().map(|name| name.as_str().into()).collect(),
            server_timing: config.server_timing,
            link_untrusted_parent: config.link_untrusted_parent,
            excluded_paths: self.string_matchers(&exclude.field("paths"), &excluded.paths),
            excluded_user_agents: self.string_matchers(&exclude.field("user_agents"), &excluded.user_agents),
        };
        let conventions = match config.semantic_conventions() {
            ProtoConventions::Envoy => conventions_of_environment(),
            ProtoConventions::Stable => Conventions::Stable,
            ProtoConventions::Both => Conventions::Both,
        };
        (extras, conventions)
    }

    /// `OTEL_PROPAGATORS`: names joined by commas, `none` for none.
    fn propagators_of_environment(&mut self, path: &FieldPath<'_>) -> Option<Vec<Propagator>> {
        let list = std::env::var("OTEL_PROPAGATORS").ok().filter(|list| !list.is_empty())?;
        let mut found = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match name {
                "tracecontext" => found.push(Propagator::TraceContext),
                "b3" => found.push(Propagator::B3),
                "b3multi" => found.push(Propagator::B3Multi),
                "xray" => found.push(Propagator::XRay),
                // It passes by itself.
                "baggage" | "none" => {}
                other => self.problems.push_with_hint(
                    path,
                    format!("OTEL_PROPAGATORS names \"{other}\""),
                    "spanway has tracecontext, baggage, b3, b3multi, xray and none",
                ),
            }
        }
        Some(found)
    }
}

/// `OTEL_SEMCONV_STABILITY_OPT_IN`: categories joined by commas.
fn conventions_of_environment() -> Conventions {
    let list = std::env::var("OTEL_SEMCONV_STABILITY_OPT_IN").unwrap_or_default();
    let has = |category| list.split(',').any(|name| name.trim() == category);
    match (has("http/dup"), has("http")) {
        (true, _) => Conventions::Both,
        (false, true) => Conventions::Stable,
        (false, false) => Conventions::Envoy,
    }
}

fn propagator(propagator: ProtoPropagator) -> Option<Propagator> {
    Some(match propagator {
        ProtoPropagator::Tracecontext => Propagator::TraceContext,
        ProtoPropagator::B3 => Propagator::B3,
        ProtoPropagator::B3multi => Propagator::B3Multi,
        ProtoPropagator::Xray => Propagator::XRay,
        ProtoPropagator::Baggage => return None,
    })
}

#[cfg(test)]
mod tests {
    use envoy_types::pb::envoy::r#type::matcher::v3::string_matcher::MatchPattern;
    use prost::Message;
    use prost_reflect::{DynamicMessage, Value};

    use super::*;
    use crate::config::api;

    #[test]
    fn the_message_has_the_fields_that_its_description_has() {
        let exact = |text: &str| ProtoStringMatcher {
            match_pattern: Some(MatchPattern::Exact(text.to_owned())),
            ..ProtoStringMatcher::default()
        };
        let config = TracingConfig {
            tracer: Some(Any { type_url: "a/b".into(), value: Vec::new() }),
            semantic_conventions: ProtoConventions::Both.into(),
            name_by_route: true,
            propagators: vec![ProtoPropagator::B3multi.into(), ProtoPropagator::Baggage.into()],
            redacted_query_parameters: vec!["token".into()],
            server_timing: true,
            link_untrusted_parent: true,
            exclude: Some(Exclusion { paths: vec![exact("/healthz")], user_agents: vec![exact("probe")] }),
            export: Some(Export {
                headers: vec![Header { name: "n".into(), value: Some(DataSource::default()) }],
                compression: ProtoCompression::Gzip.into(),
                max_batch_spans: Some(UInt32Value { value: 1 }),
                max_queue_bytes: Some(UInt32Value { value: 2 }),
                retry_for: Some(ProtoDuration { seconds: 3, nanos: 0 }),
            }),
        };
        let described = api::all().get_message_by_name("spanway.config.trace.v1.TracingConfig").unwrap();
        let read = DynamicMessage::decode(described, &*config.encode_to_vec()).unwrap();
        assert_eq!(read.unknown_fields().count(), 0);
        for name in ["name_by_route", "server_timing", "link_untrusted_parent"] {
            assert_eq!(*read.get_field_by_name(name).unwrap(), Value::Bool(true), "{name}");
        }
        assert_eq!(*read.get_field_by_name("semantic_conventions").unwrap(), Value::EnumNumber(2));
        let propagators = Value::List(vec![Value::EnumNumber(2), Value::EnumNumber(4)]);
        assert_eq!(*read.get_field_by_name("propagators").unwrap(), propagators);
        assert!(read.has_field_by_name("tracer") && read.has_field_by_name("exclude"));
        let export = read.get_field_by_name("export").unwrap();
        assert_eq!(export.as_message().unwrap().unknown_fields().count(), 0);
        assert_eq!(export.as_message().unwrap().fields().count(), 5);
        assert_eq!(read.encode_to_vec(), config.encode_to_vec());
    }
}
