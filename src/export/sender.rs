//! Sends finished spans to the collector of one tracer, in that tracer's own form.

use std::{net::IpAddr, sync::Arc, time::Duration};

use opentelemetry_http::HttpClient;

use super::{
    call_headers::CallHeaders,
    failure::{Failure, Protocol, short},
    otlp::OtlpSender,
    xray::XRaySender,
    zipkin::ZipkinSender,
};
use crate::{
    cluster::{
        ClusterState,
        async_client::{self, HttpChannel, Observer},
    },
    snapshot::{
        ClusterId, Node,
        cluster::{Cluster, Discovery, DnsName},
        delivery::{HttpService, OtlpExporter},
        tracing::{OpenTelemetry, Provider, Tracer},
    },
    trace::batch::Batch,
};

/// What takes a tracer's spans to its collector.
#[derive(Debug)]
pub(crate) struct Sender {
    /// Where they go, for messages.
    destination: String,
    protocol: Protocol,
    timeout: Duration,
    headers: CallHeaders,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Otlp(Box<OtlpSender>),
    Zipkin(Box<ZipkinSender>),
    XRay(Box<XRaySender>),
}

/// What a collector says of spans that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// How many it did not take after all.
    pub(crate) rejected: usize,
    /// Why, or what else it wants to be known.
    pub(crate) message: String,
    /// The length of the call, before it is compressed.
    pub(crate) bytes: usize,
}

/// What senders are made from.
#[derive(Clone)]
pub(crate) struct Surroundings<'a> {
    /// Who sends.
    pub(crate) node: &'a Node,
    /// The clusters of the snapshot.
    pub(crate) clusters: &'a [Arc<ClusterState>],
    /// The address that spans of Zipkin have as their own.
    pub(crate) own_ip: IpAddr,
    /// Who is told of connections.
    pub(crate) observer: Observer,
}

impl Surroundings<'_> {
    /// The cluster of that place.
    pub(crate) fn cluster(&self, id: ClusterId) -> Result<Arc<ClusterState>, String> {
        self.clusters.get(id.0).cloned().ok_or_else(|| "its cluster is gone".to_owned())
    }

    /// A client of its hosts.
    pub(super) fn http(&self, cluster: Arc<ClusterState>) -> Box<dyn HttpClient> {
        Box::new(HttpChannel::new(cluster, self.observer.clone()))
    }
}

impl Sender {
    /// For the spans of `tracer`. It fails if that has no usable address. Needs a runtime.
    pub(crate) fn new(tracer: &Tracer, around: &Surroundings<'_>) -> Result<Self, String> {
        match &tracer.provider {
            Provider::OpenTelemetry(otel) => match &otel.exporter {
                OtlpExporter::Grpc(service) => {
                    let cluster = around.cluster(service.cluster)?;
                    let destination = destination(&cluster.config);
                    let channel =
                        async_client::grpc_channel(cluster, &service.authority, around.observer.clone())
                            .map_err(|error| error.to_string())?;
                    Ok(Self {
                        destination,
                        protocol: Protocol::OtlpGrpc,
                        timeout: service.timeout,
                        headers: CallHeaders::new(service.metadata.iter().chain(&tracer.delivery.headers)),
                        kind: Kind::Otlp(Box::new(OtlpSender::grpc(otel, &tracer.delivery, channel))),
                    })
                }
                OtlpExporter::Http(service) => {
                    let cluster = around.cluster(service.cluster)?;
                    let destination = destination(&cluster.config);
                    Self::otlp_http(tracer, (otel, service), destination, around.http(cluster))
                }
            },
            Provider::Zipkin(zipkin) => {
                let cluster = around.cluster(zipkin.service.cluster)?;
                let destination = destination(&cluster.config);
                let sender = ZipkinSender::new(around, zipkin, tracer, around.http(cluster))?;
                let service = &zipkin.service;
                Ok(Self {
                    destination,
                    protocol: Protocol::Zipkin,
                    timeout: service.timeout,
                    headers: CallHeaders::new(service.headers.iter().chain(&tracer.delivery.headers)),
                    kind: Kind::Zipkin(Box::new(sender)),
                })
            }
            Provider::XRay(xray) => {
                let sender = XRaySender::new(around.node, (xray, tracer.conventions));
                Ok(Self {
                    destination: format!("the daemon at {}", xray.daemon),
                    protocol: Protocol::XRay,
                    timeout: Duration::from_secs(1),
                    headers: CallHeaders::new([]),
                    kind: Kind::XRay(Box::new(
                        sender.map_err(|error| format!("no socket for datagrams: {error}"))?,
                    )),
                })
            }
        }
    }

    /// OTLP over HTTP, as protobuf, by a client. It fails if the service's authority and path are no address.
    pub(crate) fn otlp_http(
        tracer: &Tracer,
        (otel, service): (&OpenTelemetry, &HttpService),
        destination: String,
        client: Box<dyn HttpClient>,
    ) -> Result<Self, String> {
        Ok(Self {
            destination,
            protocol: Protocol::OtlpHttp,
            timeout: service.timeout,
            headers: CallHeaders::new(service.headers.iter().chain(&tracer.delivery.headers)),
            kind: Kind::Otlp(Box::new(OtlpSender::http(otel, service, &tracer.delivery, client)?)),
        })
    }

    /// Where spans go, in words.
    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    /// In which way they go.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Send the spans of `batch` once: what the collector says of them, or why they did not arrive.
    pub(crate) async fn send(&self, batch: &Batch) -> Result<Accepted, Failure> {
        let sending = async {
            match &self.kind {
                Kind::Otlp(sender) => sender.send(&batch.encoded, &self.headers).await,
                Kind::Zipkin(sender) => sender.send(&batch.records, &self.headers).await,
                Kind::XRay(sender) => sender.send(&batch.records).await,
            }
        };
        let outcome = tokio::time::timeout(self.timeout, sending).await;
        // What a collector says may repeat what it was told, and is cut only when that is taken out.
        match outcome.unwrap_or_else(|_| Err(Failure::no_answer(self.timeout))) {
            Ok(accepted) => {
                Ok(Accepted { message: short(&self.headers.redact(accepted.message)), ..accepted })
            }
            Err(failure) => Err(Failure { cause: short(&self.headers.redact(failure.cause)), ..failure }),
        }
    }
}

/// Where a cluster's hosts are, for messages.
pub(crate) fn destination(cluster: &Cluster) -> String {
    let (first, count) = match &cluster.discovery {
        Discovery::Static(endpoints) => {
            (endpoints.first().map(|endpoint| endpoint.address.to_string()), endpoints.len())
        }
        Discovery::StrictDns(endpoints, _) => {
            (endpoints.first().map(|endpoint| named(&endpoint.address)), endpoints.len())
        }
        Discovery::LogicalDns(endpoint, _) => (Some(named(&endpoint.address)), 1),
    };
    let name = &cluster.name;
    match (first, count) {
        (None, _) => format!("cluster \"{name}\""),
        (Some(address), 0 | 1) if **name == address => address,
        (Some(address), 0 | 1) => format!("{address} (cluster \"{name}\")"),
        (Some(address), count) => format!("{address} and {} more (cluster \"{name}\")", count - 1),
    }
}

fn named(DnsName { host, port }: &DnsName) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
