"""What waits for the collector: traces and grades in bounded queues, metrics as sums."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

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

from router.telemetry import names
from router.telemetry.outlet import Outlet, Undelivered
from router.telemetry.spans import Measurement, attributes_of

_BATCH = 256
_SCOPE = InstrumentationScope(name=names.SCOPE, version=names.CONVENTIONS)
T = TypeVar("T")
Who = Mapping[str, str]


class Lane(Generic[T]):
    """A bounded queue to one path of the collector. One thread delivers, any may `put`.

    An item stays in it until it was taken, or refused for good; while it is full, new ones are dropped.
    """

    def __init__(
        self, path: str, limit: int, encode: Callable[[Sequence[T]], bytes], refused: Callable[[bytes], int]
    ) -> None:
        self._path = path
        self._limit = limit
        self._encode = encode
        self._refused = refused
        self._lock = threading.Lock()
        self._waiting: deque[T] = deque()
        self.sent = 0
        self.dropped = 0

    def put(self, item: T) -> None:
        with self._lock:
            if len(self._waiting) < self._limit:
                self._waiting.append(item)
            else:
                self.dropped += 1

    def deliver(self, outlet: Outlet) -> None:
        """Everything that waits, in batches; Undelivered ends it."""
        while batch := self._first():
            try:
                refused = self._refused(outlet.post(self._path, self._encode(batch)))
            except Undelivered as error:
                if not error.passing:
                    self._done(batch, len(batch))
                raise
            except Exception:
                self._done(batch, len(batch))  # what cannot be encoded now never can
                raise
            self._done(batch, min(refused, len(batch)))

    def give_up(self) -> int:
        """Drops what waits, and whatever comes later; how many there were."""
        with self._lock:
            left, self._limit = len(self._waiting), 0
            self._waiting.clear()
            self.dropped += left
        return left

    def _first(self) -> list[T]:
        with self._lock:
            return list(islice(self._waiting, _BATCH))

    def _done(self, batch: Sequence[T], dropped: int) -> None:
        with self._lock:
            if self._waiting:  # it was not given up meanwhile
                for _ in batch:
                    self._waiting.popleft()
                self.dropped += dropped
                self.sent += len(batch) - dropped


def trace_lane(who: Who, limit: int) -> Lane[list[Span]]:
    """An item is one question with all its spans; a partial refusal counts spans, of which a question has several."""
    resource = Resource(attributes=attributes_of(who))

    def encode(traces: Sequence[list[Span]]) -> bytes:
        scope = ScopeSpans(scope=_SCOPE, spans=chain.from_iterable(traces))
        spans = ResourceSpans(resource=resource, scope_spans=[scope])
        return ExportTraceServiceRequest(resource_spans=[spans]).SerializeToString()

    def refused(answer: bytes) -> int:
        return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans

    return Lane("/v1/traces", limit, encode, refused)


def grade_lane(who: Who, limit: int) -> Lane[LogRecord]:
    resource = Resource(attributes=attributes_of(who))

    def encode(grades: Sequence[LogRecord]) -> bytes:
        scope = ScopeLogs(scope=_SCOPE, log_records=grades)
        logs = ResourceLogs(resource=resource, scope_logs=[scope])
        return ExportLogsServiceRequest(resource_logs=[logs]).SerializeToString()

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
