"""What waits for the collector: traces and grades in bounded queues, metrics as sums."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import Counter, Histogram, Meter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span
from opentelemetry.sdk import resources
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from router.egress.outlet import Outlet, Undelivered
from router.telemetry import names
from router.telemetry.spans import Measurement, attributes_of

_BATCH = 256
_BATCH_BYTES = 4 * 1024 * 1024  # a collector takes 20 MiB by default
_QUEUE_BYTES = 64 * 1024 * 1024
_SCOPE = InstrumentationScope(name=names.SCOPE, version=names.CONVENTIONS)
T = TypeVar("T")
Who = Mapping[str, str]


class Lane(Generic[T]):
    """A bounded queue to one path of the collector. One thread delivers, any may `put`.

    An item stays in it until it was taken, or refused for good; while it is full, by number or bytes, new ones are
    dropped.
    """

    def __init__(
        self, path: str, limit: int, encode: Callable[[Sequence[T]], Message], refused: Callable[[bytes], int]
    ) -> None:
        self._path = path
        self._limit = limit
        self._encode = encode
        self._refused = refused
        self._lock = threading.Lock()
        self._waiting: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self.sent = 0
        self.dropped = 0

    def put(self, item: T) -> None:
        size = self._encode([item]).ByteSize()
        with self._lock:
            if len(self._waiting) < self._limit and self._bytes + size <= _QUEUE_BYTES:
                self._waiting.append((item, size))
                self._bytes += size
            else:
                self.dropped += 1

    def deliver(self, outlet: Outlet) -> None:
        """Everything that waits, in batches; Undelivered ends it."""
        while batch := self._first():
            try:
                answer = outlet.post(self._path, self._encode(batch).SerializeToString())
            except Undelivered as error:
                if not error.passing:
                    self._done(len(batch), len(batch))
                raise
            try:
                refused = min(self._refused(answer), len(batch))
            except DecodeError:
                refused = 0  # it took the delivery, whatever it says of it
            self._done(len(batch), refused)

    def give_up(self) -> int:
        """Drops what waits, and whatever comes later; how many there were."""
        with self._lock:
            left, self._limit = len(self._waiting), 0
            self._waiting.clear()
            self.dropped += left
        return left

    def _first(self) -> list[T]:
        """At least one item, if there is any, then as many as fit into a batch."""
        batch: list[T] = []
        total = 0
        with self._lock:
            for item, size in islice(self._waiting, _BATCH):
                total += size
                if batch and total > _BATCH_BYTES:
                    break
                batch.append(item)
        return batch

    def _done(self, items: int, dropped: int) -> None:
        with self._lock:
            if self._waiting:  # it was not given up meanwhile
                self._bytes -= sum(self._waiting.popleft()[1] for _ in range(items))
                self.dropped += dropped
                self.sent += items - dropped


def trace_lane(who: Who, limit: int) -> Lane[list[Span]]:
    """An item is one question with all its spans; a partial refusal counts spans, of which a question has several."""
    resource = Resource(attributes=attributes_of(who))

    def encode(traces: Sequence[list[Span]]) -> Message:
        scope = ScopeSpans(scope=_SCOPE, spans=chain.from_iterable(traces))
        spans = ResourceSpans(resource=resource, scope_spans=[scope])
        return ExportTraceServiceRequest(resource_spans=[spans])

    def refused(answer: bytes) -> int:
        return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans

    return Lane("/v1/traces", limit, encode, refused)


def grade_lane(who: Who, limit: int) -> Lane[LogRecord]:
    resource = Resource(attributes=attributes_of(who))

    def encode(grades: Sequence[LogRecord]) -> Message:
        scope = ScopeLogs(scope=_SCOPE, log_records=grades)
        logs = ResourceLogs(resource=resource, scope_logs=[scope])
        return ExportLogsServiceRequest(resource_logs=[logs])

    def refused(answer: bytes) -> int:
        return ExportLogsServiceResponse.FromString(answer).partial_success.rejected_log_records

    return Lane("/v1/logs", limit, encode, refused)


class Measured:
    """Sums and histograms since the start, as OpenTelemetry aggregates them: a lost delivery loses none of it."""

    def __init__(self, who: Who) -> None:
        self._reader = InMemoryMetricReader()
        provider = MeterProvider(
            [self._reader], resources.Resource(who), AlwaysOffExemplarFilter(), shutdown_on_exit=False
        )
        meter = provider.get_meter(names.SCOPE, names.CONVENTIONS)
        self._instruments = {instrument.name: _made(meter, instrument) for instrument in names.INSTRUMENTS}

    def add(self, measurement: Measurement) -> None:
        match self._instruments[measurement.instrument.name]:
            case Counter() as counter:
                counter.add(measurement.value, measurement.attributes)
            case Histogram() as histogram:
                histogram.record(measurement.value, measurement.attributes)

    def deliver(self, outlet: Outlet) -> None:
        data = self._reader.get_metrics_data()
        if data is not None:
            outlet.post("/v1/metrics", encode_metrics(data).SerializeToString())


def _made(meter: Meter, instrument: names.Instrument) -> Counter | Histogram:
    if not instrument.boundaries:
        return meter.create_counter(instrument.name, instrument.unit, instrument.description)
    return meter.create_histogram(
        instrument.name,
        instrument.unit,
        instrument.description,
        explicit_bucket_boundaries_advisory=instrument.boundaries,
    )
