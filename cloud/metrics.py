"""Prometheus metrics of a gateway. No prompt, answer or token of a key is in them, and no label that callers choose.

Keys are those that the operator has made, `(owner)` is who has none; outcomes are names of errors.
`deploy/grafana/README.md` has a table of them all.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from cloud.backends.figures import GateFigures
from edgewise.addresses import check_free, is_local
from edgewise.callers import Caller, Callers
from edgewise.errors import EdgewiseError, NotReady
from edgewise.types import CostBasis, Tokens

OWNER = "(owner)"
_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)


class Metrics:
    """What a gateway has done since it began."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        build = Gauge(
            "edgewise_gateway_build_info", "1, for the version that runs", ["version"], registry=self.registry
        )
        build.labels(importlib.metadata.version("edgewise")).set(1)
        self._calls = self._counter("calls", "Calls that were let in, by how they ended", "key", "kind", "outcome")
        self._refused = self._counter("refused", "Calls refused before their bodies were read", "reason")
        self._tokens = self._counter("tokens", "Tokens of answers that ended", "key", "kind")
        self._cost = self._counter("cost_usd", "Known cost of calls, by its basis", "key", "basis")
        self._unknown = self._counter("cost_unknown", "Calls that ended well and whose cost is not known", "key")
        self._seconds = Histogram(
            "edgewise_gateway_call_seconds", "Time that a call took, however it ended",
            ["kind"], buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._running = Gauge("edgewise_gateway_calls_running", "Calls that run now", registry=self.registry)

    def watch_gate(self, figures: Callable[[], GateFigures]) -> None:
        """Of upstreams and what is kept; read when Prometheus asks."""
        self.registry.register(_OfGate(figures))

    def watch_running(self, read: Callable[[], float]) -> None:
        """Read when Prometheus asks."""
        self._running.set_function(read)

    def refused(self, error: EdgewiseError) -> None:
        self._refused.labels(error.reason).inc()

    def ended(self, key: str, kind: str, error: EdgewiseError | None, seconds: float) -> None:
        self._calls.labels(key or OWNER, kind, error.reason if error else "ok").inc()
        self._seconds.labels(kind).observe(seconds)

    def used(self, key: str, tokens: Tokens) -> None:
        self._tokens.labels(key or OWNER, "prompt").inc(tokens.prompt_tokens)
        self._tokens.labels(key or OWNER, "completion").inc(tokens.completion_tokens)

    def paid(self, key: str, usd: float | None, basis: CostBasis | None) -> None:
        self._unknown.labels(key or OWNER).inc(usd is None)
        if usd is not None:
            self._cost.labels(key or OWNER, basis or "NONE").inc(usd)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"edgewise_gateway_{name}", documentation, labels, registry=self.registry)


# Of an upstream, by the names of its figures.
_OF_UPSTREAM = {
    "tries": "Requests to an upstream",
    "answers": "Answers of an upstream",
    "failures": "Requests in which an upstream failed",
    "overloaded": "Requests to which an upstream said 429",
    "retries": "Second and later tries of a call at one upstream",
    "denied": "Retries for which the retry budget had nothing left",
    "opened": "Times that the breaker opened, because of failures in a row",
    "passed_over": "Calls that went on to the next upstream",
    "usage_impossible": "Answers whose reported usage was impossible, and was not billed",
    "usage_doubtful": "Answers whose reported usage was doubtful, and was billed",
}
_OF_GATE = {
    "cache_hits": "Answers out of the cache",
    "cache_misses": "Answers that the cache did not have",
    "repeated": "Answers given again for an idempotency key",
}
_STATES = ("closed", "half-open", "open")


class _OfGate:
    """A collector of prometheus_client. Upstreams are numbered from 1, the first to be asked first."""

    def __init__(self, figures: Callable[[], GateFigures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        figures = self._figures()
        for name, documentation in _OF_GATE.items():
            yield CounterMetricFamily(f"edgewise_gateway_{name}", documentation, value=getattr(figures, name))
        upstreams = [(str(place), upstream) for place, upstream in enumerate(figures.upstreams, 1)]
        labels = ["place", "upstream"]
        for name, documentation in _OF_UPSTREAM.items():
            counter = CounterMetricFamily(f"edgewise_gateway_upstream_{name}", documentation, labels=labels)
            for place, upstream in upstreams:
                counter.add_metric([place, upstream.name], getattr(upstream, name))
            yield counter
        states = GaugeMetricFamily(
            "edgewise_gateway_upstream_breaker", "0 while the breaker is closed, 1 half-open, 2 open", labels=labels
        )
        for place, upstream in upstreams:
            states.add_metric([place, upstream.name], _STATES.index(upstream.state))
        yield states


@contextmanager
def metrics_page(metrics: Metrics, address: str) -> Iterator[str]:
    """Serves them over HTTP on a loopback address, from a thread of its own; its URL. Conflict, NotReady."""
    if address.startswith("unix:") or not is_local(address):
        raise NotReady(f"metrics are served on a loopback address only, not on {address}; let a proxy guard them")
    check_free(address)
    host, _, port = address.rpartition(":")
    server, thread = start_http_server(int(port), host.strip("[]"), metrics.registry)
    try:
        yield f"http://{host}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Counted:
    """Callers, and how many were turned away."""

    def __init__(self, callers: Callers, metrics: Metrics) -> None:
        self._callers = callers
        self._metrics = metrics

    def identify(self, authorization: str) -> Caller:
        try:
            return self._callers.identify(authorization)
        except EdgewiseError as error:
            self._metrics.refused(error)
            raise
