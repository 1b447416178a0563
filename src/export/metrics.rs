//! Takes metrics to a collector of OTLP: over gRPC, or over HTTP with protobuf.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;

use super::{
    call_headers::CallHeaders,
    failure::{Failure, Protocol, short},
    grpc_call::GrpcCall,
    http_call::HttpCall,
    otlp::{OWN_USER_AGENT, PROTOBUF},
    sender::{Surroundings, destination},
};
use crate::{cluster::async_client, snapshot::delivery::OtlpExporter};

/// The method that takes metrics.
const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Sends metrics to one collector.
#[derive(Debug)]
pub(crate) struct MetricsSender {
    destination: String,
    timeout: Duration,
    headers: CallHeaders,
    transport: Transport,
}

#[derive(Debug)]
enum Transport {
    Grpc(GrpcCall),
    Http(HttpCall),
}

/// What a collector says of metrics that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TakenMetrics {
    /// How many data points it did not take after all.
    pub(crate) rejected: u64,
    /// Why, or what else it wants to be known.
    pub(crate) message: String,
}

impl MetricsSender {
    /// To that collector. It fails if that has no usable address. Needs a runtime.
    pub(crate) fn new(exporter: &OtlpExporter, around: &Surroundings<'_>) -> Result<Self, String> {
        let id = match exporter {
            OtlpExporter::Grpc(service) => service.cluster,
            OtlpExporter::Http(service) => service.cluster,
        };
        let cluster = around.cluster(id)?;
        let destination = destination(&cluster.config);
        let (timeout, headers, transport) = match exporter {
            OtlpExporter::Grpc(service) => {
                let channel =
                    async_client::grpc_channel(cluster, &service.authority, around.observer.clone())
                        .map_err(|error| error.to_string())?;
                let call = GrpcCall::new(channel, EXPORT, Some(OWN_USER_AGENT), false);
                (service.timeout, &service.metadata, Transport::Grpc(call))
            }
            OtlpExporter::Http(service) => {
                let form = (PROTOBUF, Some(OWN_USER_AGENT));
                let call = HttpCall::new(service, false, form, around.http(cluster))?;
                (service.timeout, &service.headers, Transport::Http(call))
            }
        };
        Ok(Self { destination, timeout, headers: CallHeaders::new(headers), transport })
    }

    /// Where metrics go, in words.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// In which way they go.
    pub(crate) fn protocol(&self) -> Protocol {
        match self.transport {
            Transport::Grpc(_) => Protocol::OtlpGrpc,
            Transport::Http(_) => Protocol::OtlpHttp,
        }
    }

    /// Send them once: what the collector says, or why they did not arrive.
    pub(crate) async fn send(&self, request: ExportMetricsServiceRequest) -> Result<TakenMetrics, Failure> {
        let outcome = tokio::time::timeout(self.timeout, self.call(request)).await;
        match outcome.unwrap_or_else(|_| Err(Failure::no_answer(self.timeout))) {
            Ok(answer) => {
                let partial = answer.partial_success.unwrap_or_default();
                Ok(TakenMetrics {
                    rejected: u64::try_from(partial.rejected_data_points).unwrap_or(0),
                    message: short(&self.headers.redact(partial.error_message)),
                })
            }
            Err(failure) => Err(Failure { cause: short(&self.headers.redact(failure.cause)), ..failure }),
        }
    }

    async fn call(
        &self,
        metrics: ExportMetricsServiceRequest,
    ) -> Result<ExportMetricsServiceResponse, Failure> {
        let body = Bytes::from(metrics.encode_to_vec());
        match &self.transport {
            Transport::Grpc(call) => call.call(body, &self.headers).await,
            Transport::Http(call) => {
                let answer = call.post(body, &self.headers).await?;
                // By its status it has taken them, whatever else it says.
                Ok(ExportMetricsServiceResponse::decode(answer).unwrap_or_default())
            }
        }
    }
}
