"""What a record, a grade and a refusal add to the metrics."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edgewise.errors import Overloaded
from edgewise.types import CostBasis, Grade, Grounding, Record, Tokens, Usage
from router.meter import SideCall
from router.metrics import RUNNING, Metrics
from router.observer import grader_kind

ANSWER = Record(
    record_id="1",
    mode="post_arbitration",
    author="cloud",
    grounding=Grounding.OWN_KNOWLEDGE,
    usage=Usage(cloud=Tokens(prompt_tokens=7, completion_tokens=3, cached_tokens=2)),
    cost_usd=0.25,
    cost_basis=CostBasis.BILLED,
    first_kept_s=0.3,
    total_s=0.5,
    cloud_generates=1,
    retractions=1,
)
CALL = SideCall(key="k", side="cloud", kind="generate", request="{}", started_s=0.1, ended_s=0.4)


def read(metrics: Metrics) -> dict[str, float]:
    """`name{label values}` -> value, of everything that is not 0."""
    return {
        f"{sample.name}{{{','.join(sample.labels[label] for label in sorted(sample.labels))}}}": sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if family.name.startswith("edgewise_") and not sample.name.endswith(("_created", "_bucket")) and sample.value
    }


def after(*records: Record, calls: tuple[SideCall, ...] = ()) -> dict[str, float]:
    metrics = Metrics()
    for record in records:
        metrics.observe(record, calls)
    found = read(metrics)
    [build] = [name for name in found if name.startswith("edgewise_build_info")]
    del found[build]
    return found


def test_an_answer_is_counted_where_it_belongs() -> None:
    assert after(ANSWER, calls=(CALL,)) == {
        "edgewise_answers_total{cloud,none,post_arbitration}": 1,
        "edgewise_answer_seconds_count{post_arbitration}": 1,
        "edgewise_answer_seconds_sum{post_arbitration}": 0.5,
        "edgewise_first_kept_token_seconds_count{post_arbitration}": 1,
        "edgewise_first_kept_token_seconds_sum{post_arbitration}": 0.3,
        "edgewise_grounding_total{OWN_KNOWLEDGE,post_arbitration}": 1,
        "edgewise_retractions_total{post_arbitration}": 1,
        "edgewise_escalations_total{post_arbitration}": 1,
        "edgewise_cost_usd_total{BILLED,post_arbitration}": 0.25,
        "edgewise_tokens_total{prompt,cloud}": 7,
        "edgewise_tokens_total{completion,cloud}": 3,
        "edgewise_cached_tokens_total{cloud}": 2,
        "edgewise_side_calls_total{none,generate,cloud}": 1,
        "edgewise_side_call_seconds_count{generate,cloud}": 1,
        "edgewise_side_call_seconds_sum{generate,cloud}": pytest.approx(0.3),
    }


def test_a_failure_flatters_no_latency() -> None:
    found = after(Record(record_id="1", mode="cloud_only", error="UNAVAILABLE", total_s=0.001, cost_usd=0.0))
    assert found == {"edgewise_answers_total{none,UNAVAILABLE,cloud_only}": 1}


def test_an_unknown_cost_is_counted_and_not_0() -> None:
    found = after(ANSWER.model_copy(update={"cost_usd": None}))
    assert found["edgewise_cost_unknown_total{post_arbitration}"] == 1
    assert not any("cost_usd" in name for name in found)


@pytest.mark.parametrize(("cost_usd", "basis"), [(0.0, "NONE"), (0.5, "EDGE_RATE")])
def test_a_cost_without_a_cloud_call_has_a_basis_of_its_own(cost_usd: float, basis: str) -> None:
    metrics = Metrics()
    metrics.observe(ANSWER.model_copy(update={"cost_usd": cost_usd, "cost_basis": None}), ())
    text = metrics.text().decode()
    assert f'edgewise_cost_usd_total{{basis="{basis}",mode="post_arbitration"}} {cost_usd}' in text


def test_a_shadow_answer_costs_and_is_nobodys_answer() -> None:
    found = after(ANSWER.model_copy(update={"shadow_of": "2", "experiment": "harbour", "arm": "b"}))
    assert found["edgewise_shadow_answers_total{none,post_arbitration}"] == 1
    assert found["edgewise_shadow_cost_usd_total{BILLED,post_arbitration}"] == 0.25
    assert found["edgewise_experiment_answers_total{b,none,harbour}"] == 1
    assert found["edgewise_tokens_total{prompt,cloud}"] == 7
    for shown in ("answers_total", "answer_seconds", "cost_usd_total", "grounding", "escalations"):
        assert not any(name.startswith(f"edgewise_{shown}") for name in found)


def test_grades_have_a_count_and_a_sum_by_mode_and_kind_of_grader() -> None:
    metrics = Metrics()
    for grader, score in (("zoe", 1.0), ("yan", 0.0), ("judge:large", 0.5)):
        metrics.graded(ANSWER, Grade(record_id="1", grader=grader, score=score))
    in_arm = ANSWER.model_copy(update={"experiment": "harbour", "arm": "b"})
    metrics.graded(in_arm, Grade(record_id="1", grader="reference:f1", score=0.5))
    found = read(metrics)
    assert found["edgewise_grade_score_count{user,post_arbitration}"] == 2
    assert found["edgewise_grade_score_sum{user,post_arbitration}"] == 1
    assert found["edgewise_grade_score_sum{judge,post_arbitration}"] == 0.5
    assert found["edgewise_experiment_grade_score_count{b,harbour,reference}"] == 1


@pytest.mark.parametrize(
    ("grader", "kind"),
    [("judge", "judge"), ("Judge:x", "judge"), ("reference:f1", "reference"), ("judgejudy", "user"), ("a:b", "user")],
)
def test_graders_have_one_of_three_kinds(grader: str, kind: str) -> None:
    assert grader_kind(grader) == kind


def test_who_is_refused_is_counted_by_its_reason_and_still_refused() -> None:
    metrics = Metrics()
    with pytest.raises(Overloaded), metrics.refusals():
        raise Overloaded("full")
    with metrics.refusals():
        pass  # who is let in
    assert read(metrics)["edgewise_refused_total{Overloaded}"] == 1


def test_what_nobody_watches_is_not_shown() -> None:
    metrics = Metrics()
    assert RUNNING not in metrics.text().decode()
    metrics.watch(RUNNING, lambda: 4)
    assert read(metrics)[f"{RUNNING}{{}}"] == 4
