//! Lowers how spans are sent: the runtime and the file come first, then the environment, then the defaults.

use std::time::Duration;

use envoy_types::pb::google::protobuf::UInt32Value;

use super::{Lowering, extras::Export};
use crate::{
    config::FieldPath,
    snapshot::{
        delivery::{CallHeader, Delivery, Flush, Limits},
        tracing::Provider,
    },
};

/// What a worker gathers.
const FLUSH: Flush = Flush { spans: 256, interval: Duration::from_millis(200) };
/// What waits for a collector.
const QUEUE: Limits = Limits { spans: 32_768, bytes: 16 << 20 };
/// What is sent at once: well below the 4 MiB that collectors take.
const CALL: Limits = Limits { spans: 2_048, bytes: 1 << 20 };
/// As long as the OpenTelemetry Collector sends again.
const RETRY_FOR: Duration = Duration::from_secs(300);

impl Lowering<'_> {
    /// How the spans of a tracer are sent. `waiting` is `max_cache_size`.
    pub(super) fn delivery(
        &mut self,
        path: &FieldPath<'_>,
        provider: &Provider,
        waiting: Option<UInt32Value>,
        export: &Export,
        headers: &[CallHeader],
    ) -> Delivery {
        let environment = self.environment();
        let is_otlp = matches!(provider, Provider::OpenTelemetry(_));
        let of_environment = if is_otlp { environment.gzip } else { None };
        let gzip = export.gzip().or(of_environment).unwrap_or(false);
        if matches!(provider, Provider::XRay(_)) && (!headers.is_empty() || gzip) {
            self.problems.push_with_hint(
                path,
                "datagrams to the X-Ray daemon have no headers and no compression",
                "leave export.headers and export.compression out",
            );
        }
        let retry_for = export.retry_for.as_ref();
        let retry_for = retry_for.map(|longest| self.duration(&path.field("export.retry_for"), longest));
        let size = |value: &Option<UInt32Value>| value.as_ref().map(|value| value.value as usize);
        Delivery {
            queue: Limits {
                spans: size(&waiting).or(environment.queue_spans).unwrap_or(QUEUE.spans),
                bytes: size(&export.max_queue_bytes).unwrap_or(QUEUE.bytes),
            },
            call: Limits {
                spans: size(&export.max_batch_spans).or(environment.call_spans).unwrap_or(CALL.spans),
                bytes: CALL.bytes,
            },
            retry_for: retry_for.or(environment.retry_for).unwrap_or(RETRY_FOR),
            gzip,
            headers: headers.to_vec(),
        }
    }

    /// When workers hand over the spans of a tracer of which so many may wait.
    pub(super) fn flush(&mut self, provider: &Provider, waiting: usize) -> Flush {
        let delay = self.environment().schedule_delay;
        let prefix = match provider {
            Provider::OpenTelemetry(_) => "tracing.opentelemetry",
            Provider::Zipkin(_) => "tracing.zipkin",
            Provider::XRay(_) => return Flush { interval: delay.unwrap_or(FLUSH.interval), ..FLUSH },
        };
        let spans = self.runtime.integer(&format!("{prefix}.min_flush_spans"));
        let interval = self.runtime.integer(&format!("{prefix}.flush_interval_ms"));
        let spans = spans.map_or(FLUSH.spans, |spans| usize::try_from(spans).unwrap_or(usize::MAX));
        Flush {
            // A worker holds no more than may wait in all.
            spans: spans.clamp(1, FLUSH.spans.min(waiting.max(1))),
            interval: interval
                .map(Duration::from_millis)
                .or(delay)
                .unwrap_or(FLUSH.interval)
                .max(Duration::from_millis(1)),
        }
    }
}
