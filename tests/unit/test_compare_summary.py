"""From rows to numbers: what is counted, what is refused, and what must not depend on anything."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest

from edgewise.errors import InvalidInput
from router.compare.rows import Row
from router.compare.summary import Interval, PairSummary, Summary, summarise
from tests.unit.test_compare_report import environment, row

MODES = ("edge_only", "cloud_only", "agent")


def made_up(questions: int = 40) -> list[Row]:
    """Three modes of different accuracy, cost and time; one answer of the agent fails."""
    rng = random.Random(4)
    found: list[Row] = []
    for number in range(questions):
        for at, mode in enumerate(MODES):
            failed = mode == "agent" and number == 3
            score = float(rng.random() < (0.4, 0.7, 0.65)[at] and not failed)
            found.append(
                row(
                    number,
                    mode,
                    score=score,
                    f1=score * rng.uniform(0.4, 1.0),
                    group=("even", "odd")[number % 2],
                    cost_usd=0.001 * (1 + at) * rng.lognormvariate(0, 0.5),
                    total_s=(1 + at) * rng.lognormvariate(0, 0.3),
                    error="UNAVAILABLE" if failed else "",
                )
            )
    return found


def summary_of(rows: Sequence[Row], modes: Sequence[str] = MODES) -> Summary:
    return summarise(rows, modes, environment())


def test_the_order_of_the_rows_does_not_matter() -> None:
    shuffled = made_up()
    random.Random(1).shuffle(shuffled)
    assert summary_of(shuffled) == summary_of(made_up())


def test_the_order_of_the_modes_flips_signs_and_nothing_else() -> None:
    forward, backward = summary_of(made_up()), summary_of(made_up(), MODES[::-1])
    for mode in MODES:  # approximately: a product of matrices rounds by the place of a column
        for name, figure in forward.modes[mode].model_dump().items():
            assert backward.modes[mode].model_dump()[name] == pytest.approx(figure), (mode, name)
    for pair in forward.pairs:
        other = backward.pair(pair.a, pair.b, pair.metric)
        assert other is not None
        assert other.model_dump() == pytest.approx(pair.model_dump())
        ends = next(each for each in backward.pairs if (each.a, each.b, each.metric) == (pair.b, pair.a, pair.metric))
        assert ends.diff == pytest.approx(-pair.diff)


def test_a_hand_made_set() -> None:
    """10 questions; a is right on the first 8, b on the first 3 and the last; b costs twice as much."""
    rows = [row(n, "edge_only", score=float(n < 8), cost_usd=0.001 * (n + 1)) for n in range(10)]
    rows += [row(n, "cloud_only", score=float(n < 3 or n == 9), cost_usd=0.002 * (n + 1)) for n in range(10)]
    found = summary_of(rows, MODES[:2])
    assert found.modes["edge_only"].accuracy.mean == 0.8
    pair = found.pair("edge_only", "cloud_only", "accuracy")
    assert pair is not None
    assert (pair.n, pair.test) == (10, "mcnemar")
    assert pair.diff == pytest.approx(0.4)
    assert pair.p == pair.p_holm == pytest.approx(2 * (1 + 6) / 2**6)
    assert pair.effect == pytest.approx(5 / 6 - 0.5)
    # ((1.95996 sqrt(0.6) + 0.84162 sqrt(0.44)) / 0.4)^2 = 26.9, and 1 / 0.4 more
    assert (pair.n_needed, pair.n_more) == (30, 20)
    cost = found.pair("edge_only", "cloud_only", "cost_usd")
    assert cost is not None
    assert cost.test == "bootstrap"
    assert (cost.ratio, cost.ratio_lo, cost.ratio_hi) == pytest.approx((0.5, 0.5, 0.5))
    assert cost.diff == pytest.approx(-0.0055)
    assert cost.effect == pytest.approx(-0.0055 / 0.00302765, rel=1e-4)


def test_what_is_decided_needs_no_more_questions() -> None:
    for pair in summary_of(made_up(200)).pairs:
        assert (pair.n_more == 0) == (pair.p_holm < 0.05)
        if pair.diff == 0 and pair.p_holm >= 0.05:
            assert pair.n_more is None


def test_holm_is_over_the_pairs_of_a_metric_and_over_all_strata() -> None:
    found = summary_of(made_up())
    families: list[list[PairSummary]] = [
        [pair for pair in found.pairs if pair.metric == metric] for metric in ("accuracy", "cost_usd")
    ]
    families.append([*found.strata])
    for family in families:
        least = min(family, key=lambda pair: pair.p)
        assert least.p_holm == pytest.approx(min(1.0, len(family) * least.p))
        ordered = sorted(family, key=lambda pair: pair.p)
        assert all(one.p_holm <= next_one.p_holm for one, next_one in pairwise(ordered))
    assert len(found.strata) == 2 * 3
    assert {stratum.metric for stratum in found.strata} == {"accuracy"}


def test_strata_are_the_pairs_of_their_questions_alone() -> None:
    found = summary_of(made_up())
    alone = summary_of([each for each in made_up() if each.group == "odd"])
    for stratum in found.strata:
        if stratum.group == "odd":
            pair = alone.pair(stratum.a, stratum.b, "accuracy")
            assert pair is not None
            assert (stratum.n, stratum.diff, stratum.lo, stratum.p) == (pair.n, pair.diff, pair.lo, pair.p)
    assert found.groups["odd"]["agent"].accuracy == alone.modes["agent"].accuracy


def test_intervals_hold_their_estimates() -> None:
    found = summary_of(made_up())
    for mode in found.modes.values():
        for interval in (mode.accuracy, mode.f1, mode.cost_usd):
            assert interval.lo is not None
            assert interval.hi is not None
            assert 0 <= interval.lo <= (interval.mean or 0.0) <= interval.hi
        times = mode.latency_s
        assert times.p50_lo is not None
        assert times.p50_hi is not None
        assert times.p50_lo <= (times.p50 or 0.0) <= times.p50_hi
        assert times.p95_hi is None
    assert found.modes["agent"].first_shown_s.p50 == pytest.approx(0.1)


def test_all_right_is_not_certainly_right() -> None:
    found = summary_of([row(n, mode) for n in range(20) for mode in MODES])
    accuracy = found.modes["agent"].accuracy
    assert (accuracy.mean, accuracy.hi) == (1.0, 1.0)
    assert accuracy.lo == pytest.approx(0.839, abs=1e-3)
    pair = found.pairs[0]
    assert (pair.diff, pair.p, pair.effect, pair.n_needed, pair.n_more) == (0.0, 1.0, None, None, None)
    assert pair.lo is not None
    assert pair.lo < -0.1


def test_one_question_says_nothing_about_others() -> None:
    found = summary_of([row(0, "edge_only", cost_usd=0.002), row(0, "cloud_only", f1=0.5)], MODES[:2])
    assert found.modes["edge_only"].cost_usd == Interval(mean=0.002)
    assert (found.modes["edge_only"].latency_s.p50, found.modes["edge_only"].latency_s.p50_hi) == (1.0, None)
    pair = found.pair("edge_only", "cloud_only", "cost_usd")
    assert pair is not None
    assert (pair.lo, pair.hi, pair.p, pair.effect) == (None, None, 1.0, None)


def test_partial_scores_are_not_tested_as_right_and_wrong() -> None:
    rows = [row(n, mode, score=(n % 3) / 2 if mode == "agent" else 1.0) for n in range(30) for mode in MODES]
    found = summary_of(rows)
    assert {pair.test for pair in found.pairs if pair.metric == "accuracy" and "agent" in {pair.a, pair.b}} == {
        "bootstrap"
    }
    assert {pair.test for pair in found.strata} == {"mcnemar", "bootstrap"}


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: [row(0, "agent"), row(0, "agent")], "recorded twice"),
        (lambda: [row(1, "agent", total_s=float("nan"))], "latency_s of question 'q1' in mode agent is nan"),
        (lambda: [row(0, "agent", cost_usd=float("inf"))], "cost_usd of question 'q0'"),
    ],
)  # fmt: skip
def test_rows_that_cannot_be_counted_are_refused(broken: Callable[[], list[Row]], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        summary_of(broken())


def test_a_mode_of_which_everything_failed_has_no_times_and_no_pairs_in_them() -> None:
    rows = [row(n, "edge_only") for n in range(12)]
    rows += [row(n, "agent", score=0.0, error="UNAVAILABLE", cost_usd=None, first_kept_s=None) for n in range(12)]
    found = summary_of(rows, ("edge_only", "agent"))
    assert found.modes["agent"].latency_s.p50 is None
    assert found.modes["agent"].cost_usd == Interval()
    assert {pair.metric for pair in found.pairs} == {"accuracy", "f1"}
