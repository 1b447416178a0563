//! OTLP/gRPC: `Export` of traces, logs and metrics, gzip or not.

use std::sync::Arc;

use axum::{
    Router,
    error_handling::HandleErrorLayer,
    middleware::{map_request_with_state, map_response},
    response::Response,
};
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

use super::{
    intake::{self, Intake},
    invalid::Invalid,
    limits,
    room::{self, Full, Room},
};

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
    let room = map_request_with_state((Room::default(), too_many as fn(Full) -> Status), room::count);
    services.into_axum_router().layer(map_response(never_again)).layer(room).layer(
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
        Ok(tonic::Response::new(self.intake.traces(request.into_inner(), Invalid::default())))
    }
}

#[tonic::async_trait]
impl LogsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        Ok(tonic::Response::new(self.intake.logs(request.into_inner(), Invalid::default())))
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        self.intake.points(intake::points_of(request.get_ref()));
        Ok(tonic::Response::new(ExportMetricsServiceResponse::default()))
    }
}

/// The answer to a message that one of the limits turned away.
fn refusal(cause: &BoxError) -> Response {
    let status = if cause.is::<Elapsed>() {
        Status::deadline_exceeded("the message did not arrive in time")
    } else {
        too_many(Full)
    };
    status.into_http()
}

/// The protocol lets exporters try again only if they are told when.
fn too_many(full: Full) -> Status {
    let retry = ErrorDetails::with_retry_info(Some(limits::RETRY_AFTER));
    Status::with_error_details(Code::ResourceExhausted, full.to_string(), retry)
}
