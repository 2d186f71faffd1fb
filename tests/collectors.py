"""An OpenTelemetry collector on loopback: takes OTLP over HTTP and keeps what it got."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class Collector:
    """`status` is what it answers, and `says` with what; while `stuck`, it answers nothing at all; it takes all but
    `refuses` spans."""

    url: str = ""
    status: int = 200
    stuck: bool = False
    refuses: int = 0
    says: bytes = b""
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def bodies(self, path: str) -> list[bytes]:
        return [body for at, _, body in self.requests if at == path]

    @property
    def spans(self) -> list[Span]:
        found = [ExportTraceServiceRequest.FromString(body) for body in self.bodies("/v1/traces")]
        return [
            span for one in found for resource in one.resource_spans for scope in resource.scope_spans
            for span in scope.spans
        ]  # fmt: skip

    @property
    def events(self) -> list[LogRecord]:
        found = [ExportLogsServiceRequest.FromString(body) for body in self.bodies("/v1/logs")]
        return [
            event for one in found for resource in one.resource_logs for scope in resource.scope_logs
            for event in scope.log_records
        ]  # fmt: skip

    @property
    def metrics(self) -> dict[str, Metric]:
        """Of the last delivery: they are sums since the start."""
        last = ExportMetricsServiceRequest.FromString(self.bodies("/v1/metrics")[-1])
        return {
            metric.name: metric for resource in last.resource_metrics for scope in resource.scope_metrics
            for metric in scope.metrics
        }  # fmt: skip

    @property
    def everything(self) -> bytes:
        """All bytes that came in, header values included."""
        return b"\n".join(repr(headers).encode() + body for _, headers, body in self.requests)

    def answer(self, path: str) -> bytes:
        refused = ExportTracePartialSuccess(rejected_spans=self.refuses)
        if path == "/v1/traces" and self.refuses:
            return ExportTraceServiceResponse(partial_success=refused).SerializeToString()
        return self.says


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if collector.stuck:
                collector.released.wait(60)
                return
            if collector.status == 200:
                collector.requests.append((self.path, dict(self.headers), body))
            answer = collector.answer(self.path)
            self.send_response(collector.status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        collector.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {one.key: _value(one) for one in attributes}


def _value(one: KeyValue) -> Any:
    kind = one.value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [value.string_value for value in one.value.array_value.values]
    return getattr(one.value, kind)
