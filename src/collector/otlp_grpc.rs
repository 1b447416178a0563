//! OTLP/gRPC: `Export` of traces, logs and metrics, gzip or not.

use std::sync::Arc;

use axum::{Router, error_handling::HandleErrorLayer, middleware::map_response, response::Response};
use http::HeaderValue;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use tonic::{Code, Request, Status, codec::CompressionEncoding, service::Routes};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::{BoxError, ServiceBuilder, limit::GlobalConcurrencyLimitLayer, timeout::error::Elapsed};

use super::{intake::Intake, limits};

/// The services, with their limits.
pub(super) fn router(intake: Arc<Intake>) -> Router {
    macro_rules! limited {
        ($server:ident) => {
            $server::new(Receiver { intake: Arc::clone(&intake) })
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
                .max_decoding_message_size(limits::MESSAGE_BYTES)
        };
    }
    let services = Routes::new(limited!(TraceServiceServer))
        .add_service(limited!(LogsServiceServer))
        .add_service(limited!(MetricsServiceServer));
    services.into_axum_router().layer(map_response(never_again)).layer(
        ServiceBuilder::new()
            .layer(HandleErrorLayer::new(|cause: BoxError| async move { refusal(&cause) }))
            .load_shed()
            .layer(GlobalConcurrencyLimitLayer::new(limits::MESSAGES_AT_ONCE))
            .timeout(limits::MESSAGE_TIMEOUT),
    )
}

/// A message that is too large will be so the next time; the code that the library has for it asks for a next time.
async fn never_again(mut response: Response) -> Response {
    if let Some(status) = response.headers_mut().get_mut("grpc-status")
        && *status == "11"
    {
        *status = HeaderValue::from_static("8");
    }
    response
}

#[derive(Debug)]
struct Receiver {
    intake: Arc<Intake>,
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        Ok(tonic::Response::new(self.intake.traces(request.into_inner())))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        Ok(tonic::Response::new(self.intake.logs(request.into_inner())))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        Ok(tonic::Response::new(self.intake.metrics(request.into_inner())))
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
