"""The dashboard, the scrape configuration and the table of metrics, against what a router really exposes.

`python -m tests.contract.test_dashboard` writes the table in `deploy/grafana/README.md` again.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgewise.errors import CloudUnavailable, EdgewiseError
from edgewise.types import Grade
from router.metrics import DROPPED, EDGE_RESTARTS, SENT
from tests.routers import VARIANTS, Place, a_cloud, an_edge, place, question

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana"
README = FOLDER / "README.md"
# Of ours, but on no panel, and why.
UNUSED: dict[str, str] = {}
BY_PROMETHEUS = {
    "up": set[str](),
    "process_start_time_seconds": set[str](),
    "process_resident_memory_bytes": set[str](),
}
OF_THE_SCRAPE = {"job", "instance"}
_SELECTOR = re.compile(r"\b([a-z_][a-z0-9_]*)\{([^}]*)\}")
_MATCHED = re.compile(r'([a-z_]+)\s*(?:=~|!~|!=|=)\s*"')
_GROUPED = re.compile(r"\bby \(([^)]*)\)")
_SHOWN = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str
    samples: frozenset[str]


async def exposed(directory: Path) -> str:
    """What /metrics says after every mode has answered, failed, been refused and been graded."""
    async with place(directory, an_edge(), a_cloud()) as opened:
        await _use(opened)
        metrics = opened.router.metrics
        metrics.watch(EDGE_RESTARTS, lambda: 1)
        for signal in ("traces", "grades"):
            metrics.watch(SENT, lambda: 2, signal)
            metrics.watch(DROPPED, lambda: 3, signal)
        [record, *_] = await opened.records(1)
        in_arm = record.model_copy(update={"experiment": "harbour", "arm": "cascade"})
        metrics.observe(in_arm, ())
        metrics.observe(in_arm.model_copy(update={"shadow_of": record.record_id}), ())
        metrics.graded(in_arm, Grade(record_id=record.record_id, grader="judge:large", score=0.5))
        return metrics.text().decode()


async def _use(opened: Place) -> None:
    for mode in VARIANTS:
        await opened.ask(question(mode))
    opened.cloud.down = CloudUnavailable("gone")
    await opened.ask(question("cloud_only"))
    for refused in (question("cloud_only", privacy="PRIVATE"), question("no_such_mode")):
        with suppress(EdgewiseError):
            await opened.ask(refused)
    for record in await opened.records(len(VARIANTS)):
        await opened.router.grade(Grade(record_id=record.record_id, grader="zoe", score=1))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return asyncio.run(exposed(tmp_path_factory.mktemp("metrics")))


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "edgewise.json").read_text(encoding="utf-8"))
    return found


def families(text: str) -> Iterator[Family]:
    """Of ours, without the times at which counters were made."""
    for family in text_string_to_metric_families(text):
        if family.name.startswith("edgewise_") and not family.name.endswith("_created"):
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            samples = frozenset(sample.name for sample in family.samples)
            name = family.name + ("_total" if family.type == "counter" else "")
            yield Family(name, family.type, tuple(sorted(labels)), family.documentation, samples)


def selectable(text: str) -> dict[str, set[str]]:
    """The name of every series, and its labels."""
    return BY_PROMETHEUS | {
        sample: {*family.labels, *({"le"} if sample.endswith("_bucket") else ())}
        for family in families(text)
        for sample in family.samples
    }


def expressions(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each with its legend; those of the variables, too."""
    for panel in dashboard["panels"]:
        yield from ((target["expr"], target["legendFormat"]) for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            series, _, label = variable["definition"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
            yield (series if "{" in series else series + "{}"), f"{{{{{label}}}}}"


# --- the dashboard ----------------------------------------------------------------------------------------------------


def test_every_metric_and_label_of_the_dashboard_is_exposed(text: str, dashboard: dict[str, Any]) -> None:
    known = selectable(text)
    found = list(expressions(dashboard))
    assert len(found) > 30
    for expression, legend in found:
        selectors = _SELECTOR.findall(expression)
        assert selectors, expression
        bare = re.findall(r"\b(?:edgewise|process)_\w+\b(?!\w|\{)", expression)
        assert bare == [], expression
        for name, matchers in selectors:
            assert name in known, expression
            labels = known[name] | OF_THE_SCRAPE
            assert set(_MATCHED.findall(matchers)) <= labels, expression
            grouped = {label.strip() for by in _GROUPED.findall(expression) for label in by.split(",")}
            assert grouped <= labels, expression
            assert set(_SHOWN.findall(legend)) <= (grouped - {"le"} if grouped else labels), (expression, legend)


def test_every_metric_of_ours_is_on_a_panel(text: str, dashboard: dict[str, Any]) -> None:
    used = {name for expression, _ in expressions(dashboard) for name, _ in _SELECTOR.findall(expression)}
    unused = {family.name for family in families(text) if not family.samples & used}
    assert unused == set(UNUSED)


def test_a_rate_is_of_a_counter_and_a_quantile_of_buckets(text: str, dashboard: dict[str, Any]) -> None:
    kinds = {sample: family.kind for family in families(text) for sample in family.samples}
    for expression, _ in expressions(dashboard):
        for name in re.findall(r"(?:rate|increase)\((\w+)\{", expression):
            assert kinds[name] in {"counter", "histogram", "summary"}, expression
        for inside in re.findall(r"histogram_quantile\([\d.]+, (.*)\)", expression):
            assert "_bucket{" in inside, expression
            assert "le)" in inside, expression


def test_panels_have_places_of_their_own_and_the_chosen_datasource(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) < 24
    for panel in panels:
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == panel["datasource"]["uid"] == "${datasource}"


def test_rows_ask_the_questions_of_an_operator_in_their_order(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows[:6] == [
        "Is it up?", "Who answers?", "How fast?", "How right?", "How dear?", "What fails?",
    ]  # fmt: skip


@pytest.mark.system
@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
def test_prometheus_reads_the_configuration_and_every_expression(tmp_path: Path, dashboard: dict[str, Any]) -> None:
    (tmp_path / "token").write_text("a token")
    shutil.copy(FOLDER / "prometheus.yml", tmp_path)
    variables = {"$__rate_interval": "1m", "$__range": "1h", "$job": ".*", "$mode": ".*"}
    rules = [
        {"record": f"panel:{place}", "expr": re.sub(r"\$\w+", lambda found: variables[found[0]], expression)}
        for place, (expression, _) in enumerate(expressions(dashboard))
    ]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    for check in (["config", "prometheus.yml"], ["rules", "rules.yml"]):
        subprocess.run(["promtool", "check", *check], cwd=tmp_path, check=True, timeout=30)


# --- the exposition and its table -------------------------------------------------------------------------------------


def test_names_follow_the_customs_of_prometheus(text: str) -> None:
    for family in families(text):
        assert re.fullmatch(r"edgewise_[a-z0-9_]+", family.name)
        assert family.kind in {"counter", "gauge", "histogram", "summary"}
        assert (family.kind == "counter") is family.name.endswith("_total")
        if family.kind == "histogram":
            assert family.name.endswith("_seconds")


def test_what_callers_choose_is_no_label(text: str) -> None:
    assert "no_such_mode" not in text
    assert "zoe" not in text
    assert 'edgewise_refused_total{reason="InvalidInput"} 1.0' in text
    assert 'edgewise_grade_score_count{grader="user",mode="edge_only"} 1.0' in text


def written(text: str, mark: str = "metrics") -> str:
    """The page, with the table of what is exposed between its marks."""
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(family.labels) or '-'} | {family.documentation} |"
        for family in sorted(families(text), key=lambda family: family.name)
    ]
    table = "\n".join(["| metric | kind | labels | what it counts or measures |", "|---|---|---|---|", *rows])
    before, rest = README.read_text(encoding="utf-8").split(f"<!-- {mark} -->\n")
    after = rest.partition(f"<!-- /{mark} -->")[2]
    return f"{before}<!-- {mark} -->\n{table}\n<!-- /{mark} -->{after}"


def test_the_table_of_metrics_is_up_to_date(text: str) -> None:
    assert README.read_text(encoding="utf-8") == written(text)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        README.write_text(written(asyncio.run(exposed(Path(directory)))), encoding="utf-8")
