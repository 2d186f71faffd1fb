"""From rows to the summary, the table and the page."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from edgewise.types import CostBasis, Grounding
from router.compare import figures, report
from router.compare.chart import cost_accuracy, latency_accuracy
from router.compare.drilldown import drilldown
from router.compare.environment import Environment, Judging, Machine, Model
from router.compare.front import pareto
from router.compare.judge import agreement
from router.compare.prediction import in_order_of_the_note, prediction
from router.compare.questions import Graded
from router.compare.report import difference, render
from router.compare.rows import Row
from router.compare.summary import Interval, Summary, summarise
from router.compare.table import print_table

MODES = ("edge_only", "cloud_only", "post_arbitration", "post_arbitration+cascade", "pre_arbitration", "auto")


def environment(cloud: Model | None = Model(name="m", label="stand-in with the edge's weights")) -> Environment:
    return Environment(
        question_set="0" * 64,
        questions=20,
        seed=0,
        started_at="2026-11-22T10:00:00+00:00",
        machine=Machine(system="Linux", processor="test", cores=2, python="3.11"),
        versions={"edgewise": "0.1.0"},
        commit=None,
        edge=Model(name="small"),
        cloud=cloud,
    )


def row(number: int, mode: str, *, score: float = 1.0, **fields: object) -> Row:
    given = {
        "id": f"q{number}", "mode": mode, "answer": "<script>alert(1)</script>", "author": "edge", "score": score,
        "cost_usd": 0.001, "edge_tokens": 10, "cloud_tokens": 0, "flops": 1e9, "first_shown_s": 0.1,
        "first_kept_s": 0.2, "total_s": 1.0, "cloud_calls": 0, "retractions": 0, "confidence": None,
        "grounding": Grounding.OWN_KNOWLEDGE, "cost_basis": CostBasis.NOTIONAL, "f1": score, "group": "even",
        "private": False, "degraded": False, "error": "", "cloud_generates": 0, "reason": "", "record_id": "",
    }  # fmt: skip
    return Row.model_validate(given | fields)


def rows() -> list[Row]:
    """20 questions; cloud_only is right on 15, the others on 5; cloud_only costs five times as much."""
    found: list[Row] = []
    for number in range(20):
        group = "even" if number % 2 == 0 else "odd"
        for mode in MODES:
            cloud = mode == "cloud_only"
            found.append(
                row(
                    number, mode, score=float(number < 15 if cloud else number < 5), group=group,
                    cost_usd=0.005 if cloud else 0.001, total_s=2.0 if cloud else 1.0 + number / 100,
                    cloud_calls=2 * cloud, cloud_generates=int(cloud), retractions=int(mode == MODES[2] and number < 4),
                )
            )  # fmt: skip
    return found


def questions() -> list[Graded]:
    turns = ({"text": "Who <b>am</b> I?"},)
    return [Graded.model_validate({"id": f"q{n}", "turns": turns, "answers": ["x"]}) for n in range(20)]


@pytest.fixture(scope="module")
def summary() -> Summary:
    return summarise(rows(), MODES, environment())


def test_the_summary_has_the_keys_of_the_contract(summary: Summary) -> None:
    written = json.loads(summary.model_dump_json())
    assert set(written) == {"modes", "pairs", "groups", "strata", "environment"}
    assert set(written["modes"]["edge_only"]) == {
        "n", "errors", "ungraded", "accuracy", "f1", "cost_usd", "latency_s", "first_kept_s", "first_shown_s",
        "cloud_calls_per_question", "escalation_rate", "retraction_rate", "flops",
    }  # fmt: skip
    assert set(written["modes"]["edge_only"]["accuracy"]) == {"mean", "lo", "hi"}
    assert set(written["modes"]["edge_only"]["latency_s"]) == {
        "p50", "p95", "p50_lo", "p50_hi", "p95_lo", "p95_hi", "mean", "lo", "hi",
    }  # fmt: skip
    pair = {
        "a", "b", "metric", "n", "diff", "lo", "hi", "p", "p_holm", "n_needed", "n_more", "test", "effect", "ratio",
        "ratio_lo", "ratio_hi",
    }  # fmt: skip
    assert set(written["pairs"][0]) == pair
    assert set(written["strata"][0]) == pair | {"group"}
    assert set(written["groups"]) == {"even", "odd"}


def test_means_rates_and_quantiles(summary: Summary) -> None:
    cloud, post = summary.modes["cloud_only"], summary.modes["post_arbitration"]
    assert (cloud.n, cloud.errors, cloud.accuracy.mean) == (20, 0, 0.75)
    assert cloud.cost_usd.mean == pytest.approx(0.005)
    assert (cloud.cloud_calls_per_question, cloud.escalation_rate, post.retraction_rate) == (2.0, 1.0, 0.2)
    assert post.latency_s.p50 == pytest.approx(1.095)
    assert cloud.accuracy.lo is not None
    assert cloud.accuracy.hi is not None
    assert cloud.accuracy.lo < 0.75 < cloud.accuracy.hi
    assert cloud.flops == pytest.approx(1e9)


def test_pairs_are_tested_on_the_same_questions(summary: Summary) -> None:
    pair = summary.pair("cloud_only", "edge_only", "accuracy")
    assert pair is not None
    assert (pair.n, pair.diff) == (20, 0.5)
    assert pair.p == pytest.approx(2 / 2**10)
    assert pair.p <= pair.p_holm
    turned = summary.pair("edge_only", "cloud_only", "accuracy")
    assert turned is not None
    assert pair.lo is not None
    assert pair.hi is not None
    assert (turned.diff, turned.lo, turned.hi) == (-pair.diff, -pair.hi, -pair.lo)
    metrics = {"accuracy", "f1", "cost_usd", "latency_s", "first_kept_s", "first_shown_s"}
    assert {found.metric for found in summary.pairs} == metrics
    assert len(summary.pairs) == 15 * 6


def test_an_unknown_cost_stays_unknown() -> None:
    found = [row(0, "edge_only"), row(1, "edge_only", cost_usd=None), row(0, "cloud_only"), row(1, "cloud_only")]
    summary = summarise(found, ("edge_only", "cloud_only"), environment())
    assert summary.modes["edge_only"].cost_usd == Interval()
    assert summary.pair("edge_only", "cloud_only", "cost_usd") is None
    assert summary.modes["cloud_only"].cost_usd.mean == pytest.approx(0.001)


def test_failures_count_as_wrong_but_not_in_the_times() -> None:
    failed = row(1, "edge_only", score=0.0, error="UNAVAILABLE", total_s=0.001, first_kept_s=None, cost_usd=None)
    found = summarise([row(0, "edge_only"), failed], ("edge_only",), environment()).modes["edge_only"]
    assert (found.n, found.errors, found.accuracy.mean, found.latency_s.p50) == (2, 1, 0.5, 1.0)
    assert found.cost_usd.mean == pytest.approx(0.001)


@pytest.mark.parametrize("width", [100, 120])
def test_the_table_shows_prediction_and_measurement(summary: Summary, width: int) -> None:
    written = io.StringIO()
    print_table(Console(file=written, width=width), summary)
    lines = written.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert text.count("predicted") == 5
    assert text.count("measured") >= 6
    for expected in ("75 % (53–89), 20", "$5.00 notional", "worst: both errors", "stand-in", "+cascade", "auto"):
        assert expected in text
    assert "…" not in text


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_the_page_stands_alone_and_escapes_what_others_wrote(summary: Summary) -> None:
    page = render(summary, questions(), rows())
    tags = Tags()
    tags.feed(page)
    names = {name for name, _ in tags.seen}
    assert not names & {"link", "img", "iframe", "object"}
    assert [attributes for name, attributes in tags.seen if name == "script"] == [{}]
    assert not any(key in {"src", "href"} or key.startswith("on") for _, attributes in tags.seen for key in attributes)
    assert not re.search(r"https?:|url\(|@import", page)
    script = page.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policies = [attributes.get("content") for name, attributes in tags.seen if name == "meta"]
    assert f"script-src 'sha256-{digest}'" in str(policies)
    assert "&lt;script&gt;alert(1)" in page
    assert "Who &lt;b&gt;am&lt;/b&gt; I?" in page
    for expected in ("prefers-color-scheme: dark", "worst: edge error + cloud error", "notional", "stand-in", "<svg"):
        assert expected in page


def test_the_page_of_an_unfinished_run_without_a_cloud() -> None:
    unfinished = [row(0, "edge_only", cost_usd=None, cost_basis=None, degraded=True, reason="no cloud")]
    summary = summarise(unfinished, ("edge_only", "agent"), environment(cloud=None))
    page = render(summary, questions(), unfinished)
    assert "There was no cloud" in page
    assert "Degraded answers: 1." in page
    assert "<svg" not in page


def test_the_charts_mark_the_front() -> None:
    dear = [found.model_copy(update={"cost_usd": 0.002}) if found.mode == "auto" else found for found in rows()]
    summary = summarise(dear, MODES, environment())
    chart = cost_accuracy(summary)
    assert chart.count('class="front"') == len(MODES) - 1
    assert chart.count('class="dominated"') == 1
    assert chart.count('class="label"') == len(MODES)
    timed = latency_accuracy(summary)
    assert timed.count('class="front"') == len(MODES)
    assert "median time" in timed


def test_a_wide_range_of_costs_is_drawn_on_powers_of_ten_and_nothing_apart() -> None:
    costs = {"edge_only": 0.0, "post_arbitration": 0.00001, "cloud_only": 0.05}
    spread = [found.model_copy(update={"cost_usd": costs[found.mode]}) for found in rows() if found.mode in costs]
    chart = cost_accuracy(summarise(spread, tuple(costs), environment()))
    ticks = re.findall(r'class="tick middle" x="([\d.]+)"[^>]*>([^<]+)', chart)
    assert ticks[0][1] == "$0"
    assert {"$0.01", "$0.10", "$1.00", "$10.00"} <= {written for _, written in ticks}
    places = [float(x) for x, _ in ticks]
    assert places == sorted(places)
    marks = [float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', chart)]
    assert all(52 <= x <= 640 for x in marks)
    assert marks[0] < marks[1] < marks[2]


def test_the_front_is_what_nobody_beats() -> None:
    modes = {"cheap": (1.0, 0.5), "dear": (3.0, 0.9), "same": (1.0, 0.5), "worse": (3.0, 0.8), "worst": (4.0, 0.1)}
    assert pareto(modes) == ["cheap", "dear", "same"]


def test_a_large_page_says_what_it_leaves_out_and_shows_first_where_modes_differ(
    summary: Summary, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = drilldown(questions(), MODES, rows(), answers=12 * len(MODES))
    shown = {each.question.id for _, group in found.groups for each in group}
    assert (found.shown, found.questions, found.disputed, found.shown_disputed) == (12, 20, 10, 10)
    assert {f"q{number}" for number in range(5, 15)} < shown
    few = drilldown(questions(), MODES, rows(), answers=4 * len(MODES))
    assert (few.shown, few.shown_disputed) == (4, 4)
    whole = drilldown(questions(), MODES, rows())
    assert whole.shown == whole.questions == 20
    monkeypatch.setattr(report, "drilldown", lambda questions, modes, rows: drilldown(questions, modes, rows, 24))
    page = report.render(summary, questions(), rows())
    assert "Shown here: 4 of the 20 questions" in page
    assert "records.jsonl" in page
    assert page.count('<details class="question"') == 4


def test_the_note_has_five_columns_and_knows_variants() -> None:
    cascade = prediction("post_arbitration+cascade")
    assert cascade is not None
    assert cascade.column == "post-arbitration"
    assert prediction("auto") is None
    assert prediction("edge_only+rag") is prediction("edge_only+long_context") is None
    assert in_order_of_the_note(["auto", "agent", "cloud_only"]) == ["cloud_only", "agent", "auto"]


def test_a_warm_pass_is_predicted_like_its_mode_and_stands_beside_it() -> None:
    for mode in ("edge_only", "agent", "post_arbitration+cascade", "edge_only+rag", "auto"):
        assert prediction(f"{mode} (warm)") is prediction(mode)
    asked = ["edge_only", "agent", "auto", "edge_only (warm)", "agent (warm)", "auto (warm)"]
    assert in_order_of_the_note(asked) == [
        "edge_only", "edge_only (warm)", "agent", "agent (warm)", "auto", "auto (warm)",
    ]  # fmt: skip


def test_figures_are_written_for_people() -> None:
    assert [figures.dollars(value) for value in (None, 0.0, 0.0000431, 0.5, 12.3, 1234.5)] == [
        "unknown", "$0", "$0.000043", "$0.50", "$12.30", "$1,234.50",
    ]  # fmt: skip
    assert [figures.seconds(value) for value in (None, 0.0123, 0.5, 12.34)] == ["unknown", "12 ms", "0.50 s", "12.3 s"]
    assert figures.percent_interval(Interval()) == "unknown"
    assert figures.operations(2.5e11) == "250 GFLOP"
    assert difference("cost_usd", -0.001) == "−$0.001"
    assert difference("accuracy", 0.125) == "+12.5 points"
    assert figures.times(0.14, 0.12, 0.16) == "14 % (12 to 16 %) of"
    assert figures.times(3.21, None, None) == "3.2 times"
    assert figures.times(0.0123, 0.01, 0.02) == "1.2 % (1.0 to 2.0 %) of"
    assert figures.seconds_range(0.2, 0.31) == "0.20–0.31 s"
    assert figures.seconds_range(0.05, 0.31) == "50 ms–0.31 s"


def test_a_judge_that_is_not_shown_to_tell_answers_apart_is_said_to_be_that() -> None:
    def told(*pairs: tuple[float, float]) -> str:
        found = Judging(side="edge", prompt_version="1", agreement=agreement(pairs), unjudged=0, cost_usd=0.0)
        return " ".join(
            figures.caveats(environment().model_copy(update={"judging": found, "left_out": 1, "skipped": 1}))
        )

    always_right = told((1.0, 1.0), (1.0, 0.0), (1.0, 0.0))
    assert "33 % of 3; one of the two called all of them right" in always_right
    assert "kappa" not in always_right
    assert "(1 answer fewer)" in always_right
    assert "1 line at fault" in always_right
    assert "kappa 1.00" in told((1.0, 1.0), (0.0, 0.0))
