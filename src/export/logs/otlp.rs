//! Log records over OTLP: calls that the collector answers, so that what fails is sent again.
//!
//! Reference: OpenTelemetry Protocol specification 1.x, and opentelemetry-proto's `logs_service.proto`.

use std::{pin::Pin, sync::Arc};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use prost::Message;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};

use super::{Inbox, LAST_EXPORT, Portion, report::hint, wait_until};
use crate::{
    cluster::async_client,
    export::{
        backoff::Backoff,
        call_headers::CallHeaders,
        failure::{Failure, Protocol, Retry, short},
        grpc_call::GrpcCall,
        http_call::HttpCall,
        otlp::{OWN_USER_AGENT, PROTOBUF},
        sender::{Surroundings, destination},
    },
    proto_writer::{field_len, put_bytes, put_header},
    snapshot::delivery::OtlpExporter,
};

/// The method that takes log records.
const EXPORT: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";
/// So many bytes are sent in one call.
const CALL_BYTES: usize = 1 << 20;
/// For so long a call is made again.
const RETRY_FOR: Duration = Duration::from_secs(300);

/// `ExportLogsServiceRequest.resource_logs`, `ResourceLogs.resource` and `ResourceLogs.scope_logs`
const RESOURCE_LOGS: u32 = 1;
const RESOURCE: u32 = 1;
const SCOPE_LOGS: u32 = 2;

/// Makes the calls of one service.
pub(super) struct LogCalls {
    caller: Arc<Caller>,
    backoff: Backoff,
}

struct Caller {
    transport: Transport,
    /// The field `resource` of `ResourceLogs`.
    resource: Vec<u8>,
    timeout: Duration,
    headers: CallHeaders,
}

enum Transport {
    Grpc(GrpcCall),
    Http(HttpCall),
}

struct Settled {
    portion: Portion,
    outcome: Result<ExportLogsPartialSuccess, Failure>,
}

impl LogCalls {
    /// To a collector, and where that is. It fails if it has no usable address.
    pub(super) fn new(
        exporter: &OtlpExporter,
        resource: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<(Self, String), String> {
        let (transport, timeout, headers, cluster) = match exporter {
            OtlpExporter::Grpc(service) => {
                let cluster = around.cluster(service.cluster)?;
                let channel = async_client::grpc_channel(
                    Arc::clone(&cluster),
                    &service.authority,
                    around.observer.clone(),
                )
                .map_err(|error| error.to_string())?;
                let call = GrpcCall::new(channel, EXPORT, Some(OWN_USER_AGENT), false);
                (Transport::Grpc(call), service.timeout, &service.metadata, cluster)
            }
            OtlpExporter::Http(service) => {
                let cluster = around.cluster(service.cluster)?;
                let client = around.http(Arc::clone(&cluster));
                let call = HttpCall::new(service, false, (PROTOBUF, Some(OWN_USER_AGENT)), client)?;
                (Transport::Http(call), service.timeout, &service.headers, cluster)
            }
        };
        let mut field = Vec::new();
        put_bytes(&mut field, RESOURCE, resource);
        let headers = CallHeaders::new(headers);
        let caller = Caller { transport, resource: field, timeout, headers };
        Ok((Self { caller: Arc::new(caller), backoff: Backoff::default() }, destination(&cluster.config)))
    }

    /// In which way they are made.
    pub(super) fn protocol(&self) -> Protocol {
        self.caller.protocol()
    }

    /// Make calls until the end, of which what is left of the inbox tells.
    pub(super) async fn run(mut self, mut inbox: Inbox, mut hurry: watch::Receiver<bool>) -> Inbox {
        let mut call: Option<Pin<Box<dyn Future<Output = Settled> + Send>>> = None;
        let mut in_flight = 0;
        // Set when the workers are gone.
        let mut end: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if call.is_none()
                && self.backoff.is_over(now)
                && let Some(mut portion) = inbox.queue.take(CALL_BYTES)
            {
                portion.first_sent.get_or_insert(now);
                in_flight = portion.batch.entries;
                let caller = Arc::clone(&self.caller);
                call = Some(Box::pin(async move {
                    let outcome = caller.send(&portion.batch.bytes).await;
                    Settled { portion, outcome }
                }));
            }
            let nothing_left = call.is_none() && inbox.queue.is_empty();
            if end.is_some_and(|end| nothing_left || now >= end) {
                break;
            }
            let wake = [self.backoff.until(now), end].into_iter().flatten().min();
            let settling = async {
                match &mut call {
                    Some(call) => call.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                received = inbox.incoming.recv(), if end.is_none() => match received {
                    Some(batch) => inbox.receive(batch),
                    None => {
                        end = Some(Instant::now() + LAST_EXPORT);
                        self.backoff.forget();
                    }
                },
                settled = settling => {
                    call = None;
                    in_flight = 0;
                    self.settle(settled, &mut inbox);
                }
                () = wait_until(wake) => {}
                _ = hurry.wait_for(|hurry| *hurry), if end.is_some() => break,
            }
        }
        inbox.stats.count_dropped(in_flight);
        inbox
    }

    /// Count what became of a call.
    fn settle(&mut self, Settled { portion, outcome }: Settled, inbox: &mut Inbox) {
        let now = Instant::now();
        let entries = portion.batch.entries;
        let lost_before = inbox.stats.dropped();
        let failure = match outcome {
            Ok(answer) => {
                self.backoff.forget();
                let rejected = u64::try_from(answer.rejected_log_records).unwrap_or(0).min(entries);
                inbox.stats.count_written(entries - rejected);
                inbox.stats.count_dropped(rejected);
                if rejected == 0 {
                    return inbox.report.succeeded(inbox.stats.dropped());
                }
                let cause = format!("rejected {rejected} of {entries} entries: {}", answer.error_message);
                return inbox.report.failed(cause.trim_end_matches(": "), None, lost_before);
            }
            Err(failure) => failure,
        };
        let too_long = portion.first_sent.is_some_and(|first| now - first >= RETRY_FOR);
        if failure.retry == Retry::No || too_long {
            inbox.stats.count_dropped(entries);
            self.backoff.failed_for_good();
        } else {
            self.backoff.failed(failure.retry, now);
            inbox.put_back(portion);
        }
        // A connection that the collector had closed costs a call and no entry.
        if self.backoff.failures() > 1 || inbox.stats.dropped() > lost_before {
            inbox.report.failed(&failure.told(), hint(&failure, self.protocol()), lost_before);
        }
    }
}

impl Caller {
    fn protocol(&self) -> Protocol {
        match self.transport {
            Transport::Grpc(_) => Protocol::OtlpGrpc,
            Transport::Http(_) => Protocol::OtlpHttp,
        }
    }

    /// Send records once: what the collector says of them, or why they did not arrive.
    async fn send(&self, records: &[u8]) -> Result<ExportLogsPartialSuccess, Failure> {
        let request = self.request(records);
        let sending = async {
            match &self.transport {
                Transport::Grpc(call) => call.call::<ExportLogsServiceResponse>(request, &self.headers).await,
                Transport::Http(call) => {
                    let answer = call.post(request, &self.headers).await?;
                    // By its status it has taken them, whatever else it says.
                    Ok(ExportLogsServiceResponse::decode(answer).unwrap_or_default())
                }
            }
        };
        let outcome = tokio::time::timeout(self.timeout, sending).await;
        // What a collector says may repeat what it was told, and is cut only when that is taken out.
        let plain = |text: String| short(&self.headers.redact(text));
        match outcome.unwrap_or_else(|_| Err(Failure::no_answer(self.timeout))) {
            Ok(answer) => {
                let partial = answer.partial_success.unwrap_or_default();
                Ok(ExportLogsPartialSuccess { error_message: plain(partial.error_message), ..partial })
            }
            Err(failure) => Err(Failure { cause: plain(failure.cause), ..failure }),
        }
    }

    /// An `ExportLogsServiceRequest` with those records.
    fn request(&self, records: &[u8]) -> Bytes {
        let of_resource = self.resource.len() + field_len(records.len());
        let mut out = Vec::with_capacity(field_len(of_resource));
        put_header(&mut out, RESOURCE_LOGS, of_resource);
        out.extend_from_slice(&self.resource);
        put_bytes(&mut out, SCOPE_LOGS, records);
        out.into()
    }
}
