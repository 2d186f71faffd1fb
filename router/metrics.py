"""Prometheus metrics. No question, answer or user is in them, and no label whose values callers choose.

Modes are those that `parse` accepts, errors are names of gRPC statuses, experiments and arms are the operator's.
`deploy/grafana/README.md` has a table of them all.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, Summary, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from edgewise.errors import EdgewiseError
from edgewise.types import Grade, Record
from router.meter import SideCall
from router.observer import grader_kind

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)

RUNNING, RECORDS_QUEUED, EDGE_RESTARTS, SENT, DROPPED = (
    "edgewise_questions_running",
    "edgewise_records_queued",
    "edgewise_edge_restarts",
    "edgewise_telemetry_sent",
    "edgewise_telemetry_dropped",
)
# Read when Prometheus asks: family -> (what it is, its label).
_WATCHED: dict[str, tuple[str, str]] = {
    RUNNING: ("Questions being answered now", ""),
    RECORDS_QUEUED: ("Records and grades that wait on disk for their database", ""),
    EDGE_RESTARTS: ("Times that the edge node died and was started again", ""),
    SENT: ("Answers (traces) and grades that the telemetry collector has taken", "signal"),
    DROPPED: ("Answers (traces) and grades that it never got", "signal"),
}

Reading = Callable[[], float]
MetricT = TypeVar("MetricT", Counter, Histogram)


class Metrics:
    """An observer of answers and grades; `watch` and `refusals` count what no record tells."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._watched = _Watched()
        self._registry.register(self._watched)
        build = self._gauge("edgewise_build_info", "1, for the version that runs", "version")
        build.labels(importlib.metadata.version("edgewise")).set(1)
        self._of_answers()
        self._of_sides()
        self._of_grades()

    def _of_answers(self) -> None:
        count, seconds = self._counter, self._histogram
        self._answers = count(
            "edgewise_answers", "Questions that were let in, by how they ended", "mode", "author", "error"
        )
        self._refused = count("edgewise_refused", "Questions refused at the door; they leave no record", "reason")
        self._total = seconds("edgewise_answer_seconds", "Time to the end of an answer that ended well", "mode")
        self._first = seconds(
            "edgewise_first_kept_token_seconds", "Time to the first token of the answer that stayed", "mode"
        )
        self._grounding = count("edgewise_grounding", "Answers by what they stand on", "mode", "grounding")
        self._degraded = count("edgewise_degraded", "Answers without what their mode wanted", "mode")
        self._retractions = count("edgewise_retractions", "Drafts that were taken back", "mode")
        self._escalations = count("edgewise_escalations", "Questions for which the cloud was asked to write", "mode")
        self._cost = count("edgewise_cost_usd", "Known cost of answers, by its basis", "mode", "basis")
        self._unknown_cost = count("edgewise_cost_unknown", "Answers whose cost is not known", "mode")
        self._shadow_cost = count("edgewise_shadow_cost_usd", "The same for shadow answers", "mode", "basis")
        self._shadow_unknown_cost = count("edgewise_shadow_cost_unknown", "The same for shadow answers", "mode")
        self._shadows = count(
            "edgewise_shadow_answers", "Answers of experiments that nobody saw; they are not in edgewise_answers",
            "mode", "error",
        )  # fmt: skip
        self._arms = count("edgewise_experiment_answers", "Answers in experiments", "experiment", "arm", "error")

    def _of_sides(self) -> None:
        self._tokens = self._counter("edgewise_tokens", "Tokens by side and kind, drafts included", "side", "kind")
        self._cached = self._counter("edgewise_cached_tokens", "Prompt tokens that were in a cache already", "side")
        self._calls = self._counter("edgewise_side_calls", "Calls of a side by how they ended", "side", "kind", "error")
        self._call_s = self._histogram("edgewise_side_call_seconds", "Time that a call of a side took", "side", "kind")
        self._information = self._counter(
            "edgewise_cloud_information", "Look-ups of cloud information by whether it was known", "known"
        )

    def _of_grades(self) -> None:
        self._grades = Summary(
            "edgewise_grade_score", "Grades of answers: how many, and the sum of their scores from 0 to 1",
            ("mode", "grader"), registry=self._registry,
        )  # fmt: skip
        self._arm_grades = Summary(
            "edgewise_experiment_grade_score", "The same for answers in experiments",
            ("experiment", "arm", "grader"), registry=self._registry,
        )  # fmt: skip

    def observe(self, record: Record, calls: tuple[SideCall, ...]) -> None:
        error = record.error or "none"
        if record.shadow_of:
            self._shadows.labels(record.mode, error).inc()
        else:
            self._answered(record, error)
        if record.experiment:
            self._arms.labels(record.experiment, record.arm, error).inc()
        self._paid(record)
        for call in calls:
            self._calls.labels(call.side, call.kind, call.error or "none").inc()
            self._call_s.labels(call.side, call.kind).observe(call.ended_s - call.started_s)
        for side, tokens in (("edge", record.usage.edge), ("cloud", record.usage.cloud)):
            self._tokens.add(tokens.prompt_tokens, side, "prompt")
            self._tokens.add(tokens.completion_tokens, side, "completion")
            self._cached.add(tokens.cached_tokens, side)
        for step in record.steps:
            if "known" in step.numbers:
                self._information.labels("yes" if step.numbers["known"] else "no").inc()

    def _answered(self, record: Record, error: str) -> None:
        self._answers.labels(record.mode, record.author or "none", error).inc()
        self._retractions.add(record.retractions, record.mode)
        self._escalations.add(bool(record.cloud_generates), record.mode)
        self._degraded.add(record.degraded, record.mode)
        if record.grounding is not None:
            self._grounding.labels(record.mode, record.grounding.value).inc()
        if not record.error:  # a quick failure must not flatter a mode
            self._total.labels(record.mode).observe(record.total_s)
            if record.first_kept_s is not None:
                self._first.labels(record.mode).observe(record.first_kept_s)

    def _paid(self, record: Record) -> None:
        cost, unknown = (
            (self._shadow_cost, self._shadow_unknown_cost) if record.shadow_of else (self._cost, self._unknown_cost)
        )
        unknown.add(record.cost_usd is None, record.mode)
        if record.cost_usd is not None:
            # Without a cloud call it is nothing, or the edge's time at the operator's rate.
            basis = record.cost_basis or ("EDGE_RATE" if record.cost_usd else "NONE")
            cost.add(record.cost_usd, record.mode, basis)

    def graded(self, record: Record, grade: Grade) -> None:
        kind = grader_kind(grade.grader)
        self._grades.labels(record.mode, kind).observe(grade.score)
        if record.experiment:
            self._arm_grades.labels(record.experiment, record.arm, kind).observe(grade.score)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts an EdgewiseError that ends the block, by its name."""
        try:
            yield
        except EdgewiseError as error:
            self._refused.labels(error.reason).inc()
            raise

    def watch(self, family: str, read: Reading, label: str = "") -> None:
        """Reads a number of another part of the program whenever Prometheus asks; what nobody watches is not shown."""
        self._watched.readings.setdefault(family, {})[label] = read

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> _Remembering[Counter]:
        return _Remembering(Counter(name, documentation, labels, registry=self._registry))

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self._registry)

    def _histogram(self, name: str, documentation: str, *labels: str) -> _Remembering[Histogram]:
        return _Remembering(Histogram(name, documentation, labels, buckets=_SECONDS, registry=self._registry))


class _Remembering(Generic[MetricT]):
    """A metric that finds what it counts under some labels at once: prometheus_client takes a lock, and longer."""

    def __init__(self, metric: MetricT) -> None:
        self._metric: MetricT = metric
        self._found: dict[tuple[str, ...], MetricT] = {}

    def labels(self, *labels: str) -> MetricT:
        found = self._found.get(labels)
        if found is None:
            found = self._found[labels] = self._metric.labels(*labels)
        return found

    def add(self: _Remembering[Counter], amount: float, *labels: str) -> None:
        """Nothing is no news, but it is shown from the first time on."""
        if amount or labels not in self._found:
            self.labels(*labels).inc(amount)


class _Watched:
    """A collector of prometheus_client."""

    def __init__(self) -> None:
        self.readings: dict[str, dict[str, Reading]] = {}

    def collect(self) -> Iterable[Metric]:
        for name, readings in self.readings.items():
            documentation, label = _WATCHED[name]
            kind = GaugeMetricFamily if name in {RUNNING, RECORDS_QUEUED} else CounterMetricFamily
            family = kind(name, documentation, labels=[label] if label else [])
            for value, read in readings.items():
                family.add_metric([value] if label else [], read())
            yield family
