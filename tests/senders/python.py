"""Sends what sdk-trace.json has by Python's OpenTelemetry SDK, and a log record and metrics with it.

Usage: python.py grpc|http none|gzip ENDPOINT
"""

import sys

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

protocol, compression, endpoint = sys.argv[1:]
if protocol == "grpc":
    from grpc import Compression
    from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

    options = {"compression": Compression.Gzip if compression == "gzip" else Compression.NoCompression}

    def to(_signal):
        return {"endpoint": endpoint, "insecure": True, **options}
else:
    from opentelemetry.exporter.otlp.proto.http import Compression
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    options = {"compression": Compression.Gzip if compression == "gzip" else Compression.NoCompression}

    def to(signal):
        return {"endpoint": f"{endpoint}/v1/{signal}", **options}


class Ids(IdGenerator):
    """1, 2, 3 and so on, in the trace that is joined."""

    last = 0

    def generate_span_id(self):
        self.last += 1
        return self.last

    def generate_trace_id(self):
        return 0xFF


START = 1_795_155_028_000_000_000
resource = Resource.create({"service.name": "shop", "host.cpus": 2})
tracers = TracerProvider(resource=resource, id_generator=Ids())
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(**to("traces"))))
tracer = tracers.get_tracer("shop.lib", "1.2")


def remote(trace_id, span_id, state=()):
    return SpanContext(trace_id, span_id, True, TraceFlags(TraceFlags.SAMPLED), TraceState(state))


parent = remote(0xD1FCA5106C27EF49B54D1EBA13323F5F, 0xD6791B9A5C287909, [("vendor", "v1")])
server = tracer.start_span(
    "GET /buy",
    context=trace.set_span_in_context(trace.NonRecordingSpan(parent)),
    kind=SpanKind.SERVER,
    start_time=START,
    attributes={
        "text": "grüße <&> \U0001f600",
        "empty": "",
        "truth": True,
        "int": -(2**53) + 1,
        "double": 0.25,
        "texts": ["a", "b"],
        "truths": [True, False],
        "ints": [1, 2],
        "doubles": [0.5, -1.5],
        "nothing": [],
        "bytes": b"\x00\xff",
    },
    links=[Link(remote(0xAB, 0xCD, [("k", "v")]), {"why": "follows", "n": 7})],
)
inside = trace.set_span_in_context(server)
client = tracer.start_span("SELECT", inside, SpanKind.CLIENT, start_time=START + 1_000_000)
client.add_event("retry", {"attempt": 2}, START + 1_500_000)
client.add_event("exception", {"exception.type": "Io", "stack": "a\n\tb"}, START + 2_000_000)
client.set_status(Status(StatusCode.ERROR, "refused: \"no\""))

loggers = LoggerProvider(resource=resource)
loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter(**to("logs"))))
loggers.get_logger("shop.lib").emit(
    timestamp=START + 1_700_000,
    context=trace.set_span_in_context(client),
    severity_number=SeverityNumber.WARN,
    severity_text="WARNING",
    body={"said": ["slow", 3]},
    attributes={"code.lineno": 7},
)

client.end(START + 3_000_000)
others = [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.INTERNAL]
for offset, kind in enumerate(others, start=4):
    span = tracer.start_span(kind.name.lower(), inside, kind, start_time=START + offset * 1_000_000)
    span.set_status(StatusCode.OK)
    span.end(START + offset * 1_000_000 + 1)
server.end(START + 9_000_000)

meters = MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter(**to("metrics")))], resource)
meter = meters.get_meter("shop.lib")
meter.create_counter("sold").add(3, {"what": "tea"})
meter.create_histogram("took").record(0.5)
meter.create_gauge("stock").set(4)

# What cannot be sent is only logged, on standard error, which the test wants to be empty.
assert tracers.force_flush() and loggers.force_flush() and meters.force_flush()
for provider in (tracers, loggers, meters):
    provider.shutdown()
