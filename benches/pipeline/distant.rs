//! A collector that is far away: it answers each call after a while, and takes as many at a time as come.

use std::{net::SocketAddr, time::Duration};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// The time to it and back.
pub(crate) const ROUND_TRIP: Duration = Duration::from_millis(50);

struct Distant;

#[tonic::async_trait]
impl TraceService for Distant {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        tokio::time::sleep(ROUND_TRIP).await;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Start one in a thread of this process, which it ends with.
pub(crate) fn start() -> SocketAddr {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port");
            sender.send(incoming.local_addr().expect("its address")).expect("who asked waits");
            let service =
                TraceServiceServer::new(Distant).accept_compressed(tonic::codec::CompressionEncoding::Gzip);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("it serves");
        });
    });
    receiver.recv().expect("it starts")
}
