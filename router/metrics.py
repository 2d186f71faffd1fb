"""Prometheus metrics, one observation a record. No question, answer or user is in them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from edgewise.types import Record

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)


class Metrics:
    def __init__(self, queued: Callable[[], int]) -> None:
        """`queued` counts what waits for the record database."""
        self._registry = registry = CollectorRegistry()
        self._answers = Counter(
            "edgewise_answers", "Answers by mode, author and error", ("mode", "author", "error"), registry=registry
        )
        self._degraded = Counter(
            "edgewise_degraded", "Answers without what their mode wanted", ("mode",), registry=registry
        )
        self._tokens = Counter("edgewise_tokens", "Tokens by side and kind", ("side", "kind"), registry=registry)
        self._cost = Counter("edgewise_cost_usd", "Known cost by its basis", ("basis",), registry=registry)
        self._information = Counter(
            "edgewise_cloud_information",
            "Look-ups of cloud information by whether it was known",
            ("known",),
            registry=registry,
        )
        Gauge(
            "edgewise_records_queued", "Records and grades that wait on disk for their database", registry=registry
        ).set_function(queued)
        self._total = Histogram(
            "edgewise_answer_seconds", "Time to the end of an answer", ("mode",), buckets=_SECONDS, registry=registry
        )
        self._first = Histogram(
            "edgewise_first_kept_token_seconds",
            "Time to the first token of the answer that stayed",
            ("mode",),
            buckets=_SECONDS,
            registry=registry,
        )

    def observe(self, record: Record) -> None:
        self._answers.labels(record.mode, record.author or "none", record.error or "none").inc()
        for side, tokens in (("edge", record.usage.edge), ("cloud", record.usage.cloud)):
            self._tokens.labels(side, "prompt").inc(tokens.prompt_tokens)
            self._tokens.labels(side, "completion").inc(tokens.completion_tokens)
        if record.cost_usd is not None and record.cost_basis is not None:
            self._cost.labels(record.cost_basis.value).inc(record.cost_usd)
        for step in record.steps:
            if "known" in step.numbers:
                self._information.labels("yes" if step.numbers["known"] else "no").inc()
        if record.degraded:
            self._degraded.labels(record.mode).inc()
        self._total.labels(record.mode).observe(record.total_s)
        if record.first_kept_s is not None:
            self._first.labels(record.mode).observe(record.first_kept_s)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)
