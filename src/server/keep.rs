//! `--keep-traces`: a proxy's own spans in a store of its own, so that they can be seen where there is no collector.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::{
    collector::{intake, invalid::Invalid, store::Store},
    snapshot::{
        Node,
        tracing::{Provider, Tracer},
    },
    trace::{
        batch::Batch,
        otlp::{EncodedSpans, Envelope, SpanEncoder},
    },
};

/// What puts the spans of `tracer` into `store`, as its collector would see them.
pub(super) fn into(store: &Arc<Store>, tracer: &Tracer, node: &Node) -> Box<dyn FnMut(&Batch) + Send> {
    let envelope = match &tracer.provider {
        Provider::OpenTelemetry(otel) => Envelope::new(otel),
        Provider::Zipkin(_) | Provider::XRay(_) => Envelope::of_service(match &*node.cluster {
            "" => tracer.name(),
            cluster => cluster,
        }),
    };
    let mut encoder = SpanEncoder::new(node, tracer.conventions);
    let store = Arc::clone(store);
    Box::new(move |batch| {
        let mut records = EncodedSpans::default();
        for span in &batch.records {
            encoder.encode(span, &mut records);
        }
        for spans in [&batch.encoded, &records] {
            // What was written here can be read here.
            if spans.len() > 0
                && let Ok(request) = ExportTraceServiceRequest::decode(envelope.request(spans))
            {
                intake::accept(&store, request, Invalid::default());
            }
        }
    })
}
