//! OpenTelemetry samplers, as Envoy has them: which spans are exported, decided per span and after Envoy's own
//! decision to trace (`trace::sampler`).
//!
//! A sampler is asked for the span of a downstream request, where `overall_sampling` and the like can still
//! overrule its yes, and again for each span of an upstream request, where nothing overrules it.

mod attributes;

use std::net::SocketAddr;

use http::Version;
use opentelemetry::TraceId;

pub(crate) use super::cel::request::RequestView;
use super::cel::{CelError, Dialect, Expression};

/// A sampler, and the bytes of the message that it was made of.
#[derive(Debug)]
pub(crate) struct ConfiguredSampler {
    /// The message.
    pub(crate) config: Vec<u8>,
    /// What it says.
    pub(crate) sampler: Sampler,
}

impl PartialEq for ConfiguredSampler {
    fn eq(&self, other: &Self) -> bool {
        self.config == other.config
    }
}

/// A sampler. API: `envoy.config.trace.v3.OpenTelemetryConfig.sampler`; without one, the parent's decision
/// counts, else Envoy's.
#[derive(Debug)]
pub(crate) enum Sampler {
    /// Every span. API: `AlwaysOnSamplerConfig`.
    AlwaysOn,
    /// As the parent; if there is none, as the other sampler. API: `ParentBasedSamplerConfig`, whose
    /// `wrapped_sampler` is required.
    ParentBased(Box<Self>),
    /// A share of traces, drawn by trace id, whatever the parent says. API: `TraceIdRatioBasedSamplerConfig`.
    TraceIdRatioBased(TraceIdRatio),
    /// Those for which an expression is true. API: `CELSamplerConfig`.
    Cel(Expression),
}

/// A share of all traces. API: `envoy.type.v3.FractionalPercent`; of one that is not set, nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TraceIdRatio {
    /// So many; more than the denominator are all.
    pub(crate) numerator: u32,
    /// Of so many: 100, 10 000 or 1 000 000.
    pub(crate) denominator: u32,
}

impl TraceIdRatio {
    fn includes(self, trace_id: TraceId) -> bool {
        let bytes = trace_id.to_bytes();
        // The first eight bytes, in the byte order of the machines Envoy and this run on.
        let number = bytes.first_chunk::<8>().copied().map_or(0, u64::from_le_bytes);
        number.checked_rem(u64::from(self.denominator)).is_some_and(|place| place < u64::from(self.numerator))
    }
}

/// What is decided of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    /// It is recorded and exported.
    pub(crate) sampled: bool,
    /// It keeps the `tracestate` of its parent; otherwise it has none, and sends none.
    pub(crate) keep_state: bool,
}

/// What a sampler may look at besides the parent and the trace id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SamplingAttributes<'a> {
    /// The request, for the span of a downstream request; `None` for that of an upstream request.
    pub(crate) request: Option<RequestView<'a>>,
    /// `request.protocol`: what the client speaks.
    pub(crate) protocol: Version,
    /// `request.size` if there is no `content-length`: bytes of the body so far.
    pub(crate) bytes_received: u64,
    /// `source.address` and `source.port`: the client, by `x-forwarded-for` where that is trusted. `None` on
    /// a unix socket.
    pub(crate) source: Option<SocketAddr>,
    /// `destination.address` and `destination.port`: the connection's own end. `None` on a unix socket.
    pub(crate) destination: Option<SocketAddr>,
    /// `connection.id`
    pub(crate) connection_id: u64,
    /// `xds.node.id`
    pub(crate) node_id: &'a str,
    /// `xds.node.cluster`
    pub(crate) node_cluster: &'a str,
    /// `xds.listener_direction`, as its number in `envoy.config.core.v3.TrafficDirection`.
    pub(crate) listener_direction: i64,
    /// `xds.virtual_host_name`; `None` if no virtual host took the request.
    pub(crate) virtual_host_name: Option<&'a str>,
    /// `xds.route_name`; empty if the route has none, `None` if there is no route.
    pub(crate) route_name: Option<&'a str>,
    /// `xds.cluster_name`; `None` if the route leads to none.
    pub(crate) cluster_name: Option<&'a str>,
}

impl Sampler {
    /// Compile an expression of the Common Expression Language. API: `CELSamplerConfig.expression`, in its
    /// field `cel_expr_string`, which Envoy 1.40 refuses there.
    pub(crate) fn cel(text: &str) -> Result<Self, CelError> {
        Expression::parse(text, Dialect::Sampler).map(Self::Cel)
    }

    /// Compile a parsed expression. API: the same in `cel_expr_checked`, `cel_expr_parsed`, `checked_expr` or
    /// `parsed_expr`.
    pub(crate) fn cel_ast(ast: &cel::IdedExpr) -> Result<Self, CelError> {
        Expression::compile(ast, Dialect::Sampler).map(Self::Cel)
    }

    /// Decide on a span. `parent_sampled` is `None` if its trace begins with it. (Of a span that is sent
    /// upstream the parent is the downstream span, and its decision counts as it stands, overruled or not.)
    pub(crate) fn decide(
        &self,
        parent_sampled: Option<bool>,
        trace_id: TraceId,
        attributes: &SamplingAttributes<'_>,
    ) -> Decision {
        let kept = |sampled| Decision { sampled, keep_state: true };
        match self {
            Self::AlwaysOn => kept(true),
            Self::ParentBased(root) => match parent_sampled {
                Some(sampled) => kept(sampled),
                None => root.decide(None, trace_id, attributes),
            },
            Self::TraceIdRatioBased(ratio) => kept(ratio.includes(trace_id)),
            // An error and what is not a boolean are a no. A no drops the state, too.
            Self::Cel(expression) => {
                let sampled = expression.is_true(attributes);
                Decision { sampled, keep_state: sampled }
            }
        }
    }
}

#[cfg(test)]
mod tests;
