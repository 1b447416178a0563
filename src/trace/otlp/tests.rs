//! What is written here, held against what the official exporter sends of the same spans.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response, Version};
use opentelemetry::{
    InstrumentationScope as Scope,
    trace::{Event, Link, SpanContext, SpanKind as OtelKind, Status},
};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use proptest::prelude::*;

use super::*;
use crate::{
    snapshot::delivery::{HttpService, OtlpExporter as Configured},
    stream_info::{ResponseFlag, cause::Cause, flags::ResponseFlags},
    trace::{
        GrpcStatus, RequestFacts, SpanName, SpanRecord, Subject, attempt::AttemptFacts, context::Carrier,
        propagation::Parent,
    },
};

/// Keeps what it is given to send.
#[derive(Debug, Clone, Default)]
struct Kept(Arc<Mutex<Bytes>>);

#[tonic::async_trait]
impl HttpClient for Kept {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        *self.0.lock().expect("no panic") = request.into_body();
        Ok(Response::new(Bytes::new()))
    }
}

fn node() -> Node {
    Node { id: "node-1".into(), cluster: "front".into(), zone: "z".into(), ..Node::default() }
}

fn tracer(scope: bool) -> OpenTelemetry {
    OpenTelemetry {
        service_name: "front".into(),
        resource: vec![("service.name".into(), "front".into()), ("a.b".into(), "c".into())],
        sampler: None,
        scope,
        exporter: Configured::Http(HttpService {
            cluster: crate::snapshot::ClusterId(0),
            authority: http::HeaderValue::from_static("c"),
            path: http::uri::PathAndQuery::from_static("/v1/traces"),
            timeout: Duration::from_secs(1),
            headers: Vec::new(),
        }),
    }
}

/// What the official exporter sends.
fn official(tracer: &OpenTelemetry, spans: Vec<SpanData>) -> ExportTraceServiceRequest {
    let kept = Kept::default();
    let mut exporter = OtlpExporter::builder()
        .with_http()
        .with_http_client(kept.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://c/v1/traces")
        .build()
        .expect("an exporter");
    let named = tracer.resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    exporter.set_resource(&opentelemetry_sdk::Resource::builder_empty().with_attributes(named).build());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(exporter.export(spans)).expect("it is taken");
    let body = kept.0.lock().expect("no panic").clone();
    let mut request = ExportTraceServiceRequest::decode(body).expect("a request");
    for spans in &mut request.resource_spans {
        if let Some(resource) = &mut spans.resource {
            resource.attributes.sort_by(|one, other| one.key.cmp(&other.key));
        }
    }
    request
}

/// A span as the SDK has it, by its own types.
fn span_data(span: &FinishedSpan, tracer: &OpenTelemetry, conventions: Conventions) -> SpanData {
    let state = |value: &HeaderValue| {
        value.to_str().ok().and_then(|text| text.parse::<TraceState>().ok()).unwrap_or_default()
    };
    let node = node();
    let emitter = Emitter { node_id: &node.id, zone: &node.zone };
    let attributes = attributes::attributes(span, Some(emitter), conventions);
    let attributes = attributes.iter().map(|attribute| {
        let key = attribute.key.to_owned();
        match &attribute.value {
            Value::Text(text) => KeyValue::new(key, text.to_string()),
            Value::Decimal(digits) => {
                KeyValue::new(key, String::from_utf8(digits.as_bytes().to_vec()).expect("digits"))
            }
            Value::Number(number) => KeyValue::new(key, *number),
        }
    });
    let mut events = SpanEvents::default();
    events.events.extend(span.events.iter().map(|(name, time)| Event::new(*name, *time, Vec::new(), 0)));
    events.events.extend(span.cause.as_deref().map(|cause| {
        let attributes = cause.attributes().map(|(key, text)| KeyValue::new(key, text.to_owned()));
        Event::new(cause::EVENT, cause.at, attributes.collect(), 0)
    }));
    let mut links = SpanLinks::default();
    links.links.extend(span.link.as_deref().map(|link| {
        let flags = if link.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        Link::with_context(SpanContext::new(link.trace_id, link.span_id, flags, true, state(&link.state)))
    }));
    let sampled = TraceFlags::SAMPLED;
    SpanData {
        span_context: SpanContext::new(span.trace_id, span.span_id, sampled, false, state(&span.trace_state)),
        parent_span_id: span.parent.unwrap_or(SpanId::INVALID),
        parent_span_is_remote: span.parent.is_some() && span.remote_parent,
        span_kind: match span.kind {
            SpanKind::Server => OtelKind::Server,
            SpanKind::Client => OtelKind::Client,
        },
        start_time: span.start,
        end_time: span.end,
        attributes: attributes.collect(),
        name: attributes::name(span).into_owned().into(),
        dropped_attributes_count: 0,
        events,
        links,
        status: if attributes::is_error(span) { Status::error("") } else { Status::Unset },
        instrumentation_scope: if tracer.scope {
            Scope::builder("spanway").with_version(env!("CARGO_PKG_VERSION")).build()
        } else {
            Scope::default()
        },
    }
}

prop_compose! {
    fn stream()(
        url in "http://[a-z.:0-9]{1,20}/[a-z0-9/?=&]{0,200}",
        agent in proptest::option::of("[ -~]{0,40}"),
        sizes in any::<(u64, u64)>(),
        peer in any::<[u8; 4]>(),
        id in proptest::option::of("[a-f0-9-]{36}"),
    ) -> Subject {
        let text = |text: String| HeaderValue::try_from(text).expect("a value");
        Subject::Stream {
            record: Box::new(SpanRecord {
                tracer: 0,
                kind: SpanKind::Server,
                name: SpanName::Ingress,
                request: RequestFacts {
                    request_id: id.map(text),
                    client_trace_id: None,
                    url: url.into(),
                    method: Method::GET,
                    downstream_cluster: None,
                    user_agent: agent.map(text),
                    protocol: Version::HTTP_11,
                    peer: Some(IpAddr::from(peer).into()),
                    forwarded_for: None,
                    grpc: None,
                },
                grpc_status: None,
            }),
            request_bytes: sizes.0,
            response_bytes: sizes.1,
        }
    }
}

fn attempt() -> impl Strategy<Value = Subject> {
    (any::<u32>(), any::<bool>()).prop_map(|(retries, canceled)| {
        Subject::Attempt(AttemptFacts {
            retries,
            protocol: Some(Version::HTTP_2),
            host: Some("192.0.2.1:80".into()),
            failure: canceled.then_some("connection termination"),
            canceled,
            request: None,
        })
    })
}

fn parent() -> impl Strategy<Value = Parent> {
    let state = prop_oneof![Just(""), Just("a=1,b=2"), Just("not a state")];
    (any::<u128>(), any::<u64>(), any::<bool>(), state).prop_map(|(trace, span, sampled, state)| Parent {
        trace_id: trace.into(),
        span_id: span.into(),
        sampled,
        random: false,
        state: HeaderValue::from_static(state),
    })
}

prop_compose! {
    fn finished()(
        subject in prop_oneof![stream(), attempt()],
        context in parent(),
        above in proptest::option::of(any::<u64>()),
        link in proptest::option::of(parent()),
        server in any::<bool>(),
        times in (0..u64::from(u32::MAX), 0..1_000_000_000_u64),
        status in prop_oneof![Just(0_u16), Just(200), Just(404), Just(503)],
        name in prop_oneof!["[a-zé ]{0,12}", Just("x".repeat(300))],
        grpc in proptest::option::of("[0-9]{1,2}"),
        tags in proptest::collection::vec(("[a-z.]{0,9}", ".{0,200}"), 0..3),
        moments in 0..3_usize,
        cause in proptest::option::of(("[a-z :]{0,300}", prop_oneof![Just(""), Just("look there")])),
    ) -> FinishedSpan {
        let start = UNIX_EPOCH + Duration::from_secs(times.0);
        let events = ["first_upstream_tx_byte_sent", "last_upstream_tx_byte_sent"];
        FinishedSpan {
            tracer: 0,
            trace_id: context.trace_id,
            span_id: context.span_id,
            parent: above.map(SpanId::from),
            remote_parent: context.sampled,
            carrier: Carrier::TraceContext,
            egress: !server,
            trace_state: context.state,
            kind: if server { SpanKind::Server } else { SpanKind::Client },
            name: SpanName::Formatted(name.into()),
            start,
            end: start + Duration::from_nanos(times.1),
            subject,
            route: "".into(),
            link: link.map(Box::new),
            status,
            flags: if status == 503 {
                ResponseFlags::default().with(ResponseFlag::NoHealthyUpstream)
            } else {
                ResponseFlags::default()
            },
            cluster: None,
            grpc_status: grpc.map(|code| GrpcStatus {
                code: HeaderValue::try_from(code).expect("digits"),
                message: None,
            }),
            custom_tags: tags.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            cause: cause.map(|(sentence, hint)| Box::new(Cause { at: start, sentence, hint })),
            events: events.into_iter().take(moments).map(|name| (name, start)).collect(),
        }
    }
}

proptest! {
    #[test]
    fn spans_are_sent_as_the_official_exporter_sends_them(
        spans in proptest::collection::vec(finished(), 1..4),
        scope in any::<bool>(),
        conventions in prop_oneof![
            Just(Conventions::Envoy), Just(Conventions::Both), Just(Conventions::Stable),
        ],
    ) {
        let tracer = tracer(scope);
        let mut encoder = SpanEncoder::new(&node(), conventions);
        let mut encoded = EncodedSpans::default();
        spans.iter().for_each(|span| encoder.encode(span, &mut encoded));
        let written = Envelope::new(&tracer).request(&encoded);
        let expected = official(
            &tracer,
            spans.iter().map(|span| span_data(span, &tracer, conventions)).collect(),
        );
        prop_assert_eq!(&ExportTraceServiceRequest::decode(written.clone()).expect("a request"), &expected);
        prop_assert_eq!(written, expected.encode_to_vec(), "and to the byte");
    }

    #[test]
    fn batches_can_be_joined_and_the_oldest_spans_let_go(
        first in proptest::collection::vec(finished(), 0..4),
        second in proptest::collection::vec(finished(), 0..4),
        dropped in 0..8_usize,
    ) {
        let mut encoder = SpanEncoder::new(&node(), Conventions::Envoy);
        let mut encode = |spans: &[&FinishedSpan]| {
            let mut encoded = EncodedSpans::default();
            spans.iter().for_each(|span| encoder.encode(span, &mut encoded));
            encoded
        };
        let mut joined = encode(&first.iter().collect::<Vec<_>>());
        joined.append(&encode(&second.iter().collect::<Vec<_>>()));
        joined.drop_oldest(dropped);
        let whole = first.iter().chain(&second).skip(dropped).collect::<Vec<_>>();
        prop_assert_eq!(joined.len(), whole.len());
        prop_assert_eq!(joined.bytes, encode(&whole).bytes);
    }
}
