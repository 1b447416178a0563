"""Makes spans and sends them to a collector as OTLP JSON."""

import json
import random
import time
import urllib.request

MS = 1_000_000


def value(content):
    """An attribute's value in OTLP's JSON."""
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    return {"stringValue": content}


def attributes(pairs):
    """Attributes in OTLP's JSON."""
    return [{"key": key, "value": value(content)} for key, content in pairs.items()]


class Trace:
    """A trace that is being made; times are milliseconds from its start."""

    def __init__(self, ago_ms=1_000, trace_id=None):
        self.id = trace_id or f"{random.getrandbits(128) | 1:032x}"
        self.start = time.time_ns() - int(ago_ms * MS)
        self.resources = {}
        self.logs = []

    def span(self, service, name, start, end, parent=None, kind=1, error=None, tags=None, events=()):
        """Add a span; its id is returned."""
        span_id = f"{random.getrandbits(64) | 1:016x}"
        span = {
            "traceId": self.id,
            "spanId": span_id,
            "name": name,
            "kind": kind,
            "startTimeUnixNano": str(self.start + int(start * MS)),
            "endTimeUnixNano": str(self.start + int(end * MS)),
            "attributes": attributes(tags or {}),
            "events": [
                {"timeUnixNano": str(self.start + int(at * MS)), "name": event, "attributes": attributes(details)}
                for at, event, details in events
            ],
            "status": {} if error is None else {"code": 2, "message": error},
        }
        if parent:
            span["parentSpanId"] = parent
        self.resources.setdefault(service, []).append(span)
        return span_id

    def log(self, service, at, severity, body, span=None):
        """Add a log record."""
        record = {
            "timeUnixNano": str(self.start + int(at * MS)),
            "severityText": severity,
            "body": value(body),
            "traceId": self.id,
        }
        if span:
            record["spanId"] = span
        self.logs.append((service, record))

    def send(self, otlp):
        """Send it to the collector's OTLP/HTTP address."""
        resource = lambda service: {"attributes": attributes({"service.name": service, "zone": "a"})}
        spans = [
            {"resource": resource(service), "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}
            for service, spans in self.resources.items()
        ]
        post(f"{otlp}/v1/traces", {"resourceSpans": spans})
        if self.logs:
            records = [
                {"resource": resource(service), "scopeLogs": [{"logRecords": [record]}]} for service, record in self.logs
            ]
            post(f"{otlp}/v1/logs", {"resourceLogs": records})
        return self


def post(address, message):
    """Send a message, which must be taken whole."""
    request = urllib.request.Request(
        address, json.dumps(message).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        body = answer.read()
    assert body == b"{}", body


def sandbox(ago_ms=1_000, failing=False, slow=1.0):
    """A request through three proxies and the services behind them, as the sandbox has it, with some work of a shop."""
    trace = Trace(ago_ms)
    at = lambda moment: moment * slow
    url = "http://localhost:10000/trace/2"
    web = {"http.method": "GET", "http.url": url, "http.status_code": "200", "response_flags": "-"}
    front = trace.span("front-envoy", "routeToEnvoy2ViaEnvoy1", 0, at(48), None, 2, tags=web | {"upstream_cluster": "envoy-1"})
    egress = trace.span("front-envoy", "router envoy-1 egress", at(1.2), at(47), front, 3, tags=web | {"upstream_cluster": "envoy-1"})
    first = trace.span("envoy-1", "routeToEnvoy2", at(2), at(46), egress, 2, tags=web | {"node_id": "envoy-1"})
    if failing:
        lost = trace.span("envoy-1", "router envoy-2 egress", at(2.5), at(9), first, 3, error="upstream reset", tags=web | {"http.status_code": "503", "response_flags": "UF", "upstream_cluster": "envoy-2"})
        trace.log("envoy-1", at(9), "WARN", "upstream reset before response headers; sent again", lost)
    again = trace.span("envoy-1", "router envoy-2 egress", at(10 if failing else 2.6), at(45), first, 3, tags=web | ({"retry.count": "1"} if failing else {}) | {"upstream_cluster": "envoy-2"})
    second = trace.span("envoy-2", "ingress", at(11), at(44), again, 2, tags=web | {"node_id": "envoy-2"})
    out = trace.span("envoy-2", "router service2 egress", at(11.6), at(43), second, 3, tags={"upstream_cluster": "service2"})
    service = trace.span("shop", "GET /trace/{id}", at(12), at(42), out, 2, tags={"http.route": "/trace/{id}", "user.id": 17})
    trace.span("basket", "list", at(13), at(22), service, 2, tags={"items": 3}, events=[(at(15), "cache miss", {"key": "basket:17"})])
    stock = trace.span("stock", "reserve", at(14), at(34), service, 2, events=[(at(20), "lock acquired", {})])
    trace.span("stock", "SELECT items", at(21), at(32), stock, 3, tags={"db.system": "postgresql", "server.address": "stock-db"})
    trace.span("shop", "render", at(36), at(41), service)
    trace.log("stock", at(20), "INFO", "reserved 3 items for basket 17", stock)
    return trace


def short(ago_ms=1_000, slow=1.0):
    """A request through two proxies."""
    trace = Trace(ago_ms)
    front = trace.span("front-envoy", "routeToEnvoy1", 0, 9 * slow, None, 2, tags={"http.url": "http://localhost:10000/trace/1"})
    first = trace.span("envoy-1", "ingress", 1 * slow, 8 * slow, front, 2)
    trace.span("shop", "GET /trace/{id}", 2 * slow, 7 * slow, first, 2)
    return trace


def large(count=1_000):
    """A trace of many spans, some of which failed."""
    trace = Trace(60_000)
    open_spans = [(trace.span("gateway", "batch", 0, count * 2, None, 2), 0, count * 2)]
    draw = random.Random(7)
    for number in range(1, count):
        parent, start, end = open_spans[max(0, int(len(open_spans) * draw.random() ** 0.5) - 1)] if number % 3 else open_spans[0]
        begin = start + (end - start) * draw.random() * 0.8
        stop = begin + (end - begin) * (0.05 + 0.6 * draw.random())
        error = "deadline exceeded" if number % 97 == 0 else None
        tags = {"http.method": "GET", "http.url": f"http://worker/{number}", "number": number}
        span = trace.span(f"worker-{number % 7}", f"job {number}", begin, stop, parent, 1 + number % 3, error, tags)
        open_spans.append((span, begin, stop))
    return trace
