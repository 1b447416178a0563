//! Whether a request is traced, and what decides that.

use std::{borrow::Cow, sync::Arc};

use http::request::Parts;

use super::{
    Subject,
    report::TracingReport,
    sampling::{envoy_share, incoming, number, rules, share},
    walk::{End, Walk},
};
use crate::{
    http_connection_manager::span_start::route_names,
    snapshot::{
        listener::TrafficDirection,
        matcher::header_text,
        tracing::{Propagator, Provider, TracePolicy, Tracer, Tracing, XRay},
        xray_sampling::SamplingStrategy,
    },
    trace::{
        Span, SpanKind, SpanName,
        context::Carrier,
        decorator::decorate_request,
        propagation::TRACEPARENT,
        sampler::{self, TraceReason},
        stream::{self, RouteNames, TracedRequest},
    },
};

/// Begin the span of a request, as the connection manager does. `None` where it does not trace.
pub(super) fn start(walk: &Walk<'_>, subject: &Subject<'_>, parts: &mut Parts) -> Option<TraceReason> {
    let tracing = rehearsal(walk.manager.tracing.as_ref()?);
    let policy = policy(walk, &tracing);
    let options = &walk.manager.request_id;
    let draw = || fastrand::u64(..);
    let reason = sampler::decide(&mut parts.headers, walk.present, policy, options, draw);
    let mut span = begin(walk, subject, &tracing, parts, reason.traced());
    let decorator = walk.route().and_then(|route| route.decorator.as_ref());
    let direction = walk.listener.direction;
    decorate_request(&mut parts.headers, walk.present, direction, decorator, policy, span.as_mut());
    walk.info.span.replace(span);
    Some(reason)
}

pub(super) fn policy<'p>(walk: &Walk<'p>, tracing: &'p Tracing) -> &'p Arc<TracePolicy> {
    walk.route().and_then(|route| route.tracing.as_ref()).unwrap_or(&tracing.policy)
}

/// The span of a request that Envoy's rules trace, or do not.
pub(super) fn begin(
    walk: &Walk<'_>,
    subject: &Subject<'_>,
    tracing: &Tracing,
    parts: &Parts,
    traced: bool,
) -> Option<Span> {
    stream::start(&request(walk, subject, tracing, parts, traced), &walk.info)
}

pub(super) fn request<'r>(
    walk: &'r Walk<'_>,
    subject: &'r Subject<'_>,
    tracing: &'r Tracing,
    parts: &'r Parts,
    traced: bool,
) -> TracedRequest<'r> {
    TracedRequest {
        tracing,
        policy: policy(walk, tracing),
        direction: walk.listener.direction,
        traced,
        headers: &parts.headers,
        pseudo: walk.pseudo(parts),
        method: &parts.method,
        decorator: walk.route().and_then(|route| route.decorator.as_ref()),
        grpc: walk.grpc,
        external: walk.admission.as_ref().is_some_and(|admitted| admitted.client.edge),
        names: if tracing.tracer.has_sampler() {
            route_names(subject.snapshot, walk.found, &parts.headers, walk.random)
        } else {
            RouteNames::default()
        },
        node: &subject.snapshot.node,
    }
}

/// The same without what a request uses up: X-Ray's rules count those that they take.
fn rehearsal(tracing: &Tracing) -> Cow<'_, Tracing> {
    match &tracing.tracer.provider {
        Provider::XRay(xray) if xray.manifest.is_empty() => {
            Cow::Owned(with_rules(tracing, xray, SamplingStrategy::default()))
        }
        Provider::XRay(xray) => {
            Cow::Owned(with_rules(tracing, xray, SamplingStrategy::from_manifest(&xray.manifest).0))
        }
        Provider::OpenTelemetry(_) | Provider::Zipkin(_) => Cow::Borrowed(tracing),
    }
}

pub(super) fn with_rules(tracing: &Tracing, xray: &XRay, sampling: SamplingStrategy) -> Tracing {
    let xray = XRay { sampling: Arc::new(sampling), ..xray.clone() };
    let tracer = Tracer { provider: Provider::XRay(Box::new(xray)), ..(*tracing.tracer).clone() };
    Tracing { tracer: Arc::new(tracer), ..tracing.clone() }
}

/// What is told of it.
pub(super) fn report(walk: &Walk<'_>, subject: &Subject<'_>) -> Option<TracingReport> {
    walk.admission.as_ref()?;
    let Some(tracing) = &walk.manager.tracing else {
        return Some(TracingReport {
            steps: Vec::new(),
            percent: Some(0.0),
            decision: "not traced: the connection manager has no tracing".to_owned(),
            span_name: None,
            span_kind: None,
            propagation: None,
        });
    };
    // A refused upgrade never gets as far as that.
    let parts = walk.traced.as_ref()?;
    let tracing = rehearsal(tracing);
    let mut steps = vec![format!("provider: {}", provider(&tracing))];
    let by_envoy = envoy_share(walk, &tracing);
    rules(walk, &tracing, &mut steps);
    let goes_on = {
        // A trace that begins here has another id each time.
        let again = begin(walk, subject, &tracing, parts, true).map(|span| span.trace_id);
        again.is_some() && again == walk.info.span.borrow().as_ref().map(|span| span.trace_id)
    };
    incoming(&tracing, &parts.headers, goes_on, &mut steps);
    let percent = share(walk, subject, &tracing, parts, by_envoy, &mut steps);
    let span = walk.info.span.borrow();
    if let Some(sampled) = span.as_ref().and_then(Span::attempt_sampled) {
        let own = if tracing.tracer.has_sampler() {
            "decided anew by the sampler, here"
        } else {
            "as that is, here"
        };
        let sampled = if sampled { "exported" } else { "not exported" };
        steps.push(format!(
            "the request to the host has a span of its own (spawn_upstream_span): {own} {sampled}"
        ));
    }
    let health_check = walk.info.health_check.get();
    let decision = match percent {
        _ if health_check => "not traced: it is a health check".to_owned(),
        None => "traced as X-Ray's rule says, which counts requests".to_owned(),
        Some(percent) if percent <= 0.0 => "not traced".to_owned(),
        Some(percent) if percent >= 100.0 => "traced".to_owned(),
        Some(percent) => format!("traced by chance: {} of 100 such requests", number(percent)),
    };
    // What an unsampled one would be called is nobody's business; its twin that is sampled tells.
    let mut sampled = begin(walk, subject, &tracing, parts, true);
    let decorator = walk.route().and_then(|route| route.decorator.as_ref());
    let mut headers = walk.admitted.headers.clone();
    let policy = policy(walk, &tracing);
    let direction = walk.listener.direction;
    decorate_request(&mut headers, walk.present, direction, decorator, policy, sampled.as_mut());
    let record = sampled.as_ref().and_then(|span| span.record.as_ref());
    Some(TracingReport {
        percent: if health_check { Some(0.0) } else { percent },
        decision,
        span_name: record.map(|record| match &policy.operation {
            Some(_) if record.name != SpanName::Route => "as the format in operation makes it".to_owned(),
            _ => name(&record.name, walk, parts),
        }),
        span_kind: record.map(|record| match record.kind {
            SpanKind::Server => "SERVER",
            SpanKind::Client => "CLIENT",
        }),
        propagation: matches!(walk.end, End::Forward(_)).then(|| propagation(&tracing, span.as_ref())),
        steps,
    })
}

fn provider(tracing: &Tracing) -> String {
    let name = tracing.tracer.name();
    match &tracing.tracer.provider {
        Provider::OpenTelemetry(_) => format!("OpenTelemetry, service {name:?}"),
        Provider::Zipkin(_) => "Zipkin".to_owned(),
        Provider::XRay(_) => format!("X-Ray, segment {name:?}"),
    }
}

fn name(name: &SpanName, walk: &Walk<'_>, parts: &Parts) -> String {
    match name {
        SpanName::Ingress => "ingress".to_owned(),
        SpanName::Authority(authority) => authority.to_string(),
        SpanName::Egress(authority) => format!("egress {authority}"),
        SpanName::Operation(operation) => operation.to_string(),
        SpanName::Header(name) => header_text(name).to_owned(),
        SpanName::Formatted(text) => text.to_string(),
        SpanName::Router | SpanName::Mirror => String::new(),
        SpanName::Route => {
            let route = walk.route().map_or("", |route| &*route.name);
            [parts.method.as_str(), route].join(" ").trim_end().to_owned()
        }
    }
}

/// In whose words the host is told.
fn propagation(tracing: &Tracing, span: Option<&Span>) -> String {
    if !tracing.propagate {
        return "the host is told nothing (no_context_propagation)".to_owned();
    }
    let words = match span.map(|span| &span.carrier) {
        None => return "headers of the hop before travel on as they are".to_owned(),
        Some(Carrier::TraceContext) => TRACEPARENT.as_str().to_owned(),
        Some(Carrier::B3 { single: true }) => "b3".to_owned(),
        Some(Carrier::B3 { single: false }) => "x-b3-*".to_owned(),
        Some(Carrier::XRay(_)) => "x-amzn-trace-id".to_owned(),
        Some(Carrier::Listed) => {
            let names = tracing.extras.propagators.iter().flatten().map(|propagator| match propagator {
                Propagator::TraceContext => "traceparent",
                Propagator::B3 => "b3",
                Propagator::B3Multi => "x-b3-*",
                Propagator::XRay => "x-amzn-trace-id",
            });
            names.collect::<Vec<_>>().join(", ")
        }
    };
    format!("the host is told by {words}, sampled or not")
}

/// Which way a listener faces, in the API's word.
pub(super) fn direction(direction: TrafficDirection) -> &'static str {
    match direction {
        TrafficDirection::Unspecified => "UNSPECIFIED",
        TrafficDirection::Inbound => "INBOUND",
        TrafficDirection::Outbound => "OUTBOUND",
    }
}
