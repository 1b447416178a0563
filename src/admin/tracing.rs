//! `/tracing`: what becomes of spans.

use std::fmt::Write;

use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{TracerStatus, answer, command::Asked};
use crate::{
    export::{
        Protocol,
        stats::{DropReason, Figures},
    },
    stream_info::calendar::iso_8601,
};

/// `/tracing`
pub(super) fn page(asked: &Asked) -> Response {
    let tracers = &asked.subject.tracers;
    match asked.value("format").as_deref() {
        Some("json") => answer::json(&json(tracers)),
        _ => answer::text(text(tracers)),
    }
}

/// For programs.
fn json(tracers: &[TracerStatus]) -> Value {
    json!({ "tracers": tracers.iter().map(tracer).collect::<Vec<_>>() })
}

fn tracer(status: &TracerStatus) -> Value {
    let figures = status.stats.figures();
    let delivered = &figures.delivered;
    let limits = status.tracer.delivery.queue;
    let dropped = DropReason::ALL
        .into_iter()
        .map(|reason| (reason.name().to_owned(), Value::from(delivered.dropped(reason))));
    let last_error = delivered.last_error.as_ref().map(
        |error| json!({ "time": iso_8601(error.time).as_str(), "cause": error.cause, "hint": error.hint }),
    );
    let envoy = envoy_counters(status, &figures)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::from(value)));
    json!({
        "name": status.tracer.name(),
        "protocol": status.protocol.name(),
        "destination": status.destination,
        "state": delivered.state.name(),
        "spans": {
            "created": figures.created,
            "exported": delivered.exported,
            "queued": figures.queued,
            "dropped": dropped.collect::<Map<_, _>>(),
        },
        "queue": {
            "spans": delivered.queued_spans,
            "bytes": delivered.queued_bytes,
            "max_spans": limits.spans,
            "max_bytes": limits.bytes,
            "oldest_age_ms": oldest_age_ms(&figures),
            "in_flight_spans": delivered.in_flight,
        },
        "calls": {
            "batches": delivered.batches,
            "failed": delivered.failed,
            "retries": delivered.retries,
            "bytes": delivered.bytes,
        },
        "last_error": last_error,
        "envoy": envoy.collect::<Map<_, _>>(),
    })
}

/// For people.
fn text(tracers: &[TracerStatus]) -> String {
    let mut text = String::new();
    if tracers.is_empty() {
        text.push_str(
            "no listener traces: give its HTTP connection manager `tracing` with a provider, or set \
             OTEL_EXPORTER_OTLP_ENDPOINT (OTEL_SDK_DISABLED and OTEL_TRACES_EXPORTER=none overrule it)\n",
        );
    }
    for status in tracers {
        // Writing to a text does not fail.
        let _ = write_tracer(&mut text, status);
    }
    text
}

fn write_tracer(out: &mut String, status: &TracerStatus) -> std::fmt::Result {
    let figures = status.stats.figures();
    let delivered = &figures.delivered;
    let limits = status.tracer.delivery.queue;
    writeln!(out, "tracer \"{}\": {}", status.tracer.name(), delivered.state.name())?;
    writeln!(out, "  sends      {} to {}", status.protocol.name(), status.destination)?;
    writeln!(out, "  created    {}", figures.created)?;
    writeln!(out, "  exported   {}", delivered.exported)?;
    write!(out, "  dropped    {}", delivered.dropped_in_all())?;
    for reason in DropReason::ALL {
        write!(out, "  {}={}", reason.name(), delivered.dropped(reason))?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "  queued     {}  (waiting {} of {}, {} of {} bytes; in calls {}; oldest {} ms)",
        figures.queued,
        delivered.queued_spans,
        limits.spans,
        delivered.queued_bytes,
        limits.bytes,
        delivered.in_flight,
        oldest_age_ms(&figures)
    )?;
    writeln!(
        out,
        "  calls      {} acknowledged, {} bytes; {} failed, {} were sent again",
        delivered.batches, delivered.bytes, delivered.failed, delivered.retries
    )?;
    if let Some(error) = &delivered.last_error {
        writeln!(out, "  last error {}: it {}", iso_8601(error.time), error.cause)?;
        if let Some(hint) = error.hint {
            writeln!(out, "             {hint}")?;
        }
    }
    for (name, value) in envoy_counters(status, &figures) {
        writeln!(out, "  {name}: {value}")?;
    }
    writeln!(out)
}

fn oldest_age_ms(figures: &Figures) -> u64 {
    let age = figures.delivered.oldest.map(|oldest| oldest.elapsed().as_millis());
    age.and_then(|age| u64::try_from(age).ok()).unwrap_or_default()
}

/// Envoy's names for what is counted here. Spans are sent when they are acknowledged, not when they are written.
pub(super) fn envoy_counters(status: &TracerStatus, figures: &Figures) -> Vec<(&'static str, u64)> {
    let delivered = &figures.delivered;
    match status.protocol {
        Protocol::OtlpGrpc | Protocol::OtlpHttp => vec![
            ("tracing.opentelemetry.spans_sent", delivered.exported),
            ("tracing.opentelemetry.timer_flushed", figures.timer_flushed),
            ("tracing.opentelemetry.spans_dropped", delivered.dropped_in_all()),
        ],
        Protocol::Zipkin => vec![
            ("tracing.zipkin.spans_sent", delivered.exported),
            ("tracing.zipkin.timer_flushed", figures.timer_flushed),
            ("tracing.zipkin.reports_sent", delivered.batches),
            ("tracing.zipkin.reports_failed", delivered.failed),
        ],
        Protocol::XRay => Vec::new(),
    }
}
