//! Intake: OTLP messages become spans and log records in the store; what is invalid is counted and named.

use std::sync::Arc;

use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse},
        metrics::v1::ExportMetricsServiceRequest,
        trace::v1::{ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse},
    },
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value},
    logs::v1::{LogRecord as OtlpLog, SeverityNumber},
    metrics::v1::{Metric, metric},
    resource::v1::Resource as OtlpResource,
    trace::v1::{Span as OtlpSpan, span, status},
};

use super::{
    attribute::{Attribute, Value},
    invalid::Invalid,
    journal::Journal,
    log::LogRecord,
    span::{Dropped, Event, Link, Resource, Scope, Span, SpanId, SpanKind, StatusCode, TraceId},
    store::Store,
};

/// The service of a resource that does not name one, as the semantic conventions want it.
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Where messages go: into the store, and, where spans are to outlive the process, into its file.
#[derive(Debug)]
pub(super) struct Intake {
    store: Arc<Store>,
    journal: Option<Journal>,
}

impl Intake {
    /// Into `store`, and into `journal` if there is one.
    pub(super) fn new(store: Arc<Store>, journal: Option<Journal>) -> Self {
        Self { store, journal }
    }

    /// Take traces, of whose message `invalid` could not even be read.
    pub(super) fn traces(
        &self,
        request: ExportTraceServiceRequest,
        invalid: Invalid,
    ) -> ExportTraceServiceResponse {
        if let Some(journal) = &self.journal {
            journal.append(&request);
        }
        accept(&self.store, request, invalid)
    }

    /// Take logs, of whose message `invalid` could not even be read.
    pub(super) fn logs(
        &self,
        request: ExportLogsServiceRequest,
        invalid: Invalid,
    ) -> ExportLogsServiceResponse {
        accept_logs(&self.store, request, invalid)
    }

    /// Count the data points of metrics; this is no place to keep them.
    pub(super) fn points(&self, points: u64) {
        self.store.count_points(points);
    }
}

/// File what is valid of `request` in `store`, and answer how much was not, `invalid` included.
pub(crate) fn accept(
    store: &Store,
    request: ExportTraceServiceRequest,
    mut invalid: Invalid,
) -> ExportTraceServiceResponse {
    let mut spans = Vec::new();
    for group in request.resource_spans {
        let resource = Arc::new(resource(group.resource.unwrap_or_default()));
        for group in group.scope_spans {
            let scope = Arc::new(scope(group.scope.unwrap_or_default()));
            for otlp in group.spans {
                match span(otlp, &resource, &scope) {
                    Ok(span) => spans.push(span),
                    Err(reason) => invalid.add(1, &reason),
                }
            }
        }
    }
    let too_large = store.insert(spans);
    ExportTraceServiceResponse { partial_success: partial_success(&invalid, too_large) }
}

/// File those log records of `request` that belong to a trace, and count all.
fn accept_logs(
    store: &Store,
    request: ExportLogsServiceRequest,
    invalid: Invalid,
) -> ExportLogsServiceResponse {
    let mut logs = Vec::new();
    for group in request.resource_logs {
        let resource = Arc::new(resource(group.resource.unwrap_or_default()));
        let records = group.scope_logs.into_iter().flat_map(|scope| scope.log_records);
        logs.extend(records.map(|otlp| (TraceId::from_bytes(&otlp.trace_id), log(otlp, &resource))));
    }
    let too_large = store.insert_logs(logs);
    let partial_success = rejected("log records", &invalid, too_large).map(|(count, error_message)| {
        ExportLogsPartialSuccess { rejected_log_records: count, error_message }
    });
    ExportLogsServiceResponse { partial_success }
}

/// How many data points `request` has.
pub(super) fn points_of(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics).map(|metric| points(metric) as u64).sum()
}

fn points(metric: &Metric) -> usize {
    match &metric.data {
        Some(metric::Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(metric::Data::Sum(sum)) => sum.data_points.len(),
        Some(metric::Data::Histogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::ExponentialHistogram(histogram)) => histogram.data_points.len(),
        Some(metric::Data::Summary(summary)) => summary.data_points.len(),
        None => 0,
    }
}

fn log(otlp: OtlpLog, resource: &Arc<Resource>) -> LogRecord {
    let severity = match otlp.severity_text.as_str() {
        "" => SeverityNumber::try_from(otlp.severity_number)
            .unwrap_or_default()
            .as_str_name()
            .trim_start_matches("SEVERITY_NUMBER_")
            .replace("UNSPECIFIED", ""),
        text => text.to_owned(),
    };
    LogRecord {
        time_unix_nano: if otlp.time_unix_nano > 0 {
            otlp.time_unix_nano
        } else {
            otlp.observed_time_unix_nano
        },
        span_id: SpanId::from_bytes(&otlp.span_id),
        resource: Arc::clone(resource),
        severity: severity.into(),
        severity_number: otlp.severity_number,
        body: value(otlp.body),
        attributes: attributes(otlp.attributes),
    }
}

/// Which id keeps a span from being kept.
#[derive(Debug, Clone, Copy, thiserror::Error)]
enum InvalidId {
    #[error("its trace id, which must be 16 bytes, not all zero")]
    Trace,
    #[error("its span id, which must be 8 bytes, not all zero")]
    Span,
    #[error("its parent span id, which must be 8 bytes, or empty")]
    Parent,
}

fn partial_success(invalid: &Invalid, too_large: usize) -> Option<ExportTracePartialSuccess> {
    let (rejected_spans, error_message) = rejected("spans", invalid, too_large)?;
    Some(ExportTracePartialSuccess { rejected_spans, error_message })
}

/// How many of the `items` of a message are not kept, and why; `None` if all are.
fn rejected(items: &str, invalid: &Invalid, too_large: usize) -> Option<(i64, String)> {
    let mut reasons = Vec::new();
    if !invalid.is_empty() {
        reasons.push(invalid.to_string());
    }
    if too_large > 0 {
        reasons.push(format!("{too_large} of a trace that is too large for the store"));
    }
    let count = i64::try_from(invalid.count() + too_large).unwrap_or(i64::MAX);
    (count > 0).then(|| (count, format!("rejected {items}: {}", reasons.join("; "))))
}

fn span(otlp: OtlpSpan, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Result<Span, InvalidId> {
    let status = otlp.status.unwrap_or_default();
    Ok(Span {
        trace_id: TraceId::from_bytes(&otlp.trace_id).ok_or(InvalidId::Trace)?,
        span_id: SpanId::from_bytes(&otlp.span_id).ok_or(InvalidId::Span)?,
        parent_span_id: parent_span_id(&otlp.parent_span_id)?,
        resource: Arc::clone(resource),
        scope: Arc::clone(scope),
        name: otlp.name.into(),
        kind: kind(otlp.kind),
        start_unix_nano: otlp.start_time_unix_nano,
        end_unix_nano: otlp.end_time_unix_nano,
        attributes: attributes(otlp.attributes),
        events: otlp.events.into_iter().map(event).collect(),
        links: otlp.links.into_iter().filter_map(link).collect(),
        dropped: Dropped {
            attributes: otlp.dropped_attributes_count,
            events: otlp.dropped_events_count,
            links: otlp.dropped_links_count,
        },
        status_code: status_code(status.code),
        status_message: status.message.into(),
        flags: otlp.flags,
        trace_state: otlp.trace_state.into(),
    })
}

fn parent_span_id(bytes: &[u8]) -> Result<Option<SpanId>, InvalidId> {
    match bytes {
        // Some exporters write an absent parent as eight zeros.
        [] | [0, 0, 0, 0, 0, 0, 0, 0] => Ok(None),
        _ => SpanId::from_bytes(bytes).map(Some).ok_or(InvalidId::Parent),
    }
}

fn kind(number: i32) -> SpanKind {
    match span::SpanKind::try_from(number) {
        Ok(span::SpanKind::Internal) => SpanKind::Internal,
        Ok(span::SpanKind::Server) => SpanKind::Server,
        Ok(span::SpanKind::Client) => SpanKind::Client,
        Ok(span::SpanKind::Producer) => SpanKind::Producer,
        Ok(span::SpanKind::Consumer) => SpanKind::Consumer,
        Ok(span::SpanKind::Unspecified) | Err(_) => SpanKind::Unspecified,
    }
}

fn status_code(number: i32) -> StatusCode {
    match status::StatusCode::try_from(number) {
        Ok(status::StatusCode::Ok) => StatusCode::Ok,
        Ok(status::StatusCode::Error) => StatusCode::Error,
        Ok(status::StatusCode::Unset) | Err(_) => StatusCode::Unset,
    }
}

fn resource(otlp: OtlpResource) -> Resource {
    let attributes = attributes(otlp.attributes);
    let service = attributes
        .iter()
        .find(|attribute| &*attribute.key == "service.name")
        .and_then(|attribute| attribute.value.as_text())
        .filter(|name| !name.is_empty())
        .unwrap_or(UNKNOWN_SERVICE)
        .into();
    Resource { service, attributes }
}

fn scope(otlp: InstrumentationScope) -> Scope {
    Scope { name: otlp.name.into(), version: otlp.version.into(), attributes: attributes(otlp.attributes) }
}

fn event(otlp: span::Event) -> Event {
    Event {
        time_unix_nano: otlp.time_unix_nano,
        name: otlp.name.into(),
        attributes: attributes(otlp.attributes),
        dropped_attributes: otlp.dropped_attributes_count,
    }
}

/// One without valid ids leads nowhere.
fn link(otlp: span::Link) -> Option<Link> {
    Some(Link {
        trace_id: TraceId::from_bytes(&otlp.trace_id)?,
        span_id: SpanId::from_bytes(&otlp.span_id)?,
        trace_state: otlp.trace_state.into(),
        attributes: attributes(otlp.attributes),
        flags: otlp.flags,
    })
}

fn attributes(otlp: Vec<KeyValue>) -> Box<[Attribute]> {
    otlp.into_iter().map(|pair| Attribute { key: pair.key.into(), value: value(pair.value) }).collect()
}

/// Both readers stop at about a hundred levels, so this recursion is bounded.
fn value(otlp: Option<AnyValue>) -> Value {
    match otlp.and_then(|any| any.value) {
        Some(any_value::Value::StringValue(text)) => Value::Text(text.into()),
        Some(any_value::Value::BoolValue(truth)) => Value::Bool(truth),
        Some(any_value::Value::IntValue(number)) => Value::Int(number),
        Some(any_value::Value::DoubleValue(number)) => Value::Double(number),
        Some(any_value::Value::BytesValue(bytes)) => Value::Bytes(bytes.into()),
        Some(any_value::Value::ArrayValue(list)) => {
            Value::List(list.values.into_iter().map(|inner| value(Some(inner))).collect())
        }
        Some(any_value::Value::KvlistValue(map)) => Value::Map(attributes(map.values)),
        // An index into a table that only profiles have.
        Some(any_value::Value::StringValueStrindex(_)) | None => Value::Empty,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};

    use super::*;

    fn request(spans: Vec<OtlpSpan>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }],
        }
    }

    fn valid() -> OtlpSpan {
        OtlpSpan { trace_id: vec![1; 16], span_id: vec![2; 8], name: "good".into(), ..OtlpSpan::default() }
    }

    #[test]
    fn invalid_spans_are_counted_and_the_others_kept() {
        let store = Store::new(1 << 20);
        let answer = accept(
            &store,
            request(vec![
                OtlpSpan { trace_id: vec![0; 16], ..valid() },
                OtlpSpan { trace_id: vec![1; 15], ..valid() },
                OtlpSpan { span_id: vec![0; 8], ..valid() },
                OtlpSpan { span_id: vec![2; 16], ..valid() },
                OtlpSpan { parent_span_id: vec![1; 3], ..valid() },
                valid(),
            ]),
            Invalid::default(),
        );
        let partial = answer.partial_success.unwrap();
        assert_eq!(partial.rejected_spans, 5);
        assert_eq!(
            partial.error_message,
            "rejected spans: 5 invalid, the first because of its trace id, which must be 16 bytes, not all zero"
        );
        assert_eq!(store.totals().spans, 1);
    }

    #[test]
    fn a_good_request_has_no_partial_success() {
        let spans = vec![OtlpSpan { parent_span_id: vec![0; 8], kind: 99, ..valid() }];
        let store = Store::new(1 << 20);
        assert_eq!(accept(&store, request(spans), Invalid::default()).partial_success, None);
        let kept = store.newest(1)[0].root.clone().unwrap();
        assert_eq!((kept.parent_span_id, kept.kind), (None, SpanKind::Unspecified));
        assert_eq!(&*kept.resource.service, "unknown_service");
    }

    #[test]
    fn spans_beyond_what_a_trace_may_hold_are_counted_too() {
        let store = Store::new(4_000);
        let spans = (1..=20).map(|id| OtlpSpan { span_id: vec![id; 8], ..valid() }).collect();
        let partial = accept(&store, request(spans), Invalid::default()).partial_success.unwrap();
        assert!(partial.rejected_spans > 0);
        assert!(partial.error_message.ends_with("of a trace that is too large for the store"));
    }
}
