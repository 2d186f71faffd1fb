"""The table of a gateway's metrics, against what it exposes.

`python -m tests.contract.test_gateway_metrics` writes the table in `deploy/grafana/README.md` again.
"""

from __future__ import annotations

import re

from cloud.backends.figures import GateFigures, UpstreamFigures
from cloud.metrics import Counted, Metrics
from edgewise.callers import owner_of
from edgewise.errors import Overloaded, Unauthenticated
from edgewise.types import CostBasis, Tokens
from tests.contract.test_dashboard import README, families, written

MARK = "gateway metrics"


def exposed() -> str:
    """After a call of each kind, and a refusal."""
    metrics = Metrics()
    metrics.watch_gate(lambda: GateFigures((UpstreamFigures("m at h", tries=7), UpstreamFigures("m at h"))))
    metrics.watch_running(lambda: 3)
    metrics.refused(Overloaded("later"))
    metrics.ended("zoe", "generate", None, 0.1)
    metrics.ended("", "retrieve", Overloaded("later"), 0.1)
    metrics.used("zoe", Tokens(prompt_tokens=5, completion_tokens=2))
    metrics.paid("zoe", 0.25, CostBasis.BILLED)
    metrics.paid("", None, None)
    return metrics.text().decode()


def test_the_table_of_the_gateways_metrics_is_up_to_date() -> None:
    assert README.read_text(encoding="utf-8") == written(exposed(), MARK)


def test_names_follow_the_customs_of_prometheus() -> None:
    found = list(families(exposed()))
    assert len(found) > 20
    for family in found:
        assert re.fullmatch(r"edgewise_gateway_[a-z0-9_]+", family.name)
        assert (family.kind == "counter") is family.name.endswith("_total")


def test_what_was_counted_is_there() -> None:
    text = exposed()
    for line in (
        'edgewise_gateway_calls_total{key="zoe",kind="generate",outcome="ok"} 1.0',
        'edgewise_gateway_calls_total{key="(owner)",kind="retrieve",outcome="Overloaded"} 1.0',
        'edgewise_gateway_cost_usd_total{basis="BILLED",key="zoe"} 0.25',
        'edgewise_gateway_cost_unknown_total{key="(owner)"} 1.0',
        "edgewise_gateway_calls_running 3.0",
        'edgewise_gateway_upstream_tries_total{place="1",upstream="m at h"} 7.0',
        'edgewise_gateway_upstream_breaker{place="2",upstream="m at h"} 0.0',
    ):
        assert line in text


def test_who_is_turned_away_is_counted() -> None:
    metrics = Metrics()
    callers = Counted(owner_of("right"), metrics)
    callers.identify("Bearer right")
    for _ in range(2):
        try:
            callers.identify("Bearer wrong")
        except Unauthenticated:
            continue
    assert 'edgewise_gateway_refused_total{reason="Unauthenticated"} 2.0' in metrics.text().decode()


if __name__ == "__main__":
    README.write_text(written(exposed(), MARK), encoding="utf-8")
