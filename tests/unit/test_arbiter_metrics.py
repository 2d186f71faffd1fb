"""Routing curves and calibration: by hand where possible, and on routers that know all, nothing, or the opposite."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from router.arbiter.metrics import (
    Floats,
    Ints,
    Outcomes,
    apgr,
    auroc,
    bootstrap,
    brier,
    cpt,
    ece,
    risk_coverage,
    routed,
    spent,
)

FOUR = Outcomes(np.array([1.0, 0.0, 0.0, 1.0]), np.array([1.0, 1.0, 1.0, 0.0]), np.ones(4), np.full(4, 3.0))
IN_ORDER = np.array([4.0, 3.0, 2.0, 1.0])


def many(count: int = 3000, seed: int = 0) -> Outcomes:
    chance = np.random.default_rng(seed)
    weak, strong = ((chance.random(count) < right).astype(np.float64) for right in (0.6, 0.8))
    return Outcomes(weak, strong)


# --- routing ----------------------------------------------------------------------------------------------------------


def test_a_curve_by_hand() -> None:
    curve = routed(IN_ORDER, FOUR)
    assert curve.x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.pgr.tolist() == [0, 0, 1, 2, 1]
    assert apgr(IN_ORDER, FOUR) == pytest.approx(0.875)
    assert [cpt(IN_ORDER, FOUR, share) for share in (0.5, 1.0, 1.5, 2.0)] == [50, 50, 75, 75]
    assert cpt(IN_ORDER, FOUR, 2.5) == math.inf


def test_an_oracle_passes_one_a_random_score_is_a_half_and_a_reversed_one_is_its_mirror() -> None:
    outcomes = many()
    gain = outcomes.strong - outcomes.weak
    better, worse = float((gain > 0).mean()), float((gain < 0).mean())
    # The oracle rises by one for each better one, is level for the equal ones, and falls for each worse one.
    by_hand = (better * better / 2 + better * (1 - better - worse) + worse * (better - worse / 2)) / (better - worse)
    assert apgr(gain, outcomes) == pytest.approx(by_hand)
    assert by_hand > 1
    assert apgr(-gain, outcomes) == pytest.approx(1 - by_hand)
    chance = np.random.default_rng(1)
    assert np.mean([apgr(chance.random(len(gain)), outcomes) for _ in range(200)]) == pytest.approx(0.5, abs=0.02)


def test_ties_go_in_a_random_order_that_the_seed_fixes() -> None:
    outcomes, same = many(200), np.zeros(200)
    areas = [apgr(same, outcomes, seed) for seed in range(300)]
    assert len(set(areas)) > 100
    assert np.mean(areas) == pytest.approx(0.5, abs=0.05)
    assert apgr(same, outcomes, 7) == areas[7]


def test_without_a_gap_there_is_nothing_to_recover() -> None:
    with pytest.raises(ValueError, match="no gap to recover"):
        routed(IN_ORDER, Outcomes(FOUR.strong, FOUR.weak))


def test_a_curve_over_money_by_hand() -> None:
    curve = spent(IN_ORDER, FOUR, cascade=False)
    assert curve.x.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert curve.area == pytest.approx(0.875)


def test_a_cascade_has_paid_the_weak_side_too() -> None:
    curve = spent(IN_ORDER, FOUR, cascade=True)
    assert curve.x.tolist() == [0, 0.375, 0.75, 1.125, 1.5]
    # 0 up to 0.375, then 1 at 0.75, and two thirds of the way to 2 at 1.
    assert curve.area == pytest.approx(0.375 * 0.5 + 0.25 * (1 + 5 / 3) / 2)
    assert curve.reach(1.0) == 0.75


@pytest.mark.parametrize("outcomes", [many(), Outcomes(FOUR.weak, FOUR.strong, np.ones(4), np.ones(4))])
def test_money_that_is_unknown_or_cannot_be_saved_is_refused(outcomes: Outcomes) -> None:
    with pytest.raises(ValueError, match=r"no costs|nothing to save"):
        spent(np.zeros(len(outcomes)), outcomes, cascade=True)


# --- calibration ------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_auroc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    score, right = np.array([float(one) for one, _ in pairs]), np.array([float(one) for _, one in pairs])
    if len(set(right)) < 2:
        assert math.isnan(auroc(score, right))
    else:
        assert auroc(score, right) == pytest.approx(roc_auc_score(right, score))


def plain_ece(probability: Floats, right: Floats) -> float:
    parts = np.array_split(np.argsort(probability, kind="stable"), 15)
    gaps = [len(part) * abs(float(probability[part].mean() - right[part].mean())) for part in parts]
    return sum(gaps) / len(right)


def perfect(count: int, seed: int) -> tuple[Floats, Floats]:
    chance = np.random.default_rng(seed)
    probability = chance.random(count)
    return probability, (chance.random(count) < probability).astype(np.float64)


def test_ece_takes_off_what_chance_puts_into_it() -> None:
    perfect_ones = [perfect(2000, seed) for seed in range(20)]
    plain = np.mean([plain_ece(*one) for one in perfect_ones])
    assert np.mean([ece(*one) for one in perfect_ones]) < 0.7 * plain
    tied = np.full(4000, 0.6), np.repeat([1.0, 0.0], [3200, 800])  # in an order that must not matter
    assert ece(*tied) == pytest.approx(0.2, abs=1e-3)
    assert ece(np.full(100, 1.0), np.zeros(100)) == pytest.approx(1.0)


def test_brier_and_risk_by_hand() -> None:
    probability, right = np.array([0.9, 0.6, 0.2]), np.array([1.0, 0.0, 0.0])
    assert brier(probability, right) == pytest.approx((0.01 + 0.36 + 0.04) / 3)
    coverage, risk = risk_coverage(probability, right)
    assert coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert risk.tolist() == pytest.approx([0, 1 / 2, 2 / 3])


# --- intervals --------------------------------------------------------------------------------------------------------


def mean_of(sample: Floats) -> Callable[[Ints], float]:
    return lambda rows: float(sample[rows].mean())


def test_an_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(200):
        found = bootstrap(mean_of(np.random.default_rng(seed).normal(size=50)), 50, resamples=200, seed=seed)
        held += found.lo <= 0 <= found.hi
    assert 175 <= held <= 200


def test_draws_without_a_value_are_drawn_again() -> None:
    def statistic(rows: Ints) -> float:
        return apgr(IN_ORDER[rows], FOUR.take(rows))

    found = bootstrap(statistic, 4, resamples=50)
    assert found.value == pytest.approx(0.875)
    assert found.lo < found.hi

    def never(rows: Ints) -> float:
        if len(set(rows)) < 4:
            raise ValueError
        return 0.0

    with pytest.raises(ValueError, match="too few rows"):
        bootstrap(never, 4, resamples=200)
