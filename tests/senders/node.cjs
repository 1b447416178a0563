// Sends what sdk-trace.json has by Node's OpenTelemetry SDK.
//
// Usage: node.cjs http|proto|grpc none|gzip ENDPOINT

const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, createTraceState, trace } = require('@opentelemetry/api');
const { defaultResource, resourceFromAttributes } = require('@opentelemetry/resources');
const { BatchSpanProcessor, NodeTracerProvider } = require('@opentelemetry/sdk-trace-node');

const [protocol, compression, endpoint] = process.argv.slice(2);
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${protocol}`);
const url = protocol === 'grpc' ? endpoint : `${endpoint}/v1/traces`;

let last = 0;
const idGenerator = {
  generateSpanId: () => (last += 1).toString(16).padStart(16, '0'),
  generateTraceId: () => 'ff'.repeat(16),
};
const provider = new NodeTracerProvider({
  idGenerator,
  resource: defaultResource().merge(resourceFromAttributes({ 'service.name': 'shop', 'host.cpus': 2 })),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter({ url, compression }))],
});
const tracer = provider.getTracer('shop.lib', '1.2');

const START = 1_795_155_028;
// Milliseconds after the start, as seconds and nanoseconds.
const at = (milliseconds, nanoseconds = 0) => [START, milliseconds * 1_000_000 + nanoseconds];
const remote = (traceId, spanId, state) => ({
  traceId, spanId, isRemote: true, traceFlags: TraceFlags.SAMPLED, traceState: createTraceState(state),
});

const parent = remote('d1fca5106c27ef49b54d1eba13323f5f', 'd6791b9a5c287909', 'vendor=v1');
const server = tracer.startSpan('GET /buy', {
  kind: SpanKind.SERVER,
  startTime: at(0),
  attributes: {
    text: 'grüße <&> \u{1f600}',
    empty: '',
    truth: true,
    int: Number.MIN_SAFE_INTEGER,
    double: 0.25,
    texts: ['a', 'b'],
    truths: [true, false],
    ints: [1, 2],
    doubles: [0.5, -1.5],
    nothing: [],
  },
  links: [{
    context: remote('0'.repeat(30) + 'ab', '0'.repeat(14) + 'cd', 'k=v'),
    attributes: { why: 'follows', n: 7 },
  }],
}, trace.setSpanContext(ROOT_CONTEXT, parent));
const inside = trace.setSpan(ROOT_CONTEXT, server);
const client = tracer.startSpan('SELECT', { kind: SpanKind.CLIENT, startTime: at(1) }, inside);
client.addEvent('retry', { attempt: 2 }, at(1, 500_000));
client.addEvent('exception', { 'exception.type': 'Io', stack: 'a\n\tb' }, at(2));
client.setStatus({ code: SpanStatusCode.ERROR, message: 'refused: "no"' });
client.end(at(3));
for (const [offset, kind] of ['PRODUCER', 'CONSUMER', 'INTERNAL'].entries()) {
  const options = { kind: SpanKind[kind], startTime: at(4 + offset) };
  const span = tracer.startSpan(kind.toLowerCase(), options, inside);
  span.setStatus({ code: SpanStatusCode.OK });
  span.end(at(4 + offset, 1));
}
server.end(at(9));

// What cannot be sent ends this with an error.
provider.forceFlush().then(() => provider.shutdown());
