//! Finished spans as a Zipkin collector takes them.

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Uri, header::CONTENT_TYPE};
use opentelemetry_http::HttpClient;

use super::{
    FinishedSpan, SpanKind, Subject,
    attributes::{self, Emitter},
    context::Carrier,
    sender::with_causes,
    zipkin::{Annotation, Format, Kind, LocalEndpoint, ZipkinSpan, micros},
};
use crate::snapshot::{
    Node,
    tracing::{Conventions, Zipkin},
};

/// Posts spans to a Zipkin collector.
#[derive(Debug)]
pub(super) struct ZipkinSender {
    client: Box<dyn HttpClient>,
    node: Node,
    tracer: Zipkin,
    conventions: Conventions,
    format: Format,
    local: LocalEndpoint,
}

impl ZipkinSender {
    /// For the spans of that node, whose own address is `own_ip`.
    pub(super) fn new(
        node: &Node,
        (tracer, conventions): (&Zipkin, Conventions),
        own_ip: IpAddr,
        client: Box<dyn HttpClient>,
    ) -> Self {
        Self {
            client,
            format: if tracer.protobuf { Format::Proto } else { Format::Json },
            local: LocalEndpoint { service_name: Arc::clone(&node.cluster), ip: own_ip, port: 0 },
            node: node.clone(),
            tracer: tracer.clone(),
            conventions,
        }
    }

    /// Send `spans`, or say why not.
    pub(super) async fn send(&self, spans: &[FinishedSpan]) -> Result<(), String> {
        let spans: Vec<ZipkinSpan> = spans.iter().map(|span| self.span(span)).collect();
        let body = Bytes::from(self.format.encode(&spans, &self.local));
        let service = &self.tracer.service;
        let uri = Uri::try_from(format!("http://{}{}", service.authority_text(), service.path));
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(uri.map_err(|error| error.to_string())?)
            .header(CONTENT_TYPE, self.format.content_type())
            .body(body)
            .map_err(|error| error.to_string())?;
        for (name, value) in &service.headers {
            request.headers_mut().append(name, value.clone());
        }
        let response = self.client.send_bytes(request).await.map_err(|error| with_causes(&*error))?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(format!("it answered {}", response.status()))
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
