//! A collector that hands over what it receives.

use std::net::SocketAddr;

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::Span,
};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

use super::within;

/// A span as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Export {
    /// The headers of the call that brought it.
    pub(crate) metadata: MetadataMap,
    /// `service.name` of its resource.
    pub(crate) service: String,
    resource: Vec<KeyValue>,
    pub(crate) span: Span,
}

impl Export {
    /// The value of one attribute of its resource.
    pub(crate) fn resource(&self, key: &str) -> Option<&str> {
        self.resource.iter().find(|attribute| attribute.key == key).map(string)
    }

    /// The span's attributes in their order, which are all strings.
    pub(crate) fn attributes(&self) -> Vec<(&str, &str)> {
        self.span.attributes.iter().map(|attribute| (&*attribute.key, string(attribute))).collect()
    }

    /// The value of one attribute.
    pub(crate) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes().into_iter().find_map(|(found, value)| (found == key).then_some(value))
    }
}

/// An OTLP/gRPC receiver.
#[derive(Debug)]
pub(crate) struct FakeCollector {
    address: SocketAddr,
    spans: UnboundedReceiver<Export>,
}

impl FakeCollector {
    pub(crate) async fn start() -> Self {
        let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = incoming.local_addr().unwrap();
        let (sender, spans) = mpsc::unbounded_channel();
        let server = Server::builder().add_service(TraceServiceServer::new(Receiver(sender)));
        tokio::spawn(server.serve_with_incoming(incoming));
        Self { address, spans }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next span.
    #[track_caller]
    pub(crate) fn span(&mut self) -> impl Future<Output = Export> {
        let next = within(self.spans.recv());
        async { next.await.unwrap() }
    }

    /// The next `count` spans.
    pub(crate) async fn spans(&mut self, count: usize) -> Vec<Export> {
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            spans.push(self.span().await);
        }
        spans
    }

    /// Nothing has arrived that was not taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }
}

struct Receiver(UnboundedSender<Export>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let metadata = request.metadata().clone();
        for resource_spans in request.into_inner().resource_spans {
            let attributes = resource_spans.resource.unwrap_or_default().attributes;
            let service = attributes.iter().find(|attribute| attribute.key == "service.name");
            let service = service.map(string).unwrap_or_default().to_owned();
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let resource = attributes.clone();
                let export = Export { metadata: metadata.clone(), service: service.clone(), resource, span };
                // A test that ended no longer asks what arrived.
                let _ = self.0.send(export);
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn string(attribute: &KeyValue) -> &str {
    match &attribute.value {
        Some(AnyValue { value: Some(Value::StringValue(value)) }) => value,
        other => panic!("{} is {other:?}, not a string", attribute.key),
    }
}
