//! Finished spans as a Zipkin collector takes them.

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_http::HttpClient;

use super::{
    call_headers::CallHeaders,
    failure::Failure,
    http_call::HttpCall,
    sender::{Accepted, Surroundings},
};
use crate::{
    snapshot::{
        Node,
        tracing::{Conventions, Tracer, Zipkin},
    },
    trace::{
        FinishedSpan, SpanKind, Subject,
        attributes::{self, Emitter},
        context::Carrier,
        zipkin::{Annotation, Format, Kind, LocalEndpoint, ZipkinSpan, micros},
    },
};

/// Posts spans to a Zipkin collector.
#[derive(Debug)]
pub(super) struct ZipkinSender {
    call: HttpCall,
    node: Node,
    tracer: Zipkin,
    conventions: Conventions,
    format: Format,
    local: LocalEndpoint,
}

impl ZipkinSender {
    /// For the spans of `tracer`. It fails if the collector's authority and path are no address.
    pub(super) fn new(
        around: &Surroundings<'_>,
        zipkin: &Zipkin,
        tracer: &Tracer,
        client: Box<dyn HttpClient>,
    ) -> Result<Self, String> {
        let format = if zipkin.protobuf { Format::Proto } else { Format::Json };
        Ok(Self {
            call: HttpCall::new(
                &zipkin.service,
                tracer.delivery.gzip,
                (format.content_type(), None),
                client,
            )?,
            format,
            local: LocalEndpoint {
                service_name: Arc::clone(&around.node.cluster),
                ip: around.own_ip,
                port: 0,
            },
            node: around.node.clone(),
            tracer: zipkin.clone(),
            conventions: tracer.conventions,
        })
    }

    /// Send `spans`, or say why not.
    pub(super) async fn send(
        &self,
        spans: &[FinishedSpan],
        headers: &CallHeaders,
    ) -> Result<Accepted, Failure> {
        let spans: Vec<ZipkinSpan> = spans.iter().map(|span| self.span(span)).collect();
        let body = Bytes::from(self.format.encode(&spans, &self.local));
        let bytes = body.len();
        self.call.post(body, headers).await?;
        Ok(Accepted { bytes, ..Accepted::default() })
    }

    fn span(&self, span: &FinishedSpan) -> ZipkinSpan {
        let kind = match span.kind {
            SpanKind::Server => Kind::Server,
            SpanKind::Client => Kind::Client,
        };
        let of_stream = matches!(span.subject, Subject::Stream { .. });
        let annotations =
            span.events.iter().map(|(value, time)| Annotation { timestamp: micros(*time), value });
        let mut zipkin = ZipkinSpan {
            trace_id: u128::from_be_bytes(span.trace_id.to_bytes()),
            id: number(span.span_id),
            parent: span.parent.map(number),
            kind,
            name: attributes::name(span).into_owned(),
            timestamp: micros(span.start),
            duration: micros(span.end).saturating_sub(micros(span.start)),
            shared: self.tracer.shared_span_context
                && of_stream
                && kind == Kind::Server
                && matches!(span.carrier, Carrier::B3 { .. }),
            annotations: annotations.collect(),
            tags: Vec::new(),
        };
        zipkin.annotations.push(Annotation { timestamp: micros(span.end), value: kind.end() });
        let emitter = Emitter { node_id: &self.node.id, zone: &self.node.zone };
        for (key, value) in attributes::attributes(span, Some(emitter), self.conventions).into_texts() {
            zipkin.tag(key.to_owned(), value.into_owned());
        }
        zipkin
    }
}

fn number(id: opentelemetry::SpanId) -> u64 {
    u64::from_be_bytes(id.to_bytes())
}
