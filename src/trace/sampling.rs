//! Asks the sampler of OpenTelemetry's tracer, where one is configured.

use std::sync::Arc;

use opentelemetry::TraceId;

use super::stream::TracedRequest;
use crate::{
    snapshot::{
        Node,
        kept_headers::Headers,
        listener::TrafficDirection,
        otel_sampler::{ConfiguredSampler, Decision, RequestView, SamplingAttributes},
        tracing::Provider,
    },
    stream_info::StreamInfo,
};

/// A sampler, and what it may look at of a stream besides its request.
#[derive(Debug)]
pub(crate) struct Sampling {
    sampler: Arc<ConfiguredSampler>,
    direction: TrafficDirection,
    virtual_host: Option<Box<str>>,
    route: Option<Box<str>>,
    cluster: Option<Box<str>>,
}

/// The sampler for a request, if there is one.
pub(super) fn of(request: &TracedRequest<'_>) -> Option<Sampling> {
    let Provider::OpenTelemetry(otel) = &request.tracing.tracer.provider else { return None };
    Some(Sampling {
        sampler: Arc::clone(otel.sampler.as_ref()?),
        direction: request.direction,
        virtual_host: request.names.virtual_host.map(Box::from),
        route: request.names.route.map(Box::from),
        cluster: request.names.cluster.map(Box::from),
    })
}

impl Sampling {
    /// Decide on the span of a request. `parent` is what the hop before decided, if there is one.
    pub(super) fn decide(
        &self,
        parent: Option<bool>,
        trace_id: TraceId,
        request: &TracedRequest<'_>,
        info: &StreamInfo,
    ) -> Decision {
        let view = RequestView {
            method: request.pseudo.method,
            path: request.pseudo.path,
            authority: request.pseudo.authority,
            scheme: request.pseudo.scheme,
            headers: Headers::All(request.headers),
        };
        let attributes = self.attributes(Some(view), request.node, info);
        self.sampler.sampler.decide(parent, trace_id, &attributes)
    }

    /// Decide on the span of a request to a host, of which the sampler sees no headers.
    pub(super) fn decide_attempt(
        &self,
        parent: bool,
        trace_id: TraceId,
        node: &Node,
        info: &StreamInfo,
    ) -> bool {
        let attributes = self.attributes(None, node, info);
        self.sampler.sampler.decide(Some(parent), trace_id, &attributes).sampled
    }

    fn attributes<'a>(
        &'a self,
        request: Option<RequestView<'a>>,
        node: &'a Node,
        info: &StreamInfo,
    ) -> SamplingAttributes<'a> {
        SamplingAttributes {
            request,
            protocol: info.protocol,
            bytes_received: info.bytes_received.get(),
            source: info.remote.get(),
            destination: info.connection.local.socket(),
            connection_id: info.connection.id,
            node_id: &node.id,
            node_cluster: &node.cluster,
            listener_direction: match self.direction {
                TrafficDirection::Unspecified => 0,
                TrafficDirection::Inbound => 1,
                TrafficDirection::Outbound => 2,
            },
            virtual_host_name: self.virtual_host.as_deref(),
            route_name: self.route.as_deref(),
            cluster_name: self.cluster.as_deref(),
        }
    }
}
