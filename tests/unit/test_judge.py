"""A judge that is asked in both orders, and how far it can be trusted."""

from __future__ import annotations

import asyncio

import pytest

from edgewise.errors import CloudUnavailable
from edgewise.types import Privacy, Text
from router.compare.judge import Agreement, Judge, Judgement, agreement
from router.compare.questions import Graded
from router.egress import Gated
from tests.boundaries import ALLOWING
from tests.sides import FakeCloud, FakeEdge, Say

TREE = Graded.model_validate(
    {"id": "tree", "turns": [{"text": "Which tree?"}], "answers": ["the oak", "an oak tree"], "scorer": "judge"}
)


def judged(cloud: FakeCloud, answer: str, label: Privacy = Privacy.UNKNOWN) -> Judgement:
    judge = Judge("cloud", Gated(cloud, ALLOWING))
    return asyncio.run(judge.judge(TREE, Text(value=answer, label=label)))


def shown(cloud: FakeCloud) -> list[str]:
    return [prompt.messages[-1].content.value for prompt in cloud.prompts]


def test_it_is_asked_in_both_orders() -> None:
    cloud = FakeCloud(Say("Yes."), usd_per_mtok=1.0)
    found = judged(cloud, "oak")
    first, second = shown(cloud)
    assert first.index("oak\n\nB: the oak") < first.index("say the same")
    assert "A: the oak\n\nB: oak" in second
    assert found.score == 1
    words = [len(message.content.value.split()) for prompt in cloud.prompts for message in prompt.messages]
    assert found.cost_usd == pytest.approx((sum(words) + 2) / 1e6)


@pytest.mark.parametrize(
    ("said", "score"),
    [
        (("yes", "no", "no", "no"), 0.5),
        (("no", "no", "YES, both do", " yes"), 1.0),
        (("no", "no", "no", "no"), 0.0),
    ],
)
def test_the_best_accepted_answer_counts_and_contradicting_oneself_is_a_half(
    said: tuple[str, ...], score: float
) -> None:
    assert judged(FakeCloud(*map(Say, said)), "oak").score == score


def test_what_is_neither_yes_nor_no_is_no_score() -> None:
    found = judged(FakeCloud(Say("Perhaps")), "oak")
    assert found.score is None
    assert "neither yes nor no" in found.reason


def test_an_empty_answer_needs_no_judge() -> None:
    cloud = FakeCloud(Say("yes"))
    assert judged(cloud, "  ").score == 0
    assert cloud.saw_nothing


def test_what_is_private_does_not_leave_for_being_judged() -> None:
    cloud = FakeCloud(Say("yes"))
    found = judged(cloud, "oak", Privacy.PRIVATE)
    assert found.score is None
    assert "private" in found.reason
    assert cloud.saw_nothing


def test_a_judge_that_is_down_is_a_reason_and_no_end() -> None:
    cloud = FakeCloud(Say("yes", error=CloudUnavailable("no cloud today"), after=0))
    assert judged(cloud, "oak") == Judgement(score=None, cost_usd=0.0, reason="no cloud today")


def test_the_edge_judges_for_nothing() -> None:
    found = asyncio.run(Judge("edge", FakeEdge(Say("no"))).judge(TREE, Text(value="a", label=Privacy.PRIVATE)))
    assert (found.score, found.cost_usd) == (0.0, 0.0)


def test_agreement_is_that_beyond_chance() -> None:
    assert agreement([]) == Agreement(n=0, agreed=None, kappa=None)
    pairs = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 5 + [(0.0, 1.0)] * 10 + [(0.0, 0.0)] * 15
    found = agreement(pairs)  # the textbook's example: observed .70, expected .50
    assert (found.n, found.agreed) == (50, 0.7)
    assert found.kappa == pytest.approx(0.4)
    assert agreement([(1.0, 1.0), (1.0, 0.0)]).kappa is None
