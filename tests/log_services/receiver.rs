//! Services that take entries of access logs, and hand over what they take.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
};

use envoy_types::pb::envoy::service::accesslog::v3::{
    StreamAccessLogsMessage, StreamAccessLogsResponse,
    access_log_service_server::{AccessLogService, AccessLogServiceServer},
};
use opentelemetry_proto::tonic::{
    collector::logs::v1::{
        ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    common::v1::any_value::Value,
};
use tokio::{
    sync::{
        mpsc::{self, UnboundedReceiver, UnboundedSender},
        watch,
    },
    task::AbortHandle,
};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use crate::harness::within;

/// A message of an access log service's stream, and the number of that stream.
pub(crate) type StreamMessage = (usize, StreamAccessLogsMessage);

/// A collector of log records that is an access log service, too, unless it is told not to be one.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    exports: UnboundedReceiver<ExportLogsServiceRequest>,
    messages: UnboundedReceiver<StreamMessage>,
    end_streams: watch::Sender<u64>,
    rejected: Arc<AtomicI64>,
    server: AbortHandle,
}

#[derive(Clone)]
struct Services {
    exports: UnboundedSender<ExportLogsServiceRequest>,
    messages: UnboundedSender<StreamMessage>,
    streams: Arc<AtomicUsize>,
    end: watch::Receiver<u64>,
    rejected: Arc<AtomicI64>,
}

impl Receiver {
    /// Both services, at an address of the system's choice.
    pub(crate) async fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), true)
    }

    /// The collector alone.
    pub(crate) async fn of_records_only() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), false)
    }

    /// At that address.
    pub(crate) fn at(address: SocketAddr, streams: bool) -> Self {
        let incoming = TcpIncoming::bind(address).unwrap();
        let address = incoming.local_addr().unwrap();
        let (export_sender, exports) = mpsc::unbounded_channel();
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (end_streams, end) = watch::channel(0);
        let rejected = Arc::<AtomicI64>::default();
        let services = Services {
            exports: export_sender,
            messages: message_sender,
            streams: Arc::default(),
            end,
            rejected: Arc::clone(&rejected),
        };
        let mut server = Server::builder().add_service(LogsServiceServer::new(services.clone()));
        if streams {
            server = server.add_service(AccessLogServiceServer::new(services));
        }
        let server = tokio::spawn(server.serve_with_incoming(incoming)).abort_handle();
        Self { address, exports, messages, end_streams, rejected, server }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Say of each call that so many of its records are not taken.
    pub(crate) fn reject(&self, records: i64) {
        self.rejected.store(records, Ordering::Relaxed);
    }

    /// End all streams well.
    pub(crate) fn end_streams(&self) {
        self.end_streams.send_modify(|turn| *turn += 1);
    }

    /// The next call that brings records.
    pub(crate) async fn export(&mut self) -> ExportLogsServiceRequest {
        within(self.exports.recv()).await.unwrap()
    }

    /// The bodies of the next records, which are texts.
    pub(crate) async fn bodies(&mut self, count: usize) -> Vec<String> {
        let mut bodies = Vec::new();
        while bodies.len() < count {
            let resources = self.export().await.resource_logs;
            let scopes = resources.into_iter().flat_map(|resource| resource.scope_logs);
            for record in scopes.flat_map(|scope| scope.log_records) {
                match record.body.unwrap().value.unwrap() {
                    Value::StringValue(body) => bodies.push(body),
                    other => panic!("{other:?}"),
                }
            }
        }
        bodies
    }

    /// The next message of a stream.
    pub(crate) async fn message(&mut self) -> StreamMessage {
        within(self.messages.recv()).await.unwrap()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tonic::async_trait]
impl LogsService for Services {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        // A test that ended no longer asks what arrived.
        let _ = self.exports.send(request.into_inner());
        let rejected_log_records = self.rejected.load(Ordering::Relaxed);
        let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: "too odd".into() };
        let partial_success = (rejected_log_records > 0).then_some(partial);
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}

#[tonic::async_trait]
impl AccessLogService for Services {
    async fn stream_access_logs(
        &self,
        request: Request<Streaming<StreamAccessLogsMessage>>,
    ) -> Result<Response<StreamAccessLogsResponse>, Status> {
        let number = self.streams.fetch_add(1, Ordering::Relaxed);
        let mut end = self.end.clone();
        end.mark_unchanged();
        let mut stream = request.into_inner();
        loop {
            tokio::select! {
                message = stream.message() => match message? {
                    Some(message) => drop(self.messages.send((number, message))),
                    None => break,
                },
                _ = end.changed() => break,
            }
        }
        Ok(Response::new(StreamAccessLogsResponse {}))
    }
}
