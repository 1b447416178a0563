//! OTLP/gRPC: `TraceService.Export`, gzip or not.

use std::sync::Arc;

use axum::{Router, error_handling::HandleErrorLayer, response::Response};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{Code, Request, Status, codec::CompressionEncoding, service::Routes};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{BoxError, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, timeout::error::Elapsed};

use super::{intake, limits, store::Store};

/// The service, with its limits.
pub(super) fn router(store: Arc<Store>) -> Router {
    let service = TraceServiceServer::new(Receiver { store })
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limits::MESSAGE_BYTES);
    Routes::new(service).into_axum_router().layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|cause: BoxError| async move { refusal(&cause) }))
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(limits::MESSAGES_AT_ONCE))
            .timeout(limits::MESSAGE_TIMEOUT),
    )
}

#[derive(Debug)]
struct Receiver {
    store: Arc<Store>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        Ok(tonic::Response::new(intake::accept(&self.store, request.into_inner())))
    }
}

/// The answer to a message that one of the limits turned away.
fn refusal(cause: &BoxError) -> Response {
    let status = if cause.is::<Elapsed>() {
        Status::deadline_exceeded("the message did not arrive in time")
    } else {
        // The protocol lets exporters try again only if they are told when.
        let retry = ErrorDetails::with_retry_info(Some(limits::RETRY_AFTER));
        Status::with_error_details(Code::ResourceExhausted, "too many messages at once", retry)
    };
    status.into_http()
}
